//! What reconcile records of its comparison with Domino.

use jiff::Timestamp;
use pod_identity_core::directory::DirectoryDoubt;
use serde::{Deserialize, Serialize};

/// Most names that one list of a [`DominoComparison`] keeps: five lists are 65 KB, of names in ASCII.
pub const MAX_DOMINO_NAMES: usize = 100;

/// Most characters of one name. Domino sets no limit that is documented.
const MAX_NAME_CHARS: usize = 128;

/// Most characters of a [`DominoFailure`]'s cause.
const MAX_CAUSE_CHARS: usize = 1_000;

/// The last comparison of Domino's service accounts with the bindings. It is read by the admin
/// function, which has no key to Domino's API; no decision depends on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DominoRecord {
    /// The last comparison that was complete; none before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<DominoComparison>,
    /// Why the last attempt failed; none if it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<DominoFailure>,
}

/// What a complete comparison found, and what was done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DominoComparison {
    /// When Domino was asked.
    pub asked_at: Timestamp,
    /// Request id of the invocation.
    pub request_id: String,
    /// How many service accounts were bound.
    pub bound: usize,
    /// Bound, and deactivated in Domino.
    pub deactivated: NameList,
    /// Bound, and in no list of Domino.
    pub gone: NameList,
    /// Active in Domino, and not bound.
    pub unassigned: NameList,
    /// Those of `deactivated` that this invocation unbound.
    pub unbound: NameList,
    /// Those of `deactivated` that it could not unbind; its log has the causes.
    pub not_unbound: NameList,
    /// Why the answer is not believed, so that no service account is unbound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<DirectoryDoubt>,
}

/// The beginning of a list, and how long the list is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NameList {
    /// How many names there are.
    pub total: usize,
    /// The first [`MAX_DOMINO_NAMES`] of them.
    pub names: Vec<String>,
}

impl NameList {
    /// The beginning of a list.
    pub fn of<T: AsRef<str>>(names: impl ExactSizeIterator<Item = T>) -> Self {
        let total = names.len();
        let short = |name: T| name.as_ref().chars().take(MAX_NAME_CHARS).collect();
        Self { total, names: names.take(MAX_DOMINO_NAMES).map(short).collect() }
    }
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DominoFailure {
    /// When Domino was to be asked.
    pub asked_at: Timestamp,
    /// The cause and the remediation.
    pub cause: String,
}

impl DominoFailure {
    /// A failure whose cause fits the record.
    #[must_use]
    pub fn new(asked_at: Timestamp, cause: &str) -> Self {
        Self { asked_at, cause: cause.chars().take(MAX_CAUSE_CHARS).collect() }
    }
}
