//! The ledger's part of a batch: which events become its word, and which
//! clusters that touches.

use std::collections::BTreeSet;

use pod_identity_core::{Change, ClusterArn, DominoName};

use super::{AcceptedEvent, Jobs, service_account};
use crate::context::Context;
use crate::error::Error;
use crate::lease::Lease;
use crate::ledger::{
    Acceptance, BindingRecord, Condition, Decision, LedgerError, Registry, View, WriteSet, accept,
    binding_key, claims_key, condition_prefix, history_key, lease_key, names_key, registry_key,
    service_account_partition, superseded_count_key,
};
use crate::ports::{Key, LedgerWriter, MAX_WRITE, WriteError};

/// Writes of an accepted change beside its conditions: binding, history, two claims, the number of
/// names.
const FIXED_WRITES: usize = 5;

/// How often an event is decided again when somebody else wrote first.
const ATTEMPTS: usize = 5;

/// Decides about every event, in order. An event whose ledger write fails is
/// answered with the reason, and does not keep others from going on.
///
/// Where all of them fit one transaction and leave work on one cluster, its lease is taken with it, if asked.
pub(super) async fn accept_all(
    context: &Context<'_>,
    writer: &dyn LedgerWriter,
    events: &[AcceptedEvent],
    leases: bool,
    view: &mut View,
) -> (Vec<Result<Decision, Error>>, Option<(ClusterArn, Lease)>) {
    let mut decided: Vec<Result<Decision, Error>> = Vec::with_capacity(events.len());
    let mut lease = None;
    let mut rest = events;
    // No more than one transaction can hold, or the rest would be read in vain.
    let mut group = MAX_WRITE / FIXED_WRITES;
    while !rest.is_empty() {
        // The first group is always written: what the ledger knows, reconcile can finish.
        if !decided.is_empty() && context.deadline_reached() {
            decided.extend(rest.iter().map(|_| Err(context.deadline_error())));
            break;
        }
        let (now, later) = rest.split_at(group.min(rest.len()));
        let all = leases && later.is_empty() && decided.is_empty();
        match accept_group(context, writer, now, all, view).await {
            Ok((decisions, taken)) => {
                rest = &rest[decisions.len()..];
                decided.extend(decisions.into_iter().map(Ok));
                lease = taken;
            }
            Err(_) if now.len() > 1 => group = 1,
            Err(error) => {
                decided.push(Err(error));
                rest = later;
            }
        }
    }
    (decided, lease)
}

/// Decides about as many events as fit one transaction, and writes it, if these are `all` events perhaps with
/// a lease. Acceptance never waits for a lease that is held.
async fn accept_group(
    context: &Context<'_>,
    writer: &dyn LedgerWriter,
    events: &[AcceptedEvent],
    all: bool,
    shared: &mut View,
) -> Result<(Vec<Decision>, Option<(ClusterArn, Lease)>), Error> {
    let mut with_lease = all;
    for attempt in 0..ATTEMPTS {
        // Everything is read again, what was just written too: the view of a large batch is not copied.
        let mut view = View::default();
        // A run that was under way when the ledger was lost leaves conditions without a binding.
        let conditions_of_all = attempt > 0;
        let keys = read(context, events, conditions_of_all, &mut view).await?;
        let Group { view, mut writes, decisions } = decide(context, events, &view)?;
        let whole = with_lease && decisions.len() == events.len() && writes.len() < MAX_WRITE;
        let only = whole.then(|| only_cluster(events, &decisions, &view)).flatten();
        let lease = only.map(|cluster| {
            let lease = Lease::with(&mut writes, lease_key(&cluster), context);
            lease.map(|lease| (cluster, lease))
        });
        let lease = lease.transpose()?;
        match writes.commit(context.ledger, writer).await {
            Ok(()) => {
                shared.merge_in(&keys, view);
                return Ok((decisions, lease));
            }
            Err(WriteError::Conflict) if lease.is_some() => with_lease = false,
            Err(WriteError::Conflict) if events.len() > 1 => {
                return Err("somebody else wrote the ledger first".into());
            }
            Err(WriteError::Conflict) => {}
            Err(WriteError::Port(error)) => return Err(error.into()),
        }
    }
    let subject = events.first().map(subject).unwrap_or_default();
    Err(LedgerError::Contended(subject).into())
}

/// The cluster on which something is left to do, if it is one.
fn only_cluster(
    events: &[AcceptedEvent],
    decisions: &[Decision],
    view: &View,
) -> Option<ClusterArn> {
    let decided: Vec<_> = decisions.iter().cloned().map(Ok).collect();
    let mut jobs = jobs(events, &decided, view).into_keys();
    jobs.next().filter(|_| jobs.next().is_none())
}

/// The events of one transaction.
struct Group {
    /// As it will be once the transaction is written.
    view: View,
    writes: WriteSet,
    /// One for each event, from the first on.
    decisions: Vec<Decision>,
}

