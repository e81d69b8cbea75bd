//! Metrics of an invocation: one line for each cluster.

use std::time::Duration;

use pod_identity_core::ClusterArn;
use pod_identity_core::sweep::Case;
use pod_identity_engine::InsideReport;
use pod_identity_function::{Metric, line, now};
use serde_json::{Value, json};

/// Writes the metrics of a cluster.
pub(crate) fn write(deployment: &str, cluster: &ClusterArn, report: &InsideReport, took: Duration) {
    println!("{}", metrics(deployment, cluster, report, took, now()));
}

pub(crate) fn metrics(
    deployment: &str,
    cluster: &ClusterArn,
    report: &InsideReport,
    took: Duration,
    now: Duration,
) -> Value {
    let count = |number: usize| json!(number);
    let of = |what: fn(&pod_identity_engine::ledger::InsideBinding) -> bool| {
        count(report.bindings.values().filter(|binding| what(binding)).count())
    };
    let mut metrics: Vec<Metric> = vec![
        ("LookedInside", "Count", json!(u8::from(report.skipped.is_none()))),
        ("ClusterClosed", "Count", json!(u8::from(report.skipped.is_some()))),
        ("ClusterLacks", "Count", count(report.missing.len())),
        ("BindingsEffective", "Count", of(|binding| binding.effective.is_some())),
        ("BindingsShadowed", "Count", of(|binding| binding.shadowed.is_some())),
        ("BindingsUnmapped", "Count", of(|binding| binding.blocked.is_some())),
        ("InsideFailed", "Count", count(report.failed().count())),
        ("WorkloadsLatency", "Milliseconds", json!(took.as_secs_f64() * 1000.0)),
    ];
    if let Some(done) = &report.sweep {
        let sweep = &done.sweep;
        metrics.extend([
            ("PodsLookedAt", "Count", count(sweep.pods)),
            ("PodsEvicted", "Count", count(done.evicted.len())),
            ("PodsDeleted", "Count", count(done.deleted.len())),
            ("EvictionsBlocked", "Count", count(done.blocked.len())),
            ("EvictionsFailed", "Count", count(done.failures.len())),
            ("PodsHeldBack", "Count", count(sweep.held_back.len())),
            ("SweepHalted", "Count", json!(u8::from(sweep.halted.is_some()))),
            ("SweepCeilingHit", "Count", count(sweep.ceilings.len())),
        ]);
        for case in Case::ALL {
            let found = done.stale.get(&case).copied().unwrap_or_default();
            metrics.push((name(case), "Count", count(found)));
        }
    }
    line(now, json!({ "Deployment": deployment, "Cluster": cluster.name() }), &metrics)
}

/// Stale pods of a case.
fn name(case: Case) -> &'static str {
    match case {
        Case::Revoked => "PodsRevoked",
        Case::Changed => "PodsChanged",
        Case::Recreated => "PodsRecreated",
        Case::Shadowed => "PodsShadowed",
        Case::Excluded => "PodsExcluded",
        Case::Missing => "PodsMissing",
        Case::Unmapped => "PodsUnmapped",
    }
}
