//! Which bindings a status shows, one page of them in a bounded number of calls.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{Binding, ClusterArn, Clusters, DominoName};
use pod_identity_engine::ledger::{
    BindingRecord, Condition, ConditionState, InsideBinding, Registry, View, inside_binding_key,
};
use pod_identity_engine::ports::MAX_READ;

use super::StatusParams;
use crate::context::AdminContext;
use pod_identity_engine::Error;

/// Calls of one page, beside those for the registry, the clusters and the bindings: the conditions
/// that are read in search of its rows, and what is remembered of the rows inside clusters.
const MOST_CALLS: usize = 6;

/// One binding on one cluster.
pub(super) struct StatusRow<'a> {
    pub(super) name: &'a DominoName,
    pub(super) binding: Option<&'a Binding>,
    /// None where no registered cluster takes the binding, and it names none.
    pub(super) cluster: Option<&'a ClusterArn>,
    pub(super) condition: Option<Condition>,
    /// What workloads runs remember of it inside the cluster.
    pub(super) inside: Option<InsideBinding>,
    /// Whether it cannot begin before a cluster is registered.
    waits: bool,
}

impl StatusRow<'_> {
    pub(super) fn state(&self) -> Option<ConditionState> {
        let waiting = self.waits.then_some(ConditionState::Waiting);
        self.condition.as_ref().map(|condition| condition.state).or(waiting)
    }
}

/// Conditions of one cluster by their state.
pub(super) type States = BTreeMap<ConditionState, usize>;

/// One page.
#[derive(Default)]
pub(super) struct Rows<'a> {
    pub(super) rows: Vec<StatusRow<'a>>,
    /// Behind which service account the next answer goes on.
    pub(super) next: Option<DominoName>,
    /// All conditions there are, by cluster, where none was left unread.
    pub(super) counted: Option<BTreeMap<&'a ClusterArn, States>>,
}

/// Where bindings are, or should be.
pub(super) struct Places<'a> {
    pub(super) registry: &'a Registry,
    /// The registered ones that are asked for.
    pub(super) clusters: &'a BTreeSet<&'a ClusterArn>,
    /// The one that is asked for, registered or not.
    pub(super) only: Option<&'a ClusterArn>,
}

impl<'a> Places<'a> {
    /// The clusters on which a binding may have something: the registered ones, and those that it
    /// names and waits for.
    fn of(&self, record: &'a BindingRecord) -> BTreeSet<&'a ClusterArn> {
        let named = match record.binding().map(|binding| &binding.clusters) {
            Some(Clusters::Named(named)) => Some(named),
            _ => None,
        };
        let named = named.into_iter().flatten();
        let named = named.filter(|one| self.only.is_none_or(|only| only == *one));
        self.clusters.iter().copied().chain(named).collect()
    }

    /// How many of some service accounts one call reads all conditions of: at least one.
    fn of_one_call(&self, names: &[(&DominoName, &'a BindingRecord)]) -> usize {
        let mut keys = 0;
        let fit = names.iter().take_while(|(_, record)| {
            keys += self.of(record).len();
            keys <= MAX_READ
        });
        fit.count().max(1)
    }

    /// Its rows, one for each cluster on which there is something to show.
    fn rows(
        &self,
        name: &'a DominoName,
        record: &'a BindingRecord,
        conditions: &mut BTreeMap<(DominoName, ClusterArn), Condition>,
        wanted: Option<ConditionState>,
    ) -> Vec<StatusRow<'a>> {
        let binding = record.binding();
        let row = |cluster, condition, waits| {
            let inside = None;
            StatusRow { name, binding, cluster, condition, inside, waits }
        };
        let mut rows = Vec::new();
        for cluster in self.of(record) {
            let condition = conditions.remove(&(name.clone(), cluster.clone()));
            let registered = self.registry.clusters.get(cluster);
            let taken = registered.zip(binding).is_some_and(|(one, binding)| one.takes(binding));
            let row = row(Some(cluster), condition, registered.is_none());
            let state = row.state();
            let shown = match wanted {
                Some(wanted) => state == Some(wanted),
                None => taken || state.is_some_and(|state| state != ConditionState::Removed),
            };
            rows.extend(shown.then_some(row));
        }
        let nowhere = binding.is_some_and(|binding| self.takes_nowhere(binding));
        if nowhere && wanted.is_none_or(|wanted| wanted == ConditionState::Waiting) {
            rows.push(row(None, None, true));
        }
        rows
    }

    /// Whether no cluster takes a binding, now or as soon as the one that it names is registered.
    fn takes_nowhere(&self, binding: &Binding) -> bool {
        let known = &self.registry.clusters;
        let waits = match &binding.clusters {
            Clusters::All => false,
            Clusters::Named(named) => named.iter().any(|one| !known.contains_key(one)),
        };
        self.only.is_none() && !waits && !known.values().any(|one| one.takes(binding))
    }
}

/// Rows that fit what was asked for, from where it was asked for, with what is remembered of them.
pub(super) async fn find<'a>(
    admin: &AdminContext<'_>,
    places: &Places<'a>,
    bindings: &'a BTreeMap<DominoName, BindingRecord>,
    params: &StatusParams,
    limit: usize,
) -> Result<Rows<'a>, Error> {
    let chosen: Vec<_> = bindings.iter().filter(|(name, it)| params.fits(name, it)).collect();
    let mut found = search(admin, places, &chosen, params.state, limit).await?;
    // Removals are no bindings: who is not asked for them has counted all the same.
    let is_left_out = |(name, it): (&DominoName, &BindingRecord)| {
        it.binding().is_some() && !params.fits(name, it)
    };
    if bindings.iter().any(is_left_out) {
        found.counted = None;
    }
    look_inside(admin, places, &mut found.rows).await?;
    Ok(found)
}

