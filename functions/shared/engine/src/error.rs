//! Why something was not done.

use std::error::Error as StdError;
use std::fmt;

use jiff::Timestamp;
use pod_identity_core::plain;
use pod_identity_events::Problem;
use serde::{Serialize, Serializer};

use crate::ports::{PortError, WriteError};

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// It will not work before a person has done what the problem says.
    Blocked(Box<Problem>),
    /// It may work later.
    Retryable(String),
    /// It ends by itself: another run is at work, or AWS does not show yet what was written.
    Waits {
        /// What it waits for.
        why: String,
        /// Until when at the latest.
        until: Timestamp,
    },
}

impl Error {
    /// When to try again where it ends by itself.
    #[must_use]
    pub fn waits_until(&self) -> Option<Timestamp> {
        match self {
            Self::Waits { until, .. } => Some(*until),
            Self::Blocked(_) | Self::Retryable(_) => None,
        }
    }

    /// The same in other words; of what is blocked only the words are left.
    #[must_use]
    pub fn worded(self, words: impl FnOnce(String) -> String) -> Self {
        match self {
            Self::Waits { why, until } => Self::Waits { why: words(why), until },
            other => Self::Retryable(words(other.to_string())),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked(problem) => problem.fmt(f),
            Self::Retryable(why) | Self::Waits { why, .. } => f.write_str(why),
        }
    }
}

/// Answers have it in words.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Blocked(Box::new(problem))
    }
}

impl From<String> for Error {
    fn from(why: String) -> Self {
        Self::Retryable(why)
    }
}

impl From<&str> for Error {
    fn from(why: &str) -> Self {
        Self::Retryable(why.to_owned())
    }
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::Retryable(chain(&error))
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        Self::Retryable(chain(&error))
    }
}

/// The whole chain of an error in one line, for logs and answers. Services repeat what others wrote, such as an
/// admission webhook of a cluster: line ends, and what is not seen, do not come through.
#[must_use]
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        // Wrappers of the SDKs repeat what they wrap.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    plain(&text)
}
