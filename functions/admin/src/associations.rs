//! Associations of a cluster that the ledger does not know.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use pod_identity_core::{Association, ClusterArn, DominoName};
use pod_identity_engine::chain;
use pod_identity_engine::ledger::{BindingRecord, Registry};
use pod_identity_engine::ports::{
    AssociationFilter, AssociationSummary, Clock, ClusterAccess, KubernetesReader,
};

use crate::desk::{Desk, Looks};

/// All associations of a cluster, as a list tells them.
pub(crate) async fn list<R, K, C>(
    desk: &Desk<'_, R, K, C>,
    access: &ClusterAccess,
) -> Result<Vec<AssociationSummary>, String>
where
    R: Looks,
    K: KubernetesReader,
    C: Clock,
{
    let (mut all, mut next) = (Vec::new(), None::<String>);
    let filter = AssociationFilter::default();
    loop {
        desk.hurry()?;
        let page = desk.reader.associations(access, &filter, next.as_deref()).await;
        let page = page.map_err(|error| chain(&error))?;
        all.extend(page.items);
        next = page.next;
        if next.is_none() {
            return Ok(all);
        }
    }
}

/// Associations of a cluster that no condition of the ledger names: foreign, owned by add-ons, or
/// orphans. Only these are described.
pub(crate) async fn unknown<R, K, C>(
    desk: &Desk<'_, R, K, C>,
    registry: &Registry,
    cluster: &ClusterArn,
    bindings: &BTreeMap<DominoName, BindingRecord>,
) -> Result<Vec<Association>, String>
where
    R: Looks,
    K: KubernetesReader,
    C: Clock,
{
    let access = &desk.access(registry, cluster);
    let summaries = list(desk, access).await?;
    let conditions = desk.conditions(bindings.keys().map(|name| (name, cluster))).await?;
    let known: BTreeSet<&str> = conditions
        .values()
        .filter_map(|condition| Some(condition.association.as_ref()?.id.as_str()))
        .collect();
    let others = summaries.iter().filter(|one| !known.contains(one.id.as_str()));
    let describe = |summary: &AssociationSummary| {
        let id = summary.id.clone();
        async move {
            desk.hurry()?;
            desk.reader.association(access, &id).await.map_err(|error| chain(&error))
        }
    };
    let found: Vec<Option<Association>> = stream::iter(others)
        .map(describe)
        .buffered(desk.settings.concurrency)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}
