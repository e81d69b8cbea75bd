//! The node policies' part of applying a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pod_identity_core::node_policy;
use pod_identity_core::plan::{Plan, PolicyStep, Problem};
use pod_identity_core::{DEPLOYMENT_TAG, PolicyArn, RoleArn};
use pod_identity_events::BlockedCode;

use super::{Applied, Failure, PolicyChange, Target};
use crate::cluster::Context;
use crate::error::chain;
use crate::observe::{self, VERSIONS_KEPT, counter, pages, problem_of};
use crate::ports::{
    Clock, ClusterAccess, ErrorKind, IamReader, IamWriter, NewPolicy, PolicyVersion, PortError,
};

/// How often a policy that somebody else is writing too is written again.
const MERGES: usize = 3;

/// How long IAM is given to show another writer's version.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// Does the policy steps in order. What a step that was not done would have
/// granted is not granted; the others do not depend on it, except that a policy
/// that was not made cannot be attached. After a passing failure none is begun.
pub(super) async fn apply<R: IamReader, W: IamWriter, C: Clock>(
    plan: &Plan,
    target: &Target<'_, R, W, C>,
    applied: &mut Applied,
) {
    let mut unmade = BTreeSet::new();
    for (at, step) in plan.policy_steps.iter().enumerate() {
        if matches!(step, PolicyStep::AttachPolicy { number, .. } if unmade.contains(number)) {
            continue;
        }
        let (failure, undone) = match apply_step(step, target, applied).await {
            Ok(()) => {
                applied.steps += 1;
                continue;
            }
            Err(failure @ Failure::Passing(_)) => (failure, &plan.policy_steps[at..]),
            Err(failure @ Failure::Blocked(_)) => (failure, std::slice::from_ref(step)),
        };
        for role in undone.iter().flat_map(PolicyStep::grants) {
            applied.ungranted.entry(role.clone()).or_insert_with(|| failure.clone());
        }
        match (failure, step) {
            (Failure::Passing(_), _) => return,
            (_, PolicyStep::CreatePolicy { number, .. }) => _ = unmade.insert(*number),
            _ => {}
        }
    }
}

/// Does policy steps in order, each only if all before it were done.
pub(crate) async fn in_order<R: IamReader, W: IamWriter, C: Clock>(
    steps: &[PolicyStep],
    target: &Target<'_, R, W, C>,
    applied: &mut Applied,
) -> Result<(), Failure> {
    for step in steps {
        apply_step(step, target, applied).await?;
        applied.steps += 1;
    }
    Ok(())
}

async fn apply_step<R: IamReader, W: IamWriter, C: Clock>(
    step: &PolicyStep,
    target: &Target<'_, R, W, C>,
    applied: &mut Applied,
) -> Result<(), Failure> {
    target.pass()?;
    match step {
        PolicyStep::CreatePolicy { policy, number, document, added } => {
            let change = create(policy, *number, document, added, target, applied).await?;
            applied.policy_changes.push(change);
        }
        PolicyStep::RewritePolicy { policy, number, base_version, document, added, removed } => {
            let rewriting = Rewriting { policy, number: *number, base_version, added, removed };
            let change = rewrite(rewriting, document, target, applied).await?;
            applied.policy_changes.push(change);
        }
        PolicyStep::AttachPolicy { policy, number, node_role, .. } => {
            target
                .context
                .writer
                .attach_policy(target.access, node_role, policy)
                .await
                .map_err(|error| attach_failure(&error, target.access, policy, node_role))?;
            applied.attached.push((node_role.clone(), *number));
        }
        PolicyStep::GiveUpPolicy { policy, number, base_version, node_roles, removed } => {
            give_up(policy, base_version, node_roles, target).await?;
            applied.policy_changes.push(PolicyChange {
                policy: policy.clone(),
                number: *number,
                version: base_version.clone(),
                added: Vec::new(),
                removed: removed.iter().cloned().collect(),
                gone: true,
            });
        }
    }
    Ok(())
}

/// Detaches a policy and deletes it, unless somebody has written it since it was read.
///
/// IAM deletes no policy that has another version than the one in force. The one that was read
/// is never deleted by itself, so what somebody wrote on top of it, unseen, keeps the policy.
async fn give_up<R: IamReader, W: IamWriter, C: Clock>(
    policy: &PolicyArn,
    base_version: &str,
    node_roles: &BTreeSet<RoleArn>,
    target: &Target<'_, R, W, C>,
) -> Result<(), Failure> {
    let (Context { reader, writer, clock, .. }, access) = (*target.context, target.access);
    let failed = |error: PortError| policy_failure(&error, access);
    let listed =
        pages(
            |token| async move { reader.policy_versions(access, policy, token.as_deref()).await },
        );
    let versions: Vec<PolicyVersion> = listed.await.map_err(failed)?;
    let newer = |version: &PolicyVersion| counter(&version.id) > counter(base_version);
    if versions.iter().any(|one| newer(one) || one.is_default != (one.id == base_version)) {
        return Err(Failure::Passing(format!(
            "policy {policy} was written by somebody else and is kept; the next reconciliation looks at it"
        )));
    }
    for version in versions.iter().filter(|version| version.id != base_version) {
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
            result => return result.map_err(failed),
        }
    }
    for node_role in node_roles {
        target.pass()?;
        writer
            .attach_policy(access, node_role, policy)
            .await
            .map_err(|error| attach_failure(&error, access, policy, node_role))?;
    }
    Err(Failure::Blocked(Problem {
        code: BlockedCode::ForeignPolicy,
        reason: format!(
            "policy {policy} is not needed, and IAM does not delete it: it is attached to something that is no node role of cluster {}, or somebody wrote it meanwhile",
            access.cluster.name()
        ),
        way_out: "detach it from whatever else has it; then reconcile again".to_owned(),
    }))
}

