//! The outcome of each record of a batch, for people and for machines.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_core::{Change, ClusterArn, Command, DominoName};
use serde::Serialize;

use super::accept::{conditions, registry};
use super::{AcceptedEvent, Record, service_account};
use crate::cluster::ClusterReport;
use crate::error::Error;
use crate::ledger::{
    BindingRecord, Condition, ConditionState, Decision, Registry, View, binding_key,
};

/// The outcome of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// What it asked for is true on every cluster that it is meant for.
    Applied,
    /// Something stands in the way on at least one cluster.
    Blocked,
    /// It waits for a cluster to be registered.
    Waiting,
    /// It was carried out before.
    Repeated,
    /// It was accepted once, and a newer event has replaced it.
    AlreadySuperseded,
    /// A newer event was there before it.
    Superseded,
    /// It breaks a rule.
    Rejected,
    /// The ledger knows the cluster's new registration.
    Registered,
    /// The ledger knows that the cluster's retirement was asked for.
    RetirementRequested,
    /// A passing reason kept it from being finished; it should be delivered again.
    Failed,
}

/// The outcome of one record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordReport {
    /// The record's id.
    pub id: String,
    /// The event's own id, when it could be read.
    pub event_id: Option<String>,
    /// The event's detail type, when it breaks no rule.
    pub detail_type: Option<String>,
    /// The Domino service account that it is about.
    pub service_account: Option<String>,
    /// Its outcome.
    pub outcome: Outcome,
    /// The same in words, a line a cluster or a reason.
    pub lines: Vec<String>,
    /// Of one that failed, when to deliver it again where all that failed ends by itself.
    #[serde(skip)]
    pub waits_until: Option<Timestamp>,
}

/// The outcome of a batch.
#[derive(Debug)]
pub struct BatchReport {
    /// One report a record, in the batch's order.
    pub records: Vec<RecordReport>,
    /// What was planned and done on each cluster.
    pub clusters: BTreeMap<ClusterArn, ClusterReport>,
    /// The service account of the batch that was changed most often within an hour, with how often.
    pub busiest: Option<(DominoName, usize)>,
}

impl BatchReport {
    /// Ids of the records that should be delivered again.
    pub fn failed(&self) -> impl Iterator<Item = &str> {
        self.records.iter().filter(|r| r.outcome == Outcome::Failed).map(|r| r.id.as_str())
    }
}

/// The service account that was changed most often within an hour, of those that the batch changed.
pub(super) fn busiest(
    accepted: &[AcceptedEvent],
    decided: &[Result<Decision, Error>],
    view: &View,
) -> Option<(DominoName, usize)> {
    let changed = accepted.iter().zip(decided).filter_map(|(event, decision)| {
        let name = service_account(&event.command)?;
        let taken = matches!(decision, Ok(Decision::Accepted));
        let current = view.get::<BindingRecord>(&binding_key(name)).ok().flatten();
        Some((name.clone(), current.filter(|_| taken)?.pace.changes))
    });
    changed.max_by_key(|(_, changes)| *changes)
}

pub(super) fn of(
    record: &Record,
    command: &Command,
    decision: Result<Decision, Error>,
    published: Result<(), Error>,
    clusters: &BTreeMap<ClusterArn, ClusterReport>,
    view: &View,
) -> RecordReport {
    let done = decision.map_err(|why| vec![why]);
    let done = done.and_then(|decision| decided(command, &decision, clusters, view));
    let (mut outcome, mut lines, mut waits_until) = match done {
        Ok((outcome, lines)) => (outcome, lines, None),
        Err(failed) => {
            let lines = failed.iter().map(ToString::to_string).collect();
            (Outcome::Failed, lines, waits_until(&failed))
        }
    };
    // An event that was not sent is an error, whatever else only waits.
    if let Err(why) = published {
        (outcome, waits_until) = (Outcome::Failed, None);
        lines.push(why.to_string());
    }
    RecordReport {
        id: record.id.clone(),
        event_id: Some(command.version.event_id().to_owned()),
        detail_type: Some(command.detail_type.clone()),
        service_account: service_account(command).map(ToString::to_string),
        outcome,
        lines,
        waits_until,
    }
}

/// When to try again where all that failed ends by itself; none where something is an error.
fn waits_until(failed: &[Error]) -> Option<Timestamp> {
    let all: Option<Vec<Timestamp>> = failed.iter().map(Error::waits_until).collect();
    all?.into_iter().max()
}

