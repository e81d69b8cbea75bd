//! Which bindings want a place of a cluster, and which of them holds it. Decides only.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{DominoName, KubernetesName};
use pod_identity_engine::ledger::{BindingRecord, ClusterRecord, Condition};
use pod_identity_events::BlockedCode;

/// Who wants which place.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    at: BTreeMap<&'a KubernetesName, Vec<&'a DominoName>>,
    /// Those whose place another holds, as the ledger has it.
    without: BTreeSet<DominoName>,
}

impl<'a> Claims<'a> {
    pub(super) fn of(
        bindings: &'a BTreeMap<DominoName, BindingRecord>,
        here: &ClusterRecord,
    ) -> Self {
        let mut at: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, record) in bindings {
            if let Some(binding) = record.binding().filter(|binding| here.takes(binding)) {
                at.entry(&binding.kubernetes).or_default().push(name);
            }
        }
        Self { at, without: BTreeSet::new() }
    }

    /// Those who share a place: only their conditions tell who holds it.
    pub(super) fn contested(&self) -> impl Iterator<Item = &'a DominoName> {
        self.at.values().filter(|names| names.len() > 1).flatten().copied()
    }

    /// The same, with what the conditions of those who share a place tell.
    pub(super) fn told<'c>(mut self, conditions: impl IntoIterator<Item = &'c Condition>) -> Self {
        let lost = |condition: &&Condition| {
            let blocked = condition.blocked.as_ref();
            // Whoever is not allowed does not hold a place that another wants.
            let codes = [BlockedCode::Conflict, BlockedCode::NotAllowed];
            blocked.is_some_and(|blocked| codes.contains(&blocked.code))
        };
        let without = conditions.into_iter().filter(lost);
        self.without = without.map(|condition| condition.service_account.clone()).collect();
        self
    }

    pub(super) fn wants(&self, name: &DominoName, place: &KubernetesName) -> bool {
        self.at.get(place).is_some_and(|names| names.contains(&name))
    }

    /// Who has to take over what is at a place, where a service account cannot.
    pub(super) fn before(
        &self,
        name: &DominoName,
        place: &KubernetesName,
    ) -> Option<&'a DominoName> {
        let names = self.at.get(place)?;
        let holder = names.iter().find(|one| !self.without.contains(**one));
        let may = holder.is_none() || !self.without.contains(name);
        if names.contains(&name) && may {
            return None;
        }
        holder.or(names.first()).copied()
    }
}
