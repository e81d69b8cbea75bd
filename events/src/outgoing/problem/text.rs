//! What a person reads of a problem: what happened, and what to do about it.

use std::fmt;

use super::{CallPurpose, ClusterAccount, FailedCall, OtherMapping, Problem};

impl ClusterAccount {
    fn account(&self) -> String {
        format!("{}/{}", self.namespace, self.kubernetes_service_account)
    }
}

impl fmt::Display for ClusterAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in cluster {}", self.account(), name_of(&self.cluster_arn))
    }
}

impl fmt::Display for FailedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {} {}", self.operation, self.object)?;
        if let Some(role) = &self.assumed_role_arn {
            write!(f, " as role {role}")?;
        }
        write!(f, ": {}", self.error)
    }
}

/// What is needed inside a cluster.
const BIND: &str = "bind the Kubernetes role of the manifest to the function (docs/kubernetes.md)";

/// What to do about bindings that are ready on no cluster but one that is being retired.
pub const MAKE_READY_ELSEWHERE: &str = "register another cluster and have them become ready there, repair what \
    blocks them there, or send Cluster Retired again with their names in exemptServiceAccounts";

/// What to do where Kubernetes refuses something and no more is known.
const REFUSED_BY_KUBERNETES: &str =
    "do what Kubernetes says: a quota, an admission policy or a webhook of the cluster refuses it";

