//! Taking roles out of the policies, and keeping the policies few.

use std::collections::{BTreeMap, BTreeSet};

use super::document::{Shard, cost};
use super::packing::{Placing, Rooms, longest_first, next_number};
use super::shards::ShardChange;
use crate::{ClusterArn, RoleArn};

/// One step of a compaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShardStep {
    /// Makes a policy and attaches it to every node role, or writes one anew.
    Write(ShardChange),
    /// Detaches a policy from every node role and deletes it.
    Delete {
        /// Its number.
        number: u32,
        /// The roles that it listed.
        removed: BTreeSet<RoleArn>,
    },
}

/// Takes every role that is not to be kept out of the policies, and gives up
/// the policies that are not needed.
///
/// Afterwards every role of `keep` that a policy lists is listed once, every
/// document is as [`document`](super::document) writes it, and the numbers
/// have no gap. A policy is written only when its own roles change, its
/// document is not canonical, or it takes roles of another; roles move only
/// where that gives up a policy, the highest number first. Missing numbers
/// below the highest are filled. A policy whose roles do not fit beside the
/// cluster statement, because that was switched on since, hands some on, and
/// takes none before the next compaction. For both `max_shards` must leave
/// room: without it a gap stays, and a policy that is too full stays as it is.
/// Otherwise compacting once more changes nothing.
///
/// The steps are to be done in this order, one after the other, once every
/// policy is attached to every node role: then a role that is kept is granted
/// after each of them. Whoever stops in between compacts anew from what is
/// there. Roles of `keep` that no policy lists are [`extend`](super::extend)'s.
#[must_use]
pub fn compact(
    shards: &[Shard],
    keep: &BTreeSet<RoleArn>,
    cluster: Option<&ClusterArn>,
    max_shards: u32,
) -> Vec<ShardStep> {
    let before: BTreeMap<u32, &Shard> = shards.iter().map(|shard| (shard.number, shard)).collect();
    let mut lists = BTreeMap::new();
    let mut listed = BTreeSet::new();
    for (number, shard) in &before {
        // One that is listed twice stays where it is found first.
        let roles = shard.roles.iter().filter(|role| keep.contains(role) && listed.insert(*role));
        lists.insert(*number, roles.collect());
    }
    let mut packing = Packing {
        lists,
        givers: BTreeSet::new(),
        rooms: Rooms::new(cluster),
        bound: usize::try_from(max_shards).unwrap_or(usize::MAX),
    };
    packing.fill_gaps();
    packing.spill();
    packing.dissolve(cluster.is_some());
    packing.steps(&before)
}

/// The policies as they shall be.
struct Packing<'a> {
    lists: BTreeMap<u32, BTreeSet<&'a RoleArn>>,
    /// Policies that hand roles on, and take none: they are written after those that do.
    givers: BTreeSet<u32>,
    rooms: Rooms,
    bound: usize,
}

impl<'a> Packing<'a> {
    fn free(&self, number: u32, roles: &BTreeSet<&'a RoleArn>) -> Option<usize> {
        self.rooms.free(number, roles.iter().copied())
    }

    /// Somebody deleted a policy. Whoever does not know how many there are
    /// looks no further than the gap.
    fn fill_gaps(&mut self) {
        let highest = self.lists.keys().next_back().copied().unwrap_or_default();
        while self.lists.len() < self.bound && next_number(&self.lists) < highest {
            self.lists.insert(next_number(&self.lists), BTreeSet::new());
        }
    }

    /// Moves what does not fit to other policies, or to one more.
    fn spill(&mut self) {
        let too_full =
            self.lists.iter().filter(|(number, roles)| self.free(**number, roles).is_none());
        self.givers = too_full.map(|(number, _)| *number).collect();
        for number in self.givers.clone() {
            let mut left: usize = self.lists[&number].iter().map(|role| cost(role)).sum();
            let mut leaving = longest_first(self.lists[&number].iter().copied());
            let fits = |role: &&RoleArn| {
                let fits = left <= self.rooms.of(number);
                left -= cost(role);
                fits
            };
            leaving.truncate(leaving.iter().position(fits).unwrap_or(leaving.len()));
            if !self.hand_on(number, &leaving) && self.lists.len() < self.bound {
                let new = next_number(&self.lists);
                self.lists.insert(new, BTreeSet::new());
                if !self.hand_on(number, &leaving) {
                    self.lists.remove(&new);
                }
            }
        }
    }

    /// Gives up the highest policies, as long as the others have room for all
    /// that they list. The first stays if it carries the cluster statement.
    fn dissolve(&mut self, statement: bool) {
        while let Some((&highest, roles)) = self.lists.last_key_value() {
            let roles = longest_first(roles.iter().copied());
            if (statement && highest == 1) || !self.hand_on(highest, &roles) {
                return;
            }
            self.lists.remove(&highest);
        }
    }

    /// Moves roles of a policy to the others: all or none. Whether it did.
    fn hand_on(&mut self, from: u32, roles: &[&'a RoleArn]) -> bool {
        let takers = self
            .lists
            .iter()
            .filter(|(number, _)| **number != from && !self.givers.contains(number));
        let free = |(number, roles): (&u32, _)| Some((*number, self.free(*number, roles)?));
        let mut placing = Placing::new(takers.filter_map(free).collect());
        if !roles.iter().all(|role| placing.place(role)) {
            return false;
        }
        for (number, roles) in placing.placed {
            self.lists.entry(number).or_default().extend(roles);
        }
        if let Some(list) = self.lists.get_mut(&from) {
            for role in roles {
                list.remove(role);
            }
        }
        true
    }

    /// What takes roles is written before what gives them away, and what is
    /// given up comes last, the highest first, so that there never is a gap.
    fn steps(&self, before: &BTreeMap<u32, &Shard>) -> Vec<ShardStep> {
        let (last, first): (Vec<u32>, Vec<u32>) =
            self.lists.keys().partition(|number| self.givers.contains(number));
        let written = first.into_iter().chain(last).filter_map(|number| {
            let (roles, shard) = (&self.lists[&number], before.get(&number));
            let same =
                |shard: &&&Shard| shard.canonical && shard.roles.iter().eq(roles.iter().copied());
            // One that still does not fit cannot be written.
            if shard.is_some_and(|shard| same(&shard)) || self.free(number, roles).is_none() {
                return None;
            }
            let nothing = BTreeSet::new();
            let was = shard.map_or(&nothing, |shard| &shard.roles);
            let roles: BTreeSet<RoleArn> = roles.iter().copied().cloned().collect();
            Some(ShardStep::Write(ShardChange {
                number,
                is_new: shard.is_none(),
                added: roles.difference(was).cloned().collect(),
                removed: was.difference(&roles).cloned().collect(),
                roles,
            }))
        });
        let given_up = before.iter().rev().filter(|(number, _)| !self.lists.contains_key(number));
        let deleted = given_up
            .map(|(&number, shard)| ShardStep::Delete { number, removed: shard.roles.clone() });
        written.chain(deleted).collect()
    }
}
