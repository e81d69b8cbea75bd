//! The guard of a retirement: who would be left without an association.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{ClusterArn, DominoName, Exemptions};
use pod_identity_events::Problem;

use crate::ledger::{
    self, BindingRecord, Condition, ConditionState, LedgerError, Registry, View,
    bindings_partition, condition_key, registry_key,
};
use crate::ports::{Key, LedgerReader};
use crate::settings::Settings;

/// Those whose binding, in its current version, is ready on no other cluster that stays, and whom
/// the retirement does not give up. Read from the ledger now.
pub(crate) async fn left_behind(
    ledger: &dyn LedgerReader,
    registry: &Registry,
    cluster: &ClusterArn,
    exemptions: &Exemptions,
    bindings: &BTreeMap<DominoName, BindingRecord>,
) -> Result<BTreeSet<DominoName>, LedgerError> {
    let staying: Vec<&ClusterArn> = registry
        .clusters
        .iter()
        .filter(|(other, record)| *other != cluster && record.retired.is_none())
        .map(|(other, _)| other)
        .collect();
    let mut left: BTreeMap<&DominoName, &BindingRecord> =
        bindings.iter().filter(|(name, _)| !exemptions.names(name)).collect();
    for other in staying {
        let keys: Vec<Key> = left.keys().map(|name| condition_key(name, other)).collect();
        let mut view = View::default();
        view.read(ledger, &keys).await?;
        let mut ready = BTreeSet::new();
        for (name, record) in &left {
            let condition = view.get::<Condition>(&condition_key(name, other))?;
            let is_ready = condition.is_some_and(|condition: Condition| {
                condition.state == ConditionState::Ready && condition.version == record.version
            });
            if is_ready {
                ready.insert(*name);
            }
        }
        left.retain(|name, _| !ready.contains(name));
    }
    Ok(left.into_keys().cloned().collect())
}

/// Who would hold up the retirement of a cluster that gives some up: all who have or want an
/// association there and are ready on no other cluster that stays.
///
/// # Errors
/// When the ledger cannot be read, or is another deployment's.
pub async fn retirement_blockers(
    ledger: &dyn LedgerReader,
    settings: &Settings,
    cluster: &ClusterArn,
    exemptions: &Exemptions,
) -> Result<BTreeSet<DominoName>, LedgerError> {
    let mut view = View::default();
    view.read(ledger, &[registry_key()]).await?;
    let registry = ledger::registry(&view, &settings.plan.deployment)?;
    view.query(ledger, bindings_partition(), "").await?;
    let (bindings, conditions) = ledger::on_cluster(&mut view, ledger, cluster, &[]).await?;
    holders(ledger, &registry, cluster, exemptions, bindings, &conditions).await
}

/// The same by bindings and conditions that were read.
pub(crate) async fn holders(
    ledger: &dyn LedgerReader,
    registry: &Registry,
    cluster: &ClusterArn,
    exemptions: &Exemptions,
    mut bindings: BTreeMap<DominoName, BindingRecord>,
    conditions: &BTreeMap<DominoName, Condition>,
) -> Result<BTreeSet<DominoName>, LedgerError> {
    bindings.retain(|name, record| {
        let has = conditions.get(name).is_some_and(|one| one.association.is_some());
        record.binding().is_some_and(|binding| binding.selects(cluster) || has)
    });
    left_behind(ledger, registry, cluster, exemptions, &bindings).await
}

/// Why a binding keeps the association on a cluster that is being retired.
pub(crate) fn problem(cluster: &ClusterArn) -> Problem {
    Problem::NotReadyElsewhere { cluster_arn: cluster.to_string() }
}
