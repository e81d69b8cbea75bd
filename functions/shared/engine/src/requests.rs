//! Requests that an invocation puts on the bus for others: what those for reconciliation and those
//! for sweeps have in common.

use jiff::Timestamp;
use pod_identity_core::ClusterArn;
use pod_identity_events::Outgoing;

use crate::ledger::{View, registry, registry_key};
use crate::ports::{Bus, Clock, LedgerReader};
use crate::publish::publish;
use crate::settings::Settings;

/// Every registered cluster, while there is time to ask for it.
pub(crate) async fn registered(
    reader: &impl LedgerReader,
    clock: &impl Clock,
    settings: &Settings,
    deadline: Timestamp,
) -> Result<Vec<ClusterArn>, String> {
    if settings.is_over(clock.now(), deadline) {
        return Err("the invocation's time is nearly over, so nothing was asked for".to_owned());
    }
    let mut view = View::default();
    view.read(reader, &[registry_key()]).await?;
    let registry = registry(&view, &settings.plan.deployment)?;
    Ok(registry.clusters.into_keys().collect())
}

/// Puts requests on the bus, all of them.
pub(crate) async fn send(
    requests: &[Outgoing],
    bus: &impl Bus,
    clock: &impl Clock,
) -> Result<(), String> {
    let sent = publish(bus, clock, requests).await;
    for (request, sent) in requests.iter().zip(sent) {
        sent.map_err(|why| format!("event {} was not sent: {why}", request.detail_type()))?;
    }
    Ok(())
}
