//! What an accepted event asks for.

use std::collections::BTreeSet;

use pod_identity_events::RemovalReason;
use serde::{Deserialize, Serialize};

use crate::{Binding, ClusterArn, DominoName, RoleArn, Version};

/// An incoming event that breaks no rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Decides between this and other changes of the same thing.
    pub version: Version,
    /// The envelope's `detail-type`.
    pub detail_type: String,
    /// Who did it, as the sender claims.
    pub actor: Option<String>,
    /// Why, in the sender's words.
    pub reason: Option<String>,
    /// What to do.
    pub change: Change,
}

/// A change of what should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A service account works as a role from now on.
    Bind(Binding),
    /// A service account works as no role any more.
    Unbind {
        /// The Domino service account.
        service_account: DominoName,
        /// What took its role away.
        reason: RemovalReason,
    },
    /// A cluster joins, or its registration changes.
    Register(Registration),
    /// A cluster's guarded retirement is asked for.
    Retire {
        /// The cluster.
        cluster: ClusterArn,
    },
}

/// A cluster of the deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The cluster.
    pub cluster: ClusterArn,
    /// Its node roles; when empty, those of its node groups are meant.
    #[serde(default)]
    pub node_roles: BTreeSet<RoleArn>,
    /// The role to assume for a cluster of another account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<RoleArn>,
}
