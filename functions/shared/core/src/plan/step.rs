//! The plan and its steps.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_events::{PolicyCapacity, Problem, RemovalReason, Trust};
use serde::Serialize;

use crate::node_policy::{PolicyState, Projection};
use crate::{ClusterArn, Desired, DominoName, PolicyArn, RoleArn, ServiceAccountRef, Version};

/// What has to be done on one cluster, and what was left alone and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The cluster.
    pub cluster: ClusterArn,
    /// Changes to the node policies, in order, before any association is made or changed.
    pub policy_steps: Vec<PolicyStep>,
    /// What happens at each place.
    pub places: Vec<PlacePlan>,
    /// How full the node policies are once the plan is applied.
    pub capacity: PolicyCapacity,
    /// What works but should be looked at.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Whether nothing has to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // A new field does not compile until somebody has decided about it.
        let Self { cluster: _, policy_steps, places, capacity: _, warnings: _ } = self;
        policy_steps.is_empty() && places.iter().all(|place| place.step.is_none())
    }

    /// Number of changes.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.policy_steps.len() + self.places.iter().filter(|place| place.step.is_some()).count()
    }
}

/// One change to the node policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "do")]
pub enum PolicyStep {
    /// Makes a policy.
    CreatePolicy {
        /// Its ARN to be.
        policy: PolicyArn,
        /// Its number, from 1.
        number: u32,
        /// Whether it has the cluster's statement.
        statement: bool,
        /// The roles it lists.
        added: BTreeSet<RoleArn>,
    },
    /// Gives a policy a new version.
    RewritePolicy {
        /// Its ARN.
        policy: PolicyArn,
        /// Its number.
        number: u32,
        /// Whether it has the cluster's statement.
        statement: bool,
        /// The roles that it lists newly, as far as IAM is known to have it.
        added: BTreeSet<RoleArn>,
        /// The roles that it lists no longer.
        removed: BTreeSet<RoleArn>,
    },
    /// Attaches a policy to a node role.
    AttachPolicy {
        /// The policy.
        policy: PolicyArn,
        /// Its number.
        number: u32,
        /// The node role.
        node_role: RoleArn,
        /// The roles that the policy lists, which the node role may not use before.
        lists: BTreeSet<RoleArn>,
    },
    /// Detaches a policy from every node role, and deletes it.
    DeletePolicy {
        /// The policy.
        policy: PolicyArn,
        /// Its number.
        number: u32,
        /// The node roles that it is detached from.
        node_roles: BTreeSet<RoleArn>,
        /// The roles that it listed.
        removed: BTreeSet<RoleArn>,
    },
}

impl PolicyStep {
    /// The roles that are not granted everywhere before this step is done.
    #[must_use]
    pub fn grants(&self) -> &BTreeSet<RoleArn> {
        static NOTHING: BTreeSet<RoleArn> = BTreeSet::new();
        match self {
            Self::CreatePolicy { added, .. } | Self::RewritePolicy { added, .. } => added,
            Self::AttachPolicy { lists, .. } => lists,
            Self::DeletePolicy { .. } => &NOTHING,
        }
    }

    /// Writes down what this step is about to make of the policies.
    pub fn assign(&self, projection: &mut Projection) {
        match self {
            Self::CreatePolicy { number, statement, .. }
            | Self::RewritePolicy { number, statement, .. } => {
                let known = projection.policies.get(number).map(|one| one.roles.clone());
                let mut roles = known.unwrap_or_default();
                roles.retain(|role| !self.takes().contains(role));
                roles.extend(self.grants().iter().cloned());
                projection.assign(*number, roles, *statement);
                // What a policy listed that is left alone is listed here now, or not wanted any more.
                let policies = projection.policies.values_mut();
                for one in policies.filter(|one| one.state == PolicyState::Foreign) {
                    one.roles.retain(|r| !self.grants().contains(r) && !self.takes().contains(r));
                }
            }
            Self::DeletePolicy { number, .. } => {
                if let Some(one) = projection.policies.get_mut(number) {
                    one.state = PolicyState::Removing;
                }
            }
            Self::AttachPolicy { .. } => {}
        }
    }

