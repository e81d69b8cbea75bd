//! What keeps a restored ledger from giving back what was revoked since.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pod_identity_core::plan::RestoreGuard;
use pod_identity_core::{ClusterArn, ServiceAccountRef};
use pod_identity_events::Problem;
use serde::{Deserialize, Serialize};

/// The guard of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardRecord {
    /// The sign that the ledger is older than the cluster, until an administrator resumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<HaltRecord>,
    /// Associations that are gone and may be made again, by the id that the ledger remembers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub resumed: BTreeSet<String>,
    /// Orphans that an administrator has seen: they are no sign any more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub dismissed: BTreeSet<String>,
}

/// An orphan that is younger than the newest write that the ledger holds for its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HaltRecord {
    /// Since when.
    pub at: Timestamp,
    /// Id of the orphan.
    pub association_id: String,
    /// Where it is.
    pub kubernetes: ServiceAccountRef,
    /// When it was made.
    pub created_at: Timestamp,
    /// The newest write on the cluster that the ledger held then.
    pub newest_write: Timestamp,
}

impl GuardRecord {
    /// As planning takes it.
    #[must_use]
    pub fn for_plan(&self, cluster: &ClusterArn) -> RestoreGuard {
        let halted = self.halted.as_ref().map(|halt| halt.problem(cluster));
        RestoreGuard { halted, resumed: self.resumed.clone() }
    }
}

impl HaltRecord {
    /// Why nothing is made again or corrected.
    #[must_use]
    pub fn problem(&self, cluster: &ClusterArn) -> Problem {
        Problem::LedgerOlderThanCluster {
            account: self.kubernetes.in_cluster(cluster),
            association_id: self.association_id.clone(),
            created_at: self.created_at.to_string(),
            newest_write: self.newest_write.to_string(),
        }
    }
}
