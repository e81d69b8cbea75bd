#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;

fn envelope(source: &str, kind: &str, detail: Value) -> Envelope {
    Envelope {
        version: "0".to_owned(),
        id: "1".to_owned(),
        detail_type: kind.to_owned(),
        source: source.to_owned(),
        account: String::new(),
        time: String::new(),
        region: String::new(),
        resources: Vec::new(),
        detail,
    }
}

fn subject() -> Value {
    json!({
        "schemaVersion": 1, "eventId": "o", "occurredAt": "2026-11-01T00:00:00Z",
        "cause": {"eventId": "e", "requestId": "r"},
        "serviceAccount": "svc-etl",
        "clusterArn": "arn:aws:eks:eu-west-1:111122223333:cluster/blue",
        "namespace": "domino-compute", "kubernetesServiceAccount": "svc-etl-sa",
    })
}

fn with(mut value: Value, more: Value) -> Value {
    let (Value::Object(into), Value::Object(from)) = (&mut value, more) else { panic!() };
    into.extend(from);
    value
}

#[test]
fn arn_is_called_by_its_name() {
    assert_eq!(short("arn:aws:iam::111122223333:role/domino/etl"), "domino/etl");
    assert_eq!(short("arn:aws:eks:eu-west-1:111122223333:cluster/blue"), "blue");
    assert_eq!(short("blue"), "blue");
}

#[test]
fn assigned_event_is_one_sentence() {
    let detail = json!({
        "schemaVersion": 1, "eventId": "e", "occurredAt": "2026-11-01T00:00:00Z",
        "serviceAccount": "svc-etl", "roleArn": "arn:aws:iam::111122223333:role/domino/etl",
        "clusters": ["blue"],
    });
    let event = envelope("domino.automation", detail_type::ROLE_ASSIGNED, detail);
    assert_eq!(heading(&event), "svc-etl works as domino/etl on blue");
}

#[test]
fn target_role_comes_after_the_role() {
    let detail = json!({
        "schemaVersion": 1, "eventId": "e", "occurredAt": "2026-11-01T00:00:00Z",
        "serviceAccount": "svc-train", "roleArn": "arn:aws:iam::111122223333:role/domino/train",
        "targetRoleArn": "arn:aws:iam::444455556666:role/domino-target-train",
        "clusters": "all",
    });
    let event = envelope("domino.automation", detail_type::ROLE_ASSIGNED, detail);
    let expected = "svc-train works as domino/train, then as domino-target-train on every cluster";
    assert_eq!(heading(&event), expected);
}

#[test]
fn made_association_is_a_plus() {
    let detail = with(
        subject(),
        json!({
            "associationId": "a-1", "associationArn": "arn", "change": "created",
            "roleArn": "arn:aws:iam::111122223333:role/domino/etl",
            "trust": {"verdict": "trusted", "reason": "statement 1"},
        }),
    );
    let event = envelope("domino.pod-identity", detail_type::ASSOCIATION_READY, detail);
    assert_eq!(
        outcome(&event),
        ["+ association blue   domino-compute/svc-etl-sa as domino/etl  a-1"]
    );
}

#[test]
fn blocked_binding_has_the_remediation() {
    let detail = with(
        subject(),
        json!({"code": "clusterNotFound", "details": {"clusterArn": "arn"}, "message": "no", "remediation": "ask"}),
    );
    let event = envelope("domino.pod-identity", detail_type::ASSOCIATION_BLOCKED, detail);
    assert_eq!(
        outcome(&event),
        ["! blocked     blue   domino-compute/svc-etl-sa: no", "    remediation: ask"]
    );
}

#[test]
fn unknown_outcome_is_shown_as_it_is() {
    let event = envelope("domino.pod-identity", "New", json!({"a": 1}));
    assert_eq!(outcome(&event), ["* New: {\"a\":1}"]);
}
