//! The node policies' part of a plan.

use std::collections::BTreeSet;

use pod_identity_events::{PolicyCapacity, Problem};

use super::input::{NodePolicies, Observation, Options};
use super::step::PolicyStep;
use crate::node_policy::{self, PolicyState, Shard};
use crate::{ClusterArn, RoleArn};

/// How the node policies come to list every role, and which roles they cannot take.
pub(super) struct PlannedPolicies {
    pub(super) steps: Vec<PolicyStep>,
    pub(super) capacity: PolicyCapacity,
    pub(super) warnings: Vec<String>,
    unlisted: BTreeSet<RoleArn>,
    problem: Option<Problem>,
}

impl PlannedPolicies {
    /// The policies as they are.
    fn unchanged(observation: &Observation, cluster: Option<&ClusterArn>) -> Self {
        Self {
            steps: Vec::new(),
            capacity: capacity_of(&observation.policies, cluster),
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
    wanted: &BTreeSet<&RoleArn>,
    observation: &Observation,
    options: &Options,
) -> PlannedPolicies {
    let found = &observation.policies;
    let cluster = options.cluster_statement.then_some(&observation.cluster);
    if wanted.is_empty() {
        // Nothing is granted, so nothing is listed either: a removal writes no policy.
        return PlannedPolicies::unchanged(observation, cluster);
    }
    let left_alone = found.projection.foreign().flat_map(|(_, one)| &one.roles);
    let others = found.other_roles.iter().chain(left_alone);
    let wanted: BTreeSet<RoleArn> = wanted.iter().copied().chain(others).cloned().collect();
    if let Some(problem) = &found.problem {
        let granted = found.granted();
        return PlannedPolicies {
            unlisted: wanted.difference(&granted).cloned().collect(),
            problem: Some(problem.clone()),
            ..PlannedPolicies::unchanged(observation, cluster)
        };
    }
    let shards = found.attachable();
    // What cannot be attached grants nothing, and another in its place could not be either.
    let most = if shards.len() < found.projection.staying().count() {
        u32::try_from(shards.len()).unwrap_or(u32::MAX)
    } else {
        found.max_shards
    };
    let next_number = found.projection.next_number;
    let extension = node_policy::extend(&shards, &wanted, cluster, most, next_number);
    let full = (!extension.unplaced.is_empty()).then(|| full(observation));
    let after = extension.shards;
    let unattachable = found.projection.shards();
    let is_other = |one: &Shard| after.iter().all(|shard| shard.number != one.number);
    let all: Vec<Shard> = unattachable.into_iter().filter(is_other).chain(after.clone()).collect();
    let mut steps = writes(&after, &observation.cluster, found, options);
    steps.extend(attach(&after, &observation.cluster, found, options));
    let mut policies = PlannedPolicies {
        steps,
        capacity: node_policy::capacity(&all, cluster, found.max_shards),
        warnings: Vec::new(),
        unlisted: extension.unplaced,
        problem: None,
    };
    // The node roles may get credentials for roles that no policy lists by AWS's own broad policy, or by
    // the cluster's statement.
    let granted_anyway = found.broad_grant || after.iter().any(|shard| shard.statement);
    match full {
        // Nothing but the list grants, so a role that is not on it must not be bound.
        Some(problem) if options.strict || !granted_anyway => policies.problem = Some(problem),
        Some(problem) => policies.warnings.push(problem.to_string()),
        None => {}
    }
    policies.warnings.extend(found.projection.foreign().map(|(number, _)| {
        format!(
            "node policy {number} of cluster {} is left alone, since it is somebody else's or says more than a list of roles, and its roles are listed by another; move what was added to a policy of its own, and set the default version back",
            observation.cluster.name()
        )
    }));
    policies
}

fn full(observation: &Observation) -> Problem {
    Problem::NodePolicyFull {
        cluster_arn: observation.cluster.to_string(),
        max_policies: observation.policies.max_shards,
    }
}

/// Makes the policies that are not there and writes those that are to be otherwise, and what was assigned before
/// and IAM may not have.
pub(super) fn writes(
    shards: &[Shard],
    cluster: &ClusterArn,
    found: &NodePolicies,
    options: &Options,
) -> Vec<PolicyStep> {
    let write = |&Shard { number, statement, ref roles }: &Shard| {
        let policy = node_policy::policy_arn(&options.deployment, cluster, number).ok()?;
        let known = found.projection.policies.get(&number);
        let as_known = known.is_some_and(|one| (&one.roles, one.statement) == (roles, statement));
        if as_known && known.is_some_and(|one| one.state == PolicyState::Clean) {
            return None;
        }
        let Some(known) = known.filter(|known| known.version.is_some()) else {
            let added = roles.clone();
            return Some(PolicyStep::CreatePolicy { policy, number, statement, added });
        };
        let mut after = known.clone();
        after.assign(roles.clone(), statement);
        let (added, removed) = (after.added, after.removed);
        Some(PolicyStep::RewritePolicy { policy, number, statement, added, removed })
    };
    shards.iter().filter_map(write).collect()
}

/// Attaches policies to the node roles that have them not.
pub(super) fn attach(
    shards: &[Shard],
    cluster: &ClusterArn,
    found: &NodePolicies,
    options: &Options,
) -> Vec<PolicyStep> {
    let mut steps = Vec::new();
    for node_role in &found.node_roles {
        let attached = found.attached.get(node_role);
        for &Shard { number, ref roles, .. } in shards {
            if attached.is_some_and(|attached| attached.contains(&number)) {
                continue;
            }
            if let Ok(policy) = node_policy::policy_arn(&options.deployment, cluster, number) {
                let (node_role, lists) = (node_role.clone(), roles.clone());
                steps.push(PolicyStep::AttachPolicy { policy, number, node_role, lists });
            }
        }
    }
    steps
}

/// How full the policies are as they are.
pub(super) fn capacity_of(found: &NodePolicies, cluster: Option<&ClusterArn>) -> PolicyCapacity {
    node_policy::capacity(&found.projection.shards(), cluster, found.max_shards)
}
