//! Changes that an administrator makes: events of the contract, with versions of an
//! administrator's, taken into the ledger or only thought through.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::plan::AssociationStep;
use pod_identity_core::{Change, ClusterArn, DominoName, ServiceAccountRef};
use pod_identity_engine::ledger::{BindingRecord, Condition, View, binding_key};
use pod_identity_engine::{
    DryRunLedger, Error, Outcome, Reconciled, Record, RecordReport, Recorded, Retirement, Scope,
    preview, record, request_clusters,
};
use pod_identity_events::{Envelope, SCHEMA_VERSION, source};
use serde_json::{Map, Value, json};

use crate::context::{AdminContext, AdminWriter};
use crate::request::Request;

/// One change, as the event that would make it.
#[derive(Debug, Clone)]
pub(crate) struct ChangeRequest {
    pub(crate) about: ChangeTarget,
    pub(crate) detail_type: &'static str,
    /// The detail, without version and remarks.
    pub(crate) detail: Map<String, Value>,
}

/// What a change is about, as it was named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ChangeTarget {
    ServiceAccount(String),
    Cluster(String),
}

/// The outcome of changes, in their order.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// One a change: what the ledger says, or the rules that it breaks.
    pub(crate) results: Vec<Result<RecordReport, Vec<String>>>,
    /// Clusters on which reconcile has something to do for them.
    pub(crate) clusters: BTreeSet<ClusterArn>,
    /// What reconcile would do, by cluster; only where nothing was done.
    pub(crate) previews: BTreeMap<ClusterArn, Result<Reconciled, Error>>,
    /// Clusters whose reconciliation could not be asked for.
    pub(crate) unasked: BTreeMap<ClusterArn, Error>,
}

/// Why a change that breaks no rule was not made; none when the ledger has it.
pub(crate) fn undone(report: &RecordReport) -> Option<String> {
    let lines = report.lines.join("; ");
    match report.outcome {
        Outcome::Failed => Some(format!("it failed, ask again: {lines}")),
        Outcome::Superseded | Outcome::AlreadySuperseded => Some(format!(
            "it was not done, as another change came in between: {lines}; look at what stands (action history), and ask again if it is still meant"
        )),
        Outcome::Rejected => Some(lines),
        Outcome::Applied
        | Outcome::Blocked
        | Outcome::Waiting
        | Outcome::Repeated
        | Outcome::Registered
        | Outcome::RetirementRequested => None,
    }
}

impl Changed {
    /// Who was asked to go on, in words.
    pub(crate) fn goes_on(&self) -> String {
        let asked: Vec<&str> = self
            .clusters
            .iter()
            .filter(|cluster| !self.unasked.contains_key(*cluster))
            .map(|cluster| cluster.name())
            .collect();
        match (asked.as_slice(), self.clusters.is_empty()) {
            ([], true) => "no cluster has anything to do for it yet".to_owned(),
            ([], false) => "reconcile could not be asked to go on, see below".to_owned(),
            (clusters, _) => format!("reconcile was asked to go on: {}", clusters.join(", ")),
        }
    }

    /// What would be done, or who goes on, in words.
    pub(crate) fn words(&self) -> String {
        let mut text = String::new();
        for (cluster, preview) in &self.previews {
            match preview {
                Ok(done) => text += &preview_words(cluster, done),
                Err(why) => text += &format!("cluster {}: {why}\n", cluster.name()),
            }
        }
        for (cluster, why) in &self.unasked {
            text += &format!(
                "reconciliation of cluster {} could not be asked for: {why}; the next scheduled one goes on\n",
                cluster.name()
            );
        }
        text
    }

    /// The same as data.
    pub(crate) fn data(&self) -> Value {
        let result = |result: &Result<RecordReport, Vec<String>>| match result {
            Ok(report) => json!(report),
            Err(reasons) => json!({ "outcome": "refused", "lines": reasons }),
        };
        let plans: BTreeMap<&str, Value> = self
            .previews
            .iter()
            .map(|(cluster, preview)| match preview {
                Ok(done) => (cluster.as_str(), plan_data(done)),
                Err(why) => (cluster.as_str(), json!({ "failed": why })),
            })
            .collect();
        json!({
            "results": self.results.iter().map(result).collect::<Vec<_>>(),
            "clusters": self.clusters,
            "plans": plans,
            "unasked": self.unasked,
        })
    }
}

/// What reconcile would do on a cluster, in words.
pub(crate) fn preview_words(cluster: &ClusterArn, done: &Reconciled) -> String {
    if let Some(why) = &done.skipped {
        return format!("cluster {} is left alone: {why}\n", cluster.name());
    }
    let mut text: String = done.plans.iter().map(ToString::to_string).collect();
    match &done.retirement {
        // Where the time was over, that is told, below.
        Some(Retirement::UnderWay { goes_on: true }) if done.left.is_some() => {}
        Some(Retirement::UnderWay { goes_on: true }) => {
            text += &format!(
                "  ! only the {} deletions of the next run are shown; the others follow by themselves\n",
                deletions(done)
            );
        }
        Some(retirement) => text += &format!("  {retirement}\n"),
        None => {}
    }
    if let Some(left) = &done.left {
        text += &format!(
            "  ! the plan of cluster {} breaks off behind {left}, as the invocation's time was over; apply goes on by itself, and to see the rest raise the function's time-out and ask again\n",
            cluster.name()
        );
    }
    if text.is_empty() {
        return format!("cluster {}: nothing to do\n", cluster.name());
    }
    text
}

