//! Bindings that move between Kubernetes service accounts and clusters.

use pod_identity_engine::Outcome;
use pod_identity_engine::ledger::ConditionState;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_events::BlockedCode;
use pod_identity_world::{PortFault, When};
use serde_json::{Value, json};

use crate::check::settled;
use crate::scenario::{Scenario, cluster};

fn at(service_account: &str) -> Value {
    json!({ "kubernetes": { "serviceAccount": service_account } })
}

fn on(clusters: &[&str]) -> Value {
    json!({ "clusters": clusters })
}

fn places(scenario: &Scenario, name: &str) -> Vec<String> {
    scenario.associations(name).into_iter().map(|(place, _)| place).collect()
}

#[test]
fn a_move_makes_the_new_association_and_deletes_the_old_one() {
    for (from, to) in [("first", "second"), ("second", "first")] {
        let mut scenario = Scenario::registered();
        let before = scenario.assigned_with("svc-etl", "etl", at(from));
        let after = scenario.assigned_with("svc-etl", "etl", at(to));
        scenario.send(&before);
        Scenario::assert_outcome(&scenario.send(&after), Outcome::Applied);
        for name in ["blue", "green"] {
            assert_eq!(places(&scenario, name), [format!("domino-compute/{to}")]);
        }
        let removed = scenario.outcomes("Pod Identity Association Removed");
        assert_eq!(removed.len(), 2);
        assert!(removed.iter().all(|event| event["reason"] == "moved"));
        assert!(removed.iter().all(|event| event["kubernetesServiceAccount"] == from));
        settled(&mut scenario);
    }
}

#[test]
fn a_move_whose_old_association_could_not_be_deleted_is_ready_once_it_is() {
    for (from, to) in [("first", "second"), ("second", "first")] {
        let mut scenario = Scenario::registered();
        let before = scenario.assigned_with("svc-etl", "etl", at(from));
        scenario.send(&before);
        let after = scenario.assigned_with("svc-etl", "etl-2", at(to));
        let denied = PortFault {
            operation: Some("DeletePodIdentityAssociation".to_owned()),
            nth: 1,
            lasting: true,
            when: When::Before,
            kind: ErrorKind::Denied,
        };
        scenario.ports.fault(denied);
        Scenario::assert_outcome(&scenario.send(&after), Outcome::Blocked);
        assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::AccessDenied));
        assert_eq!(places(&scenario, "blue").len(), 2);
        scenario.ports.clear_faults();
        Scenario::assert_outcome(&scenario.send(&after), Outcome::Applied);
        assert_eq!(scenario.condition("svc-etl", "blue").unwrap().state, ConditionState::Ready);
        assert_eq!(places(&scenario, "blue"), [format!("domino-compute/{to}")]);
        settled(&mut scenario);
    }
}

#[test]
fn a_cluster_that_is_no_longer_named_loses_its_association() {
    let mut scenario = Scenario::registered();
    let both = scenario.assigned_with("svc-etl", "etl", on(&["blue", "green"]));
    let one = scenario.assigned_with("svc-etl", "etl", on(&["blue"]));
    scenario.send(&both);
    assert_eq!(places(&scenario, "green").len(), 1);
    Scenario::assert_outcome(&scenario.send(&one), Outcome::Applied);
    assert_eq!(places(&scenario, "blue").len(), 1);
    assert!(places(&scenario, "green").is_empty());
    let condition = scenario.condition("svc-etl", "green").unwrap();
    assert_eq!(condition.state, ConditionState::Removed);
    settled(&mut scenario);
}

#[test]
fn naming_a_cluster_after_all_keeps_only_that_one() {
    let mut scenario = Scenario::registered();
    let all = scenario.assigned("svc-etl", "etl");
    let one = scenario.assigned_with("svc-etl", "etl", on(&["green"]));
    scenario.send(&all);
    assert_eq!(places(&scenario, "blue").len(), 1);
    scenario.send(&one);
    assert!(places(&scenario, "blue").is_empty());
    assert_eq!(places(&scenario, "green").len(), 1);
    settled(&mut scenario);
}

#[test]
fn all_means_the_registered_clusters_of_the_account() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let all = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&all), Outcome::Applied);
    assert_eq!(places(&scenario, "blue").len(), 1);
    assert!(places(&scenario, "green").is_empty());
    assert!(scenario.condition("svc-etl", "green").is_none());
    settled(&mut scenario);

    scenario.register("green");
    Scenario::assert_outcome(&scenario.send(&all), Outcome::Applied);
    assert_eq!(places(&scenario, "green").len(), 1);
    settled(&mut scenario);
}

#[test]
fn all_waits_while_no_cluster_is_registered() {
    let mut scenario = Scenario::new();
    let all = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&all), Outcome::Waiting);
    settled(&mut scenario);
}

#[test]
fn a_named_cluster_that_is_not_registered_waits_and_comes_true_later() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let both = scenario.assigned_with("svc-etl", "etl", on(&["blue", "green"]));
    Scenario::assert_outcome(&scenario.send(&both), Outcome::Waiting);
    assert_eq!(places(&scenario, "blue").len(), 1);
    let waits = scenario.condition("svc-etl", "green").unwrap();
    assert_eq!(waits.state, ConditionState::Waiting);
    assert_eq!(waits.blocked.unwrap().code(), BlockedCode::ClusterNotRegistered);
    let blocked = scenario.outcomes("Pod Identity Association Blocked");
    assert_eq!(blocked.len(), 1);
    assert_eq!(blocked[0]["code"], "clusterNotRegistered");
    assert_eq!(blocked[0]["clusterArn"], cluster("green").as_str());
    settled(&mut scenario);

    scenario.register("green");
    let published = scenario.outcomes("Pod Identity Association Blocked").len();
    Scenario::assert_outcome(&scenario.send(&both), Outcome::Applied);
    assert_eq!(places(&scenario, "green").len(), 1);
    assert_eq!(scenario.outcomes("Pod Identity Association Blocked").len(), published);
    settled(&mut scenario);
}

#[test]
fn a_binding_and_the_registration_of_its_cluster_can_come_in_one_batch() {
    let mut scenario = Scenario::new();
    let assigned = scenario.assigned_with("svc-etl", "etl", on(&["blue"]));
    let registered = scenario.event(
        "domino.administration",
        "Cluster Registered",
        json!({ "clusterArn": cluster("blue") }),
    );
    let report = scenario.batch(&[assigned, registered]);
    Scenario::assert_outcome(&report.records[0], Outcome::Applied);
    assert_eq!(places(&scenario, "blue").len(), 1);
    assert!(scenario.outcomes("Pod Identity Association Blocked").is_empty());
    settled(&mut scenario);
}

#[test]
fn a_binding_that_only_waited_leaves_nothing_behind() {
    let mut scenario = Scenario::new();
    let waits = scenario.assigned_with("svc-etl", "etl", on(&["green"]));
    let removal = scenario.unassigned("svc-etl");
    scenario.send(&waits);
    scenario.send(&removal);
    let condition = scenario.condition("svc-etl", "green").unwrap();
    assert_eq!(condition.state, ConditionState::Removed);
    assert!(scenario.outcomes("Pod Identity Association Removed").is_empty());
    settled(&mut scenario);
}