async fn create<R: IamReader, W: IamWriter, C: Clock>(
    policy: &PolicyArn,
    number: u32,
    document: &str,
    added: &BTreeSet<RoleArn>,
    target: &Target<'_, R, W, C>,
    applied: &mut Applied,
) -> Result<PolicyChange, Failure> {
    let (Context { reader, writer, settings, .. }, access) = (*target.context, target.access);
    let deployment = &settings.plan.deployment;
    let new = NewPolicy {
        arn: policy.clone(),
        description: format!("IAM roles of EKS Pod Identity in cluster {}", access.cluster.name()),
        document: document.to_owned(),
        tags: BTreeMap::from([(DEPLOYMENT_TAG.to_owned(), deployment.clone())]),
    };
    let failed = |error: PortError| policy_failure(&error, access);
    let error = match writer.create_policy(access, &new).await {
        Ok(made) => {
            applied.created.push(number);
            let added = added.iter().cloned().collect();
            return Ok(PolicyChange {
                policy: policy.clone(),
                number,
                version: made.default_version,
                added,
                removed: Vec::new(),
                gone: false,
            });
        }
        Err(error) => error,
    };
    if error.kind != ErrorKind::InUse {
        return Err(failed(error));
    }
    // An earlier run made it and died before it could remember.
    let found = reader.policy(access, policy).await.map_err(failed)?.ok_or_else(|| {
        Failure::Passing(format!("policy {policy} exists but IAM does not show it yet"))
    })?;
    let version = &found.default_version;
    let text = document_of(policy, version, target).await?;
    let mut shard = observe::ours(policy, &found.tags, number, &text, &access.cluster, settings)
        .map_err(Failure::Blocked)?;
    // Remembered even if what it lists leaves no room, so that the next attempt plans with it.
    applied.created.push(number);
    let statement = target.has_statement(number).then_some(&access.cluster);
    shard.roles.extend(added.iter().cloned());
    let document = node_policy::document(&shard.roles, statement);
    fits(policy, version, &document)?;
    let removed = &BTreeSet::new();
    let rewriting = Rewriting { policy, number, base_version: version, added, removed };
    rewrite(rewriting, &document, target, applied).await
}

/// A policy to be written anew.
#[derive(Clone, Copy)]
struct Rewriting<'a> {
    policy: &'a PolicyArn,
    number: u32,
    /// The version that was read.
    base_version: &'a str,
    added: &'a BTreeSet<RoleArn>,
    /// What another writer lists in between stays listed.
    removed: &'a BTreeSet<RoleArn>,
}

/// Writes a version, and again when somebody else wrote in between.
///
/// IAM has no optimistic locking, but its version numbers grow by one: a number
/// that skips shows other writers' versions between what was read and what was
/// written. All of them are read and their roles are kept: the last need not list
/// what the others did, if its writer died before it could look.
async fn rewrite<R: IamReader, W: IamWriter, C: Clock>(
    rewriting: Rewriting<'_>,
    document: &str,
    target: &Target<'_, R, W, C>,
    applied: &mut Applied,
) -> Result<PolicyChange, Failure> {
    let Rewriting { policy, number, base_version, added, removed } = rewriting;
    let (cluster, with_statement) = (&target.access.cluster, target.has_statement(number));
    let roles = |text: &str| {
        node_policy::parse(number, text, cluster, with_statement).map(|shard| shard.roles)
    };
    let mut base = counter(base_version);
    let mut document = document.to_owned();
    for _ in 0..=MERGES {
        target.pass()?;
        let version = write_version(policy, &document, target).await?;
        let written = counter(&version);
        // Remembered even if what it was put over cannot be read: nobody writes on top of an older one.
        applied.written.insert(number, version.clone());
        let ours = roles(&document).unwrap_or_default();
        let done = PolicyChange {
            policy: policy.clone(),
            number,
            version,
            added: added.iter().cloned().collect(),
            removed: removed.difference(&ours).cloned().collect(),
            gone: false,
        };
        let skipped = match (base, written) {
            (Some(base), Some(written)) if written > base + 1 => base + 1..written,
            _ => return Ok(done),
        };
        let mut merged = ours.clone();
        let newest = format!("v{}", skipped.end - 1);
        for skipped in skipped.rev().take(VERSIONS_KEPT) {
            let skipped = format!("v{skipped}");
            let theirs = document_of(policy, &skipped, target).await?;
            let Some(theirs) = roles(&theirs) else {
                return Err(Failure::Blocked(observe::says_more(policy, &skipped)));
            };
            merged.extend(theirs);
        }
        if merged == ours {
            return Ok(done);
        }
        let statement = with_statement.then_some(cluster);
        document = node_policy::document(&merged, statement);
        fits(policy, &newest, &document)?;
        base = written;
    }
    Err(Failure::Passing(format!("policy {policy} keeps being written by somebody else")))
}

