//! The rule that decides whether a change becomes the desired state, and what
//! is written with it. The same over every store.

mod cluster;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::{
    Binding, Change, ClusterArn, Clusters, Command, DominoName, ServiceAccountRef, Version,
};
use pod_identity_events::{Problem, RemovalReason};
use serde_json::{Value, json};

use super::claims::ClaimsRecord;
use super::records::{
    BindingRecord, BindingState, Condition, ConditionState, CountRecord, HistoryOutcome,
    HistoryRecord, NoticeKind, NoticeRecord, Pace,
};
use super::registry::Registry;
use super::view::{LedgerError, View, WriteSet};
use super::{
    MAX_SUPERSEDED, REGISTRY_FORMAT, binding_key, claims_key, condition_key, condition_prefix,
    history_key, names_key, notice_count_key, notice_key, registry_key, service_account_partition,
};
use crate::error::Error;
use crate::original;
use crate::ports::Key;
use cluster::accept_cluster;

/// Most Kubernetes service accounts that a binding may be leaving on one cluster.
const MAX_LEAVING: usize = 20;

/// The outcome of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It is the desired state now.
    Accepted,
    /// It is the desired state already; unfinished work goes on.
    Repeated,
    /// It was accepted once and a newer one has replaced it since.
    AlreadySuperseded,
    /// A newer one was there before it.
    Superseded {
        /// Event id of the newer one.
        event_id: String,
        /// When the newer one was made.
        occurred_at: Timestamp,
        /// Detail type of the newer one.
        detail_type: String,
        /// Whether it is published: beyond the day's limit it is not.
        published: bool,
    },
    /// It breaks a rule that only the ledger can check.
    Refused(String),
}

/// A change, its original, and what is written about it.
#[derive(Debug, Clone, Copy)]
pub struct Acceptance<'a> {
    /// The change.
    pub command: &'a Command,
    /// Id of the deployment.
    pub deployment: &'a str,
    /// The event as it came.
    pub original: &'a Value,
    /// Request id of the invocation.
    pub request_id: &'a str,
    /// Revision of everything written.
    pub revision: &'a str,
    /// Now.
    pub now: Timestamp,
    /// When a notice of a superseded event may be forgotten, in seconds since 1970.
    pub notice_expires_at: i64,
    /// Most service accounts that the ledger ever knows.
    pub max_names: usize,
}

/// Decides about one change against the view, and adds what it writes to both.
///
/// The view has to hold, as far as they exist: the binding and all conditions
/// of the service account, the claims of the Kubernetes service accounts that
/// it has and gets, the change's own place in the history, and the registry.
///
/// # Errors
/// When the ledger is another deployment's, or an item of the view does not read as what
/// it should be.
pub fn accept(
    acceptance: Acceptance<'_>,
    view: &mut View,
    writes: &mut WriteSet,
) -> Result<Decision, LedgerError> {
    registry(view, acceptance.deployment)?;
    match &acceptance.command.change {
        Change::Bind(binding) => {
            accept_binding(acceptance, &binding.service_account, Ok(binding), view, writes)
        }
        Change::Unbind { service_account, reason } => {
            accept_binding(acceptance, service_account, Err(*reason), view, writes)
        }
        Change::Register(registration) => {
            accept_cluster(acceptance, &registration.cluster, Ok(registration), view, writes)
        }
        Change::Retire { cluster, exemptions } => {
            accept_cluster(acceptance, cluster, Err(exemptions), view, writes)
        }
    }
}

/// The clusters of a deployment, if the ledger is its own.
///
/// # Errors
/// When the ledger is another deployment's, or the registry does not read as one.
pub fn registry(view: &View, deployment: &str) -> Result<Registry, LedgerError> {
    let registry = view.get::<Registry>(&registry_key())?.unwrap_or_default();
    if registry.format != REGISTRY_FORMAT {
        return Err(LedgerError::OtherFormat { found: registry.format });
    }
    match &registry.deployment {
        Some(theirs) if theirs != deployment => Err(LedgerError::OtherDeployment {
            theirs: theirs.clone(),
            ours: deployment.to_owned(),
        }),
        _ => Ok(registry),
    }
}

