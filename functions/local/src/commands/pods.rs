//! The story inside blue: what Domino's pods hold when bindings change under them.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_core::ClusterArn;
use pod_identity_events::{Envelope, detail_type, source};
use pod_identity_world::{ApiStatus, DominoPod, World};
use serde_json::{Value, json};

use super::{invoke, problem, say};
use crate::function::Function;
use crate::scene::{ACCOUNT, REGION, cluster, role};
use crate::show;
use crate::stage::Stage;

/// Longer than the scene's `SWEEP_SETTLE_SECONDS`, and than what Kubernetes cuts off a pod's
/// time of admission.
const SETTLES: Duration = Duration::from_millis(2_200);

/// What the sweep is expected to find, and to do about it.
const EXPECTED: [(&str, &str); 5] = [
    ("revoked", "evicted"),
    ("changed", "evicted"),
    ("changed", "reported"),
    ("missing", "reported"),
    ("unmapped", "reported"),
];

/// Plays it; answers what should not have happened.
pub(super) async fn play(stage: &mut Stage) -> Vec<String> {
    let blue = match cluster("blue") {
        Ok(blue) => blue,
        Err(error) => return vec![error.to_string()],
    };
    let request = json!({ "clusterArn": blue });
    let mut problems = Vec::new();
    say("The workloads function looks inside blue: service accounts and domsed's mapping");
    let (_, problem) = tend(stage, &request).await;
    problems.extend(problem);
    tokio::time::sleep(SETTLES).await;
    if let Err(error) = start_pods(&mut stage.wire().world(), &blue) {
        problems.push(format!("a pod was not started: {}", error.message));
    }
    say("\nJobs and workspaces run, one of them too early: svc-late is not bound yet");
    say(&pods(stage, &blue));
    tokio::time::sleep(SETTLES).await;
    say("svc-etl loses its role, svc-notebook gets another, svc-late gets its first");
    problems.extend(change(stage).await);
    tokio::time::sleep(SETTLES).await;
    say("\nThe workloads function sweeps blue");
    let (answer, problem) = tend(stage, &request).await;
    problems.extend(problem);
    let table = answer.pointer("/sweeps/0/text").and_then(Value::as_str).unwrap_or_default();
    say(&format!("\n{table}"));
    problems.extend(outcomes(&stage.new_events()));
    tokio::time::sleep(SETTLES).await;
    say(
        "\nIt looks again: what comes instead of an evicted pod works as the new role, and nobody is told twice",
    );
    problems.extend(tend(stage, &request).await.1);
    for event in stage.new_events() {
        problems.push(format!("a second look told once more: {}", show::heading(&event)));
    }
    say(&pods(stage, &blue));
    problems
}

/// Invokes the workloads function and prints what it says; answers its answer, and what went wrong.
async fn tend(stage: &Stage, request: &Value) -> (Value, Option<String>) {
    let function: &Function = stage.workloads();
    let (answer, problem) = invoke(function, request).await;
    let said = answer.get("text").and_then(Value::as_str).unwrap_or_default();
    say(&format!("  {said}"));
    (answer, problem)
}

fn start_pods(world: &mut World, blue: &ClusterArn) -> Result<(), ApiStatus> {
    // An operator made this one before anybody bound it.
    world.add_service_account(blue, "domino-compute", "svc-late-sa", &[])?;
    world.add_service_account(blue, "domino-compute", "run-0123456789abcdef01234567", &[])?;
    let pods = [
        DominoPod::new("svc-etl-sa", "svc-etl").owned_by("Job"),
        DominoPod::new("svc-notebook-sa", "svc-notebook")
            .workload_type("Workspace")
            .owned_by("ReplicaSet"),
        DominoPod::new("svc-notebook-sa", "svc-notebook"),
        DominoPod::new("svc-report-sa", "svc-report").workload_type("App").owned_by("ReplicaSet"),
        DominoPod::new("svc-late-sa", "svc-late"),
        DominoPod::new("run-0123456789abcdef01234567", "svc-report"),
    ];
    for pod in &pods {
        world.add_domino_pod(blue, pod)?;
    }
    Ok(())
}

/// Sends the three events through the association function.
async fn change(stage: &mut Stage) -> Vec<String> {
    let assigned = |name: &str, to: &str| {
        let role = role(to).map(|role| role.to_string()).unwrap_or_default();
        envelope(detail_type::ROLE_ASSIGNED, name, json!({ "roleArn": role }))
    };
    let events = [
        envelope(detail_type::ROLE_UNASSIGNED, "svc-etl", json!({})),
        assigned("svc-notebook", "domino/new"),
        assigned("svc-late", "domino/report"),
    ];
    for event in events {
        stage.send(event.to_string());
    }
    let turns = stage.drain().await;
    for event in stage.new_events() {
        say(&format!("  {}", show::outcome(&event).join("\n  ")));
    }
    turns.iter().filter_map(problem).collect()
}

fn envelope(detail_type: &str, name: &str, mut detail: Value) -> Value {
    let now = Timestamp::now();
    detail["schemaVersion"] = json!(1);
    detail["eventId"] = json!(format!("story-{name}"));
    detail["occurredAt"] = json!(format!("{now:.3}"));
    detail["serviceAccount"] = json!(name);
    json!({
        "version": "0", "id": format!("story-{name}"), "detail-type": detail_type,
        "source": source::AUTOMATION, "account": ACCOUNT, "region": REGION,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "resources": [], "detail": detail,
    })
}

/// Prints what the sweep told; answers what is missing, and what is too much.
fn outcomes(events: &[Envelope]) -> Vec<String> {
    let mut outcomes = Vec::new();
    for event in events {
        say(&format!("  {}", show::outcome(event).join("\n  ")));
        let case = event.detail.get("case").and_then(Value::as_str).unwrap_or_default().to_owned();
        let done = match event.detail_type.as_str() {
            detail_type::STALE_POD_EVICTED => "evicted",
            detail_type::STALE_POD_REPORTED => "reported",
            _ => continue,
        };
        outcomes.push((case, done));
    }
    let outcomes: BTreeSet<(&str, &str)> =
        outcomes.iter().map(|(case, done)| (&**case, *done)).collect();
    let expected = BTreeSet::from(EXPECTED);
    let differ = |of: &BTreeSet<(&str, &str)>, without: &BTreeSet<(&str, &str)>, what: &str| {
        let difference: Vec<String> = of
            .difference(without)
            .map(|(case, done)| format!("a pod that is {case} was {what} {done}"))
            .collect();
        difference
    };
    let mut wrong = differ(&expected, &outcomes, "not");
    wrong.extend(differ(&outcomes, &expected, "unexpectedly"));
    wrong
}

/// The pods of blue, as kubectl shows them.
fn pods(stage: &Stage, blue: &ClusterArn) -> String {
    show::pods(&mut stage.wire().world(), blue)
}
