//! The node policies' part of applying a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pod_identity_core::node_policy::{
    self, AssignedPolicy, MAX_POLICY_CHARACTERS, PolicyState, version_number,
};
use pod_identity_core::plan::{Plan, PolicyStep};
use pod_identity_core::{DEPLOYMENT_TAG, PolicyArn, RoleArn};
use pod_identity_events::{CallPurpose, Problem};

use super::{Applied, PolicyChange, Target};
use crate::error::{Error, chain};
use crate::ledger::NodePolicyRecord;
use crate::observe::{self, ListedBetween, problem_of};
use crate::ports::{ClusterAccess, ErrorKind, NewPolicy, PortError};

/// How often a policy that somebody else is writing too is written again.
const MERGES: usize = 3;

/// How long IAM is given to show another writer's version.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Does the policy steps in order, as the ledger has them. What a step that was not done would have
/// granted is not granted; the others do not depend on it, except that a policy
/// that was not made cannot be attached. After a passing failure none is begun.
pub(super) async fn apply(
    plan: &Plan,
    target: &Target<'_>,
    record: &mut NodePolicyRecord,
    applied: &mut Applied,
) {
    let mut unmade = BTreeSet::new();
    for (at, step) in plan.policy_steps.iter().enumerate() {
        if matches!(step, PolicyStep::AttachPolicy { number, .. } if unmade.contains(number)) {
            continue;
        }
        let (failure, undone) = match apply_step(step, target, record, applied).await {
            Ok(()) => {
                applied.steps += 1;
                continue;
            }
            Err(failure @ Error::Blocked(_)) => (failure, std::slice::from_ref(step)),
            Err(failure) => (failure, &plan.policy_steps[at..]),
        };
        applied.undone.get_or_insert_with(|| failure.clone());
        for role in undone.iter().flat_map(PolicyStep::grants) {
            applied.ungranted.entry(role.clone()).or_insert_with(|| failure.clone());
        }
        match (failure, step) {
            (Error::Blocked(_), PolicyStep::CreatePolicy { number, .. }) => {
                unmade.insert(*number);
            }
            (Error::Blocked(_), _) => {}
            _ => return,
        }
    }
}

async fn apply_step(
    step: &PolicyStep,
    target: &Target<'_>,
    record: &mut NodePolicyRecord,
    applied: &mut Applied,
) -> Result<(), Error> {
    target.pass()?;
    match step {
        PolicyStep::CreatePolicy { policy, number, .. } => {
            create(policy, *number, target, record).await
        }
        PolicyStep::RewritePolicy { policy, number, added, .. } => {
            write(policy, *number, added, target, record).await
        }
        PolicyStep::AttachPolicy { policy, number, node_role, .. } => {
            let writer = target.writers.iam;
            let attached = writer.attach_policy(target.access, node_role, policy).await;
            attached.map_err(|error| attach_failure(&error, target.access, policy, node_role))?;
            record.attached.entry(node_role.clone()).or_default().insert(*number);
            Ok(())
        }
        PolicyStep::DeletePolicy { policy, number, node_roles, removed } => {
            let Some(version) = delete_policy(policy, *number, node_roles, target, record).await?
            else {
                record.replace(*number);
                return Ok(());
            };
            // The ledger forgets it once the bus was told.
            applied.deleted.push(PolicyChange {
                policy: policy.clone(),
                number: *number,
                version,
                added: Vec::new(),
                removed: removed.iter().cloned().collect(),
                gone: true,
            });
            Ok(())
        }
    }
}

/// Detaches a policy and deletes it, unless somebody has written it since it was assigned: it stays then,
/// and the next reconciliation takes in what it lists. Answers its last version; none of one that was never made.
async fn delete_policy(
    policy: &PolicyArn,
    number: u32,
    node_roles: &BTreeSet<RoleArn>,
    target: &Target<'_>,
    record: &mut NodePolicyRecord,
) -> Result<Option<String>, Error> {
    let (reader, writer, access) = (target.cloud.iam, target.writers.iam, target.access);
    let clock = target.cloud.clock;
    let failed = |error: PortError| policy_failure(&error, access);
    let known = record.projection.policies.get(&number);
    let base = known.map_or(0, AssignedPolicy::base);
    let last = known.and_then(|one| one.version.clone());
    let versions = match observe::versions(reader, access, policy).await {
        Ok(versions) => versions,
        // A run that died has deleted it.
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(last),
        Err(error) => return Err(failed(error)),
    };
    if base > 0 && versions.iter().any(|one| version_number(&one.id) > Some(base)) {
        if let Some(one) = record.projection.policies.get_mut(&number) {
            one.state = PolicyState::Pending;
        }
        return Err(Error::Retryable(format!(
            "policy {policy} was written by somebody else and is kept; the next reconciliation looks at it"
        )));
    }
    for version in versions.iter().filter(|version| !version.is_default) {
        target.pass()?;
        writer.delete_policy_version(access, policy, &version.id).await.map_err(failed)?;
    }
    for node_role in node_roles {
        target.pass()?;
        writer.detach_policy(access, node_role, policy).await.map_err(failed)?;
    }
    for pause in PAUSES {
        // IAM may take a moment to notice that nothing is attached any more.
        clock.sleep(pause).await;
        target.pass()?;
        match writer.delete_policy(access, policy).await {
            Err(error) if error.kind == ErrorKind::Invalid => {}
            result => return result.map(|()| last).map_err(failed),
        }
    }
    for node_role in node_roles {
        target.pass()?;
        writer
            .attach_policy(access, node_role, policy)
            .await
            .map_err(|error| attach_failure(&error, access, policy, node_role))?;
    }
    if let Some(one) = record.projection.policies.get_mut(&number) {
        one.state = PolicyState::Pending;
    }
    Err(Error::from(Problem::NodePolicyInUse {
        cluster_arn: access.cluster.to_string(),
        policy_arn: policy.to_string(),
    }))
}

