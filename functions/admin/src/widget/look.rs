//! Reads the ledger for the page, in few calls whatever the number of bindings.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{ClusterArn, DominoName};
use pod_identity_engine::ledger::{BindingRecord, SweepCount, Sweeps, View, sweeps_key};

use super::facts::{BlockedBinding, ClusterFacts, Facts, changes, leaving, moves, newest_first};
use crate::actions::status::{Counts, at_a_glance};
use crate::context::AdminContext;
use pod_identity_engine::Error;

/// Most blocked bindings that are shown.
const MOST_BLOCKED: usize = 20;
/// Conditions that one call reads.
const CHUNK: usize = 100;
/// Most conditions that are read in search of blocked ones.
const MOST_READ: usize = 1_000;

pub(super) async fn look(admin: &AdminContext<'_>) -> Result<Facts, Error> {
    let registry = admin.registry().await?;
    let arns: BTreeSet<&ClusterArn> = registry.clusters.keys().collect();
    let mut glance = at_a_glance(admin, &arns).await?;
    let mut sweeps = sweeps(admin, &arns).await?;
    let bindings = admin.bindings().await?;
    let mut clusters = Vec::new();
    for (cluster, record) in &registry.clusters {
        let glance = glance.remove(cluster).unwrap_or_default();
        clusters.push(ClusterFacts {
            cluster: cluster.clone(),
            leaving: leaving(record),
            counts: Counts::noted(record, glance.reconciled.as_ref(), &bindings),
            reconciled: glance.reconciled,
            inside: glance.inside,
            sweeps: sweeps.remove(cluster).unwrap_or_default(),
        });
    }
    let newest = newest_first(&bindings);
    let counted = clusters.iter().filter_map(|one| Some(one.counts.as_ref()?.blocked)).sum();
    let (blocked, blocked_in_all) = blocked(admin, &newest, &arns, counted).await?;
    Ok(Facts {
        deployment: admin.settings.plan.deployment.clone(),
        now: admin.clock.now(),
        bound: bindings.values().filter(|record| record.binding().is_some()).count(),
        moves: moves(&registry, &bindings, &clusters),
        changes: changes(&newest),
        clusters,
        blocked,
        blocked_in_all,
    })
}

async fn sweeps<'c>(
    admin: &AdminContext<'_>,
    clusters: &BTreeSet<&'c ClusterArn>,
) -> Result<BTreeMap<&'c ClusterArn, Vec<SweepCount>>, Error> {
    let keys: Vec<_> = clusters.iter().map(|cluster| sweeps_key(cluster)).collect();
    let mut view = View::default();
    view.read(admin.ledger, &keys).await?;
    let mut all = BTreeMap::new();
    for (cluster, key) in clusters.iter().zip(&keys) {
        let stored = view.get::<Sweeps>(key)?;
        all.insert(*cluster, stored.map(|stored| stored.sweeps).unwrap_or_default());
    }
    Ok(all)
}

/// Blocked bindings, those that changed last first: what was blocked since the last
/// reconciliation, which counted the others, is among them. Also how many there are at least. One call while nothing is blocked.
async fn blocked(
    admin: &AdminContext<'_>,
    newest_first: &[(&DominoName, &BindingRecord)],
    clusters: &BTreeSet<&ClusterArn>,
    counted: usize,
) -> Result<(Vec<BlockedBinding>, usize), Error> {
    let mut found = Vec::new();
    if clusters.is_empty() {
        return Ok((found, 0));
    }
    let mut read = 0;
    for names in newest_first.chunks((CHUNK / clusters.len()).max(1)) {
        let pairs = names.iter().flat_map(|(name, _)| clusters.iter().map(|one| (*name, *one)));
        let conditions = admin.conditions(pairs).await?;
        for (name, _) in names {
            let of_name = clusters.iter().filter_map(|one| {
                conditions.get(&((*name).clone(), (*one).clone())).and_then(BlockedBinding::of)
            });
            found.extend(of_name);
        }
        read += names.len() * clusters.len();
        if found.len() >= counted.min(MOST_BLOCKED) || read >= MOST_READ {
            break;
        }
    }
    let in_all = found.len().max(counted);
    found.truncate(MOST_BLOCKED);
    Ok((found, in_all))
}
