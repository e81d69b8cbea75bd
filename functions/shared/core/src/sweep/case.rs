//! The cases of stale pods.

use std::fmt;
use std::str::FromStr;

use pod_identity_events::StalePodCase;
use serde::{Deserialize, Serialize};

/// What is wrong with a pod. The earlier of two that fit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Case {
    /// It holds credentials, and its association is gone.
    Revoked,
    /// What its association gives changed after it was admitted.
    Changed,
    /// Its association was made again after it was admitted, and gives something else.
    Recreated,
    /// A label or an annotation keeps its association from it: it opted out, and is in no other case.
    Excluded,
    /// Web identity or access keys in it hide the association.
    Shadowed,
    /// It has no credentials although there is an association.
    Missing,
    /// A mapped Domino name started it, on a service account of its run.
    Unmapped,
}

/// A text names no case. States the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a case of stale pods: revoked, changed, recreated, excluded, shadowed, missing or unmapped"
)]
pub struct CaseError(String);

impl Case {
    /// All of them, the first that fits counts.
    pub const ALL: [Self; 7] = [
        Self::Revoked,
        Self::Changed,
        Self::Recreated,
        Self::Excluded,
        Self::Shadowed,
        Self::Missing,
        Self::Unmapped,
    ];

    /// Its name in configuration, JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Changed => "changed",
            Self::Recreated => "recreated",
            Self::Shadowed => "shadowed",
            Self::Excluded => "excluded",
            Self::Missing => "missing",
            Self::Unmapped => "unmapped",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Case {
    type Err = CaseError;

    fn from_str(text: &str) -> Result<Self, CaseError> {
        let found = Self::ALL.into_iter().find(|case| case.as_str() == text);
        found.ok_or_else(|| CaseError(text.to_owned()))
    }
}

impl From<Case> for StalePodCase {
    fn from(case: Case) -> Self {
        match case {
            Case::Revoked => Self::Revoked,
            Case::Changed => Self::Changed,
            Case::Recreated => Self::Recreated,
            Case::Shadowed => Self::Shadowed,
            Case::Excluded => Self::Excluded,
            Case::Missing => Self::Missing,
            Case::Unmapped => Self::Unmapped,
        }
    }
}
