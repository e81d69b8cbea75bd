//! What the page shows, and how it follows from the ledger's records.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_core::{ClusterArn, DominoName};
use pod_identity_engine::ledger::{
    BindingRecord, BindingState, ClusterRecord, Condition, ConditionState, InsideCluster,
    ReconciledRecord, Registry, SweepCount,
};
use pod_identity_events::RemovalReason;

use crate::actions::status::Counts;

/// Most changes that are shown.
const MOST_CHANGES: usize = 10;

/// Everything that the page shows.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) deployment: String,
    pub(crate) now: Timestamp,
    /// Service accounts that are bound.
    pub(crate) bound: usize,
    pub(crate) clusters: Vec<ClusterFacts>,
    pub(crate) moves: Vec<Move>,
    /// The newest first.
    pub(crate) changes: Vec<RecentChange>,
    pub(crate) blocked: Vec<BlockedBinding>,
    /// Blocked bindings, shown or not, as far as the ledger counts them.
    pub(crate) blocked_in_all: usize,
}

/// One registered cluster.
#[derive(Debug)]
pub(crate) struct ClusterFacts {
    pub(crate) cluster: ClusterArn,
    /// How far its retirement has come, if it has begun.
    pub(crate) leaving: Option<&'static str>,
    pub(crate) reconciled: Option<ReconciledRecord>,
    /// None where no run has counted its bindings.
    pub(crate) counts: Option<Counts>,
    pub(crate) inside: Option<InsideCluster>,
    /// The oldest first.
    pub(crate) sweeps: Vec<SweepCount>,
}

impl ClusterFacts {
    /// Stale pods of the last sweep.
    pub(crate) fn stale(&self) -> usize {
        self.inside.as_ref().map(|inside| inside.stale.values().sum()).unwrap_or_default()
    }
}

/// How far what one cluster has is ready on another.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: String,
    pub(crate) to: String,
    /// None while no run has counted there.
    pub(crate) ready: Option<usize>,
    /// Bindings of the one that the other takes too.
    pub(crate) of: usize,
}

impl Move {
    /// Rounded down: 100 says that nothing is left. None while no run has counted there.
    pub(crate) fn percent(&self) -> Option<usize> {
        (self.ready? * 100).checked_div(self.of)
    }
}

/// The last change of a binding.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RecentChange {
    pub(crate) at: Timestamp,
    pub(crate) name: DominoName,
    pub(crate) what: String,
    pub(crate) detail_type: String,
    pub(crate) actor: Option<String>,
}

/// A binding that something stands in the way of, on one cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BlockedBinding {
    pub(crate) name: DominoName,
    pub(crate) cluster: String,
    pub(crate) reason: String,
    pub(crate) remediation: String,
    pub(crate) since: Timestamp,
}

impl BlockedBinding {
    pub(crate) fn of(condition: &Condition) -> Option<Self> {
        let blocked = condition.blocked.as_ref();
        let blocked = blocked.filter(|_| condition.state == ConditionState::Blocked)?;
        Some(Self {
            name: condition.service_account.clone(),
            cluster: condition.cluster.name().to_owned(),
            reason: blocked.message(),
            remediation: blocked.remediation(),
            since: condition.updated_at,
        })
    }
}

/// Names, the one that changed last first.
pub(crate) fn newest_first(
    bindings: &BTreeMap<DominoName, BindingRecord>,
) -> Vec<(&DominoName, &BindingRecord)> {
    let mut all: Vec<_> = bindings.iter().collect();
    all.sort_by(|(_, a), (_, b)| b.version.cmp(&a.version));
    all
}

/// The last changes of bindings.
pub(crate) fn changes(newest_first: &[(&DominoName, &BindingRecord)]) -> Vec<RecentChange> {
    let newest = newest_first.iter().take(MOST_CHANGES);
    newest
        .map(|(name, record)| RecentChange {
            at: record.version.occurred_at(),
            name: (*name).clone(),
            what: match &record.state {
                BindingState::Bound { binding } => binding.desired.role.to_string(),
                BindingState::Unbound { reason } => format!("no role ({})", why(*reason)),
            },
            detail_type: record.detail_type.clone(),
            actor: record.actor.clone(),
        })
        .collect()
}

fn why(reason: RemovalReason) -> &'static str {
    match reason {
        RemovalReason::Unassigned => "unassigned",
        RemovalReason::Deactivated => "deactivated",
        RemovalReason::Moved => "moved",
        RemovalReason::ClusterRetired => "cluster retired",
    }
}

/// How far a cluster has come with its retirement.
pub(crate) fn leaving(record: &ClusterRecord) -> Option<&'static str> {
    let retirement = record.retired.as_ref()?;
    Some(match (retirement.begun_at, retirement.drained_at) {
        (_, Some(_)) => "emptied",
        (Some(_), None) => "retiring",
        (None, None) => "retirement held up",
    })
}

/// How far every other cluster has what the one that leaves has, or else the one that was
/// registered first, as reconcile noted it last, which it does while it is under way too. It counts by cluster, not by binding: what only the other takes is
/// thought to be ready there first, so that a move never looks further than it is.
pub(crate) fn moves(
    registry: &Registry,
    bindings: &BTreeMap<DominoName, BindingRecord>,
    clusters: &[ClusterFacts],
) -> Vec<Move> {
    let is_empty = |record: &&ClusterRecord| leaving(record) == Some("emptied");
    let all: Vec<&ClusterRecord> =
        registry.clusters.values().filter(|record| !is_empty(record)).collect();
    let first = all.iter().min_by_key(|record| (record.retired.is_none(), &record.version));
    let Some(first) = first else { return Vec::new() };
    let from = &first.registration.cluster;
    let mut moves = Vec::new();
    for record in &all {
        let to = &record.registration.cluster;
        if to == from || record.is_retiring() {
            continue;
        }
        let taken = bindings.values().filter_map(BindingRecord::binding);
        let (both, only): (Vec<_>, Vec<_>) =
            taken.filter(|binding| record.takes(binding)).partition(|one| one.selects(from));
        let seen = clusters.iter().find(|facts| facts.cluster == *to);
        let counts = seen.and_then(|facts| facts.counts.as_ref());
        let ready = counts.map(|it| it.ready.saturating_sub(only.len()).min(both.len()));
        if !both.is_empty() {
            moves.push(Move {
                from: from.name().to_owned(),
                to: to.name().to_owned(),
                ready,
                of: both.len(),
            });
        }
    }
    moves
}
