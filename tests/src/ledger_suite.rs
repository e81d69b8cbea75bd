//! What every store of the ledger has to do alike.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use pod_identity_engine::ports::{
    ErrorKind, Expect, Item, Key, LedgerReader, LedgerWriter, MAX_READ, MAX_WRITE, Write,
    WriteError,
};
use serde_json::{Value, json};

/// Holds a store to the rules of [`LedgerReader`] and [`LedgerWriter`]. It
/// must be empty; its pages may have any size.
///
/// # Panics
/// When a rule does not hold.
pub async fn suite(reader: &impl LedgerReader, writer: &impl LedgerWriter) {
    what_is_written_is_read_again_whole(reader, writer).await;
    a_put_replaces_the_whole_item(reader, writer).await;
    missing_items_are_left_out(reader, writer).await;
    an_item_that_must_be_absent_is_put_once(reader, writer).await;
    a_revision_that_has_passed_is_a_conflict(reader, writer).await;
    a_revision_of_a_missing_item_is_a_conflict(reader, writer).await;
    one_broken_expectation_undoes_the_whole_transaction(reader, writer).await;
    a_check_asks_and_changes_nothing(reader, writer).await;
    a_deletion_keeps_its_expectation_and_ends_in_absence(reader, writer).await;
    of_two_writers_one_wins(reader, writer).await;
    the_largest_transaction_and_the_largest_read_fit(reader, writer).await;
    a_query_answers_in_order_what_begins_with_the_prefix(reader, writer).await;
    an_expired_item_is_still_there(reader, writer).await;
    a_body_that_is_no_object_is_invalid(reader, writer).await;
}

/// An item of the suite, for what a store's own test wants to look at.
#[must_use]
pub fn item(partition: &str, sort: &str, revision: &str, body: Value) -> Item {
    Item { key: key(partition, sort), revision: revision.to_owned(), body }
}

fn key(partition: &str, sort: &str) -> Key {
    Key { partition: partition.to_owned(), sort: sort.to_owned() }
}

fn put(item: &Item, expect: Expect) -> Write {
    Write::Put { item: item.clone(), expires_at: None, expect }
}

fn at(revision: &str) -> Expect {
    Expect::Revision(revision.to_owned())
}

async fn one(reader: &impl LedgerReader, key: &Key) -> Option<Item> {
    reader.read(std::slice::from_ref(key)).await.unwrap().pop()
}

fn assert_conflict(result: Result<(), WriteError>) {
    match result {
        Err(WriteError::Conflict) => {}
        other => panic!("a conflict was expected, not {other:?}"),
    }
}

async fn what_is_written_is_read_again_whole(
    reader: &impl LedgerReader,
    writer: &impl LedgerWriter,
) {
    let body = json!({
        "version": "001700000000000#e-1",
        "integers": [0, -1, 9_007_199_254_740_993_i64, i64::MIN, i64::MAX, u64::MAX],
        "empty": { "string": "", "list": [], "object": {}, "null": null },
        "nested": { "list": [{ "deep": [[true, false]] }, "1", 1] },
        "pk": "not the key",
        "quoted \" ä \u{1F980}": "\n",
    });
    let item = item("whole", "a b/ä#1", "r1", body);
    writer.write(&[put(&item, Expect::Absent)]).await.unwrap();
    assert_eq!(one(reader, &item.key).await, Some(item));
}

async fn a_put_replaces_the_whole_item(reader: &impl LedgerReader, writer: &impl LedgerWriter) {
    let first = item("replace", "x", "r1", json!({ "old": 1, "both": 1 }));
    let second = item("replace", "x", "r2", json!({ "both": 2 }));
    writer.write(&[put(&first, Expect::Anything)]).await.unwrap();
    writer.write(&[put(&second, at("r1"))]).await.unwrap();
    assert_eq!(one(reader, &second.key).await, Some(second.clone()));
    let third = item("replace", "x", "r3", json!({}));
    writer.write(&[put(&third, Expect::Anything)]).await.unwrap();
    assert_eq!(one(reader, &third.key).await, Some(third));
}

async fn missing_items_are_left_out(reader: &impl LedgerReader, writer: &impl LedgerWriter) {
    let there = item("missing", "there", "r1", json!({}));
    writer.write(&[put(&there, Expect::Absent)]).await.unwrap();
    let keys = [key("missing", "gone"), there.key.clone(), key("nowhere", "there")];
    assert_eq!(reader.read(&keys).await.unwrap(), [there]);
    let page = reader.query("nowhere", "", None).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
}

