//! Every test run plays the histories of the first 2,000 seeds.
#![allow(clippy::panic)]

use simulation::search;

const SEEDS: u64 = 2_000;
const EVENTS: usize = 20;

/// Plays every second seed; two tests share them, since tests run side by side.
fn play(from: u64) {
    let mut bound = 0;
    for seed in (from..SEEDS).step_by(2) {
        match search(seed, EVENTS) {
            Ok(played) => bound += played.bound,
            Err(found) => panic!(
                "seed {seed} breaks an invariant: {}\nsmallest: {}\n\
                 keep it as a file in tests/simulation/found: {}",
                found.violation,
                found.smallest,
                serde_json::to_string(&found.history).unwrap_or_default(),
            ),
        }
    }
    // Histories in which nothing comes true would show nothing.
    assert!(bound > 1_000, "only {bound} associations in all");
}

#[test]
fn invariants_hold_in_the_histories_of_all_even_seeds() {
    play(0);
}

#[test]
fn invariants_hold_in_the_histories_of_all_odd_seeds() {
    play(1);
}
