//! The node policies' part of a plan.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_events::{BlockedCode, PolicyCapacity};

use super::input::{NodePolicies, Observation, Options, Problem};
use super::place::Decision;
use super::step::PolicyStep;
use crate::node_policy::{self, Shard, ShardChange};
use crate::{ClusterArn, RoleArn};

/// How the node policies come to list every role, and which roles they cannot take.
pub(super) struct Policies {
    pub(super) steps: Vec<PolicyStep>,
    pub(super) capacity: PolicyCapacity,
    pub(super) warnings: Vec<String>,
    unlisted: BTreeSet<RoleArn>,
    problem: Option<Problem>,
}

impl Policies {
    /// The policies as they are.
    fn unchanged(observation: &Observation, cluster: Option<&ClusterArn>) -> Self {
        Self {
            steps: Vec::new(),
            capacity: measure(&[], observation, cluster),
            warnings: Vec::new(),
            unlisted: BTreeSet::new(),
            problem: None,
        }
    }

    /// Why a role cannot be bound, when the node policy is what refuses it.
    pub(super) fn refusal(&self, role: &RoleArn) -> Option<&Problem> {
        self.problem.as_ref().filter(|_| self.unlisted.contains(role))
    }
}

pub(super) fn extend(
    decisions: &[Decision<'_>],
    observation: &Observation,
    options: &Options,
) -> Policies {
    let found = &observation.policies;
    let cluster = options.cluster_statement.then_some(&observation.cluster);
    // Many places want one role: none is copied twice.
    let wanted: BTreeSet<&RoleArn> = decisions.iter().filter_map(Decision::role).collect();
    if wanted.is_empty() {
        // Nothing is granted, so nothing is listed either: a removal writes no policy.
        return Policies::unchanged(observation, cluster);
    }
    let wanted: BTreeSet<RoleArn> = wanted.into_iter().chain(&found.other_roles).cloned().collect();
    if let Some(problem) = &found.problem {
        let granted = found.granted();
        return Policies {
            unlisted: wanted.difference(&granted).cloned().collect(),
            problem: Some(problem.clone()),
            ..Policies::unchanged(observation, cluster)
        };
    }
    let shards = found.attachable();
    // What cannot be attached grants nothing, and another in its place could not be either.
    let most = if shards.len() < found.shards.len() {
        u32::try_from(shards.len()).unwrap_or(u32::MAX)
    } else {
        found.max_shards
    };
    let mut extension = node_policy::extend(&shards, &wanted, cluster, most);
    list_again(&mut extension.changes, &shards, &wanted, &found.trimming);
    let full = (!extension.unplaced.is_empty()).then(|| full(observation));
    let mut policies = Policies {
        steps: steps(&shards, &extension.changes, observation, options),
        capacity: measure(&extension.changes, observation, cluster),
        warnings: Vec::new(),
        unlisted: extension.unplaced,
        problem: None,
    };
    match full {
        // Nothing but the list grants, so a role that is not on it must not be bound.
        Some(problem)
            if options.strict || !granted_anyway(found, &shards, &extension.changes, options) =>
        {
            policies.problem = Some(problem);
        }
        Some(problem) => policies.warnings.push(format!("{}; {}", problem.reason, problem.way_out)),
        None => {}
    }
    policies
}

/// What somebody noted to take out, and what is wanted again, is written again, whatever IAM shows.
fn list_again(
    changes: &mut Vec<ShardChange>,
    shards: &[Shard],
    wanted: &BTreeSet<RoleArn>,
    trimming: &BTreeSet<RoleArn>,
) {
    for role in wanted.intersection(trimming) {
        let Some(shard) = shards.iter().find(|shard| shard.roles.contains(role)) else { continue };
        let number = shard.number;
        match changes.iter_mut().find(|change| change.number == number) {
            Some(change) => _ = change.added.insert(role.clone()),
            None => changes.push(ShardChange {
                number,
                is_new: false,
                roles: shard.roles.clone(),
                added: BTreeSet::from([role.clone()]),
                removed: BTreeSet::new(),
            }),
        }
    }
    changes.sort_by_key(|change| change.number);
}

/// Whether the node roles may get credentials for roles that no policy lists:
/// by AWS's own broad policy, or by the cluster statement, which is in the
/// first policy.
fn granted_anyway(
    found: &NodePolicies,
    shards: &[Shard],
    changes: &[ShardChange],
    options: &Options,
) -> bool {
    let written = shards.iter().filter(|shard| shard.canonical).map(|shard| shard.number);
    let mut numbers = written.chain(changes.iter().map(|change| change.number));
    found.broad_grant || (options.cluster_statement && numbers.any(|number| number == 1))
}

/// The same words whatever the batch, or every delivery would be news.
fn full(observation: &Observation) -> Problem {
    let found = &observation.policies;
    Problem {
        code: BlockedCode::NodePolicyFull,
        reason: format!(
            "the node policies of cluster {} have no room for more roles: {} policies are all that the free attachment slots of its node roles admit",
            observation.cluster.name(),
            found.max_shards,
        ),
        way_out: "raise IAM's quota of managed policies attached to a role and NODE_ROLE_POLICY_SLOTS with it, or detach policies from the node roles".to_owned(),
    }
}

/// Policies first, then their attachments.
fn steps(
    shards: &[Shard],
    changes: &[ShardChange],
    observation: &Observation,
    options: &Options,
) -> Vec<PolicyStep> {
    let Observation { cluster, policies: found, .. } = observation;
    let written = changes.iter().filter_map(|change| write(change, cluster, found, options));
    let mut steps: Vec<PolicyStep> = written.collect();
    let mut lists: BTreeMap<u32, &BTreeSet<RoleArn>> =
        shards.iter().map(|shard| (shard.number, &shard.roles)).collect();
    lists.extend(changes.iter().map(|change| (change.number, &change.roles)));
    steps.extend(attach(&lists, cluster, found, options));
    steps
}

/// Makes a policy, or writes one anew.
pub(super) fn write(
    change: &ShardChange,
    cluster: &ClusterArn,
    found: &NodePolicies,
    options: &Options,
) -> Option<PolicyStep> {
    let number = change.number;
    let policy = node_policy::policy_arn(&options.deployment, cluster, number).ok()?;
    let statement = (options.cluster_statement && number == 1).then_some(cluster);
    let document = node_policy::document(&change.roles, statement);
    let added = change.added.clone();
    Some(match found.versions.get(&number) {
        Some(version) if !change.is_new => PolicyStep::RewritePolicy {
            policy,
            number,
            base_version: version.clone(),
            document,
            added,
            removed: change.removed.clone(),
        },
        _ => PolicyStep::CreatePolicy { policy, number, document, added },
    })
}

/// Attaches policies, by number with what they list, to the node roles that have them not.
pub(super) fn attach(
    lists: &BTreeMap<u32, &BTreeSet<RoleArn>>,
    cluster: &ClusterArn,
    found: &NodePolicies,
    options: &Options,
) -> Vec<PolicyStep> {
    let mut steps = Vec::new();
    for node_role in &found.node_roles {
        let attached = found.attached.get(node_role);
        for (&number, &lists) in lists {
            if attached.is_some_and(|attached| attached.contains(&number)) {
                continue;
            }
            if let Ok(policy) = node_policy::policy_arn(&options.deployment, cluster, number) {
                let (node_role, lists) = (node_role.clone(), lists.clone());
                steps.push(PolicyStep::AttachPolicy { policy, number, node_role, lists });
            }
        }
    }
    steps
}

fn measure(
    changes: &[ShardChange],
    observation: &Observation,
    cluster: Option<&ClusterArn>,
) -> PolicyCapacity {
    let found = &observation.policies;
    let mut shards: BTreeMap<u32, BTreeSet<RoleArn>> =
        found.shards.iter().map(|shard| (shard.number, shard.roles.clone())).collect();
    shards.extend(changes.iter().map(|change| (change.number, change.roles.clone())));
    let shards: Vec<_> = shards.into_iter().collect();
    node_policy::capacity(&shards, cluster, found.max_shards)
}
