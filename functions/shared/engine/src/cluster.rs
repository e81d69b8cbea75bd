//! One cluster's part of a batch: lease, ledger, observation, plan,
//! application, outcome events, conditions.

pub(crate) mod guard;
mod intents;
mod places;
mod planned;
mod settle;
mod visibility;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::plan::Plan;
use pod_identity_core::{ClusterArn, DominoName, KubernetesName, RoleArn};
use pod_identity_events::PolicyCapacity;

use crate::apply::{self, Applied, Target};
use crate::error::chain;
use crate::lease::Lease;
use crate::ledger::{ClusterRecord, Condition, HaltRecord, View, WriteSet, lease_key};
use crate::observe::SeenRoles;
use crate::ports::{Clock, ClusterAccess, Reads, WriteError, Writes};
use crate::run::Run;
use crate::settings::Settings;
use planned::Planned;

pub use guard::held_up;
pub(crate) use planned::of_another_account;
pub(crate) use visibility::unseen;

/// Everything that work on a cluster needs.
pub(crate) struct Context<'a, R, W, C> {
    pub(crate) reader: &'a R,
    pub(crate) writer: &'a W,
    pub(crate) clock: &'a C,
    pub(crate) run: &'a Run,
    pub(crate) settings: &'a Settings,
    pub(crate) deadline: Timestamp,
}

// Not derived: what is referred to need not be `Copy`.
impl<R, W, C> Clone for Context<'_, R, W, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, W, C> Copy for Context<'_, R, W, C> {}

impl<R, W, C: Clock> Context<'_, R, W, C> {
    /// Whether a call that starts now might end after the deadline.
    pub(crate) fn is_over(&self) -> bool {
        self.settings.is_over(self.clock.now(), self.deadline)
    }

    /// Why nothing more is begun.
    pub(crate) fn over(&self) -> String {
        format!(
            "the invocation's time is nearly over, so nothing more was begun: one call may take {} s; \
             raise the function's time-out, or lower CALL_TIMEOUT_MS or CALL_ATTEMPTS",
            self.settings.longest_call.as_secs()
        )
    }
}

/// What became of a cluster's part of a batch.
#[derive(Debug, Default)]
pub struct ClusterReport {
    /// The plan, unless the work failed before there was one.
    pub plan: Option<Plan>,
    /// The conditions as they are now, of the batch's service accounts and of
    /// others that share a place with them.
    pub conditions: BTreeMap<DominoName, Condition>,
    /// Service accounts whose work failed for a passing reason, and why.
    pub failures: BTreeMap<DominoName, String>,
    /// Steps that were done.
    pub steps: usize,
    /// How full the node policies are, when they were looked at.
    pub capacity: Option<PolicyCapacity>,
}

/// What a run knows of a cluster beyond its own batch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beyond {
    /// Roles of associations that are not this deployment's, which the node policy lists too.
    pub(crate) other_roles: BTreeSet<RoleArn>,
    /// Kubernetes service accounts to look at beside those that the ledger knows of.
    pub(crate) places: BTreeSet<KubernetesName>,
    /// Whether the node policies are to be read, whatever the ledger says of them.
    pub(crate) anew: bool,
    /// The sign that the ledger is older than the cluster, where it is seen and not stored yet.
    pub(crate) halted: Option<HaltRecord>,
    /// Whether the batch has all service accounts that want its places, so that those which found
    /// no room among the claims get their turn.
    pub(crate) knows_all: bool,
    /// Associations, by id, that may be made again without a ceiling.
    pub(crate) free: BTreeSet<String>,
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
    /// Whether the record is taken as given instead of read anew: only to look, never to work.
    pub(crate) presumed: bool,
    pub(crate) beyond: &'a Beyond,
    pub(crate) seen_roles: &'a SeenRoles,
}

impl Job<'_> {
    fn access(&self) -> ClusterAccess {
        ClusterAccess {
            cluster: self.cluster.clone(),
            assume_role: self.record.registration.assume_role.clone(),
        }
    }
}

/// Makes the ledger's word about some service accounts true on one cluster.
pub(crate) async fn work<R, W, C>(context: &Context<'_, R, W, C>, job: Job<'_>) -> ClusterReport
where
    R: Reads,
    W: Writes,
    C: Clock,
{
    work_with(context, job, None).await
}

