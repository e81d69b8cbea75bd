//! What stands in the way of a binding, as data.
//!
//! The ledger, events and answers have a code and its details. What a person reads is made of them
//! in `text`, so that no comparison and no id depends on wording.

use serde::{Deserialize, Serialize};
use serde_json::Value;

mod text;

pub use text::MAKE_READY_ELSEWHERE;

wire! {
    /// A Kubernetes service account of a cluster.
    #[derive(Eq)]
    pub struct ClusterAccount {
        /// ARN of the EKS cluster.
        pub cluster_arn: String,
        /// Kubernetes namespace.
        pub namespace: String,
        /// Name of the Kubernetes service account.
        pub kubernetes_service_account: String,
    }
}

wire! {
    /// A call to AWS or Kubernetes that failed.
    #[derive(Eq)]
    pub struct FailedCall {
        /// What was tried, as a verb and a noun: `create association for`.
        pub operation: String,
        /// On what.
        pub object: String,
        /// The role that the call was made as, where it is another account's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub assumed_role_arn: Option<String>,
        /// The error in the service's words, without a request id. It may be worded otherwise
        /// at the next attempt.
        pub error: String,
    }
}

wire! {
    /// What a failed call was for.
    pub enum CallPurpose {
        /// Associations of the cluster.
        Associations,
        /// A node policy.
        NodePolicy,
        /// Node policies of a cluster that is retired.
        RetiredNodePolicies,
        /// Attaching a node policy to a node role.
        NodePolicyAttachment,
        /// Reading the policies of a node role.
        NodeRole,
        /// Reading the node groups of the cluster.
        NodeGroups,
        /// Reading the cluster itself.
        Cluster,
        /// Kubernetes service accounts in the cluster.
        ServiceAccounts,
        /// Domino's Mutations in the cluster.
        Mutations,
    }
}

wire! {
    /// A Mutation that maps a Domino name to another Kubernetes service account.
    #[derive(Eq)]
    pub struct OtherMapping {
        /// Name of the Mutation.
        pub mutation: String,
        /// Name of the Kubernetes service account.
        pub kubernetes_service_account: String,
    }
}

