//! The ledger over DynamoDB's wire format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use pod_identity_aws::{Aws, Settings};
use pod_identity_engine::ports::{Expect, LedgerWriter, Write};
use serde_json::json;
use tests::ledger_suite::{item, suite};
use tests::rules_suite;
use winterbaume_core::MockAws;
use winterbaume_dynamodb::DynamoDbService;

const TABLE: &str = "domino-pod-identity";

/// The ports over an empty table, and the bare client.
async fn ledger() -> (Aws, Client) {
    let mock = MockAws::builder().with_service(DynamoDbService::new()).build();
    // Not the mock's own configuration, which takes in what the shell exports.
    let mocked = mock.sdk_config("eu-west-1").await;
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(mocked.credentials_provider().unwrap())
        .http_client(mocked.http_client().unwrap())
        .sleep_impl(mocked.sleep_impl().unwrap())
        .build();
    let client = Client::new(&config);
    let mut table =
        client.create_table().table_name(TABLE).billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        let element = KeySchemaElement::builder().attribute_name(name).key_type(kind);
        table = table
            .attribute_definitions(attribute.build().unwrap())
            .key_schema(element.build().unwrap());
    }
    table.send().await.unwrap();
    let variables = BTreeMap::from([
        ("DEPLOYMENT_ID", "test"),
        ("LEDGER_TABLE", TABLE),
        ("AWS_REGION", "eu-west-1"),
        ("CLUSTERS", "arn:*"),
        ("ROLES", "arn:*"),
        ("NODE_ROLES", "arn:*"),
    ]);
    let settings = Settings::read(|name| variables.get(name).map(ToString::to_string)).unwrap();
    (Aws::with_config(&settings, &config), client)
}

#[tokio::test]
async fn the_ledger_over_dynamodb_keeps_the_rules_of_the_store() {
    let (aws, _) = ledger().await;
    suite(&aws.reader(), &aws.writer()).await;
}

#[tokio::test]
async fn the_ledgers_rules_hold_over_dynamodb() {
    let (aws, _) = ledger().await;
    rules_suite::suite(&aws.reader(), &aws.writer()).await;
}

#[tokio::test]
async fn items_have_the_documented_attributes() {
    let (aws, client) = ledger().await;
    let write = |sort: &str, expires_at| Write::Put {
        item: item("p", sort, "r1", json!({ "n": 1 })),
        expires_at,
        expect: Expect::Absent,
    };
    aws.writer().write(&[write("kept", None), write("notice", Some(4_000_000_000))]).await.unwrap();
    let stored = async |sort: &str| {
        let answer = client
            .get_item()
            .table_name(TABLE)
            .key("pk", AttributeValue::S("p".to_owned()))
            .key("sk", AttributeValue::S(sort.to_owned()))
            .send()
            .await
            .unwrap();
        answer.item.unwrap().into_iter().collect::<BTreeMap<_, _>>()
    };
    let kept = stored("kept").await;
    let names: Vec<_> = kept.keys().map(String::as_str).collect();
    assert_eq!(names, ["body", "pk", "revision", "sk"]);
    assert_eq!(kept["revision"], AttributeValue::S("r1".to_owned()));
    let body = kept["body"].as_m().unwrap();
    assert_eq!(body["n"], AttributeValue::N("1".to_owned()));
    let notice = stored("notice").await;
    assert_eq!(notice["expiresAt"], AttributeValue::N("4000000000".to_owned()));
}