fn accept_binding(
    acceptance: Acceptance<'_>,
    name: &DominoName,
    change: Result<&Binding, RemovalReason>,
    view: &mut View,
    writes: &mut WriteSet,
) -> Result<Decision, LedgerError> {
    let command = acceptance.command;
    let current = view.get::<BindingRecord>(&binding_key(name))?;
    let described = match change {
        Ok(binding) => json!(binding),
        Err(reason) => json!({ "removal": reason }),
    };
    if let Some(refused) = reused(acceptance, name.as_str(), &described, view)? {
        return Ok(refused);
    }
    if let Some(current) = &current {
        let replaced = (&current.version, current.detail_type.as_str());
        if let Some(decision) =
            older(acceptance, name.as_str(), replaced, described.clone(), view, writes)?
        {
            return Ok(decision);
        }
    }
    if current.is_none() {
        let known = view.get::<CountRecord>(&names_key())?.map_or(0, |stored| stored.count);
        if known >= acceptance.max_names {
            return Ok(Decision::Refused(format!(
                "{name} is a new service account, and the ledger knows {known}, unbound ones included, where MAX_NAMES admits {}; raise MAX_NAMES, or find out who sends so many names",
                acceptance.max_names
            )));
        }
        let next = CountRecord { count: known.saturating_add(1) };
        writes.put_anyway(view, names_key(), &next, acceptance.revision, None)?;
    }
    let previous = current.as_ref().and_then(BindingRecord::binding).cloned();
    let claimed_at = current.as_ref().and_then(|current| {
        let same = |binding: &&Binding| change.is_ok_and(|b| b.kubernetes == binding.kubernetes);
        current.binding().filter(same).map(|_| current.claimed_at)
    });
    let state = match change {
        Ok(binding) => BindingState::Bound { binding: Box::new(binding.clone()) },
        Err(reason) => BindingState::Unbound { reason },
    };
    let record = BindingRecord {
        version: command.version.clone(),
        state,
        detail_type: command.detail_type.clone(),
        actor: command.actor.clone(),
        request_id: acceptance.request_id.to_owned(),
        pace: Pace::next(current.map(|current| current.pace), acceptance.now),
        claimed_at: claimed_at.unwrap_or(acceptance.now),
    };
    let conditions = match conditions(acceptance, name, change, view, writes)? {
        Ok(conditions) => conditions,
        Err(refused) => return Ok(Decision::Refused(refused.to_string())),
    };
    for condition in &conditions {
        let key = condition_key(name, &condition.cluster);
        writes.put(view, key, condition, acceptance.revision)?;
    }
    writes.put(view, binding_key(name), &record, acceptance.revision)?;
    remember(acceptance, name.as_str(), HistoryOutcome::Accepted, described, view, writes)?;
    move_claim(acceptance, name, previous.as_ref(), change.ok(), view, writes)?;
    Ok(Decision::Accepted)
}

/// An event whose id and time were taken before for something else.
fn reused(
    acceptance: Acceptance<'_>,
    of: &str,
    described: &Value,
    view: &View,
) -> Result<Option<Decision>, LedgerError> {
    let command = acceptance.command;
    let version = &command.version;
    let known = view.get::<HistoryRecord>(&history_key(of, version))?;
    let other = known.is_some_and(|known| {
        known.change != *described || known.detail_type != command.detail_type
    });
    Ok(other.then(|| {
        Decision::Refused(format!(
            "{of}: an event with eventId `{}` and occurredAt {} was already taken and asked for \
             something else; a change needs a new eventId or a new time",
            version.event_id(),
            version.occurred_at(),
        ))
    }))
}

/// Whether the change is not newer than what stands, and what that makes it.
fn older(
    acceptance: Acceptance<'_>,
    of: &str,
    (standing, standing_type): (&Version, &str),
    described: Value,
    view: &mut View,
    writes: &mut WriteSet,
) -> Result<Option<Decision>, LedgerError> {
    let version = &acceptance.command.version;
    if version > standing {
        return Ok(None);
    }
    if version == standing {
        return Ok(Some(Decision::Repeated));
    }
    let known = view.get::<HistoryRecord>(&history_key(of, version))?;
    let known = known.map(|known| known.outcome);
    if known == Some(HistoryOutcome::Accepted) {
        return Ok(Some(Decision::AlreadySuperseded));
    }
    let superseded = |published| {
        Ok(Some(Decision::Superseded {
            event_id: standing.event_id().to_owned(),
            occurred_at: standing.occurred_at(),
            detail_type: standing_type.to_owned(),
            published,
        }))
    };
    if known == Some(HistoryOutcome::Superseded) {
        return superseded(true);
    }
    // They cost nothing to send: beyond the day's limit they are only counted, and the first of
    // those is the last that is published.
    let counted = superseded_count_key(acceptance.command, of, acceptance.now);
    let count = view.get::<CountRecord>(&counted)?.map_or(0, |stored| stored.count);
    let (revision, expires_at) = (acceptance.revision, Some(acceptance.notice_expires_at));
    let next = CountRecord { count: count.saturating_add(1) };
    writes.put_anyway(view, counted, &next, revision, expires_at)?;
    if count >= MAX_SUPERSEDED {
        return superseded(count == MAX_SUPERSEDED);
    }
    remember(acceptance, of, HistoryOutcome::Superseded, described, view, writes)?;
    let notice = NoticeRecord {
        kind: NoticeKind::Superseded,
        reasons: vec![format!(
            "{of}: the change of {} is older than that of {}, which stands",
            version.occurred_at(),
            standing.occurred_at(),
        )],
        original: original::kept(&acceptance.original.to_string()).to_owned(),
        recorded_at: acceptance.now,
        request_id: acceptance.request_id.to_owned(),
    };
    let key = notice_key(NoticeKind::Superseded, acceptance.now, &format!("{of}#{version}"));
    writes.put_anyway(view, key, &notice, revision, expires_at)?;
    superseded(true)
}

