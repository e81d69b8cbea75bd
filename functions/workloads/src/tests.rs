#![allow(clippy::unwrap_used, clippy::panic, clippy::field_reassign_with_default)]

use std::time::Duration;

use pod_identity_core::ClusterArn;
use pod_identity_engine::ledger::Missing;
use pod_identity_engine::{InsideReport, InsideScope};
use serde_json::{Value, json};

use crate::metrics::metrics;
use crate::request::{SweepRequest, WorkloadsRequest, read};
use crate::words::words;

fn cluster() -> ClusterArn {
    "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap()
}

fn event(detail_type: &str, detail: &Value) -> String {
    json!({ "detail-type": detail_type, "source": "domino.pod-identity", "detail": detail })
        .to_string()
}

fn one(text: &str) -> SweepRequest {
    let WorkloadsRequest::One(asked) = read(text).unwrap() else {
        panic!("no single cluster: {text}")
    };
    asked
}

#[test]
fn an_outcome_of_an_association_asks_for_its_whole_cluster_since_then() {
    for detail_type in
        ["Pod Identity Association Ready", "Pod Identity Association Removed", "Cluster Registered"]
    {
        let detail = json!({
            "clusterArn": cluster(), "serviceAccount": "svc-etl",
            "occurredAt": "2026-11-20T12:00:00.000Z",
        });
        let asked = one(&event(detail_type, &detail));
        assert_eq!(asked.scope, InsideScope::of(cluster()), "{detail_type}");
        assert_eq!(asked.since, Some("2026-11-20T12:00:00Z".parse().unwrap()));
        assert!(!asked.plan_only);
    }
}

#[test]
fn a_schedule_and_a_request_without_a_cluster_ask_for_all() {
    assert_eq!(read(&event("Scheduled Event", &json!({}))), Ok(WorkloadsRequest::All));
    assert_eq!(
        read(&event("Sweep Requested", &json!({ "reason": "x" }))),
        Ok(WorkloadsRequest::All)
    );
    assert_eq!(read("{}"), Ok(WorkloadsRequest::All));
}

#[test]
fn a_request_that_is_handed_on_carries_what_was_evicted() {
    let detail = json!({
        "clusterArn": cluster(), "serviceAccount": "svc-etl", "evicted": 7, "continuation": 2,
    });
    let asked = one(&event("Sweep Requested", &detail));
    let name = "svc-etl".parse().unwrap();
    let scope =
        InsideScope { service_account: Some(name), evicted: 7, ..InsideScope::of(cluster()) };
    assert_eq!((asked.scope, asked.continuation, asked.since), (scope, 2, None));
    let error =
        read(&event("Sweep Requested", &json!({ "clusterArn": cluster(), "continuation": 21 })));
    assert!(error.unwrap_err().0.contains("20 are the most"));
}

#[test]
fn an_administrator_may_ask_for_a_plan() {
    let asked = one(&json!({ "clusterArn": cluster(), "planOnly": true }).to_string());
    assert!(asked.plan_only);
}

#[test]
fn what_is_no_request_is_answered_with_the_rule() {
    for (text, rule) in [
        ("no", "not JSON"),
        (r#"{"planOnly":true,"planOnly":false}"#, "key `planOnly` occurs twice"),
        (r#"{"clusterArn":"blue"}"#, "a request has clusterArn"),
        (r#"{"serviceAccount":"svc-etl"}"#, "names its cluster"),
        (&event("Drift Corrected", &json!({})), "is no event for this function"),
        (&event("Pod Identity Association Ready", &json!({})), "names no clusterArn"),
        (&event("Pod Identity Association Ready", &json!({ "clusterArn": "x" })), "clusterArn"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.0.contains(rule), "{text}: {error}");
    }
}

#[test]
fn a_cluster_that_nobody_can_look_into_is_counted_and_said() {
    let missing = Missing { reason: "no agent".to_owned(), remediation: "install it".to_owned() };
    let mut report = InsideReport::default();
    report.skipped = Some("cluster blue: no route".to_owned());
    report.missing = vec![missing];
    let line = metrics("acme", &cluster(), &report, Duration::from_millis(3), Duration::ZERO);
    assert_eq!(line["ClusterClosed"], json!(1));
    assert_eq!(line["LookedInside"], json!(0));
    assert_eq!(line["ClusterLacks"], json!(1));
    assert_eq!(line.get("PodsEvicted"), None);
    let said = words(&cluster(), &report, false);
    assert_eq!(
        said,
        "blue\n  no agent: install it\n  the inside was not looked at: cluster blue: no route"
    );
}