impl Problem {
    /// What happened, naming the object.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::UntrustedRole { role_arn, reason, .. } => {
                format!("role {role_arn} does not trust EKS Pod Identity: {reason}")
            }
            Self::RefusedRole { call, .. }
            | Self::LimitReached { call, .. }
            | Self::AccessDenied { call, .. }
            | Self::InvalidRequest { call, .. }
            | Self::KubernetesUnavailable { call }
            | Self::ForeignMutation { call, .. }
            | Self::NamespaceNotFound { call, .. }
            | Self::MutationRefused { call } => call.to_string(),
            Self::RoleNotFound { role_arn, namesake_arn: None } => {
                format!("role {role_arn} does not exist")
            }
            Self::RoleNotFound { role_arn, namesake_arn: Some(namesake) } => {
                format!("role {role_arn} does not exist; its name belongs to {namesake}")
            }
            Self::ForeignAssociation { account, association_id, role_arn, adoptable_id } => {
                format!(
                    "{account} already has association {association_id} with role {role_arn}, which this deployment did not make{}",
                    adoptable(adoptable_id.as_deref())
                )
            }
            Self::AddOnOwnedAssociation { account, association_id, add_on } => {
                format!("association {association_id} of {account} is owned by add-on {add_on}")
            }
            Self::OrphanAssociation { account, association_id, tagged_for, adoptable_id } => {
                format!(
                    "association {association_id} of {account} carries this deployment's tag for {}, but the ledger does not account for it{}",
                    tagged_for.as_deref().unwrap_or("no service account"),
                    adoptable(adoptable_id.as_deref())
                )
            }
            Self::ReplacedAssociation {
                account,
                replaced_id,
                association_id,
                role_arn,
                adoptable_id,
            } => format!(
                "association {replaced_id} of {account}, which this deployment made, was replaced by association {association_id} with role {role_arn}, which it did not make: pods may get that role{}",
                adoptable(adoptable_id.as_deref())
            ),
            Self::Conflict { service_account, account, holder: Some(holder) } => {
                format!("{service_account} wants {account}, which {holder} holds")
            }
            Self::Conflict { service_account, account, holder: None } => format!(
                "{service_account} wants {account}, which has as many claims as the ledger queues"
            ),
            Self::ClusterNotRegistered { cluster_arn } => {
                format!("cluster {} ({cluster_arn}) is not registered yet", name_of(cluster_arn))
            }
            Self::ClusterNotFound { cluster_arn } => {
                format!("EKS does not know cluster {cluster_arn}")
            }
            Self::ClusterOfAnotherAccount { cluster_arn, association_arn, .. } => {
                format!("EKS answers {association_arn} when asked for cluster {cluster_arn}")
            }
            Self::NodeRoleNotFound { cluster_arn, node_role_arn, guessed } => {
                let cluster = name_of(cluster_arn);
                let guess = if *guessed {
                    format!(
                        ". It is a guess: neither the registration of cluster {cluster} nor EKS names its node roles, and Domino's Terraform module calls them so"
                    )
                } else {
                    String::new()
                };
                format!("node role {node_role_arn} of cluster {cluster} does not exist{guess}")
            }
            Self::NodeRoleNotAllowed { node_role_arn } => {
                format!("node role {node_role_arn} is not admitted by NODE_ROLES")
            }
            Self::NodePolicyFull { cluster_arn, max_policies } => format!(
                "the node policies of cluster {} have no room for more roles: {max_policies} policies are all that the free attachment slots of its node roles admit",
                name_of(cluster_arn)
            ),
            Self::NodeRoleFull { node_role_arn, policy_arn } => {
                format!("node role {node_role_arn} has no free slot for policy {policy_arn}")
            }
            Self::NodePolicyInUse { cluster_arn, policy_arn } => format!(
                "policy {policy_arn} is not needed, and IAM does not delete it: it is attached to something that is no node role of cluster {}, or it was written to meanwhile",
                name_of(cluster_arn)
            ),
            Self::DeletionCeiling { account, association_id, max_deletions } => format!(
                "association {association_id} of {account} is kept for now: one run deletes at most {max_deletions} associations (MAX_DELETIONS)"
            ),
            Self::RecreationCeiling { account, association_id } => format!(
                "association {association_id} of {account} is gone and is not made again: more are gone than one run makes again (MAX_RECREATIONS)"
            ),
            Self::LedgerOlderThanCluster { account, association_id, created_at, newest_write } => {
                format!(
                    "the ledger is older than cluster {}: association {association_id} of {} carries this deployment's tag and was made at {created_at}, after the newest write that the ledger holds there, of {newest_write}; nothing is made again or corrected there",
                    name_of(&account.cluster_arn),
                    account.account(),
                )
            }
            Self::NotAllowed { violations } | Self::ClusterNotAllowed { violations } => {
                violations.clone()
            }
            Self::MappingConflict {
                service_account,
                kubernetes_service_account,
                namespace,
                mappings,
            } => {
                let others: Vec<String> = mappings
                    .iter()
                    .map(|OtherMapping { mutation, kubernetes_service_account }| {
                        format!(
                            "Mutation {namespace}/{mutation} maps it to `{kubernetes_service_account}`"
                        )
                    })
                    .collect();
                format!(
                    "{service_account} is to be mapped to {kubernetes_service_account}, and {}",
                    others.join(", and ")
                )
            }
            Self::AmbiguousMapping {
                service_account,
                namespace,
                kubernetes_service_account: short,
                other_service_account: other,
                other_namespace,
                more,
            } => {
                let more = match more {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                };
                format!(
                    "{service_account} is bound to {namespace}/{short}, and {other} uses {other_namespace}/{short}{more}: a mapping to `{short}` names no namespace, so pods of {service_account} in namespace {other_namespace} would run as the account of {other}"
                )
            }
            Self::NoMutations { cluster_arn } => format!(
                "cluster {} does not know Mutations, so no name is mapped",
                name_of(cluster_arn)
            ),
            Self::ServiceAccountMissing { service_account, account } => format!(
                "there is no Kubernetes service account {account}, so {service_account} is not mapped to it"
            ),
            Self::ServiceAccountTerminating { service_account, account } => format!(
                "Kubernetes service account {account} is being deleted, so {service_account} is not mapped to it"
            ),
            Self::NotReadyElsewhere { cluster_arn } => format!(
                "cluster {} is being retired, and the service account is not ready on another one, so it keeps its association",
                name_of(cluster_arn)
            ),
            Self::Other { code, details } => {
                format!("`{code}`, which this version does not know: {details}")
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remediation(&self) -> String {
        match self {
            Self::UntrustedRole { role_arn, denied, trust_policy, .. } => {
                let first = if *denied { "take that Deny out of its trust policy and " } else { "" };
                format!(
                    "the owner of role {role_arn} must {first}add this statement to its trust policy: {}; then send the event again",
                    trust_policy["Statement"][0]
                )
            }
            Self::RefusedRole { trusted_role_arn: None, .. } => {
                "the owner of the role must trust pods.eks.amazonaws.com for sts:AssumeRole and sts:TagSession; then send the event again".to_owned()
            }
            Self::RefusedRole { trusted_role_arn: Some(role), .. } => format!(
                "the trust policy of role {role} reads as trusted by now: wait some minutes, then send the event again; if EKS still refuses it, compare the policy with EKS's documentation"
            ),
            Self::RoleNotFound { role_arn, .. } => {
                format!("create role {role_arn}, or assign another; then send the event again")
            }
            Self::ForeignAssociation { association_id, .. } => adopt("", association_id),
            Self::OrphanAssociation { association_id, .. } => {
                adopt("check that this is the right ledger; then ", association_id)
            }
            Self::ReplacedAssociation { association_id, .. } => {
                adopt("find out in CloudTrail who replaced it; then ", association_id)
            }
            Self::AddOnOwnedAssociation { .. } => {
                "name another Kubernetes service account; only the add-on may change its association".to_owned()
            }
            Self::Conflict { service_account, holder: Some(holder), .. } => format!(
                "name another Kubernetes service account for {service_account}, or unassign {holder}"
            ),
            Self::Conflict { service_account, holder: None, .. } => format!(
                "name another Kubernetes service account for {service_account}, or unassign those that are queued"
            ),
            Self::ClusterNotRegistered { .. } => {
                "register it with a Cluster Registered event, then send this event again".to_owned()
            }
            Self::ClusterNotFound { .. } => {
                "check the ARN that was registered; retire the cluster if it is gone".to_owned()
            }
            Self::ClusterOfAnotherAccount { account_id, .. } => format!(
                "register the cluster again with assumeRoleArn, the role in account {account_id} to assume"
            ),
            Self::NodeRoleNotFound { cluster_arn, .. } => format!(
                "register cluster {} again with nodeRoleArns, the roles that its nodes have (aws eks describe-nodegroup, or the EC2NodeClass of Karpenter)",
                name_of(cluster_arn)
            ),
            Self::NodeRoleNotAllowed { .. } => {
                "add it to NODE_ROLES, or register the cluster with the node roles that are meant".to_owned()
            }
            Self::NodePolicyFull { .. } => {
                "raise IAM's quota of managed policies attached to a role and NODE_ROLE_POLICY_SLOTS with it, or detach policies from the node roles".to_owned()
            }
            Self::NodeRoleFull { .. } => {
                "raise IAM's quota of managed policies attached to a role, or detach policies from the node role; NODE_ROLE_POLICY_SLOTS must not be above that quota".to_owned()
            }
            Self::NodePolicyInUse { .. } => {
                "detach it from whatever else has it; then reconcile again".to_owned()
            }
            Self::LimitReached { purpose: CallPurpose::Associations, .. } => {
                "delete associations that are not needed: EKS takes 5,000 for a cluster, and no more".to_owned()
            }
            Self::LimitReached { .. } => {
                "delete what is not needed, or raise the quota that AWS names".to_owned()
            }
            Self::AccessDenied { purpose, .. } => denied(*purpose),
            Self::InvalidRequest { purpose, .. } => match purpose {
                CallPurpose::Associations => "correct what EKS refuses and send a new event",
                CallPurpose::ServiceAccounts | CallPurpose::Mutations => REFUSED_BY_KUBERNETES,
                _ => "correct what AWS refuses; then reconcile again",
            }
            .to_owned(),
            Self::KubernetesUnavailable { .. } => {
                "the next sweep tries again; if it goes on failing, look at the cluster's API server and admission webhooks".to_owned()
            }
            Self::DeletionCeiling { .. } => {
                "check that so many service accounts were meant to lose their role; then send the event again, or raise MAX_DELETIONS".to_owned()
            }
            Self::RecreationCeiling { .. } => {
                "find out why so many are gone, or whether the ledger was restored; then have them made again (action `resume`)".to_owned()
            }
            Self::LedgerOlderThanCluster { .. } => {
                "if the ledger was restored, replay the events since, then adopt the orphans (action `adopt` with `orphans`); if it was not, find out in CloudTrail who copied the tag; then have it go on (action `resume`)".to_owned()
            }
            Self::NotAllowed { .. } => {
                "correct the deployment's allow-lists, or assign the role again with values that the rules admit".to_owned()
            }
            Self::ClusterNotAllowed { .. } => {
                "admit it in the deployment's allow-lists, or register the cluster again".to_owned()
            }
            Self::MappingConflict { service_account, namespace, mappings, .. } => {
                let (of, to) = mappings.first().map_or(("", ""), |one| {
                    (one.mutation.as_str(), one.kubernetes_service_account.as_str())
                });
                format!(
                    "take {service_account} out of Mutation {namespace}/{of}, or, if `{to}` is meant, assign the role again with it as kubernetes.serviceAccount"
                )
            }
            Self::AmbiguousMapping { service_account, other_service_account, .. } => format!(
                "assign the role of {service_account} or {other_service_account} again with a kubernetes.serviceAccount whose name no other binding uses in another namespace"
            ),
            Self::ForeignMutation { namespace, mutation, field_manager, .. } => format!(
                "Mutation {namespace}/{mutation} has another owner, at least in part, and was left alone; give ours another name, or have its owner give up its fields to the field manager {field_manager}"
            ),
            Self::NoMutations { .. } => {
                "install domsed there, or switch the mapping off".to_owned()
            }
            Self::NamespaceNotFound { purpose: CallPurpose::Mutations, .. } => {
                "install domsed, correct the namespace of the Domino platform, or switch the mapping off".to_owned()
            }
            Self::NamespaceNotFound { namespace, .. } => format!(
                "there is no namespace {namespace}; make it, or correct the namespaces of executions"
            ),
            Self::MutationRefused { .. } => {
                "install a version of domsed whose definition of Mutations has rules[].cloudWorkloadIdentity with cloud_type, default_sa and user_mappings, or switch the mapping off".to_owned()
            }
            Self::ServiceAccountMissing { account, .. } => format!(
                "make it (kubectl -n {} create serviceaccount {}), or have this deployment make service accounts",
                account.namespace, account.kubernetes_service_account
            ),
            Self::ServiceAccountTerminating { account, .. } => format!(
                "find out which finalizer keeps it (kubectl -n {} get serviceaccount {} -o yaml); the sweep after it is gone goes on",
                account.namespace, account.kubernetes_service_account
            ),
            Self::NotReadyElsewhere { .. } => {
                MAKE_READY_ELSEWHERE.to_owned()
            }
            Self::Other { .. } => {
                "deploy the version of the functions that wrote it".to_owned()
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message(), self.remediation())
    }
}

/// The name in a cluster's ARN.
fn name_of(cluster_arn: &str) -> &str {
    cluster_arn.rsplit('/').next().unwrap_or(cluster_arn)
}

fn adoptable(id: Option<&str>) -> String {
    id.map_or_else(String::new, |id| format!("; what may be adopted is association {id}"))
}

fn adopt(first: &str, id: &str) -> String {
    format!(
        "{first}delete association {id}, or adopt it by its id (action `adopt`); then send the event again"
    )
}

/// What a caller lacks.
fn denied(purpose: CallPurpose) -> String {
    match purpose {
        CallPurpose::Associations => "allow the function's role the call that is named here; associations also need eks:TagResource, and iam:PassRole and iam:GetRole on the role",
        CallPurpose::NodePolicy => "allow the function's role to read, create and change that policy",
        CallPurpose::RetiredNodePolicies => "allow the function's role the call that is named here on the cluster's node policies and node roles",
        CallPurpose::NodePolicyAttachment => "allow the function's role iam:AttachRolePolicy on the node role for that policy",
        CallPurpose::NodeRole => "register the cluster with its node roles, and let the function read them",
        CallPurpose::NodeGroups => "register the cluster with its node roles, or allow eks:ListNodegroups",
        CallPurpose::Cluster => "register the cluster with its node roles, or allow eks:DescribeCluster",
        CallPurpose::ServiceAccounts => BIND,
        CallPurpose::Mutations => {
            return format!("{BIND} in the namespace of Domino's platform, or switch the mapping off");
        }
    }
    .to_owned()
}
