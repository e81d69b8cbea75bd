//! The order in which the ledger recorded the claims on Kubernetes service accounts, worked out from
//! the accepted changes alone.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{Binding, ClusterArn, ServiceAccountRef, Version};
use pod_identity_engine::ledger::{HistoryOutcome, HistoryRecord};
use pod_identity_world::World;

use crate::stage;

/// The claims of each account on each cluster, the oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queues {
    known: BTreeMap<String, Option<Binding>>,
    seen: BTreeSet<(String, Version)>,
    order: BTreeMap<(ClusterArn, ServiceAccountRef), Vec<String>>,
    /// The service accounts of each invocation's batch as they came, by request id.
    pub(crate) came: BTreeMap<String, Vec<String>>,
    /// Whether the ledger was replaced, so that the order is not known.
    pub(crate) lost: bool,
}

impl Queues {
    /// Takes in what was accepted since: within one transaction the service accounts as they came, the
    /// changes of each in the order of their versions.
    pub(crate) fn merge_in(&mut self, world: &World) {
        let mut changed: Vec<(usize, Version, String, Option<Binding>)> = Vec::new();
        for item in world.ledger.items() {
            let Some(name) = item.key.partition.strip_prefix("HISTORY#svc-") else { continue };
            let Ok(record) = serde_json::from_value::<HistoryRecord>(item.body.clone()) else {
                continue;
            };
            let accepted = record.outcome == HistoryOutcome::Accepted;
            if accepted && self.seen.insert((name.to_owned(), record.version.clone())) {
                let binding = serde_json::from_value(record.change).ok();
                let name = format!("svc-{name}");
                let batch = self.came.get(&record.request_id).map(Vec::as_slice);
                let came = batch.unwrap_or_default().iter().position(|one| *one == name);
                changed.push((came.unwrap_or(usize::MAX), record.version, name, binding));
            }
        }
        changed.sort_by(|a, b| (a.0, &a.1, &a.2).cmp(&(b.0, &b.1, &b.2)));
        for (_, _, name, binding) in changed {
            let before = self.known.insert(name.clone(), binding.clone()).flatten();
            for cluster in stage::clusters() {
                let place = |binding: &Option<Binding>| {
                    let covers = binding.as_ref().filter(|binding| binding.selects(&cluster));
                    covers.map(|binding| binding.kubernetes.clone())
                };
                let (was, is) = (place(&before), place(&binding));
                if was == is {
                    continue;
                }
                if let Some(was) = was {
                    let queue = self.order.entry((cluster.clone(), was)).or_default();
                    queue.retain(|other| *other != name);
                }
                if let Some(is) = is {
                    self.order.entry((cluster, is)).or_default().push(name.clone());
                }
            }
        }
    }

    /// The service account whose claim is the oldest.
    pub(crate) fn holder(&self, cluster: &ClusterArn, place: &ServiceAccountRef) -> Option<&str> {
        self.order.get(&(cluster.clone(), place.clone()))?.first().map(String::as_str)
    }
}
