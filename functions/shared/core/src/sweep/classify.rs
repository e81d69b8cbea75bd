//! Which case a pod is.

use jiff::{SignedDuration, Timestamp};

use super::input::later;
use super::{Case, Doubt, Removal, Settings, SweepBound, SweepPlace, Worked};
use crate::{Association, Desired, Pod};

/// Kubernetes cuts the time of admission to whole seconds.
const ADMISSION_IS_CUT_BY: SignedDuration = SignedDuration::from_secs(1);

/// What Domino's own service accounts, one for each run, begin with.
const OF_A_RUN: &str = "run-";

/// A case, and what it rests on.
#[derive(Debug, Clone, Copy)]
pub(super) struct CaseVerdict<'a> {
    pub(super) case: Case,
    pub(super) since: Option<Timestamp>,
    pub(super) remembered: bool,
    pub(super) doubt: Option<Doubt>,
    pub(super) settles_at: Option<Timestamp>,
    pub(super) because: Because<'a>,
}

/// What a verdict rests on, for its words.
#[derive(Debug, Clone, Copy)]
pub(super) enum Because<'a> {
    Removed(&'a Removal),
    /// Nobody knows why; whom the ledger has bound there.
    Gone(Option<&'a SweepBound>),
    /// What it worked as before, if that is remembered, and what its association gives now.
    Other(Option<&'a Desired>, &'a Association),
    Hidden(&'a Association),
    LeftOut(&'a Association),
    Annotated(&'a str, &'a Association),
    Never(&'a Association),
    Elsewhere(&'a SweepBound, &'a str),
}

/// What pods of other times are compared with.
#[derive(Debug, Clone, Copy)]
pub(super) struct EvictionClock {
    pub(super) now: Timestamp,
    pub(super) grace: SignedDuration,
    pub(super) credentials_last: SignedDuration,
}

impl EvictionClock {
    pub(super) fn new(settings: &Settings, now: Timestamp) -> Self {
        Self { now, grace: settings.grace, credentials_last: settings.credentials_last }
    }

    /// Whether the pod surely was admitted before, and asked for credentials before.
    fn surely_before(self, pod: &Pod, change: Timestamp) -> bool {
        later(later(pod.created_at, ADMISSION_IS_CUT_BY), self.grace) <= change
    }

    /// Whether the pod may have seen what was before.
    fn maybe_before(self, pod: &Pod, change: Timestamp) -> bool {
        pod.created_at < later(change, self.grace)
    }

    /// What a pod held at the end of a time, if it was admitted in it, or its first credentials
    /// ran out in it.
    fn held<'a>(self, pod: &Pod, worked: &'a Worked, ended: Timestamp) -> Option<&'a Desired> {
        let since = worked.since?;
        let renewed = later(later(since, self.credentials_last), self.grace) <= ended;
        (renewed || !self.maybe_before(pod, since)).then_some(&worked.desired)
    }

    /// Whether nothing that was given before can be valid any more.
    fn is_forgotten(self, change: Timestamp) -> bool {
        later(later(change, self.credentials_last), self.grace) <= self.now
    }
}

/// The first case that fits a pod of a place. `bound_to` is whom the pod's label names and his
/// service account, if he is bound in the pod's namespace.
pub(super) fn classify<'a>(
    pod: &Pod,
    place: Option<&'a SweepPlace>,
    bound_to: Option<(&'a SweepBound, &'a str)>,
    clock: EvictionClock,
) -> Option<CaseVerdict<'a>> {
    let of_place = match place.and_then(|place| Some((place, place.association.as_ref()?))) {
        None if pod.credentials.can_get => Some(revoked(pod, place, clock)),
        None => None,
        Some((place, association)) => other_than_before(pod, place, association, clock)
            .or_else(|| excluded(pod, place, association))
            .or_else(|| hidden(pod, place, association, clock))
            .or_else(|| missing(pod, place, association, clock)),
    };
    of_place.or_else(|| unmapped(pod, bound_to?, clock))
}

fn revoked<'a>(pod: &Pod, place: Option<&'a SweepPlace>, clock: EvictionClock) -> CaseVerdict<'a> {
    let bound = place.and_then(|place| place.bound.as_ref());
    // The webhook hears of a removal some seconds late. While somebody else is bound, a pod that
    // was admitted after the removal can be his.
    let explains = |removal: &&Removal| match bound {
        None => clock.maybe_before(pod, removal.at),
        Some(_) => later(pod.created_at, ADMISSION_IS_CUT_BY) <= removal.at,
    };
    let removals = place.map(|place| place.removals.as_slice()).unwrap_or_default();
    let removal = removals.iter().filter(explains).min_by_key(|removal| removal.at);
    let again = |bound: &SweepBound| {
        removal.is_some_and(|removal| removal.service_account == bound.service_account)
    };
    let sure = removal.filter(|_| !bound.is_some_and(|bound| bound.associated || again(bound)));
    let doubt = if removal.is_none() && !bound.is_some_and(|bound| bound.associated) {
        Doubt::NotRemembered
    } else {
        Doubt::StillBound
    };
    CaseVerdict {
        case: Case::Revoked,
        since: sure.map(|removal| removal.at),
        remembered: sure.is_some(),
        doubt: sure.is_none().then_some(doubt),
        // Whatever comes instead gets nothing either.
        settles_at: None,
        because: sure.map_or(Because::Gone(bound), Because::Removed),
    }
}

