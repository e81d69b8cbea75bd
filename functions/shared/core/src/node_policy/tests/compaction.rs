//! Roles that go.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;

use super::roles::{
    LONGEST, SHORTEST, assert_few, assert_fits, assert_sound, clusters, done, extended, fewest,
    filled, lengths, listed, role_of,
};
use crate::node_policy::{Shard, ShardStep, compact, extend};
use crate::{ClusterArn, RoleArn};

fn cluster() -> ClusterArn {
    "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap()
}

fn shard(number: u32, roles: impl IntoIterator<Item = usize>, length: usize) -> Shard {
    let roles = roles.into_iter().map(|n| role_of(n, length)).collect();
    Shard { number, roles, canonical: true }
}

/// What one reconciliation does: some roles go, others come.
#[derive(Debug, Clone)]
struct Turn {
    come: Vec<usize>,
    go: Vec<Index>,
}

fn turns(count: usize) -> impl Strategy<Value = Vec<Turn>> {
    lengths().prop_flat_map(move |lengths| {
        let come = prop::collection::vec(lengths, 0..100);
        let turn = (come, prop::collection::vec(any::<Index>(), 0..100));
        prop::collection::vec(turn.prop_map(|(come, go)| Turn { come, go }), 1..count)
    })
}

/// Plays turns: what is wanted after each, and whether it takes roles out.
fn play(turns: &[Turn], mut each: impl FnMut(&BTreeSet<RoleArn>)) {
    let (mut wanted, mut next) = (Vec::new(), 0);
    for turn in turns {
        for at in &turn.go {
            if !wanted.is_empty() {
                wanted.swap_remove(at.index(wanted.len()));
            }
        }
        for length in &turn.come {
            wanted.push(role_of(next, *length));
            next += 1;
        }
        each(&wanted.iter().cloned().collect());
    }
}

