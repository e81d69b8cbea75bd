//! The end of a retirement: the node policies, and what the registry says.

use std::collections::BTreeSet;

use pod_identity_core::{ClusterArn, Exemptions};

use super::Retirement;
use crate::cluster::{self, ExtraScope, Taking};
use crate::context::{Cloud, Context, Writers};
use crate::error::Error;
use crate::ledger::{self, Registry, View, WriteSet, registry_key};
use crate::ports::LedgerWriter;
use crate::reconcile::overview::Overview;

/// Deletes the node policies of a cluster on which no association is left, and says so in the
/// registry.
pub(super) async fn close(
    cloud: &Cloud<'_>,
    writers: Writers<'_>,
    overview: &Overview,
) -> Result<Retirement, Error> {
    let is_gone = overview.gone.is_some();
    let taking = Some(Taking::Everything { is_gone });
    let (nobody, extra) = (BTreeSet::new(), ExtraScope { taking, ..ExtraScope::default() });
    let worked = cluster::work_with(*cloud, writers, overview.job(&nobody, &extra), None).await;
    let undone = worked.as_ref().map_or_else(Some, |report| report.undone.as_ref());
    match undone {
        Some(failure @ Error::Blocked(_)) => Ok(Retirement::PoliciesStay(failure.to_string())),
        Some(why) => Err(why.clone()),
        None => {
            let left = worked.ok().and_then(|report| report.node_policies);
            if left.is_some_and(|left| !left.projection.policies.is_empty()) {
                return Err("event Node Role Policy Changed was not sent".into());
            }
            Ok(finish(cloud, writers.ledger, &overview.access.cluster, is_gone)
                .await?
                .unwrap_or(Retirement::UnderWay { goes_on: false }))
        }
    }
}

/// Says in the registry that nothing is left of a cluster; one that EKS does not know any more leaves it. None
/// where a registration has taken the retirement back.
pub(in super::super) async fn finish(
    context: &Context<'_>,
    writer: &dyn LedgerWriter,
    cluster: &ClusterArn,
    is_gone: bool,
) -> Result<Option<Retirement>, Error> {
    let mut view = View::default();
    view.read(context.ledger, &[registry_key()]).await?;
    let mut registry = ledger::registry(&view, &context.settings.plan.deployment)?;
    let record = registry.clusters.get_mut(cluster).filter(|record| record.is_retiring());
    let Some(retirement) = record.and_then(|record| record.retired.as_mut()) else {
        return Ok(None);
    };
    let finished = if is_gone {
        leave(&mut registry, cluster);
        Retirement::Deregistered
    } else {
        retirement.drained_at.get_or_insert(context.clock.now());
        Retirement::Drained
    };
    let (mut writes, revision) = (WriteSet::default(), context.run.revision());
    writes.put(&mut view, registry_key(), &registry, &revision)?;
    writes.commit(context.ledger, writer).await?;
    Ok(Some(finished))
}

/// Takes a cluster out of the registry. Its retirement stays noted, so that an old registration
/// that is delivered again does not bring it back for good.
fn leave(registry: &mut Registry, cluster: &ClusterArn) {
    let Some(record) = registry.clusters.remove(cluster) else { return };
    let Some(retirement) = record.retired else { return };
    let nobody = Exemptions::default();
    let retirement =
        ledger::RetirementRecord { drained_at: None, exemptions: nobody, ..retirement };
    if registry.has_room_for_retirement() {
        registry.retirements.insert(cluster.clone(), retirement);
    }
}
