#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::fixture::{caller, world};

fn entry(detail: &str) -> PutEventsEntry {
    PutEventsEntry {
        bus: Some("b".to_owned()),
        source: "s".to_owned(),
        detail_type: "t".to_owned(),
        detail: detail.to_owned(),
        resources: Vec::new(),
    }
}

#[test]
fn eleven_entries_or_none_are_refused_as_a_whole() {
    let mut world = world();
    for count in [0, 11] {
        let error = world.put_events(&caller(), &vec![entry("{}"); count]).unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (400, "ValidationException"));
    }
    assert!(world.bus.events.is_empty());
}

#[test]
fn entries_can_fail_one_by_one() {
    let mut world = world();
    world.bus.refusals = VecDeque::from([1]);
    let entries = [entry(r#"{"n":1}"#), entry("not json"), entry(r#"{"n":3}"#)];
    let answers = world.put_events(&caller(), &entries).unwrap();
    assert!(answers[0].is_ok());
    assert_eq!(answers[1].as_ref().unwrap_err().code, "MalformedDetail");
    assert_eq!(answers[2].as_ref().unwrap_err().code, "InternalFailure");
    assert!(world.put_events(&caller(), &entries[2..]).unwrap()[0].is_ok());
    let details: Vec<_> = world.bus.events.iter().map(|event| event.detail["n"].clone()).collect();
    assert_eq!(details, [1, 3]);
}

#[test]
fn call_that_is_too_large_is_refused() {
    let mut world = world();
    let large = entry(&format!(r#"{{"x":"{}"}}"#, "x".repeat(600_000)));
    assert!(world.put_events(&caller(), std::slice::from_ref(&large)).is_ok());
    let error = world.put_events(&caller(), &[large.clone(), large]).unwrap_err();
    assert_eq!(error.message, "Total size of the entries in the request is over the limit.");
}
