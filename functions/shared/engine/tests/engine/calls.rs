//! How many AWS calls each case takes, and how many of them one after another.

use std::collections::BTreeSet;
use std::time::Duration;

use pod_identity_engine::Outcome;

use crate::scenario::Scenario;

fn calls_of(scenario: &mut Scenario, event: &serde_json::Value, outcome: Outcome) -> Vec<String> {
    scenario.ports.world().calls.clear();
    let report = scenario.send(event);
    Scenario::assert_outcome(&report, outcome);
    scenario.ports.world().calls.iter().map(|call| call.operation.clone()).collect()
}

/// Calls one after another: of those that are under way together only one is counted.
fn rounds_of(scenario: &mut Scenario, event: &serde_json::Value) -> (usize, usize) {
    scenario.ports.world().settings.call_takes = Duration::from_millis(25);
    let calls = calls_of(scenario, event, Outcome::Applied).len();
    let world = scenario.ports.world();
    let began: BTreeSet<_> = world.calls.iter().map(|call| call.began).collect();
    (calls, began.len())
}

/// blue is known, and its policy lists one role.
fn settled() -> Scenario {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "report");
    Scenario::assert_outcome(&scenario.send(&first), Outcome::Applied);
    scenario
}

#[test]
fn a_new_service_account_with_a_new_role_takes_ten_calls() {
    let mut scenario = settled();
    let event = scenario.assigned("svc-etl", "etl");
    let calls = calls_of(&mut scenario, &event, Outcome::Applied);
    assert_eq!(calls.len(), 10, "{calls:?}");
}

#[test]
fn a_role_that_is_listed_already_takes_eight_calls() {
    let mut scenario = settled();
    let event = scenario.assigned("svc-etl", "report");
    let calls = calls_of(&mut scenario, &event, Outcome::Applied);
    assert_eq!(calls.len(), 8, "{calls:?}");
    assert!(!calls.contains(&"CreatePolicyVersion".to_owned()));
}

#[test]
fn eight_of_the_ten_calls_for_a_new_role_are_one_after_another() {
    let mut scenario = settled();
    let event = scenario.assigned("svc-etl", "etl");
    assert_eq!(rounds_of(&mut scenario, &event), (10, 8));
}

#[test]
fn six_of_the_eight_calls_for_a_listed_role_are_one_after_another() {
    let mut scenario = settled();
    let event = scenario.assigned("svc-etl", "report");
    assert_eq!(rounds_of(&mut scenario, &event), (8, 6));
}

#[test]
fn a_removal_reads_the_ledger_and_looks_at_eks_together() {
    let mut scenario = settled();
    let event = scenario.unassigned("svc-first");
    let (calls, rounds) = rounds_of(&mut scenario, &event);
    assert_eq!(rounds + 1, calls);
}

#[test]
fn a_duplicate_takes_two_calls() {
    let mut scenario = settled();
    let event = scenario.assigned("svc-etl", "etl");
    scenario.send(&event);
    let calls = calls_of(&mut scenario, &event, Outcome::Repeated);
    assert_eq!(calls.len(), 2, "{calls:?}");
}

#[test]
fn a_hundred_new_bindings_with_forty_roles_take_two_calls_each_and_sixty() {
    let mut scenario = settled();
    let events: Vec<_> = (0..100)
        .map(|n| {
            let name = format!("batch-{}", n % 40);
            let arn = crate::scenario::role(&name);
            scenario.ports.world().add_role(&arn, crate::scenario::TRUSTED);
            scenario.assigned(&format!("svc-{n}"), &name)
        })
        .collect();
    scenario.ports.world().calls.clear();
    let report = scenario.batch(&events);
    for record in &report.records {
        Scenario::assert_outcome(record, Outcome::Applied);
    }
    let world = scenario.ports.world();
    assert!(world.calls.len() <= 260, "{}", world.calls.len());
    assert_eq!(world.count("CreatePolicyVersion"), 1);
}
