//! The ledger's table.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, KeysAndAttributes, Put, TransactWriteItem,
};

use crate::{config, wire};

const TABLE: &str = "ledger";

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn key(sort: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([("pk".to_owned(), text("p")), ("sk".to_owned(), text(sort))])
}

fn put(sort: &str, revision: &str) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(TABLE)
        .set_item(Some(key(sort)))
        .item("rev", text(revision))
        .item("body", AttributeValue::M(HashMap::from([("s".to_owned(), text(sort))])))
        .condition_expression("attribute_not_exists(pk)");
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

fn check(sort: &str, revision: &str) -> TransactWriteItem {
    let check = ConditionCheck::builder()
        .table_name(TABLE)
        .set_key(Some(key(sort)))
        .condition_expression("#r = :r")
        .expression_attribute_names("#r", "rev")
        .expression_attribute_values(":r", text(revision));
    TransactWriteItem::builder().condition_check(check.build().unwrap()).build()
}

fn delete(sort: &str, revision: &str) -> TransactWriteItem {
    let delete = Delete::builder()
        .table_name(TABLE)
        .set_key(Some(key(sort)))
        .condition_expression("#r = :r")
        .expression_attribute_names("#r", "rev")
        .expression_attribute_values(":r", text(revision));
    TransactWriteItem::builder().delete(delete.build().unwrap()).build()
}

#[tokio::test]
async fn ledger_table_takes_transactions_batches_and_queries() {
    let wire = wire().await;
    wire.create_ledger_table("eu-west-1", TABLE).await.unwrap();
    assert!(wire.create_ledger_table("eu-west-1", TABLE).await.is_err());
    let dynamodb = aws_sdk_dynamodb::Client::new(&config(&wire, 0).await);
    let write = |items: Vec<TransactWriteItem>| {
        dynamodb.transact_write_items().set_transact_items(Some(items)).send()
    };
    write(vec![put("x#1", "1"), put("x#2", "1"), put("y#1", "1")]).await.unwrap();

    let failed = write(vec![put("x#3", "1"), put("x#1", "2"), check("x#2", "1")]).await;
    let failed = failed.unwrap_err().into_service_error();
    assert!(failed.is_transaction_canceled_exception());
    let reasons = match failed {
        aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(cancelled) => cancelled.cancellation_reasons.unwrap(),
        other => panic!("{other:?}"),
    };
    let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed", "None"]);
    assert!(write(vec![put("x#3", "1"), check("x#2", "other")]).await.is_err());
    assert!(write(vec![put("x#3", "1"), check("x#9", "1")]).await.is_err());
    assert!(write(vec![delete("x#2", "other")]).await.is_err());

    let keys = KeysAndAttributes::builder()
        .set_keys(Some(vec![key("x#1"), key("x#3"), key("y#1")]))
        .consistent_read(true)
        .build()
        .unwrap();
    let got = dynamodb.batch_get_item().request_items(TABLE, keys).send().await.unwrap();
    assert_eq!(got.responses().unwrap()[TABLE].len(), 2);

    let query = || {
        dynamodb
            .query()
            .table_name(TABLE)
            .consistent_read(true)
            .key_condition_expression("pk = :p AND begins_with(sk, :s)")
            .expression_attribute_values(":p", text("p"))
            .expression_attribute_values(":s", text("x#"))
    };
    let all = query().send().await.unwrap();
    let sorts: Vec<_> = all.items().iter().map(|item| item["sk"].as_s().unwrap()).collect();
    assert_eq!(sorts, ["x#1", "x#2"]);
    let first = query().limit(1).send().await.unwrap();
    let start = first.last_evaluated_key().unwrap().clone();
    let second = query().set_exclusive_start_key(Some(start)).send().await.unwrap();
    assert_eq!(second.items().len(), 1);
    write(vec![delete("x#2", "1")]).await.unwrap();
    let log = wire.log();
    assert_eq!(log[0].object, "3 items: Put; p");
    assert_eq!(log[1].error.as_deref(), Some("TransactionCanceledException"));
    // Each with its partitions.
    let of =
        |operation: &str| &log.iter().rfind(|call| call.operation == operation).unwrap().object;
    assert_eq!(*of("BatchGetItem"), format!("3 items of {TABLE}; p"));
    assert_eq!(*of("Query"), format!("{TABLE}; p"));
    assert_eq!(*of("TransactWriteItems"), "1 items: Delete; p");
}

#[tokio::test]
async fn racing_transactions_have_one_winner() {
    let wire = wire().await;
    wire.create_ledger_table("eu-west-1", TABLE).await.unwrap();
    let dynamodb = aws_sdk_dynamodb::Client::new(&config(&wire, 0).await);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let write = dynamodb.transact_write_items().transact_items(put("x", &n.to_string()));
        tasks.spawn(write.send());
    }
    let outcomes = tasks.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}