async fn create(
    policy: &PolicyArn,
    number: u32,
    target: &Target<'_>,
    record: &mut NodePolicyRecord,
) -> Result<(), Error> {
    let (reader, writer, access) = (target.cloud.iam, target.writers.iam, target.access);
    let settings = target.cloud.settings;
    let Some(assigned) = record.projection.policies.get_mut(&number) else { return Ok(()) };
    let deployment = &settings.plan.deployment;
    let new = NewPolicy {
        arn: policy.clone(),
        description: format!("IAM roles of EKS Pod Identity in cluster {}", access.cluster.name()),
        document: document(assigned, access),
        tags: BTreeMap::from([(DEPLOYMENT_TAG.to_owned(), deployment.clone())]),
    };
    let failed = |error: PortError| policy_failure(&error, access);
    let error = match writer.create_policy(access, &new).await {
        Ok(made) => {
            assigned.is_written(made.default_version);
            record.written_at = Some(target.cloud.clock.now());
            return Ok(());
        }
        Err(error) => error,
    };
    if error.kind != ErrorKind::InUse {
        return Err(failed(error));
    }
    // An earlier run made it and died, or the ledger that knew it was lost.
    let found = reader.policy(access, policy).await.map_err(failed)?.ok_or_else(|| {
        Error::Retryable(format!("policy {policy} exists but IAM does not show it yet"))
    })?;
    let version = &found.default_version;
    let text = reader.policy_document(access, policy, version).await.map_err(failed)?;
    let text = text.ok_or_else(|| failed(observe::not_shown(policy, version)))?;
    let shard = match observe::ours(policy, &found.tags, number, &text, &access.cluster, settings) {
        Ok(shard) => shard,
        Err(why) => {
            assigned.state = PolicyState::Foreign;
            return Err(Error::Retryable(format!("{why}; the next attempt makes another policy")));
        }
    };
    // A newer version may have been put over one that lists more.
    let is_first = version_number(version) == Some(1);
    if is_first && shard.roles == assigned.roles && shard.statement == assigned.statement {
        assigned.is_written(version.clone());
        return Ok(());
    }
    write(policy, number, &BTreeSet::new(), target, record).await
}

/// What a policy is to say.
fn document(assigned: &AssignedPolicy, access: &ClusterAccess) -> String {
    node_policy::document(&assigned.roles, assigned.statement.then_some(&access.cluster))
}

/// Writes what a policy is to list, and again when somebody else wrote in between.
///
/// IAM has no optimistic locking, but its version numbers grow by one: a number
/// that skips shows other writers' versions, or those of a run that died, between what the ledger knows and
/// what was written. All of them are read and their roles are kept: the last need not list
/// what the others did, if its writer died before it could look.
async fn write(
    policy: &PolicyArn,
    number: u32,
    added: &BTreeSet<RoleArn>,
    target: &Target<'_>,
    record: &mut NodePolicyRecord,
) -> Result<(), Error> {
    let (now, access) = (target.cloud.clock.now(), target.access);
    let is_recent = record.is_recent(now);
    record.written_at = Some(now);
    let Some(assigned) = record.projection.policies.get_mut(&number) else { return Ok(()) };
    let mut base = assigned.base();
    for _ in 0..=MERGES {
        target.pass()?;
        let written = match assigned.unmerged.clone() {
            Some(version) => Some(version),
            None => write_version(policy, base, assigned, target).await?,
        };
        let Some(version) = written else {
            // One that was made a moment ago may not be known everywhere.
            if is_recent && base <= 1 {
                return Err(policy_failure(&observe::not_shown(policy, "v1"), access));
            }
            record.replace(number);
            return Err(Error::Retryable(format!(
                "policy {policy} was deleted by somebody; the next attempt makes another"
            )));
        };
        let written = version_number(&version).unwrap_or_default();
        if written <= base + 1 {
            assigned.is_written(version);
            return Ok(());
        }
        // Whoever comes next need not write it again to look at what it was put over.
        assigned.unmerged = Some(version.clone());
        let ListedBetween { roles: theirs, left_alone } =
            skipped(policy, base, &version, target).await?;
        if let Some(why) = left_alone {
            // The next attempt lists its roles in another.
            assigned.leave_alone(&theirs);
            return Err(why);
        }
        if theirs.is_subset(&assigned.roles) {
            assigned.is_written(version);
            return Ok(());
        }
        assigned.merge_in(&theirs);
        assigned.version = Some(version);
        if node_policy::characters(&document(assigned, access)) > MAX_POLICY_CHARACTERS {
            // The next attempt sees what they listed, and places elsewhere what does not fit.
            let fewer = assigned.roles.difference(added).chain(&theirs).cloned().collect();
            assigned.assign(fewer, assigned.statement);
            return Err(Error::Retryable(format!(
                "versions of policy {policy} that another writer made leave no room for the roles that were to be added"
            )));
        }
        base = written;
    }
    Err(Error::Retryable(format!("policy {policy} keeps being written by somebody else")))
}

