//! The functions that look at whole clusters: what they call, how long they take to start, and
//! what memory they need.

use std::path::Path;
use std::time::{Duration, Instant};

use local::{Function, InvocationResult, table};
use pod_identity_world::Call;
use serde_json::{Value, json};

use crate::Failure;
use crate::figures::{Figures, by_operation, cell, ms, verdict};
use crate::function::{built, process, size};
use crate::rig::{self, ROLES, Rig, Trusted};

const BINDINGS: usize = 1_000;
const PODS_OF_EACH: usize = 10;
/// Service accounts that lose their role before the sweep.
const REVOKED: usize = 4;
const BUILD: &str = "cargo build --release -p association -p reconcile -p workloads";

/// Longer than the scene's SWEEP_SETTLE_SECONDS and what Kubernetes cuts off a time.
const SETTLES: Duration = Duration::from_millis(2_200);

/// What was measured of one function.
#[derive(Default)]
struct Measured {
    start: Figures,
    start_cpu: Figures,
    /// Peak memory before any invocation, MB.
    idle: Figures,
    took: Figures,
    cpu: Figures,
    peak: Figures,
    calls: Vec<Call>,
}

pub(crate) async fn run(rounds: usize) -> Result<String, Failure> {
    let association = built("association", BUILD)?;
    let trusted = Trusted::make("clusters", "")?;
    let mut rig = Rig::start(rig::program(&association), &trusted).await?;
    rig.settle().await?;
    rig.bind(BINDINGS, ROLES).await?;

    let reconcile = built("reconcile", BUILD)?;
    let workloads = built("workloads", BUILD)?;
    // What the first look at a cluster makes is not steady yet.
    measure(&rig, "reconcile", &reconcile, &mut Measured::default()).await?;
    measure(&rig, "workloads", &workloads, &mut Measured::default()).await?;
    tokio::time::sleep(SETTLES).await;
    rig.start_pods(BINDINGS, PODS_OF_EACH)?;
    tokio::time::sleep(SETTLES).await;

    let (mut steady, mut quiet, mut sweep) = Default::default();
    for _ in 0..rounds {
        measure(&rig, "reconcile", &reconcile, &mut steady).await?;
        measure(&rig, "workloads", &workloads, &mut quiet).await?;
    }
    let lost: Vec<Value> = (0..REVOKED).map(|n| rig.unassigned(&format!("svc-{n}"))).collect();
    rig.deliver(&lost).await?;
    measure(&rig, "workloads", &workloads, &mut sweep).await?;

    // Every role is another one now, and nobody is evicted for it: all pods that there are, are reported.
    rig.assign(BINDINGS, |n| (n + 1) % ROLES).await?;
    rig.set("SWEEP_POLICY", "*=report");
    tokio::time::sleep(SETTLES).await;
    let mut report = Measured::default();
    measure(&rig, "workloads", &workloads, &mut report).await?;

    let sizes = [size::of(&reconcile)?, size::of(&workloads)?];
    Ok(format!(
        "{}\n{}\n{}",
        calls(&steady, &quiet, &sweep),
        functions(&steady, &quiet, &sizes, rounds),
        memory(&sweep, &report)
    ))
}

/// A start, and one invocation for blue.
async fn measure(
    rig: &Rig,
    name: &str,
    path: &Path,
    measured: &mut Measured,
) -> Result<(), Failure> {
    let function: Function = rig.another(name, rig::program(path));
    tokio::time::sleep(Duration::from_millis(30)).await;
    let ready = function.ready().await?;
    let cpu = process::cpu_ms(ready.process_id)?;
    measured.start.add(ms(ready.since - ready.started));
    measured.start_cpu.add(cpu);
    measured.idle.add(process::peak_mb(ready.process_id)?);
    let before = rig.wire.log().len();
    let begin = Instant::now();
    let blue = local::scene::cluster("blue")?;
    let result = function.invoke(json!({ "clusterArn": blue }).to_string()).await?;
    measured.took.add(ms(begin.elapsed()));
    if !matches!(result, InvocationResult::Answer(_)) {
        return Err(format!("{name} did not do its work: {result:?}").into());
    }
    function.ready().await?;
    measured.cpu.add(process::cpu_ms(ready.process_id)? - cpu);
    measured.peak.add(process::peak_mb(ready.process_id)?);
    measured.calls = rig.wire.log().split_off(before);
    Ok(())
}

fn calls(steady: &Measured, quiet: &Measured, sweep: &Measured) -> String {
    let all = [steady, quiet, sweep];
    let counts = by_operation(all.map(|measured| measured.calls.as_slice()));
    let mut rows: Vec<[String; 4]> =
        counts.into_iter().map(|(operation, [a, b, c])| [operation, a, b, c]).collect();
    let [a, b, c] = all.map(|measured| measured.calls.len().to_string());
    rows.push(["all".to_owned(), a, b, c]);
    let headings = [
        "operation".to_owned(),
        format!("reconcile, {BINDINGS} steady"),
        format!("sweep, {} pods, none stale", BINDINGS * PODS_OF_EACH),
        format!("the same, {} revoked", REVOKED * PODS_OF_EACH),
    ];
    format!("Calls for one cluster\n{}", table(headings.each_ref().map(String::as_str), &rows))
}

fn functions(
    steady: &Measured,
    quiet: &Measured,
    sizes: &[size::Size; 2],
    rounds: usize,
) -> String {
    let row = |name: &str, figure: &dyn Fn(&Measured) -> &Figures| {
        [name.to_owned(), cell(figure(steady).median()), cell(figure(quiet).median())]
    };
    let rows = [
        row("start to first `next`, ms", &|one| &one.start),
        row("start, CPU ms", &|one| &one.start_cpu),
        row("memory before the first invocation, MB", &|one| &one.idle),
        row("the invocation, ms", &|one| &one.took),
        row("the invocation, CPU ms", &|one| &one.cpu),
        row("peak memory, MB", &|one| &one.peak),
        ["binary, MB".to_owned(), cell(sizes[0].binary_mb), cell(sizes[1].binary_mb)],
        ["zipped, MB".to_owned(), cell(sizes[0].zip_mb), cell(sizes[1].zip_mb)],
    ];
    let reconcile = format!("reconcile, {BINDINGS} steady");
    let workloads = format!("workloads, {} pods", BINDINGS * PODS_OF_EACH);
    format!(
        "Each from a cold start, over TLS; medians of {rounds} rounds\n{}",
        table(["", &reconcile, &workloads], &rows)
    )
}

fn memory(sweep: &Measured, report: &Measured) -> String {
    let line = |what: &str, measured: &Measured, goal: f64| {
        let (peak, verdict) = (measured.peak.median(), verdict(measured.peak.median(), goal));
        format!("Peak memory of the sweep that {what}: {peak:.2} MB of {goal:.0}, {verdict}\n")
    };
    let published = report.calls.iter().filter(|call| call.operation == "PutEvents").count();
    let reports = format!("reports every pod, in {published} calls of PutEvents");
    line("evicts", sweep, 64.0) + &line(&reports, report, 80.0)
}
