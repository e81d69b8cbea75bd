//! Brings whole clusters to the desired state: what was left unfinished, what
//! was changed by hand, and what nobody asks for any more.
//!
//! Roles that no binding uses leave the node policies last, once all that was found is done.
//!
//! Looking needs no lease and writes nothing. Whoever needs something is then
//! worked on by the same way as an event, under the lease and from a fresh
//! view, so that a change between the look and the work cannot mislead it.

mod drift;
mod note;
mod overview;
mod requests;
mod restored;
mod retire;
mod trim;

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::plan::Plan;
use pod_identity_core::{ClusterArn, DominoName, PolicyArn, RoleArn, ServiceAccountRef};
use pod_identity_events::PolicyCapacity;

use crate::cluster::{self, CHUNK, ClusterReport};
use crate::context::{Cloud, Context, Writers};
use crate::error::{Error, chain};
use crate::ledger::{Condition, ConditionState, ReconciledRecord};
use crate::ports::{Bus, ErrorKind, PortError};
use crate::publish::publish;
use drift::Drift;
use overview::{Found, Look, Overview};

pub use note::note_reconciled;
pub use requests::{request_again, request_all, request_clusters, request_rest};
pub use restored::{Correction, Recreation, Resumption, plan_resumption, resume};
pub use retire::Retirement;

/// What to reconcile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The cluster.
    pub cluster: ClusterArn,
    /// Only these Kubernetes service accounts; all when there are none.
    pub places: BTreeSet<ServiceAccountRef>,
    /// Goes on behind this one, where an earlier invocation stopped.
    pub after: Option<ServiceAccountRef>,
    /// Who changed something by hand, when it is known; for the events.
    pub actor: Option<String>,
}

impl Scope {
    /// A whole cluster, from the beginning.
    #[must_use]
    pub fn of(cluster: ClusterArn) -> Self {
        Self { cluster, places: BTreeSet::new(), after: None, actor: None }
    }

    /// Whether the whole cluster is looked at, from the beginning.
    pub(crate) fn is_whole(&self) -> bool {
        self.places.is_empty() && self.after.is_none()
    }
}

/// An association with our tag that the ledger does not know: kept, and reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Where it is.
    pub place: ServiceAccountRef,
    /// Its id.
    pub id: String,
    /// The Domino service account that its tag names.
    pub tag: Option<String>,
}

/// The outcome of a reconciliation.
#[derive(Debug, Default)]
pub struct Reconciled {
    /// Why the cluster was left alone: it is not registered, gone, or cannot be reached.
    pub skipped: Option<String>,
    /// Why nothing is made again or corrected there: the ledger is older than the cluster.
    pub halted: Option<String>,
    /// Kubernetes service accounts that were looked at.
    pub places: usize,
    /// Service accounts that something had to be done for.
    pub needed: BTreeSet<DominoName>,
    /// Their conditions now.
    pub conditions: BTreeMap<DominoName, Condition>,
    /// Those for whom it failed for a passing reason, and why.
    pub failures: BTreeMap<DominoName, Error>,
    /// What was corrected.
    pub corrected: Vec<String>,
    /// Associations with our tag that the ledger does not know.
    pub orphans: Vec<Orphan>,
    /// The plans that were made: what was done, or would be.
    pub plans: Vec<Plan>,
    /// All bindings of the cluster by the state of their condition now, those too that were not
    /// looked at.
    pub states: BTreeMap<ConditionState, usize>,
    /// Bindings that the cluster is to have; none where no run counted.
    pub bindings: Option<usize>,
    /// Service accounts that the ledger knows, unbound ones included; none where nothing was counted.
    pub names: Option<usize>,
    /// What was noted of the cluster before.
    pub noted: Option<ReconciledRecord>,
    /// How full the node policies are now, if they were looked at and are understood.
    pub capacity: Option<PolicyCapacity>,
    /// Steps that were done.
    pub steps: usize,
    /// Where to go on: the time was over.
    pub left: Option<ServiceAccountRef>,
    /// Roles that were taken out of the node policies.
    pub trimmed: BTreeSet<RoleArn>,
    /// Node policies that were deleted.
    pub deleted_policies: BTreeSet<PolicyArn>,
    /// Why roles that no binding uses any more are, or may be, left in the node policies.
    pub trim_skipped: Option<String>,
    /// How far the retirement of the cluster is, if it was asked for and all of it was looked at.
    pub retirement: Option<Retirement>,
}