/// Policies in any state: roles listed twice, gaps, documents that are not
/// canonical, a cluster statement for which there is no room.
fn anything() -> impl Strategy<Value = Vec<Shard>> {
    let role = (0_usize..400, lengths()).prop_map(|(n, lengths)| role_of(n, *lengths.start()));
    let roles = prop::collection::btree_set(role, 1..250);
    prop::collection::btree_map(1_u32..8, (roles, any::<bool>()), 0..6).prop_map(|policies| {
        let fit = |(number, (roles, canonical)): (u32, (BTreeSet<RoleArn>, bool))| {
            let roles = extend(&[], &roles, None, 1).changes.remove(0).roles;
            Shard { number, roles, canonical }
        };
        policies.into_iter().map(fit).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn after_long_churn_there_are_the_fewest_policies_and_one_more_at_most(
        turns in turns(20),
        cluster in clusters(),
    ) {
        let cluster = cluster.as_ref();
        let mut shards: Vec<Shard> = Vec::new();
        play(&turns, |wanted| {
            let extension = extend(&shards, wanted, cluster, u32::MAX);
            shards = extended(&shards, &extension);
            shards = done(&shards, &compact(&shards, wanted, cluster, u32::MAX));
            assert_sound(&shards, cluster);
            assert_eq!(&listed(&shards), wanted);
            if !shards.is_empty() {
                assert_few(shards.len(), fewest(wanted, cluster), LONGEST, cluster);
            }
            assert_eq!(compact(&shards, wanted, cluster, u32::MAX), []);
        });
    }

    #[test]
    fn without_compaction_there_are_no_more_than_the_most_roles_ever_needed(
        turns in turns(20),
        cluster in clusters(),
    ) {
        let cluster = cluster.as_ref();
        let mut shards: Vec<Shard> = Vec::new();
        let mut peak = 0;
        play(&turns, |wanted| {
            // Roles are only taken out, and policies stay, though they be empty.
            for shard in &mut shards {
                shard.roles.retain(|role| wanted.contains(role));
            }
            shards = extended(&shards, &extend(&shards, wanted, cluster, u32::MAX));
            peak = peak.max(fewest(wanted, cluster));
            if !shards.is_empty() {
                assert_few(shards.len(), peak, LONGEST, cluster);
            }
        });
    }

    #[test]
    fn a_kept_role_is_granted_after_every_step_and_listed_once_in_the_end(
        shards in anything(),
        keep in prop::collection::vec(any::<bool>(), 2_000),
        cluster in clusters(),
        bound in 0_u32..9,
    ) {
        let cluster = cluster.as_ref();
        let before = listed(&shards);
        let mut kept = keep.iter();
        let keep: BTreeSet<RoleArn> =
            before.iter().filter(|_| *kept.next().unwrap()).cloned().collect();
        let steps = compact(&shards, &keep, cluster, bound);
        let most = shards.len().max(bound as usize);
        let no_gap = |shards: &[Shard]| {
            shards.iter().enumerate().all(|(at, shard)| shard.number as usize == at + 1)
        };
        let mut gapless = no_gap(&shards);
        for count in 0..=steps.len() {
            let now = done(&shards, &steps[..count]);
            prop_assert!(listed(&now).is_superset(&keep), "after {} of {:?}", count, steps);
            prop_assert!(now.len() <= most);
            prop_assert!(!gapless || no_gap(&now));
            gapless = no_gap(&now);
            if let Some(ShardStep::Write(change)) = steps.get(count) {
                let roles = change.roles.clone();
                assert_fits(&Shard { number: change.number, roles, canonical: true }, cluster);
            }
            // Whoever goes on from there ends well.
            let mut end = now;
            for _ in 0..4 {
                end = done(&end, &compact(&end, &keep, cluster, u32::MAX));
            }
            assert_sound(&end, cluster);
            prop_assert_eq!(listed(&end), keep.clone());
            prop_assert!(end.iter().all(|shard| shard.canonical));
            prop_assert_eq!(compact(&end, &keep, cluster, u32::MAX), []);
            if !end.is_empty() {
                assert_few(end.len(), fewest(&keep, cluster), LONGEST, cluster);
            }
        }
    }

    #[test]
    fn one_role_less_writes_one_policy_unless_one_is_given_up(
        lengths in lengths().prop_flat_map(|lengths| prop::collection::vec(lengths, 1..300)),
        gone in any::<Index>(),
        cluster in clusters(),
    ) {
        let cluster = cluster.as_ref();
        let all: BTreeSet<RoleArn> =
            lengths.iter().enumerate().map(|(n, length)| role_of(n, *length)).collect();
        let shards = filled(&all, cluster);
        let shards = done(&shards, &compact(&shards, &all, cluster, u32::MAX));
        let mut keep = all.clone();
        let role = gone.get(&all.iter().collect::<Vec<_>>()).to_owned().clone();
        keep.remove(&role);
        let steps = compact(&shards, &keep, cluster, u32::MAX);
        let after = done(&shards, &steps);
        if after.len() == shards.len() {
            let [ShardStep::Write(change)] = steps.as_slice() else {
                panic!("{steps:?}");
            };
            prop_assert_eq!(&change.removed, &[role].into());
            prop_assert!(change.added.is_empty());
        } else {
            prop_assert_eq!(after.len(), shards.len() - 1);
            let last = matches!(steps.last(), Some(ShardStep::Delete { number, .. }) if *number as usize == shards.len());
            prop_assert!(last, "{:?}", steps);
        }
    }

    #[test]
    fn the_order_of_the_policies_does_not_matter(
        shards in anything(),
        at in any::<Index>(),
        cluster in clusters(),
    ) {
        let cluster = cluster.as_ref();
        let keep: BTreeSet<RoleArn> = listed(&shards).into_iter().step_by(2).collect();
        let mut turned = shards.clone();
        if !turned.is_empty() {
            turned.rotate_left(at.index(shards.len()));
        }
        prop_assert_eq!(compact(&turned, &keep, cluster, 8), compact(&shards, &keep, cluster, 8));
    }
}

#[test]
fn roles_of_the_highest_policy_move_before_it_is_deleted() {
    let shards = [shard(1, 0..40, 60), shard(2, 50..90, 60), shard(3, 100..130, 60)];
    let keep: BTreeSet<RoleArn> = listed(&shards);
    let steps = compact(&shards, &keep, Some(&cluster()), 10);
    let [ShardStep::Write(first), ShardStep::Delete { number: 3, removed }] = steps.as_slice()
    else {
        panic!("{steps:?}");
    };
    // The fullest that has room takes them all, and nothing else moves.
    assert_eq!((first.number, &first.added), (1, &shards[2].roles));
    assert_eq!(removed, &shards[2].roles);
}

#[test]
fn the_last_role_takes_the_policies_with_it_but_for_the_cluster_statement() {
    let shards = [shard(1, 0..2, 60), shard(2, 2..3, 60)];
    let delete = |number: u32| ShardStep::Delete {
        number,
        removed: shards[number as usize - 1].roles.clone(),
    };
    let nothing = BTreeSet::new();
    assert_eq!(compact(&shards, &nothing, None, 10), [delete(2), delete(1)]);
    let steps = compact(&shards, &nothing, Some(&cluster()), 10);
    let [ShardStep::Write(first), last] = steps.as_slice() else { panic!("{steps:?}") };
    assert_eq!((first.number, first.roles.len(), first.removed.len()), (1, 0, 2));
    assert_eq!(*last, delete(2));
    assert_eq!(compact(&[], &nothing, Some(&cluster()), 10), []);
}

#[test]
fn a_cluster_statement_that_is_switched_on_moves_roles_to_another_policy_first() {
    let most = shard(1, 0..171, SHORTEST);
    let full = Shard { canonical: false, ..most };
    let cluster = cluster();
    let keep = full.roles.clone();
    let steps = compact(std::slice::from_ref(&full), &keep, Some(&cluster), 2);
    let [ShardStep::Write(second), ShardStep::Write(first)] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    assert!(second.is_new && second.number == 2 && first.number == 1);
    assert_eq!(second.added, first.removed);
    // Without a free slot it stays as it is, even when a role goes that does not make room.
    let mut fewer = keep.clone();
    fewer.pop_first();
    assert_eq!(compact(std::slice::from_ref(&full), &fewer, Some(&cluster), 1), []);
    let some: BTreeSet<RoleArn> = keep.into_iter().take(150).collect();
    assert_eq!(compact(&[full], &some, Some(&cluster), 1).len(), 1);
}

#[test]
fn what_is_handed_on_does_not_pass_through_a_policy_that_is_given_up() {
    // Written by hand in fewer characters than we need: both have to hand their longest on.
    let too_full = |number, fillers: std::ops::Range<usize>, longest: RoleArn| {
        let mut full = Shard { canonical: false, ..shard(number, fillers, SHORTEST) };
        full.roles.insert(longest);
        full
    };
    let shards = [
        too_full(1, 0..169, role_of(1_000, 97)),
        too_full(2, 200..355, role_of(1_001, 597)),
        shard(3, 400..428, SHORTEST),
        shard(4, 500..528, SHORTEST),
        // The fullest that has room for the first's, and the others have room for all of it.
        shard(5, 600..757, SHORTEST),
    ];
    let keep = listed(&shards);
    let steps = compact(&shards, &keep, None, 10);
    assert!(matches!(steps.last(), Some(ShardStep::Delete { number: 5, .. })));
    for count in 0..=steps.len() {
        assert_eq!(listed(&done(&shards, &steps[..count])), keep, "after {count} steps");
    }
    assert_sound(&done(&shards, &steps), None);
}

#[test]
fn a_number_that_somebody_deleted_is_filled_before_the_highest_is_given_up() {
    let shards = [shard(2, 0..95, 60), shard(3, 100..180, 60)];
    let keep = listed(&shards);
    let steps = compact(&shards, &keep, Some(&cluster()), 3);
    let [ShardStep::Write(first), ShardStep::Delete { number: 3, .. }] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    assert!(first.is_new && first.number == 1);
    // Without a free slot the gap stays.
    assert_eq!(compact(&shards, &keep, Some(&cluster()), 2), []);
}

#[test]
fn thousands_of_roles_come_and_go_and_leave_few_policies() {
    let length = |n: usize| if n.is_multiple_of(7) { LONGEST } else { 40 + n * 31 % 150 };
    let cluster = cluster();
    let all: BTreeSet<RoleArn> = (0..3_000).map(|n| role_of(n, length(n))).collect();
    let shards = filled(&all, Some(&cluster));
    for every in [2, 3, 10, 100] {
        let keep: BTreeSet<RoleArn> = all.iter().step_by(every).cloned().collect();
        let after = done(&shards, &compact(&shards, &keep, Some(&cluster), u32::MAX));
        assert_sound(&after, Some(&cluster));
        assert_eq!(listed(&after), keep);
        assert_few(after.len(), fewest(&keep, Some(&cluster)), LONGEST, Some(&cluster));
    }
}
