//! Clusters at a glance: what the last reconciliation and the last look inside noted.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::ClusterArn;
use pod_identity_engine::ledger::{
    InsideCluster, ReconciledRecord, View, inside_key, reconciled_key,
};
use serde_json::{Value, json};

use super::counts::Counts;
use crate::context::AdminContext;
use crate::table::Table;
use pod_identity_engine::Error;

/// What the ledger notes of a cluster as a whole.
#[derive(Debug, Default)]
pub(crate) struct AtAGlance {
    /// None where no run has counted its bindings.
    pub(crate) counts: Option<Counts>,
    pub(crate) reconciled: Option<ReconciledRecord>,
    pub(crate) inside: Option<InsideCluster>,
}

/// What the last reconciliation and the last look inside noted, for all clusters in one read
/// (two, from 51 on).
pub(crate) async fn at_a_glance<'c>(
    admin: &AdminContext<'_>,
    clusters: &BTreeSet<&'c ClusterArn>,
) -> Result<BTreeMap<&'c ClusterArn, AtAGlance>, Error> {
    let keys: Vec<_> =
        clusters.iter().flat_map(|one| [reconciled_key(one), inside_key(one)]).collect();
    let mut view = View::default();
    view.read(admin.ledger, &keys).await?;
    let mut all = BTreeMap::new();
    for cluster in clusters {
        let reconciled = view.get(&reconciled_key(cluster))?;
        let inside = view.get(&inside_key(cluster))?;
        let glance = AtAGlance { counts: None, reconciled, inside };
        all.insert(*cluster, glance);
    }
    Ok(all)
}

/// The same as data.
pub(super) fn data((cluster, glance): (&&ClusterArn, &AtAGlance)) -> Value {
    let AtAGlance { counts, reconciled, inside } = glance;
    let drift = reconciled.as_ref().map(
        |it| json!({ "putBack": it.corrected, "orphans": it.orphans, "failures": it.failures }),
    );
    json!({
        "clusterArn": cluster, "counts": counts, "drift": drift, "reconciled": reconciled,
        "inside": inside,
    })
}

/// One row a cluster, and what somebody should know of it.
pub(super) fn words(glance: &BTreeMap<&ClusterArn, AtAGlance>) -> String {
    let mut text = table(glance).to_string();
    for (cluster, glance) in glance {
        for note in notes(glance) {
            text += &format!("! {}: {note}\n", cluster.name());
        }
    }
    text
}

fn table(glance: &BTreeMap<&ClusterArn, AtAGlance>) -> Table {
    let mut table = Table::new(&[
        "cluster",
        "ready",
        "blocked",
        "pending",
        "waiting",
        "not begun",
        "drift in the last run",
        "node policies",
        "last reconcile",
        "last sweep",
        "stale pods",
        "inside",
    ]);
    for (cluster, AtAGlance { counts, reconciled, inside }) in glance {
        let count = |of: fn(&Counts) -> usize| {
            counts.as_ref().map_or_else(|| "?".to_owned(), |counts| of(counts).to_string())
        };
        let capacity = reconciled.as_ref().and_then(|it| it.capacity.as_ref());
        let capacity = capacity.map(|it| {
            format!("{} of {} policies, {} % full", it.policies, it.max_policies, it.used_percent)
        });
        let swept = inside.as_ref().and_then(|it| it.swept_at).map(|at| at.to_string());
        let stale = inside.as_ref().map(|it| {
            let cases = it.stale.iter().map(|(case, count)| format!("{count} {case}"));
            cases.collect::<Vec<_>>().join(", ")
        });
        let api_access = match inside {
            None => "never looked".to_owned(),
            Some(inside) => match &inside.unreachable {
                Some(_) => "not reachable".to_owned(),
                None => match (inside.failures.len(), inside.missing.len()) {
                    (0, 0) => "ok".to_owned(),
                    (0, lacks) => format!("lacks {lacks} things"),
                    _ => "failed".to_owned(),
                },
            },
        };
        table.row([
            cluster.name().to_owned(),
            counts.as_ref().map_or_else(|| "?".to_owned(), ready),
            count(|counts| counts.blocked),
            count(|counts| counts.pending),
            count(|counts| counts.waiting),
            count(|counts| counts.not_begun),
            reconciled.as_ref().map_or_else(|| "?".to_owned(), drift),
            capacity.unwrap_or_else(|| "?".to_owned()),
            reconciled.as_ref().map_or_else(|| "never".to_owned(), when),
            swept.unwrap_or_else(|| "never".to_owned()),
            stale.unwrap_or_default(),
            api_access,
        ]);
    }
    table
}

fn ready(counts: &Counts) -> String {
    let Counts { ready, bindings, ready_percent, .. } = counts;
    match ready_percent {
        Some(percent) => format!("{ready} of {bindings} ({percent} %)"),
        // Nothing is meant for it: what is there is to go.
        None => ready.to_string(),
    }
}

fn when(reconciled: &ReconciledRecord) -> String {
    let ReconciledRecord { at, skipped, goes_on, .. } = reconciled;
    match (skipped, goes_on) {
        (Some(_), _) => format!("{at} (left alone)"),
        (None, Some(_)) => format!("{at} (goes on)"),
        (None, None) => at.to_string(),
    }
}

/// What the last reconciliation found otherwise than the ledger says: what it corrected, all parts of
/// it taken together, and what is left.
fn drift(reconciled: &ReconciledRecord) -> String {
    let ReconciledRecord { corrected, orphans, failures, .. } = reconciled;
    let shown = [(corrected, "put back"), (orphans, "orphaned"), (failures, "failed")];
    let shown: Vec<String> = shown
        .into_iter()
        .filter(|(count, _)| **count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

fn notes(AtAGlance { counts, reconciled, inside }: &AtAGlance) -> Vec<String> {
    let mut notes = Vec::new();
    let since = counts.as_ref().filter(|counts| counts.changed_since > 0);
    notes.extend(since.map(|Counts { changed_since, counted_at, .. }| {
        format!("counted at {counted_at}, {changed_since} bindings were changed since")
    }));
    let reconciled = reconciled.as_ref();
    let halted = reconciled.and_then(|it| it.halted.as_ref());
    notes.extend(halted.map(|why| format!("halted: {why}")));
    let skipped = reconciled.and_then(|it| it.skipped.as_ref());
    notes.extend(skipped.map(|why| match counts {
        Some(Counts { counted_at, .. }) => {
            format!("left alone by reconcile, bindings counted at {counted_at}: {why}")
        }
        None => format!("left alone by reconcile: {why}"),
    }));
    if let Some(InsideCluster { unreachable, missing, failures, .. }) = inside {
        notes.extend(unreachable.iter().map(|why| format!("nobody can look inside: {why}")));
        notes.extend(missing.iter().map(|it| format!("{}; {}", it.reason, it.remediation)));
        notes.extend(failures.iter().map(|why| format!("failed inside: {why}")));
    }
    notes
}
