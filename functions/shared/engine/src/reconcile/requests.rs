//! Requests for reconciliation that an invocation puts on the bus: one for
//! each cluster, or for the rest of one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::{ClusterArn, KubernetesName, fingerprint};
use pod_identity_events::{Cause, Outgoing, ReconciliationRequested, SCHEMA_VERSION, detail_type};

use super::Scope;
use crate::outcome::time;
use crate::ports::{Bus, Clock, LedgerReader, Writes};
use crate::publish::publish;
use crate::requests::{registered, send};
use crate::run::Run;
use crate::settings::Settings;

/// Asks for the reconciliation of every registered cluster, each by an event of its own, so that
/// they run side by side.
///
/// # Errors
/// When the registry cannot be read, or one of the events was not sent.
pub async fn request_all(
    reader: &impl LedgerReader,
    writer: &impl Writes,
    clock: &impl Clock,
    run: &Run,
    settings: &Settings,
    deadline: Timestamp,
) -> Result<Vec<ClusterArn>, String> {
    let clusters = registered(reader, clock, settings, deadline).await?;
    let events: Vec<Outgoing> = clusters
        .iter()
        .map(|cluster| request(cluster, None, 0, "every cluster is reconciled", clock, run))
        .collect();
    send(&events, writer, clock).await?;
    Ok(clusters)
}

/// Asks for the reconciliation of some clusters; answers those whose event was not sent, and why.
pub async fn request_clusters(
    clusters: &BTreeSet<ClusterArn>,
    reason: &str,
    bus: &impl Bus,
    clock: &impl Clock,
    run: &Run,
) -> BTreeMap<ClusterArn, String> {
    let events: Vec<Outgoing> =
        clusters.iter().map(|cluster| request(cluster, None, 0, reason, clock, run)).collect();
    let sent = publish(bus, clock, &events).await;
    clusters.iter().zip(sent).filter_map(|(one, sent)| Some((one.clone(), sent.err()?))).collect()
}

/// Asks for the rest of a cluster's reconciliation.
///
/// # Errors
/// When the event was not sent.
pub async fn request_rest(
    scope: &Scope,
    left: &KubernetesName,
    handed_on: u32,
    writer: &impl Writes,
    clock: &impl Clock,
    run: &Run,
) -> Result<(), String> {
    let reason = "an invocation's time was over";
    let event = request(&scope.cluster, Some(left), handed_on, reason, clock, run);
    send(&[event], writer, clock).await
}

/// Asks for another reconciliation of the whole cluster, because one run's ceiling was reached.
///
/// # Errors
/// When the event was not sent.
pub async fn request_again(
    scope: &Scope,
    handed_on: u32,
    writer: &impl Writes,
    clock: &impl Clock,
    run: &Run,
) -> Result<(), String> {
    let event =
        request(&scope.cluster, None, handed_on, "the cluster's retirement goes on", clock, run);
    send(&[event], writer, clock).await
}

fn request(
    cluster: &ClusterArn,
    after: Option<&KubernetesName>,
    handed_on: u32,
    reason: &str,
    clock: &impl Clock,
    run: &Run,
) -> Outgoing {
    let after = after.map(KubernetesName::to_string);
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
        handed_on: (handed_on > 0).then_some(handed_on),
    }
    .into()
}
