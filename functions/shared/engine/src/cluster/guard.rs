//! The guard of a retirement: who would be left without an association.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::plan::Problem;
use pod_identity_core::{ClusterArn, DominoName};
use pod_identity_events::BlockedCode;

use crate::ledger::{
    BindingRecord, Condition, ConditionState, LedgerError, Registry, Retirement, Stored, View,
    condition_key,
};
use crate::ports::{Key, LedgerReader};

/// What holds a retirement up until they are ready elsewhere.
pub(crate) const WAY_OUT: &str = "register another cluster and have them become ready there, repair \
    what blocks them there, or send Cluster Retired again with their names in givenUp";

/// Those whose binding, in its current version, is ready on no other cluster that stays, and whom
/// the retirement does not give up. Read from the ledger now.
pub(crate) async fn left_behind(
    ledger: &impl LedgerReader,
    registry: &Registry,
    cluster: &ClusterArn,
    retirement: &Retirement,
    bindings: &BTreeMap<DominoName, BindingRecord>,
) -> Result<BTreeSet<DominoName>, LedgerError> {
    let staying: Vec<&ClusterArn> = registry
        .clusters
        .iter()
        .filter(|(other, record)| *other != cluster && record.retired.is_none())
        .map(|(other, _)| other)
        .collect();
    let mut left: BTreeMap<&DominoName, &BindingRecord> =
        bindings.iter().filter(|(name, _)| !retirement.given_up.names(name)).collect();
    for other in staying {
        let keys: Vec<Key> = left.keys().map(|name| condition_key(name, other)).collect();
        let mut view = View::default();
        view.read(ledger, &keys).await?;
        let mut ready = BTreeSet::new();
        for (name, record) in &left {
            let condition = view.get::<Condition>(&condition_key(name, other))?;
            let is_ready = condition.is_some_and(|Stored { record: condition, .. }| {
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

/// Why somebody keeps the association on a cluster that is being retired.
pub(crate) fn problem(cluster: &ClusterArn) -> Problem {
    Problem {
        code: BlockedCode::NotReadyElsewhere,
        reason: format!(
            "cluster {} is being retired, and the service account is not ready on another one, so it keeps its association",
            cluster.name()
        ),
        way_out: WAY_OUT.to_owned(),
    }
}