async fn an_item_that_must_be_absent_is_put_once(
    reader: &impl LedgerReader,
    writer: &impl LedgerWriter,
) {
    let first = item("once", "x", "r1", json!({ "by": 1 }));
    let second = item("once", "x", "r2", json!({ "by": 2 }));
    writer.write(&[put(&first, Expect::Absent)]).await.unwrap();
    assert_conflict(writer.write(&[put(&second, Expect::Absent)]).await);
    assert_eq!(one(reader, &first.key).await, Some(first));
}

async fn a_revision_that_has_passed_is_a_conflict(
    reader: &impl LedgerReader,
    writer: &impl LedgerWriter,
) {
    let revisions = ["r1", "r2", "r3"].map(|revision| item("passed", "x", revision, json!({})));
    let [first, second, third] = &revisions;
    writer.write(&[put(first, Expect::Absent)]).await.unwrap();
    writer.write(&[put(second, at("r1"))]).await.unwrap();
    assert_conflict(writer.write(&[put(third, at("r1"))]).await);
    assert_eq!(one(reader, &second.key).await.as_ref(), Some(second));
    writer.write(&[put(third, at("r2"))]).await.unwrap();
}

async fn a_revision_of_a_missing_item_is_a_conflict(
    reader: &impl LedgerReader,
    writer: &impl LedgerWriter,
) {
    let ghost = item("ghost", "x", "r2", json!({}));
    assert_conflict(writer.write(&[put(&ghost, at("r1"))]).await);
    let key = ghost.key;
    let delete = Write::Delete { key: key.clone(), expect: at("r1") };
    assert_conflict(writer.write(&[delete]).await);
    let check = Write::Check { key: key.clone(), expect: at("r1") };
    assert_conflict(writer.write(&[check]).await);
    assert_eq!(one(reader, &key).await, None);
}

async fn one_broken_expectation_undoes_the_whole_transaction(
    reader: &impl LedgerReader,
    writer: &impl LedgerWriter,
) {
    let kept = item("undone", "kept", "r1", json!({}));
    let removed = item("undone", "removed", "r1", json!({}));
    writer.write(&[put(&kept, Expect::Absent), put(&removed, Expect::Absent)]).await.unwrap();
    let new = item("undone", "new", "r1", json!({}));
    let changed = item("undone", "kept", "r2", json!({}));
    let broken = Write::Check { key: key("undone", "other"), expect: at("r1") };
    let delete = Write::Delete { key: removed.key.clone(), expect: at("r1") };
    let transaction = [put(&new, Expect::Absent), put(&changed, at("r1")), delete, broken];
    assert_conflict(writer.write(&transaction).await);
    assert_conflict(writer.write(&[transaction[3].clone(), transaction[0].clone()]).await);
    assert_eq!(all(reader, "undone", "").await, [kept, removed]);
}

async fn a_check_asks_and_changes_nothing(reader: &impl LedgerReader, writer: &impl LedgerWriter) {
    let fence = item("check", "fence", "r1", json!({ "holder": "me" }));
    writer.write(&[put(&fence, Expect::Absent)]).await.unwrap();
    let check = |sort: &str, expect| Write::Check { key: key("check", sort), expect };
    let fenced = |sort: &str| item("check", sort, "r1", json!({}));
    writer.write(&[check("fence", at("r1")), put(&fenced("1"), Expect::Anything)]).await.unwrap();
    writer
        .write(&[check("none", Expect::Absent), put(&fenced("2"), Expect::Anything)])
        .await
        .unwrap();
    writer.write(&[check("fence", Expect::Anything)]).await.unwrap();
    for lost in [check("fence", at("r0")), check("fence", Expect::Absent), check("none", at("r1"))]
    {
        assert_conflict(writer.write(&[lost, put(&fenced("3"), Expect::Anything)]).await);
    }
    assert_eq!(all(reader, "check", "").await, [fenced("1"), fenced("2"), fence]);
}

async fn a_deletion_keeps_its_expectation_and_ends_in_absence(
    reader: &impl LedgerReader,
    writer: &impl LedgerWriter,
) {
    let doomed = item("delete", "x", "r1", json!({}));
    let delete = |expect| Write::Delete { key: key("delete", "x"), expect };
    writer.write(&[put(&doomed, Expect::Absent)]).await.unwrap();
    assert_conflict(writer.write(&[delete(at("r0"))]).await);
    assert_conflict(writer.write(&[delete(Expect::Absent)]).await);
    assert_eq!(one(reader, &doomed.key).await.as_ref(), Some(&doomed));
    writer.write(&[delete(at("r1"))]).await.unwrap();
    assert_eq!(one(reader, &doomed.key).await, None);
    writer.write(&[delete(Expect::Anything)]).await.unwrap();
    writer.write(&[put(&doomed, Expect::Absent)]).await.unwrap();
}

