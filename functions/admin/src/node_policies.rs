//! The policies of a cluster's node roles, as IAM has them now.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::node_policy::{self, Shard};
use pod_identity_core::{PolicyArn, RoleArn};
use pod_identity_engine::ledger::{NodePolicyRecord, View, node_policy_key};
use pod_identity_engine::ports::ClusterAccess;

use crate::context::AdminContext;
use crate::lists::pages;
use pod_identity_engine::Error;

/// One policy in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttachedPolicy {
    /// Counted from 1.
    pub(crate) number: u32,
    pub(crate) arn: PolicyArn,
    /// Such as `v3`.
    pub(crate) version: String,
    pub(crate) roles: BTreeSet<RoleArn>,
    /// Whether it names the cluster as well, and so admits every association of it.
    pub(crate) cluster_statement: bool,
}

/// The policies that the ledger remembers of a cluster, and what is attached to its node roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodePolicyView {
    pub(crate) policies: Vec<AttachedPolicy>,
    /// ARNs of all managed policies, by node role.
    pub(crate) attached: BTreeMap<RoleArn, BTreeSet<String>>,
    /// The managed policy that allows the action on everything, by the ledger's memory.
    pub(crate) broad_grant: Option<String>,
}

impl NodePolicyView {
    /// The lists, as they are laid out.
    pub(crate) fn shards(&self) -> Vec<Shard> {
        let shard = |one: &AttachedPolicy| Shard {
            number: one.number,
            roles: one.roles.clone(),
            statement: one.cluster_statement,
        };
        self.policies.iter().map(shard).collect()
    }

    /// The policies that list a role.
    pub(crate) fn listing(&self, role: &RoleArn) -> impl Iterator<Item = &AttachedPolicy> {
        self.policies.iter().filter(|policy| policy.roles.contains(role))
    }

    /// Node roles to which none of some policies is attached.
    pub(crate) fn without<'a>(&'a self, policies: &[&AttachedPolicy]) -> Vec<&'a RoleArn> {
        let has = |attached: &BTreeSet<String>| {
            policies.iter().any(|policy| attached.contains(policy.arn.as_str()))
        };
        self.attached.iter().filter(|(_, attached)| !has(attached)).map(|(role, _)| role).collect()
    }
}

/// Reads them: two calls a policy and one a node role. None when the ledger remembers none.
pub(crate) async fn read(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
) -> Result<Option<NodePolicyView>, Error> {
    let cluster = &access.cluster;
    let key = node_policy_key(cluster);
    let mut view = View::default();
    view.read(admin.ledger, std::slice::from_ref(&key)).await?;
    let stored = view.get::<NodePolicyRecord>(&key)?;
    let Some(record) = stored else { return Ok(None) };
    let mut found =
        NodePolicyView { broad_grant: record.broad_grant.clone(), ..Default::default() };
    for (&number, _) in record.projection.staying() {
        let arn = node_policy::policy_arn(&admin.settings.plan.deployment, cluster, number);
        let arn = arn.map_err(|error| error.to_string())?;
        let policy = admin.before_deadline(admin.iam.policy(access, &arn)).await?;
        // Somebody deleted it; those behind it are still there.
        let Some(version) = policy.map(|policy| policy.default_version) else { continue };
        let document =
            admin.before_deadline(admin.iam.policy_document(access, &arn, &version)).await?;
        let Some(document) = document else { continue };
        let shard = node_policy::parse(number, &document, cluster);
        let shard = shard.ok_or_else(|| {
            format!("policy {arn} says more than this software writes, so it is not read")
        })?;
        let Shard { roles, statement: cluster_statement, .. } = shard;
        found.policies.push(AttachedPolicy { number, arn, version, roles, cluster_statement });
    }
    for role in record.node_roles {
        let attached = pages(async |token: Option<String>| {
            admin.iam.attached_policies(access, &role, token.as_deref()).await
        });
        let attached = admin.before_deadline(attached).await?;
        found.attached.insert(role, attached.into_iter().collect());
    }
    Ok(Some(found))
}