/// Looks at a cluster and plans; writes nothing, and is given nothing to write with.
///
/// # Errors
/// When a call fails for a passing reason.
pub async fn preview(cloud: Cloud<'_>, scope: &Scope) -> Result<Reconciled, Error> {
    let settings = cloud.settings;
    let mut done = Reconciled::default();
    let Some(mut overview) = look(&cloud, scope, &mut done).await?.open() else {
        return Ok(done);
    };
    done.capacity = overview.capacity(settings);
    let recreations = restored::presume(&cloud, scope, &mut overview, &mut done).await?;
    if scope.is_whole() && retire::presume(&cloud, &mut overview, &mut done).await? {
        retire::preview(&cloud, &overview, &mut done).await?;
        return Ok(done);
    }
    let mut bounded = settings.clone();
    bounded.plan.max_recreations = recreations;
    let bounded = cloud.with_settings(&bounded);
    let mut used = BTreeSet::new();
    for chunk in overview.chunks(scope, CHUNK) {
        if done.left.is_some() && cloud.deadline_reached() {
            break;
        }
        if let Some(found) = needs(&cloud, &overview, &chunk, &mut done, &mut used).await? {
            let (names, extra) = (found.names(), overview.extra(&found));
            let job = overview.job(&names, &extra);
            done.plans.push(cluster::preview(&bounded, job).await?);
        }
    }
    done.finish(&overview);
    trim::preview(&cloud, scope, &overview, used, &mut done).await?;
    Ok(done)
}

/// Looks at a cluster and makes it as the ledger says.
///
/// # Errors
/// When the look at it fails for a passing reason; what fails for one service account only is
/// in [`Reconciled::failures`].
pub async fn reconcile(
    cloud: Cloud<'_>,
    writers: Writers<'_>,
    scope: &Scope,
) -> Result<Reconciled, Error> {
    let settings = cloud.settings;
    let mut done = Reconciled::default();
    let mut overview = match look(&cloud, scope, &mut done).await? {
        Look::Open(overview) => overview,
        Look::LeftAlone(_) | Look::Drained { is_gone: false } => return Ok(done),
        Look::Drained { is_gone: true } => {
            let deregistered = retire::finish(&cloud, writers.ledger, &scope.cluster, true).await?;
            done.retirement = deregistered.or(done.retirement);
            return Ok(done);
        }
    };
    if scope.is_whole() && retire::begin(&cloud, writers.ledger, &overview, &mut done).await? {
        // What the retirement gives up shows in what the ledger says now.
        let Some(again) = look(&cloud, scope, &mut done).await?.open() else { return Ok(done) };
        overview = again;
    }
    done.capacity = overview.capacity(settings);
    let mut recreations_left =
        restored::judge(&cloud, writers.ledger, scope, &mut overview, &mut done).await?;
    if scope.is_whole() && overview.record.is_retiring() {
        retire::retire(&cloud, writers, &overview, &mut done).await?;
        return Ok(done);
    }
    let mut used = BTreeSet::new();
    for chunk in overview.chunks(scope, CHUNK) {
        if done.left.is_some() && cloud.deadline_reached() {
            break;
        }
        if let Some(found) = needs(&cloud, &overview, &chunk, &mut done, &mut used).await? {
            let (names, extra) = (found.names(), overview.extra(&found));
            let job = overview.job(&names, &extra);
            // The run's ceiling, not one for each of its parts.
            let mut settings = settings.clone();
            settings.plan.max_recreations = recreations_left;
            let bounded = cloud.with_settings(&settings);
            let report = cluster::work(bounded, writers, job).await;
            let made = report.plan.as_ref().map(|plan| overview.recreated(plan));
            recreations_left = recreations_left.saturating_sub(made.unwrap_or_default());
            let drifts = overview.corrected(&found, &report);
            tell(&cloud, writers.bus, scope, &drifts, &mut done).await;
            done.merge_in(report);
            // Noted with the whole where nothing more is looked at.
            if done.left.as_ref() != overview.last() && !cloud.deadline_reached() {
                note::so_far(*cloud, writers.ledger, scope, &overview, &mut done).await;
            }
        }
    }
    done.finish(&overview);
    trim::trim(&cloud, writers, scope, &overview, used, &mut done).await;
    Ok(done)
}

