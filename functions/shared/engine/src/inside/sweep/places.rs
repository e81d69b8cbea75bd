//! What the ledger and EKS say of Kubernetes service accounts.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use pod_identity_core::sweep::{Places, Removal, SweepBound, Worked};
use pod_identity_core::{Association, DominoName, Pod, ServiceAccountRef};

use crate::error::Error;
use crate::inside::Inside;
use crate::inside::known::Remembered;
use crate::ledger::{Condition, InsideBinding, WorkedRecord};
use crate::observe;
use crate::ports::{AssociationFilter, AssociationSummary, PortError};

/// What the ledger says of every Kubernetes service account that it knows.
pub(super) fn of_ledger(
    known: &Remembered,
    inside: &BTreeMap<DominoName, InsideBinding>,
) -> Places {
    let mut places = Places::new();
    // Of several that want one place, the one who has its association holds it.
    let mut rank: BTreeMap<&ServiceAccountRef, u8> = BTreeMap::new();
    for (name, condition) in &known.conditions {
        for place in condition.leaving.keys() {
            places.entry(place.clone()).or_default();
        }
        for (place, removal) in &condition.removals {
            let before = removal.before.as_ref().map(worked);
            let removal = Removal { service_account: name.clone(), at: removal.at, before };
            places.entry(place.clone()).or_default().removals.push(removal);
        }
        let Some(place) = condition.wanted.as_ref() else { continue };
        let entry = places.entry(place.clone()).or_default();
        let Some(bound) = bound(known, name, condition, place, inside.get(name)) else { continue };
        // One who lost the place and wants it again counts before one who never had it: whatever
        // his pods hold may be his again.
        let here = match (bound.associated, condition.removals.contains_key(place)) {
            (true, _) => 3,
            (false, true) => 2,
            (false, false) => 1,
        };
        if rank.get(place).is_none_or(|rank| here > *rank) {
            rank.insert(place, here);
            entry.bound = Some(bound);
        }
    }
    places
}

/// Whom the ledger has at a place, unless it is a tombstone.
fn bound(
    known: &Remembered,
    name: &DominoName,
    condition: &Condition,
    place: &ServiceAccountRef,
    inside: Option<&InsideBinding>,
) -> Option<SweepBound> {
    let binding = known.bindings.get(name)?.binding()?;
    let association = condition.association.as_ref();
    let associated = association.is_some_and(|association| association.kubernetes == *place);
    let mapped = inside.filter(|inside| inside.kubernetes.as_ref() == Some(place));
    Some(SweepBound {
        service_account: name.clone(),
        desired: binding.desired.clone(),
        // Without an association here, both are about the place before.
        changed_at: condition.credentials_changed_at.filter(|_| associated),
        before: condition.before.as_ref().filter(|_| associated).map(worked),
        associated,
        mapped_since: mapped.and_then(|inside| inside.mapped_since),
    })
}

fn worked(record: &WorkedRecord) -> Worked {
    Worked { desired: record.desired.clone(), since: record.since }
}

/// Kubernetes service accounts of one binding: where it is, where it leaves, and where it was.
pub(super) fn of_binding(known: &Remembered, name: &DominoName) -> BTreeSet<ServiceAccountRef> {
    let Some(condition) = known.conditions.get(name) else { return BTreeSet::new() };
    let was = condition.association.iter().map(|association| &association.kubernetes);
    let places = condition.wanted.iter().chain(condition.leaving.keys());
    places.chain(condition.removals.keys()).chain(was).cloned().collect()
}

/// Whether two conditions say the same of credentials. When and by whom they were written, and
/// what stands in the way, makes no difference to pods.
pub(super) fn says_the_same(one: Option<&Condition>, other: Option<&Condition>) -> bool {
    one.map(word) == other.map(word)
}

fn word(condition: &Condition) -> impl PartialEq + '_ {
    let Condition { version, wanted, leaving, association, before, removals, .. } = condition;
    let changed_at = condition.credentials_changed_at;
    (version, wanted, leaving, association, changed_at, before, removals)
}

/// What EKS lists.
#[derive(Default)]
pub(super) struct AssociationList {
    pub(super) summaries: BTreeMap<ServiceAccountRef, AssociationSummary>,
    /// How many associations were listed, also of those whose names Kubernetes would not take.
    pub(super) count: usize,
}

/// Lists the associations of the cluster, or of some places.
pub(super) async fn list(
    context: &Inside<'_>,
    only: Option<&BTreeSet<ServiceAccountRef>>,
) -> Result<AssociationList, PortError> {
    let (eks, access, settings) = (context.eks, context.access, context.settings);
    let all = AssociationFilter::default();
    let Some(only) = only else {
        let found = observe::list(eks, access, all).await?;
        return Ok(AssociationList { count: found.len(), summaries: by_place(found) });
    };
    let found = observe::summaries(eks, access, only, settings.concurrency).await?;
    let mut count = found.len();
    // Nothing where nothing may be is plausible only while there is something elsewhere.
    let mut page = None;
    while count == 0 {
        let more = eks.associations(access, &all, page.as_deref()).await?;
        count = more.items.len();
        page = more.next;
        if page.is_none() {
            break;
        }
    }
    Ok(AssociationList { count, summaries: by_place(found) })
}

fn by_place(found: Vec<AssociationSummary>) -> BTreeMap<ServiceAccountRef, AssociationSummary> {
    let place =
        |one: &AssociationSummary| ServiceAccountRef::new(&one.namespace, &one.service_account);
    found.into_iter().filter_map(|one| Some((place(&one).ok()?, one))).collect()
}

/// What EKS shows of places that have pods.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) associations: BTreeMap<ServiceAccountRef, Association>,
    /// Places whose association came or went while somebody looked: nothing is said of their pods.
    pub(super) moving: BTreeSet<ServiceAccountRef>,
}

/// Describes the associations of places that have pods.
pub(super) async fn describe(
    context: &Inside<'_>,
    listed: &mut AssociationList,
    pods: &[Pod],
) -> Result<Shown, Error> {
    let (eks, access, settings) = (context.eks, context.access, context.settings);
    let (mut with_pods, mut bare) = (BTreeSet::new(), BTreeSet::new());
    for pod in pods {
        let Some(place) = place_of(pod) else { continue };
        if pod.credentials.can_get && !listed.summaries.contains_key(&place) {
            bare.insert(place.clone());
        }
        with_pods.insert(place);
    }
    // The associations were listed before the pods: one that was made in between would make its
    // pods look as if they had lost it.
    if !bare.is_empty() {
        let late = observe::summaries(eks, access, &bare, settings.concurrency).await?;
        listed.count += late.len();
        listed.summaries.extend(by_place(late));
    }
    let there = listed.summaries.iter().filter(|(place, _)| with_pods.contains(*place));
    let found: Vec<_> = stream::iter(there)
        .map(|(place, summary)| async move {
            (place.clone(), eks.association(access, &summary.id).await)
        })
        .buffer_unordered(settings.concurrency.max(1))
        .collect()
        .await;
    let mut shown = Shown::default();
    for (place, found) in found {
        match found? {
            Some(association) => _ = shown.associations.insert(place, association),
            None => _ = shown.moving.insert(place),
        }
    }
    Ok(shown)
}

/// The place of a pod's service account, unless Kubernetes would not take its name.
pub(super) fn place_of(pod: &Pod) -> Option<ServiceAccountRef> {
    ServiceAccountRef::new(&pod.namespace, &pod.service_account).ok()
}
