//! What was written lately, which EKS may not show yet.
//!
//! Most steps are safe on an old view: a creation meets what is there, an update or a deletion
//! names an id. Not safe is to conclude from an old view that there is nothing to do, or nothing
//! else: an association that was made a moment ago and is not listed yet would be taken for
//! removed, and stay for ever; one that was passed on a moment ago would be deleted for the
//! service account that left.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_core::plan::{AssociationStep, Bound, PlacePlan, Plan};
use pod_identity_core::{Association, Desired, RoleArn, ServiceAccountRef, fingerprint};
use serde_json::Value;

use crate::apply::Applied;
use crate::error::Error;
use crate::ledger::{AccountRecord, WrittenRecord};
use crate::settings::later;

/// What keeps a run from concluding anything from what EKS shows.
#[derive(Debug, Default)]
pub(crate) struct Visibility {
    /// Until when EKS may show a change of a run that died before it could write it down.
    pub(super) abandoned_until: Option<Timestamp>,
    /// Places at which nothing is done, and why.
    pub(super) doubts: BTreeMap<ServiceAccountRef, Error>,
}

/// Why what EKS showed of a whole cluster at that time may be older than what was written; none
/// when all of it was seen.
pub(crate) fn unseen(
    accounts: &BTreeMap<ServiceAccountRef, AccountRecord>,
    abandoned_until: Option<Timestamp>,
    shown: &BTreeMap<ServiceAccountRef, &Association>,
    looked_at: Timestamp,
    settles: Duration,
) -> Option<String> {
    if let Some(until) = abandoned_until.filter(|until| *until > looked_at) {
        return Some(format!(
            "an invocation ended without saying what it did, and EKS may show a change until {until}"
        ));
    }
    let written = accounts.iter().filter_map(|(place, account)| {
        let written = account.last_write.as_ref()?;
        (later(written.at, settles) > looked_at).then_some((place, written))
    });
    let hidden = |(place, written): &(&ServiceAccountRef, &WrittenRecord)| {
        written.state != shown.get(*place).map(|association| state_of(association))
    };
    let (place, written) = written.into_iter().find(hidden)?;
    Some(format!("EKS does not show yet what was written at {place} at {}", written.at))
}

impl Visibility {
    /// Takes out of a plan what may rest on a view that was too old at that time, and keeps why.
    pub(super) fn judge(
        &mut self,
        plan: &mut Plan,
        accounts: &BTreeMap<ServiceAccountRef, AccountRecord>,
        shown: &BTreeMap<ServiceAccountRef, Association>,
        looked_at: Timestamp,
        settles: Duration,
    ) {
        for place in &mut plan.places {
            let account = accounts.get(&place.kubernetes).filter(|one| {
                let written = one.last_write.as_ref();
                written.is_some_and(|written| later(written.at, settles) > looked_at)
            });
            let shown = shown.get(&place.kubernetes);
            let Some(why) = self.doubt(place, account, shown, looked_at) else { continue };
            self.set_aside(place, Error::Waits { why, until: later(looked_at, settles) });
        }
    }

    /// Does nothing at a place, and keeps why: the next delivery looks again.
    pub(super) fn set_aside(&mut self, place: &mut PlacePlan, why: Error) {
        place.step = None;
        self.doubts.insert(place.kubernetes.clone(), why);
    }

    fn doubt(
        &self,
        place: &PlacePlan,
        account: Option<&AccountRecord>,
        shown: Option<&Association>,
        looked_at: Timestamp,
    ) -> Option<String> {
        let written = account.and_then(|account| account.last_write.as_ref());
        let rests_on_view = match &place.step {
            None => {
                let unchanged = place.bound.as_ref().is_some_and(|b| b.unchanged.is_some());
                let gone = place.removed.iter().any(|removed| removed.association_id.is_none());
                // A foreign association in the way may be one of ours that was deleted.
                unchanged || gone || place.kept.is_some()
            }
            Some(AssociationStep::CreateAssociation { .. }) => false,
            Some(AssociationStep::UpdateAssociation { desired, .. }) => {
                // What is left out may be right because the same was just written.
                let same = || written.is_some_and(|w| w.state == place.bound.as_ref().map(wanted));
                desired.is_none() && !same()
            }
            // The next holder, to which it may have been passed on, is blocked; or EKS may not know
            // yet what it is to delete, and answer that it is gone; or shows one of ours from before.
            Some(AssociationStep::DeleteAssociation { id, .. }) => {
                let held = account.and_then(|account| account.held.as_ref());
                let other = held.is_some_and(|held| held.id != *id);
                !place.blocked.is_empty() || shown.is_none() || other
            }
        };
        if !rests_on_view {
            return None;
        }
        let kubernetes = &place.kubernetes;
        if let Some(written) = written {
            let held = account.and_then(|account| account.held.as_ref());
            let other = held.zip(shown).is_some_and(|(held, shown)| held.id != shown.id);
            return (other || written.state != shown.map(state_of)).then(|| {
                format!(
                    "EKS does not show yet what was written at {kubernetes} at {}; the next delivery looks again",
                    written.at
                )
            });
        }
        self.abandoned_until.filter(|until| *until > looked_at).map(|until| {
            format!(
                "an invocation ended without saying what it did, and EKS may show a change at {kubernetes} until {until}; a delivery after that looks again"
            )
        })
    }
}

/// What the ledger shall remember to have been written at places, whether it is known to have worked
/// or not.
pub(super) fn written(
    plan: &Plan,
    applied: &Applied,
    now: Timestamp,
) -> BTreeMap<ServiceAccountRef, WrittenRecord> {
    let granted = plan.places.iter().filter(|place| applied.ungranted(place).is_none());
    let attempted = granted.filter(|place| {
        // A call that failed for a passing reason may have had its effect.
        let result = applied.places.get(&place.kubernetes);
        matches!(result, Some(Ok(_) | Err(Error::Retryable(_))))
    });
    let record = |place: &PlacePlan| {
        let state = match place.step {
            Some(AssociationStep::DeleteAssociation { .. }) | None => None,
            Some(_) => place.bound.as_ref().map(wanted),
        };
        (place.kubernetes.clone(), WrittenRecord { at: now, state })
    };
    attempted.map(record).collect()
}

/// What an association will give its pods, in short. Its tags are no part of that.
fn wanted(bound: &Bound) -> String {
    let Desired { role, target_role, disable_session_tags, session_policy } = &bound.desired;
    let target = target_role.as_ref().map(RoleArn::as_str);
    short(role.as_str(), target, *disable_session_tags, session_policy.as_deref())
}

/// What an association gives its pods, in the same words.
fn state_of(association: &Association) -> String {
    let Association { role_arn, target_role_arn, disable_session_tags, policy, .. } = association;
    short(role_arn, target_role_arn.as_deref(), *disable_session_tags, policy.as_deref())
}

/// EKS may answer an absent value as an empty one, and need not keep a policy's white space.
fn short(role: &str, target: Option<&str>, untagged: bool, policy: Option<&str>) -> String {
    let policy = policy.unwrap_or_default();
    let read = serde_json::from_str::<Value>(policy).map(|value| value.to_string());
    fingerprint([
        role,
        target.unwrap_or_default(),
        if untagged { "untagged" } else { "tagged" },
        &read.unwrap_or_else(|_| policy.to_owned()),
    ])
}
