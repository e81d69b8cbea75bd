//! Roles that go.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;

use super::roles::{
    LONGEST, assert_few, assert_fits, assert_sound, changed, clusters, compacted, extended, fewest,
    filled, lengths, listed, role_of, written,
};
use crate::node_policy::{Compaction, Shard, compact, extend};
use crate::{ClusterArn, RoleArn};

fn cluster() -> ClusterArn {
    "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap()
}

fn shard(number: u32, roles: impl IntoIterator<Item = usize>, length: usize) -> Shard {
    let roles = roles.into_iter().map(|n| role_of(n, length)).collect();
    Shard { number, roles, statement: number == 1 }
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

/// Policies in any state: roles listed twice, gaps, the statement anywhere.
fn anything() -> impl Strategy<Value = Vec<Shard>> {
    let role = (0_usize..400, lengths()).prop_map(|(n, lengths)| role_of(n, *lengths.start()));
    let roles = prop::collection::btree_set(role, 1..250);
    let policies = prop::collection::btree_map(1_u32..8, roles, 0..6);
    (policies, clusters(), any::<Index>()).prop_map(|(policies, cluster, holder)| {
        let count = policies.len().max(1);
        let fit = |(at, (number, roles)): (usize, (u32, BTreeSet<RoleArn>))| {
            let roles = extend(&[], &roles, cluster.as_ref(), 1, 1).shards.remove(0).roles;
            Shard { number, roles, statement: at == holder.index(count) }
        };
        policies.into_iter().enumerate().map(fit).collect()
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
            let extension = extend(&shards, wanted, cluster, u32::MAX, 1);
            shards = extended(&shards, &extension);
            shards = compacted(&shards, &compact(&shards, wanted, cluster));
            assert_sound(&shards, cluster);
            assert_eq!(&listed(&shards), wanted);
            if !shards.is_empty() {
                assert_few(shards.len(), fewest(wanted, cluster), LONGEST, cluster);
            }
            let again = compact(&shards, wanted, cluster);
            assert_eq!((again.shards, again.deleted), (shards.clone(), Vec::new()));
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
            shards = extended(&shards, &extend(&shards, wanted, cluster, u32::MAX, 1));
            peak = peak.max(fewest(wanted, cluster));
            if !shards.is_empty() {
                assert_few(shards.len(), peak, LONGEST, cluster);
            }
        });
    }

    #[test]
    fn a_kept_role_is_granted_after_every_change_and_what_goes_is_what_is_not_kept(
        shards in anything(),
        keep in prop::collection::vec(any::<bool>(), 2_000),
        statement in any::<bool>(),
    ) {
        let cluster = cluster();
        let cluster = statement.then_some(&cluster);
        let before = listed(&shards);
        let mut kept = keep.iter();
        let keep: BTreeSet<RoleArn> =
            before.iter().filter(|_| *kept.next().unwrap()).cloned().collect();
        let compaction = compact(&shards, &keep, cluster);
        let changes = changed(&shards, &compaction.shards);
        for count in 0..=changes.len() {
            let now = written(&shards, &changes[..count]);
            prop_assert!(listed(&now).is_superset(&keep), "after {} of {:?}", count, compaction);
        }
        let end = compacted(&shards, &compaction);
        prop_assert_eq!(listed(&end), keep.clone());
        for change in &changes {
            if !change.roles.is_empty() || change.statement {
                assert_fits(change, cluster);
            }
        }
        let again = compact(&end, &keep, cluster);
        prop_assert_eq!((again.shards, again.deleted), (end, Vec::new()));
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
        let shards = compacted(&shards, &compact(&shards, &all, cluster));
        let mut keep = all.clone();
        let role = gone.get(&all.iter().collect::<Vec<_>>()).to_owned().clone();
        keep.remove(&role);
        let compaction = compact(&shards, &keep, cluster);
        let after = compacted(&shards, &compaction);
        if after.len() == shards.len() {
            let changes = changed(&shards, &after);
            let [change] = changes.as_slice() else { panic!("{compaction:?}") };
            let before = &shards.iter().find(|shard| shard.number == change.number).unwrap().roles;
            prop_assert_eq!(before - &change.roles, [role].into());
            prop_assert!(change.roles.is_subset(before));
        } else {
            prop_assert_eq!(after.len(), shards.len() - 1);
            prop_assert_eq!(compaction.deleted.len(), 1);
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
        prop_assert_eq!(compact(&turned, &keep, cluster), compact(&shards, &keep, cluster));
    }
}

#[test]
fn roles_of_the_highest_policy_move_before_it_is_deleted() {
    let shards = [shard(1, 0..40, 60), shard(2, 50..90, 60), shard(3, 100..130, 60)];
    let keep: BTreeSet<RoleArn> = listed(&shards);
    let Compaction { shards: after, deleted } = compact(&shards, &keep, Some(&cluster()));
    let changes = changed(&shards, &after);
    // The fullest that has room takes them all, and nothing else moves.
    let [first] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((first.number, &first.roles), (1, &(&shards[0].roles | &shards[2].roles)));
    assert_eq!(deleted, [3]);
}

#[test]
fn the_last_role_takes_the_policies_with_it_but_for_the_clusters_statement() {
    let shards = [shard(1, 0..2, 60), shard(2, 2..3, 60)];
    let nothing = BTreeSet::new();
    let all = compact(&shards, &nothing, None);
    assert_eq!((all.shards, all.deleted), (Vec::new(), vec![2, 1]));
    let Compaction { shards: changes, deleted } = compact(&shards, &nothing, Some(&cluster()));
    let [first] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((first.number, first.roles.len()), (1, 0));
    assert_eq!(deleted, [2]);
    assert!(compact(&[], &nothing, Some(&cluster())).shards.is_empty());
}

#[test]
fn thousands_of_roles_come_and_go_and_leave_few_policies() {
    let length = |n: usize| if n.is_multiple_of(7) { LONGEST } else { 40 + n * 31 % 150 };
    let cluster = cluster();
    let all: BTreeSet<RoleArn> = (0..3_000).map(|n| role_of(n, length(n))).collect();
    let shards = filled(&all, Some(&cluster));
    for every in [2, 3, 10, 100] {
        let keep: BTreeSet<RoleArn> = all.iter().step_by(every).cloned().collect();
        let after = compacted(&shards, &compact(&shards, &keep, Some(&cluster)));
        assert_sound(&after, Some(&cluster));
        assert_eq!(listed(&after), keep);
        assert_few(after.len(), fewest(&keep, Some(&cluster)), LONGEST, Some(&cluster));
    }
}
