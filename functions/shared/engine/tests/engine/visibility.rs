//! EKS and IAM show changes late: nothing is concluded from what they showed before.

use jiff::SignedDuration;
use pod_identity_engine::Outcome;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{PortFault, When};
use serde_json::json;

use crate::check::{listed, settled};
use crate::scenario::{Scenario, cluster, node_role, role};

fn slow(seconds: i64) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    scenario.ports.world().settings.visible_after = SignedDuration::from_secs(seconds);
    scenario
}

#[test]
fn an_association_that_is_not_listed_yet_is_not_taken_for_removed() {
    let mut scenario = slow(8);
    let assigned = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&assigned), Outcome::Applied);
    let unassigned = scenario.unassigned("svc-etl");
    let report = scenario.send(&unassigned);
    Scenario::assert_outcome(&report, Outcome::Failed);
    assert_eq!(
        report.lines,
        ["blue: EKS does not show yet what was written at domino-compute/svc-etl-sa at \
             2026-11-20T12:00:00Z; the next delivery looks again"]
    );
    scenario.advance(8);
    Scenario::assert_outcome(&scenario.send(&unassigned), Outcome::Applied);
    scenario.advance(8);
    assert_eq!(scenario.associations("blue"), []);
    settled(&mut scenario);
}

#[test]
fn an_association_whose_creation_was_not_answered_is_not_taken_for_removed() {
    let mut scenario = slow(8);
    let assigned = scenario.assigned("svc-etl", "etl");
    let create = "CreatePodIdentityAssociation";
    scenario.ports.fault(PortFault::nth(create, 1, When::After, ErrorKind::Passing));
    Scenario::assert_outcome(&scenario.send(&assigned), Outcome::Failed);
    let unassigned = scenario.unassigned("svc-etl");
    Scenario::assert_outcome(&scenario.send(&unassigned), Outcome::Failed);
    scenario.advance(8);
    Scenario::assert_outcome(&scenario.send(&unassigned), Outcome::Applied);
    scenario.advance(8);
    assert_eq!(scenario.associations("blue"), []);
    settled(&mut scenario);
}

#[test]
fn an_association_that_was_deleted_and_is_listed_still_is_in_nobodys_way() {
    let shared = || json!({ "kubernetes": { "serviceAccount": "shared" } });
    let mut scenario = slow(0);
    let first = scenario.assigned_with("svc-a", "etl", shared());
    scenario.send(&first);
    scenario.advance(60);
    scenario.ports.world().settings.visible_after = SignedDuration::from_secs(8);
    let moved = scenario.assigned("svc-a", "etl");
    Scenario::assert_outcome(&scenario.send(&moved), Outcome::Applied);
    let next = scenario.assigned_with("svc-b", "report", shared());
    Scenario::assert_outcome(&scenario.send(&next), Outcome::Failed);
    scenario.advance(8);
    Scenario::assert_outcome(&scenario.send(&next), Outcome::Applied);
    scenario.advance(8);
    settled(&mut scenario);
}

#[test]
fn a_role_that_is_changed_back_at_once_is_changed_back() {
    let mut scenario = slow(0);
    let events = [
        scenario.assigned("svc-etl", "etl"),
        scenario.assigned("svc-etl", "train"),
        scenario.assigned("svc-etl", "etl"),
    ];
    scenario.send(&events[0]);
    scenario.ports.world().settings.visible_after = SignedDuration::from_secs(8);
    Scenario::assert_outcome(&scenario.send(&events[1]), Outcome::Applied);
    Scenario::assert_outcome(&scenario.send(&events[2]), Outcome::Failed);
    scenario.advance(8);
    Scenario::assert_outcome(&scenario.send(&events[2]), Outcome::Applied);
    let bound = ("domino-compute/svc-etl-sa".to_owned(), "etl".to_owned());
    assert_eq!(scenario.associations("blue"), [bound]);
    scenario.advance(8);
    settled(&mut scenario);
}

#[test]
fn what_a_run_did_that_died_is_waited_for_even_by_the_run_after_the_next() {
    let mut faultless = slow(0);
    let assigned = faultless.assigned("svc-etl", "etl");
    faultless.ports.world().calls.clear();
    faultless.send(&assigned);
    let create = "CreatePodIdentityAssociation";
    let made = faultless.ports.world().calls.iter().position(|call| call.operation == create);

    let mut scenario = slow(70);
    let assigned = scenario.assigned("svc-etl", "etl");
    // It makes the association, and dies before it can say so.
    scenario.ports.fault(PortFault::dead_from(made.unwrap() + 2, When::Before));
    Scenario::assert_outcome(&scenario.send(&assigned), Outcome::Failed);
    assert_eq!(scenario.associations("blue").len(), 1);
    scenario.ports.clear_faults();
    scenario.advance(61);
    let unassigned = scenario.unassigned("svc-etl");
    for _ in 0..2 {
        let report = scenario.send(&unassigned);
        Scenario::assert_outcome(&report, Outcome::Failed);
        assert!(report.lines[0].contains("an invocation ended without saying"), "{report:?}");
    }
    scenario.advance(60);
    Scenario::assert_outcome(&scenario.send(&unassigned), Outcome::Applied);
    scenario.advance(70);
    assert_eq!(scenario.associations("blue"), []);
    settled(&mut scenario);
}

#[test]
fn a_cluster_is_observed_completely_again_while_what_was_found_is_not_listed() {
    let foreign = "arn:aws:iam::111122223333:role/foreign";
    let mut scenario = Scenario::new();
    scenario.register("blue");
    for place in ["svc-etl-sa", "elsewhere"] {
        let mut world = scenario.ports.world();
        let _ = world.add_foreign_association(&cluster("blue"), "domino-compute", place, foreign);
    }
    // Where everything is blocked nothing is granted, and so nothing is listed.
    let blocked = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&blocked), Outcome::Blocked);
    let bound = scenario.assigned_with("svc-report", "report", json!({}));
    scenario.ports.fault(PortFault::nth("CreatePolicy", 1, When::Before, ErrorKind::Passing));
    Scenario::assert_outcome(&scenario.send(&bound), Outcome::Failed);
    Scenario::assert_outcome(&scenario.send(&bound), Outcome::Applied);
    let listed = listed(&scenario.ports.world(), &node_role("blue-eks-nodes"));
    assert_eq!(listed, [foreign.to_owned(), role("report").to_string()].into());
    settled(&mut scenario);
}
