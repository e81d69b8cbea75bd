//! Conditions and the node policy's memory, written under the lease's fence.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::{ClusterArn, DominoName, ServiceAccountRef};

use super::places::Loaded;
use crate::apply::Target;
use crate::context::Context;
use crate::error::Error;
use crate::lease::Lease;
use crate::ledger::{
    AccountRecord, Condition, NodePolicyRecord, View, WriteSet, account_key, claims_key,
    condition_key, lease_key, node_policy_key,
};
use crate::ports::{Key, MAX_WRITE, WriteError};

/// How often conditions are written again when newer events got in between.
const ATTEMPTS: usize = 5;

/// How long a place without an association of ours is remembered, in seconds: longer than EKS
/// remembers a client token, of which it documents no bound.
const FORGOTTEN_AFTER: i64 = 30 * 24 * 3600;

/// What the ledger shall remember of a cluster, as far as it is new.
pub(super) struct Memory {
    pub(super) node_policy: Option<NodePolicyRecord>,
    /// By Kubernetes service account.
    pub(super) accounts: BTreeMap<ServiceAccountRef, AccountRecord>,
    /// The places that no binding holds now, and the service accounts that left them: the claims
    /// there have to be as they were read.
    pub(super) left: BTreeMap<ServiceAccountRef, BTreeSet<DominoName>>,
}

/// Writes the conditions under the lease's fence and gives the lease back with
/// the last of them. A condition that a newer event has changed meanwhile is
/// left to that event.
pub(super) async fn write(
    target: &Target<'_>,
    loaded: &Loaded,
    conditions: &mut BTreeMap<DominoName, Condition>,
    failures: &mut BTreeMap<DominoName, Error>,
    memory: Memory,
) -> Result<(), Error> {
    let &Target { ref cloud, writers, access, lease } = target;
    let (context, cluster) = (cloud.context, &access.cluster);
    let policy_key = node_policy_key(cluster);
    let remembered = loaded.view.get::<NodePolicyRecord>(&policy_key)?;
    let Memory { node_policy, mut accounts, left: mut places_left } = memory;
    let mut node_policy =
        node_policy.filter(|record| remembered.as_ref().is_none_or(|was| was != record));
    let mut view = loaded.view.clone();
    let mut left: Vec<DominoName> = conditions.keys().cloned().collect();
    let mut conflicts = 0;
    while conflicts < ATTEMPTS {
        let revision = context.run.revision();
        // One write of each transaction is the lease's, and the last has the node policies'. The
        // accounts go first: what is remembered as ours is found again, whatever is lost behind it.
        let room = MAX_WRITE - 2;
        let places: Vec<ServiceAccountRef> = accounts.keys().take(room).cloned().collect();
        let (chunk, checked) = fitting(&left, &places_left, room - places.len());
        let is_last = chunk.len() == left.len() && places.len() == accounts.len();
        let mut writes = WriteSet::default();
        let mut attempt = view.clone();
        for place in &checked {
            writes.check_unchanged(&attempt, claims_key(place));
        }
        for place in &places {
            let (key, record) = (account_key(cluster, place), &accounts[place]);
            let expires_at = forgotten_at(record, context.clock.now());
            writes.put_until(&mut attempt, key, record, &revision, expires_at)?;
        }
        for name in &chunk {
            let key = condition_key(name, cluster);
            writes.put(&mut attempt, key, &conditions[name], &revision)?;
        }
        if let Some(record) = node_policy.as_ref().filter(|_| is_last) {
            writes.put(&mut attempt, policy_key.clone(), record, &revision)?;
        }
        if is_last {
            lease.release(context.run, &mut writes)
        } else {
            lease.fence(&mut writes)
        }
        match writes.commit(context.ledger, writers.ledger).await {
            Ok(()) if is_last => return Ok(()),
            Ok(()) => {
                left.retain(|name| !chunk.contains(name));
                accounts.retain(|place, _| !places.contains(place));
                view = attempt;
            }
            Err(WriteError::Port(error)) => return Err(error.into()),
            Err(WriteError::Conflict) => {
                conflicts += 1;
                let keys = accounts.keys().map(|place| account_key(cluster, place));
                let keys = keys.chain(places_left.keys().map(claims_key)).collect();
                let fresh = reread(&context, cluster, &left, keys, lease).await?;
                places_left.retain(|place, names| {
                    let key = claims_key(place);
                    let same = fresh.revision(&key) == view.revision(&key);
                    if !same {
                        for name in &*names {
                            conditions.remove(name);
                            left.retain(|other| other != name);
                            let why = format!("another binding claimed {place} meanwhile; the next delivery looks again");
                            failures.insert(name.clone(), why.into());
                        }
                    }
                    same
                });
                left.retain(|name| {
                    let key = condition_key(name, cluster);
                    let same = fresh.revision(&key) == view.revision(&key);
                    if !same {
                        conditions.remove(name);
                        let why =
                            "a newer event changed the ledger meanwhile; it goes on from here";
                        failures.insert(name.clone(), why.into());
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
    Err(format!("the ledger kept changing under cluster {}", cluster.name()).into())
}

/// As many of the service accounts as fit a transaction with the checks of the claims at the places
/// that they left, and those places.
fn fitting(
    names: &[DominoName],
    places_left: &BTreeMap<ServiceAccountRef, BTreeSet<DominoName>>,
    room: usize,
) -> (Vec<DominoName>, BTreeSet<ServiceAccountRef>) {
    let (mut chunk, mut checked) = (Vec::new(), BTreeSet::new());
    for name in names {
        let of_name = places_left.iter().filter(|(_, names)| names.contains(name));
        let mut with = checked.clone();
        with.extend(of_name.map(|(place, _)| place.clone()));
        if chunk.len() + 1 + with.len() > room {
            break;
        }
        chunk.push(name.clone());
        checked = with;
    }
    (chunk, checked)
}

/// When what is remembered of a place may be forgotten, in seconds since 1970: never while an
/// association of ours is there, or may still show.
fn forgotten_at(record: &AccountRecord, now: Timestamp) -> Option<i64> {
    record.held.is_none().then(|| now.as_second().saturating_add(FORGOTTEN_AFTER))
}

async fn reread(
    context: &Context<'_>,
    cluster: &ClusterArn,
    names: &[DominoName],
    mut more: Vec<Key>,
    lease: &Lease,
) -> Result<View, Error> {
    let mut keys: Vec<Key> = names.iter().map(|name| condition_key(name, cluster)).collect();
    keys.append(&mut more);
    keys.extend([node_policy_key(cluster), lease_key(cluster)]);
    let mut view = View::default();
    view.read(context.ledger, &keys).await?;
    if lease.is_held(&view) {
        Ok(view)
    } else {
        Err(format!(
            "the lease of cluster {} was lost before the work was written down",
            cluster.name()
        )
        .into())
    }
}
