//! Where roles find room.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::MAX_POLICY_CHARACTERS;
use super::document::{cost, frame};
use crate::{ClusterArn, RoleArn};

/// Characters that policies have for roles, each of which takes its cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacities {
    with_statement: usize,
    other: usize,
}

impl Capacities {
    /// Only one policy carries the cluster's statement.
    pub(super) fn new(cluster: Option<&ClusterArn>) -> Self {
        let beside = |cluster| MAX_POLICY_CHARACTERS.saturating_sub(frame(cluster));
        Self { with_statement: beside(cluster), other: beside(None) }
    }

    /// Room of the policy with the cluster's statement, or of another.
    pub(super) fn of(self, statement: bool) -> usize {
        if statement { self.with_statement } else { self.other }
    }

    /// What is left beside these roles; none when they do not even fit, as they
    /// may once the cluster statement is switched on.
    pub(super) fn free<'a>(
        self,
        statement: bool,
        roles: impl IntoIterator<Item = &'a RoleArn>,
    ) -> Option<usize> {
        self.of(statement).checked_sub(roles.into_iter().map(cost).sum())
    }
}

/// Places roles one by one.
#[derive(Debug)]
pub(super) struct BinPacker<'a> {
    /// Free characters of each policy, by number.
    free: BTreeMap<u32, usize>,
    /// What was placed, by number.
    pub(super) placed: BTreeMap<u32, BTreeSet<&'a RoleArn>>,
}

impl<'a> BinPacker<'a> {
    pub(super) fn new(free: BTreeMap<u32, usize>) -> Self {
        Self { free, placed: BTreeMap::new() }
    }

    /// How many policies there are.
    pub(super) fn policies(&self) -> usize {
        self.free.len()
    }

    /// Adds an empty policy.
    pub(super) fn open(&mut self, number: u32, room: usize) {
        self.free.insert(number, room);
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

/// Long ones first: the short ones fill the gaps that they leave.
pub(super) fn longest_first<'a>(roles: impl IntoIterator<Item = &'a RoleArn>) -> Vec<&'a RoleArn> {
    let mut roles: Vec<&RoleArn> = roles.into_iter().collect();
    roles.sort_by_key(|role| (Reverse(cost(role)), *role));
    roles
}
