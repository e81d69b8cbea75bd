//! What ends by itself is no error: whoever asked is told when to ask again.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::ClusterArn;
use pod_identity_engine::{Record, Run, Settings, record};
use pod_identity_world::{World, WorldPorts, deployment_settings};
use reconcile::{Function, Invocation};
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
        writer: Some(ports),
        clock: ports,
        settings,
        own_roles: &[],
        domino: None,
        deadline_margin: Duration::ZERO,
    };
    let seconds = u64::try_from(in_seconds(ports, 60).as_second()).unwrap();
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    pod_identity_world::drive(function.invoke(payload, "request", deadline), || {}).unwrap()
}

/// Cluster blue is registered, and svc-etl is accepted and waits for a reconciliation.
fn scene() -> (WorldPorts, Settings) {
    let mut world = World::new(1, ACCOUNT, NOW.parse().unwrap());
    let nodes = format!("arn:aws:iam::{ACCOUNT}:role/blue-eks-nodes").parse().unwrap();
    world.add_cluster(&blue(), &[("compute", &nodes)]);
    let ports = WorldPorts::new(Arc::new(Mutex::new(world)), "reconcile");
    let settings = deployment_settings(ACCOUNT);
    let registered = json!({
        "schemaVersion": 1, "eventId": "e-1", "occurredAt": NOW, "clusterArn": blue(),
    });
    let assigned = json!({
        "schemaVersion": 1, "eventId": "e-2", "occurredAt": NOW, "serviceAccount": "svc-etl",
        "roleArn": format!("arn:aws:iam::{ACCOUNT}:role/domino/etl"),
    });
    let records = [
        event("domino.administration", "Cluster Registered", &registered),
        event("domino.automation", "Service Account Role Assigned", &assigned),
    ]
    .map(|event| Record { id: "m".to_owned(), text: event.to_string(), deliveries: 0 });
    let run = Run::new("r", ports.world().now);
    let context = ports.context(&run, &settings, in_seconds(&ports, 60));
    pod_identity_world::drive(
        record(context, ports.writers().ledger, ports.writers().bus, &records),
        || {},
    )
    .unwrap();
    (ports, settings)
}

#[test]
fn a_reconciliation_that_waits_for_another_run_is_answered_with_when_to_ask_again() {
    let (ports, settings) = scene();
    let request = json!({ "clusterArn": blue() });
    hold(&ports);
    let until = in_seconds(&ports, 3_601).to_string();
    let done = invoke(&ports, &settings, request.clone());
    assert_eq!(done.waiting, 1);
    let answer = done.answer.unwrap();
    assert_eq!(answer["askAgainAt"], until.as_str(), "{answer}");
    let done = invoke(&ports, &settings, batch(&request));
    assert_eq!(done.waiting, 1);
    assert_eq!(done.answer.unwrap()["batchItemFailures"][0]["itemIdentifier"], "m");
}
