#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aws_sdk_dynamodb::types::CancellationReason;
use pod_identity_engine::ports::Expect;
use serde_json::{Value, json};

use super::*;
use crate::script::Script;

fn key() -> Key {
    Key { partition: "account#svc-etl".to_owned(), sort: "current".to_owned() }
}

fn stored(body: Value) -> Item {
    Item { key: key(), revision: "r1".to_owned(), body }
}

#[test]
fn a_body_survives_the_way_through_attributes() {
    let body = json!({
        "zero": 0,
        "negative": -42,
        "past double precision": 9_007_199_254_740_993_i64,
        "largest": u64::MAX,
        "smallest": i64::MIN,
        "fraction": 0.1,
        "empty": "",
        "null": null,
        "yes": true,
        "list": [],
        "mixed": [1, "1", [2.5, { "deep": { "er": [null, ""] } }]],
        "object": {},
        "pk": "no clash with the key",
        "unicode": "ä \u{1F980} \u{0}",
        "": "an empty name",
    });
    let item = stored(body);
    assert_eq!(item::decode(item::encode(&item, Some(1)).unwrap()).unwrap(), item);
}

#[test]
fn the_time_of_expiry_is_a_number_beside_the_body() {
    let attributes = item::encode(&stored(json!({})), Some(1_800_000_000)).unwrap();
    assert_eq!(attributes["expiresAt"], AttributeValue::N("1800000000".to_owned()));
    assert!(!item::encode(&stored(json!({})), None).unwrap().contains_key("expiresAt"));
}

#[test]
fn a_body_that_is_no_object_is_refused() {
    let error = item::encode(&stored(json!([1])), None).unwrap_err();
    assert_eq!(error.to_string(), "the body of account#svc-etl current is not an object");
}

#[test]
fn a_foreign_item_is_refused_and_names_the_attribute() {
    let mut attributes = item::encode(&stored(json!({})), None).unwrap();
    attributes.insert("revision".to_owned(), AttributeValue::N("1".to_owned()));
    let error = item::decode(attributes).unwrap_err();
    assert_eq!(error.to_string(), "a stored item has no `revision` of the right type");
}

#[test]
fn a_condition_brings_only_the_names_and_values_that_it_uses() {
    let put = |expect| {
        let write = Write::Put { item: stored(json!({})), expires_at: None, expect };
        item::transact("table", &write).unwrap().unwrap().put.unwrap()
    };
    let anything = put(Expect::Anything);
    assert_eq!(anything.condition_expression, None);
    assert_eq!(anything.expression_attribute_names, None);
    let absent = put(Expect::Absent);
    assert_eq!(absent.condition_expression.as_deref(), Some("attribute_not_exists(pk)"));
    assert_eq!(absent.expression_attribute_names, None);
    assert_eq!(absent.expression_attribute_values, None);
    let revision = put(Expect::Revision("r0".to_owned()));
    assert_eq!(revision.condition_expression.as_deref(), Some("#revision = :revision"));
    assert_eq!(revision.expression_attribute_names.unwrap()["#revision"], "revision");
    assert_eq!(
        revision.expression_attribute_values.unwrap()[":revision"],
        AttributeValue::S("r0".to_owned())
    );
}

#[test]
fn a_check_of_nothing_is_left_out() {
    let write = Write::Check { key: key(), expect: Expect::Anything };
    assert!(item::transact("table", &write).unwrap().is_none());
}

#[test]
fn a_cancelled_transaction_is_a_conflict_or_says_why_it_failed() {
    let of = |codes: &[&str]| {
        let reasons = codes.iter().map(|code| CancellationReason::builder().code(*code).build());
        let cancelled = TransactionCanceledException::builder()
            .set_cancellation_reasons(Some(reasons.collect()))
            .build();
        verdict(&cancelled)
    };
    assert_eq!(of(&["None", "ConditionalCheckFailed"]), CancellationVerdict::Conflict);
    assert_eq!(of(&["TransactionConflict", "None"]), CancellationVerdict::Conflict);
    assert_eq!(
        of(&["ValidationError", "ThrottlingError", "TransactionConflict"]),
        CancellationVerdict::Conflict
    );
    assert_eq!(of(&["None", "ThrottlingError"]), CancellationVerdict::Failed(ErrorKind::Passing));
    assert_eq!(
        of(&["ProvisionedThroughputExceeded"]),
        CancellationVerdict::Failed(ErrorKind::Passing)
    );
    assert_eq!(
        of(&["ThrottlingError", "ValidationError"]),
        CancellationVerdict::Failed(ErrorKind::Invalid)
    );
    assert_eq!(
        of(&["ItemCollectionSizeLimitExceeded"]),
        CancellationVerdict::Failed(ErrorKind::Invalid)
    );
    assert_eq!(of(&["AccessDenied"]), CancellationVerdict::Failed(ErrorKind::Denied));
    assert_eq!(of(&["None", "None"]), CancellationVerdict::Conflict);
    assert_eq!(
        verdict(&TransactionCanceledException::builder().build()),
        CancellationVerdict::Conflict
    );
}

