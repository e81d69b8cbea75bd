//! Which bindings want a place of a cluster, and which of them holds it. Decides only.

use std::collections::BTreeMap;

use pod_identity_core::{ClusterArn, DominoName, ServiceAccountRef};
use pod_identity_engine::ledger::{
    BindingRecord, ClaimsRecord, ClusterRecord, LedgerError, View, claims_key,
};
use pod_identity_engine::ports::Key;

/// The bindings that want each place, and those that hold the contested ones.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    cluster: &'a ClusterArn,
    at: BTreeMap<&'a ServiceAccountRef, Vec<&'a DominoName>>,
    /// By contested place.
    holders: BTreeMap<&'a ServiceAccountRef, DominoName>,
}

impl<'a> Claims<'a> {
    pub(super) fn of(
        bindings: &'a BTreeMap<DominoName, BindingRecord>,
        here: &'a ClusterRecord,
    ) -> Self {
        let mut at: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, record) in bindings {
            if let Some(binding) = record.binding().filter(|binding| here.takes(binding)) {
                at.entry(&binding.kubernetes).or_default().push(name);
            }
        }
        Self { cluster: &here.registration.cluster, at, holders: BTreeMap::new() }
    }

    /// Where the ledger has the claims on contested places.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.contested().map(claims_key).collect()
    }

    fn contested(&self) -> impl Iterator<Item = &'a ServiceAccountRef> {
        self.at.iter().filter(|(_, names)| names.len() > 1).map(|(place, _)| *place)
    }

    /// The same, with what the ledger has under [`Self::keys`].
    ///
    /// # Errors
    /// When an item does not read as claims.
    pub(super) fn held_by(mut self, view: &View) -> Result<Self, LedgerError> {
        let contested: Vec<_> = self.contested().collect();
        for place in contested {
            let claims = view.get::<ClaimsRecord>(&claims_key(place))?;
            let holder = claims.and_then(|claims| claims.holder(self.cluster).cloned());
            self.holders.extend(holder.map(|holder| (place, holder)));
        }
        Ok(self)
    }

    pub(super) fn wants(&self, name: &DominoName, place: &ServiceAccountRef) -> bool {
        self.at.get(place).is_some_and(|names| names.contains(&name))
    }

    /// The binding that has to take over what is at a place, where a service account cannot.
    pub(super) fn before(
        &self,
        name: &DominoName,
        place: &ServiceAccountRef,
    ) -> Option<&DominoName> {
        let names = self.at.get(place)?;
        let holder = self.holders.get(place).or(names.first().copied())?;
        (holder != name).then_some(holder)
    }
}
