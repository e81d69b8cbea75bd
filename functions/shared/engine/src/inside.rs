//! Everything inside a cluster: Kubernetes service accounts, domsed's mapping, and the sweep of
//! stale pods. It reads what the ledger and EKS say, and never changes an association.
//!
//! One run at a time on a cluster, under a lease of its own: no event waits for Kubernetes.

mod checks;
mod domino;
mod known;
mod memory;
mod requests;
mod sweep;

use std::collections::BTreeMap;
use std::ops::Deref;

use pod_identity_core::sweep::Injected;
use pod_identity_core::{ClusterArn, DominoName, ServiceAccountRef};

use crate::context::{Context, Workloads, WorkloadsWriters};
use crate::error::{Error, chain};
use crate::lease::Lease;
use crate::ledger::{InsideBinding, Missing, View, inside_lease_key, registry, registry_key};
use crate::ports::{Bus, ClusterAccess, ErrorKind, KubernetesWriter, LedgerWriter, PortError};
use checks::{ApiAccess, EksFacts};
use known::Remembered;

pub use domino::DominoReport;
pub use requests::{is_covered, request_sweep, request_sweep_rest, request_sweeps};
pub use sweep::SweepReport;

/// What to look after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InsideScope {
    /// The cluster.
    pub cluster: ClusterArn,
    /// Only pods of the Kubernetes service account of this one; all when there is none.
    pub service_account: Option<DominoName>,
    /// Pods that earlier invocations of the same request evicted: they count for the ceilings.
    pub evicted: usize,
}

impl InsideScope {
    /// A whole cluster, from the beginning.
    #[must_use]
    pub fn of(cluster: ClusterArn) -> Self {
        Self { cluster, service_account: None, evicted: 0 }
    }
}

/// What a run on one cluster works with.
#[derive(Clone, Copy)]
pub(crate) struct Inside<'a> {
    pub(crate) workloads: Workloads<'a>,
    pub(crate) access: &'a ClusterAccess,
}

impl<'a> Deref for Inside<'a> {
    type Target = Workloads<'a>;

    fn deref(&self) -> &Self::Target {
        &self.workloads
    }
}

/// What a run changes things with, under its lease; none in plan mode.
pub(crate) struct LeasedWriters<'a> {
    pub(crate) ledger: &'a dyn LedgerWriter,
    pub(crate) bus: &'a dyn Bus,
    pub(crate) kubernetes: &'a dyn KubernetesWriter,
    pub(crate) lease: &'a Lease,
}

/// Why a part of the work could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InsideError {
    /// Nobody can look inside the cluster: no way to it.
    Unreachable(String),
    /// Nobody can look inside the cluster: it does not know the caller.
    Closed(String),
    /// It may work later.
    Passing(String),
}

impl InsideError {
    /// What a failed call of Kubernetes means for all that is to be done there.
    pub(crate) fn of(error: &PortError, cluster: &ClusterArn) -> Self {
        let why =
            |remediation| format!("cluster {}: {}; {remediation}", cluster.name(), chain(error));
        match error.kind {
            ErrorKind::Unreachable => Self::Unreachable(why(
                "give the function a network that leads to the cluster's endpoint (docs/kubernetes.md)",
            )),
            ErrorKind::Denied => Self::Closed(why(
                "make an access entry for the function's role and bind the Kubernetes role of the manifest (docs/kubernetes.md)",
            )),
            _ => Self::Passing(chain(error)),
        }
    }
}

/// The outcome of a run.
#[derive(Debug, Default)]
pub struct InsideReport {
    /// Why the inside of the cluster was left alone.
    pub skipped: Option<String>,
    /// What the cluster lacks.
    pub missing: Vec<Missing>,
    /// Kubernetes service accounts and the mapping; none when they were not looked at.
    pub domino: Option<DominoReport>,
    /// Stale pods; none when they were not looked at.
    pub sweep: Option<SweepReport>,
    /// What each binding is like inside the cluster now.
    pub bindings: BTreeMap<DominoName, InsideBinding>,
    /// What failed for a passing reason.
    pub failures: Vec<String>,
}

/// Looks inside a cluster and says what would be done; writes nothing, and is given nothing to
/// write with.
///
/// # Errors
/// When a call fails for a passing reason.
pub async fn preview_workloads(
    workloads: Workloads<'_>,
    scope: &InsideScope,
) -> Result<InsideReport, Error> {
    let access = match access(scope, &workloads).await? {
        Ok(access) => access,
        Err(why) => return Ok(skipped(scope, &why)),
    };
    let context = Inside { workloads, access: &access };
    let known = Remembered::read(workloads.ledger, &scope.cluster).await?;
    let (mut report, facts) = begin(&context, &known).await;
    let mut api_access = ApiAccess::Open;
    match domino::plan(&context, &known).await {
        Ok(plan) => report.domino = Some(plan.shown(&mut report.bindings)),
        Err(error) => api_access = report.fail(error),
    }
    if report.skipped.is_none() {
        match sweep::plan(&context, &known, scope, &mut report).await {
            Ok(plan) => report.sweep = plan.map(|plan| plan.shown()),
            Err(error) => api_access = report.fail(error),
        }
    }
    report.check(&facts, api_access);
    Ok(report)
}

