//! What keeps a restored ledger from giving back what was taken away since.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pod_identity_core::plan::{Problem, RestoreGuard};
use pod_identity_core::{ClusterArn, ServiceAccountRef};
use pod_identity_events::BlockedCode;
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
        Problem {
            code: BlockedCode::LedgerOlderThanCluster,
            reason: format!(
                "the ledger is older than cluster {}: association {} of {} carries this deployment's tag and was made at {}, after the newest write that the ledger holds there, of {}; nothing is made again or corrected there",
                cluster.name(), self.association_id, self.kubernetes, self.created_at, self.newest_write,
            ),
            remediation: "if the ledger was restored, replay the events since, then adopt the orphans (action `adopt` with `orphans`); if it was not, find out in CloudTrail who copied the tag; then have it go on (action `resume`)".to_owned(),
        }
    }
}