/// Changed or recreated.
fn other_than_before<'a>(
    pod: &Pod,
    place: &'a SweepPlace,
    association: &'a Association,
    clock: EvictionClock,
) -> Option<CaseVerdict<'a>> {
    if !pod.credentials.can_get {
        return None;
    }
    let made_since = association.created_at.filter(|made| pod.created_at < *made);
    let (ended, before) = before(pod, place, association, clock).or_else(|| {
        // An injected pod that is older than the association had another one.
        Some((made_since.filter(|made| clock.surely_before(pod, *made))?, None))
    })?;
    let harmless = before.is_some_and(|before| association.fits(before));
    if harmless || clock.is_forgotten(ended) {
        return None;
    }
    let doubt = if before.is_none() {
        Some(Doubt::BeforeUnknown)
    } else if !clock.surely_before(pod, ended) {
        Some(Doubt::NearTheChange)
    } else {
        not_as_bound(place, association)
    };
    Some(CaseVerdict {
        case: if made_since.is_some() { Case::Recreated } else { Case::Changed },
        since: Some(ended),
        remembered: before.is_some(),
        doubt,
        settles_at: settles_at(place, association, clock),
        because: Because::Other(before, association),
    })
}

/// When what the place gave at the pod's admission ended, and what it was, if that is remembered.
/// Nothing when the ledger knows of no change that the pod may have been admitted before.
fn before<'a>(
    pod: &Pod,
    place: &'a SweepPlace,
    association: &Association,
    clock: EvictionClock,
) -> Option<(Timestamp, Option<&'a Desired>)> {
    // A pod that was injected just after a removal got nothing until somebody was bound again.
    let ended = place.removals.iter().filter(|removal| clock.surely_before(pod, removal.at));
    let counts = ended.filter(|removal| !clock.is_forgotten(removal.at));
    if let Some(removal) = counts.min_by_key(|removal| removal.at) {
        let before = removal.before.as_ref();
        return Some((removal.at, before.and_then(|before| clock.held(pod, before, removal.at))));
    }
    let bound = place.bound.as_ref()?;
    let written = bound.changed_at?;
    let changed = association.modified_at.map_or(written, |modified| modified.min(written));
    if clock.maybe_before(pod, changed) {
        // The first that the ledger knows of is no change: it may be an adoption.
        return Some((changed, clock.held(pod, bound.before.as_ref()?, changed)));
    }
    // Nothing changed since before the pod: an association that is younger was made again.
    let made = association.created_at.filter(|made| clock.maybe_before(pod, *made))?;
    Some((made, Some(&bound.desired)))
}

fn excluded<'a>(
    pod: &Pod,
    place: &'a SweepPlace,
    association: &'a Association,
) -> Option<CaseVerdict<'a>> {
    pod.credentials.left_out.then(|| CaseVerdict {
        case: Case::Excluded,
        since: both(pod, association),
        remembered: place.bound.is_some(),
        doubt: None,
        settles_at: None,
        because: Because::LeftOut(association),
    })
}

fn hidden<'a>(
    pod: &Pod,
    place: &'a SweepPlace,
    association: &'a Association,
    clock: EvictionClock,
) -> Option<CaseVerdict<'a>> {
    let shown = pod.credentials.web_identity || pod.credentials.static_keys;
    // EKS's webhook prefers the association, so that a pod that it injected is right in spite of
    // the annotation: <https://github.com/aws/amazon-eks-pod-identity-webhook>
    let annotated = place.irsa_role.as_deref().filter(|_| pod.credentials.pod_identity);
    let (doubt, because) = match annotated {
        _ if shown => (not_as_bound(place, association), Because::Hidden(association)),
        Some(role) => (Some(Doubt::OnlyAnnotated), Because::Annotated(role, association)),
        None => return None,
    };
    Some(CaseVerdict {
        case: Case::Shadowed,
        since: both(pod, association),
        remembered: place.bound.is_some(),
        doubt,
        settles_at: settles_at(place, association, clock),
        because,
    })
}

fn missing<'a>(
    pod: &Pod,
    place: &'a SweepPlace,
    association: &'a Association,
    clock: EvictionClock,
) -> Option<CaseVerdict<'a>> {
    (!pod.credentials.pod_identity).then(|| CaseVerdict {
        case: Case::Missing,
        since: both(pod, association),
        remembered: place.bound.is_some(),
        doubt: not_as_bound(place, association),
        settles_at: settles_at(place, association, clock),
        because: Because::Never(association),
    })
}

fn unmapped<'a>(
    pod: &Pod,
    (bound, service_account): (&'a SweepBound, &'a str),
    clock: EvictionClock,
) -> Option<CaseVerdict<'a>> {
    let mapped = bound.mapped_since?;
    let is_own = pod.service_account.starts_with(OF_A_RUN);
    (is_own && pod.service_account != service_account).then(|| CaseVerdict {
        case: Case::Unmapped,
        since: Some(pod.created_at.max(mapped)),
        remembered: true,
        doubt: clock.maybe_before(pod, mapped).then_some(Doubt::BeforeMapping),
        settles_at: Some(later(mapped, clock.grace)),
        because: Because::Elsewhere(bound, service_account),
    })
}

/// Since when there are both the pod and the association.
fn both(pod: &Pod, association: &Association) -> Option<Timestamp> {
    Some(association.created_at.map_or(pod.created_at, |made| made.max(pod.created_at)))
}

/// A pod that comes instead would not get what the ledger says, or nobody knows what it should.
fn not_as_bound(place: &SweepPlace, association: &Association) -> Option<Doubt> {
    let bound = place.bound.as_ref();
    (!bound.is_some_and(|bound| association.fits(&bound.desired))).then_some(Doubt::NotAsBound)
}

fn settles_at(
    place: &SweepPlace,
    association: &Association,
    clock: EvictionClock,
) -> Option<Timestamp> {
    let changed = place.bound.as_ref().and_then(|bound| bound.changed_at);
    changed.max(association.created_at).map(|at| later(at, clock.grace))
}
