//! The end of a retirement: the node policies, and what the registry says.

use std::collections::BTreeSet;

use pod_identity_core::plan::Problem;
use pod_identity_core::{ClusterArn, GivenUp, PolicyArn, RoleArn, node_policy};

use super::super::Reconciled;
use super::super::overview::Overview;
use super::{Fresh, Retirement};
use crate::apply::PolicyChange;
use crate::cluster::{self, Context};
use crate::error::chain;
use crate::lease::Lease;
use crate::ledger::{
    self, Condition, ConditionState, NodePolicyRecord, Registry, View, WriteSet, condition_key,
    lease_key, node_policy_key, registry_key,
};
use crate::observe::{self, pages};
use crate::outcome::Outcomes;
use crate::ports::{Clock, ClusterAccess, ErrorKind, PortError, Reads, Writes};
use crate::publish::publish;

/// Deletes the node policies of a cluster on which no association is left, and says so in the
/// registry.
pub(super) async fn close<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    overview: &Overview,
) -> Result<Retirement, String> {
    let cluster = &overview.access.cluster;
    let Context { reader, writer, clock, run, settings, deadline } = *context;
    let lease =
        Lease::take(lease_key(cluster), cluster, reader, writer, clock, run, settings, deadline)
            .await;
    let mut lease = lease.map_err(|error| chain(&error))?;
    let emptied = empty(context, overview, &mut lease).await;
    let (retirement, writes) = match emptied {
        Ok((retirement, writes)) => (Ok(retirement), writes),
        Err(why) => (Err(why), WriteSet::default()),
    };
    let given_back = cluster::give_back_with(context, &lease, writes).await;
    let retirement = retirement?;
    given_back.map_err(|error| chain(&error))?;
    Ok(retirement)
}

/// What became of it, and what is written with the lease's return.
async fn empty<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    overview: &Overview,
    lease: &mut Lease,
) -> Result<(Retirement, WriteSet), String> {
    let cluster = &overview.access.cluster;
    let mut writes = WriteSet::default();
    let under_way = Retirement::UnderWay { goes_on: false };
    let fresh = Fresh::read(context, cluster).await.map_err(|error| chain(&error))?;
    let Fresh { mut view, mut registry, bindings } = fresh;
    // A registration takes the retirement back at any time.
    if !registry.clusters.get(cluster).is_some_and(|record| record.is_retiring()) {
        return Ok((under_way, writes));
    }
    for name in bindings.keys() {
        let condition = view.get::<Condition>(&condition_key(name, cluster));
        let condition = condition.map_err(|error| chain(&error))?.map(|stored| stored.record);
        let is_over = |condition: &Condition| {
            condition.leaving.is_empty()
                && (condition.wanted.is_none() || condition.state == ConditionState::Waiting)
        };
        if condition.is_some_and(|condition| !is_over(&condition)) {
            return Ok((under_way, writes));
        }
    }
    match delete_policies(context, overview, &mut view, lease).await? {
        Ok(()) => {}
        Err(Problem { reason, way_out, .. }) => {
            return Ok((Retirement::PoliciesStay(format!("{reason}; {way_out}")), writes));
        }
    }
    let retirement = if overview.gone.is_some() {
        leave(&mut registry, cluster);
        Retirement::Departed
    } else {
        let record = registry.clusters.get_mut(cluster);
        if let Some(retired) = record.and_then(|record| record.retired.as_mut()) {
            retired.emptied_at.get_or_insert(context.clock.now());
        }
        Retirement::Emptied
    };
    let revision = context.run.revision();
    let put = writes.put(&mut view, registry_key(), &registry, &revision);
    put.map_err(|error| chain(&error))?;
    Ok((retirement, writes))
}

/// Takes a cluster out of the registry. Its retirement stays noted, so that an old registration
/// that is delivered again does not bring it back for good.
fn leave(registry: &mut Registry, cluster: &ClusterArn) {
    let Some(record) = registry.clusters.remove(cluster) else { return };
    let Some(retirement) = record.retired else { return };
    let nobody = GivenUp::default();
    let retirement = ledger::Retirement { emptied_at: None, given_up: nobody, ..retirement };
    if registry.has_room_for_retirement() {
        registry.retirements.insert(cluster.clone(), retirement);
    }
}

