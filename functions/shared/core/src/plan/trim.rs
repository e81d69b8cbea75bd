//! The plans that take roles out of the node policies, and policies away.

use std::collections::BTreeSet;

use pod_identity_events::PolicyCapacity;

use super::input::{NodePolicies, Options};
use super::policy::{attach, capacity_of, writes};
use super::step::{Plan, PolicyStep};
use crate::node_policy::{self, Compaction, PolicyState};
use crate::{ClusterArn, RoleArn};

/// Plans that the node policies list no other roles than those to be kept, and that there are no
/// more of them than needed. What is to be kept and not listed yet is not listed by this plan.
///
/// It has two phases, each a plan of its own. First what moves is listed where it goes, and what is not kept is
/// listed no longer; once nothing of that is left to do, the policies that are not needed are given up.
/// So a role that is kept and was granted to every node role is so after each step, whichever of
/// them fail. What could merely be spread better is not worth a version. Without node roles, or where
/// something keeps the policies from being understood, nothing is planned; nor where a policy
/// that stays cannot be attached, which the plan's warning says then.
#[must_use]
pub fn trim(
    cluster: &ClusterArn,
    found: &NodePolicies,
    keep: &BTreeSet<RoleArn>,
    options: &Options,
) -> Plan {
    let statement = options.cluster_statement.then_some(cluster);
    let mut plan = unchanged(cluster, found, options);
    if found.problem.is_some() || found.node_roles.is_empty() {
        return plan;
    }
    let before = found.projection.shards();
    let Compaction { shards, deleted } = node_policy::compact(&before, keep, statement);
    let policies = &found.projection.policies;
    let begun = policies.iter().filter(|(_, one)| one.state == PolicyState::Removing);
    let gone: Vec<u32> = deleted.iter().copied().chain(begun.map(|(number, _)| *number)).collect();
    if gone.is_empty() && found.listed().is_subset(keep) {
        return plan;
    }
    let attachable: BTreeSet<u32> = found.attachable().iter().map(|shard| shard.number).collect();
    if let Some(shard) = shards.iter().find(|shard| !attachable.contains(&shard.number)) {
        plan.warnings.push(format!(
            "policy {} of cluster {} cannot be attached to every node role, so no role is taken out of any: raise IAM's quota of managed policies attached to a role and NODE_ROLE_POLICY_SLOTS with it, or detach policies from the node roles",
            shard.number,
            cluster.name()
        ));
        return plan;
    }
    plan.policy_steps = attach(&shards, cluster, found, options);
    plan.policy_steps.extend(writes(&shards, cluster, found, options));
    if plan.policy_steps.is_empty() {
        plan.policy_steps = deletions(gone, cluster, found, options);
    }
    plan.capacity = node_policy::capacity(&shards, statement, found.max_shards);
    plan
}

/// Plans that a cluster has no node policy any more.
#[must_use]
pub fn empty(cluster: &ClusterArn, found: &NodePolicies, options: &Options) -> Plan {
    let all = found.projection.policies.keys().copied();
    Plan {
        policy_steps: deletions(all, cluster, found, options),
        capacity: node_policy::capacity(&[], None, found.max_shards),
        ..unchanged(cluster, found, options)
    }
}

fn unchanged(cluster: &ClusterArn, found: &NodePolicies, options: &Options) -> Plan {
    Plan {
        cluster: cluster.clone(),
        policy_steps: Vec::new(),
        places: Vec::new(),
        capacity: capacity(found, cluster, options),
        warnings: Vec::new(),
    }
}

fn deletions(
    numbers: impl IntoIterator<Item = u32>,
    cluster: &ClusterArn,
    found: &NodePolicies,
    options: &Options,
) -> Vec<PolicyStep> {
    let step = |number| {
        Some(PolicyStep::DeletePolicy {
            policy: node_policy::policy_arn(&options.deployment, cluster, number).ok()?,
            number,
            node_roles: found.node_roles.clone(),
            removed: found.projection.policies.get(&number)?.roles.clone(),
        })
    };
    numbers.into_iter().filter_map(step).collect()
}

/// How full node policies are as they were found.
#[must_use]
pub fn capacity(found: &NodePolicies, cluster: &ClusterArn, options: &Options) -> PolicyCapacity {
    capacity_of(found, options.cluster_statement.then_some(cluster))
}
