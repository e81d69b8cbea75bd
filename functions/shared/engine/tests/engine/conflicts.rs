//! Two accounts want one Kubernetes service account.

use pod_identity_core::Pattern;
use pod_identity_engine::Outcome;
use pod_identity_engine::ledger::ConditionState;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_events::BlockedCode;
use pod_identity_world::{PortFault, When};
use serde_json::{Value, json};

use crate::check::settled;
use crate::ledger::permutations;
use crate::scenario::Scenario;

fn shared() -> Value {
    json!({ "kubernetes": { "serviceAccount": "shared" } })
}

fn of_shared(scenario: &Scenario) -> String {
    let associations = scenario.associations("blue");
    assert_eq!(associations.len(), 1, "{associations:?}");
    assert_eq!(associations[0].0, "domino-compute/shared");
    associations[0].1.clone()
}

#[test]
fn the_oldest_holds_in_every_order_of_arrival() {
    let mut first = Scenario::registered();
    let events = [
        first.assigned_with("svc-b", "etl", shared()),
        first.assigned_with("svc-a", "report", shared()),
        first.assigned_with("svc-c", "train", shared()),
    ];
    for order in permutations(&events) {
        for together in [false, true] {
            let mut scenario = Scenario::registered();
            if together {
                scenario.batch(&order);
            } else {
                for event in &order {
                    scenario.send(event);
                }
            }
            assert_eq!(of_shared(&scenario), "etl", "{order:?}");
            assert_eq!(scenario.code("svc-b", "blue"), None);
            for waiting in ["svc-a", "svc-c"] {
                assert_eq!(scenario.code(waiting, "blue"), Some(BlockedCode::Conflict));
            }
            settled(&mut scenario);
        }
    }
}

#[test]
fn the_removal_names_the_role_that_was_taken_away_although_the_next_one_is_there() {
    for when in [When::Before, When::After] {
        let mut scenario = Scenario::registered();
        let holder = scenario.assigned_with("svc-a", "etl", shared());
        let waiting = scenario.assigned_with("svc-b", "report", shared());
        scenario.batch(&[holder, waiting]);
        let removal = scenario.unassigned("svc-a");
        // The association has its new role, and perhaps its new tag, when the run fails.
        scenario.ports.fault(PortFault::nth("TagResource", 1, when, ErrorKind::Passing));
        Scenario::assert_outcome(&scenario.send(&removal), Outcome::Failed);
        Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
        let removed = scenario.outcomes("Pod Identity Association Removed");
        assert!(!removed.is_empty());
        for event in removed {
            assert!(event["roleArn"].as_str().unwrap().ends_with("/etl"), "{event}");
        }
        settled(&mut scenario);
    }
}

#[test]
fn the_waiting_one_takes_over_when_the_holder_is_unassigned() {
    let mut scenario = Scenario::registered();
    let holder = scenario.assigned_with("svc-a", "etl", shared());
    let waiting = scenario.assigned_with("svc-b", "report", shared());
    scenario.send(&holder);
    Scenario::assert_outcome(&scenario.send(&waiting), Outcome::Blocked);
    let blocked = scenario.outcomes("Pod Identity Association Blocked");
    assert_eq!(blocked.len(), 2);
    assert_eq!(blocked[0]["code"], "conflict");
    assert!(blocked[0]["reason"].as_str().unwrap().contains("svc-a"), "{blocked:?}");
    let removal = scenario.unassigned("svc-a");
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    assert_eq!(of_shared(&scenario), "report");
    assert_eq!(scenario.code("svc-b", "blue"), None);
    let ready = scenario.outcomes("Pod Identity Association Ready");
    assert_eq!(ready.iter().filter(|event| event["serviceAccount"] == "svc-b").count(), 2);
    let removed = scenario.outcomes("Pod Identity Association Removed");
    assert_eq!(removed.iter().filter(|event| event["serviceAccount"] == "svc-a").count(), 2);
    settled(&mut scenario);
}

