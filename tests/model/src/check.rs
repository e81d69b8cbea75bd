//! Searches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::action::Action;
use crate::promise::{Promise, Reached};
use crate::protocol::Protocol;
use crate::setup::Setup;

/// What a search of every reachable state has found.
#[derive(Debug)]
pub struct Checked {
    /// Different states.
    pub states: usize,
    /// Steps to the state that is farthest away; with several threads perhaps a few more.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Promises that some state breaks, each with the way to it.
    pub broken: BTreeMap<Promise, Vec<Action>>,
    /// What it came across.
    pub reached: BTreeSet<Reached>,
}

/// Visits every state that a setup can reach, with as many threads.
///
/// No bound cuts it: it ends when there is no state left.
#[must_use]
pub fn check(setup: Setup, threads: usize) -> Checked {
    let started = Instant::now();
    let promises = setup.promises.clone();
    let checker = Protocol::new(setup).checker().threads(threads).spawn_bfs().join();
    let found = checker.discoveries();
    let actions = |name| found.get(name).cloned().map(stateright::Path::into_actions);
    Checked {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: started.elapsed(),
        broken: promises.into_iter().filter_map(|it| Some((it, actions(it.name())?))).collect(),
        reached: Reached::ALL.into_iter().filter(|it| found.contains_key(it.name())).collect(),
    }
}

/// Searches for a way to break a promise, a shortest one first.
#[must_use]
pub fn find(promise: Promise, setup: Setup) -> Option<Vec<Action>> {
    let enough = HasDiscoveries::AnyOf([promise.name()].into());
    let setup = setup.promising(&[promise]);
    let checker = Protocol::new(setup).checker().finish_when(enough).spawn_bfs().join();
    checker.discovery(promise.name()).map(stateright::Path::into_actions)
}