/// What the versions between the one that the ledger knows and the one that was just written say. Those that
/// IAM does not list beside the latter were deleted.
async fn skipped(
    policy: &PolicyArn,
    base: u64,
    written: &str,
    target: &Target<'_>,
) -> Result<ListedBetween, Error> {
    let (reader, clock, access) = (target.cloud.iam, target.cloud.clock, target.access);
    let failed = |error: PortError| policy_failure(&error, access);
    for pause in PAUSES {
        clock.sleep(pause).await;
        target.pass()?;
        let versions = observe::versions(reader, access, policy).await.map_err(failed)?;
        if versions.iter().all(|one| one.id != written) {
            continue;
        }
        let between = base..version_number(written).unwrap_or_default();
        let listed = observe::listed_between(reader, access, policy, &versions, between).await;
        return listed.map_err(failed);
    }
    Err(failed(observe::not_shown(policy, written)))
}

/// Writes a version; when there are five, the oldest ones make room. None where IAM knows no such policy.
async fn write_version(
    policy: &PolicyArn,
    base: u64,
    assigned: &mut AssignedPolicy,
    target: &Target<'_>,
) -> Result<Option<String>, Error> {
    let (writer, access) = (target.writers.iam, target.access);
    let text = document(assigned, access);
    let mut written = writer.create_policy_version(access, policy, &text).await;
    if written.as_ref().is_err_and(|error| error.kind == ErrorKind::LimitReached) {
        make_room(policy, base, assigned, target).await?;
        target.pass()?;
        written = writer.create_policy_version(access, policy, &text).await;
    }
    match written {
        Ok(version) => Ok(Some(version)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(policy_failure(&error, access)),
    }
}

/// Deletes versions: all but the one in force and the newest old one, to go back to. Several go at once,
/// so that not every write has to. One that the ledger does not know goes only once what it lists is assigned.
async fn make_room(
    policy: &PolicyArn,
    base: u64,
    assigned: &mut AssignedPolicy,
    target: &Target<'_>,
) -> Result<(), Error> {
    let (reader, writer, access) = (target.cloud.iam, target.writers.iam, target.access);
    let failed = |error: PortError| policy_failure(&error, access);
    let mut versions = observe::versions(reader, access, policy).await.map_err(failed)?;
    versions.retain(|version| !version.is_default);
    versions.sort_by_key(|version| version_number(&version.id));
    versions.pop();
    let listed = observe::listed_between(reader, access, policy, &versions, base..u64::MAX).await;
    let ListedBetween { roles: theirs, left_alone } = listed.map_err(failed)?;
    if let Some(why) = left_alone {
        assigned.leave_alone(&theirs);
        return Err(why);
    }
    if !theirs.is_subset(&assigned.roles) {
        assigned.merge_in(&theirs);
        return Err(Error::Retryable(format!(
            "policy {policy} has versions of another writer; what they list is written down first, and the next attempt goes on"
        )));
    }
    for version in versions {
        target.pass()?;
        writer.delete_policy_version(access, policy, &version.id).await.map_err(failed)?;
    }
    Ok(())
}

fn policy_failure(error: &PortError, access: &ClusterAccess) -> Error {
    match error.kind {
        ErrorKind::Passing | ErrorKind::NotFound => Error::Retryable(chain(error)),
        _ => Error::from(problem_of(error, access, CallPurpose::NodePolicy)),
    }
}

fn attach_failure(
    error: &PortError,
    access: &ClusterAccess,
    policy: &PolicyArn,
    node_role: &RoleArn,
) -> Error {
    // The policy was given up a moment ago, and IAM still shows it.
    let gone = error.message.as_ref().is_some_and(|said| said.contains(policy.as_str()));
    match error.kind {
        ErrorKind::Passing => Error::Retryable(chain(error)),
        ErrorKind::NotFound if gone => Error::Retryable(chain(error)),
        ErrorKind::LimitReached => Error::from(Problem::NodeRoleFull {
            node_role_arn: node_role.to_string(),
            policy_arn: policy.to_string(),
        }),
        ErrorKind::NotFound => Error::from(Problem::NodeRoleNotFound {
            cluster_arn: access.cluster.to_string(),
            node_role_arn: node_role.to_string(),
            guessed: false,
        }),
        _ => Error::from(problem_of(error, access, CallPurpose::NodePolicyAttachment)),
    }
}