impl StatusParams {
    fn fits(&self, name: &DominoName, record: &BindingRecord) -> bool {
        let contains = |text: &str, part: &Option<String>| {
            part.as_ref().is_none_or(|part| text.contains(part.as_str()))
        };
        let role = record.binding().map(|binding| binding.desired.role.as_str());
        // Tombstones only where they are asked for: something may stand in the way of a removal too.
        let removals = [ConditionState::Removed, ConditionState::Blocked, ConditionState::Pending];
        let removals = match self.state {
            Some(state) => removals.contains(&state),
            None => self.service_account.is_some(),
        };
        self.after.as_ref().is_none_or(|after| name > after)
            && contains(name.as_str(), &self.service_account)
            && contains(role.unwrap_or_default(), &self.role)
            && (record.binding().is_some() || removals)
    }
}

async fn search<'a>(
    admin: &AdminContext<'_>,
    places: &Places<'a>,
    chosen: &[(&'a DominoName, &'a BindingRecord)],
    wanted: Option<ConditionState>,
    limit: usize,
) -> Result<Rows<'a>, Error> {
    let mut found = Rows::default();
    let mut counted: BTreeMap<&ClusterArn, States> = BTreeMap::new();
    let (mut calls, mut last, mut rest) = (0, None, chosen);
    while !rest.is_empty() {
        let (names, others) = rest.split_at(places.of_one_call(rest));
        let pairs: Vec<_> = names
            .iter()
            .flat_map(|(name, record)| places.of(record).into_iter().map(move |at| (*name, at)))
            .collect();
        let rows = (found.rows.len() + pairs.len()).min(limit);
        let further = pairs.len().div_ceil(MAX_READ) + rows.div_ceil(MAX_READ);
        if found.rows.len() >= limit || (calls > 0 && calls + further > MOST_CALLS) {
            return Ok(Rows { next: last, ..found });
        }
        rest = others;
        calls += pairs.len().div_ceil(MAX_READ);
        let mut conditions = admin.conditions(pairs.iter().copied()).await?;
        for (name, at) in pairs {
            if let Some(condition) = conditions.get(&(name.clone(), at.clone())) {
                *counted.entry(at).or_default().entry(condition.state).or_default() += 1;
            }
        }
        for (name, record) in names {
            let own = places.rows(name, record, &mut conditions, wanted);
            if !found.rows.is_empty() && found.rows.len() + own.len() > limit {
                return Ok(Rows { next: last, ..found });
            }
            found.rows.extend(own);
            last = Some((*name).clone());
        }
    }
    Ok(Rows { counted: Some(counted), ..found })
}

/// What workloads runs remember of rows. Nobody has looked inside a cluster that is not registered.
async fn look_inside(
    admin: &AdminContext<'_>,
    places: &Places<'_>,
    rows: &mut [StatusRow<'_>],
) -> Result<(), Error> {
    let key = |row: &StatusRow<'_>| {
        let cluster = row.cluster.filter(|cluster| places.clusters.contains(cluster))?;
        Some(inside_binding_key(row.name, cluster))
    };
    let keys: Vec<_> = rows.iter().filter_map(key).collect();
    let mut view = View::default();
    view.read(admin.ledger, &keys).await?;
    for row in rows {
        let Some(key) = key(row) else { continue };
        let inside = view.get::<InsideBinding>(&key)?;
        row.inside = inside;
    }
    Ok(())
}
