//! What is about pods with stale credentials.

use serde::{Deserialize, Serialize};

use super::Cause;

wire! {
    /// A pod.
    pub struct Pod {
        /// Kubernetes namespace.
        pub namespace: String,
        /// Name.
        pub name: String,
        /// Uid, which tells it from a later pod of the same name.
        pub uid: String,
        /// Its Kubernetes service account.
        pub service_account: String,
        /// Its Domino workload type, from its label.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub workload_type: Option<String>,
    }
}

wire! {
    /// How a pod's credentials differ from what its association says.
    pub enum StalePodCase {
        /// It holds credentials, and its association is gone.
        Revoked,
        /// Its association's role, target role or session policy changed after it was admitted.
        Changed,
        /// Its association was made again, with another role, after it was admitted.
        Recreated,
        /// A label or an annotation keeps the association from it: it opted out.
        Excluded,
        /// It was admitted without credentials although there is an association.
        Missing,
        /// Web identity or static keys in its environment hide the association.
        Shadowed,
        /// A mapped Domino name started it, on an unmapped Kubernetes service account.
        Unmapped,
    }
}

wire! {
    /// `Stale Pod Evicted`.
    pub struct StalePodEvicted {
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
        /// The pod.
        pub pod: Pod,
        /// What was stale about it.
        pub case: StalePodCase,
        /// What it meant, in words.
        pub reason: String,
    }
}

wire! {
    /// `Stale Pod Reported`: found and left alone.
    pub struct StalePodReported {
        /// Version of the contract.
        pub schema_version: u32,
        /// Id of this outcome, the same when it is sent again.
        pub event_id: String,
        /// When it was found (RFC 3339).
        pub occurred_at: String,
        /// What led here.
        pub cause: Cause,
        /// ARN of the EKS cluster.
        pub cluster_arn: String,
        /// The pod.
        pub pod: Pod,
        /// What is stale about it.
        pub case: StalePodCase,
        /// What it means, and why nothing was done.
        pub reason: String,
        /// What to do about it.
        pub remediation: String,
    }
}

wire! {
    /// `Sweep Requested`.
    pub struct SweepRequested {
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
        /// Name of the Domino service account; every one when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub service_account: Option<String>,
        /// Why.
        pub reason: String,
        /// Pods that were evicted before by the same request, when it is continued: they count
        /// for the ceilings.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub evicted: Option<u32>,
        /// How often the request was continued already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub continuation: Option<u32>,
    }
}
