//! Histories out of seeds.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::history::{Action, Asks, Event, Hand, History, Ledger, NAMES, Setup, Turn};
use crate::stage::{CLUSTERS, PLACES, ROLES};

/// Histories of so many events.
pub(crate) fn histories(events: usize) -> impl Strategy<Value = History> {
    (setup(), vec(turn(), events)).prop_map(|(setup, turns)| History { setup, turns })
}

fn setup() -> impl Strategy<Value = Setup> {
    let trouble = (
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.7),
        prop::bool::weighted(0.05),
    );
    let world = (
        select(vec![100_usize, 100, 1, 2, 3]),
        select(vec![0_i64, 0, 0, 1, 3, 8]),
        select(vec![10_usize, 10, 10, 1, 2, 3]),
        any::<bool>(),
        select(vec![0_u64, 0, 50, 400]),
        select(vec![10_usize, 10, 2, 1]),
    );
    (0..1_u8 << CLUSTERS, world, 1..5_usize, prop::bool::weighted(0.3), trouble).prop_map(
        |(registered, world, concurrency, strict, (hands, ledger, stalls, trims, floods))| {
            let (page_size, visible_after, slots, tokens_outlive, call_takes, recreations) = world;
            Setup {
                registered,
                page_size,
                visible_after,
                slots,
                tokens_outlive,
                call_takes,
                concurrency,
                strict,
                hands,
                ledger,
                stalls,
                trims,
                floods,
                recreations,
            }
        },
    )
}

fn turn() -> impl Strategy<Value = Turn> {
    (event(), vec(action(), 0..7)).prop_map(|(event, then)| Turn { event, then })
}

fn event() -> impl Strategy<Value = Event> {
    (0..24_u8, 0..4_u8, asks()).prop_map(|(at, tie, asks)| Event { at, tie, asks })
}

fn asks() -> impl Strategy<Value = Asks> {
    let name = 0..NAMES;
    prop_oneof![
        12 => (name.clone(), 0..ROLES, option::weighted(0.4, 0..PLACES), prop::bool::weighted(0.2),
               prop::bool::weighted(0.2), option::weighted(0.3, 1..1_u8 << CLUSTERS))
            .prop_map(|(name, role, place, target, policy, clusters)| Asks::Assigned {
                name, role, place, target, policy, clusters
            }),
        4 => name.clone().prop_map(|name| Asks::Unassigned { name }),
        1 => name.clone().prop_map(|name| Asks::Deactivated { name }),
        2 => (0..CLUSTERS, any::<bool>())
            .prop_map(|(cluster, shared)| Asks::Registered { cluster, shared }),
        1 => (0..CLUSTERS).prop_map(|cluster| Asks::Retired { cluster }),
        1 => (name, 0..6_u8).prop_map(|(name, rule)| Asks::Broken { name, rule }),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let runner = 0..2_u8;
    prop_oneof![
        6 => (runner.clone(), 0..8_usize, 1..6_usize)
            .prop_map(|(runner, from, size)| Action::Start { runner, from, size }),
        9 => (runner.clone(), 1..9_usize).prop_map(|(runner, calls)| Action::Step { runner, calls }),
        2 => (runner.clone(), 0..CLUSTERS)
            .prop_map(|(runner, cluster)| Action::Reconcile { runner, cluster }),
        4 => runner.clone().prop_map(|runner| Action::Finish { runner }),
        2 => (0..20_usize).prop_map(|event| Action::Again { event }),
        1 => runner.clone().prop_map(|runner| Action::Crash { runner }),
        1 => (0..NAMES, 0..ROLES, select(vec![9_usize, 40, 120]))
            .prop_map(|(name, role, size)| Action::Flood { name, role, size }),
        2 => (runner, 1..12_usize, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(runner, nth, effect, denied)| Action::Fault { runner, nth, effect, denied }),
        2 => select(vec![1_i64, 1, 2, 7, 61, 130]).prop_map(|seconds| Action::Wait { seconds }),
        3 => hand().prop_map(Action::Hand),
        1 => select(vec![Ledger::Backup, Ledger::Restore, Ledger::Lose, Ledger::Swap])
            .prop_map(Action::Ledger),
    ]
}

fn hand() -> impl Strategy<Value = Hand> {
    let (cluster, nth) = (0..CLUSTERS, 0..8_u8);
    let association = (cluster.clone(), nth.clone());
    prop_oneof![
        3 => (cluster.clone(), 0..PLACES, 0..ROLES)
            .prop_map(|(cluster, place, role)| Hand::Create { cluster, place, role }),
        3 => association.clone().prop_map(|(cluster, nth)| Hand::Delete { cluster, nth }),
        2 => (association.clone(), 0..ROLES)
            .prop_map(|((cluster, nth), role)| Hand::Change { cluster, nth, role }),
        2 => association.clone().prop_map(|(cluster, nth)| Hand::Untag { cluster, nth }),
        2 => (association, 0..NAMES)
            .prop_map(|((cluster, nth), name)| Hand::Tag { cluster, nth, name }),
        3 => (nth.clone(), option::of(0..ROLES)).prop_map(|(nth, role)| Hand::Policy { nth, role }),
        1 => nth.clone().prop_map(|nth| Hand::Garble { nth }),
        1 => nth.prop_map(|nth| Hand::Detach { nth }),
        1 => cluster.clone().prop_map(|cluster| Hand::Attach { cluster }),
        2 => (0..ROLES, any::<bool>()).prop_map(|(role, trusts)| Hand::Trust { role, trusts }),
        1 => cluster.clone().prop_map(|cluster| Hand::DeleteCluster { cluster }),
        1 => cluster.prop_map(|cluster| Hand::CreateCluster { cluster }),
    ]
}
