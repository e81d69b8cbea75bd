//! Requests that an invocation puts on the bus for others: what those for reconciliation and those
//! for sweeps have in common.

use pod_identity_core::ClusterArn;
use pod_identity_events::Outgoing;

use crate::context::Context;
use crate::error::Error;
use crate::ledger::{View, registry, registry_key};
use crate::ports::Bus;
use crate::publish::publish;

/// Every registered cluster, while there is time to ask for it.
pub(crate) async fn registered(context: Context<'_>) -> Result<Vec<ClusterArn>, Error> {
    if context.deadline_reached() {
        return Err("the invocation's time is nearly over, so nothing was asked for".into());
    }
    let mut view = View::default();
    view.read(context.ledger, &[registry_key()]).await?;
    let registry = registry(&view, &context.settings.plan.deployment)?;
    Ok(registry.clusters.into_keys().collect())
}

/// Puts requests on the bus, all of them.
pub(crate) async fn send(
    context: Context<'_>,
    bus: &dyn Bus,
    requests: &[Outgoing],
) -> Result<(), Error> {
    let sent = publish(bus, context.clock, requests).await;
    for (request, sent) in requests.iter().zip(sent) {
        sent.map_err(|why| format!("event {} was not sent: {why}", request.detail_type()))?;
    }
    Ok(())
}