#[test]
fn a_change_of_role_does_not_lose_the_place() {
    let mut first = Scenario::registered();
    let events = [
        first.assigned_with("svc-a", "etl", shared()),
        first.assigned_with("svc-b", "report", shared()),
        first.assigned_with("svc-a", "etl-2", shared()),
    ];
    for order in permutations(&events) {
        let mut scenario = Scenario::registered();
        for event in &order {
            scenario.send(event);
        }
        assert_eq!(of_shared(&scenario), "etl-2", "{order:?}");
        assert_eq!(scenario.code("svc-b", "blue"), Some(BlockedCode::Conflict));
        settled(&mut scenario);
    }
}

#[test]
fn giving_the_place_up_in_between_loses_it_in_every_order_of_arrival() {
    let mut first = Scenario::registered();
    let events = [
        first.assigned_with("svc-a", "etl", shared()),
        first.unassigned("svc-a"),
        first.assigned_with("svc-b", "report", shared()),
        first.assigned_with("svc-a", "etl-2", shared()),
    ];
    for order in permutations(&events) {
        let mut scenario = Scenario::registered();
        for event in &order {
            scenario.send(event);
        }
        assert_eq!(of_shared(&scenario), "report", "{order:?}");
        assert_eq!(scenario.code("svc-a", "blue"), Some(BlockedCode::Conflict));
        settled(&mut scenario);
    }
}

#[test]
fn a_late_old_assignment_that_could_not_be_applied_fails_and_settles_later() {
    let mut scenario = Scenario::registered();
    let events = [
        scenario.assigned_with("svc-a", "etl", shared()),
        scenario.assigned_with("svc-b", "report", shared()),
        scenario.assigned_with("svc-a", "etl-2", shared()),
    ];
    scenario.send(&events[2]);
    scenario.send(&events[1]);
    assert_eq!(of_shared(&scenario), "report");
    let late = scenario.in_seconds(1);
    Scenario::assert_outcome(&scenario.batch_until(&events[..1], late).records[0], Outcome::Failed);
    Scenario::assert_outcome(&scenario.send(&events[0]), Outcome::Superseded);
    assert_eq!(of_shared(&scenario), "etl-2");
    settled(&mut scenario);
}

#[test]
fn a_claim_that_the_rules_no_longer_admit_is_blocked_and_keeps_what_is_there() {
    let mut scenario = Scenario::registered();
    let holder = scenario.assigned_with("svc-a", "etl", shared());
    let waiting = scenario.assigned_with("svc-b", "report", shared());
    scenario.batch(&[holder.clone(), waiting]);
    let wide = scenario.settings.rules.roles.clone();
    scenario.settings.rules.roles =
        vec![Pattern::new("arn:aws:iam::111122223333:role/domino/report")];
    let removal = scenario.unassigned("svc-b");
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    assert_eq!(scenario.code("svc-a", "blue"), Some(BlockedCode::NotAllowed));
    assert_eq!(of_shared(&scenario), "etl");
    let blocked = scenario.outcomes("Pod Identity Association Blocked");
    let refused: Vec<_> = blocked.iter().filter(|event| event["code"] == "notAllowed").collect();
    assert_eq!(refused.len(), 2);
    assert!(refused[0]["reason"].as_str().unwrap().contains("ROLES"));

    scenario.settings.rules.roles = wide;
    Scenario::assert_outcome(&scenario.send(&holder), Outcome::Applied);
    assert_eq!(scenario.code("svc-a", "blue"), None);
    settled(&mut scenario);
}

#[test]
fn somebody_whose_old_place_is_taken_over_is_ready_at_the_new_one() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let before = scenario.assigned_with("svc-a", "etl", shared());
    scenario.send(&before);
    let elsewhere = json!({ "kubernetes": { "serviceAccount": "elsewhere" } });
    let moved = scenario.assigned_with("svc-a", "etl", elsewhere);
    scenario.ports.fault(PortFault::nth(
        "DeletePodIdentityAssociation",
        1,
        When::Before,
        ErrorKind::Denied,
    ));
    Scenario::assert_outcome(&scenario.send(&moved), Outcome::Blocked);
    scenario.ports.clear_faults();
    let next = scenario.assigned_with("svc-b", "report", shared());
    Scenario::assert_outcome(&scenario.send(&next), Outcome::Applied);
    assert_eq!(scenario.condition("svc-a", "blue").unwrap().state, ConditionState::Ready);
    settled(&mut scenario);
}
