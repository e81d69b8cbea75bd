//! What is told of a history.

use std::fmt;
use std::ops::AddAssign;

/// Something that must never happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule, as the tests name it.
    pub rule: &'static str,
    /// Where it was broken.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(rule: &'static str, what: String) -> Self {
        Self { rule, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

/// What a history amounted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Played {
    /// Invocations.
    pub runs: usize,
    /// Calls of AWS.
    pub calls: usize,
    /// Invocations that died.
    pub crashes: usize,
    /// Calls that were made to fail.
    pub faults: usize,
    /// Associations of ours in the end.
    pub bound: usize,
    /// Conditions that are blocked in the end.
    pub blocked: usize,
}

impl AddAssign for Played {
    fn add_assign(&mut self, other: Self) {
        let Self { runs, calls, crashes, faults, bound, blocked } = other;
        self.runs += runs;
        self.calls += calls;
        self.crashes += crashes;
        self.faults += faults;
        self.bound += bound;
        self.blocked += blocked;
    }
}