/// Reads the ledger and lists the associations, and notes why nothing more is looked at.
async fn look(cloud: &Cloud<'_>, scope: &Scope, done: &mut Reconciled) -> Result<Look, Error> {
    let look = Overview::read(cloud, scope).await?;
    if let Look::Open(overview) = &look {
        done.noted = overview.noted();
    }
    done.skipped = match &look {
        // It is gone as it was to be.
        Look::Open(overview) if overview.record.retired.is_some() => None,
        Look::Open(overview) => overview.gone.clone(),
        Look::LeftAlone(why) => Some(why.clone()),
        Look::Drained { .. } => {
            done.retirement = Some(Retirement::Drained);
            None
        }
    };
    if let Some(why) = &done.skipped {
        tracing::warn!(cluster = scope.cluster.name(), "skipped: {why}");
    }
    Ok(look)
}

impl Look {
    fn open(self) -> Option<Box<Overview>> {
        match self {
            Self::Open(overview) => Some(overview),
            Self::LeftAlone(_) | Self::Drained { .. } => None,
        }
    }
}

/// Looks at some places and notes what is there; none when nobody needs anything.
async fn needs(
    cloud: &Cloud<'_>,
    overview: &Overview,
    chunk: &[ServiceAccountRef],
    done: &mut Reconciled,
    used: &mut BTreeSet<RoleArn>,
) -> Result<Option<Found>, Error> {
    let found = overview.compare(cloud, chunk).await?;
    used.extend(found.used.iter().cloned());
    done.note(&overview.access.cluster, &found, chunk);
    Ok(Some(found).filter(|found| !found.needed.is_empty()))
}

/// Why a cluster that answers so is skipped; none when it may answer later.
fn skipped(error: &PortError, cluster: &ClusterArn) -> Option<String> {
    let remediation = match error.kind {
        ErrorKind::NotFound => "check its ARN, or retire it if it is gone",
        ErrorKind::Denied => {
            "allow the function's role, or the role to assume, to list its associations"
        }
        ErrorKind::Unreachable => "check that the function can reach EKS in that region",
        _ => return None,
    };
    Some(format!("cluster {cluster}: {}; {remediation}", chain(error)))
}

/// Puts on the bus what was corrected. An invocation that dies before it can has corrected
/// unseen; its log and the outcome events of the associations still tell.
async fn tell(
    context: &Context<'_>,
    bus: &dyn Bus,
    scope: &Scope,
    drifts: &[Drift],
    done: &mut Reconciled,
) {
    let events: Vec<_> = drifts.iter().map(|drift| drift.event(context, scope)).collect();
    let sent = publish(bus, context.clock, &events).await;
    for (drift, sent) in drifts.iter().zip(sent) {
        tracing::info!(cluster = scope.cluster.name(), "corrected {drift}");
        if let Err(why) = sent {
            tracing::warn!(
                cluster = scope.cluster.name(),
                "event Drift Corrected was not sent: {why}"
            );
        }
        done.corrected.push(drift.to_string());
    }
}

impl Reconciled {
    fn note(&mut self, cluster: &ClusterArn, found: &Found, chunk: &[ServiceAccountRef]) {
        self.places += chunk.len();
        self.left = chunk.last().cloned();
        self.needed.extend(found.names());
        self.orphans.extend(found.orphans.iter().cloned());
        for orphan in &found.orphans {
            tracing::warn!(cluster = cluster.name(), place = %orphan.place, association = orphan.id, tag = orphan.tag, "orphan: our tag, and the ledger does not know it; it is kept");
        }
    }

    fn merge_in(&mut self, report: ClusterReport) {
        self.conditions.extend(report.conditions);
        self.failures.extend(report.failures);
        self.steps += report.steps;
        // A part that only takes something away looks at no policy.
        self.capacity = report.capacity.or(self.capacity.take());
        self.plans.extend(report.plan);
    }

    /// Nothing is left once the last place was looked at.
    fn finish(&mut self, overview: &Overview) {
        self.count(overview);
        if self.left.as_ref() == overview.last() {
            self.left = None;
        }
    }
}
