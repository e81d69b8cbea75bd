//! Taking roles out of the policies, and keeping the policies few.

use std::collections::{BTreeMap, BTreeSet};

use super::document::Shard;
use super::packing::{BinPacker, Capacities, longest_first};
use crate::{ClusterArn, RoleArn};

/// What a compaction does, in two rounds: first what is written, then what is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compaction {
    /// The policies that stay, by number, as they are to be written. None loses a role that is kept.
    pub shards: Vec<Shard>,
    /// The policies to delete once these are written, the highest number first: what they listed and is
    /// kept is listed by others then.
    pub deleted: Vec<u32>,
}

/// Takes every role that is not to be kept out of the policies, and gives up the policies that are not
/// needed: the highest numbers, as long as the others have room for all that they list.
///
/// A policy is written only when it loses roles or takes those of another. The policy with the
/// cluster's statement is never given up. Roles of `keep` that no policy lists are
/// [`extend`](super::extend)'s. Compacting once more changes nothing.
#[must_use]
pub fn compact(
    shards: &[Shard],
    keep: &BTreeSet<RoleArn>,
    cluster: Option<&ClusterArn>,
) -> Compaction {
    let capacities = Capacities::new(cluster);
    let before: BTreeMap<u32, &Shard> = shards.iter().map(|shard| (shard.number, shard)).collect();
    let kept = |shard: &Shard| shard.roles.intersection(keep).cloned().collect();
    let mut lists: BTreeMap<u32, BTreeSet<RoleArn>> =
        before.iter().map(|(number, shard)| (*number, kept(shard))).collect();
    let mut deleted = Vec::new();
    for (&number, shard) in before.iter().rev() {
        if cluster.is_some() && shard.statement {
            continue;
        }
        let others = lists.iter().filter(|(other, _)| **other != number);
        let listed: BTreeSet<&RoleArn> = others.clone().flat_map(|(_, roles)| roles).collect();
        let free = |(other, roles): (&u32, _)| {
            Some((*other, capacities.free(cluster.is_some() && before[other].statement, roles)?))
        };
        let moving: Vec<RoleArn> =
            lists[&number].iter().filter(|role| !listed.contains(role)).cloned().collect();
        let mut packer = BinPacker::new(others.filter_map(free).collect());
        if !longest_first(&moving).into_iter().all(|role| packer.place(role)) {
            break;
        }
        for (taker, roles) in packer.placed {
            lists.entry(taker).or_default().extend(roles.into_iter().cloned());
        }
        lists.remove(&number);
        deleted.push(number);
    }
    let stays = lists.into_iter().map(|(number, roles)| Shard { roles, ..before[&number].clone() });
    Compaction { shards: stays.collect(), deleted }
}
