//! What was written lately, which EKS may not show yet.
//!
//! What a step does is safe on an old view: a creation meets what is there, an update
//! or a deletion names an id. To conclude from an old view that there is nothing
//! to do is not: an association that was made a moment ago and is not listed yet
//! would be taken for removed, and stay for ever. Nor is what an update leaves out: one
//! that was passed on a moment ago would keep the tag of somebody who has left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_core::plan::{AssociationStep, Bound, PlacePlan, Plan};
use pod_identity_core::{
    Association, Desired, KubernetesName, RoleArn, SERVICE_ACCOUNT_TAG, fingerprint,
};
use serde_json::Value;

use crate::apply::{Applied, Failure};
use crate::ledger::{RecentRecord, WrittenRecord};
use crate::settings::later;

/// Most places that are remembered, so that the item stays far below DynamoDB's 400 KB.
const MOST: usize = 1_500;

/// What no association is like: a part of it was written, on a view that may be old.
const UNCLEAR: &str = "unclear";

/// What is remembered of the writes of the last minute.
#[derive(Debug, Default)]
pub(super) struct Recent {
    pub(super) record: RecentRecord,
    /// Whether this run learned that another one died.
    learned: bool,
}

impl Recent {
    /// The last run did not give its lease back; what it did may show until then.
    pub(super) fn was_abandoned(&mut self, until: Option<Timestamp>) {
        if until > self.record.open_until {
            self.record.open_until = until;
            self.learned = true;
        }
    }

    /// Why it cannot be concluded from what EKS shows that nothing, or nothing else, is or can be
    /// done at a place.
    pub(super) fn doubt(
        &self,
        place: &PlacePlan,
        shown: Option<&Association>,
        now: Timestamp,
        settles: Duration,
    ) -> Option<String> {
        let partial = matches!(
            place.step,
            Some(AssociationStep::UpdateAssociation { desired: None, .. }
                | AssociationStep::UpdateAssociation { tags: None, .. })
        );
        let unchanged = place.bound.as_ref().is_some_and(|bound| bound.unchanged.is_some());
        let gone = place.removed.iter().any(|removed| removed.association_id.is_none());
        // Somebody else's association in the way may be one of ours that was deleted.
        let nothing = place.step.is_none() && (unchanged || gone || place.kept.is_some());
        if !(nothing || partial) {
            return None;
        }
        let kubernetes = &place.kubernetes;
        let written = self.record.places.get(kubernetes);
        if let Some(written) = written.filter(|written| later(written.at, settles) > now) {
            // What was left out may be as it should be because somebody has just written that.
            let same = || written.state == place.bound.as_ref().map(wanted);
            let settled = written.state == shown.map(state_of) || (partial && same());
            return (!settled).then(|| {
                format!(
                    "EKS does not show yet what was written at {kubernetes} at {}; the next delivery looks again",
                    written.at
                )
            });
        }
        self.record.open_until.filter(|until| *until > now).map(|until| {
            format!(
                "an invocation ended without saying what it did, and EKS may show a change at {kubernetes} until {until}; a delivery after that looks again"
            )
        })
    }

    /// What to remember now, if it is anything new.
    pub(super) fn after(
        &self,
        plan: &Plan,
        applied: &Applied,
        doubted: &BTreeSet<KubernetesName>,
        now: Timestamp,
        settles: Duration,
    ) -> Option<RecentRecord> {
        let written: BTreeMap<_, _> = plan
            .places
            .iter()
            .filter(|place| applied.ungranted(place).is_none())
            .filter(|place| {
                // A call that failed for a passing reason may have had its effect.
                let result = applied.places.get(&place.kubernetes);
                matches!(result, Some(Ok(_) | Err(Failure::Passing(_))))
            })
            .map(|place| {
                let state = match place.step {
                    Some(AssociationStep::DeleteAssociation { .. }) | None => None,
                    Some(_) if doubted.contains(&place.kubernetes) => Some(UNCLEAR.to_owned()),
                    Some(_) => place.bound.as_ref().map(wanted),
                };
                (place.kubernetes.clone(), WrittenRecord { at: now, state })
            })
            .collect();
        if written.is_empty() && !self.learned {
            return None;
        }
        let mut record = self.record.clone();
        record.open_until = record.open_until.filter(|until| *until > now);
        record.places.retain(|_, written| later(written.at, settles) > now);
        record.places.extend(written);
        while record.places.len() > MOST {
            let oldest = record.places.iter().min_by_key(|(_, written)| written.at);
            let Some(oldest) = oldest.map(|(kubernetes, _)| kubernetes.clone()) else { break };
            record.places.remove(&oldest);
        }
        Some(record)
    }
}

/// What an association will be like, in short.
fn wanted(bound: &Bound) -> String {
    let Desired { role, target_role, disable_session_tags, session_policy } = &bound.desired;
    let target = target_role.as_ref().map(RoleArn::as_str);
    let name = &bound.service_account;
    short(name.as_str(), role.as_str(), target, *disable_session_tags, session_policy.as_deref())
}

/// What an association is like, in the same words.
fn state_of(association: &Association) -> String {
    let name = association.tags.get(SERVICE_ACCOUNT_TAG).map(String::as_str).unwrap_or_default();
    let Association { role_arn, target_role_arn, disable_session_tags, policy, .. } = association;
    short(name, role_arn, target_role_arn.as_deref(), *disable_session_tags, policy.as_deref())
}

/// EKS may answer an absent value as an empty one, and need not keep a policy's white space.
fn short(
    name: &str,
    role: &str,
    target: Option<&str>,
    untagged: bool,
    policy: Option<&str>,
) -> String {
    let policy = policy.unwrap_or_default();
    let read = serde_json::from_str::<Value>(policy).map(|value| value.to_string());
    fingerprint([
        name,
        role,
        target.unwrap_or_default(),
        if untagged { "untagged" } else { "tagged" },
        &read.unwrap_or_else(|_| policy.to_owned()),
    ])
}