/// The same as data. `brokenOffBehind` is where the time was over, `moreFollows` whether more is done
/// by itself than is shown.
fn plan_data(done: &Reconciled) -> Value {
    let goes_on = done.retirement == Some(Retirement::UnderWay { goes_on: true });
    json!({
        "plans": done.plans,
        "skipped": done.skipped,
        "retirement": done.retirement.as_ref().map(ToString::to_string),
        "brokenOffBehind": done.left.as_ref().map(ToString::to_string),
        "moreFollows": goes_on || done.left.is_some(),
    })
}

fn deletions(done: &Reconciled) -> usize {
    let steps = done.plans.iter().flat_map(|plan| &plan.places).filter_map(|it| it.step.as_ref());
    steps.filter(|step| matches!(step, AssociationStep::DeleteAssociation { .. })).count()
}

/// Makes changes, or with nothing to write with, only thinks them through. Those that break a
/// rule are told, and keep no other from being made.
pub(crate) async fn make(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
    change_requests: &[ChangeRequest],
) -> Result<Changed, Error> {
    match writer {
        Some(writer) => take(admin, writer, request, change_requests).await,
        None => {
            let dry_run = DryRunLedger::of(admin.ledger);
            let ahead = admin.over(&dry_run);
            let mut changed = take(&ahead, &dry_run, request, change_requests).await?;
            look_ahead(&ahead, change_requests, &mut changed).await?;
            Ok(changed)
        }
    }
}

/// Takes changes into the ledger, be it a rehearsed one, and asks reconcile to go on.
pub(crate) async fn take(
    admin: &AdminContext<'_>,
    writer: &dyn AdminWriter,
    request: &Request,
    change_requests: &[ChangeRequest],
) -> Result<Changed, Error> {
    let mut changed = note(admin, writer, request, change_requests).await?;
    let why = "what service accounts work as was changed";
    changed.unasked = request_clusters(admin.context, writer, &changed.clusters, why).await;
    Ok(changed)
}

/// Takes changes into the ledger, and asks nobody to go on. They are newer than what stands.
pub(crate) async fn note(
    admin: &AdminContext<'_>,
    writer: &dyn AdminWriter,
    request: &Request,
    change_requests: &[ChangeRequest],
) -> Result<Changed, Error> {
    let mut changed = Changed::default();
    let mut records = Vec::new();
    let mut reports: BTreeMap<String, RecordReport> = BTreeMap::new();
    let mut refused: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let standing = standing(admin, change_requests).await?;
    for (at, change_request) in change_requests.iter().enumerate() {
        let envelope =
            envelope(admin, request, change_request, at, standing.get(&change_request.about));
        match admin.settings.rules.validate(&envelope, admin.clock.now()) {
            Ok(_) => {
                let text = serde_json::to_string(&envelope).map_err(|error| error.to_string())?;
                records.push(Record { id: at.to_string(), text, deliveries: 0 });
            }
            Err(reasons) => _ = refused.insert(at, as_asked(reasons)),
        }
    }
    let recorded: Recorded = record(admin.context, writer, writer, &records).await;
    reports.extend(recorded.records.into_iter().map(|report| (report.id.clone(), report)));
    changed.clusters = recorded.clusters;
    for at in 0..change_requests.len() {
        let result = match (refused.remove(&at), reports.remove(&at.to_string())) {
            (Some(reasons), _) => Err(reasons),
            (None, Some(report)) if report.outcome == Outcome::Rejected => Err(report.lines),
            (None, Some(report)) => Ok(report),
            (None, None) => Err(vec!["it was not looked at; ask again".to_owned()]),
        };
        changed.results.push(result);
    }
    Ok(changed)
}

/// What a change would ask for, if it breaks no rule.
pub(crate) fn judge(
    admin: &AdminContext<'_>,
    request: &Request,
    change_request: &ChangeRequest,
) -> Result<Change, Vec<String>> {
    let envelope = envelope(admin, request, change_request, 0, None);
    let judged = admin.settings.rules.validate(&envelope, admin.clock.now());
    judged.map(|command| command.change).map_err(as_asked)
}

/// Rules speak of the event that a payload becomes: its `detail` is what was asked for.
fn as_asked(reasons: Vec<String>) -> Vec<String> {
    let plain = |reason: String| {
        let field = reason.strip_prefix("detail.").unwrap_or(&reason);
        let field = match field.split_once(", schema version ") {
            Some((kind, rest)) if kind.starts_with("detail does not fit ") => {
                rest.split_once(": ").map_or(rest, |(_, why)| why)
            }
            _ => field,
        };
        field.replace(" detail.", " ")
    };
    reasons.into_iter().map(plain).collect()
}

