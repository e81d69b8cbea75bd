//! Clusters at a glance: what the last reconciliation and the last look inside noted.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{ClusterArn, DominoName};
use pod_identity_engine::chain;
use pod_identity_engine::ledger::{
    ConditionState, InsideBinding, InsideCluster, ReconciledRecord, View, inside_key,
    inside_partition, reconciled_key,
};
use pod_identity_engine::ports::{Clock, KubernetesReader};
use serde_json::{Value, json};

use crate::desk::{Desk, Looks};
use crate::table::Table;

/// What the ledger notes of a cluster as a whole.
#[derive(Debug, Default)]
pub(crate) struct AtAGlance {
    pub(crate) reconciled: Option<ReconciledRecord>,
    pub(crate) inside: Option<InsideCluster>,
}

/// What the last reconciliation and the last look inside noted, for all clusters in one read.
pub(crate) async fn at_a_glance<'c>(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    clusters: &BTreeSet<&'c ClusterArn>,
) -> Result<BTreeMap<&'c ClusterArn, AtAGlance>, String> {
    let keys: Vec<_> =
        clusters.iter().flat_map(|one| [reconciled_key(one), inside_key(one)]).collect();
    let mut view = View::default();
    view.read(desk.reader, &keys).await.map_err(|error| chain(&error))?;
    let mut all = BTreeMap::new();
    for cluster in clusters {
        let reconciled = view.get(&reconciled_key(cluster)).map_err(|error| chain(&error))?;
        let inside = view.get(&inside_key(cluster)).map_err(|error| chain(&error))?;
        let glance = AtAGlance {
            reconciled: reconciled.map(|stored| stored.record),
            inside: inside.map(|stored| stored.record),
        };
        all.insert(*cluster, glance);
    }
    Ok(all)
}

/// What workloads runs remember of bindings inside a cluster: one query.
pub(super) async fn inside_bindings(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    cluster: &ClusterArn,
) -> Result<BTreeMap<DominoName, InsideBinding>, String> {
    let partition = inside_partition(cluster);
    let mut view = View::default();
    view.query(desk.reader, &partition, "").await.map_err(|error| chain(&error))?;
    let all = view.all_keyed::<InsideBinding>(&partition).map_err(|error| chain(&error))?;
    Ok(all.into_iter().filter_map(|(name, it)| Some((name.parse().ok()?, it))).collect())
}

/// The same as data.
pub(super) fn data((cluster, glance): (&&ClusterArn, &AtAGlance)) -> Value {
    json!({ "clusterArn": cluster, "reconciled": glance.reconciled, "inside": glance.inside })
}

/// One row a cluster.
pub(super) fn table(glance: &BTreeMap<&ClusterArn, AtAGlance>) -> Table {
    let mut table = Table::new(&[
        "cluster",
        "ready",
        "blocked",
        "pending",
        "drift",
        "node policies",
        "last reconcile",
        "last sweep",
        "stale pods",
        "inside",
    ]);
    for (cluster, AtAGlance { reconciled, inside }) in glance {
        let count = |state| {
            let states = reconciled.as_ref().map(|it| it.states.get(&state).copied());
            states.map(|count| count.unwrap_or_default().to_string()).unwrap_or("?".to_owned())
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
        let way_in = match inside {
            None => "never looked".to_owned(),
            Some(inside) => match &inside.unreachable {
                Some(_) => "nobody can look".to_owned(),
                None => match inside.missing.len() {
                    0 => "ok".to_owned(),
                    lacks => format!("lacks {lacks} things"),
                },
            },
        };
        table.row([
            cluster.name().to_owned(),
            count(ConditionState::Ready),
            count(ConditionState::Blocked),
            count(ConditionState::Pending),
            reconciled.as_ref().map_or_else(|| "?".to_owned(), drift),
            capacity.unwrap_or_else(|| "?".to_owned()),
            reconciled.as_ref().map_or("never".to_owned(), |it| match &it.skipped {
                Some(_) => format!("{} (left alone)", it.at),
                None => it.at.to_string(),
            }),
            swept.unwrap_or_else(|| "never".to_owned()),
            stale.unwrap_or_default(),
            way_in,
        ]);
    }
    table
}

/// What the last reconciliation found otherwise than the ledger says, and could not mend.
fn drift(reconciled: &ReconciledRecord) -> String {
    let ReconciledRecord { corrected, orphans, failures, .. } = reconciled;
    let told = [(corrected, "put back"), (orphans, "orphaned"), (failures, "failed")];
    let told: Vec<String> = told
        .into_iter()
        .filter(|(count, _)| **count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}