/// Whether IAM takes what another writer listed and what is to be listed in one
/// policy. The next attempt sees both and places what does not fit elsewhere.
fn fits(policy: &PolicyArn, theirs: &str, merged: &str) -> Result<(), Failure> {
    if node_policy::characters(merged) <= node_policy::MAX_POLICY_CHARACTERS {
        return Ok(());
    }
    Err(Failure::Passing(format!(
        "version {theirs} of policy {policy}, which another run made, leaves no room for the roles that were to be added"
    )))
}

/// The document of a version that another writer has just made, once IAM shows it.
async fn document_of<R: IamReader, W, C: Clock>(
    policy: &PolicyArn,
    version: &str,
    target: &Target<'_, R, W, C>,
) -> Result<String, Failure> {
    let (Context { reader, clock, .. }, access) = (*target.context, target.access);
    for pause in PAUSES {
        clock.sleep(pause).await;
        target.pass()?;
        let found = reader.policy_document(access, policy, version).await;
        if let Some(document) = found.map_err(|error| policy_failure(&error, access))? {
            return Ok(document);
        }
    }
    Err(Failure::Passing(format!("IAM does not show version {version} of policy {policy} yet")))
}

/// Writes a version; when there are five, the oldest ones make room.
async fn write_version<R: IamReader, W: IamWriter, C: Clock>(
    policy: &PolicyArn,
    document: &str,
    target: &Target<'_, R, W, C>,
) -> Result<String, Failure> {
    let (Context { reader, writer, .. }, access) = (*target.context, target.access);
    let failed = |error: PortError| policy_failure(&error, access);
    match writer.create_policy_version(access, policy, document).await {
        Err(error) if error.kind == ErrorKind::LimitReached => {}
        result => return result.map_err(failed),
    }
    let listed =
        pages(
            |token| async move { reader.policy_versions(access, policy, token.as_deref()).await },
        );
    let mut versions: Vec<PolicyVersion> = listed.await.map_err(failed)?;
    versions.retain(|version| !version.is_default);
    versions.sort_by_key(|version| counter(&version.id));
    // The newest old one stays, to go back to; several go at once, so that
    // not every write has to prune.
    versions.pop();
    for version in versions {
        target.pass()?;
        writer.delete_policy_version(access, policy, &version.id).await.map_err(failed)?;
    }
    target.pass()?;
    writer.create_policy_version(access, policy, document).await.map_err(failed)
}

fn policy_failure(error: &PortError, access: &ClusterAccess) -> Failure {
    match error.kind {
        ErrorKind::Passing | ErrorKind::NotFound => Failure::Passing(chain(error)),
        _ => Failure::Blocked(problem_of(
            error,
            access,
            "allow the function's role to read, make and change that policy, or correct what IAM refuses",
        )),
    }
}

fn attach_failure(
    error: &PortError,
    access: &ClusterAccess,
    policy: &PolicyArn,
    node_role: &RoleArn,
) -> Failure {
    // The policy was given up a moment ago, and IAM still shows it.
    let gone = error.message.as_ref().is_some_and(|said| said.contains(policy.as_str()));
    match error.kind {
        ErrorKind::Passing => Failure::Passing(chain(error)),
        ErrorKind::NotFound if gone => Failure::Passing(chain(error)),
        ErrorKind::LimitReached => Failure::Blocked(Problem {
            code: BlockedCode::NodePolicyFull,
            reason: format!("node role {node_role} has no free slot for policy {policy}"),
            way_out: "raise IAM's quota of managed policies attached to a role, or detach policies from the node role; NODE_ROLE_POLICY_SLOTS must not be above that quota".to_owned(),
        }),
        ErrorKind::NotFound => Failure::Blocked(Problem {
            code: BlockedCode::InvalidRequest,
            reason: format!("node role {node_role} does not exist, so policy {policy} cannot be attached"),
            way_out: "register the cluster with the node roles that it has".to_owned(),
        }),
        _ => Failure::Blocked(problem_of(
            error,
            access,
            "allow the function's role iam:AttachRolePolicy on the node role for that policy",
        )),
    }
}
