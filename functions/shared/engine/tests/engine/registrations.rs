//! Clusters that come late, come twice, or are not what they were registered as.

use pod_identity_core::Pattern;
use pod_identity_engine::Outcome;
use pod_identity_engine::ledger::{ConditionState, Registry, registry_key};
use pod_identity_engine::ports::ErrorKind;
use pod_identity_events::BlockedCode;
use pod_identity_world::{PortFault, When};
use serde_json::{Value, json};

use crate::check::settled;
use crate::scenario::{ACCOUNT, Scenario, cluster, node_role};

fn retired(scenario: &mut Scenario, name: &str) -> Value {
    let detail = json!({ "clusterArn": cluster(name) });
    scenario.event("domino.administration", "Cluster Retired", detail)
}

fn registered(scenario: &mut Scenario, name: &str) -> Value {
    let detail = json!({ "clusterArn": cluster(name), "nodeRoleArns": [node_role(&format!("{name}-eks-nodes"))] });
    scenario.event("domino.administration", "Cluster Registered", detail)
}

fn registry(scenario: &Scenario) -> Registry {
    let world = scenario.ports.world();
    let item = world.ledger.get(&registry_key()).expect("a registry").clone();
    serde_json::from_value(item.body).unwrap()
}

#[test]
fn retirement_and_registration_end_alike_in_either_order() {
    let ends: Vec<_> = [[0, 1], [1, 0]]
        .into_iter()
        .map(|order| {
            let mut scenario = Scenario::new();
            let events = [registered(&mut scenario, "blue"), retired(&mut scenario, "blue")];
            for at in order {
                scenario.send(&events[at]);
            }
            registry(&scenario)
        })
        .collect();
    assert_eq!(ends[0], ends[1]);
    assert!(ends[0].clusters[&cluster("blue")].retired.is_some());
}

#[test]
fn two_registrations_and_a_retirement_end_alike_in_every_order() {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    // The retirement after both, and between them.
    for retirement_is_last in [true, false] {
        let ends: Vec<Registry> = orders
            .iter()
            .map(|order| {
                let mut scenario = Scenario::new();
                let first = registered(&mut scenario, "blue");
                let second = |scenario: &mut Scenario| {
                    let detail = json!({ "clusterArn": cluster("blue") });
                    scenario.event("domino.administration", "Cluster Registered", detail)
                };
                let events = if retirement_is_last {
                    let second = second(&mut scenario);
                    [first, second, retired(&mut scenario, "blue")]
                } else {
                    let retired = retired(&mut scenario, "blue");
                    [first, retired, second(&mut scenario)]
                };
                for at in order {
                    scenario.send(&events[*at]);
                }
                registry(&scenario)
            })
            .collect();
        for end in &ends {
            assert_eq!(*end, ends[0]);
        }
        let blue = &ends[0].clusters[&cluster("blue")];
        assert_eq!(blue.retired.is_some(), retirement_is_last);
        assert!(blue.registration.node_roles.is_empty(), "the second registration stands");
    }
}

#[test]
fn a_retirement_of_an_unknown_cluster_asks_for_no_reconciliation_and_says_so() {
    let mut scenario = Scenario::new();
    let event = retired(&mut scenario, "blue");
    let report = scenario.send(&event);
    Scenario::assert_outcome(&report, Outcome::RetirementRequested);
    assert!(report.lines[0].contains("is not registered"), "{report:?}");
    assert!(scenario.outcomes("Reconciliation Requested").is_empty());
    let late = registered(&mut scenario, "green");
    scenario.send(&late);
    assert_eq!(scenario.outcomes("Reconciliation Requested").len(), 1);
}

#[test]
fn an_event_id_that_a_retirement_used_is_refused_for_a_registration() {
    let mut scenario = Scenario::new();
    let retirement = retired(&mut scenario, "blue");
    scenario.send(&retirement);
    let mut reused = registered(&mut scenario, "blue");
    for field in ["eventId", "occurredAt"] {
        reused["detail"][field] = retirement["detail"][field].clone();
    }
    Scenario::assert_outcome(&scenario.send(&reused), Outcome::Rejected);
}

