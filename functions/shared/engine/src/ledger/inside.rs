//! What the ledger remembers of the inside of clusters. Written by workloads runs alone, under
//! a lease of their own, so that no event waits for Kubernetes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_core::ServiceAccountRef;
use pod_identity_core::sweep::Case;
use pod_identity_events::Problem;
use pod_identity_events::StalePodEvicted;
use serde::{Deserialize, Serialize};

/// What the last workloads run found out about a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InsideCluster {
    /// When somebody last tried to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
    /// Why nobody can look inside: then everything that is remembered of it is unknown by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<String>,
    /// What is missing on the cluster, and the remediation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
    /// What failed inside in the last run: at most [`MAX_FAILURES`], and how many more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// When the last sweep that saw all pods began to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swept_at: Option<Timestamp>,
    /// Stale pods of that sweep, by case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stale: BTreeMap<Case, usize>,
}

/// Most failures that the ledger remembers of a cluster, and most characters of each.
const MAX_FAILURES: usize = 5;
const MAX_FAILURE_LENGTH: usize = 1_000;

impl InsideCluster {
    /// Takes note of what failed.
    pub(crate) fn note_failures<'a>(&mut self, failed: impl Iterator<Item = &'a str>) {
        let all: Vec<&str> = failed.collect();
        let cut = |why: &&str| why.chars().take(MAX_FAILURE_LENGTH).collect();
        self.failures = all.iter().take(MAX_FAILURES).map(cut).collect();
        if let Some(more) = all.len().checked_sub(MAX_FAILURES).filter(|more| *more > 0) {
            self.failures.push(format!("{more} more; the workloads function's log has them"));
        }
    }
}

/// Most sweeps that the ledger remembers of a cluster: half a day of the default schedule.
pub(crate) const MAX_SWEEPS: usize = 48;

/// Stale pods of the last sweeps of a cluster that saw all pods, for whoever looks at how it went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sweeps {
    /// The oldest first, at most [`MAX_SWEEPS`].
    pub sweeps: Vec<SweepCount>,
}

impl Sweeps {
    /// Adds the newest, and forgets what is too old.
    pub(crate) fn add(&mut self, sweep: SweepCount) {
        self.sweeps.push(sweep);
        let surplus = self.sweeps.len().saturating_sub(MAX_SWEEPS);
        self.sweeps.drain(..surplus);
    }
}

/// What one sweep found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepCount {
    /// When it began to look.
    pub at: Timestamp,
    /// Stale pods by case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stale: BTreeMap<Case, usize>,
}

/// Something that a cluster lacks, or that stands in the way of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// What, naming the object.
    pub reason: String,
    /// What to do about it.
    pub remediation: String,
}

/// What has become of a binding inside a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InsideBinding {
    /// The Kubernetes service account that all of this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<ServiceAccountRef>,
    /// Since when our Mutation maps the name to it; none when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped_since: Option<Timestamp>,
    /// What stands in the way of its Kubernetes service account or its mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Problem>,
    /// What hides its association: pods work with another identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadowed: Option<Missing>,
    /// The proof that pods get what the association gives; none while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<Effective>,
}

impl InsideBinding {
    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The proof that pods get what an association gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    /// Id of the association.
    pub association: String,
    /// When what it gives last changed, as the condition said: another time needs another proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_changed_at: Option<Timestamp>,
    /// When the proof was seen.
    pub at: Timestamp,
    /// What proves it.
    pub proof: Proof,
}

/// What proves that an association is effective.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "by")]
pub enum Proof {
    /// A pod that was admitted after the last change and has the credentials injected.
    Pod {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// A dry run of a pod's creation.
    DryRun,
}

/// Evictions that a run is about to make, written before the first of them: what it cannot tell
/// of, because it dies or the bus does not take it, the next run tells.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intended {
    /// What is to be told of each pod.
    pub evictions: Vec<IntendedEviction>,
}

/// One eviction that a run is about to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IntendedEviction {
    /// What is stale about the pod.
    pub case: Case,
    /// When it was written.
    pub at: Timestamp,
    /// What is told once it is evicted.
    pub event: StalePodEvicted,
}

/// What was published of a stale pod. Expires; until then the same is not told again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportedPod {
    /// What was stale about it.
    pub case: Case,
    /// Whether it was evicted, or deleted; or else only reported.
    pub evicted: bool,
    /// Since when a disruption budget has blocked its eviction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_since: Option<Timestamp>,
    /// When it was last told.
    pub at: Timestamp,
}
