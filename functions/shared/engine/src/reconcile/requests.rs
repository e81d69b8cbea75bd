//! Requests for reconciliation that an invocation puts on the bus: one for
//! each cluster, or for the rest of one.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{ClusterArn, ServiceAccountRef, fingerprint};
use pod_identity_events::{Cause, Outgoing, ReconciliationRequested, SCHEMA_VERSION, detail_type};

use super::Scope;
use crate::context::Context;
use crate::error::Error;
use crate::outcome::time;
use crate::ports::Bus;
use crate::publish::publish;
use crate::requests::{registered, send};

/// Asks for the reconciliation of every registered cluster, each by an event of its own, so that
/// they run side by side.
///
/// # Errors
/// When the registry cannot be read, or one of the events was not sent.
pub async fn request_all(context: Context<'_>, bus: &dyn Bus) -> Result<Vec<ClusterArn>, Error> {
    let clusters = registered(context).await?;
    let event = |one| request(context, one, None, 0, "every cluster is reconciled");
    send(context, bus, &clusters.iter().map(event).collect::<Vec<_>>()).await?;
    Ok(clusters)
}

/// Asks for the reconciliation of some clusters; answers those whose event was not sent, and why.
pub async fn request_clusters(
    context: Context<'_>,
    bus: &dyn Bus,
    clusters: &BTreeSet<ClusterArn>,
    reason: &str,
) -> BTreeMap<ClusterArn, Error> {
    let events: Vec<Outgoing> =
        clusters.iter().map(|one| request(context, one, None, 0, reason)).collect();
    let sent = publish(bus, context.clock, &events).await;
    clusters.iter().zip(sent).filter_map(|(one, sent)| Some((one.clone(), sent.err()?))).collect()
}

/// Asks for the rest of a cluster's reconciliation.
///
/// # Errors
/// When the event was not sent.
pub async fn request_rest(
    context: Context<'_>,
    bus: &dyn Bus,
    scope: &Scope,
    left: &ServiceAccountRef,
    continuation: u32,
) -> Result<(), Error> {
    let reason = "an invocation's time was over";
    send(context, bus, &[request(context, &scope.cluster, Some(left), continuation, reason)]).await
}

/// Asks for another reconciliation of the whole cluster, because one run's ceiling was reached.
///
/// # Errors
/// When the event was not sent.
pub async fn request_again(
    context: Context<'_>,
    bus: &dyn Bus,
    scope: &Scope,
    continuation: u32,
) -> Result<(), Error> {
    let reason = "the cluster's retirement goes on";
    send(context, bus, &[request(context, &scope.cluster, None, continuation, reason)]).await
}

fn request(
    Context { clock, run, .. }: Context<'_>,
    cluster: &ClusterArn,
    after: Option<&ServiceAccountRef>,
    continuation: u32,
    reason: &str,
) -> Outgoing {
    let after = after.map(ServiceAccountRef::to_string);
    let parts = [
        detail_type::RECONCILIATION_REQUESTED,
        cluster.as_str(),
        run.request_id(),
        after.as_deref().unwrap_or_default(),
        // One run may ask for a cluster twice: the second time it has more to be done.
        reason,
    ];
    ReconciliationRequested {
        schema_version: SCHEMA_VERSION,
        event_id: fingerprint(parts),
        occurred_at: time(clock.now()),
        cause: Cause { event_id: None, request_id: run.request_id().to_owned() },
        cluster_arn: Some(cluster.to_string()),
        reason: reason.to_owned(),
        after,
        continuation: (continuation > 0).then_some(continuation),
    }
    .into()
}
