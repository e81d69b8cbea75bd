//! How many AWS calls each case takes.

use pod_identity_engine::Outcome;

use crate::scenario::Scenario;

fn calls_of(scenario: &mut Scenario, event: &serde_json::Value, outcome: Outcome) -> Vec<String> {
    scenario.ports.world().calls.clear();
    let report = scenario.send(event);
    Scenario::assert_outcome(&report, outcome);
    scenario.ports.world().calls.iter().map(|call| call.operation.clone()).collect()
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
