//! The plan that takes roles out of the node policies, and gives up the policies that are not
//! needed then.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_events::PolicyCapacity;

use super::input::{NodePolicies, Options};
use super::policy::{attach, write};
use super::step::{Plan, PolicyStep};
use crate::node_policy::{self, ShardStep};
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
        capacity: measure(&[], found, statement),
        warnings: Vec::new(),
    };
    if found.problem.is_some() || found.node_roles.is_empty() {
        return plan;
    }
    let steps = node_policy::compact(&found.shards, keep, statement, found.max_shards);
    let given_up = |number: u32| {
        steps.iter().any(|step| matches!(step, ShardStep::Delete { number: n, .. } if *n == number))
    };
    let attachable: BTreeSet<u32> = found.attachable().iter().map(|shard| shard.number).collect();
    let stay = found.shards.iter().filter(|shard| !given_up(shard.number));
    let stay: BTreeMap<u32, _> = stay.map(|shard| (shard.number, &shard.roles)).collect();
    if let Some(number) = stay.keys().find(|number| !attachable.contains(number)) {
        plan.warnings.push(format!(
            "policy {number} of cluster {} cannot be attached to every node role, so no role is taken out of any: raise IAM's quota of managed policies attached to a role and NODE_ROLE_POLICY_SLOTS with it, or detach policies from the node roles",
            cluster.name()
        ));
        return plan;
    }
    // What moves is granted where it goes before it leaves.
    plan.policy_steps = attach(&stay, cluster, found, options);
    plan.capacity = measure(&steps, found, statement);
    for step in &steps {
        match step {
            ShardStep::Write(change) => {
                plan.policy_steps.extend(write(change, cluster, found, options));
                if change.is_new {
                    let made = BTreeMap::from([(change.number, &change.roles)]);
                    plan.policy_steps.extend(attach(&made, cluster, found, options));
                }
            }
            ShardStep::Delete { number, removed } => {
                plan.policy_steps.extend(give_up(*number, removed, cluster, found, options));
            }
        }
    }
    plan
}

fn give_up(
    number: u32,
    removed: &BTreeSet<RoleArn>,
    cluster: &ClusterArn,
    found: &NodePolicies,
    options: &Options,
) -> Option<PolicyStep> {
    Some(PolicyStep::GiveUpPolicy {
        policy: node_policy::policy_arn(&options.deployment, cluster, number).ok()?,
        number,
        base_version: found.versions.get(&number)?.clone(),
        node_roles: found.node_roles.clone(),
        removed: removed.clone(),
    })
}

/// How full node policies are as they were found.
#[must_use]
pub fn capacity(found: &NodePolicies, cluster: &ClusterArn, options: &Options) -> PolicyCapacity {
    measure(&[], found, options.cluster_statement.then_some(cluster))
}

fn measure(
    steps: &[ShardStep],
    found: &NodePolicies,
    statement: Option<&ClusterArn>,
) -> PolicyCapacity {
    let mut shards: BTreeMap<u32, &BTreeSet<RoleArn>> =
        found.shards.iter().map(|shard| (shard.number, &shard.roles)).collect();
    for step in steps {
        match step {
            ShardStep::Write(change) => _ = shards.insert(change.number, &change.roles),
            ShardStep::Delete { number, .. } => _ = shards.remove(number),
        }
    }
    let shards: Vec<_> =
        shards.into_iter().map(|(number, roles)| (number, roles.clone())).collect();
    node_policy::capacity(&shards, statement, found.max_shards)
}
