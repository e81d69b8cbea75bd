//! The trim itself: everything is read and observed again under the lease, the ledger is told
//! what leaves, and only then does it leave.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::plan::{Plan, PolicyStep};
use pod_identity_core::{Association, ClusterArn, KubernetesName, RoleArn};

use super::super::overview::named;
use super::super::{CHUNK, Reconciled};
use super::{Survey, shared};
use crate::apply::{Applied, Failure, Target, policies};
use crate::cluster::{
    self, Beyond, Broken, Context, IAM_SETTLES, NodePolicyMemory, of_another_account,
};
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
use crate::settings::later;

/// What was read and observed under the lease.
struct Seen {
    view: View,
    access: ClusterAccess,
    remembered: NodePolicyRecord,
    found: FoundPolicies,
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
    let plan = seen.survey.plan(cluster, &seen.found.policies, settings);
    if plan.is_empty() {
        done.untrimmed = plan.warnings.first().cloned();
        let mut writes = WriteSet::default();
        remember_unused(&mut seen, &mut writes, &BTreeSet::new(), &run.revision())?;
        lease.release(run, &mut writes);
        return writes.commit(reader, writer).await.map_err(said);
    }
    // What follows has a whole lease's time, and the note is good for longer than that.
    lease.renew(reader, writer, clock, run, settings).await.map_err(said)?;
    note(context, cluster, lease, &plan, &mut seen).await?;
    tracing::info!(cluster = cluster.name(), steps = plan.steps(), plan = %plan, "trims");

    let mut applied = Applied::default();
    let target = Target { context, access: &seen.access, lease };
    let applying = policies::in_order(&plan.policy_steps, &target, &mut applied);
    let result = Box::pin(applying).await;
    let why = result.err().map(|failure| match failure {
        Failure::Passing(why) => why,
        Failure::Blocked(problem) => format!("{}; {}", problem.reason, problem.way_out),
    });
    let left = trimmed(&plan, &applied, &seen.survey.due);
    let changes = applied.policy_changes.iter();
    done.given_up.extend(changes.filter(|one| one.gone).map(|one| one.policy.clone()));
    done.trimmed.extend(left.iter().cloned());
    done.steps += applied.steps;
    done.untrimmed = why;
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
    let found = policies(context, &access, record, remembered.clone()).await?;
    let needed: BTreeSet<RoleArn> = needed.union(&used).cloned().collect();
    let again = found.policies.trimming.intersection(&needed);
    if let Some(role) = again.into_iter().find(|role| found.policies.listed().contains(*role)) {
        return Err(format!("role {role} was taken out before and is listed again first").into());
    }
    let node_roles = &found.policies.node_roles;
    if let Some(why) = shared(reader, &registry, cluster, node_roles).await.map_err(said)? {
        return Err(why.into());
    }
    let before = view.get::<TrimRecord>(&trim_key(cluster)).map_err(said)?;
    let before = before.map(|stored| stored.record).unwrap_or_default();
    let grace = settings.trim_after.unwrap_or(std::time::Duration::MAX);
    let survey = Survey::of(before, &found.policies, &needed, (looked_at, seen_at), grace);
    Ok(Seen { view, access, remembered, found, survey })
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
    let settled = cluster::settled(remembered, clock.now());
    if let Some((number, until)) = settled.giving_up.first_key_value() {
        return Err(format!(
            "node policy {number} was being given up by a run that did not end, and IAM may show it as it was until {until}"
        )
        .into());
    }
    let anew = Beyond { anew: true, ..Beyond::default() }.doubts(settled);
    let found = observe::node_policies(reader, access, record, Some(anew), settings).await;
    let found = found.map_err(said)?;
    if let Some(problem) = &found.policies.problem {
        return Err(format!("{}; {}", problem.reason, problem.way_out).into());
    }
    match found.overwritten.iter().next() {
        None => Ok(found),
        Some(role) => Err(format!(
            "role {role} was in a version of a node policy that another was put over, and is listed again first, with whoever is bound next"
        )
        .into()),
    }
}

/// Writes down what leaves its policy before it does: a run that is shown a version from before
/// that would take it for granted, should this one die.
async fn note<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    lease: &Lease,
    plan: &Plan,
    seen: &mut Seen,
) -> Result<(), Broken> {
    let until = later(lease.ends_at(), IAM_SETTLES);
    let taken = plan.policy_steps.iter().flat_map(PolicyStep::takes);
    let noted: BTreeMap<RoleArn, _> = taken.map(|role| (role.clone(), until)).collect();
    let given_up = plan.policy_steps.iter().filter_map(|step| match step {
        PolicyStep::GiveUpPolicy { number, .. } => Some((*number, until)),
        _ => None,
    });
    let given_up: BTreeMap<u32, _> = given_up.collect();
    if noted.is_empty() && given_up.is_empty() {
        return Ok(());
    }
    for record in [&mut seen.remembered, &mut seen.found.record] {
        record.trimming.extend(noted.clone());
        record.giving_up.extend(given_up.clone());
        // Once that is let go, nobody knows how far it came.
        for attached in record.attached.values_mut() {
            attached.retain(|number| !given_up.contains_key(number));
        }
    }
    let (mut writes, revision) = (WriteSet::default(), context.run.revision());
    let key = node_policy_key(cluster);
    writes.put(&mut seen.view, key, &seen.remembered, &revision).map_err(said)?;
    lease.fence(&mut writes);
    writes.commit(context.reader, context.writer).await.map_err(said)
}

/// The roles that have left every policy that listed them.
fn trimmed(plan: &Plan, applied: &Applied, due: &BTreeSet<RoleArn>) -> BTreeSet<RoleArn> {
    let has_left = |role: &RoleArn, step: &PolicyStep| {
        let number = match step {
            PolicyStep::RewritePolicy { number, .. } | PolicyStep::GiveUpPolicy { number, .. } => {
                *number
            }
            PolicyStep::CreatePolicy { .. } | PolicyStep::AttachPolicy { .. } => return true,
        };
        let mut changes = applied.policy_changes.iter();
        changes.any(|change| change.number == number && change.removed.contains(role))
    };
    let left = due.iter().filter(|role| {
        let mut taking = plan.policy_steps.iter().filter(|step| step.takes().contains(*role));
        taking.all(|step| has_left(role, step))
    });
    left.cloned().collect()
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
    let found = FoundPolicies {
        policies: seen.found.policies.clone(),
        record: seen.found.record.clone(),
        unannounced: std::mem::take(&mut seen.found.unannounced),
        overwritten: BTreeSet::new(),
        understood: true,
        counted: seen.found.counted,
    };
    let NodePolicyMemory { mut record, changes } = cluster::remember(found, applied, true, now);
    let event = |change| outcomes.policy_changed(change, &record.node_roles, &plan.capacity);
    let events: Vec<_> = changes.iter().map(event).collect();
    let sent = publish(context.writer, context.clock, &events).await;
    for (change, sent) in changes.iter().zip(sent) {
        match sent {
            Ok(()) if change.gone => {}
            Ok(()) => _ = record.announced.insert(change.number, change.version.clone()),
            Err(why) => tracing::warn!(
                cluster = cluster.name(),
                "event Node Role Policy Changed was not sent: {why}"
            ),
        }
    }
    let (mut writes, revision) = (WriteSet::default(), context.run.revision());
    remember_unused(&mut seen, &mut writes, left, &revision).map_err(|broken| broken.why)?;
    let key = node_policy_key(cluster);
    writes.put(&mut seen.view, key, &record, &revision).map_err(|error| chain(&error))?;
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
