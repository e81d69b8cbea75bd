//! The binding: what should be.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{ClusterArn, DominoName, RoleArn, ServiceAccountRef};

/// The clusters that a binding is meant for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Clusters {
    /// Every registered cluster in the role's account.
    All,
    /// These.
    Named(BTreeSet<ClusterArn>),
}

/// What the pods of a Kubernetes service account should work as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// The IAM role, in the account of the cluster.
    pub role: RoleArn,
    /// The role that EKS assumes from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_role: Option<RoleArn>,
    /// Whether EKS leaves out its session tags.
    #[serde(default)]
    pub disable_session_tags: bool,
    /// IAM policy (JSON) that narrows the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_policy: Option<String>,
}

/// A Domino service account is bound to a role, through a Kubernetes service account, on clusters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// The Domino service account.
    pub service_account: DominoName,
    /// The Kubernetes service account.
    pub kubernetes: ServiceAccountRef,
    /// What its pods should work as.
    #[serde(flatten)]
    pub desired: Desired,
    /// Where.
    pub clusters: Clusters,
}

impl Binding {
    /// Whether the binding is meant for a cluster.
    #[must_use]
    pub fn selects(&self, cluster: &ClusterArn) -> bool {
        match &self.clusters {
            Clusters::All => cluster.account() == self.desired.role.account(),
            Clusters::Named(named) => named.contains(cluster),
        }
    }
}
