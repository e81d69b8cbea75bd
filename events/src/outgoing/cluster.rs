//! What is about a whole cluster.

use serde::{Deserialize, Serialize};

use super::Cause;

wire! {
    /// How full the node role policies of a cluster are.
    pub struct PolicyCapacity {
        /// Customer managed policies in use.
        pub policies: u32,
        /// Most policies that fit, by free attachment slots of the node roles.
        pub max_policies: u32,
        /// Roles listed.
        pub roles: u32,
        /// About how many more roles of the same length fit.
        pub roles_remaining: u32,
        /// Characters in use, as IAM counts them, of all that `max_policies` hold, in percent.
        pub used_percent: u32,
    }
}

wire! {
    /// `Node Role Policy Changed`: a policy of node roles has a new version, or was deleted.
    pub struct NodeRolePolicyChanged {
        /// Version of the contract.
        pub schema_version: u32,
        /// Id of this outcome, the same when it is sent again.
        pub event_id: String,
        /// When it was found true (RFC 3339).
        pub occurred_at: String,
        /// What led here.
        pub cause: Cause,
        /// ARN of the EKS cluster.
        pub cluster_arn: String,
        /// ARN of the policy.
        pub policy_arn: String,
        /// Its default version now, or its last one.
        pub policy_version: String,
        /// Roles that are newly listed.
        pub added_role_arns: Vec<String>,
        /// Roles that are no longer listed.
        pub removed_role_arns: Vec<String>,
        /// The node roles that the policy is attached to.
        pub node_role_arns: Vec<String>,
        /// How full the cluster's policies are now.
        pub capacity: PolicyCapacity,
    }
}

wire! {
    /// `Drift Corrected`: something that was changed by hand was put right.
    pub struct DriftCorrected {
        /// Version of the contract.
        pub schema_version: u32,
        /// Id of this outcome, the same when it is sent again.
        pub event_id: String,
        /// When it was done (RFC 3339).
        pub occurred_at: String,
        /// What led here.
        pub cause: Cause,
        /// ARN of the EKS cluster.
        pub cluster_arn: String,
        /// The object, by ARN or by name.
        pub object: String,
        /// What was found.
        pub found: String,
        /// What it was corrected to.
        pub corrected: String,
    }
}

wire! {
    /// `Reconciliation Requested`.
    pub struct ReconciliationRequested {
        /// Version of the contract.
        pub schema_version: u32,
        /// Id of this request, the same when it is sent again.
        pub event_id: String,
        /// When it was asked (RFC 3339).
        pub occurred_at: String,
        /// What led here.
        pub cause: Cause,
        /// ARN of the EKS cluster; every registered one when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub cluster_arn: Option<String>,
        /// Why.
        pub reason: String,
        /// Where an earlier invocation stopped: the Kubernetes service account, as
        /// `NAMESPACE/NAME`, behind which to go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub after: Option<String>,
        /// How often the work was continued already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub continuation: Option<u32>,
    }
}
