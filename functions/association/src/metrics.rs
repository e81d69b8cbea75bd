//! Metrics of an invocation.

use std::time::Duration;

use pod_identity_engine::{BatchReport, Outcome};
use pod_identity_function::{capacity, line, now};
use serde_json::{Value, json};

/// Name of the function, the dimension of its metrics.
const NAME: &str = "association";

/// Writes the metrics of an invocation.
pub(crate) fn write(deployment: &str, report: &BatchReport, took: Duration) {
    for line in lines(deployment, report, took, now()) {
        println!("{line}");
    }
}

/// The lines: one of counts, and one for each cluster whose node policies were looked at.
pub(crate) fn lines(
    deployment: &str,
    report: &BatchReport,
    took: Duration,
    now: Duration,
) -> Vec<Value> {
    let count = |outcomes: &[Outcome]| {
        report.records.iter().filter(|record| outcomes.contains(&record.outcome)).count()
    };
    let steps: usize = report.clusters.values().map(|cluster| cluster.steps).sum();
    let busiest = report.busiest.as_ref().map_or(0, |(_, changes)| *changes);
    let accepted = [
        Outcome::Applied,
        Outcome::Blocked,
        Outcome::Waiting,
        Outcome::Registered,
        Outcome::RetirementRequested,
    ];
    let mut lines = vec![line(
        now,
        json!({ "Deployment": deployment, "Function": NAME }),
        &[
            ("Accepted", "Count", json!(count(&accepted))),
            ("Repeated", "Count", json!(count(&[Outcome::Repeated, Outcome::AlreadySuperseded]))),
            ("Superseded", "Count", json!(count(&[Outcome::Superseded]))),
            ("Rejected", "Count", json!(count(&[Outcome::Rejected]))),
            ("Blocked", "Count", json!(count(&[Outcome::Blocked]))),
            ("Applied", "Count", json!(count(&[Outcome::Applied]))),
            ("Failed", "Count", json!(count(&[Outcome::Failed]))),
            ("Steps", "Count", json!(steps)),
            ("ChangesOfOneName", "Count", json!(busiest)),
            ("Latency", "Milliseconds", json!(took.as_secs_f64() * 1000.0)),
        ],
    )];
    // Nothing when there is none: only a reconciliation knows that nothing is blocked.
    let blocked = count(&[Outcome::Blocked]);
    if blocked > 0 {
        let blocked = ("BindingsBlocked", "Count", json!(blocked));
        lines.push(line(now, json!({ "Deployment": deployment }), &[blocked]));
    }
    for (cluster, report) in &report.clusters {
        if let Some(found) = &report.capacity {
            let cluster = json!({ "Deployment": deployment, "Cluster": cluster.name() });
            lines.push(line(now, cluster, &capacity(found)));
        }
    }
    lines
}
