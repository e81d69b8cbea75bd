//! Spreading roles over policies: stable, and as few policies as fit.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_events::PolicyCapacity;

use super::MAX_POLICY_CHARACTERS;
use super::document::{Shard, characters, document};
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
}

/// What has to be written so that the policies list more roles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extension {
    /// The policies to write, by number.
    pub changes: Vec<ShardChange>,
    /// Roles for which no policy has room.
    pub unplaced: BTreeSet<RoleArn>,
}

/// A role in a list costs its text, two quotes and a comma.
fn cost(role: &RoleArn) -> usize {
    role.as_str().len() + 3
}

/// Only the first policy carries the cluster statement.
fn statement_of(cluster: Option<&ClusterArn>, number: u32) -> Option<&ClusterArn> {
    cluster.filter(|_| number == 1)
}

fn size(roles: &BTreeSet<RoleArn>, cluster: Option<&ClusterArn>, number: u32) -> usize {
    characters(&document(roles, statement_of(cluster, number)))
}

/// Places the wanted roles that no policy lists yet.
///
/// A role that is listed stays where it is. A new one goes to the fullest
/// policy that still has room, policies already touched first, so that a batch
/// writes few versions and the policies stay few. `max_shards` bounds the
/// number of policies.
#[must_use]
pub fn extend(
    shards: &[Shard],
    wanted: &BTreeSet<RoleArn>,
    cluster: Option<&ClusterArn>,
    max_shards: u32,
) -> Extension {
    let listed: BTreeSet<&RoleArn> = shards.iter().flat_map(|shard| &shard.roles).collect();
    let mut missing: Vec<&RoleArn> = wanted.iter().filter(|role| !listed.contains(role)).collect();
    // Long ones first: the short ones fill the gaps that they leave.
    missing.sort_by(|a, b| cost(b).cmp(&cost(a)).then_with(|| a.cmp(b)));

    let mut sizes: BTreeMap<u32, usize> = shards
        .iter()
        .map(|shard| (shard.number, size(&shard.roles, cluster, shard.number)))
        .collect();
    let mut added: BTreeMap<u32, BTreeSet<RoleArn>> = BTreeMap::new();
    let mut unplaced = BTreeSet::new();
    for role in missing {
        let fits = |(_, size): &(&u32, &usize)| **size + cost(role) <= MAX_POLICY_CHARACTERS;
        let fullest = sizes
            .iter()
            .filter(fits)
            .max_by_key(|(number, size)| {
                (added.contains_key(number), **size, std::cmp::Reverse(**number))
            })
            .map(|(number, _)| *number);
        let number = match fullest {
            Some(number) => number,
            None => {
                let number = next_number(&sizes);
                let alone = size(&BTreeSet::from([role.clone()]), cluster, number);
                let bound = usize::try_from(max_shards).unwrap_or(usize::MAX);
                if sizes.len() >= bound || alone > MAX_POLICY_CHARACTERS {
                    unplaced.insert(role.clone());
                    continue;
                }
                // `cost` counts a comma, which the first role of a list does not have.
                sizes.insert(number, alone - cost(role));
                number
            }
        };
        *sizes.entry(number).or_default() += cost(role);
        added.entry(number).or_default().insert(role.clone());
    }
    let changes = added
        .into_iter()
        .map(|(number, added)| {
            let shard = shards.iter().find(|shard| shard.number == number);
            let mut roles = shard.map(|shard| shard.roles.clone()).unwrap_or_default();
            roles.extend(added.iter().cloned());
            ShardChange { number, is_new: shard.is_none(), roles, added }
        })
        .collect();
    Extension { changes, unplaced }
}

/// Numbers are used without gaps, so that probing finds every policy.
fn next_number(sizes: &BTreeMap<u32, usize>) -> u32 {
    (1..).find(|number| !sizes.contains_key(number)).unwrap_or(u32::MAX)
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
    let count = u32::try_from(shards.len()).unwrap_or(u32::MAX);
    let max_policies = max_shards.max(count);
    let roles: usize = shards.iter().map(|(_, roles)| roles.len()).sum();
    let used: usize = shards.iter().map(|(number, roles)| size(roles, cluster, *number)).sum();
    let all =
        usize::try_from(max_policies).unwrap_or(usize::MAX).saturating_mul(MAX_POLICY_CHARACTERS);
    let lengths: usize = shards.iter().flat_map(|(_, roles)| roles).map(cost).sum();
    // About as long as those that are there; a middling ARN when there is none.
    let average = if roles == 0 { 60 } else { lengths.div_ceil(roles) };
    let left_in = |used: usize| MAX_POLICY_CHARACTERS.saturating_sub(used) / average;
    let roles_left: usize =
        shards.iter().map(|(number, roles)| left_in(size(roles, cluster, *number))).sum::<usize>()
            + usize::try_from(max_policies - count).unwrap_or(usize::MAX)
                * left_in(size(&BTreeSet::new(), None, 2) + 100);
    PolicyCapacity {
        policies: count,
        max_policies,
        roles: u32::try_from(roles).unwrap_or(u32::MAX),
        roles_left: u32::try_from(roles_left).unwrap_or(u32::MAX),
        used_percent: u32::try_from((used * 100).div_ceil(all.max(1))).unwrap_or(100),
    }
}
