//! The trim itself: everything is read and observed again under the lease, the ledger is told
//! what the policies are to list, and only then is IAM.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::node_policy::PolicyState;
use pod_identity_core::plan::{NodePolicies, Plan, PolicyStep};
use pod_identity_core::{Association, ClusterArn, KubernetesName, RoleArn};

use super::super::overview::named;
use super::super::{CHUNK, Reconciled};
use super::{Survey, shared};
use crate::apply::{Applied, Failure, Target, policies, unpublished};
use crate::cluster::{self, Broken, Context, of_another_account};
use crate::error::chain;
use crate::lease::Lease;
use crate::ledger::{
    self, AccountRecord, ClusterRecord, LedgerError, NodePolicyRecord, TrimRecord, View, WriteSet,
    account_prefix, bindings_partition, cluster_partition, lease_key, node_policy_key,
    registry_key, trim_key,
};
use crate::observe::{self, FoundPolicies};
use crate::outcome::Outcomes;
use crate::ports::{AssociationFilter, Clock, ClusterAccess, Reads, Writes};
use crate::publish::publish;

/// What was read and observed under the lease.
struct Seen {
    view: View,
    access: ClusterAccess,
    policies: NodePolicies,
    record: NodePolicyRecord,
    survey: Survey,
}

fn said(error: impl std::error::Error + 'static) -> Broken {
    Broken::from(chain(&error))
}

/// Takes out what may leave by what the ledger and AWS say under the lease.
pub(super) async fn trim<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    done: &mut Reconciled,
) -> Result<(), String> {
    let Context { reader, writer, clock, run, settings, deadline } = *context;
    if context.is_over() {
        return Err(context.over());
    }
    let lease =
        Lease::take(lease_key(cluster), cluster, reader, writer, clock, run, settings, deadline)
            .await;
    let mut lease = lease.map_err(|error| chain(&error))?;
    match Box::pin(leased(context, cluster, &mut lease, done)).await {
        Ok(()) => Ok(()),
        Err(Broken { why, wrote }) => {
            cluster::give_back(context, &lease, wrote).await;
            Err(why)
        }
    }
}

async fn leased<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    lease: &mut Lease,
    done: &mut Reconciled,
) -> Result<(), Broken> {
    let Context { reader, writer, clock, run, settings, .. } = *context;
    let mut seen = look(context, cluster, lease).await?;
    let plan = seen.survey.plan(cluster, &seen.policies, settings);
    if plan.is_empty() {
        done.untrimmed = plan.warnings.first().cloned();
        let mut writes = WriteSet::default();
        remember_unused(&mut seen, &mut writes, &BTreeSet::new(), &run.revision())?;
        lease.release(run, &mut writes);
        return writes.commit(reader, writer).await.map_err(said);
    }
    // What follows has a whole lease's time.
    lease.renew(reader, writer, clock, run, settings).await.map_err(said)?;
    tracing::info!(cluster = cluster.name(), steps = plan.steps(), plan = %plan, "trims");

    let mut applied = Applied::default();
    let gives_up = |step: &PolicyStep| matches!(step, PolicyStep::GiveUpPolicy { .. });
    let (last, first): (Vec<PolicyStep>, Vec<PolicyStep>) =
        plan.policy_steps.iter().cloned().partition(gives_up);
    // What moves is listed where it goes before anything is given up: a run that dies leaves IAM with more.
    for steps in [first, last] {
        if steps.is_empty() || done.untrimmed.is_some() {
            continue;
        }
        assign(context, cluster, lease, &steps, &mut seen).await?;
        let target = Target { context, access: &seen.access, lease };
        let applying = policies::in_order(&steps, &target, &mut seen.record, &mut applied);
        done.untrimmed = Box::pin(applying).await.err().map(|failure| match failure {
            Failure::Passing(why) => why,
            Failure::Blocked(problem) => format!("{}; {}", problem.reason, problem.way_out),
        });
    }
    let listed: BTreeSet<RoleArn> =
        seen.record.projection.policies.values().flat_map(|one| one.roles.clone()).collect();
    let unwritten = seen.record.projection.policies.values();
    let unwritten: BTreeSet<RoleArn> = unwritten
        .filter(|one| one.state != PolicyState::Clean)
        .flat_map(|one| one.removed.clone())
        .collect();
    let stays = |role: &&RoleArn| !listed.contains(*role) && !unwritten.contains(*role);
    let left: BTreeSet<RoleArn> = seen.survey.due.iter().filter(stays).cloned().collect();
    done.given_up.extend(applied.deleted.iter().map(|one| one.policy.clone()));
    done.trimmed.extend(left.iter().cloned());
    done.steps += applied.steps;
    let written = write_down(context, cluster, lease, &plan, &applied, &left, seen).await;
    done.plans.push(plan);
    written.map_err(|why| Broken { why, wrote: true })
}