/// Where superseded events like a command are counted.
pub(crate) fn superseded_count_key(command: &Command, of: &str, now: Timestamp) -> Key {
    notice_count_key(NoticeKind::Superseded, now, &format!("{of}#{}", command.detail_type))
}

fn remember(
    acceptance: Acceptance<'_>,
    of: &str,
    outcome: HistoryOutcome,
    change: Value,
    view: &mut View,
    writes: &mut WriteSet,
) -> Result<(), LedgerError> {
    let command = acceptance.command;
    let record = HistoryRecord {
        version: command.version.clone(),
        outcome,
        detail_type: command.detail_type.clone(),
        change,
        actor: command.actor.clone(),
        reason: command.reason.clone(),
        request_id: acceptance.request_id.to_owned(),
        recorded_at: acceptance.now,
    };
    let key = history_key(of, &command.version);
    // What was accepted is kept; who sends what changes nothing fills the ledger for a time only.
    let expires_at = match outcome {
        HistoryOutcome::Superseded => Some(acceptance.notice_expires_at),
        HistoryOutcome::Accepted | HistoryOutcome::Noted => None,
    };
    writes.put_anyway(view, key, &record, acceptance.revision, expires_at)
}

fn move_claim(
    acceptance: Acceptance<'_>,
    name: &DominoName,
    from: Option<&Binding>,
    to: Option<&Binding>,
    view: &mut View,
    writes: &mut WriteSet,
) -> Result<(), LedgerError> {
    let mut change = |kubernetes: &ServiceAccountRef, with: &dyn Fn(&mut ClaimsRecord)| {
        let key = claims_key(kubernetes);
        let before = view.get::<ClaimsRecord>(&key)?.unwrap_or_default();
        let mut claims = before.clone();
        with(&mut claims);
        if claims == before {
            return Ok(());
        }
        writes.put(view, key, &claims, acceptance.revision)
    };
    let kubernetes = |binding: &Binding| binding.kubernetes.clone();
    let (was, is) = (from.map(kubernetes), to.map(kubernetes));
    if let Some(was) = was.as_ref().filter(|was| Some(*was) != is.as_ref()) {
        change(was, &|claims| claims.withdraw(name))?;
    }
    if let Some(to) = to {
        change(&to.kubernetes, &|claims| claims.claim(to, was != is))?;
    }
    Ok(())
}

