//! One cluster's part of a batch: lease, ledger, observation, plan,
//! application, outcome events, conditions.

pub(crate) mod guard;
mod intents;
mod places;
mod planned;
mod settle;
mod taking;
mod visibility;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::plan::Plan;
use pod_identity_core::{ClusterArn, DominoName, RoleArn, ServiceAccountRef};
use pod_identity_events::PolicyCapacity;

use crate::apply::{self, Applied, Target};
use crate::context::{Cloud, Context, Writers};
use crate::error::Error;
use crate::lease::Lease;
use crate::ledger::{
    ClusterRecord, Condition, HaltRecord, NodePolicyRecord, View, WriteSet, lease_key,
};
use crate::observe::SeenRoles;
use crate::ports::LedgerWriter;
use planned::Planned;

pub use guard::retirement_blockers;
pub(crate) use taking::{CHUNK, Taking, named, shared, trim, unused};

/// The outcome of a cluster's part of a batch.
#[derive(Debug, Default)]
pub struct ClusterReport {
    /// The plan, unless the work failed before there was one.
    pub plan: Option<Plan>,
    /// The conditions as they are now, of the batch's service accounts and of
    /// others that share a place with them.
    pub conditions: BTreeMap<DominoName, Condition>,
    /// Service accounts whose work failed for a passing reason, and why.
    pub failures: BTreeMap<DominoName, Error>,
    /// Those of them that wait for what IAM may not show yet.
    pub unsettled: BTreeSet<DominoName>,
    /// Steps that were done.
    pub steps: usize,
    /// How full the node policies are, when they were looked at.
    pub capacity: Option<PolicyCapacity>,
    /// Why a change to the node policies was not made, the first of them.
    pub undone: Option<Error>,
    /// The node policies as the ledger has them now, when they were looked at.
    pub node_policies: Option<NodePolicyRecord>,
}

impl ClusterReport {
    /// All of it failed, for a passing reason.
    pub(crate) fn failed(names: &BTreeSet<DominoName>, why: &Error) -> Self {
        let failures = names.iter().map(|name| (name.clone(), why.clone())).collect();
        Self { failures, ..Self::default() }
    }

    /// Adds the outcome of those who waited for IAM.
    pub(crate) fn merge(&mut self, again: Self) {
        let Self { plan, conditions, failures, unsettled, steps, capacity, undone, node_policies } =
            again;
        for name in std::mem::take(&mut self.unsettled) {
            self.failures.remove(&name);
        }
        self.plan = plan.or(self.plan.take());
        self.conditions.extend(conditions);
        self.failures.extend(failures);
        self.unsettled = unsettled;
        self.steps += steps;
        self.capacity = capacity.or(self.capacity.take());
        self.undone = self.undone.take().or(undone);
        self.node_policies = node_policies.or(self.node_policies.take());
    }
}

/// What a run knows of a cluster beyond its own batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExtraScope {
    /// Roles of associations that are not this deployment's, which the node policy lists too.
    pub(crate) other_roles: BTreeSet<RoleArn>,
    /// Kubernetes service accounts to look at beside those that the ledger knows of.
    pub(crate) places: BTreeSet<ServiceAccountRef>,
    /// Whether the node policies are to be read, whatever the ledger says of them.
    pub(crate) refresh: bool,
    /// The sign that the ledger is older than the cluster, where it is seen and not stored yet.
    pub(crate) halted: Option<HaltRecord>,
    /// Whether the batch has all service accounts that want its places, so that those which found
    /// no room among the claims get their turn.
    pub(crate) knows_all: bool,
    /// Associations, by id, that may be made again without a ceiling.
    pub(crate) free: BTreeSet<String>,
    /// Names whose events come back once: to them what IAM may not show yet is no block.
    pub(crate) patient: BTreeSet<DominoName>,
    /// What is removed from the node policies; then there is no batch.
    pub(crate) taking: Option<Taking>,
}

/// What has to be done on a cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) cluster: &'a ClusterArn,
    /// The cluster as the ledger knows it.
    pub(crate) record: &'a ClusterRecord,
    /// For whom.
    pub(crate) names: &'a BTreeSet<DominoName>,
    /// What the ledger said before the lease was had.
    pub(crate) hint: &'a View,
    /// Whether the record is taken as given instead of read again: only to look, never to work.
    pub(crate) presumed: bool,
    pub(crate) extra: &'a ExtraScope,
    pub(crate) seen_roles: &'a SeenRoles,
}

/// Brings some service accounts to the desired state on one cluster.
pub(crate) async fn work(cloud: Cloud<'_>, writers: Writers<'_>, job: Job<'_>) -> ClusterReport {
    let worked = work_with(cloud, writers, job, None).await;
    worked.unwrap_or_else(|why| ClusterReport::failed(job.names, &why))
}

