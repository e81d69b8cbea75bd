//! Domino's own list of service accounts against the bindings: who is bound whom Domino has
//! deactivated or does not know, and who is not bound.
//!
//! Domino's answers are a source like any other that can be wrong: one that would take the roles
//! from many is taken for wrong, and takes none.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::DominoName;

/// Domino's service accounts, by user name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DominoDirectory {
    /// All that Domino lists, deactivated ones among them.
    pub all: BTreeSet<String>,
    /// Those that it lists as active.
    pub active: BTreeSet<String>,
}

/// How many deactivated service accounts one comparison unbinds at most. Above it none is: such an
/// answer is more likely wrong than right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    /// In number. Default 10.
    pub most: usize,
    /// As a share of all bindings, in percent. Default 20. One is no large share, however few
    /// bindings there are.
    pub percent: u8,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self { most: 10, percent: 20 }
    }
}

impl Ceilings {
    fn limit(self, bound: usize) -> usize {
        let share = bound.saturating_mul(self.percent.into()) / 100;
        share.max(1).min(self.most)
    }
}

/// What the comparison found, each list in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// How many are bound.
    pub bound: usize,
    /// Bound, and Domino does not know the name: deleted, or never a service account. A binding may
    /// be a user's, so they are only told.
    pub gone: Vec<DominoName>,
    /// Bound, and deactivated in Domino.
    pub deactivated: Vec<DominoName>,
    /// Active in Domino, and not bound.
    pub unassigned: Vec<String>,
    /// Why nobody is to be unbound after this answer, whatever it says.
    pub doubt: Option<DirectoryDoubt>,
}

impl Comparison {
    /// Who is to be unbound: nobody while there is a doubt.
    #[must_use]
    pub fn to_unbind(&self) -> &[DominoName] {
        if self.doubt.is_some() { &[] } else { &self.deactivated }
    }
}

/// Why an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "doubt")]
pub enum DirectoryDoubt {
    /// Domino lists nobody at all.
    Empty,
    /// Domino lists nobody as active.
    NobodyActive {
        /// How many it lists as deactivated.
        listed: usize,
    },
    /// More would be unbound than the ceilings admit.
    TooMany {
        /// How many are bound and deactivated.
        deactivated: usize,
        /// How many are bound.
        bound: usize,
        /// How many the ceilings admit.
        limit: usize,
    },
}

impl fmt::Display for DirectoryDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "Domino lists no service account at all, so nobody is unbound; check that DOMINO_URL is the right Domino and that its API key is an administrator's",
            ),
            Self::NobodyActive { listed } => write!(
                f,
                "Domino lists {listed} service accounts and none of them as active, so nobody is unbound; check that its API key is an administrator's, or unbind those that were meant (action unbind)"
            ),
            Self::TooMany { deactivated, bound, limit } => write!(
                f,
                "{deactivated} of {bound} bound service accounts are deactivated in Domino, more than the {limit} that are unbound at once, so none of them is; check that so many were meant, then raise DOMINO_UNBIND_MAX or DOMINO_UNBIND_PERCENT, or unbind them (action unbind)"
            ),
        }
    }
}

/// Compares who is bound with Domino's lists.
#[must_use]
pub fn compare<'a>(
    bindings: impl IntoIterator<Item = &'a DominoName>,
    directory: &DominoDirectory,
    ceilings: Ceilings,
) -> Comparison {
    let DominoDirectory { all, active } = directory;
    let bindings: BTreeSet<&DominoName> = bindings.into_iter().collect();
    let bound: BTreeSet<&str> = bindings.iter().map(|name| name.as_str()).collect();
    let mut found = Comparison { bound: bindings.len(), ..Comparison::default() };
    for name in &bindings {
        // Somebody who is in one list only may have come or changed between the two; and a name may
        // be in it twice, deactivated and made again.
        if active.contains(name.as_str()) {
            continue;
        }
        let list =
            if all.contains(name.as_str()) { &mut found.deactivated } else { &mut found.gone };
        list.push((*name).clone());
    }
    let unassigned = active.iter().filter(|name| !bound.contains(name.as_str()));
    found.unassigned = unassigned.cloned().collect();
    found.doubt = doubt(&found, directory, ceilings);
    found
}

fn doubt(
    found: &Comparison,
    directory: &DominoDirectory,
    ceilings: Ceilings,
) -> Option<DirectoryDoubt> {
    let (deactivated, bound) = (found.deactivated.len(), found.bound);
    let limit = ceilings.limit(bound);
    if bound == 0 {
        None
    } else if directory.all.is_empty() && directory.active.is_empty() {
        Some(DirectoryDoubt::Empty)
    } else if directory.active.is_empty() {
        Some(DirectoryDoubt::NobodyActive { listed: directory.all.len() })
    } else {
        (deactivated > limit).then_some(DirectoryDoubt::TooMany { deactivated, bound, limit })
    }
}
