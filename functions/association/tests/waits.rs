//! What ends by itself is no error: whoever asked is told when to ask again.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use association::{Function, Invocation};
use jiff::{SignedDuration, Timestamp};
use pod_identity_core::ClusterArn;
use pod_identity_engine::Settings;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{PortFault, When, World, WorldPorts, deployment_settings};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";
const NOW: &str = "2026-11-20T12:00:00Z";

/// Another invocation holds the lease of cluster blue for an hour.
fn hold(ports: &WorldPorts) {
    let until = in_seconds(ports, 3_600);
    ports.world().hold_lease(&blue(), until).unwrap();
}

fn in_seconds(ports: &WorldPorts, seconds: i64) -> Timestamp {
    ports.world().now.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

fn blue() -> ClusterArn {
    ClusterArn::new("aws", "eu-west-1", ACCOUNT, "blue").unwrap()
}

fn event(source: &str, detail_type: &str, detail: &Value) -> Value {
    json!({
        "version": "0", "id": "d", "source": source, "detail-type": detail_type,
        "account": ACCOUNT, "region": "eu-west-1", "time": NOW, "resources": [], "detail": detail,
    })
}

fn batch(event: &Value) -> Value {
    let body = event.to_string();
    json!({ "Records": [{ "messageId": "m", "eventSource": "aws:sqs", "body": body }] })
}

fn invoke(ports: &WorldPorts, settings: &Settings, payload: Value) -> Invocation {
    let function = Function {
        reader: ports,
        writer: ports,
        clock: ports,
        settings,
        deadline_margin: Duration::ZERO,
    };
    let seconds = u64::try_from(in_seconds(ports, 60).as_second()).unwrap();
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    pod_identity_world::drive(function.invoke(payload, "request", deadline), || {}).unwrap()
}

/// Cluster blue is registered, and svc-etl is to work as role etl.
fn scene() -> (WorldPorts, Settings, Value) {
    let world = World::new(1, ACCOUNT, NOW.parse().unwrap());
    let ports = WorldPorts::new(Arc::new(Mutex::new(world)), "association");
    let settings = deployment_settings(ACCOUNT);
    let detail = json!({
        "schemaVersion": 1, "eventId": "e-1", "occurredAt": NOW, "clusterArn": blue(),
    });
    let registered = event("domino.administration", "Cluster Registered", &detail);
    invoke(&ports, &settings, registered).answer.unwrap();
    let detail = json!({
        "schemaVersion": 1, "eventId": "e-2", "occurredAt": NOW, "serviceAccount": "svc-etl",
        "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/domino/etl"),
    });
    let assigned = event("domino.automation", "Service Account Role Assigned", &detail);
    (ports, settings, assigned)
}

#[test]
fn an_event_that_waits_for_another_run_is_answered_with_when_to_send_it_again() {
    let (ports, settings, assigned) = scene();
    hold(&ports);
    let until = in_seconds(&ports, 3_601).to_string();
    let done = invoke(&ports, &settings, assigned);
    assert_eq!(done.waiting, 1);
    let answer = done.answer.unwrap();
    assert_eq!(answer["askAgainAt"], until.as_str(), "{answer}");
    let text = answer["text"].as_str().unwrap();
    assert!(text.contains("invocation somebody") && text.contains("ask again after"), "{text}");
}

#[test]
fn a_message_that_waits_comes_back_and_is_counted() {
    let (ports, settings, assigned) = scene();
    hold(&ports);
    let done = invoke(&ports, &settings, batch(&assigned));
    assert_eq!(done.waiting, 1);
    assert_eq!(done.answer.unwrap()["batchItemFailures"][0]["itemIdentifier"], "m");
}

#[test]
fn a_call_that_fails_is_an_error_and_nothing_that_waits() {
    let (ports, settings, assigned) = scene();
    {
        ports.fault(PortFault::nth(
            "ListPodIdentityAssociations",
            1,
            When::Before,
            ErrorKind::Passing,
        ));
    }
    let done = invoke(&ports, &settings, assigned);
    assert_eq!(done.waiting, 0);
    let why = done.answer.unwrap_err().to_string();
    assert!(why.contains("the event of svc-etl is not finished"), "{why}");
}