/// Looks inside a cluster and does what is to be done there.
///
/// # Errors
/// When the ledger cannot be read or written, or another run is at work on the cluster.
pub async fn reconcile_workloads(
    workloads: Workloads<'_>,
    writers: WorkloadsWriters<'_>,
    scope: &InsideScope,
) -> Result<InsideReport, Error> {
    let access = match access(scope, &workloads).await? {
        Ok(access) => access,
        Err(why) => return Ok(skipped(scope, &why)),
    };
    let context = Inside { workloads, access: &access };
    if context.deadline_reached() {
        return Err("the invocation's time is nearly over, so nothing was begun".into());
    }
    let cluster = &scope.cluster;
    let lease = Lease::take(inside_lease_key(cluster), cluster, &workloads, writers.ledger).await?;
    let known = match Remembered::read(workloads.ledger, cluster).await {
        Ok(known) => known,
        Err(error) => {
            lease.release_unused(&workloads, writers.ledger).await;
            return Err(error.into());
        }
    };
    let WorkloadsWriters { ledger, bus, kubernetes } = writers;
    let writers = LeasedWriters { ledger, bus, kubernetes, lease: &lease };
    let report = reconcile_parts(&context, &writers, scope, &known).await;
    for why in report.failed() {
        tracing::error!(cluster = cluster.name(), "failed inside the cluster: {why}");
    }
    memory::write(&context, &writers, &known, &report).await?;
    Ok(report)
}

fn skipped(scope: &InsideScope, why: &Error) -> InsideReport {
    tracing::warn!(cluster = scope.cluster.name(), "skipped: {why}");
    InsideReport { skipped: Some(why.to_string()), ..InsideReport::default() }
}

/// How to reach the cluster, or why it is left alone.
async fn access(
    scope: &InsideScope,
    context: &Context<'_>,
) -> Result<Result<ClusterAccess, Error>, Error> {
    let Context { ledger, settings, .. } = *context;
    let cluster = &scope.cluster;
    let mut view = View::default();
    view.read(ledger, &[registry_key()]).await?;
    let registry = registry(&view, &settings.plan.deployment)?;
    let record = match registry.admitted(cluster, &settings.rules) {
        Ok(record) => record,
        Err(why) => return Ok(Err(why)),
    };
    Ok(Ok(record.access()))
}

/// What the ledger remembers, and what EKS tells of the cluster.
async fn begin(context: &Inside<'_>, known: &Remembered) -> (InsideReport, EksFacts) {
    let report = InsideReport { bindings: known.inside.clone(), ..InsideReport::default() };
    (report, checks::ask(context).await)
}

/// What EKS tells of the cluster, then the Domino side, then the pods, and what the cluster lacks
/// by all of that. What fails in one part does not
/// keep the others from being done, except that a cluster into which nobody can look is left.
async fn reconcile_parts(
    context: &Inside<'_>,
    writers: &LeasedWriters<'_>,
    scope: &InsideScope,
    known: &Remembered,
) -> InsideReport {
    let (mut report, facts) = begin(context, known).await;
    let mut api_access = ApiAccess::Open;
    match domino::plan(context, known).await {
        Ok(plan) => {
            let done = domino::apply(context, writers, plan, &mut report.bindings).await;
            report.domino = Some(done);
        }
        Err(error) => api_access = report.fail(error),
    }
    if report.skipped.is_none() {
        match sweep::plan(context, known, scope, &mut report).await {
            Ok(Some(plan)) => {
                let done = sweep::apply(context, writers, known, plan, &mut report.bindings).await;
                report.sweep = Some(done);
            }
            Ok(None) => {}
            Err(error) => api_access = report.fail(error),
        }
    }
    report.check(&facts, api_access);
    report
}

impl InsideReport {
    /// Notes an error, and answers whether there was a way in all the same.
    fn fail(&mut self, error: InsideError) -> ApiAccess {
        let (api_access, why) = match error {
            InsideError::Unreachable(why) => (ApiAccess::Unreachable, why),
            InsideError::Closed(why) => (ApiAccess::Closed, why),
            InsideError::Passing(why) => {
                self.failures.push(why);
                return ApiAccess::Open;
            }
        };
        self.skipped = Some(why);
        api_access
    }

    /// Notes what the cluster lacks, by what EKS told and by whether there was a way in.
    fn check(&mut self, facts: &EksFacts, api_access: ApiAccess) {
        self.missing = facts.missing(api_access);
        self.failures.extend(facts.failures.iter().cloned());
    }

    /// What failed: whatever is not as it should be inside the cluster for that.
    pub fn failed(&self) -> impl Iterator<Item = &str> {
        let of_domino = self.domino.iter().flat_map(|domino| &domino.failures);
        self.failures.iter().chain(of_domino).map(String::as_str)
    }

    /// Mutations by the variables that they put into containers.
    fn injected(&self) -> Injected {
        self.domino.as_ref().map(|done| done.injected.clone()).unwrap_or_default()
    }

    /// Roles that IRSA annotations name, by service account.
    fn annotated(&self) -> BTreeMap<ServiceAccountRef, String> {
        self.domino.as_ref().map(|done| done.annotated.clone()).unwrap_or_default()
    }
}