/// The same, perhaps with the lease that was taken when the ledger accepted what is to be done.
pub(crate) async fn work_with<R, W, C>(
    context: &Context<'_, R, W, C>,
    job: Job<'_>,
    lease: Option<Lease>,
) -> ClusterReport
where
    R: Reads,
    W: Writes,
    C: Clock,
{
    let Job { cluster, names, .. } = job;
    let all_failed = |why: String| ClusterReport {
        failures: names.iter().map(|name| (name.clone(), why.clone())).collect(),
        ..ClusterReport::default()
    };
    let Context { reader, writer, clock, run, settings, deadline } = *context;
    if context.is_over() {
        if let Some(lease) = lease {
            give_back(context, &lease, false).await;
        }
        return all_failed(context.over());
    }
    let key = lease_key(cluster);
    let lease = match lease {
        Some(lease) => lease,
        None => {
            match Lease::take(key, cluster, reader, writer, clock, run, settings, deadline).await {
                Ok(lease) => lease,
                Err(error) => return all_failed(chain(&error)),
            }
        }
    };
    match work_leased(context, job, &lease).await {
        Ok(report) => report,
        Err(Broken { why, wrote }) => {
            give_back(context, &lease, wrote).await;
            all_failed(why)
        }
    }
}

/// Gives back the lease of work that broke off, unless something is not written down: that
/// shows to the next run as a lease that expired.
pub(crate) async fn give_back<R: Reads, W: Writes, C>(
    context: &Context<'_, R, W, C>,
    lease: &Lease,
    wrote: bool,
) {
    if !wrote {
        lease.give_back(context.run, context.reader, context.writer).await;
    }
}

/// The plan for some service accounts, made without the lease: to be looked at, not to be carried
/// out. Needs no writer.
pub(crate) async fn preview<R: Reads, W, C: Clock>(
    context: &Context<'_, R, W, C>,
    job: Job<'_>,
) -> Result<Plan, String> {
    Ok(planned::planned(context, job, None).await?.plan)
}

/// Gives the lease back with a transaction.
pub(crate) async fn give_back_with<R: Reads, W: Writes, C>(
    context: &Context<'_, R, W, C>,
    lease: &Lease,
    mut writes: WriteSet,
) -> Result<(), WriteError> {
    lease.release(context.run, &mut writes);
    writes.commit(context.reader, context.writer).await
}

/// Why work broke off for a passing reason.
pub(crate) struct Broken {
    pub(crate) why: String,
    /// Whether something may have been changed that the ledger does not know.
    pub(crate) wrote: bool,
}

impl From<String> for Broken {
    fn from(why: String) -> Self {
        Self { why, wrote: false }
    }
}

/// The lease is given back only with success.
async fn work_leased<R, W, C>(
    context: &Context<'_, R, W, C>,
    job: Job<'_>,
    lease: &Lease,
) -> Result<ClusterReport, Broken>
where
    R: Reads,
    W: Writes,
    C: Clock,
{
    let Context { reader, writer, clock, run, settings, .. } = *context;
    let (cluster, access) = (job.cluster, job.access());
    let Planned { mut plan, mut loaded, found, known } =
        planned::planned(context, job, lease.abandoned_until).await?;
    let understood = found.as_ref().is_some_and(|found| found.understood);
    // A first observation is complete, and is not remembered before what it found is listed.
    let listed = !plan.policy_steps.is_empty() || plan.places.iter().any(|p| p.bound.is_some());
    let mut record = found.filter(|_| known || listed).map(|found| found.record);
    if let Some(record) = &mut record {
        record.assign(&plan.policy_steps);
    }
    intents::record(context, job.cluster, lease, &mut loaded, &mut plan, record.as_ref()).await?;
    tracing::info!(cluster = cluster.name(), steps = plan.steps(), plan = %plan, "planned");

    // Half the lease may be gone by now, and creating many associations takes time.
    if plan.steps() > 1 && !lease.covers(clock.now(), settings.lease / 2 + settings.longest_call) {
        lease.renew(reader, writer, clock, run, settings).await.map_err(|error| chain(&error))?;
    }
    let applied = if plan.is_empty() {
        Applied::default()
    } else {
        let access = &access;
        let target = Target { context, access, lease };
        Box::pin(apply::apply(&plan, &target, record.as_mut())).await
    };
    let capacity = understood.then(|| plan.capacity.clone());
    let settled = settle::settle(context, cluster, lease, loaded, &plan, &applied, record).await;
    let mut report = settled.map_err(|why| Broken { why, wrote: !plan.is_empty() })?;
    report.capacity = capacity;
    report.steps = applied.steps;
    report.plan = Some(plan);
    Ok(report)
}