#[test]
fn a_removal_needs_no_admitted_node_role() {
    let mut scenario = Scenario::registered();
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    scenario.settings.rules.node_roles = vec![Pattern::new("arn:aws:iam::*:role/others")];
    let removal = scenario.unassigned("svc-etl");
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    assert!(scenario.associations("blue").is_empty());
}

#[test]
fn one_records_policy_failure_blocks_no_role_that_is_granted() {
    let mut scenario = Scenario::registered();
    let first = scenario.assigned("svc-first", "report");
    Scenario::assert_outcome(&scenario.send(&first), Outcome::Applied);
    let events = [scenario.assigned("svc-more", "report"), scenario.assigned("svc-etl", "etl")];
    let denied = PortFault::nth("CreatePolicyVersion", 1, When::Before, ErrorKind::Denied);
    scenario.ports.fault(denied);
    let report = scenario.batch(&events);
    Scenario::assert_outcome(&report.records[0], Outcome::Applied);
    Scenario::assert_outcome(&report.records[1], Outcome::Blocked);
    let expected = ["svc-first-sa", "svc-more-sa"]
        .map(|name| (format!("domino-compute/{name}"), "report".to_owned()));
    assert_eq!(scenario.associations("blue"), expected);
}

#[test]
fn a_registration_after_the_retirement_makes_the_cluster_active_again() {
    let mut scenario = Scenario::new();
    let retired = retired(&mut scenario, "blue");
    let registered = registered(&mut scenario, "blue");
    Scenario::assert_outcome(&scenario.send(&retired), Outcome::RetirementRequested);
    Scenario::assert_outcome(&scenario.send(&registered), Outcome::Registered);
    let registry = registry(&scenario);
    assert!(registry.retirements.is_empty());
    assert!(registry.clusters[&cluster("blue")].retired.is_none());
}

/// A binding that was accepted before its cluster was registered, then
/// resumed by a run that dies after making the association.
fn made_and_died(more: Value) -> Scenario {
    let mut scenario = Scenario::new();
    let event = scenario.assigned_with("svc-etl", "etl", more);
    scenario.send(&event);
    scenario.register("blue");
    scenario.ports.fault(PortFault {
        operation: Some("PutEvents".to_owned()),
        ..PortFault::dead_from(1, When::Before)
    });
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Failed);
    scenario.ports.clear_faults();
    scenario.advance(120);
    assert_eq!(scenario.associations("blue").len(), 1);
    scenario
}

#[test]
fn a_removal_reaches_a_cluster_that_was_registered_after_the_binding() {
    for more in [json!({}), json!({ "clusters": ["blue"] })] {
        let mut scenario = made_and_died(more);
        let removal = scenario.unassigned("svc-etl");
        Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
        assert!(scenario.associations("blue").is_empty());
        let condition = scenario.condition("svc-etl", "blue").unwrap();
        assert_eq!(condition.state, ConditionState::Removed);
    }
}

#[test]
fn a_move_leaves_nothing_on_a_cluster_that_was_registered_after_the_binding() {
    for more in [json!({}), json!({ "clusters": ["blue"] })] {
        let mut scenario = made_and_died(more.clone());
        let mut there = more;
        there["kubernetes"] = json!({ "serviceAccount": "elsewhere" });
        let event = scenario.assigned_with("svc-etl", "etl", there);
        Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
        let expected = [("domino-compute/elsewhere".to_owned(), "etl".to_owned())];
        assert_eq!(scenario.associations("blue"), expected);
    }
}