/// Takes an emptied cluster that EKS does not know any more out of the registry.
pub(in super::super) async fn depart<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    done: &mut Reconciled,
) -> Result<(), String> {
    let mut view = View::default();
    view.read(context.reader, &[registry_key()]).await.map_err(|error| chain(&error))?;
    let registry = ledger::registry(&view, &context.settings.plan.deployment);
    let mut registry = registry.map_err(|error| chain(&error))?;
    let record = registry.clusters.get(cluster);
    if record.is_none_or(|record| !record.is_retiring()) {
        return Ok(());
    }
    leave(&mut registry, cluster);
    let (mut writes, revision) = (WriteSet::default(), context.run.revision());
    let put = writes.put(&mut view, registry_key(), &registry, &revision);
    put.map_err(|error| chain(&error))?;
    writes.commit(context.reader, context.writer).await.map_err(|error| chain(&error))?;
    done.retirement = Some(Retirement::Departed);
    Ok(())
}

/// Detaches and deletes the node policies, the highest number first, so that a run that dies
/// leaves them without a gap. Before the first, the ledger notes it: IAM may show a policy that
/// was deleted, and a cluster that comes back must not take its roles for granted.
async fn delete_policies<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    overview: &Overview,
    view: &mut View,
    lease: &mut Lease,
) -> Result<Result<(), Problem>, String> {
    let access = &overview.access;
    let cluster = &access.cluster;
    let remembered = view.get::<NodePolicyRecord>(&node_policy_key(cluster));
    let remembered = remembered.map_err(|error| chain(&error))?.map(|stored| stored.record);
    let remembered = remembered.unwrap_or_default();
    let now = context.clock.now();
    let policies = match policies(context, access).await {
        Ok(policies) => policies,
        Err(Stop::Passing(why)) => return Err(why),
        Err(Stop::Problem(problem)) => return Ok(Err(problem)),
    };
    let shows = |number| policies.iter().any(|policy| policy.number == number);
    let is_recent = cluster::settled(remembered.clone(), now).written_at.is_some();
    // Once they were about to be deleted, all of them had been shown.
    let unseen = remembered.deleted_at.is_none() && !(1..=remembered.shards).all(shows);
    if is_recent && unseen {
        return Err(format!(
            "IAM does not show all node policies of cluster {} yet, which were written lately; the next delivery looks again",
            cluster.name()
        ));
    }
    if policies.is_empty() {
        return Ok(Ok(()));
    }
    let node_roles = match node_roles(context, overview, &remembered).await {
        Ok(roles) => roles,
        Err(Stop::Passing(why)) => return Err(why),
        Err(Stop::Problem(problem)) => return Ok(Err(problem)),
    };
    let note = NodePolicyRecord { deleted_at: Some(now), ..remembered };
    let (mut writes, revision) = (WriteSet::default(), context.run.revision());
    let put = writes.put(view, node_policy_key(cluster), &note, &revision);
    put.map_err(|error| chain(&error))?;
    lease.fence(&mut writes);
    if let Some(revision) = view.revision(&registry_key()) {
        writes.check(registry_key(), revision);
    }
    writes.commit(context.reader, context.writer).await.map_err(|error| chain(&error))?;
    for policy in policies.iter().rev() {
        match delete(context, overview, policy, &node_roles, lease).await {
            Ok(()) => {}
            Err(Stop::Passing(why)) => return Err(why),
            Err(Stop::Problem(problem)) => return Ok(Err(problem)),
        }
    }
    Ok(Ok(()))
}

/// Why the node policies stay for now.
enum Stop {
    Passing(String),
    Problem(Problem),
}

impl Stop {
    fn at(error: &PortError, access: &ClusterAccess) -> Self {
        match error.kind {
            ErrorKind::Passing | ErrorKind::Expired | ErrorKind::Unreachable => {
                Self::Passing(chain(error))
            }
            ErrorKind::Invalid => Self::Problem(observe::problem_of(
                error,
                access,
                "detach the policy from whatever else it is attached to; the next reconciliation deletes it",
            )),
            _ => Self::Problem(observe::problem_of(
                error,
                access,
                "allow the function's role the call that is named here on the cluster's node policies and node roles",
            )),
        }
    }
}

/// A node policy that is there.
struct Standing {
    number: u32,
    arn: PolicyArn,
    version: String,
    roles: BTreeSet<RoleArn>,
}

