//! Which bindings are effective, and which are shadowed: decided from what was seen, without a
//! call.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::sweep::{Case, Doubt, Finding, Places, Sweep};
use pod_identity_core::{Binding, DominoName, IRSA_ANNOTATION, Pod, ServiceAccountRef};

use super::places::place_of;
use crate::ledger::{Condition, ConditionState, Effective, InsideBinding, Missing, Proof};

/// What was seen of a cluster.
pub(super) struct SweepFacts<'a> {
    pub(super) sweep: &'a Sweep,
    pub(super) places: &'a Places,
    pub(super) pods: &'a [Pod],
    /// Ids of the associations that EKS listed.
    pub(super) listed: &'a BTreeMap<ServiceAccountRef, String>,
    /// Namespaces that were seen as a whole.
    pub(super) namespaces: &'a BTreeSet<String>,
    /// Roles that service accounts are annotated with; none when nobody looked.
    pub(super) annotated: Option<&'a BTreeMap<ServiceAccountRef, String>>,
    /// How long around a change a pod may have seen what was before.
    pub(super) grace: jiff::SignedDuration,
    pub(super) now: Timestamp,
}

/// A binding of which no pod has proven anything.
#[derive(Debug, Clone)]
pub(super) struct Unproven {
    pub(super) name: DominoName,
    pub(super) place: ServiceAccountRef,
    pub(super) association: String,
    pub(super) credentials_changed_at: Option<Timestamp>,
}

impl Unproven {
    pub(super) fn proven(&self, proof: Proof, at: Timestamp) -> Effective {
        Effective {
            association: self.association.clone(),
            credentials_changed_at: self.credentials_changed_at,
            at,
            proof,
        }
    }
}

/// Judges one binding, and answers it when only a dry run can still prove something now.
pub(super) fn judge(
    binding: &Binding,
    condition: &Condition,
    inside: &mut InsideBinding,
    seen: &SweepFacts<'_>,
) -> Option<Unproven> {
    let place = condition.wanted.as_ref();
    let here = condition.association.as_ref().filter(|one| Some(&one.kubernetes) == place);
    let Some((place, association)) = place.zip(here) else {
        (inside.effective, inside.shadowed) = (None, None);
        return None;
    };
    if inside.kubernetes.as_ref() != Some(place) {
        // What was remembered is about another service account.
        *inside = InsideBinding { kubernetes: Some(place.clone()), ..InsideBinding::default() };
    }
    let whole = seen.sweep.halted.is_none();
    let changed_at = condition.credentials_changed_at;
    inside.effective = inside.effective.take().filter(|proof| {
        proof.association == association.id && proof.credentials_changed_at == changed_at
    });
    match seen.shadow(place) {
        Some(shadow) => inside.shadowed = Some(shadow),
        None if whole
            && seen.namespaces.contains(place.namespace())
            && seen.annotated.is_some() =>
        {
            inside.shadowed = None;
        }
        None => {}
    }
    if inside.shadowed.is_some() {
        inside.effective = None;
        return None;
    }
    if !whole {
        return None;
    }
    if seen.listed.get(place) != Some(&association.id) {
        inside.effective = None;
        return None;
    }
    if inside.effective.is_some() {
        return None;
    }
    let unproven = Unproven {
        name: binding.service_account.clone(),
        place: place.clone(),
        association: association.id.clone(),
        credentials_changed_at: changed_at,
    };
    if let Some(pod) = seen.proof(binding, place, changed_at) {
        let proof = Proof::Pod { name: pod.name.clone(), uid: pod.uid.clone() };
        inside.effective = Some(unproven.proven(proof, seen.now));
        return None;
    }
    let settled = seen.last_change(place, changed_at).is_none_or(|at| seen.after(at) <= seen.now);
    (condition.state == ConditionState::Ready && settled).then_some(unproven)
}

impl SweepFacts<'_> {
    fn after(&self, at: Timestamp) -> Timestamp {
        at.checked_add(self.grace).unwrap_or(Timestamp::MAX)
    }

    fn last_change(
        &self,
        place: &ServiceAccountRef,
        changed_at: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let shown = self.places.get(place).and_then(|place| place.association.as_ref());
        changed_at.max(shown.and_then(|shown| shown.created_at))
    }

    /// A pod that was admitted after the last change and got what the association gives.
    fn proof(
        &self,
        binding: &Binding,
        place: &ServiceAccountRef,
        changed_at: Option<Timestamp>,
    ) -> Option<&Pod> {
        let shown = self.places.get(place)?.association.as_ref()?;
        if !shown.fits(&binding.desired) {
            return None;
        }
        let surely = self.after(self.last_change(place, changed_at)?);
        let proves = |pod: &&Pod| {
            place_of(pod).as_ref() == Some(place) && pod.created_at >= surely && pod.works()
        };
        self.pods.iter().filter(proves).max_by_key(|pod| (pod.created_at, &pod.uid))
    }

    /// What hides the association of a place.
    fn shadow(&self, place: &ServiceAccountRef) -> Option<Missing> {
        let Sweep { evictions, reports, held_back, halted, .. } = self.sweep;
        let findings = evictions
            .iter()
            .chain(reports.iter().map(|one| &one.finding))
            .chain(held_back.iter().map(|one| &one.finding));
        let hides = |finding: &&Finding| {
            halted.is_none()
                && finding.case == Case::Shadowed
                && finding.doubt != Some(Doubt::OnlyAnnotated)
                && finding.pod.namespace == place.namespace()
                && finding.pod.service_account == place.service_account()
        };
        let found = findings.filter(hides).min_by_key(|finding| &finding.pod);
        let of_pod = found.map(|finding| Missing {
            reason: finding.reason.clone(),
            remediation: finding.remediation.clone(),
        });
        of_pod.or_else(|| {
            let role = self.annotated?.get(place)?;
            Some(Missing {
                reason: format!(
                    "service account {place} is annotated with role {role} ({IRSA_ANNOTATION}): a pod that is admitted while EKS does not show the association gets that role instead"
                ),
                remediation: format!("take the annotation {IRSA_ANNOTATION} off the service account"),
            })
        })
    }
}
