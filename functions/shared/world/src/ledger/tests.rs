#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;

use super::*;
use crate::fixture::world;

fn key(sort: &str) -> Key {
    Key { partition: "p".to_owned(), sort: sort.to_owned() }
}

fn put(sort: &str, revision: &str, expect: Expect) -> Write {
    let item = Item { key: key(sort), revision: revision.to_owned(), body: json!({"s": sort}) };
    Write::Put { item, expires_at: None, expect }
}

#[test]
fn one_failed_expectation_changes_nothing() {
    let mut world = world();
    world.ledger_write(&[put("a", "1", Expect::Absent)]).unwrap();
    let both = [put("b", "1", Expect::Absent), put("a", "2", Expect::Absent)];
    assert_eq!(world.ledger_write(&both), Err(LedgerRefusal::Conflict(1)));
    assert!(world.ledger.get(&key("b")).is_none());
    let stale = Write::Check { key: key("a"), expect: Expect::Revision("0".to_owned()) };
    assert_eq!(world.ledger_write(&[stale]), Err(LedgerRefusal::Conflict(0)));
    world.ledger_write(&[put("a", "2", Expect::Revision("1".to_owned()))]).unwrap();
    let gone = Write::Delete { key: key("a"), expect: Expect::Revision("2".to_owned()) };
    world.ledger_write(&[gone]).unwrap();
    assert!(world.ledger_read(&[key("a")]).unwrap().is_empty());
}

#[test]
fn query_answers_pages_in_order_of_the_sort_key() {
    let mut world = world();
    world.settings.page_size = 2;
    for sort in ["x#3", "x#1", "y#1", "x#2"] {
        world.ledger_write(&[put(sort, "1", Expect::Anything)]).unwrap();
    }
    let first = world.ledger_query("p", "x#", None).unwrap();
    let sorts: Vec<&str> = first.items.iter().map(|item| item.key.sort.as_str()).collect();
    assert_eq!(sorts, ["x#1", "x#2"]);
    let second = world.ledger_query("p", "x#", first.next.as_deref()).unwrap();
    assert_eq!((second.items[0].key.sort.as_str(), second.next), ("x#3", None));
}

#[test]
fn limits_of_dynamodb_are_kept() {
    let mut world = world();
    let many: Vec<Write> = (0..101).map(|n| put(&n.to_string(), "1", Expect::Anything)).collect();
    assert!(matches!(world.ledger_write(&many), Err(LedgerRefusal::Error(_))));
    world.ledger_write(&many[..100]).unwrap();
    let twice = [put("a", "1", Expect::Anything), put("a", "2", Expect::Anything)];
    assert!(matches!(world.ledger_write(&twice), Err(LedgerRefusal::Error(_))));
    assert!(world.ledger_read(&[key("a"), key("a")]).is_err());
}

#[test]
fn what_dynamodb_cannot_store_is_refused() {
    let mut world = world();
    let mut write = |sort: String, body: serde_json::Value| {
        let key = Key { partition: "p".to_owned(), sort };
        let item = Item { key, revision: "1".to_owned(), body };
        world.ledger_write(&[Write::Put { item, expires_at: None, expect: Expect::Anything }])
    };
    let nested = |levels| (0..levels).fold(json!({}), |inner, _| json!({ "n": inner }));
    let kib = |count: usize| json!({ "text": "x".repeat(count * 1024) });
    let storable = [nested(31), kib(399), json!({ "n": [1e125, 1e-130, 0.0, -0.0, u64::MAX] })];
    for body in storable {
        assert_eq!(write("a".to_owned(), body), Ok(()));
    }
    let refused =
        [nested(32), kib(400), json!({ "n": 1e126 }), json!({ "n": [1e-131] }), json!([1])];
    for body in refused {
        let answer = write("a".to_owned(), body.clone());
        assert!(matches!(answer, Err(LedgerRefusal::Error(_))), "{answer:?}");
    }
    assert_eq!(write("s".repeat(1024), json!({})), Ok(()));
    assert!(write("s".repeat(1025), json!({})).is_err());
    // Small items whose brackets and marks make them large.
    assert!(write("a".to_owned(), json!({ "list": vec![json!({}); 110_000] })).is_err());

    let large = |sort: &str| {
        let item = Item { key: key(sort), revision: "1".to_owned(), body: kib(399) };
        Write::Put { item, expires_at: None, expect: Expect::Anything }
    };
    let many: Vec<Write> = (0..11).map(|at| large(&at.to_string())).collect();
    assert_eq!(world.ledger_write(&many[..10]), Ok(()));
    assert!(world.ledger_write(&many).is_err());
}

#[test]
fn expired_items_are_read_until_they_are_forgotten() {
    let mut world = world();
    let item = Item { key: key("a"), revision: "1".to_owned(), body: json!({}) };
    let expires_at = Some(world.now.as_second() - 1);
    world.ledger_write(&[Write::Put { item, expires_at, expect: Expect::Anything }]).unwrap();
    assert_eq!(world.ledger_read(&[key("a")]).unwrap().len(), 1);
    world.ledger_forget_expired();
    assert!(world.ledger_read(&[key("a")]).unwrap().is_empty());
}
