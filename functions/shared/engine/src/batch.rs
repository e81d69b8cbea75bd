//! A batch of incoming events, from their text to the outcome of each.

mod accept;
mod announce;
mod record;
mod reject;
mod report;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use pod_identity_core::{Change, ClusterArn, Command, DominoName, Json};
use pod_identity_events::Envelope;
use serde::Deserialize;
use serde_json::Value;

pub use record::{Recorded, record};
pub use report::{BatchReport, Outcome, RecordReport};

use crate::cluster::{self, ClusterReport, ExtraScope, Job};
use crate::context::{Cloud, Context, Writers};
use crate::error::Error;
use crate::lease::Lease;
use crate::ledger::{ClusterRecord, Decision, View};
use crate::observe::SeenRoles;
use crate::ports::{Bus, LedgerWriter};
use crate::settings::{Settings, later};
use reject::Rejection;

/// Clusters that one batch works on side by side.
const CLUSTERS_AT_ONCE: usize = 4;

/// Changes of one service account within an hour beyond which its sender is looked for; the template's
/// alarm goes off at the same.
const BUSY: usize = 120;

/// Pauses before it is asked again what IAM may not show yet: a role that was made, or a trust policy that was
/// changed, seconds ago. What it still does not show then comes back once.
const SETTLES: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(15)];

/// One incoming event as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How the sender of the batch calls it, such as an SQS message id.
    pub id: String,
    /// The EventBridge envelope as JSON text, or whatever else was sent.
    pub text: String,
    /// How often it was delivered, this time included; 0 where nothing delivers it again.
    pub deliveries: u32,
}

/// An event that breaks no rule, on its way.
struct AcceptedEvent {
    at: usize,
    command: Command,
    original: Value,
}

/// Processes a batch: parse, validate, ledger, and then one plan for each
/// cluster. One bad or failing record fails alone.
///
/// Every record gets a report. One whose outcome is [`Outcome::Failed`] should
/// be delivered again; all others are in the ledger or on the bus.
///
pub async fn process(cloud: Cloud<'_>, writers: Writers<'_>, records: &[Record]) -> BatchReport {
    let Taken { accepted, decided, lease, view, mut reports } =
        take(&cloud, writers.ledger, writers.bus, records, true).await;
    let mut jobs = accept::jobs(&accepted, &decided, &view);
    let first = accepted.iter().filter(|event| records[event.at].deliveries == 1);
    let first = first.filter_map(|event| service_account(&event.command)).cloned();
    let extra = ExtraScope { patient: first.collect(), ..ExtraScope::default() };
    let mut clusters = work(&cloud, writers, &jobs, &view, &extra, lease).await;
    for pause in SETTLES {
        jobs = unsettled(jobs, &clusters);
        let next = later(later(cloud.clock.now(), pause), cloud.settings.longest_call);
        if jobs.is_empty() || next >= cloud.deadline {
            break;
        }
        cloud.clock.sleep(pause).await;
        for (cluster, report) in work(&cloud, writers, &jobs, &view, &extra, None).await {
            clusters.entry(cluster).or_default().merge(report);
        }
    }
    let published = announce::announce(&cloud, writers.bus, &accepted, &decided, &view).await;

    let busiest = report::busiest(&accepted, &decided, &view);
    if let Some((name, changes)) = busiest.as_ref().filter(|(_, changes)| *changes > BUSY) {
        tracing::warn!(
            service_account = name.as_str(),
            "changed {changes} times within an hour; find out who sends so many events about it"
        );
    }
    for ((event, decision), published) in accepted.iter().zip(decided).zip(published) {
        if reports[event.at].is_some() {
            continue;
        }
        let record = &records[event.at];
        let report = report::of(record, &event.command, decision, published, &clusters, &view);
        reports[event.at] = Some(report);
    }
    BatchReport { records: reports.into_iter().flatten().collect(), clusters, busiest }
}

/// Works on clusters side by side: one whose lease another run holds keeps no other waiting.
async fn work(
    cloud: &Cloud<'_>,
    writers: Writers<'_>,
    jobs: &Jobs,
    hint: &View,
    extra: &ExtraScope,
    lease: Option<(ClusterArn, Lease)>,
) -> BTreeMap<ClusterArn, ClusterReport> {
    let (leased, lease) = lease.unzip();
    let lease = RefCell::new(lease);
    stream::iter(jobs)
        .map(async |(cluster, (record, names))| {
            let seen_roles = &SeenRoles::default();
            let job = Job { cluster, record, names, hint, presumed: false, extra, seen_roles };
            let lease = lease.take().filter(|_| leased.as_ref() == Some(cluster));
            let report = cluster::work_with(*cloud, writers, job, lease).await;
            (cluster.clone(), report.unwrap_or_else(|why| ClusterReport::failed(names, &why)))
        })
        .buffer_unordered(CLUSTERS_AT_ONCE)
        .collect()
        .await
}