/// Reads the ledger and observes the cluster, all of it, and keeps the lease meanwhile.
async fn look<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    lease: &mut Lease,
) -> Result<Seen, Broken> {
    let Context { reader, clock, settings, .. } = *context;
    let mut view = View::default();
    let keys = [registry_key(), node_policy_key(cluster), trim_key(cluster)];
    view.read(reader, &keys).await.map_err(said)?;
    view.query(reader, &cluster_partition(cluster), account_prefix()).await.map_err(said)?;
    view.query(reader, bindings_partition(), "").await.map_err(said)?;
    let needed = needed(context, cluster, &mut view).await.map_err(said)?;
    let registry = ledger::registry(&view, &settings.plan.deployment).map_err(said)?;
    let Some(record) = registry.clusters.get(cluster) else {
        return Err(format!("cluster {cluster} is not registered any more").into());
    };
    if let Err(reasons) = settings.rules.admits_registration(&record.registration) {
        return Err(reasons.join("; ").into());
    }
    let stored = view.get::<NodePolicyRecord>(&node_policy_key(cluster)).map_err(said)?;
    let Some(remembered) = stored.map(|stored| stored.record) else {
        return Err(format!("the ledger knows no node policies of {}", cluster.name()).into());
    };
    let accounts = ledger::accounts(&view, cluster).map_err(said)?;
    let access = access(cluster, record);
    let looked_at = clock.now();
    let used = used(context, &access, lease, &accounts).await?;
    let seen_at = clock.now();
    let FoundPolicies { policies, record, .. } =
        policies(context, &access, record, remembered).await?;
    let needed: BTreeSet<RoleArn> = needed.union(&used).cloned().collect();
    let node_roles = &policies.node_roles;
    if let Some(why) = shared(reader, &registry, cluster, node_roles).await.map_err(said)? {
        return Err(why.into());
    }
    let before = view.get::<TrimRecord>(&trim_key(cluster)).map_err(said)?;
    let before = before.map(|stored| stored.record).unwrap_or_default();
    let grace = settings.trim_after.unwrap_or(std::time::Duration::MAX);
    let survey = Survey::of(before, &policies, &needed, (looked_at, seen_at), grace);
    Ok(Seen { view, access, policies, record, survey })
}

fn access(cluster: &ClusterArn, record: &ClusterRecord) -> ClusterAccess {
    let assume_role = record.registration.assume_role.clone();
    ClusterAccess { cluster: cluster.clone(), assume_role }
}

/// The roles that the ledger names, as it is now.
async fn needed<R: Reads, W, C>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    view: &mut View,
) -> Result<BTreeSet<RoleArn>, LedgerError> {
    let bindings = ledger::bindings(view)?;
    view.read(context.reader, &ledger::condition_keys(&bindings, cluster)).await?;
    let conditions = ledger::conditions(view, &bindings, cluster)?;
    Ok(named(&bindings, &conditions))
}