#[tokio::test]
async fn unprocessed_keys_are_asked_for_again_until_there_is_no_progress() {
    let unprocessed = r#""UnprocessedKeys":{"ledger":{"Keys":[{"pk":{"S":"p"},"sk":{"S":"2"}}],"ConsistentRead":true}}"#;
    let item = |sort: &str| {
        format!(
            r#"{{"pk":{{"S":"p"}},"sk":{{"S":"{sort}"}},"revision":{{"S":"r"}},"body":{{"M":{{}}}}}}"#
        )
    };
    let key = |sort: &str| Key { partition: "p".to_owned(), sort: sort.to_owned() };

    let first = format!(r#"{{"Responses":{{"ledger":[{}]}},{unprocessed}}}"#, item("1"));
    let second = format!(r#"{{"Responses":{{"ledger":[{}]}},"UnprocessedKeys":{{}}}}"#, item("2"));
    let script = Script::new(move |asked| {
        let whole = asked.body.contains(r#""sk":{"S":"1"}"#);
        (200, if whole { first.clone() } else { second.clone() })
    });
    let items = script.aws().reader().read(&[key("1"), key("2"), key("1")]).await.unwrap();
    assert_eq!(items.iter().map(|item| item.key.sort.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let asked = script.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].body.matches(r#""sk":{"S":"1"}"#).count(), 1);
    assert!(asked.iter().all(|asked| asked.body.contains(r#""ConsistentRead":true"#)));

    let stuck = Script::always(200, &format!(r#"{{"Responses":{{}},{unprocessed}}}"#));
    let error = stuck.aws().reader().read(&[key("2")]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Passing);
    assert_eq!(stuck.asked().len(), 3);
}

#[tokio::test]
async fn a_page_of_the_ledger_begins_after_the_sort_key_where_the_last_one_ended() {
    let script = Script::always(
        200,
        r#"{"Items":[],"Count":0,"LastEvaluatedKey":{"pk":{"S":"p"},"sk":{"S":"x#2"}}}"#,
    );
    let reader = script.aws().reader();
    let page = reader.query("p", "x#", Some("x#1")).await.unwrap();
    assert_eq!(page.next.as_deref(), Some("x#2"));
    let body = script.json();
    assert_eq!(body["ExclusiveStartKey"], json!({ "pk": { "S": "p" }, "sk": { "S": "x#1" } }));
    assert_eq!(body["ConsistentRead"], true);
    let expression = "pk = :partition AND begins_with(sk, :prefix)";
    assert_eq!(body["KeyConditionExpression"], expression);

    let script = Script::always(200, r#"{"Items":[],"Count":0}"#);
    assert_eq!(script.aws().reader().query("p", "", None).await.unwrap().next, None);
    let body = script.json();
    assert_eq!(body["KeyConditionExpression"], "pk = :partition");
    assert_eq!(body["ExpressionAttributeValues"], json!({ ":partition": { "S": "p" } }));
}

#[tokio::test]
async fn a_transaction_that_is_tried_again_keeps_its_token() {
    let script = Script::always(500, r#"{"__type":"InternalServerError"}"#);
    let write = Write::Delete {
        key: Key { partition: "p".to_owned(), sort: "s".to_owned() },
        expect: Expect::Anything,
    };
    let error = script.aws().writer().write(&[write]).await.unwrap_err();
    assert!(matches!(error, WriteError::Port(error) if error.kind == ErrorKind::Passing));
    let tokens: BTreeSet<_> = script
        .asked()
        .iter()
        .map(|asked| {
            serde_json::from_str::<Value>(&asked.body).unwrap()["ClientRequestToken"].to_string()
        })
        .collect();
    assert_eq!(script.asked().len(), 3);
    assert_eq!(tokens.len(), 1);
    assert!(tokens.first().is_some_and(|token| token.len() > 2));
}
