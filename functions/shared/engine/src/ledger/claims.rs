//! Who holds a Kubernetes service account: the binding whose claim the ledger recorded first.

use std::collections::BTreeMap;

use pod_identity_core::{Binding, ClusterArn, Clusters, DominoName};
use serde::{Deserialize, Serialize};

/// Most bindings that are queued for one Kubernetes service account. Further ones are accepted, but
/// blocked by the conflict, and queued by reconcile when there is room.
pub const MAX_CLAIMS: usize = 32;

/// The claims on one Kubernetes service account, on all clusters.
///
/// Each claim and cluster has a number, given in the transaction that accepts the claim. On each
/// cluster the smallest number holds. No date in an event and no delivery of an older event changes
/// a number; only a newer event of the same binding that no longer covers the cluster gives it up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimsRecord {
    /// The number that was given last.
    pub last: u64,
    /// The queued claims, at most [`MAX_CLAIMS`].
    #[serde(default)]
    pub queue: BTreeMap<DominoName, Claimed>,
    /// How many bindings want it and are not queued.
    #[serde(default)]
    pub unqueued: u64,
}

/// The numbers of one binding's claim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claimed {
    /// For every cluster of an account, those to be registered too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<AccountClaim>,
    /// For single clusters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clusters: BTreeMap<ClusterArn, u64>,
}

/// A claim on every cluster of an AWS account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountClaim {
    /// Id of the account.
    pub account: String,
    /// Its number.
    pub number: u64,
}

impl Claimed {
    /// The number on a cluster, if the claim covers it.
    #[must_use]
    pub fn number(&self, cluster: &ClusterArn) -> Option<u64> {
        let all = self.all.as_ref().filter(|all| all.account == cluster.account());
        let named = self.clusters.get(cluster).copied();
        named.into_iter().chain(all.map(|all| all.number)).min()
    }

    /// The claim of a binding: what it covered before keeps its number, what is added gets a new one.
    fn covering(&self, binding: &Binding, last: &mut u64) -> Self {
        let mut next = || {
            *last += 1;
            *last
        };
        match &binding.clusters {
            Clusters::All => {
                let account = binding.desired.role.account();
                let all = self.all.clone().filter(|all| all.account == account);
                let all = all.unwrap_or_else(|| AccountClaim {
                    account: account.to_owned(),
                    number: next(),
                });
                let mut clusters = self.clusters.clone();
                clusters.retain(|cluster, n| cluster.account() == account && *n < all.number);
                Self { all: Some(all), clusters }
            }
            Clusters::Named(named) => {
                let number = |cluster: &ClusterArn| {
                    (cluster.clone(), self.number(cluster).unwrap_or_else(&mut next))
                };
                Self { all: None, clusters: named.iter().map(number).collect() }
            }
        }
    }
}

impl ClaimsRecord {
    /// The number of a binding on a cluster; none while it is not queued there.
    #[must_use]
    pub fn number(&self, name: &DominoName, cluster: &ClusterArn) -> Option<u64> {
        self.queue.get(name)?.number(cluster)
    }

    /// The binding that holds the account on a cluster.
    #[must_use]
    pub fn holder(&self, cluster: &ClusterArn) -> Option<&DominoName> {
        let queued = self.queue.iter();
        let queued = queued.filter_map(|(name, claim)| Some((claim.number(cluster)?, name)));
        queued.min().map(|(_, name)| name)
    }

    /// Records the claim of an accepted binding. `is_new` says whether the binding wanted another
    /// account before, or none.
    pub(crate) fn claim(&mut self, binding: &Binding, is_new: bool) {
        let name = &binding.service_account;
        let queued = self.queue.contains_key(name);
        // Those that found no room before have their turn first.
        if queued || (is_new && self.has_room() && self.unqueued == 0) {
            self.renumber(binding);
        } else if is_new {
            self.unqueued += 1;
        }
    }

    /// Queues a binding that was not for want of room; says whether there was some.
    pub(crate) fn enqueue(&mut self, binding: &Binding) -> bool {
        let fits = self.has_room() && !self.queue.contains_key(&binding.service_account);
        if fits {
            self.unqueued = self.unqueued.saturating_sub(1);
            self.renumber(binding);
        }
        fits
    }

    /// Gives up the claim of a binding that wants the account no longer.
    pub(crate) fn withdraw(&mut self, name: &DominoName) {
        if self.queue.remove(name).is_none() {
            self.unqueued = self.unqueued.saturating_sub(1);
        }
    }

    fn has_room(&self) -> bool {
        self.queue.len() < MAX_CLAIMS
    }

    fn renumber(&mut self, binding: &Binding) {
        let before = self.queue.remove(&binding.service_account).unwrap_or_default();
        let claim = before.covering(binding, &mut self.last);
        self.queue.insert(binding.service_account.clone(), claim);
    }
}
