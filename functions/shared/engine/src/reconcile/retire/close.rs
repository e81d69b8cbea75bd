//! The end of a retirement: the node policies, and what the registry says.

use std::collections::BTreeSet;

use pod_identity_core::node_policy::{self, AssignedPolicy};
use pod_identity_core::plan::{PolicyStep, Problem};
use pod_identity_core::{ClusterArn, GivenUp, RoleArn};

use super::super::Reconciled;
use super::super::overview::Overview;
use super::{Fresh, Retirement};
use crate::apply::{Applied, Failure, PolicyChange, Target, policies};
use crate::cluster::{self, Context};
use crate::error::chain;
use crate::lease::Lease;
use crate::ledger::{
    self, Condition, ConditionState, LedgerError, NodePolicyRecord, Registry, View, WriteSet,
    condition_key, lease_key, node_policy_key, registry_key,
};
use crate::observe::{self, FoundPolicies};
use crate::outcome::Outcomes;
use crate::ports::{Clock, ErrorKind, PortError, Reads, Writes};
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

/// Detaches and deletes the node policies. The ledger is told first: should the cluster come back, what they
/// list counts as not listed.
async fn delete_policies<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    overview: &Overview,
    view: &mut View,
    lease: &mut Lease,
) -> Result<Result<(), Problem>, String> {
    let Context { reader, writer, clock, run, settings, .. } = *context;
    let access = &overview.access;
    let cluster = &access.cluster;
    let said = |error: LedgerError| chain(&error);
    let stored = view.get::<NodePolicyRecord>(&node_policy_key(cluster)).map_err(said)?;
    let mut record = match known(context, overview, stored.map(|stored| stored.record)).await {
        Ok(record) => record,
        Err(Failure::Passing(why)) => return Err(why),
        Err(Failure::Blocked(problem)) => return Ok(Err(problem)),
    };
    if record.projection.policies.is_empty() {
        return Ok(Ok(()));
    }
    let give_up = |(number, one): (&u32, &AssignedPolicy)| {
        Some(PolicyStep::GiveUpPolicy {
            policy: node_policy::policy_arn(&settings.plan.deployment, cluster, *number).ok()?,
            number: *number,
            node_roles: record.node_roles.clone(),
            removed: one.roles.clone(),
        })
    };
    let steps: Vec<PolicyStep> = record.projection.policies.iter().filter_map(give_up).collect();
    record.assign(&steps);
    let (mut writes, revision) = (WriteSet::default(), run.revision());
    writes.put(view, node_policy_key(cluster), &record, &revision).map_err(said)?;
    lease.fence(&mut writes);
    if let Some(revision) = view.revision(&registry_key()) {
        writes.check(registry_key(), revision);
    }
    writes.commit(reader, writer).await.map_err(|error| chain(&error))?;
    let mut result = Ok(());
    for step in &steps {
        if !lease.covers(clock.now(), settings.lease / 2) {
            let renewed = lease.renew(reader, writer, clock, run, settings).await;
            renewed.map_err(|error| chain(&error))?;
        }
        let (target, mut applied) = (Target { context, access, lease }, Applied::default());
        let step = std::slice::from_ref(step);
        result = policies::in_order(step, &target, &mut record, &mut applied).await;
        // Told before the ledger has forgotten it, or a run that dies in between tells nobody.
        for change in &applied.deleted {
            tell(context, overview, change, &record.node_roles).await?;
        }
        if result.is_err() {
            break;
        }
    }
    let (mut writes, revision) = (WriteSet::default(), run.revision());
    writes.put(view, node_policy_key(cluster), &record, &revision).map_err(said)?;
    lease.fence(&mut writes);
    writes.commit(reader, writer).await.map_err(|error| chain(&error))?;
    match result {
        Ok(()) => Ok(Ok(())),
        Err(Failure::Passing(why)) => Err(why),
        Err(Failure::Blocked(problem)) => Ok(Err(problem)),
    }
}

/// The node policies that there are, and where they may be attached: by the ledger, the registration and
/// IAM, or else by what EKS says.
async fn known<R: Reads, W, C: Clock>(
    context: &Context<'_, R, W, C>,
    overview: &Overview,
    remembered: Option<NodePolicyRecord>,
) -> Result<NodePolicyRecord, Failure> {
    let Context { reader, clock, settings, .. } = *context;
    let access = &overview.access;
    let failed = |error: PortError| match error.kind {
        ErrorKind::Passing | ErrorKind::Expired | ErrorKind::Unreachable => {
            Failure::Passing(chain(&error))
        }
        _ => Failure::Blocked(observe::problem_of(
            &error,
            access,
            "allow the function's role the call that is named here on the cluster's node policies and node roles",
        )),
    };
    let mut cluster = overview.record.clone();
    let roles = &mut cluster.registration.node_roles;
    let before = remembered.iter().flat_map(|one| one.node_roles.iter().chain(one.attached.keys()));
    roles.extend(before.cloned());
    if roles.is_empty() && overview.gone.is_some() {
        roles.extend(observe::guessed_node_role(access));
    }
    let remembered = Some(remembered.unwrap_or_default());
    let found =
        observe::node_policies(reader, access, &cluster, remembered, true, settings, clock).await;
    let FoundPolicies { policies, record, .. } = found.map_err(failed)?;
    match policies.problem {
        None => Ok(record),
        Some(problem) => Err(Failure::Blocked(problem)),
    }
}

async fn tell<R, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    overview: &Overview,
    change: &PolicyChange,
    node_roles: &BTreeSet<RoleArn>,
) -> Result<(), String> {
    let cluster = &overview.access.cluster;
    let outcomes =
        Outcomes { cluster, now: context.clock.now(), request_id: context.run.request_id() };
    let retirement = overview.record.retired.as_ref().map(|retired| retired.version.to_string());
    let capacity = node_policy::capacity(&[], None, context.settings.policy_slots);
    let event = outcomes.policy_deleted(
        change,
        retirement.as_deref().unwrap_or_default(),
        node_roles,
        &capacity,
    );
    let sent = publish(context.writer, context.clock, std::slice::from_ref(&event)).await;
    sent.into_iter()
        .collect::<Result<_, _>>()
        .map_err(|why| format!("event {} was not sent: {why}", event.detail_type()))
}