fn decided(
    command: &Command,
    decision: &Decision,
    clusters: &BTreeMap<ClusterArn, ClusterReport>,
    view: &View,
) -> Result<(Outcome, Vec<String>), Vec<Error>> {
    Ok(match (decision, &command.change) {
        (Decision::Refused(reason), _) => (Outcome::Rejected, vec![reason.clone()]),
        (Decision::AlreadySuperseded, _) => (
            Outcome::AlreadySuperseded,
            vec!["it was accepted before, and a newer event has replaced it".to_owned()],
        ),
        (Decision::Superseded { event_id, occurred_at, detail_type, .. }, _) => (
            Outcome::Superseded,
            vec![format!("{detail_type} {event_id} of {occurred_at} is newer and stands")],
        ),
        (_, Change::Register(registration))
            if is_retired(&registration.cluster, &registry(view)) =>
        {
            (
                Outcome::Registered,
                vec![format!(
                    "cluster {} is registered, and its retirement, which is newer, stands; register it with a newer occurredAt to keep it",
                    registration.cluster.name()
                )],
            )
        }
        (_, Change::Register(registration)) => (
            Outcome::Registered,
            vec![format!(
                "cluster {} is registered; bindings accepted before come true when their events are sent again or reconcile runs",
                registration.cluster.name()
            )],
        ),
        (_, Change::Retire { cluster, .. }) if !registry(view).clusters.contains_key(cluster) => (
            Outcome::RetirementRequested,
            vec![format!(
                "cluster {cluster} is not registered; should an older registration still arrive, it is retired at once"
            )],
        ),
        (_, Change::Retire { cluster, .. }) => (
            Outcome::RetirementRequested,
            vec![format!(
                "the retirement of cluster {} is noted; nothing is deleted before reconcile, which was asked to, finds every service account ready elsewhere or given up",
                cluster.name()
            )],
        ),
        _ => return progress(command, decision, clusters, view),
    })
}

fn is_retired(cluster: &ClusterArn, registry: &Registry) -> bool {
    registry.clusters.get(cluster).is_some_and(|record| record.retired.is_some())
}

/// What failed for a passing reason, one a cluster.
fn failures(name: &DominoName, clusters: &BTreeMap<ClusterArn, ClusterReport>) -> Vec<Error> {
    let failed = clusters.iter().filter_map(|(cluster, report)| {
        let why = report.failures.get(name)?.clone();
        Some(why.worded(|why| format!("{}: {why}", cluster.name())))
    });
    failed.collect()
}

/// How far a binding or its removal has come on every cluster.
fn progress(
    command: &Command,
    decision: &Decision,
    clusters: &BTreeMap<ClusterArn, ClusterReport>,
    view: &View,
) -> Result<(Outcome, Vec<String>), Vec<Error>> {
    let Some(name) = service_account(command) else {
        return Ok((Outcome::Applied, Vec::new()));
    };
    let current = view.get::<BindingRecord>(&binding_key(name)).ok().flatten();
    if current.is_some_and(|current| current.version > command.version) {
        let line = "a newer event of the same batch replaced it".to_owned();
        return Ok((Outcome::AlreadySuperseded, vec![line]));
    }
    let failed = failures(name, clusters);
    if !failed.is_empty() {
        return Err(failed);
    }
    let mut all: BTreeMap<ClusterArn, Condition> =
        conditions(name, view).into_iter().map(|c| (c.cluster.clone(), c)).collect();
    let mut worked = false;
    for (cluster, report) in clusters {
        if let Some(condition) = report.conditions.get(name) {
            worked = true;
            all.insert(cluster.clone(), condition.clone());
        }
    }
    let lines: Vec<String> = all.values().map(line).collect();
    let has = |state| all.values().any(|condition| condition.state == state);
    let outcome = if has(ConditionState::Blocked) {
        Outcome::Blocked
    } else if has(ConditionState::Waiting)
        || (all.is_empty() && matches!(command.change, Change::Bind(_)))
    {
        Outcome::Waiting
    } else if *decision == Decision::Repeated && !worked {
        Outcome::Repeated
    } else {
        Outcome::Applied
    };
    let nothing = match command.change {
        Change::Bind(_) => {
            "no cluster of the role's account is registered yet; register one, then send this event again"
        }
        _ => {
            "the ledger knew no binding of it; the removal is remembered. If the ledger was restored to an earlier time, an association of it may stand: see the admin function's action explain"
        }
    };
    let lines = if lines.is_empty() { vec![nothing.to_owned()] } else { lines };
    Ok((outcome, lines))
}

fn line(condition: &Condition) -> String {
    let cluster = condition.cluster.name();
    let place = condition.wanted.as_ref().map(ToString::to_string).unwrap_or_default();
    match (condition.state, &condition.association, &condition.blocked) {
        (ConditionState::Ready, Some(association), _) => {
            format!("{cluster}: {place} works as {} ({})", association.desired.role, association.id)
        }
        (ConditionState::Removed, ..) => {
            format!("{cluster}: {} works as no role", condition.service_account)
        }
        (_, _, Some(blocked)) => format!("{cluster}: {blocked}"),
        (state, ..) => format!("{cluster}: {}", format!("{state:?}").to_lowercase()),
    }
}
