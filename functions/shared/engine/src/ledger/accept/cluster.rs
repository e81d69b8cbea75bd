//! Whether a registration or a retirement becomes the desired state.

use pod_identity_core::{ClusterArn, Exemptions, Registration, Version};
use pod_identity_events::detail_type::{CLUSTER_REGISTERED, CLUSTER_RETIRED};
use serde_json::json;

use super::{Acceptance, Decision, older, remember, reused};
use crate::ledger::records::HistoryOutcome;
use crate::ledger::registry::{ClusterRecord, RetirementRecord};
use crate::ledger::{
    LedgerError, MAX_CLUSTERS, MAX_REGISTRY_BYTES, View, WriteSet, registry, registry_key,
};

/// A cluster's registration and its retirement each have a version of their
/// own; the retirement stands while it is the newer one. So every order of
/// arrival ends alike.
pub(super) fn accept_cluster(
    acceptance: Acceptance<'_>,
    cluster: &ClusterArn,
    change: Result<&Registration, &Exemptions>,
    view: &mut View,
    writes: &mut WriteSet,
) -> Result<Decision, LedgerError> {
    let version = &acceptance.command.version;
    let of = cluster.as_str();
    let mut registry = registry(view, acceptance.deployment)?;
    let current = registry.clusters.get(cluster).cloned();
    let described = match change {
        Ok(registration) => json!(registration),
        Err(exemptions) if exemptions.is_nobody() => json!({ "retire": cluster }),
        Err(exemptions) => json!({ "retire": cluster, "exemptServiceAccounts": exemptions }),
    };
    if let Some(refused) = reused(acceptance, of, &described, view)? {
        return Ok(refused);
    }
    let registered = current.as_ref().map(|current| (&current.version, CLUSTER_REGISTERED));
    let noted = registry.retirements.get(cluster);
    let retired = current.as_ref().map_or(noted, |current| current.retired.as_ref());
    let retired = retired.map(|retirement| (&retirement.version, CLUSTER_RETIRED));
    // A retirement is also older than a registration that came after it.
    let standing = if change.is_ok() { registered } else { registered.max(retired) };
    if let Some(standing) = standing
        && let Some(decision) = older(acceptance, of, standing, described.clone(), view, writes)?
    {
        return Ok(decision);
    }
    match (change, current) {
        (Ok(registration), current) => {
            if current.is_none() && registry.clusters.len() >= MAX_CLUSTERS {
                return Ok(too_many(cluster));
            }
            let noted = registry.retirements.remove(cluster);
            let retired = current.and_then(|current| current.retired).or(noted);
            let record = ClusterRecord {
                registration: registration.clone(),
                version: version.clone(),
                retired: retired.filter(|retired| retired.version > *version),
            };
            registry.clusters.insert(cluster.clone(), record);
        }
        // One that has begun goes on, with the new list.
        (Err(exemptions), Some(mut current)) => {
            current.retired = Some(retirement(exemptions, version, current.retired.as_ref()));
            registry.clusters.insert(cluster.clone(), current);
        }
        // The registration may still be on its way: it must not make the cluster active then.
        (Err(exemptions), None) => {
            let noted = registry.retirements.get(cluster);
            let retirement = retirement(exemptions, version, noted);
            if noted.is_none() && !registry.has_room_for_retirement() {
                return Ok(too_many(cluster));
            }
            registry.retirements.insert(cluster.clone(), retirement);
        }
    }
    registry.deployment = Some(acceptance.deployment.to_owned());
    let bytes = json!(registry).to_string().len();
    if bytes > MAX_REGISTRY_BYTES {
        return Ok(Decision::Refused(format!(
            "cluster {cluster}: the registry would have {bytes} bytes, and every event reads it, so {MAX_REGISTRY_BYTES} is the most; retire clusters that are not needed, or name fewer node roles or exempt service accounts"
        )));
    }
    writes.put(view, registry_key(), &registry, acceptance.revision)?;
    remember(acceptance, of, HistoryOutcome::Accepted, described, view, writes)?;
    Ok(Decision::Accepted)
}

fn retirement(
    exemptions: &Exemptions,
    version: &Version,
    before: Option<&RetirementRecord>,
) -> RetirementRecord {
    RetirementRecord {
        version: version.clone(),
        exemptions: exemptions.clone(),
        begun_at: before.and_then(|before| before.begun_at),
        drained_at: before.and_then(|before| before.drained_at),
    }
}

fn too_many(cluster: &ClusterArn) -> Decision {
    Decision::Refused(format!(
        "cluster {cluster} would be one too many: a deployment remembers at most {MAX_CLUSTERS}"
    ))
}