/// What reconcile would do now that the ledger says so.
async fn look_ahead(
    ahead: &AdminContext<'_>,
    change_requests: &[ChangeRequest],
    changed: &mut Changed,
) -> Result<(), Error> {
    let names: Vec<DominoName> = change_requests
        .iter()
        .filter_map(|change_request| match &change_request.about {
            ChangeTarget::ServiceAccount(name) => name.parse().ok(),
            ChangeTarget::Cluster(_) => None,
        })
        .collect();
    for cluster in changed.clusters.clone() {
        let conditions = ahead.conditions(names.iter().map(|name| (name, &cluster))).await?;
        let scope = Scope { places: places(conditions.values()), ..Scope::of(cluster.clone()) };
        if scope.places.is_empty() {
            continue;
        }
        changed.previews.insert(cluster, preview_scope(ahead, &scope).await);
    }
    // All of a cluster that comes or goes.
    for change_request in change_requests {
        let ChangeTarget::Cluster(name) = &change_request.about else { continue };
        let Ok(cluster) = name.parse::<ClusterArn>() else { continue };
        let scope = Scope::of(cluster.clone());
        changed.previews.insert(cluster, preview_scope(ahead, &scope).await);
    }
    Ok(())
}

/// What reconcile would do in a scope.
pub(crate) async fn preview_scope(
    admin: &AdminContext<'_>,
    scope: &Scope,
) -> Result<Reconciled, Error> {
    preview(admin.cloud, scope).await
}

fn places<'a>(conditions: impl Iterator<Item = &'a Condition>) -> BTreeSet<ServiceAccountRef> {
    let of = |condition: &'a Condition| condition.wanted.iter().chain(condition.leaving.keys());
    conditions.flat_map(of).cloned().collect()
}

/// When what stands of each was made.
async fn standing(
    admin: &AdminContext<'_>,
    change_requests: &[ChangeRequest],
) -> Result<BTreeMap<ChangeTarget, Timestamp>, Error> {
    let names: Vec<DominoName> = change_requests
        .iter()
        .filter_map(|change_request| match &change_request.about {
            ChangeTarget::ServiceAccount(name) => name.parse().ok(),
            ChangeTarget::Cluster(_) => None,
        })
        .collect();
    let mut view = View::default();
    let keys: Vec<_> = names.iter().map(binding_key).collect();
    view.read(admin.ledger, &keys).await?;
    let mut standing = BTreeMap::new();
    for name in names {
        let stored = view.get::<BindingRecord>(&binding_key(&name))?;
        if let Some(stored) = stored {
            let at = stored.version.occurred_at();
            standing.insert(ChangeTarget::ServiceAccount(name.to_string()), at);
        }
    }
    if change_requests
        .iter()
        .any(|change_request| matches!(change_request.about, ChangeTarget::Cluster(_)))
    {
        let registry = admin.registry().await?;
        for (cluster, record) in &registry.clusters {
            let retired = record.retired.as_ref().map(|retirement| &retirement.version);
            let latest = retired.into_iter().chain([&record.version]).max();
            if let Some(latest) = latest {
                standing.insert(ChangeTarget::Cluster(cluster.to_string()), latest.occurred_at());
            }
        }
        for (cluster, retirement) in &registry.retirements {
            let at = retirement.version.occurred_at();
            standing.insert(ChangeTarget::Cluster(cluster.to_string()), at);
        }
    }
    Ok(standing)
}

/// An administrator's change is newer than what stands, whatever the clock says.
fn envelope(
    admin: &AdminContext<'_>,
    request: &Request,
    change_request: &ChangeRequest,
    at: usize,
    standing: Option<&Timestamp>,
) -> Envelope {
    let now = admin.clock.now();
    let next = standing.and_then(|at| at.checked_add(SignedDuration::from_millis(1)).ok());
    let occurred_at = next.map_or(now, |next| next.max(now));
    let mut detail = change_request.detail.clone();
    detail.insert("schemaVersion".to_owned(), json!(SCHEMA_VERSION));
    detail.insert("eventId".to_owned(), json!(format!("admin-{}-{at}", admin.run.request_id())));
    detail.insert("occurredAt".to_owned(), json!(format!("{occurred_at:.3}")));
    for (name, value) in [("actor", &request.actor), ("reason", &request.reason)] {
        if let Some(value) = value {
            detail.insert(name.to_owned(), json!(value));
        }
    }
    let source = match change_request.about {
        ChangeTarget::ServiceAccount(_) => source::AUTOMATION,
        ChangeTarget::Cluster(_) => source::ADMINISTRATION,
    };
    Envelope {
        version: "0".to_owned(),
        id: format!("admin-{}-{at}", admin.run.request_id()),
        detail_type: change_request.detail_type.to_owned(),
        source: source.to_owned(),
        account: String::new(),
        time: format!("{now:.3}"),
        region: String::new(),
        resources: Vec::new(),
        detail: Value::Object(detail),
    }
}
