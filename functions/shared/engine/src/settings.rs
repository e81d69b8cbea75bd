//! What a deployment sets, as far as the engine is concerned.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::{Rules, plan};

/// Settings of a deployment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The allow-lists and naming rules.
    pub rules: Rules,
    /// What planning needs.
    pub plan: plan::Options,
    /// IAM's quota of managed policies attached to one role.
    pub policy_slots: u32,
    /// Most calls under way at once on one cluster; a batch works on up to four side by side.
    pub concurrency: usize,
    /// How long a lease lasts.
    pub lease: Duration,
    /// Longest time that one call takes, with all its attempts.
    pub longest_call: Duration,
    /// How long rejections and superseded events are kept.
    pub notice_retention: Duration,
    /// Most service accounts that the ledger ever knows, unbound ones included: their tombstones stay,
    /// and reconcile loads them all.
    pub max_names: usize,
    /// How long a role has to be unused before reconcile takes it out of the node policies; none
    /// when it never does.
    pub trim_after: Option<Duration>,
}

impl Settings {
    /// When a notice that is written now may be forgotten, in seconds since 1970.
    #[must_use]
    pub fn notice_expires_at(&self, now: Timestamp) -> i64 {
        let days = SignedDuration::try_from(self.notice_retention).unwrap_or(SignedDuration::MAX);
        now.as_second().saturating_add(days.as_secs())
    }

    /// Whether a call that starts now might end after the deadline.
    #[must_use]
    pub fn deadline_reached(&self, now: Timestamp, deadline: Timestamp) -> bool {
        later(now, self.longest_call) >= deadline
    }
}

/// Adds a duration to a time; past the end of time it is the end of time.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by)
        .ok()
        .and_then(|by| at.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}