/// The roles that associations use, whosever they are.
async fn used<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    access: &ClusterAccess,
    lease: &mut Lease,
    accounts: &BTreeMap<KubernetesName, AccountRecord>,
) -> Result<BTreeSet<RoleArn>, Broken> {
    let Context { reader, writer, clock, run, settings, .. } = *context;
    let looked_at = clock.now();
    let all = observe::list(reader, access, AssociationFilter::default()).await.map_err(said)?;
    let mut associations: Vec<Association> = Vec::new();
    for chunk in all.chunks(CHUNK) {
        if context.is_over() {
            return Err(context.over().into());
        }
        if !lease.covers(clock.now(), settings.lease / 2) {
            lease.renew(reader, writer, clock, run, settings).await.map_err(said)?;
        }
        let described = observe::describe(reader, access, chunk.to_vec(), settings.concurrency);
        associations.extend(described.await.map_err(said)?);
    }
    if let Some(problem) = of_another_account(&access.cluster, associations.iter()) {
        return Err(format!("{}; {}", problem.reason, problem.way_out).into());
    }
    let place_of = |one: &Association| KubernetesName::new(&one.namespace, &one.service_account);
    let shown = associations.iter().filter_map(|one| Some((place_of(one).ok()?, one))).collect();
    let abandoned = lease.abandoned_until;
    match cluster::unseen(accounts, abandoned, &shown, looked_at, settings.lease) {
        Some(why) => Err(why.into()),
        None => Ok(associations.iter().filter_map(|one| one.role_arn.parse().ok()).collect()),
    }
}

/// The node policies, if nothing has to be put right there first.
async fn policies<R: Reads, W, C: Clock>(
    context: &Context<'_, R, W, C>,
    access: &ClusterAccess,
    record: &ClusterRecord,
    remembered: NodePolicyRecord,
) -> Result<FoundPolicies, Broken> {
    let Context { reader, clock, settings, .. } = *context;
    let remembered = Some(remembered);
    let found =
        observe::node_policies(reader, access, record, remembered, true, settings, clock).await;
    let found = found.map_err(said)?;
    match &found.policies.problem {
        Some(problem) => Err(format!("{}; {}", problem.reason, problem.way_out).into()),
        None => Ok(found),
    }
}

/// Writes down what the policies are to list before IAM is told.
async fn assign<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    lease: &Lease,
    steps: &[PolicyStep],
    seen: &mut Seen,
) -> Result<(), Broken> {
    seen.record.assign(steps);
    let (mut writes, revision) = (WriteSet::default(), context.run.revision());
    let key = node_policy_key(cluster);
    writes.put(&mut seen.view, key, &seen.record, &revision).map_err(said)?;
    lease.fence(&mut writes);
    writes.commit(context.reader, context.writer).await.map_err(said)
}

/// Tells the bus, and writes down what was done; the lease goes back with that.
async fn write_down<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    lease: &Lease,
    plan: &Plan,
    applied: &Applied,
    left: &BTreeSet<RoleArn>,
    mut seen: Seen,
) -> Result<(), String> {
    let now = context.clock.now();
    let outcomes = Outcomes { cluster, now, request_id: context.run.request_id() };
    let changes = unpublished(&seen.record, cluster, context.settings);
    let changes: Vec<_> = changes.iter().chain(&applied.deleted).collect();
    let event = |change| outcomes.policy_changed(change, &seen.record.node_roles, &plan.capacity);
    let events: Vec<_> = changes.iter().copied().map(event).collect();
    let sent = publish(context.writer, context.clock, &events).await;
    for (change, sent) in changes.into_iter().zip(sent) {
        match sent {
            Ok(()) => seen.record.is_published(change.number),
            Err(why) => tracing::warn!(
                cluster = cluster.name(),
                "event Node Role Policy Changed was not sent: {why}"
            ),
        }
    }
    let (mut writes, revision) = (WriteSet::default(), context.run.revision());
    remember_unused(&mut seen, &mut writes, left, &revision).map_err(|broken| broken.why)?;
    let key = node_policy_key(cluster);
    writes.put(&mut seen.view, key, &seen.record, &revision).map_err(|error| chain(&error))?;
    lease.release(context.run, &mut writes);
    let written = writes.commit(context.reader, context.writer).await;
    written.map_err(|error| chain(&error))
}

/// Since when roles are unused that were left, if that is new.
fn remember_unused(
    seen: &mut Seen,
    writes: &mut WriteSet,
    left: &BTreeSet<RoleArn>,
    revision: &str,
) -> Result<(), Broken> {
    let mut unused = seen.survey.after.clone();
    unused.unused.retain(|role, _| !left.contains(role));
    if unused == seen.survey.before {
        return Ok(());
    }
    let key = trim_key(&seen.access.cluster);
    writes.put(&mut seen.view, key, &unused, revision).map_err(said)
}
