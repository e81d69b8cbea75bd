//! The outcome of a binding on a cluster.

use serde::{Deserialize, Serialize};

use super::{Cause, Problem};

wire! {
    /// The Domino service account, and the place in a cluster, that an outcome is about.
    pub struct Subject {
        /// Name of the Domino service account.
        pub service_account: String,
        /// ARN of the EKS cluster.
        pub cluster_arn: String,
        /// Kubernetes namespace.
        pub namespace: String,
        /// Name of the Kubernetes service account.
        pub kubernetes_service_account: String,
    }
}

wire! {
    /// What an evaluation of a role's trust policy came to.
    pub enum TrustVerdict {
        /// EKS Pod Identity may assume the role for this service account.
        Trusted,
        /// It may not.
        Untrusted,
        /// The policy uses something that cannot be known beforehand.
        Unknown,
    }
}

wire! {
    /// The verdict on a role's trust policy, and what decided it.
    pub struct Trust {
        /// The verdict.
        pub verdict: TrustVerdict,
        /// The statement and key that decided, in words.
        pub reason: String,
    }
}

wire! {
    /// What was done to an association.
    pub enum AssociationChange {
        /// It was made.
        Created,
        /// Its role, target role, session tags or session policy were changed.
        Updated,
        /// It was already as it should be.
        Unchanged,
    }
}

wire! {
    /// `Pod Identity Association Ready`: the association exists as it was asked for.
    ///
    /// EKS takes some seconds more until new pods get its credentials.
    pub struct PodIdentityAssociationReady {
        /// Version of the contract.
        pub schema_version: u32,
        /// Id of this outcome, the same when it is sent again.
        pub event_id: String,
        /// When it was found true (RFC 3339).
        pub occurred_at: String,
        /// What led here.
        pub cause: Cause,
        /// Whom and where it is about.
        #[serde(flatten)]
        pub subject: Subject,
        /// Id of the association.
        pub association_id: String,
        /// ARN of the association.
        pub association_arn: String,
        /// What was done to it by the invocation that tells. One that goes on where another died
        /// may say `unchanged` of what that one made, under the same `eventId`.
        pub change: AssociationChange,
        /// The role that its pods work as.
        pub role_arn: String,
        /// The role that EKS assumes from there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub target_role_arn: Option<String>,
        /// The `sts:ExternalId` that the target role's trust policy has to ask for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub external_id: Option<String>,
        /// The verdict on the role's trust policy.
        pub trust: Trust,
        /// What works but should be looked at.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub warnings: Vec<String>,
    }
}

wire! {
    /// Why an association was deleted.
    pub enum RemovalReason {
        /// The service account's role was unassigned.
        Unassigned,
        /// The service account was deactivated.
        Deactivated,
        /// The binding moved to another Kubernetes service account or away from this cluster.
        Moved,
        /// The cluster is being retired.
        ClusterRetired,
    }
}

wire! {
    /// `Pod Identity Association Removed`. Credentials already given stay valid up to six hours.
    pub struct PodIdentityAssociationRemoved {
        /// Version of the contract.
        pub schema_version: u32,
        /// Id of this outcome, the same when it is sent again.
        pub event_id: String,
        /// When it was found true (RFC 3339).
        pub occurred_at: String,
        /// What led here.
        pub cause: Cause,
        /// Whom and where it is about.
        #[serde(flatten)]
        pub subject: Subject,
        /// Id of the association; absent when there was none to remove.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub association_id: Option<String>,
        /// The role that its pods worked as, when known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub role_arn: Option<String>,
        /// Why.
        pub reason: RemovalReason,
    }
}

wire! {
    /// `Pod Identity Association Blocked`: what was asked for is not true, and why.
    pub struct PodIdentityAssociationBlocked {
        /// Version of the contract.
        pub schema_version: u32,
        /// Id of this outcome, the same when it is sent again.
        pub event_id: String,
        /// When it was found true (RFC 3339).
        pub occurred_at: String,
        /// What led here.
        pub cause: Cause,
        /// Whom and where it is about.
        #[serde(flatten)]
        pub subject: Subject,
        /// What stands in the way: `code` and `details`.
        #[serde(flatten)]
        pub problem: Problem,
        /// What happened, naming the object, for a person to read.
        pub message: String,
        /// What to do about it, for a person to read.
        pub remediation: String,
        /// The role that was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub role_arn: Option<String>,
        /// The verdict on the role's trust policy, when it was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub trust: Option<Trust>,
    }
}