/// Every place where an association may be, or shall be, is remembered with
/// the change itself, so that no crash afterwards can forget one.
fn conditions(
    acceptance: Acceptance<'_>,
    name: &DominoName,
    change: Result<&Binding, RemovalReason>,
    view: &View,
    writes: &WriteSet,
) -> Result<Result<Vec<Condition>, Error>, LedgerError> {
    let (binding, reason) = (change.ok(), change.err().unwrap_or(RemovalReason::Moved));
    let mut conditions = Vec::new();
    let registry = view.get::<Registry>(&registry_key())?.unwrap_or_default();
    let (partition, prefix) = (service_account_partition(name), condition_prefix());
    // What an older event of the same transaction asked for was never carried out: a binding leaves
    // none of it behind, and no creation can have been made for it.
    let own = |key: &Key| {
        let is_condition = key.partition == partition && key.sort.starts_with(prefix);
        binding.is_some() && (is_condition || *key == binding_key(name))
    };
    let seen = writes.as_before(view, own);
    let previous = seen.get::<BindingRecord>(&binding_key(name))?;
    let previous = previous.as_ref().and_then(BindingRecord::binding);
    let before: BTreeMap<ClusterArn, Condition> = seen
        .all::<Condition>(&partition, prefix)?
        .into_iter()
        .map(|stored| (stored.cluster.clone(), stored))
        .collect();
    let written = view.all::<Condition>(&partition, prefix)?;
    let mut clusters: BTreeSet<ClusterArn> =
        written.into_iter().map(|stored| stored.cluster).collect();
    // A cluster that was registered after the previous binding has no condition yet, and may
    // have an association all the same.
    for binding in previous.iter().chain(&binding) {
        let taking = registry.clusters.iter().filter(|(_, record)| record.takes(binding));
        clusters.extend(taking.map(|(cluster, _)| cluster.clone()));
    }
    let takes = |cluster: &ClusterArn, binding: &Binding| {
        let record = registry.clusters.get(cluster);
        record.map_or_else(|| binding.selects(cluster), |record| record.takes(binding))
    };
    if let Some(Clusters::Named(named)) = binding.map(|binding| &binding.clusters) {
        clusters.extend(named.iter().cloned());
    }
    for cluster in clusters {
        let wanted = binding.filter(|b| takes(&cluster, b)).map(|b| b.kubernetes.clone());
        // It is the cluster that leaves, and the binding keeps what it has there while it must.
        let retires = wanted.is_none() && binding.is_some_and(|b| b.selects(&cluster));
        let reason = if retires { RemovalReason::ClusterRetired } else { reason };
        let registered = registry.clusters.contains_key(&cluster);
        let before = before.get(&cluster);
        // Done with long ago: not written with every change for ever.
        let is_done = |before: &Condition| {
            before.state == ConditionState::Removed && before.leaving.is_empty()
        };
        if !registered && wanted.is_none() && before.is_some_and(is_done) {
            continue;
        }
        let mut leaving = before.map(|before| before.leaving.clone()).unwrap_or_default();
        // On a cluster that is not registered nothing was ever made.
        let waits = !registered && before.is_none_or(|b| b.state == ConditionState::Waiting);
        let had = before.and_then(|before| before.wanted.as_ref());
        let had = had
            .into_iter()
            .chain(previous.filter(|previous| takes(&cluster, previous)).map(|b| &b.kubernetes));
        leaving.extend(had.filter(|_| !waits).map(|had| (had.clone(), reason)));
        if let Some(wanted) = &wanted {
            leaving.remove(wanted);
        }
        // A removal always fits.
        if wanted.is_some() && leaving.len() > MAX_LEAVING {
            return Ok(Err(format!(
                "{name} still has to leave {} Kubernetes service accounts in cluster {}, and {MAX_LEAVING} is the most; have what blocks their removal repaired, or wait, before it moves again",
                leaving.len(),
                cluster.name(),
            ).into()));
        }
        let (state, blocked) = match (&wanted, registered) {
            (Some(_), false) => (ConditionState::Waiting, Some(not_registered(&cluster))),
            (None, _) if leaving.is_empty() => (ConditionState::Removed, None),
            _ => (ConditionState::Pending, None),
        };
        // The administrator looked at what is at that place, for whoever wants it without a break.
        let same = before.filter(|before| wanted.is_some() && before.wanted == wanted);
        let mut condition = Condition {
            service_account: name.clone(),
            cluster: cluster.clone(),
            version: acceptance.command.version.clone(),
            leaving,
            state,
            blocked,
            association: before.and_then(|b| b.association.clone()),
            adopts: same.and_then(|b| b.adopts.clone()),
            credentials_changed_at: before.and_then(|b| b.credentials_changed_at),
            before: before.and_then(|b| b.before.clone()),
            intents: before.map(|b| b.intents.clone()).unwrap_or_default(),
            removals: before.map(|b| b.removals.clone()).unwrap_or_default(),
            trust: None,
            warnings: Vec::new(),
            updated_at: acceptance.now,
            request_id: acceptance.request_id.to_owned(),
            wanted,
        };
        if let Some(binding) = binding.filter(|_| registered && condition.wanted.is_some())
            && !condition.intend(binding, &acceptance.command.version, acceptance.now)
        {
            return Err(LedgerError::TooManyIntents { name: name.clone(), cluster });
        }
        conditions.push(condition);
    }
    Ok(Ok(conditions))
}

fn not_registered(cluster: &ClusterArn) -> Problem {
    Problem::ClusterNotRegistered { cluster_arn: cluster.to_string() }
}
