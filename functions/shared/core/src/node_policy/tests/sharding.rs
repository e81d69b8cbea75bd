//! Roles that come.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;

use super::roles::{
    LONGEST, SHORTEST, assert_few, assert_fits, assert_sound, changed, clusters, extended, fewest,
    filled, lengths, listed, role_of,
};
use crate::node_policy::{Shard, capacity, extend, needs_new_shard};
use crate::{ClusterArn, RoleArn};

fn numbered(from: usize, lengths: &[usize]) -> BTreeSet<RoleArn> {
    lengths.iter().enumerate().map(|(at, length)| role_of(from + at, *length)).collect()
}

/// Batches of lengths of roles.
fn batches() -> impl Strategy<Value = Vec<Vec<usize>>> {
    lengths().prop_flat_map(|lengths| {
        prop::collection::vec(prop::collection::vec(lengths, 0..120), 1..8)
    })
}

/// The roles of each batch, all different.
fn arrivals(batches: &[Vec<usize>]) -> Vec<BTreeSet<RoleArn>> {
    let mut from = 0;
    let mut arrivals = Vec::new();
    for batch in batches {
        arrivals.push(numbered(from, batch));
        from += batch.len();
    }
    arrivals
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn roles_that_come_in_batches_make_the_fewest_policies_and_one_more_at_most(
        batches in batches(),
        cluster in clusters(),
    ) {
        let cluster = cluster.as_ref();
        let (mut shards, mut all) = (Vec::new(), BTreeSet::new());
        for batch in arrivals(&batches) {
            all.extend(batch.iter().cloned());
            let extension = extend(&shards, &batch, cluster, u32::MAX, 1);
            prop_assert!(extension.unplaced.is_empty());
            let before = shards;
            shards = extended(&before, &extension);
            // What was listed has not moved.
            for shard in &before {
                prop_assert!(shards[shard.number as usize - 1].roles.is_superset(&shard.roles));
            }
            prop_assert_eq!(extend(&shards, &all, cluster, u32::MAX, 1).shards, shards.clone());
            assert_sound(&shards, cluster);
            prop_assert_eq!(listed(&shards), all.clone());
            // The cluster statement comes with the first role.
            if !shards.is_empty() {
                assert_few(shards.len(), fewest(&all, cluster), LONGEST, cluster);
            }
        }
    }

    #[test]
    fn one_more_role_writes_one_policy(
        lengths in lengths().prop_flat_map(|lengths| prop::collection::vec(lengths, 1..300)),
        cluster in clusters(),
    ) {
        let cluster = cluster.as_ref();
        let all = numbered(0, &lengths);
        let new = role_of(lengths.len(), lengths[0]);
        let shards = filled(&all, cluster);
        let extension = extend(&shards, &[new.clone()].into(), cluster, u32::MAX, 1);
        prop_assert_eq!(changed(&shards, &extension.shards).len(), 1);
        prop_assert_eq!(&listed(&extension.shards) - &all, [new].into());
        prop_assert!(listed(&extended(&shards, &extension)).is_superset(&all));
    }

    #[test]
    fn the_order_of_the_policies_does_not_matter(
        batches in batches(),
        cluster in clusters(),
        at in any::<Index>(),
    ) {
        let cluster = cluster.as_ref();
        let mut arrivals = arrivals(&batches);
        let last = arrivals.pop().unwrap_or_default();
        let shards = filled(&arrivals.into_iter().flatten().collect(), cluster);
        let extension = extend(&shards, &last, cluster, 7, 1);
        let mut turned = shards;
        if !turned.is_empty() {
            let at = at.index(turned.len());
            turned.rotate_left(at);
        }
        prop_assert_eq!(extend(&turned, &last, cluster, 7, 1), extension);
    }

    #[test]
    fn the_bound_of_policies_is_kept_and_what_has_no_room_is_named(
        batches in batches(),
        cluster in clusters(),
        free in 0_u32..3,
    ) {
        let cluster = cluster.as_ref();
        let mut arrivals = arrivals(&batches);
        let last = arrivals.pop().unwrap_or_default();
        let shards = filled(&arrivals.into_iter().flatten().collect(), cluster);
        let bound = u32::try_from(shards.len()).unwrap() + free;
        let extension = extend(&shards, &last, cluster, bound, 1);
        let new = extension.shards.len() - shards.len();
        let unbounded = extend(&shards, &last, cluster, u32::MAX, 1);
        let needed = unbounded.shards.len() - shards.len();
        prop_assert_eq!(new, needed.min(free as usize));
        prop_assert_eq!(needs_new_shard(&shards, &last, cluster), needed > 0);
        let after = extended(&shards, &extension);
        for shard in &after {
            assert_fits(shard, cluster);
        }
        let placed: BTreeSet<RoleArn> = &listed(&after) - &listed(&shards);
        prop_assert_eq!(&(&placed | &extension.unplaced), &last);
        prop_assert!(placed.is_disjoint(&extension.unplaced));
        // None of those that are named would have fitted.
        for role in &extension.unplaced {
            let alone = extend(&after, &[role.clone()].into(), cluster, bound, 1);
            prop_assert_eq!(&alone.shards, &after);
        }
    }

    #[test]
    fn as_many_roles_fit_as_the_capacity_says(
        lengths in lengths().prop_flat_map(|lengths| prop::collection::vec(lengths, 0..200)),
        cluster in clusters(),
        bound in 0_u32..12,
    ) {
        let cluster = cluster.as_ref();
        let shards = filled(&numbered(0, &lengths), cluster);
        let of = |shards: &[Shard], bound| capacity(shards, cluster, bound);
        let found = of(&shards, bound);
        prop_assert_eq!(found.max_policies as usize, shards.len().max(bound as usize));
        prop_assert_eq!((found.policies as usize, found.roles as usize), (shards.len(), lengths.len()));
        prop_assert!(found.used_percent <= 100);
        let average = lengths.iter().sum::<usize>().checked_div(lengths.len()).unwrap_or(57);
        let more: Vec<usize> = vec![average; found.roles_remaining as usize];
        let extension = extend(&shards, &numbered(lengths.len(), &more), cluster, found.max_policies, 1);
        prop_assert!(extension.unplaced.is_empty());
        let full = extended(&shards, &extension);
        prop_assert!(full.len() <= found.max_policies as usize);
        prop_assert!(of(&full, bound).used_percent <= 100);
    }
}

