//! Spreading roles over policies: stable, and as few policies as fit.

use std::collections::BTreeSet;

use pod_identity_events::PolicyCapacity;

use super::MAX_POLICY_CHARACTERS;
use super::document::{Shard, cost};
use super::packing::{BinPacker, Capacities, longest_first};
use crate::{ClusterArn, RoleArn};

/// The policies once they list more roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// All of them, by number. None has lost a role.
    pub shards: Vec<Shard>,
    /// Roles for which no policy has room.
    pub unplaced: BTreeSet<RoleArn>,
}

/// Places the wanted roles that no policy lists yet, and the cluster's statement, if it is wanted and no
/// policy has it.
///
/// A role that is listed stays where it is. A new one goes to the fullest
/// policy that still has room, policies already touched first. `max_shards`
/// bounds the number of policies. A policy is added only for what fits none of those that are there;
/// its number is `next_number` or a higher one.
#[must_use]
pub fn extend(
    shards: &[Shard],
    wanted: &BTreeSet<RoleArn>,
    cluster: Option<&ClusterArn>,
    max_shards: u32,
    next_number: u32,
) -> Extension {
    let capacities = Capacities::new(cluster);
    let bound = usize::try_from(max_shards).unwrap_or(usize::MAX);
    let mut next_number = shards.iter().map(|one| one.number + 1).fold(next_number, u32::max);
    let has_room = |shard: &&Shard| capacities.free(true, &shard.roles).is_some();
    let mut holder = shards.iter().filter(|_| cluster.is_some()).find(|shard| shard.statement);
    if holder.is_none() && cluster.is_some() {
        holder = shards.iter().filter(has_room).min_by_key(|shard| shard.number);
    }
    let mut holder = holder.map(|shard| shard.number);
    let listed: BTreeSet<&RoleArn> = shards.iter().flat_map(|shard| &shard.roles).collect();
    let free = |shard: &Shard| {
        let free = capacities.free(holder == Some(shard.number), &shard.roles);
        (shard.number, free.unwrap_or_default())
    };
    let mut packer = BinPacker::new(shards.iter().map(free).collect());
    let mut opened = BTreeSet::new();
    let mut open = |packer: &mut BinPacker<'_>, holder: &mut Option<u32>| {
        let statement = cluster.is_some() && holder.is_none();
        packer.open(next_number, capacities.of(statement));
        if statement {
            *holder = Some(next_number);
        }
        opened.insert(next_number);
        next_number += 1;
    };
    if cluster.is_some() && holder.is_none() && !shards.is_empty() && packer.policies() < bound {
        open(&mut packer, &mut holder);
    }
    let mut unplaced = BTreeSet::new();
    for role in longest_first(wanted.iter().filter(|role| !listed.contains(role))) {
        if packer.place(role) {
            continue;
        }
        // The policy with the statement has the least room.
        if packer.policies() < bound && cost(role) <= capacities.of(true) {
            open(&mut packer, &mut holder);
            packer.place(role);
        } else {
            unplaced.insert(role.clone());
        }
    }
    let empty = |number| Shard { number, roles: BTreeSet::new(), statement: false };
    let mut after: Vec<Shard> =
        shards.iter().cloned().chain(opened.into_iter().map(empty)).collect();
    after.sort_by_key(|shard| shard.number);
    for shard in &mut after {
        shard.statement = holder == Some(shard.number);
        shard.roles.extend(packer.placed.remove(&shard.number).into_iter().flatten().cloned());
    }
    Extension { shards: after, unplaced }
}

/// Whether the wanted roles need a policy that does not exist yet. Only then
/// do the node roles' free attachment slots matter.
#[must_use]
pub fn needs_new_shard(
    shards: &[Shard],
    wanted: &BTreeSet<RoleArn>,
    cluster: Option<&ClusterArn>,
) -> bool {
    extend(shards, wanted, cluster, u32::MAX, 1).shards.len() > shards.len()
}

/// How full a cluster's policies are, when at most `max_shards` of them fit.
#[must_use]
pub fn capacity(shards: &[Shard], cluster: Option<&ClusterArn>, max_shards: u32) -> PolicyCapacity {
    let capacities = Capacities::new(cluster);
    let count = u32::try_from(shards.len()).unwrap_or(u32::MAX);
    let max_policies = max_shards.max(count);
    let roles: usize = shards.iter().map(|shard| shard.roles.len()).sum();
    let costs: usize = shards.iter().flat_map(|shard| &shard.roles).map(cost).sum();
    // About as long as those that are there; a middling ARN when there is none.
    let average = if roles == 0 { 60 } else { costs.div_ceil(roles) };
    let free: Vec<usize> = shards
        .iter()
        .map(|shard| {
            let statement = cluster.is_some() && shard.statement;
            capacities.free(statement, &shard.roles).unwrap_or_default()
        })
        .collect();
    let used: usize = free.iter().map(|free| MAX_POLICY_CHARACTERS - free).sum();
    let all =
        usize::try_from(max_policies).unwrap_or(usize::MAX).saturating_mul(MAX_POLICY_CHARACTERS);
    let mut fresh = usize::try_from(max_policies - count).unwrap_or(usize::MAX);
    let mut roles_remaining: usize = free.iter().map(|free| free / average).sum();
    if fresh > 0 && shards.iter().all(|shard| !shard.statement) {
        fresh -= 1;
        roles_remaining += capacities.of(true) / average;
    }
    roles_remaining =
        roles_remaining.saturating_add(fresh.saturating_mul(capacities.of(false) / average));
    PolicyCapacity {
        policies: count,
        max_policies,
        roles: u32::try_from(roles).unwrap_or(u32::MAX),
        roles_remaining: u32::try_from(roles_remaining).unwrap_or(u32::MAX),
        used_percent: u32::try_from((used * 100).div_ceil(all.max(1))).unwrap_or(100),
    }
}