/// Decides about as many events as fit one transaction. When one does not fit any more, those
/// before it are decided once again, since it has left its writes among theirs.
fn decide(
    context: &Context<'_>,
    events: &[AcceptedEvent],
    read: &View,
) -> Result<Group, LedgerError> {
    let revision = context.run.revision();
    let now = context.clock.now();
    let mut fitting = events;
    loop {
        let mut group =
            Group { view: read.clone(), writes: WriteSet::default(), decisions: Vec::new() };
        for event in fitting {
            let acceptance = Acceptance {
                command: &event.command,
                deployment: &context.settings.plan.deployment,
                original: &event.original,
                request_id: context.run.request_id(),
                revision: &revision,
                now,
                notice_expires_at: context.settings.notice_expires_at(now),
                max_names: context.settings.max_names,
            };
            let decision = accept(acceptance, &mut group.view, &mut group.writes)?;
            if group.writes.len() > MAX_WRITE {
                break;
            }
            group.decisions.push(decision);
        }
        match (group.decisions.len(), fitting) {
            (0, [event, ..]) => {
                return Ok(Group {
                    view: read.clone(),
                    writes: WriteSet::default(),
                    decisions: vec![Decision::Refused(format!(
                        "{}: one change touches at most {} clusters, those of earlier changes included",
                        subject(event),
                        MAX_WRITE - FIXED_WRITES,
                    ))],
                });
            }
            (fit, _) if fit < fitting.len() => fitting = &fitting[..fit],
            _ => return Ok(group),
        }
    }
}

pub(super) fn subject(event: &AcceptedEvent) -> String {
    match &event.command.change {
        Change::Register(registration) => registration.cluster.to_string(),
        Change::Retire { cluster, .. } => cluster.to_string(),
        _ => service_account(&event.command).map(ToString::to_string).unwrap_or_default(),
    }
}

/// Reads what deciding about the events needs: one call for new service
/// accounts, and one more for each that is known already, or for all. Answers the keys that were asked for.
async fn read(
    context: &Context<'_>,
    events: &[AcceptedEvent],
    conditions_of_all: bool,
    view: &mut View,
) -> Result<Vec<Key>, LedgerError> {
    let mut keys = vec![registry_key(), names_key()];
    let now = context.clock.now();
    for event in events {
        let command = &event.command;
        let of = subject(event);
        keys.push(history_key(&of, &command.version));
        keys.push(superseded_count_key(command, &of, now));
        keys.extend(service_account(command).map(binding_key));
        if let Change::Bind(binding) = &command.change {
            keys.push(claims_key(&binding.kubernetes));
        }
    }
    view.read(context.ledger, &keys).await?;
    let names: BTreeSet<&DominoName> =
        events.iter().filter_map(|event| service_account(&event.command)).collect();
    let mut more: BTreeSet<Key> = BTreeSet::new();
    for name in names {
        let current = view.get::<BindingRecord>(&binding_key(name))?;
        if current.is_none() && !conditions_of_all {
            continue;
        }
        let partition = service_account_partition(name);
        view.query(context.ledger, &partition, condition_prefix()).await?;
        let binding = current.as_ref().and_then(|current| current.binding());
        more.extend(binding.map(|binding| claims_key(&binding.kubernetes)));
    }
    let more: Vec<Key> = more.into_iter().filter(|key| !keys.contains(key)).collect();
    view.read(context.ledger, &more).await?;
    keys.extend(more);
    Ok(keys)
}

/// The clusters on which something is left to do, and for whom.
pub(super) fn jobs(
    events: &[AcceptedEvent],
    decided: &[Result<Decision, Error>],
    view: &View,
) -> Jobs {
    let mut jobs = Jobs::new();
    let registry = registry(view);
    for (event, decision) in events.iter().zip(decided) {
        let Some(name) = service_account(&event.command) else { continue };
        if !matches!(decision, Ok(Decision::Accepted | Decision::Repeated)) {
            continue;
        }
        for cluster in unfinished(name, &registry, view) {
            if let Some(record) = registry.clusters.get(&cluster) {
                let job = jobs.entry(cluster).or_insert_with(|| (record.clone(), BTreeSet::new()));
                job.1.insert(name.clone());
            }
        }
    }
    jobs
}

pub(super) fn registry(view: &View) -> Registry {
    view.get::<Registry>(&registry_key()).ok().flatten().unwrap_or_default()
}

/// Clusters whose condition is not finished, and those that have none yet.
fn unfinished(name: &DominoName, registry: &Registry, view: &View) -> BTreeSet<ClusterArn> {
    let Ok(Some(current)) = view.get::<BindingRecord>(&binding_key(name)) else {
        return BTreeSet::new();
    };
    let conditions = conditions(name, view);
    let selected = registry
        .clusters
        .iter()
        .filter(|(_, record)| current.binding().is_some_and(|binding| record.takes(binding)))
        .map(|(cluster, _)| cluster)
        .filter(|cluster| conditions.iter().all(|condition| condition.cluster != **cluster))
        .cloned();
    // Removed with a cluster that was registered again since.
    let is_back = |condition: &Condition| {
        let record = registry.clusters.get(&condition.cluster);
        let takes = record.zip(current.binding()).is_some_and(|(record, b)| record.takes(b));
        takes && condition.wanted.is_none()
    };
    conditions
        .iter()
        .filter(|condition| !condition.is_finished(&current.version) || is_back(condition))
        .map(|condition| condition.cluster.clone())
        .chain(selected)
        .collect()
}

pub(super) fn conditions(name: &DominoName, view: &View) -> Vec<Condition> {
    let partition = service_account_partition(name);
    let stored = view.all::<Condition>(&partition, condition_prefix()).unwrap_or_default();
    stored.into_iter().collect()
}
