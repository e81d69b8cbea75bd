//! What the ledger says of a cluster and of its inside.

use std::collections::BTreeMap;

use pod_identity_core::{ClusterArn, DominoName};

use crate::ledger::{
    self, BindingRecord, Condition, InsideBinding, InsideCluster, Intended, LedgerError,
    ReportedPod, Sweeps, View, bindings_partition, inside_key, inside_partition, intended_key,
    reported_partition, sweeps_key,
};
use crate::ports::LedgerReader;

/// What the ledger says.
#[derive(Default)]
pub(super) struct Remembered {
    /// What was read, for the expectations of writes.
    pub(super) view: View,
    /// Bindings and tombstones.
    pub(super) bindings: BTreeMap<DominoName, BindingRecord>,
    pub(super) conditions: BTreeMap<DominoName, Condition>,
    pub(super) inside: BTreeMap<DominoName, InsideBinding>,
    pub(super) cluster: InsideCluster,
    /// What the last run was about to evict, and may not have told.
    pub(super) intended: Intended,
    pub(super) sweeps: Sweeps,
    /// By uid of the pod.
    pub(super) reported: BTreeMap<String, ReportedPod>,
}

impl Remembered {
    /// Reads all of it.
    pub(super) async fn read(
        reader: &dyn LedgerReader,
        cluster: &ClusterArn,
    ) -> Result<Self, LedgerError> {
        let mut view = View::default();
        view.query(reader, bindings_partition(), "").await?;
        let more = [inside_key(cluster), intended_key(cluster), sweeps_key(cluster)];
        let (bindings, conditions) = ledger::on_cluster(&mut view, reader, cluster, &more).await?;
        view.query(reader, &inside_partition(cluster), "").await?;
        view.query(reader, &reported_partition(cluster), "").await?;
        let stored = view.get::<InsideCluster>(&inside_key(cluster))?;
        let intended = view.get::<Intended>(&intended_key(cluster))?;
        let sweeps = view.get::<Sweeps>(&sweeps_key(cluster))?;
        Ok(Self {
            conditions,
            bindings,
            inside: ledger::by_name(&view, &inside_partition(cluster))?,
            cluster: stored.unwrap_or_default(),
            intended: intended.unwrap_or_default(),
            sweeps: sweeps.unwrap_or_default(),
            reported: view.all_keyed_from(&reported_partition(cluster), "")?.into_iter().collect(),
            view,
        })
    }
}