fn first(roles: BTreeSet<RoleArn>) -> Shard {
    Shard { number: 1, roles, statement: true }
}

#[test]
fn a_statement_that_is_switched_on_comes_where_it_fits_and_one_that_is_switched_off_goes() {
    let cluster: ClusterArn = "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap();
    let shard = |number, count| Shard {
        number,
        roles: numbered(1_000 * number as usize, &vec![SHORTEST; count]),
        statement: false,
    };
    let nothing = BTreeSet::new();
    let numbers = |shards: &[Shard], cluster: Option<&ClusterArn>, most| {
        let extension = extend(shards, &nothing, cluster, most, 1);
        changed(shards, &extension.shards)
            .iter()
            .map(|one| (one.number, one.statement))
            .collect::<Vec<_>>()
    };
    let shards = [shard(1, 171), shard(2, 30), shard(3, 10)];
    assert_eq!(numbers(&shards, Some(&cluster), 3), [(2, true)]);
    // Where none has room, a policy of its own has it, or none.
    let full = [shard(1, 171), shard(4, 171)];
    assert_eq!(numbers(&full, Some(&cluster), 3), [(5, true)]);
    assert_eq!(numbers(&full, Some(&cluster), 2), []);
    let on = [first(numbered(0, &[SHORTEST; 3]))];
    assert_eq!(numbers(&on, None, 3), [(1, false)]);
}

#[test]
fn a_number_is_never_used_again() {
    let extension = extend(&[], &numbered(0, &[SHORTEST; 3]), None, 10, 7);
    assert_eq!(extension.shards[0].number, 7);
}

#[test]
fn capacity_is_exact_at_its_ends() {
    let cluster: ClusterArn = "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap();
    let found = capacity(&[first(numbered(0, &[SHORTEST; 10]))], Some(&cluster), u32::MAX);
    assert_eq!((found.max_policies, found.roles_remaining), (u32::MAX, u32::MAX));
    let nothing = capacity(&[], Some(&cluster), 0);
    assert_eq!((nothing.max_policies, nothing.roles_remaining, nothing.used_percent), (0, 0, 0));
    // Roles of middling length, the first policy still to be made with its statement.
    let found = capacity(&[], Some(&cluster), 1);
    let one = extend(&[], &numbered(0, &[57; 200]), Some(&cluster), 1, 1).shards.remove(0);
    assert_eq!(found.roles_remaining as usize, one.roles.len());
    // A statement that was switched on since leaves the first policy too full.
    let full = filled(&numbered(0, &[SHORTEST; 171]), None).remove(0);
    let found = capacity(&[first(full.roles)], Some(&cluster), 1);
    assert_eq!((found.roles_remaining, found.used_percent), (0, 100));
}

#[test]
fn nine_of_the_longest_roles_and_171_of_the_shortest_fill_a_policy() {
    let cluster = ClusterArn::new("aws-us-gov", "us-gov-west-1", "111122223333", &"c".repeat(100));
    let cluster = cluster.unwrap();
    for (length, cluster, most) in [
        (LONGEST, None, 9),
        (LONGEST, Some(&cluster), 9),
        (SHORTEST, None, 171),
        (SHORTEST, Some(&cluster), 163),
        (60, None, 95),
        (119, None, 49),
    ] {
        let extension = extend(&[], &numbered(0, &[length; 200]), cluster, 1, 1);
        assert_eq!(extension.shards[0].roles.len(), most, "{length}");
        assert_eq!(extension.unplaced.len(), 200 - most);
    }
}

#[test]
fn five_thousand_roles_of_usual_length_make_the_fewest_policies_and_one_more_at_most() {
    let lengths: Vec<usize> = (0..5_000).map(|n| 50 + n * 37 % 70).collect();
    let all = numbered(0, &lengths);
    let shards = filled(&all, None);
    assert_sound(&shards, None);
    assert_eq!(listed(&shards), all);
    assert!(shards.len() <= fewest(&all, None) + 1);
}
