//! Associations of a cluster, as EKS shows them.
//!
//! Whoever only looks is told what was not read in time; whoever goes on from what is there needs all
//! of it.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use pod_identity_core::{Association, ClusterArn, DominoName};
use pod_identity_engine::ledger::{BindingRecord, Registry};
use pod_identity_engine::ports::{AssociationFilter, AssociationSummary, ClusterAccess, PortError};

use crate::context::{AdminContext, OVER};
use pod_identity_engine::Error;

/// What a list shows, as far as there was time.
struct ListedAssociations {
    summaries: Vec<AssociationSummary>,
    /// Whether the list goes on.
    more: bool,
}

/// Associations in full, as far as there was time.
#[derive(Debug, Default)]
pub(crate) struct Associations {
    /// In order of their places.
    pub(crate) found: Vec<Association>,
    /// Those that were listed and not looked at.
    pub(crate) unread: usize,
    /// Whether the list itself goes on.
    more: bool,
}

impl Associations {
    /// What was not read, in words; none when all was.
    pub(crate) fn lack(&self) -> Option<String> {
        lack(self.unread, self.more)
    }
}

fn lack(unread: usize, more: bool) -> Option<String> {
    let what = match (unread, more) {
        (0, false) => return None,
        (0, true) => "associations were not read".to_owned(),
        (unread, false) => format!("{unread} associations were not read"),
        (unread, true) => format!("{unread} associations, and what is behind them, were not read"),
    };
    Some(format!("{what}: {OVER}"))
}

async fn list(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
    filter: &AssociationFilter,
) -> Result<ListedAssociations, PortError> {
    // Not every service honours the filter, so it is applied here again.
    let fits =
        |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|it| it == found);
    let mut listed = ListedAssociations { summaries: Vec::new(), more: true };
    let mut next = None::<String>;
    while listed.more && !admin.deadline_reached() {
        let page = admin.eks.associations(access, filter, next.as_deref()).await?;
        listed.summaries.extend(page.items.into_iter().filter(|one| {
            fits(&filter.namespace, &one.namespace)
                && fits(&filter.service_account, &one.service_account)
        }));
        next = page.next;
        listed.more = next.is_some();
    }
    Ok(listed)
}

async fn describe(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
    listed: ListedAssociations,
) -> Result<Associations, PortError> {
    let described: Vec<_> = stream::iter(&listed.summaries)
        .map(async |summary| match admin.deadline_reached() {
            true => None,
            false => Some(admin.eks.association(access, &summary.id).await),
        })
        .buffer_unordered(admin.settings.concurrency.max(1))
        .collect()
        .await;
    let mut all = Associations { more: listed.more, ..Associations::default() };
    for one in described {
        match one {
            None => all.unread += 1,
            // None: it is gone meanwhile.
            Some(association) => all.found.extend(association?),
        }
    }
    all.found.sort_by(|a, b| {
        (&a.namespace, &a.service_account, &a.id).cmp(&(&b.namespace, &b.service_account, &b.id))
    });
    Ok(all)
}

/// Those that a filter admits, as far as there is time: one call a page and one an association.
pub(crate) async fn seen(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
    filter: &AssociationFilter,
) -> Result<Associations, PortError> {
    let listed = list(admin, access, filter).await?;
    describe(admin, access, listed).await
}

/// All of a cluster, as a list tells them; an error when there is no time for the whole list.
async fn all(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
) -> Result<ListedAssociations, Error> {
    let listed = list(admin, access, &AssociationFilter::default()).await?;
    match lack(listed.summaries.len(), listed.more).filter(|_| listed.more) {
        Some(why) => Err(why.into()),
        None => Ok(listed),
    }
}

/// How many a cluster has.
pub(crate) async fn count(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
) -> Result<usize, Error> {
    Ok(all(admin, access).await?.summaries.len())
}

/// Those of a cluster that no condition of the ledger names: foreign, owned by add-ons, or orphans.
/// Only these are described, each of them or none.
pub(crate) async fn unknown(
    admin: &AdminContext<'_>,
    registry: &Registry,
    cluster: &ClusterArn,
    bindings: &BTreeMap<DominoName, BindingRecord>,
) -> Result<Vec<Association>, Error> {
    let access = &admin.access(registry, cluster);
    let mut listed = all(admin, access).await?;
    let conditions = admin.conditions(bindings.keys().map(|name| (name, cluster))).await?;
    let known: BTreeSet<&str> = conditions
        .values()
        .filter_map(|condition| Some(condition.association.as_ref()?.id.as_str()))
        .collect();
    listed.summaries.retain(|one| !known.contains(one.id.as_str()));
    let others = describe(admin, access, listed).await?;
    match others.lack() {
        Some(why) => Err(why.into()),
        None => Ok(others.found),
    }
}