async fn of_two_writers_one_wins(reader: &impl LedgerReader, writer: &impl LedgerWriter) {
    let mine = item("race", "lease", "mine", json!({ "holder": "me" }));
    let theirs = item("race", "lease", "theirs", json!({ "holder": "them" }));
    let (mine_wins, theirs_win) =
        tokio::join!(async { writer.write(&[put(&mine, Expect::Absent)]).await.is_ok() }, async {
            writer.write(&[put(&theirs, Expect::Absent)]).await.is_ok()
        },);
    assert_ne!(mine_wins, theirs_win);
    let winner = if mine_wins { mine } else { theirs };
    assert_eq!(one(reader, &winner.key).await, Some(winner));
}

async fn the_largest_transaction_and_the_largest_read_fit(
    reader: &impl LedgerReader,
    writer: &impl LedgerWriter,
) {
    let items: Vec<_> = (0..MAX_WRITE.max(MAX_READ))
        .map(|n| item("many", &format!("{n:03}"), "r1", json!({ "n": n })))
        .collect();
    let writes: Vec<_> = items.iter().map(|item| put(item, Expect::Absent)).collect();
    for writes in writes.chunks(MAX_WRITE) {
        writer.write(writes).await.unwrap();
    }
    let keys: Vec<_> = items.iter().map(|item| item.key.clone()).collect();
    let found = reader.read(&keys[..MAX_READ]).await.unwrap();
    let sorts: BTreeSet<_> = found.iter().map(|item| item.key.sort.as_str()).collect();
    assert_eq!(sorts.len(), MAX_READ);
    assert_eq!(found.len(), MAX_READ);
    assert_eq!(all(reader, "many", "").await, items);
}

async fn a_query_answers_in_order_what_begins_with_the_prefix(
    reader: &impl LedgerReader,
    writer: &impl LedgerWriter,
) {
    let sorts = ["a", "a#1", "a#10", "a#2", "a%", "a_", "ab", "b#1"];
    let items = sorts.map(|sort| item("order", sort, "r1", json!({})));
    let other = item("order#", "a#1", "r1", json!({}));
    let mut writes: Vec<_> = items.iter().rev().map(|item| put(item, Expect::Absent)).collect();
    writes.push(put(&other, Expect::Absent));
    writer.write(&writes).await.unwrap();
    assert_eq!(all(reader, "order", "").await, items);
    assert_eq!(all(reader, "order", "a#").await, items[1..4]);
    assert_eq!(all(reader, "order", "a#1").await, items[1..3]);
    assert_eq!(all(reader, "order", "a_").await, items[5..6]);
    assert_eq!(all(reader, "order", "c").await, []);
}

/// The store forgets when it likes, which is not at once.
async fn an_expired_item_is_still_there(reader: &impl LedgerReader, writer: &impl LedgerWriter) {
    let notice = item("expired", "x", "r1", json!({}));
    let write = Write::Put {
        item: notice.clone(),
        expires_at: Some(4_000_000_000),
        expect: Expect::Absent,
    };
    writer.write(&[write]).await.unwrap();
    assert_eq!(one(reader, &notice.key).await, Some(notice));
}

async fn a_body_that_is_no_object_is_invalid(
    reader: &impl LedgerReader,
    writer: &impl LedgerWriter,
) {
    let good = item("shape", "good", "r1", json!({}));
    let bad = item("shape", "bad", "r1", json!(["list"]));
    let result = writer.write(&[put(&good, Expect::Absent), put(&bad, Expect::Absent)]).await;
    match result {
        Err(WriteError::Port(error)) => assert_eq!(error.kind, ErrorKind::Invalid),
        other => panic!("an invalid write was expected, not {other:?}"),
    }
    assert_eq!(all(reader, "shape", "").await, []);
}

/// All pages of a query.
async fn all(reader: &impl LedgerReader, partition: &str, prefix: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut page = reader.query(partition, prefix, None).await.unwrap();
    loop {
        items.append(&mut page.items);
        let Some(next) = page.next else { return items };
        page = reader.query(partition, prefix, Some(&next)).await.unwrap();
    }
}