    /// The roles that the policy lists no longer after this step.
    #[must_use]
    pub fn takes(&self) -> &BTreeSet<RoleArn> {
        static NOTHING: BTreeSet<RoleArn> = BTreeSet::new();
        match self {
            Self::RewritePolicy { removed, .. } | Self::DeletePolicy { removed, .. } => removed,
            Self::CreatePolicy { .. } | Self::AttachPolicy { .. } => &NOTHING,
        }
    }
}

/// One change to an association.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "do")]
pub enum AssociationStep {
    /// Makes it.
    CreateAssociation {
        /// What its pods work as.
        desired: Desired,
        /// Its tags.
        tags: BTreeMap<String, String>,
        /// Idempotency token.
        client_token: String,
    },
    /// Changes what its pods work as, whom it is for, or both.
    UpdateAssociation {
        /// Its id.
        id: String,
        /// Its ARN.
        arn: String,
        /// The role until now.
        from_role: String,
        /// What changes of what its pods work as.
        changes: Vec<&'static str>,
        /// What its pods work as from now on; absent when only the tags change.
        desired: Option<Desired>,
        /// Our tags, where it does not carry them as it should. They are written first.
        tags: Option<BTreeMap<String, String>>,
        /// Whether it becomes managed by this, on an administrator's word.
        adopts: bool,
        /// Idempotency token.
        client_token: String,
    },
    /// Deletes it.
    DeleteAssociation {
        /// Its id.
        id: String,
        /// Its ARN.
        arn: String,
        /// The role until now.
        role: String,
        /// Our tags, where the deployment's tag is missing: IAM lets the functions delete only what
        /// carries it. They are written first.
        #[serde(skip_serializing_if = "Option::is_none")]
        tags: Option<BTreeMap<String, String>>,
    },
}

/// The claim that a place serves once the plan is applied.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// The Domino service account.
    pub service_account: DominoName,
    /// The version of its binding.
    pub version: Version,
    /// What its pods work as.
    pub desired: Desired,
    /// The verdict on the role's trust policy.
    pub trust: Trust,
    /// The association that is there already, when nothing has to be done.
    pub unchanged: Option<UnchangedAssociation>,
    /// What works but should be looked at.
    pub warnings: Vec<String>,
}

/// An association that is as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnchangedAssociation {
    /// Its id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// What the target role's trust policy has to ask for.
    pub external_id: Option<String>,
}

/// A claim that the plan cannot serve.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Blocked {
    /// The Domino service account.
    pub service_account: DominoName,
    /// The version of its binding; absent for one that is leaving.
    pub version: Option<Version>,
    /// What stands in the way.
    #[serde(flatten)]
    pub problem: Problem,
    /// The role that was asked for.
    pub role: Option<RoleArn>,
    /// The verdict on the role's trust policy.
    pub trust: Option<Trust>,
}

impl Blocked {
    /// A claim that a problem keeps from being served.
    #[must_use]
    pub fn by(
        problem: Problem,
        service_account: &DominoName,
        version: Option<&Version>,
        role: Option<&RoleArn>,
    ) -> Self {
        Self {
            service_account: service_account.clone(),
            version: version.cloned(),
            problem,
            role: role.cloned(),
            trust: None,
        }
    }
}

/// Somebody who no longer has the place once the plan is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The Domino service account.
    pub service_account: DominoName,
    /// Why.
    pub reason: RemovalReason,
    /// The association that is deleted or passed on for it.
    pub association_id: Option<String>,
    /// The role until now.
    pub role: Option<String>,
}

/// What happens at one place.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlacePlan {
    /// The Kubernetes service account.
    pub kubernetes: ServiceAccountRef,
    /// The change to its association.
    pub step: Option<AssociationStep>,
    /// Whom it serves then.
    pub bound: Option<Bound>,
    /// Whom it cannot serve.
    pub blocked: Vec<Blocked>,
    /// Who has left it then.
    pub removed: Vec<Removed>,
    /// What was left alone although it looks like ours, and why.
    pub kept: Option<String>,
}

impl PlacePlan {
    /// Whether the association goes from one who gives it up to the next in line. If that one
    /// cannot be granted the role after all, it has to be planned again: what was given up
    /// goes away.
    #[must_use]
    pub fn hands_on(&self) -> bool {
        self.bound.is_some() && self.removed.iter().any(|one| one.association_id.is_some())
    }
}
