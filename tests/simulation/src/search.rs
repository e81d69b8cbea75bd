//! Seeds: from a number to a history, and from one that fails to a small one.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::generate::histories;
use crate::history::{History, Setup};
use crate::play::play;
use crate::report::{Played, Violation};

/// A history that breaks an invariant.
#[derive(Debug, Clone)]
pub struct Found {
    /// The seed that it came from.
    pub seed: u64,
    /// The invariant that the seed's own history breaks.
    pub violation: Violation,
    /// The smallest history found that breaks the same one.
    pub history: History,
    /// Where that one breaks it.
    pub smallest: Violation,
}

/// The history of a seed. It stays the same while nothing of how histories are
/// made changes.
#[must_use]
pub fn generate(seed: u64, events: usize) -> History {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    histories(events).new_tree(&mut TestRunner::new_with_rng(config, rng)).unwrap().current()
}

/// Plays the history of a seed.
///
/// # Errors
/// The history that breaks an invariant, made as small as it gets.
pub fn search(seed: u64, events: usize) -> Result<Played, Box<Found>> {
    let history = generate(seed, events);
    let violation = match play(&history) {
        Ok(played) => return Ok(played),
        Err(violation) => violation,
    };
    let (history, smallest) = shrink(history, violation.clone());
    Err(Box::new(Found { seed, violation, history, smallest }))
}

/// Takes away whatever the violation does not need, until nothing more can go.
fn shrink(mut history: History, mut violation: Violation) -> (History, Violation) {
    loop {
        let simpler = simpler(&history).into_iter().find_map(|candidate| match play(&candidate) {
            Err(found) if found.rule == violation.rule => Some((candidate, found)),
            _ => None,
        });
        match simpler {
            Some(found) => (history, violation) = found,
            None => return (history, violation),
        }
    }
}

/// Every history with one thing less.
fn simpler(history: &History) -> Vec<History> {
    let mut all = Vec::new();
    let mut push = |change: &dyn Fn(&mut History)| {
        let mut candidate = history.clone();
        change(&mut candidate);
        if candidate != *history {
            all.push(candidate);
        }
    };
    for turn in 0..history.turns.len() {
        push(&|history| _ = history.turns.remove(turn));
    }
    for (turn, of) in history.turns.iter().enumerate() {
        push(&|history| history.turns[turn].then.clear());
        for action in 0..of.then.len() {
            push(&|history| _ = history.turns[turn].then.remove(action));
        }
    }
    let plain: [&dyn Fn(&mut Setup); 12] = [
        &|setup| setup.hands = false,
        &|setup| setup.ledger = false,
        &|setup| setup.stalls = false,
        &|setup| setup.strict = false,
        &|setup| setup.tokens_outlive = false,
        &|setup| setup.page_size = 100,
        &|setup| setup.visible_after = 0,
        &|setup| setup.slots = 10,
        &|setup| setup.call_takes = 0,
        &|setup| setup.concurrency = 1,
        &|setup| setup.floods = false,
        &|setup| setup.recreations = Setup::plain().recreations,
    ];
    for change in plain {
        push(&|history| change(&mut history.setup));
    }
    for cluster in 0..8 {
        push(&|history| history.setup.registered &= !(1 << cluster));
    }
    all
}
