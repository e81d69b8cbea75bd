//! The plan that takes roles out of the node policies, and gives up the policies that are not
//! needed then.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_events::PolicyCapacity;

use super::input::{NodePolicies, Options};
use super::policy::{attach, capacity_of, measure, writes};
use super::step::{Plan, PolicyStep};
use crate::node_policy::{self, Compaction, PolicyState};
use crate::{ClusterArn, RoleArn};

/// Plans that the node policies list no other roles than those to be kept, and that there are no
/// more of them than needed. What is to be kept and not listed yet is not listed by this plan.
///
/// The steps are to be done in this order, and none after one that failed: then a role that is
/// kept and was granted to every node role is so after each of them. Without node roles, or where
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
    let mut plan = Plan {
        cluster: cluster.clone(),
        policy_steps: Vec::new(),
        places: Vec::new(),
        capacity: capacity_of(found, statement),
        warnings: Vec::new(),
    };
    if found.problem.is_some() || found.node_roles.is_empty() {
        return plan;
    }
    let shards = found.projection.shards();
    let Compaction { changes, deleted } = node_policy::compact(&shards, keep, statement);
    let stay: Vec<_> =
        shards.iter().filter(|shard| !deleted.contains(&shard.number)).cloned().collect();
    let attachable: BTreeSet<u32> = found.attachable().iter().map(|shard| shard.number).collect();
    if let Some(shard) = stay.iter().find(|shard| !attachable.contains(&shard.number)) {
        plan.warnings.push(format!(
            "policy {} of cluster {} cannot be attached to every node role, so no role is taken out of any: raise IAM's quota of managed policies attached to a role and NODE_ROLE_POLICY_SLOTS with it, or detach policies from the node roles",
            shard.number,
            cluster.name()
        ));
        return plan;
    }
    // What moves is granted where it goes before it leaves.
    let lists: BTreeMap<u32, _> = stay.iter().map(|shard| (shard.number, &shard.roles)).collect();
    plan.policy_steps = attach(&lists, cluster, found, options);
    plan.policy_steps.extend(writes(&stay, &changes, cluster, found, options));
    let policies = &found.projection.policies;
    let begun = policies.iter().filter(|(_, one)| one.state == PolicyState::Removing);
    let all = deleted.iter().copied().chain(begun.map(|(number, _)| *number));
    let given_up = |number| {
        Some(PolicyStep::GiveUpPolicy {
            policy: node_policy::policy_arn(&options.deployment, cluster, number).ok()?,
            number,
            node_roles: found.node_roles.clone(),
            removed: policies.get(&number)?.roles.clone(),
        })
    };
    plan.policy_steps.extend(all.filter_map(given_up));
    plan.capacity = measure(stay, &changes, found.max_shards, statement);
    plan
}

/// How full node policies are as they were found.
#[must_use]
pub fn capacity(found: &NodePolicies, cluster: &ClusterArn, options: &Options) -> PolicyCapacity {
    capacity_of(found, options.cluster_statement.then_some(cluster))
}
