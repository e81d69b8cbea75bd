//! A stale pod.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::Case;
use crate::{Owner, Pod};

/// Which pod it is, and no other that takes its name later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Its Kubernetes service account.
    pub service_account: String,
}

impl PodName {
    pub(super) fn of(pod: &Pod) -> Self {
        Self {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            service_account: pod.service_account.clone(),
        }
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Why a pod may be right after all, or nobody can say: it is reported, and never evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Doubt {
    /// The ledger remembers no removal that explains why the association is gone.
    NotRemembered,
    /// The ledger says that there is an association, or that who lost it is bound again.
    StillBound,
    /// It was admitted around the time of the change.
    NearTheChange,
    /// Nobody remembers what it worked as before.
    BeforeUnknown,
    /// The association is not, or not yet, as the ledger says.
    NotAsBound,
    /// Only the service account is annotated, the pod is not.
    OnlyAnnotated,
    /// It was admitted before its name was mapped, or around that time.
    BeforeMapping,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRemembered => "the ledger does not remember that it was taken away",
            Self::StillBound => "the ledger says that the service account is bound",
            Self::NearTheChange => "it was admitted around the time of the change",
            Self::BeforeUnknown => "the ledger does not remember what it worked as before",
            Self::NotAsBound => "the association is not as the ledger says",
            Self::OnlyAnnotated => "its own environment shows nothing of it",
            Self::BeforeMapping => {
                "it was admitted before the name was mapped, or around that time"
            }
        })
    }
}

/// A stale pod, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The pod.
    pub pod: PodName,
    /// The controller that owns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Its Domino workload type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_type: Option<String>,
    /// What is wrong with it.
    pub case: Case,
    /// Since when; not known for a removal that nobody remembers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Whether the ledger remembers what made it stale.
    pub remembered: bool,
    /// Why it may be right after all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// Whether it asks not to be evicted.
    pub asks_to_be_kept: bool,
    /// Since when a PodDisruptionBudget blocks its eviction for the same case; none where none was seen to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_since: Option<Timestamp>,
    /// Until then a pod that comes instead could be admitted too early as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settles_at: Option<Timestamp>,
    /// What it means, naming the pod, its service account and the roles.
    pub reason: String,
    /// What a person can do about it.
    pub remediation: String,
}

impl Finding {
    /// Whether it says nothing about the plausibility of an observation: the ledger remembers that the role was taken
    /// away, or an earlier sweep found the same.
    pub(super) fn is_plausible(&self) -> bool {
        (self.case == Case::Revoked && self.remembered) || self.blocked_since.is_some()
    }

    /// The order in which findings are acted on: what was taken away, longest ago, first.
    pub(super) fn rank(&self) -> (Case, Option<Timestamp>, &PodName) {
        (self.case, self.since, &self.pod)
    }
}
