//! Spreading roles over policies: stable, and as few policies as fit.

use std::collections::BTreeSet;

use pod_identity_events::PolicyCapacity;

use super::MAX_POLICY_CHARACTERS;
use super::document::{Shard, cost};
use super::packing::{Placing, Rooms, longest_first};
use crate::{ClusterArn, RoleArn};

/// A policy to make or to write anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardChange {
    /// Its number, from 1.
    pub number: u32,
    /// Whether it does not exist yet.
    pub is_new: bool,
    /// All roles it lists from now on.
    pub roles: BTreeSet<RoleArn>,
    /// Those among them that are new.
    pub added: BTreeSet<RoleArn>,
    /// Those that it no longer lists.
    pub removed: BTreeSet<RoleArn>,
}

/// What has to be written so that the policies list more roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extension {
    /// The policies to write, by number. None loses a role.
    pub changes: Vec<ShardChange>,
    /// Roles for which no policy has room.
    pub unplaced: BTreeSet<RoleArn>,
}

/// Places the wanted roles that no policy lists yet.
///
/// A role that is listed stays where it is. A new one goes to the fullest
/// policy that still has room, policies already touched first. `max_shards`
/// bounds the number of policies. A policy is added only for a role that fits
/// none of those that are there.
#[must_use]
pub fn extend(
    shards: &[Shard],
    wanted: &BTreeSet<RoleArn>,
    cluster: Option<&ClusterArn>,
    max_shards: u32,
) -> Extension {
    let listed: BTreeSet<&RoleArn> = shards.iter().flat_map(|shard| &shard.roles).collect();
    let rooms = Rooms::new(cluster);
    let free =
        |shard: &Shard| (shard.number, rooms.free(shard.number, &shard.roles).unwrap_or_default());
    let mut placing = Placing::new(shards.iter().map(free).collect());
    let bound = usize::try_from(max_shards).unwrap_or(usize::MAX);
    let mut unplaced = BTreeSet::new();
    for role in longest_first(wanted.iter().filter(|role| !listed.contains(role))) {
        if placing.place(role) {
            continue;
        }
        // The first policy has the least room.
        if placing.policies() < bound && cost(role) <= rooms.of(1) {
            placing.open(rooms);
            placing.place(role);
        } else {
            unplaced.insert(role.clone());
        }
    }
    let changes = placing.placed.into_iter().map(|(number, added)| {
        let shard = shards.iter().find(|shard| shard.number == number);
        let mut roles = shard.map(|shard| shard.roles.clone()).unwrap_or_default();
        roles.extend(added.iter().copied().cloned());
        let added = added.into_iter().cloned().collect();
        ShardChange { number, is_new: shard.is_none(), roles, added, removed: BTreeSet::new() }
    });
    Extension { changes: changes.collect(), unplaced }
}

/// Whether the wanted roles need a policy that does not exist yet. Only then
/// do the node roles' free attachment slots matter.
#[must_use]
pub fn needs_new_shard(
    shards: &[Shard],
    wanted: &BTreeSet<RoleArn>,
    cluster: Option<&ClusterArn>,
) -> bool {
    extend(shards, wanted, cluster, u32::MAX).changes.iter().any(|change| change.is_new)
}

/// How full a cluster's policies are, when at most `max_shards` of them fit.
#[must_use]
pub fn capacity(
    shards: &[(u32, BTreeSet<RoleArn>)],
    cluster: Option<&ClusterArn>,
    max_shards: u32,
) -> PolicyCapacity {
    let rooms = Rooms::new(cluster);
    let count = u32::try_from(shards.len()).unwrap_or(u32::MAX);
    let max_policies = max_shards.max(count);
    let roles: usize = shards.iter().map(|(_, roles)| roles.len()).sum();
    let costs: usize = shards.iter().flat_map(|(_, roles)| roles).map(cost).sum();
    // About as long as those that are there; a middling ARN when there is none.
    let average = if roles == 0 { 60 } else { costs.div_ceil(roles) };
    let free: Vec<usize> = shards
        .iter()
        .map(|(number, roles)| rooms.free(*number, roles).unwrap_or_default())
        .collect();
    let used: usize = free.iter().map(|free| MAX_POLICY_CHARACTERS - free).sum();
    let all =
        usize::try_from(max_policies).unwrap_or(usize::MAX).saturating_mul(MAX_POLICY_CHARACTERS);
    let mut fresh = usize::try_from(max_policies - count).unwrap_or(usize::MAX);
    let mut roles_left: usize = free.iter().map(|free| free / average).sum();
    if fresh > 0 && shards.iter().all(|(number, _)| *number != 1) {
        fresh -= 1;
        roles_left += rooms.of(1) / average;
    }
    roles_left = roles_left.saturating_add(fresh.saturating_mul(rooms.of(2) / average));
    PolicyCapacity {
        policies: count,
        max_policies,
        roles: u32::try_from(roles).unwrap_or(u32::MAX),
        roles_left: u32::try_from(roles_left).unwrap_or(u32::MAX),
        used_percent: u32::try_from((used * 100).div_ceil(all.max(1))).unwrap_or(100),
    }
}
