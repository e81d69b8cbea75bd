//! Where roles find room.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::MAX_POLICY_CHARACTERS;
use super::document::{cost, frame};
use crate::{ClusterArn, RoleArn};

/// Characters that policies have for roles, each of which takes its cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rooms {
    first: usize,
    other: usize,
}

impl Rooms {
    /// Only the first policy carries the cluster statement.
    pub(super) fn new(cluster: Option<&ClusterArn>) -> Self {
        let beside = |cluster| MAX_POLICY_CHARACTERS.saturating_sub(frame(cluster));
        Self { first: beside(cluster), other: beside(None) }
    }

    /// Room of the policy with that number.
    pub(super) fn of(self, number: u32) -> usize {
        if number == 1 { self.first } else { self.other }
    }

    /// What is left beside these roles; none when they do not even fit, as they
    /// may once the cluster statement is switched on.
    pub(super) fn free<'a>(
        self,
        number: u32,
        roles: impl IntoIterator<Item = &'a RoleArn>,
    ) -> Option<usize> {
        self.of(number).checked_sub(roles.into_iter().map(cost).sum())
    }
}

/// Places roles one by one.
#[derive(Debug)]
pub(super) struct Placing<'a> {
    /// Free characters of each policy, by number.
    free: BTreeMap<u32, usize>,
    /// What was placed, by number.
    pub(super) placed: BTreeMap<u32, BTreeSet<&'a RoleArn>>,
}

impl<'a> Placing<'a> {
    pub(super) fn new(free: BTreeMap<u32, usize>) -> Self {
        Self { free, placed: BTreeMap::new() }
    }

    /// How many policies there are.
    pub(super) fn policies(&self) -> usize {
        self.free.len()
    }

    /// Adds an empty policy under the next number.
    pub(super) fn open(&mut self, rooms: Rooms) {
        let number = next_number(&self.free);
        self.free.insert(number, rooms.of(number));
    }

    /// Gives a role to the fullest policy that has room for it, policies that
    /// were given one already first: a batch then writes few versions, and the
    /// policies stay few. Whether one had room.
    pub(super) fn place(&mut self, role: &'a RoleArn) -> bool {
        let cost = cost(role);
        let order = |number: &u32, free: usize| {
            (self.placed.contains_key(number), Reverse(free), Reverse(*number))
        };
        let found = self
            .free
            .iter_mut()
            .filter(|(_, free)| **free >= cost)
            .max_by_key(|(number, free)| order(number, **free));
        let Some((number, free)) = found else { return false };
        *free -= cost;
        self.placed.entry(*number).or_default().insert(role);
        true
    }
}

/// Numbers are used without gaps, so that probing finds every policy.
pub(super) fn next_number<V>(taken: &BTreeMap<u32, V>) -> u32 {
    (1..).find(|number| !taken.contains_key(number)).unwrap_or(u32::MAX)
}

/// Long ones first: the short ones fill the gaps that they leave.
pub(super) fn longest_first<'a>(roles: impl IntoIterator<Item = &'a RoleArn>) -> Vec<&'a RoleArn> {
    let mut roles: Vec<&RoleArn> = roles.into_iter().collect();
    roles.sort_by_key(|role| (Reverse(cost(role)), *role));
    roles
}
