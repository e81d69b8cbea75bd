//! Requests for sweeps that an invocation puts on the bus: one for each cluster, or for the rest
//! of one; and whether one that was asked for is needed any more.

use jiff::Timestamp;
use pod_identity_core::{ClusterArn, DominoName, fingerprint};
use pod_identity_events::{Cause, Outgoing, SCHEMA_VERSION, SweepRequested, detail_type};

use super::InsideScope;
use crate::context::{Context, Workloads};
use crate::error::Error;
use crate::ledger::{InsideCluster, View, inside_key, registry, registry_key};
use crate::outcome::time;
use crate::ports::Bus;
use crate::requests::{registered, send};

/// Asks for a sweep of every registered cluster, each by an event of its own, so that they run
/// side by side.
///
/// # Errors
/// When the registry cannot be read, or one of the events was not sent.
pub async fn request_sweeps(context: Context<'_>, bus: &dyn Bus) -> Result<Vec<ClusterArn>, Error> {
    let clusters = registered(context).await?;
    let scopes = clusters.iter().cloned().map(InsideScope::of);
    let event = |scope| request(context, &scope, 0, "every cluster is looked after");
    send(context, bus, &scopes.map(event).collect::<Vec<_>>()).await?;
    Ok(clusters)
}

/// Asks for a sweep of a cluster, or of one service account's pods there.
///
/// # Errors
/// When the event was not sent.
pub async fn request_sweep(
    context: Context<'_>,
    bus: &dyn Bus,
    scope: &InsideScope,
    reason: &str,
) -> Result<(), Error> {
    send(context, bus, &[request(context, scope, 0, reason)]).await
}

/// Asks for the rest of a sweep.
///
/// # Errors
/// When the event was not sent.
pub async fn request_sweep_rest(
    context: Context<'_>,
    bus: &dyn Bus,
    rest: &InsideScope,
    continuation: u32,
) -> Result<(), Error> {
    send(context, bus, &[request(context, rest, continuation, "an invocation's time was over")])
        .await
}

/// Whether a run that saw everything began to look well after a time, so that nobody has to look
/// because of what happened then.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn is_covered(
    workloads: &Workloads<'_>,
    cluster: &ClusterArn,
    since: Timestamp,
) -> Result<bool, Error> {
    // Without a sweep there is no time at which all was seen.
    let Some(sweep) = &workloads.inside.sweep else { return Ok(false) };
    let mut view = View::default();
    let keys = [registry_key(), inside_key(cluster)];
    view.read(workloads.ledger, &keys).await?;
    registry(&view, &workloads.settings.plan.deployment)?;
    let found = view.get::<InsideCluster>(&inside_key(cluster))?;
    let swept_at = found.and_then(|stored| stored.swept_at);
    // Pods that were admitted around the change are judged only after the grace period.
    let settled = since.checked_add(sweep.rules.grace).unwrap_or(Timestamp::MAX);
    Ok(swept_at.is_some_and(|at| at >= settled))
}

fn request(
    Context { clock, run, .. }: Context<'_>,
    scope: &InsideScope,
    continuation: u32,
    reason: &str,
) -> Outgoing {
    let InsideScope { cluster, service_account, evicted } = scope;
    let name = service_account.as_ref().map(DominoName::as_str);
    let parts = [
        detail_type::SWEEP_REQUESTED,
        cluster.as_str(),
        run.request_id(),
        name.unwrap_or_default(),
        &continuation.to_string(),
    ];
    SweepRequested {
        schema_version: SCHEMA_VERSION,
        event_id: fingerprint(parts),
        occurred_at: time(clock.now()),
        cause: Cause { event_id: None, request_id: run.request_id().to_owned() },
        cluster_arn: Some(cluster.to_string()),
        service_account: name.map(str::to_owned),
        reason: reason.to_owned(),
        evicted: u32::try_from(*evicted).ok().filter(|evicted| *evicted > 0),
        continuation: (continuation > 0).then_some(continuation),
    }
    .into()
}
