//! A thousand bindings carried over to an empty cluster, with an AWS that takes its time: by the
//! real functions over TLS, and over the model.

mod model;

use std::time::{Duration, Instant};

use local::{Function, InvocationResult, Program, scene, table};
use pod_identity_world::Call;
use serde_json::{Value, json};

use crate::Failure;
use crate::figures::{by_operation, cell, ms, verdict};
use crate::rig::{Rig, Trusted};

const BINDINGS: usize = 1_000;
const ROLES: usize = 40;

/// What each call to AWS takes.
const LATENCY: Duration = Duration::from_millis(25);

/// `CONCURRENCY` as it is when nobody sets it.
const CONCURRENCY: usize = 8;

/// The most calls of the migration: two a binding and 150.
const MOST_CALLS: usize = 2 * BINDINGS + 150;
/// The most that it takes, times what its calls take when always `CONCURRENCY` are under way.
const MOST_TIME: f64 = 1.5;
/// The most calls that answer `status`.
const MAX_ASKED: usize = 10;

/// One invocation: what it called, and how long it took, with the start of its process.
struct Measured {
    calls: Vec<Call>,
    ms: f64,
}

pub(crate) fn run() -> Result<String, Failure> {
    let took = model::migrate()?;
    crate::block_on(by_children(took))
}

async fn by_children(took: model::Took) -> Result<String, Failure> {
    let trusted = Trusted::make("migrate", "")?;
    let mut rig = Rig::start(Program::myself("association")?, &trusted).await?;
    rig.settle().await?;
    // One is bound already.
    rig.bind(BINDINGS - 1, ROLES).await?;
    let green = scene::cluster("green")?;
    let to = json!({ "clusterArn": green, "nodeRoleArns": [scene::role("green-eks-nodes")?] });
    let migrate = json!({ "action": "migrate", "mode": "apply", "from": "blue", "to": to });

    let admin = rig.another("admin", Program::myself("admin")?);
    let reconcile = rig.another("reconcile", Program::myself("reconcile")?);
    rig.wire.answer_after(LATENCY);
    let (asked, _) = measure(&rig, &admin, &migrate).await?;
    let (filled, _) = measure(&rig, &reconcile, &json!({ "clusterArn": green })).await?;
    let (status, answer) = measure(&rig, &admin, &json!({ "action": "status" })).await?;

    all_ready(&answer)?;
    Ok(format!(
        "{} ms a call, {CONCURRENCY} calls at a time\n\n{}\n{}",
        LATENCY.as_millis(),
        counted(&asked, &filled, &status),
        timed(&took)
    ))
}

async fn measure(
    rig: &Rig,
    function: &Function,
    payload: &Value,
) -> Result<(Measured, Value), Failure> {
    let before = rig.wire.log().len();
    let begin = Instant::now();
    let result = function.invoke(payload.to_string()).await?;
    let ms = ms(begin.elapsed());
    let calls = rig.wire.log().split_off(before);
    match result {
        InvocationResult::Answer(answer) if answer["ok"] != false => {
            Ok((Measured { calls, ms }, answer))
        }
        other => Err(format!("{payload}: {other:?}").into()),
    }
}

/// An error unless the last reconciliation of green found all bindings ready, as `status` tells.
fn all_ready(status: &Value) -> Result<(), Failure> {
    let is_green =
        |one: &&Value| one["clusterArn"].as_str().is_some_and(|arn| arn.ends_with("/green"));
    let green = status["clusters"].as_array().and_then(|all| all.iter().find(is_green));
    let ready = green.and_then(|one| one.pointer("/reconciled/states/ready"));
    match ready == Some(&json!(BINDINGS)) {
        true => Ok(()),
        false => Err(format!("{ready:?} of {BINDINGS} are ready on green: {status:#}").into()),
    }
}

/// What so many calls take when always as many are under way as may be.
fn least_ms(calls: usize) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let rounds = calls as f64 / CONCURRENCY as f64;
    rounds * ms(LATENCY)
}

fn counted(asked: &Measured, filled: &Measured, status: &Measured) -> String {
    let all = [asked, filled, status];
    let row = |name: &str, [a, b, c]: [String; 3]| [name.to_owned(), a, b, c];
    let counts = by_operation(all.map(|one| one.calls.as_slice()));
    let mut rows: Vec<[String; 4]> =
        counts.into_iter().map(|(operation, cells)| row(&operation, cells)).collect();
    rows.push(row("all", all.map(|one| one.calls.len().to_string())));
    rows.push(row("ms", all.map(|one| cell(one.ms))));
    let headings = ["operation", "admin: migrate", "reconcile: green", "admin: status"];
    let (calls, asks) = (asked.calls.len() + filled.calls.len(), status.calls.len());
    let (wall, least) = (asked.ms + filled.ms, least_ms(calls));
    #[allow(clippy::cast_precision_loss)]
    let of = |count: usize, most: usize| verdict(count as f64, most as f64);
    format!(
        "{BINDINGS} bindings and {ROLES} roles carried over to an empty cluster, by the functions \
         over TLS\n{}\n\
         Calls of the migration: {calls} of {MOST_CALLS}, {}\n\
         Calls of status: {asks} of {MAX_ASKED}, {}\n\
         Time of the migration with the embedded AWS's own: {wall:.0} ms, {:.2} times the \
         {least:.0} ms of its calls\n",
        table(headings, &rows),
        of(calls, MOST_CALLS),
        of(asks, MAX_ASKED),
        wall / least,
    )
}

fn timed(took: &model::Took) -> String {
    let (least, calls) = (least_ms(took.calls), took.calls);
    let times = ms(took.all) / least;
    format!(
        "The same over the model, where nothing but calls takes time\n  \
         {:.0} ms: {times:.2} times the {least:.0} ms of {calls} calls, {CONCURRENCY} at a time; \
         at most {MOST_TIME}, {}\n",
        ms(took.all),
        verdict(times, MOST_TIME),
    )
}
