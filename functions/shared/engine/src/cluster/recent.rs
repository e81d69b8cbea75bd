//! What was written lately, which EKS may not show yet.
//!
//! Most steps are safe on an old view: a creation meets what is there, an update
//! names an id and says everything. Not safe is to conclude from an old view that
//! there is nothing to do, or nothing else: an association that was made a moment
//! ago and is not listed yet would be taken for removed, and stay for ever; one that
//! was passed on a moment ago would keep the tag of somebody who has left, or be
//! deleted for him.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_core::plan::{AssociationStep, Bound, PlacePlan, Plan};
use pod_identity_core::{
    Association, ClusterArn, Desired, KubernetesName, RoleArn, SERVICE_ACCOUNT_TAG, fingerprint,
};
use serde_json::Value;

use crate::apply::{Applied, Failure};
use crate::ledger::{LedgerError, RecentRecord, View, WriteSet, WrittenRecord, recent_key};
use crate::settings::later;

/// Most places that are remembered, so that the item stays far below DynamoDB's 400 KB.
const MOST: usize = 1_500;

/// What is remembered of the writes of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    pub(super) record: RecentRecord,
    /// Whether this run learned that another one died.
    learned: bool,
    /// Places at which nothing is done, and why.
    pub(super) doubts: BTreeMap<KubernetesName, String>,
}

impl Recent {
    /// What the ledger remembers, by what was read of it.
    pub(crate) fn of(view: &View, cluster: &ClusterArn) -> Result<Self, LedgerError> {
        let stored = view.get::<RecentRecord>(&recent_key(cluster))?;
        let record = stored.map(|stored| stored.record).unwrap_or_default();
        Ok(Self { record, ..Self::default() })
    }

    /// Writes down what was learned of a run that died.
    pub(crate) fn write(
        &self,
        view: &mut View,
        cluster: &ClusterArn,
        writes: &mut WriteSet,
        revision: &str,
    ) -> Result<(), LedgerError> {
        writes.put(view, recent_key(cluster), &self.record, revision)
    }

    /// Why what EKS showed at that time may be older than what was written; none when all of it
    /// was seen.
    pub(crate) fn unseen(
        &self,
        shown: &BTreeMap<KubernetesName, &Association>,
        looked_at: Timestamp,
        settles: Duration,
    ) -> Option<String> {
        if let Some(until) = self.record.open_until.filter(|until| *until > looked_at) {
            return Some(format!(
                "an invocation ended without saying what it did, and EKS may show a change until {until}"
            ));
        }
        let lately = self.record.places.iter();
        let mut lately = lately.filter(|(_, written)| later(written.at, settles) > looked_at);
        let (place, written) = lately.find(|(place, written)| {
            let shown = shown.get(*place).map(|association| state_of(association));
            written.state != shown
        })?;
        Some(format!("EKS does not show yet what was written at {place} at {}", written.at))
    }

    /// The last run did not give its lease back; what it did may show until then.
    pub(crate) fn was_abandoned(&mut self, until: Option<Timestamp>) {
        if until > self.record.open_until {
            self.record.open_until = until;
            self.learned = true;
        }
    }

    /// Takes out of a plan what may rest on a view that was too old at that time, and keeps why.
    pub(super) fn judge(
        &mut self,
        plan: &mut Plan,
        shown: &BTreeMap<KubernetesName, Association>,
        looked_at: Timestamp,
        settles: Duration,
    ) {
        for place in &mut plan.places {
            let Some(why) = self.doubt(place, shown.get(&place.kubernetes), looked_at, settles)
            else {
                continue;
            };
            tracing::info!(place = %place.kubernetes, "nothing is done: {why}");
            place.step = None;
            self.doubts.insert(place.kubernetes.clone(), why);
        }
    }

    fn doubt(
        &self,
        place: &PlacePlan,
        shown: Option<&Association>,
        looked_at: Timestamp,
        settles: Duration,
    ) -> Option<String> {
        let written = self.record.places.get(&place.kubernetes);
        let written = written.filter(|written| later(written.at, settles) > looked_at);
        let rests_on_view = match &place.step {
            None => {
                let unchanged = place.bound.as_ref().is_some_and(|b| b.unchanged.is_some());
                let gone = place.removed.iter().any(|removed| removed.association_id.is_none());
                // Somebody else's association in the way may be one of ours that was deleted.
                unchanged || gone || place.kept.is_some()
            }
            Some(AssociationStep::CreateAssociation { .. }) => false,
            Some(AssociationStep::UpdateAssociation { desired, tags, .. }) => {
                // What is left out may be right because somebody has just written the same.
                let same = || written.is_some_and(|w| w.state == place.bound.as_ref().map(wanted));
                (desired.is_none() || tags.is_none()) && !same()
            }
            // Whom it was passed on to may want it still, and be blocked.
            Some(AssociationStep::DeleteAssociation { .. }) => !place.blocked.is_empty(),
        };
        if !rests_on_view {
            return None;
        }
        let kubernetes = &place.kubernetes;
        if let Some(written) = written {
            return (written.state != shown.map(state_of)).then(|| {
                format!(
                    "EKS does not show yet what was written at {kubernetes} at {}; the next delivery looks again",
                    written.at
                )
            });
        }
        self.record.open_until.filter(|until| *until > looked_at).map(|until| {
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
