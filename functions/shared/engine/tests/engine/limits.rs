//! The end of the invocation's time, and the ceiling of deletions.

use pod_identity_engine::Outcome;
use pod_identity_events::BlockedCode;
use serde_json::Value;

use crate::check::settled;
use crate::scenario::Scenario;

#[test]
fn near_the_deadline_nothing_is_started_and_nothing_is_lost() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "etl");
    let deadline = scenario.in_seconds(4);
    let report = scenario.batch_until(std::slice::from_ref(&event), deadline);
    Scenario::assert_outcome(&report.records[0], Outcome::Failed);
    {
        let world = scenario.ports.world();
        let changes = ["Create", "Update", "Delete", "Attach", "Tag"];
        let changed =
            world.calls.iter().any(|c| changes.iter().any(|verb| c.operation.starts_with(verb)));
        assert!(!changed, "{:?}", world.calls);
    }
    // It is the desired state all the same.
    assert!(scenario.condition("svc-etl", "blue").is_some());
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    settled(&mut scenario);
}

#[test]
fn a_deadline_in_the_middle_of_a_batch_leaves_the_rest_to_the_next_delivery() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events: Vec<Value> =
        (0..20).map(|n| scenario.assigned(&format!("svc-{n:02}"), "etl")).collect();
    scenario.ports.world().settings.call_takes = std::time::Duration::from_secs(1);
    let deadline = scenario.in_seconds(30);
    let report = scenario.batch_until(&events, deadline);
    let failed = report.failed().count();
    assert!(failed > 0 && failed < 20, "{failed}");
    assert!(scenario.now() <= deadline, "{} after {deadline}", scenario.now());
    assert_eq!(scenario.associations("blue").len(), 20 - failed);
    scenario.ports.world().settings.call_takes = std::time::Duration::ZERO;
    for record in scenario.batch(&events).records {
        assert_ne!(record.outcome, Outcome::Failed, "{record:?}");
    }
    assert_eq!(scenario.associations("blue").len(), 20);
    settled(&mut scenario);
}

#[test]
fn a_batch_of_any_size_is_written_down_at_once() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events: Vec<Value> =
        (0..650).map(|n| scenario.assigned(&format!("svc-{n:03}"), "etl")).collect();
    for record in scenario.batch(&events).records {
        Scenario::assert_outcome(&record, Outcome::Applied);
    }
    assert_eq!(scenario.associations("blue").len(), 650);
    assert_eq!(scenario.outcomes("Pod Identity Association Ready").len(), 650);
}

#[test]
fn a_batch_deletes_no_more_associations_than_the_ceiling_and_the_next_goes_on() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let bound: Vec<Value> =
        (0..60).map(|n| scenario.assigned(&format!("svc-{n:02}"), "etl")).collect();
    scenario.batch(&bound);
    assert_eq!(scenario.associations("blue").len(), 60);
    let removals: Vec<Value> =
        (0..60).map(|n| scenario.unassigned(&format!("svc-{n:02}"))).collect();
    let report = scenario.batch(&removals);
    let blocked: Vec<_> =
        report.records.iter().filter(|record| record.outcome == Outcome::Blocked).collect();
    assert_eq!(blocked.len(), 10);
    assert_eq!(scenario.associations("blue").len(), 10);
    let name = blocked[0].service_account.clone().unwrap();
    assert_eq!(scenario.code(&name, "blue"), Some(BlockedCode::DeletionCeiling));
    let published = scenario.outcomes("Pod Identity Association Blocked");
    assert_eq!(published.iter().filter(|event| event["code"] == "deletionCeiling").count(), 10);
    assert_eq!(scenario.outcomes("Pod Identity Association Removed").len(), 50);

    scenario.batch(&removals);
    assert!(scenario.associations("blue").is_empty());
    assert_eq!(scenario.outcomes("Pod Identity Association Removed").len(), 60);
    settled(&mut scenario);
}
