//! Conditions and the node policy's memory, written under the lease's fence.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_core::{ClusterArn, DominoName, KubernetesName};

use super::Context;
use super::places::Loaded;
use crate::error::chain;
use crate::lease::Lease;
use crate::ledger::{
    AccountRecord, Condition, LedgerError, NodePolicyRecord, View, WriteSet, account_key,
    condition_key, lease_key, node_policy_key,
};
use crate::ports::{Clock, Key, LedgerReader, LedgerWriter, MAX_WRITE, WriteError};

/// How often conditions are written anew when newer events got in between.
const ATTEMPTS: usize = 5;

/// How long a place without an association of ours is remembered, in seconds: longer than EKS
/// remembers a client token, of which it documents no bound.
const FORGOTTEN_AFTER: i64 = 30 * 24 * 3600;

/// What the ledger shall remember of a cluster, as far as it is new.
pub(super) struct Memory {
    pub(super) node_policy: Option<NodePolicyRecord>,
    /// By Kubernetes service account.
    pub(super) accounts: BTreeMap<KubernetesName, AccountRecord>,
}

/// Writes the conditions under the lease's fence and gives the lease back with
/// the last of them. A condition that a newer event has changed meanwhile is
/// left to that event.
pub(super) async fn write<R, W, C>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    lease: &Lease,
    loaded: &Loaded,
    conditions: &mut BTreeMap<DominoName, Condition>,
    failures: &mut BTreeMap<DominoName, String>,
    memory: Memory,
) -> Result<(), String>
where
    R: LedgerReader,
    W: LedgerWriter,
    C: Clock,
{
    let policy_key = node_policy_key(cluster);
    let remembered =
        loaded.view.get::<NodePolicyRecord>(&policy_key).map_err(|error| chain(&error))?;
    let Memory { node_policy, mut accounts } = memory;
    let mut node_policy =
        node_policy.filter(|record| remembered.as_ref().is_none_or(|was| was.record != *record));
    let mut view = loaded.view.clone();
    let mut left: Vec<DominoName> = conditions.keys().cloned().collect();
    let mut conflicts = 0;
    while conflicts < ATTEMPTS {
        let revision = context.run.revision();
        // One write of each transaction is the lease's, and the last has the node policies'. The
        // accounts go first: what is remembered as ours is found again, whatever is lost behind it.
        let room = MAX_WRITE - 2;
        let places: Vec<KubernetesName> = accounts.keys().take(room).cloned().collect();
        let chunk: Vec<DominoName> = left.iter().take(room - places.len()).cloned().collect();
        let is_last = chunk.len() == left.len() && places.len() == accounts.len();
        let mut writes = WriteSet::default();
        let mut attempt = view.clone();
        for place in &places {
            let (key, record) = (account_key(cluster, place), &accounts[place]);
            let expires_at = forgotten_at(record, context.clock.now());
            writes
                .put_until(&mut attempt, key, record, &revision, expires_at)
                .map_err(|error| chain(&error))?;
        }
        for name in &chunk {
            let key = condition_key(name, cluster);
            writes
                .put(&mut attempt, key, &conditions[name], &revision)
                .map_err(|error: LedgerError| chain(&error))?;
        }
        if let Some(record) = node_policy.as_ref().filter(|_| is_last) {
            writes
                .put(&mut attempt, policy_key.clone(), record, &revision)
                .map_err(|error| chain(&error))?;
        }
        if is_last {
            lease.release(context.run, &mut writes)
        } else {
            lease.fence(&mut writes)
        }
        match writes.commit(context.reader, context.writer).await {
            Ok(()) if is_last => return Ok(()),
            Ok(()) => {
                left.drain(..chunk.len());
                accounts.retain(|place, _| !places.contains(place));
                view = attempt;
            }
            Err(WriteError::Port(error)) => return Err(chain(&error)),
            Err(WriteError::Conflict) => {
                conflicts += 1;
                let fresh = reread(context, cluster, &left, accounts.keys(), lease).await?;
                left.retain(|name| {
                    let key = condition_key(name, cluster);
                    let same = fresh.revision(&key) == view.revision(&key);
                    if !same {
                        conditions.remove(name);
                        failures.insert(
                            name.clone(),
                            "a newer event changed the ledger meanwhile; it goes on from here"
                                .to_owned(),
                        );
                    }
                    same
                });
                if fresh.revision(&policy_key) != view.revision(&policy_key) {
                    node_policy = None;
                }
                view = fresh;
            }
        }
    }
    Err(format!("the ledger kept changing under cluster {}", cluster.name()))
}

/// When what is remembered of a place may be forgotten, in seconds since 1970: never while an
/// association of ours is there, or may still show.
fn forgotten_at(record: &AccountRecord, now: Timestamp) -> Option<i64> {
    record.held.is_none().then(|| now.as_second().saturating_add(FORGOTTEN_AFTER))
}

async fn reread<R: LedgerReader, W, C>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    names: &[DominoName],
    places: impl Iterator<Item = &KubernetesName>,
    lease: &Lease,
) -> Result<View, String> {
    let mut keys: Vec<Key> = names.iter().map(|name| condition_key(name, cluster)).collect();
    keys.extend(places.map(|place| account_key(cluster, place)));
    keys.extend([node_policy_key(cluster), lease_key(cluster)]);
    let mut view = View::default();
    view.read(context.reader, &keys).await.map_err(|error| chain(&error))?;
    if lease.is_held(&view) {
        Ok(view)
    } else {
        Err(format!(
            "the lease of cluster {} was lost before the work was written down",
            cluster.name()
        ))
    }
}