/// The node policies of this deployment, in order. Another's is left alone.
async fn policies<R: Reads, W, C>(
    context: &Context<'_, R, W, C>,
    access: &ClusterAccess,
) -> Result<Vec<Standing>, Stop> {
    let (reader, settings) = (context.reader, context.settings);
    let failed = |error: PortError| Stop::at(&error, access);
    let mut standing = Vec::new();
    for number in 1..=settings.policy_slots {
        let Ok(arn) = node_policy::policy_arn(&settings.plan.deployment, &access.cluster, number)
        else {
            break;
        };
        let Some(policy) = reader.policy(access, &arn).await.map_err(failed)? else { continue };
        let version = policy.default_version;
        let document = reader.policy_document(access, &arn, &version).await.map_err(failed)?;
        let Some(document) = document else {
            return Err(Stop::Passing(format!("IAM does not show version {version} of {arn} yet")));
        };
        let shard = observe::ours(&arn, &policy.tags, number, &document, &access.cluster, settings);
        let roles = shard.map_err(Stop::Problem)?.roles;
        standing.push(Standing { number, arn, version, roles });
    }
    Ok(standing)
}

/// Where the policies may be attached: the registration, what the ledger remembers, or else what
/// EKS says.
async fn node_roles<R: Reads, W, C>(
    context: &Context<'_, R, W, C>,
    overview: &Overview,
    remembered: &NodePolicyRecord,
) -> Result<BTreeSet<RoleArn>, Stop> {
    let access = &overview.access;
    let mut roles = overview.record.registration.node_roles.clone();
    roles.extend(remembered.node_roles.iter().chain(remembered.attached.keys()).cloned());
    if roles.is_empty() && overview.gone.is_none() {
        let found = observe::node_roles_of(context.reader, access, context.settings.concurrency);
        let found = found.await.map_err(|error| Stop::at(&error, access))?;
        roles = found.map_err(Stop::Problem)?;
    }
    if roles.is_empty() {
        roles.extend(observe::guessed_node_role(access));
    }
    match observe::refused_node_role(&roles, context.settings) {
        Some(problem) => Err(Stop::Problem(problem)),
        None => Ok(roles),
    }
}

/// IAM deletes a policy only when nothing has it and no other version is left.
async fn delete<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    overview: &Overview,
    policy: &Standing,
    node_roles: &BTreeSet<RoleArn>,
    lease: &mut Lease,
) -> Result<(), Stop> {
    let Context { reader, writer, .. } = *context;
    let access = &overview.access;
    let failed = |error: PortError| Stop::at(&error, access);
    let arn = &policy.arn;
    for role in node_roles {
        pass(context, lease).await?;
        writer.detach_policy(access, role, arn).await.map_err(failed)?;
    }
    let listed =
        pages(|token| async move { reader.policy_versions(access, arn, token.as_deref()).await });
    for version in listed.await.map_err(failed)? {
        if !version.is_default {
            pass(context, lease).await?;
            writer.delete_policy_version(access, arn, &version.id).await.map_err(failed)?;
        }
    }
    // It grants nothing any more. Told before it is gone, or a run that dies in between tells nobody.
    tell(context, overview, policy, node_roles).await?;
    pass(context, lease).await?;
    writer.delete_policy(access, arn).await.map_err(failed)
}

/// Whether one more call may start; the lease is held for as long as there is time.
async fn pass<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    lease: &mut Lease,
) -> Result<(), Stop> {
    let Context { reader, writer, clock, run, settings, .. } = *context;
    if context.is_over() {
        return Err(Stop::Passing(context.over()));
    }
    if !lease.covers(clock.now(), settings.longest_call * 2) {
        let renewed = lease.renew(reader, writer, clock, run, settings).await;
        renewed.map_err(|error| Stop::Passing(chain(&error)))?;
    }
    Ok(())
}

async fn tell<R, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    overview: &Overview,
    policy: &Standing,
    node_roles: &BTreeSet<RoleArn>,
) -> Result<(), Stop> {
    let Standing { number, arn, version, roles } = policy;
    let cluster = &overview.access.cluster;
    let outcomes =
        Outcomes { cluster, now: context.clock.now(), request_id: context.run.request_id() };
    let change = PolicyChange {
        policy: arn.clone(),
        number: *number,
        version: version.clone(),
        added: Vec::new(),
        removed: roles.iter().cloned().collect(),
        gone: true,
    };
    let retirement = overview.record.retired.as_ref().map(|retired| retired.version.to_string());
    let capacity = node_policy::capacity(&[], None, context.settings.policy_slots);
    let event = outcomes.policy_deleted(
        &change,
        retirement.as_deref().unwrap_or_default(),
        node_roles,
        &capacity,
    );
    let sent = publish(context.writer, context.clock, std::slice::from_ref(&event)).await;
    sent.into_iter()
        .collect::<Result<_, _>>()
        .map_err(|why| Stop::Passing(format!("event {} was not sent: {why}", event.detail_type())))
}