#[test]
fn what_stands_is_not_ready_while_its_role_cannot_be_granted() {
    let mut scenario = Scenario::registered();
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    // A second node role joins, and may not be given the policy.
    let more = node_role("more-eks-nodes");
    scenario.ports.world().add_role(&more, crate::scenario::UNTRUSTED);
    let detail = json!({
        "clusterArn": cluster("blue"),
        "nodeRoleArns": [node_role("blue-eks-nodes"), more],
    });
    let event = scenario.event("domino.administration", "Cluster Registered", detail);
    scenario.send(&event);
    let again = scenario.assigned_with("svc-etl", "etl", json!({ "clusters": ["blue"] }));
    for (kind, outcome) in
        [(ErrorKind::Passing, Outcome::Failed), (ErrorKind::Denied, Outcome::Blocked)]
    {
        scenario.ports.fault(PortFault::nth("AttachRolePolicy", 1, When::Before, kind));
        Scenario::assert_outcome(&scenario.send(&again), outcome);
    }
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::AccessDenied));
    scenario.ports.clear_faults();
    Scenario::assert_outcome(&scenario.send(&again), Outcome::Applied);
    scenario
        .node_roles
        .insert(cluster("blue"), vec![node_role("blue-eks-nodes"), node_role("more-eks-nodes")]);
    settled(&mut scenario);
}

#[test]
fn a_registered_cluster_that_left_the_allow_list_is_left_alone() {
    let mut scenario = Scenario::registered();
    let green = scenario.settings.rules.clusters.clone();
    scenario.settings.rules.clusters = vec![Pattern::new(cluster("green").as_str())];
    let event = scenario.assigned_with("svc-etl", "etl", json!({}));
    scenario.send(&event);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::ClusterNotAllowed));
    assert!(scenario.associations("blue").is_empty());
    scenario.settings.rules.clusters = green;
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
}

#[test]
fn a_binding_stays_where_it_is_when_another_of_its_clusters_leaves_the_allow_list() {
    let mut scenario = Scenario::registered();
    scenario.register("green");
    let both = json!({ "clusters": ["blue", "green"] });
    let event = scenario.assigned_with("svc-etl", "etl", both);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    scenario.settings.rules.clusters = vec![Pattern::new(cluster("green").as_str())];
    // A younger binding for the same place makes the run look at it again.
    let rival = scenario.assigned_with(
        "svc-rival",
        "report",
        json!({ "clusters": ["green"], "kubernetes": { "serviceAccount": "svc-etl-sa" } }),
    );
    Scenario::assert_outcome(&scenario.send(&rival), Outcome::Blocked);
    assert_eq!(scenario.code("svc-rival", "green"), Some(BlockedCode::Conflict));
    assert_eq!(scenario.code("svc-etl", "green"), None);
    let expected = [("domino-compute/svc-etl-sa".to_owned(), "etl".to_owned())];
    assert_eq!(scenario.associations("green"), expected);
}

#[test]
fn an_answer_for_another_account_changes_nothing() {
    let mut scenario = Scenario::registered();
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    // Registered in another account without a role to assume: EKS knows blue by its name only.
    let theirs = "arn:aws:eks:eu-west-1:444455556666:cluster/blue";
    scenario.settings.rules.clusters = vec![Pattern::new("arn:aws:eks:*:*:cluster/blue")];
    scenario.settings.rules.roles = vec![Pattern::new("arn:aws:iam::*:role/*")];
    let detail = json!({ "clusterArn": theirs, "nodeRoleArns": ["arn:aws:iam::444455556666:role/blue-eks-nodes"] });
    scenario.settings.rules.node_roles = vec![Pattern::new("arn:aws:iam::*:role/*-eks-nodes")];
    let event = scenario.event("domino.administration", "Cluster Registered", detail);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Registered);
    let moved = json!({
        "roleArn": "arn:aws:iam::444455556666:role/domino/etl",
        "clusters": [theirs],
    });
    let event = scenario.assigned_with("svc-other", "etl", moved);
    let report = scenario.send(&event);
    assert_ne!(report.outcome, Outcome::Applied, "{report:?}");
    assert_eq!(scenario.associations("blue").len(), 1);
}

#[test]
fn a_change_that_touches_more_clusters_than_a_transaction_holds_is_rejected() {
    let mut scenario = Scenario::new();
    let names: Vec<String> =
        (0..120).map(|n| format!("arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/c{n}")).collect();
    let event = scenario.assigned_with("svc-etl", "etl", json!({ "clusters": names }));
    let report = scenario.send(&event);
    Scenario::assert_outcome(&report, Outcome::Rejected);
    assert!(report.lines[0].contains("at most 95 clusters"), "{report:?}");
}
