//! What is published of the desired state alone.

use pod_identity_core::plan::Blocked;
use pod_identity_core::{Change, DominoName, ServiceAccountRef, Version};
use pod_identity_events::{
    Cause, EventReference, Outgoing, SCHEMA_VERSION, ServiceAccountEventSuperseded, detail_type,
};

use super::accept::{conditions, registry};
use super::{AcceptedEvent, service_account};
use crate::context::Context;
use crate::error::Error;
use crate::ledger::{Condition, ConditionState, Decision, View};
use crate::outcome::{Outcomes, time};
use crate::ports::Bus;
use crate::publish::publish;

/// Tells the bus what the desired state alone brings about: an overtaken
/// removal, a binding that waits for its cluster, a cluster to reconcile.
/// Answers one result an event, in order.
pub(super) async fn announce(
    context: &Context<'_>,
    bus: &dyn Bus,
    events: &[AcceptedEvent],
    decided: &[Result<Decision, Error>],
    view: &View,
) -> Vec<Result<(), Error>> {
    let mut announcements: Vec<(usize, Outgoing)> = Vec::new();
    for (at, (event, decision)) in events.iter().zip(decided).enumerate() {
        let Ok(decision) = decision else { continue };
        announcements
            .extend(announcements_of(context, event, decision, view).into_iter().map(|a| (at, a)));
    }
    let outgoing: Vec<Outgoing> = announcements.iter().map(|(_, event)| event.clone()).collect();
    let mut results: Vec<Result<(), Error>> = events.iter().map(|_| Ok(())).collect();
    let sent = publish(bus, context.clock, &outgoing).await;
    for ((at, event), sent) in announcements.iter().zip(sent) {
        if let Err(why) = sent {
            results[*at] = Err(format!("event {} was not sent: {why}", event.detail_type()).into());
        }
    }
    results
}

fn announcements_of(
    context: &Context<'_>,
    event: &AcceptedEvent,
    decision: &Decision,
    view: &View,
) -> Vec<Outgoing> {
    let command = &event.command;
    let outcomes = |cluster| Outcomes {
        cluster,
        now: context.clock.now(),
        request_id: context.run.request_id(),
    };
    match (&command.change, decision) {
        (Change::Unbind { service_account, .. }, Decision::Superseded { published: true, .. }) => {
            superseded(context, event, service_account, decision).into_iter().collect()
        }
        (Change::Bind(_), Decision::Accepted | Decision::Repeated) => {
            let Some(name) = service_account(command) else { return Vec::new() };
            waiting(name, &command.version, view)
                .iter()
                .map(|(condition, kubernetes, blocked)| {
                    outcomes(&condition.cluster).blocked(kubernetes, blocked)
                })
                .collect()
        }
        (Change::Register(registration), Decision::Accepted | Decision::Repeated) => {
            let cluster = &registration.cluster;
            let reason = format!("cluster {} was registered", cluster.name());
            vec![outcomes(cluster).reconciliation_requested(&command.version, reason)]
        }
        (Change::Retire { cluster, .. }, Decision::Accepted | Decision::Repeated)
            if registry(view).clusters.contains_key(cluster) =>
        {
            let reason = format!("the retirement of cluster {} was asked for", cluster.name());
            vec![outcomes(cluster).reconciliation_requested(&command.version, reason)]
        }
        _ => Vec::new(),
    }
}

/// Conditions of this version that wait for their cluster to be registered. One
/// whose cluster is registered by now was worked on, whatever it said before.
fn waiting(
    name: &DominoName,
    version: &Version,
    view: &View,
) -> Vec<(Condition, ServiceAccountRef, Blocked)> {
    let registry = registry(view);
    conditions(name, view)
        .into_iter()
        .filter(|condition| {
            condition.state == ConditionState::Waiting
                && condition.version == *version
                && !registry.clusters.contains_key(&condition.cluster)
        })
        .filter_map(|condition| {
            let kubernetes = condition.wanted.clone()?;
            let problem = condition.blocked.clone()?;
            let blocked = Blocked::by(problem, name, Some(version), None);
            Some((condition, kubernetes, blocked))
        })
        .collect()
}

/// A removal that came late took nothing away, and somebody should know: a
/// slow sender's clock must not keep a revoked grant alive unseen.
fn superseded(
    context: &Context<'_>,
    event: &AcceptedEvent,
    name: &DominoName,
    decision: &Decision,
) -> Option<Outgoing> {
    let Decision::Superseded { event_id, occurred_at, detail_type: by, .. } = decision else {
        return None;
    };
    let version = &event.command.version;
    let event = ServiceAccountEventSuperseded {
        schema_version: SCHEMA_VERSION,
        event_id: pod_identity_core::fingerprint([
            detail_type::EVENT_SUPERSEDED,
            name.as_str(),
            &version.to_string(),
        ]),
        occurred_at: time(context.clock.now()),
        cause: Cause {
            event_id: Some(version.event_id().to_owned()),
            request_id: context.run.request_id().to_owned(),
        },
        service_account: name.to_string(),
        superseded: EventReference {
            event_id: version.event_id().to_owned(),
            occurred_at: time(version.occurred_at()),
            detail_type: event.command.detail_type.clone(),
        },
        by: EventReference {
            event_id: event_id.clone(),
            occurred_at: time(*occurred_at),
            detail_type: by.clone(),
        },
        remediation: format!(
            "if {name} was to lose its role, send the removal again with a new eventId and the present time"
        ),
    };
    Some(event.into())
}
