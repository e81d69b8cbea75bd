//! Metrics of an invocation: one line for each cluster, and one for Domino where it was asked.

use std::time::Duration;

use pod_identity_aws::Settings;
use pod_identity_core::ClusterArn;
use pod_identity_engine::ledger::ConditionState;
use pod_identity_engine::{DominoCheck, Error, Reconciled, Retirement};
use pod_identity_function::{capacity, line, now};
use serde_json::{Value, json};

/// Writes the metrics of a cluster's reconciliation.
pub(crate) fn write(settings: &Settings, cluster: &ClusterArn, done: &Reconciled, took: Duration) {
    let Settings { deployment_id, max_names, .. } = settings;
    println!("{}", metrics(deployment_id, *max_names, cluster, done, took, now()));
}

pub(crate) fn metrics(
    deployment: &str,
    max_names: usize,
    cluster: &ClusterArn,
    done: &Reconciled,
    took: Duration,
    now: Duration,
) -> Value {
    let retirement_blockers = match &done.retirement {
        Some(Retirement::RetirementBlocked(names)) => names.len(),
        _ => 0,
    };
    // Only a run over the whole cluster counts them, and an alarm goes by them.
    let blocked = done.bindings.map(|_| done.states.get(&ConditionState::Blocked));
    let blocked = blocked.map(|count| count.copied().unwrap_or_default());
    let mut metrics = vec![
        ("Reconciled", "Count", json!(u8::from(done.skipped.is_none() && done.left.is_none()))),
        ("ClusterSkipped", "Count", json!(u8::from(done.skipped.is_some()))),
        ("PlacesLookedAt", "Count", json!(done.places)),
        ("BindingsOutOfOrder", "Count", json!(done.needed.len())),
        ("BindingsFailed", "Count", json!(done.failures.len())),
        ("DriftCorrected", "Count", json!(done.corrected.len())),
        ("Orphans", "Count", json!(done.orphans.len())),
        ("LedgerOlderThanCluster", "Count", json!(u8::from(done.halted.is_some()))),
        ("RolesTrimmed", "Count", json!(done.trimmed.len())),
        ("PoliciesDeleted", "Count", json!(done.deleted_policies.len())),
        ("RetirementBlocked", "Count", json!(retirement_blockers)),
        ("Steps", "Count", json!(done.steps)),
        ("ReconcileLatency", "Milliseconds", json!(took.as_secs_f64() * 1000.0)),
    ];
    let percent = |names: usize| names.saturating_mul(100) / max_names.max(1);
    metrics.extend(done.names.map(|names| ("NamesUsed", "Percent", json!(percent(names)))));
    metrics.extend(blocked.map(|count| ("BindingsBlocked", "Count", json!(count))));
    metrics.extend(done.capacity.iter().flat_map(capacity));
    line(now, json!({ "Deployment": deployment, "Cluster": cluster.name() }), &metrics)
}

/// Writes the metrics of a look at Domino.
pub(crate) fn write_domino(deployment: &str, check: &Result<DominoCheck, Error>) {
    println!("{}", domino(deployment, check, now()));
}

/// A look that failed found nothing: of it there is only that it failed, or lists would seem empty.
pub(crate) fn domino(deployment: &str, check: &Result<DominoCheck, Error>, now: Duration) -> Value {
    let mut metrics = vec![("DominoFailed", "Count", json!(u8::from(check.is_err())))];
    if let Ok(DominoCheck { found, unbound, failures: _ }) = check {
        metrics.extend([
            ("DominoDeactivated", "Count", json!(found.deactivated.len())),
            ("DominoGone", "Count", json!(found.gone.len())),
            ("DominoUnbound", "Count", json!(unbound.len())),
            ("DominoHalted", "Count", json!(u8::from(found.doubt.is_some()))),
        ]);
    }
    line(now, json!({ "Deployment": deployment }), &metrics)
}
