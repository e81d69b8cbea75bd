//! What the ledger says of a cluster and of its inside.

use std::collections::BTreeMap;

use pod_identity_core::{ClusterArn, DominoName};

use crate::ledger::{
    BindingRecord, Condition, InsideBinding, InsideCluster, LedgerError, Told, View,
    bindings_partition, condition_key, inside_key, inside_partition, told_partition,
};
use crate::ports::{Key, LedgerReader};

/// What the ledger says.
#[derive(Default)]
pub(super) struct Known {
    /// What was read, for the expectations of writes.
    pub(super) view: View,
    /// Bindings and tombstones.
    pub(super) bindings: BTreeMap<DominoName, BindingRecord>,
    pub(super) conditions: BTreeMap<DominoName, Condition>,
    pub(super) inside: BTreeMap<DominoName, InsideBinding>,
    pub(super) cluster: InsideCluster,
    /// By uid of the pod.
    pub(super) told: BTreeMap<String, Told>,
}

impl Known {
    /// Reads all of it.
    pub(super) async fn read(
        ledger: &impl LedgerReader,
        cluster: &ClusterArn,
    ) -> Result<Self, LedgerError> {
        let mut view = View::default();
        view.query(ledger, bindings_partition(), "").await?;
        let bindings: BTreeMap<DominoName, BindingRecord> =
            by_name(view.all_keyed(bindings_partition())?);
        let mut keys: Vec<Key> = bindings.keys().map(|name| condition_key(name, cluster)).collect();
        keys.push(inside_key(cluster));
        view.read(ledger, &keys).await?;
        view.query(ledger, &inside_partition(cluster), "").await?;
        view.query(ledger, &told_partition(cluster), "").await?;
        let mut conditions = BTreeMap::new();
        for name in bindings.keys() {
            if let Some(stored) = view.get::<Condition>(&condition_key(name, cluster))? {
                conditions.insert(name.clone(), stored.record);
            }
        }
        let stored = view.get::<InsideCluster>(&inside_key(cluster))?;
        Ok(Self {
            bindings,
            conditions,
            inside: by_name(view.all_keyed(&inside_partition(cluster))?),
            cluster: stored.map(|stored| stored.record).unwrap_or_default(),
            told: view.all_keyed(&told_partition(cluster))?.into_iter().collect(),
            view,
        })
    }
}

fn by_name<T>(all: Vec<(String, T)>) -> BTreeMap<DominoName, T> {
    all.into_iter().filter_map(|(sort, record)| Some((sort.parse().ok()?, record))).collect()
}
