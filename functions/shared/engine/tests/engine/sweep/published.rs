//! What the bus is told, and how often.

use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{PortFault, When};

use super::*;

fn lasting(operation: &str) -> PortFault {
    let fault = PortFault::nth(operation, 1, When::Before, ErrorKind::Passing);
    PortFault { lasting: true, ..fault }
}

/// A bare pod holds a role that was changed: it is reported.
fn changed() -> (Stage, Name) {
    let mut stage = Stage::bound();
    let pod = stage.pod("svc-etl");
    stage.scenario.advance(100);
    stage.bind("svc-etl", "etl-2");
    stage.scenario.advance(100);
    (stage, pod)
}

#[test]
fn a_report_is_told_once_for_the_same_pod_and_case() {
    let (mut stage, pod) = changed();
    assert_eq!(stage.sweep().published, 1);
    for _ in 0..3 {
        stage.scenario.advance(600);
        let done = stage.sweep();
        assert_eq!((done.published, done.sweep.reports.len()), (0, 1));
    }
    let events = stage.scenario.outcomes("Stale Pod Reported");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["pod"]["name"], json!(pod));
    assert_eq!(events[0]["clusterArn"], json!(cluster("blue")));
    assert!(!events[0]["remediation"].as_str().unwrap().is_empty());
}

#[test]
fn another_case_of_the_same_pod_is_told_again() {
    let (mut stage, _) = changed();
    stage.policy("*=report");
    assert_eq!(stage.sweep().published, 1);
    stage.unbind("svc-etl");
    stage.scenario.advance(100);
    assert_eq!(stage.sweep().published, 1);
    let events = stage.scenario.outcomes("Stale Pod Reported");
    assert_eq!((&events[0]["case"], &events[1]["case"]), (&json!("changed"), &json!("revoked")));
    assert_ne!(events[0]["eventId"], events[1]["eventId"]);
}

#[test]
fn a_pod_that_was_reported_and_is_evicted_later_is_told_again() {
    let (mut stage, pod) = changed();
    stage.sweep();
    stage.policy("changed=evict");
    let uid = stage.uid(&pod);
    assert_eq!(names(&stage.sweep().evicted), [pod.as_str()]);
    assert_eq!(stage.scenario.outcomes("Stale Pod Evicted").len(), 1);
    assert!(stage.published(&uid).unwrap().evicted);
}

#[test]
fn what_the_bus_did_not_take_is_told_by_the_next_sweep() {
    let (mut stage, pod) = changed();
    stage.ports.fault(lasting("PutEvents"));
    assert_eq!(stage.sweep().published, 0);
    assert_eq!(stage.published(&stage.uid(&pod)), None);
    stage.ports.clear_faults();
    assert_eq!(stage.sweep().published, 1);
}

#[test]
fn what_could_not_be_remembered_is_told_again_with_the_same_id() {
    let (mut stage, _) = changed();
    let write = "TransactWriteItems";
    // The first takes the lease.
    stage.ports.fault(PortFault::nth(write, 2, When::Before, ErrorKind::Passing));
    assert_eq!(stage.sweep().published, 1);
    assert_eq!(stage.sweep().published, 1);
    assert_eq!(stage.sweep().published, 0);
    let events = stage.scenario.outcomes("Stale Pod Reported");
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["eventId"], events[1]["eventId"]);
}

#[test]
fn what_was_told_is_forgotten_after_thirty_days() {
    let (mut stage, pod) = changed();
    stage.sweep();
    let key = reported_key(&cluster("blue"), &stage.uid(&pod));
    let world = stage.ports.world();
    let expires_at = world.ledger.expires_at(&key).unwrap();
    assert_eq!(expires_at - world.now.as_second(), 30 * 24 * 3_600);
}

#[test]
fn what_is_held_back_is_counted_and_not_told() {
    let mut stage = Stage::bound();
    stage.app("svc-etl");
    stage.scenario.advance(100);
    stage.bind("svc-etl", "etl-2");
    let done = stage.sweep();
    assert_eq!((done.sweep.held_back.len(), done.published), (1, 0));
    assert_eq!(done.stale.values().sum::<usize>(), 1);
}