macro_rules! problems {
    ($(
        $(#[doc = $doc:literal])*
        $code:ident {
            $($(#[$meta:meta])* $field:ident: $type:ty,)*
        }
    )*) => {
        /// The kind of a [`Problem`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum BlockedCode {
            $($(#[doc = $doc])* $code,)*
            /// One that this version does not know.
            Other,
        }

        /// What stands in the way of a binding.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(
            tag = "code",
            content = "details",
            rename_all = "camelCase",
            rename_all_fields = "camelCase"
        )]
        #[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
        pub enum Problem {
            $($(#[doc = $doc])* $code { $($(#[$meta])* $field: $type,)* },)*
            /// One that this version does not know: it is shown and written back as it is.
            #[serde(untagged)]
            #[cfg_attr(feature = "schemas", schemars(skip))]
            Other {
                /// Its code.
                code: String,
                /// Its details.
                #[serde(default, skip_serializing_if = "Value::is_null")]
                details: Value,
            },
        }

        impl Problem {
            /// What kind of problem it is.
            #[must_use]
            pub fn code(&self) -> BlockedCode {
                match self {
                    $(Self::$code { .. } => BlockedCode::$code,)*
                    Self::Other { .. } => BlockedCode::Other,
                }
            }
        }
    };
}

problems! {
    /// The role's trust policy does not admit EKS Pod Identity.
    UntrustedRole {
        /// ARN of the role.
        role_arn: String,
        /// What the trust policy lacks, or what denies, in words.
        reason: String,
        /// Whether a statement of the trust policy denies, so that no added statement helps.
        denied: bool,
        /// The exact trust policy for the role's owner.
        trust_policy: Value,
    }
    /// EKS refuses the role for its trust policy.
    RefusedRole {
        /// The call.
        call: FailedCall,
        /// ARN of the role, where its trust policy reads as trusted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trusted_role_arn: Option<String>,
    }
    /// The role does not exist.
    RoleNotFound {
        /// ARN of the role.
        role_arn: String,
        /// ARN of a role of the same name and another path, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namesake_arn: Option<String>,
    }
    /// An association that this deployment did not make holds the Kubernetes service account.
    ForeignAssociation {
        /// The Kubernetes service account.
        account: ClusterAccount,
        /// Id of the association.
        association_id: String,
        /// Its role.
        role_arn: String,
        /// The association that an administrator let this binding adopt, where it is another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        adoptable_id: Option<String>,
    }
    /// An EKS add-on owns the association of the Kubernetes service account.
    AddOnOwnedAssociation {
        /// The Kubernetes service account.
        account: ClusterAccount,
        /// Id of the association.
        association_id: String,
        /// The add-on.
        add_on: String,
    }
    /// An association with this deployment's tag that the ledger does not account for holds the
    /// Kubernetes service account.
    OrphanAssociation {
        /// The Kubernetes service account.
        account: ClusterAccount,
        /// Id of the association.
        association_id: String,
        /// The Domino service account that its tag names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tagged_for: Option<String>,
        /// The association that an administrator let this binding adopt, where it is another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        adoptable_id: Option<String>,
    }
    /// The association that this deployment made was replaced by another, which pods may get.
    ReplacedAssociation {
        /// The Kubernetes service account.
        account: ClusterAccount,
        /// Id of the association that this deployment made.
        replaced_id: String,
        /// Id of the association that is there now.
        association_id: String,
        /// Its role.
        role_arn: String,
        /// The association that an administrator let this binding adopt, where it is another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        adoptable_id: Option<String>,
    }
    /// Another binding holds the same Kubernetes service account, or too many wait for it.
    Conflict {
        /// The Domino service account that is blocked.
        service_account: String,
        /// The Kubernetes service account.
        account: ClusterAccount,
        /// The Domino service account that holds it; absent where the ledger queues no more claims.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<String>,
    }
    /// The cluster is not registered yet.
    ClusterNotRegistered {
        /// ARN of the cluster.
        cluster_arn: String,
    }
    /// EKS does not know the cluster.
    ClusterNotFound {
        /// ARN of the cluster.
        cluster_arn: String,
    }
    /// EKS answers for a cluster of the same name in another account.
    ClusterOfAnotherAccount {
        /// ARN of the cluster.
        cluster_arn: String,
        /// ARN of an association that was answered.
        association_arn: String,
        /// The account that the cluster is in.
        account_id: String,
    }
    /// A node role of the cluster does not exist.
    NodeRoleNotFound {
        /// ARN of the cluster.
        cluster_arn: String,
        /// ARN of the node role.
        node_role_arn: String,
        /// Whether the role is a guess, by the name that Domino's Terraform module gives it.
        guessed: bool,
    }
    /// `NODE_ROLES` does not admit a node role of the cluster.
    NodeRoleNotAllowed {
        /// ARN of the node role.
        node_role_arn: String,
    }
    /// The node policies have no room for the role.
    NodePolicyFull {
        /// ARN of the cluster.
        cluster_arn: String,
        /// Most policies that the free attachment slots of the node roles admit.
        max_policies: u32,
    }
    /// A node role has no free attachment slot for a node policy.
    NodeRoleFull {
        /// ARN of the node role.
        node_role_arn: String,
        /// ARN of the policy.
        policy_arn: String,
    }
    /// A node policy that is not needed cannot be deleted.
    NodePolicyInUse {
        /// ARN of the cluster.
        cluster_arn: String,
        /// ARN of the policy.
        policy_arn: String,
    }
    /// A limit of EKS or IAM was reached.
    LimitReached {
        /// What the call was for.
        purpose: CallPurpose,
        /// The call.
        call: FailedCall,
    }
    /// AWS or Kubernetes denied a call.
    AccessDenied {
        /// What the call was for.
        purpose: CallPurpose,
        /// The call.
        call: FailedCall,
    }
    /// AWS or Kubernetes refused a value.
    InvalidRequest {
        /// What the call was for.
        purpose: CallPurpose,
        /// The call.
        call: FailedCall,
    }
    /// A call to Kubernetes failed for now.
    KubernetesUnavailable {
        /// The call.
        call: FailedCall,
    }
    /// This run already deletes as many associations as one run may.
    DeletionCeiling {
        /// The Kubernetes service account.
        account: ClusterAccount,
        /// Id of the association.
        association_id: String,
        /// Most associations that one run deletes.
        max_deletions: usize,
    }
    /// This run already makes as many associations again that are gone as one run may.
    RecreationCeiling {
        /// The Kubernetes service account.
        account: ClusterAccount,
        /// Id of the association that is gone.
        association_id: String,
    }
    /// The ledger is older than the cluster, as after a restore: nothing is made again or
    /// corrected there until an administrator says so.
    LedgerOlderThanCluster {
        /// The Kubernetes service account.
        account: ClusterAccount,
        /// Id of an association with this deployment's tag that the ledger does not know.
        association_id: String,
        /// When it was made (RFC 3339).
        created_at: String,
        /// The newest write on the cluster that the ledger holds (RFC 3339).
        newest_write: String,
    }
    /// The deployment's allow-lists do not admit the binding.
    NotAllowed {
        /// The rules that it breaks, in words.
        violations: String,
    }
    /// The deployment's allow-lists no longer admit the cluster's registration.
    ClusterNotAllowed {
        /// The rules that it breaks, in words.
        violations: String,
    }
    /// A `Mutation` of another owner maps the Domino name to another Kubernetes service account.
    /// The association is there all the same.
    MappingConflict {
        /// The Domino service account.
        service_account: String,
        /// Name of the Kubernetes service account that it is bound to.
        kubernetes_service_account: String,
        /// The namespace of the Mutations.
        namespace: String,
        /// What other Mutations say.
        mappings: Vec<OtherMapping>,
    }
    /// Another binding uses a Kubernetes service account of the same name in another namespace, which
    /// a mapping cannot tell apart. The association is there all the same.
    AmbiguousMapping {
        /// The Domino service account.
        service_account: String,
        /// The namespace of its Kubernetes service account.
        namespace: String,
        /// Name of both Kubernetes service accounts.
        kubernetes_service_account: String,
        /// The other Domino service account.
        other_service_account: String,
        /// The namespace of the other Kubernetes service account.
        other_namespace: String,
        /// How many more there are.
        more: usize,
    }
    /// The Mutation of this deployment's name has another owner, at least in part.
    ForeignMutation {
        /// The namespace of the Mutation.
        namespace: String,
        /// Its name.
        mutation: String,
        /// The field manager of this deployment.
        field_manager: String,
        /// The call.
        call: FailedCall,
    }
    /// The cluster does not know Mutations: domsed is not installed there.
    NoMutations {
        /// ARN of the cluster.
        cluster_arn: String,
    }
    /// The namespace of a Mutation or of a Kubernetes service account does not exist.
    NamespaceNotFound {
        /// What the call was for.
        purpose: CallPurpose,
        /// The namespace.
        namespace: String,
        /// The call.
        call: FailedCall,
    }
    /// The cluster's definition of Mutations, or an admission webhook, does not take this deployment's.
    MutationRefused {
        /// The call.
        call: FailedCall,
    }
    /// The Kubernetes service account does not exist, and this deployment does not make it: the Domino
    /// name is not mapped to it. The association is there all the same.
    ServiceAccountMissing {
        /// The Domino service account.
        service_account: String,
        /// The Kubernetes service account.
        account: ClusterAccount,
    }
    /// The Kubernetes service account is being deleted: the Domino name is not mapped to it.
    ServiceAccountTerminating {
        /// The Domino service account.
        service_account: String,
        /// The Kubernetes service account.
        account: ClusterAccount,
    }
    /// The cluster is being retired, and the service account is not ready on another one.
    NotReadyElsewhere {
        /// ARN of the cluster.
        cluster_arn: String,
    }
}

impl Problem {
    /// What makes it the same problem at the next attempt: all but the words of others.
    #[must_use]
    pub fn identity(&self) -> String {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(details) = value.get_mut("details").and_then(Value::as_object_mut) {
            details.remove("reason");
            details.remove("violations");
            if let Some(call) = details.get_mut("call").and_then(Value::as_object_mut) {
                call.remove("error");
            }
        }
        value.to_string()
    }
}

#[cfg(test)]
mod tests;