/// The part of the work that waits for IAM.
fn unsettled(jobs: Jobs, clusters: &BTreeMap<ClusterArn, ClusterReport>) -> Jobs {
    let of = |(cluster, (record, _)): (ClusterArn, (ClusterRecord, BTreeSet<DominoName>))| {
        let names = clusters.get(&cluster).map(|report| report.unsettled.clone())?;
        (!names.is_empty()).then_some((cluster, (record, names)))
    };
    jobs.into_iter().filter_map(of).collect()
}

/// A batch once the ledger has it.
struct Taken {
    accepted: Vec<AcceptedEvent>,
    /// One for each accepted event.
    decided: Vec<Result<Decision, Error>>,
    /// The lease of the only cluster on which something is left to do.
    lease: Option<(ClusterArn, Lease)>,
    view: View,
    /// One for each record: those that were refused have theirs already.
    reports: Vec<Option<RecordReport>>,
}

/// Parses, validates, and takes into the ledger what breaks no rule, perhaps with the lease of the cluster that
/// is to be worked on.
async fn take(
    context: &Context<'_>,
    writer: &dyn LedgerWriter,
    bus: &dyn Bus,
    records: &[Record],
    leases: bool,
) -> Taken {
    let mut reports: Vec<Option<RecordReport>> = records.iter().map(|_| None).collect();
    let mut accepted = Vec::new();
    let mut rejections = Vec::new();
    for (at, record) in records.iter().enumerate() {
        let parsed = Json::parse(&record.text);
        match read(&parsed, context.settings, context.clock.now()) {
            Ok((command, original)) => accepted.push(AcceptedEvent { at, command, original }),
            Err(reasons) => {
                rejections.push(Rejection::new(at, &record.text, parsed.ok(), reasons));
            }
        }
    }
    // Service accounts and clusters as they came, so that no date decides between two of them; the
    // events of each by their versions, so that an assignment and its removal end as they were meant.
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    for event in &accepted {
        first.entry(accept::subject(event)).or_insert(event.at);
    }
    accepted.sort_by_cached_key(|event| {
        (first[&accept::subject(event)], event.command.version.clone(), event.at)
    });

    let mut view = View::default();
    let (decided, lease) = accept::accept_all(context, writer, &accepted, leases, &mut view).await;
    for (event, decision) in accepted.iter().zip(&decided) {
        if let Ok(Decision::Refused(reason)) = decision {
            let text = &records[event.at].text;
            let original = Some(event.original.clone().into());
            rejections.push(Rejection::new(event.at, text, original, vec![reason.clone()]));
        }
    }
    for (at, report) in reject::reject(context, writer, bus, records, rejections).await {
        reports[at] = Some(report);
    }
    Taken { accepted, decided, lease, view, reports }
}

/// Clusters to work on, how to reach them, and for whom.
type Jobs = BTreeMap<ClusterArn, (ClusterRecord, BTreeSet<DominoName>)>;

/// Reads a record as it was parsed: the command, and the event that it came from.
fn read(
    parsed: &Result<Json, serde_json::Error>,
    settings: &Settings,
    now: Timestamp,
) -> Result<(Command, Value), Vec<String>> {
    let Json { value: original, duplicate, .. } =
        parsed.as_ref().map_err(|error| vec![format!("the record is not JSON: {error}")])?;
    if let Some(key) = duplicate {
        return Err(vec![format!("{key}; the event must have it once")]);
    }
    if !original.is_object() {
        return Err(vec![
            "the record is not an EventBridge event: it is no JSON object".to_owned(),
        ]);
    }
    let envelope = Envelope::deserialize(original)
        .map_err(|error| vec![format!("the record is not an EventBridge event: {error}")])?;
    let command = settings.rules.validate(&envelope, now)?;
    Ok((command, original.clone()))
}

/// The service account that a command is about, or none for a cluster's.
fn service_account(command: &Command) -> Option<&DominoName> {
    match &command.change {
        Change::Bind(binding) => Some(&binding.service_account),
        Change::Unbind { service_account, .. } => Some(service_account),
        Change::Register(_) | Change::Retire { .. } => None,
    }
}
