//! What a view knows of all bindings, of their conditions on a cluster, and of a cluster itself.

use std::collections::BTreeMap;

use pod_identity_core::{ClusterArn, DominoName, Rules, ServiceAccountRef};
use serde::de::DeserializeOwned;

use super::keys::{account_prefix, bindings_partition, cluster_partition, condition_key};
use super::records::{AccountRecord, BindingRecord, Condition};
use super::registry::{ClusterRecord, Registry};
use super::view::{LedgerError, View};
use crate::error::Error;
use crate::ports::{Key, LedgerReader};

/// Every binding and tombstone of a view that holds their partition.
pub(crate) fn bindings(view: &View) -> Result<BTreeMap<DominoName, BindingRecord>, LedgerError> {
    by_name(view, bindings_partition())
}

/// The records of a partition whose sort keys are Domino names.
pub(crate) fn by_name<T: DeserializeOwned>(
    view: &View,
    partition: &str,
) -> Result<BTreeMap<DominoName, T>, LedgerError> {
    let all = view.all_keyed_from(partition, "")?;
    Ok(all.into_iter().filter_map(|(sort, record)| Some((sort.parse().ok()?, record))).collect())
}

/// What a view remembers of the Kubernetes service accounts of a cluster.
///
/// # Errors
/// When an item does not read as one.
pub fn accounts(
    view: &View,
    cluster: &ClusterArn,
) -> Result<BTreeMap<ServiceAccountRef, AccountRecord>, LedgerError> {
    let all = view.all_keyed_from(&cluster_partition(cluster), account_prefix())?;
    let place = |sort: &str| {
        let (namespace, name) = sort.strip_prefix(account_prefix())?.split_once('/')?;
        ServiceAccountRef::new(namespace, name).ok()
    };
    Ok(all.into_iter().filter_map(|(sort, record)| Some((place(&sort)?, record))).collect())
}

/// Every binding and tombstone of a view that holds their partition, and their conditions on a cluster, which are
/// read, together with more.
pub(crate) async fn on_cluster(
    view: &mut View,
    reader: &dyn LedgerReader,
    cluster: &ClusterArn,
    more: &[Key],
) -> Result<(BTreeMap<DominoName, BindingRecord>, BTreeMap<DominoName, Condition>), LedgerError> {
    let bindings = bindings(view)?;
    let mut keys: Vec<Key> = bindings.keys().map(|name| condition_key(name, cluster)).collect();
    keys.extend_from_slice(more);
    view.read(reader, &keys).await?;
    let mut conditions = BTreeMap::new();
    for name in bindings.keys() {
        if let Some(stored) = view.get::<Condition>(&condition_key(name, cluster))? {
            conditions.insert(name.clone(), stored);
        }
    }
    Ok((bindings, conditions))
}

impl Registry {
    /// A cluster that may be worked on, or why it is left alone.
    pub(crate) fn admitted(
        &self,
        cluster: &ClusterArn,
        rules: &Rules,
    ) -> Result<&ClusterRecord, Error> {
        let Some(record) = self.clusters.get(cluster) else {
            return Err(
                format!("cluster {cluster} is not registered; send Cluster Registered").into()
            );
        };
        rules.admits_registration(&record.registration).map_err(|reasons| {
            format!(
                "cluster {cluster} is no longer admitted: {}; admit it in the deployment's allow-lists, or register it again",
                reasons.join("; ")
            )
        })?;
        Ok(record)
    }
}
