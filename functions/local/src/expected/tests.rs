#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pod_identity_events::{Problem, samples};
use serde_json::{Value, json};

use super::*;

const MINIMAL: &str = "04-assigned-minimal";

fn event(kind: &str, cluster: &str, more: Value) -> Envelope {
    let mut detail = json!({
        "schemaVersion": 1, "eventId": "o", "occurredAt": "2026-11-01T00:00:00Z",
        "cause": {"eventId": "e", "requestId": "r"},
        "serviceAccount": "svc-etl", "namespace": "domino-compute",
        "kubernetesServiceAccount": "svc-etl-sa",
        "clusterArn": format!("arn:aws:eks:eu-west-1:111122223333:cluster/{cluster}"),
    });
    let (Value::Object(into), Value::Object(from)) = (&mut detail, more) else { panic!() };
    into.extend(from);
    let value = json!({
        "id": "o", "detail-type": kind, "source": "domino.pod-identity", "detail": detail,
    });
    serde_json::from_value(value).unwrap()
}

fn ready(cluster: &str, change: &str) -> Envelope {
    let more = json!({
        "associationId": "a-1", "associationArn": "arn", "change": change,
        "roleArn": "arn:aws:iam::111122223333:role/domino/etl",
        "trust": {"verdict": "trusted", "reason": "statement 1"},
    });
    event(detail_type::ASSOCIATION_READY, cluster, more)
}

fn blocked(cluster: &str, problem: &Problem) -> Envelope {
    let mut more = json!(problem);
    (more["message"], more["remediation"]) = (json!("no"), json!("ask"));
    event(detail_type::ASSOCIATION_BLOCKED, cluster, more)
}

fn untrusted() -> Problem {
    Problem::UntrustedRole {
        role_arn: String::new(),
        reason: String::new(),
        denied: false,
        trust_policy: json!({}),
    }
}

fn requested(cluster: &str, reason: &str) -> Envelope {
    event(detail_type::RECONCILIATION_REQUESTED, cluster, json!({ "reason": reason }))
}

#[test]
fn story_tells_of_every_accepted_sample_in_order() {
    let names: Vec<_> = samples::accepted().iter().map(|sample| sample.name).collect();
    assert_eq!(STORY.map(|(name, _)| name).to_vec(), names);
}

#[test]
fn outcomes_as_told_are_no_difference_in_any_order() {
    let events = ["green", "amber", "blue"].map(|cluster| ready(cluster, "created"));
    assert_eq!(differences(MINIMAL, &events), Vec::<String>::new());
    assert_eq!(differences("18-assigned-twice", []), Vec::<String>::new());
    let teal = blocked("teal", &Problem::ClusterNotRegistered { cluster_arn: String::new() });
    assert_eq!(differences("11-assigned-for-a-cluster-to-come", [&teal]), Vec::<String>::new());
    let policy = event(detail_type::NODE_ROLE_POLICY_CHANGED, "blue", json!({}));
    assert_eq!(differences("18-assigned-twice", [&policy]), Vec::<String>::new());
}

#[test]
fn another_outcome_is_named_with_its_cluster_and_reason() {
    let events = [ready("amber", "updated"), blocked("blue", &untrusted())];
    let expected = [
        "04-assigned-minimal: amber should be ready (created), but is ready (updated)",
        "04-assigned-minimal: blue should be ready (created), but is blocked (UntrustedRole): no",
        "04-assigned-minimal: green should be ready (created), but nothing came of it",
    ];
    assert_eq!(differences(MINIMAL, &events), expected);
}

#[test]
fn outcome_beyond_the_story_is_named() {
    let again = ready("blue", "unchanged");
    let expected = ["18-assigned-twice: nothing should change, but blue is ready (unchanged)"];
    assert_eq!(differences("18-assigned-twice", [&again]), expected);
    let sweep = event("Sweep Requested", "blue", json!({}));
    let registered = requested("blue", "cluster blue was registered");
    let expected =
        ["01-cluster-registered-blue: nothing more should change, but blue is something else: \
         Sweep Requested"];
    assert_eq!(differences("01-cluster-registered-blue", [&sweep, &registered]), expected);
}

#[test]
fn registration_is_no_retirement() {
    let registered = requested("amber", "cluster amber was registered");
    let expected = ["19-cluster-retired-amber: amber should be asked to retire, but is registered"];
    assert_eq!(differences("19-cluster-retired-amber", [&registered]), expected);
    let retired = requested("amber", "the retirement of cluster amber was asked for");
    assert_eq!(differences("19-cluster-retired-amber", [&retired]), Vec::<String>::new());
}

#[test]
fn late_removal_belongs_to_no_cluster() {
    let expected = ["17-unassigned-late: it should be superseded, but nothing came of it"];
    assert_eq!(differences("17-unassigned-late", []), expected);
    let mut superseded = event(detail_type::EVENT_SUPERSEDED, "-", json!({}));
    superseded.detail.as_object_mut().unwrap().remove("clusterArn");
    assert_eq!(differences("17-unassigned-late", [&superseded]), Vec::<String>::new());
}