/// The same, or why all of it failed; perhaps with the lease that was taken when the ledger accepted what is to
/// be done.
pub(crate) async fn work_with(
    cloud: Cloud<'_>,
    writers: Writers<'_>,
    job: Job<'_>,
    lease: Option<Lease>,
) -> Result<ClusterReport, Error> {
    let lease = match lease {
        Some(lease) if cloud.deadline_reached() => {
            lease.release_unused(&cloud, writers.ledger).await;
            return Err(cloud.deadline_error());
        }
        Some(lease) => lease,
        None => take_lease(&cloud, writers.ledger, job.cluster).await?,
    };
    let access = &job.record.access();
    let worked = work_leased(job, &Target { cloud, writers, access, lease: &lease }).await;
    // What is not written down shows to the next run as a lease that expired.
    if matches!(worked, Err(WorkFailure { wrote: false, .. })) {
        lease.release_unused(&cloud, writers.ledger).await;
    }
    worked.map_err(|broken| broken.why)
}

async fn take_lease(
    context: &Context<'_>,
    writer: &dyn LedgerWriter,
    cluster: &ClusterArn,
) -> Result<Lease, Error> {
    if context.deadline_reached() {
        return Err(context.deadline_error());
    }
    Lease::take(lease_key(cluster), cluster, context, writer).await
}

/// Decides something under the lease of a cluster; what is to be written is written as the lease goes back.
pub(crate) async fn under_lease<T>(
    context: &Context<'_>,
    writer: &dyn LedgerWriter,
    cluster: &ClusterArn,
    decide: impl AsyncFnOnce() -> Result<(T, WriteSet), Error>,
) -> Result<T, Error> {
    let lease = take_lease(context, writer, cluster).await?;
    let (decided, mut writes) = match decide().await {
        Ok((decided, writes)) => (Ok(decided), writes),
        Err(why) => (Err(why), WriteSet::default()),
    };
    lease.release(context.run, &mut writes);
    let released = writes.commit(context.ledger, writer).await;
    let decided = decided?;
    released?;
    Ok(decided)
}

/// The plan for some service accounts, made without the lease: to be looked at, not to be carried
/// out. Needs no writer.
pub(crate) async fn preview(cloud: &Cloud<'_>, job: Job<'_>) -> Result<Plan, Error> {
    Ok(planned::planned(cloud, job, None).await?.plan)
}

/// Why work broke off.
struct WorkFailure {
    why: Error,
    /// Whether something may have been changed that the ledger does not know.
    wrote: bool,
}

impl<T: Into<Error>> From<T> for WorkFailure {
    fn from(why: T) -> Self {
        Self { why: why.into(), wrote: false }
    }
}

/// The lease is given back only with success.
async fn work_leased(job: Job<'_>, target: &Target<'_>) -> Result<ClusterReport, WorkFailure> {
    let Target { cloud, writers, lease, .. } = target;
    let Planned { mut plan, mut loaded, found, known } = match job.extra.taking {
        None => planned::planned(cloud, job, lease.abandoned_until).await?,
        Some(taking) => taking::planned(target, job, taking).await?,
    };
    let understood = found.as_ref().is_some_and(|found| found.problem.is_none());
    // A first observation is complete, and is not remembered before what it found is listed.
    let listed = !plan.policy_steps.is_empty() || plan.places.iter().any(|p| p.bound.is_some());
    let mut record = found.filter(|_| known || listed).map(|found| found.record);
    if let Some(record) = &mut record {
        record.assign(&plan.policy_steps);
    }
    intents::record(target, &mut loaded, &mut plan, record.as_ref()).await?;
    tracing::info!(cluster = job.cluster.name(), steps = plan.steps(), plan = %plan, "planned");

    // Half the lease may be gone by now, and creating many associations takes time.
    if plan.steps() > 1 || job.extra.taking.is_some() {
        lease.keep(cloud, writers.ledger).await?;
    }
    let applied = if plan.is_empty() {
        Applied::default()
    } else {
        Box::pin(apply::apply(&plan, target, record.as_mut())).await
    };
    record.iter_mut().for_each(NodePolicyRecord::forget_unlisted);
    let capacity = understood.then(|| plan.capacity.clone());
    let settled = settle::settle(target, loaded, &plan, &applied, record).await;
    let mut report = settled.map_err(|why| WorkFailure { why, wrote: !plan.is_empty() })?;
    report.capacity = capacity;
    report.steps = applied.steps;
    report.undone = applied.undone;
    report.plan = Some(plan);
    Ok(report)
}
