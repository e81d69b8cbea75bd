//! Whose the associations of a cluster are, by what the ledger remembers.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pod_identity_core::plan::{AssociationStep, PlacePlan, Plan};
use pod_identity_core::{
    Association, Evidence, HeldAssociation, RoleArn, ServiceAccountRef, Verdict, plain,
};

use super::{Found, Overview, places_of};
use crate::context::Cloud;
use crate::ledger::{AccountRecord, BindingState, Condition};
use crate::observe;
use crate::ports::{AssociationSummary, PortError};
use crate::reconcile::Orphan;
use crate::reconcile::drift::DriftCause;
use crate::reconcile::restored::Correction;

impl Overview {
    /// Whether the ledger remembers an association by its id.
    pub(super) fn remembers(&self, one: &AssociationSummary) -> bool {
        let place = ServiceAccountRef::new(&one.namespace, &one.service_account).ok();
        let held = place.and_then(|place| self.accounts.get(&place)?.held.as_ref());
        held.is_some_and(|held| held.id == one.id)
    }

    /// Associations with our tag that the ledger does not account for.
    pub(in crate::reconcile) fn orphans(
        &self,
    ) -> impl Iterator<Item = (ServiceAccountRef, &Association)> {
        self.strangers.values().filter_map(|one| {
            let place = ServiceAccountRef::new(&one.namespace, &one.service_account).ok()?;
            let orphan = matches!(self.verdict(&place, one), Verdict::Orphan { .. });
            orphan.then_some((place, one))
        })
    }

    /// Associations, by id, that went with the cluster as it was before it was built again under its
    /// name: the ledger wrote them last before this cluster was made.
    pub(super) fn built_before(&self) -> BTreeSet<String> {
        let before = |account: &&AccountRecord| {
            let written = account.last_write.as_ref();
            written.zip(self.created_at).is_some_and(|(written, created)| written.at < created)
        };
        let accounts = self.accounts.values().filter(before);
        accounts.filter_map(|account| Some(account.held.as_ref()?.id.clone())).collect()
    }

    /// Associations that the ledger says are there for a binding as it is now, and that are gone
    /// though the cluster is still the same.
    pub(in crate::reconcile) fn vanished(
        &self,
    ) -> impl Iterator<Item = (&ServiceAccountRef, &HeldAssociation)> {
        let free = self.built_before();
        self.accounts.iter().filter_map(move |(place, account)| {
            let held = account.held.as_ref()?;
            let record = self.bindings.get(&held.service_account)?;
            let stands = record.version == held.version && self.wanted(record) == Some(place);
            let shown = self.places.get(place).is_some_and(Option::is_some);
            (stands && !shown && !free.contains(&held.id)).then_some((place, held))
        })
    }

    /// Whether an earlier run has held associations back because too many were gone.
    pub(in crate::reconcile) fn holds_back(&self) -> bool {
        self.conditions.values().any(Condition::is_held_back)
    }

    /// Takes over what only a look at the whole cluster shows.
    pub(in crate::reconcile) fn take_over(&mut self, whole: Self) {
        self.guard = whole.guard;
        self.created_at = whole.created_at;
    }

    /// Associations of ours that are otherwise than their bindings say.
    pub(in crate::reconcile) async fn corrections(
        &self,
        cloud: &Cloud<'_>,
    ) -> Result<Vec<Correction>, PortError> {
        let ours = self.places.values().flatten().filter(|one| self.remembers(one)).cloned();
        let most = cloud.settings.concurrency;
        let found = observe::describe(cloud.eks, &self.access, ours.collect(), most).await?;
        let correction = |one: &Association| {
            let place = ServiceAccountRef::new(&one.namespace, &one.service_account).ok()?;
            let held = self.accounts.get(&place)?.held.as_ref()?;
            let record = self.bindings.get(&held.service_account)?;
            let binding = record.binding().filter(|_| self.wanted(record) == Some(&place))?;
            let changes = one.differences(&binding.desired);
            (!changes.is_empty()).then(|| Correction {
                kubernetes: place.clone(),
                association_id: one.id.clone(),
                service_account: held.service_account.clone(),
                from_role: one.role_arn.clone(),
                role: binding.desired.role.clone(),
                changes,
            })
        };
        Ok(found.iter().filter_map(correction).collect())
    }

    /// How many associations that are gone a plan makes again, and no administrator resumed.
    pub(in crate::reconcile) fn recreated(&self, plan: &Plan) -> usize {
        let created = |place: &&PlacePlan| {
            matches!(place.step, Some(AssociationStep::CreateAssociation { .. }))
        };
        let unresumed = self.vanished().filter(|(_, held)| !self.guard.resumed.contains(&held.id));
        let gone: BTreeSet<&ServiceAccountRef> = unresumed.map(|(place, _)| place).collect();
        let again = |place: &&PlacePlan| gone.contains(&place.kubernetes);
        plan.places.iter().filter(created).filter(again).count()
    }

    /// The newest write that the ledger holds for the cluster.
    pub(in crate::reconcile) fn newest_write(&self) -> Option<Timestamp> {
        let written = self.accounts.values().filter_map(|account| account.last_write.as_ref());
        written.map(|written| written.at).max()
    }

    /// Whose an association is, by what the ledger remembers.
    pub(super) fn verdict<'a>(
        &'a self,
        place: &ServiceAccountRef,
        association: &'a Association,
    ) -> Verdict<'a> {
        let evidence = Evidence {
            deployment: &self.deployment,
            held: self.accounts.get(place).and_then(|account| account.held.as_ref()),
            intents: self.intents.get(place).map(Vec::as_slice).unwrap_or_default(),
            adopts: None,
        };
        Verdict::of(association, &evidence)
    }

    /// Which service account a place serves that does not want it, or whose association is in the way.
    pub(super) fn judge_owner(
        &self,
        place: &ServiceAccountRef,
        association: Option<&Association>,
        found: &mut Found,
    ) {
        let held = self.accounts.get(place).and_then(|account| account.held.as_ref());
        let mut owner = held.map(|held| &held.service_account);
        if let Some(association) = association {
            let Association { id, role_arn, .. } = association;
            match self.verdict(place, association) {
                Verdict::Managed(of) | Verdict::Unconfirmed(of) => owner = Some(of),
                Verdict::Orphan { tag } => {
                    found.other_roles.extend(role_arn.parse::<RoleArn>().ok());
                    let tag = tag.map(plain);
                    found.orphans.push(Orphan { place: place.clone(), id: id.clone(), tag });
                }
                Verdict::Foreign { .. } | Verdict::AddOnOwned { .. } | Verdict::Adoptable => {
                    found.other_roles.extend(role_arn.parse::<RoleArn>().ok());
                    let what = format!("association {id} of {place} with role {role_arn}");
                    found.others.push(what);
                }
            }
        }
        let Some(owner) = owner else { return };
        let Some(record) = self.bindings.get(owner) else { return };
        let gave_up = self.conditions.get(owner);
        let gave_up = gave_up.is_some_and(|condition| places_of(condition).any(|p| p == place));
        if gave_up || self.wanted(record) == Some(place) {
            return;
        }
        // Made late, by a run that did not know of the removal, the move or the retirement.
        let unbound = matches!(record.state, BindingState::Unbound { .. });
        let what = association.filter(|_| unbound);
        let what = what.map(|association| DriftCause::unassigned(owner, place, association));
        found.needed.insert(owner.clone(), what);
        found.places.insert(place.clone());
    }
}
