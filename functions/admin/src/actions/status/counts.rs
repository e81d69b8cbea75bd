//! How many bindings of a cluster have come true.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_core::DominoName;
use pod_identity_engine::ledger::{BindingRecord, ClusterRecord, ConditionState, ReconciledRecord};
use serde::Serialize;

use super::find::States;

/// Bindings that a cluster is to have, by how far they have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    /// All of them. None is meant for a cluster that is being retired.
    pub(crate) bindings: usize,
    pub(crate) ready: usize,
    /// Rounded down: 100 says that nothing is left. None where there are no bindings.
    pub(crate) ready_percent: Option<usize>,
    pub(crate) blocked: usize,
    pub(crate) pending: usize,
    pub(crate) waiting: usize,
    /// Those of which nothing is noted yet.
    pub(crate) not_begun: usize,
    pub(crate) counted_at: Timestamp,
    /// Bindings that were changed since.
    pub(crate) changed_since: usize,
}

impl Counts {
    /// As reconcile noted it last, which it does while it is under way too. None where nobody has
    /// counted yet.
    pub(crate) fn noted(
        cluster: &ClusterRecord,
        reconciled: Option<&ReconciledRecord>,
        bindings: &BTreeMap<DominoName, BindingRecord>,
    ) -> Option<Self> {
        let reconciled = reconciled?;
        if !reconciled.is_counted() {
            return None;
        }
        let at = reconciled.counted_at.unwrap_or(reconciled.at);
        // Counted together with the states, so that the percentage was true then.
        let all = reconciled.bindings.filter(|_| !cluster.is_retiring());
        let all = all.unwrap_or_else(|| wanted(cluster, bindings));
        let changed = bindings.values().filter(|record| {
            let meant = record.binding().is_none_or(|binding| cluster.takes(binding));
            meant && record.version.occurred_at() > at
        });
        Some(Self::of(all, &reconciled.states, at, changed.count()))
    }

    /// As the conditions are now, all of which were read.
    pub(crate) fn live(
        cluster: &ClusterRecord,
        states: &States,
        bindings: &BTreeMap<DominoName, BindingRecord>,
        now: Timestamp,
    ) -> Self {
        Self::of(wanted(cluster, bindings), states, now, 0)
    }

    fn of(bindings: usize, states: &States, counted_at: Timestamp, changed_since: usize) -> Self {
        let count = |state| states.get(&state).copied().unwrap_or_default();
        let (ready, blocked) = (count(ConditionState::Ready), count(ConditionState::Blocked));
        let (pending, waiting) = (count(ConditionState::Pending), count(ConditionState::Waiting));
        Self {
            bindings,
            ready,
            ready_percent: (ready.min(bindings) * 100).checked_div(bindings),
            blocked,
            pending,
            waiting,
            not_begun: bindings.saturating_sub(ready + blocked + pending + waiting),
            counted_at,
            changed_since,
        }
    }
}

/// Bindings that a cluster is to have now.
fn wanted(cluster: &ClusterRecord, bindings: &BTreeMap<DominoName, BindingRecord>) -> usize {
    let bound = bindings.values().filter_map(BindingRecord::binding);
    bound.filter(|binding| cluster.takes(binding)).count()
}
