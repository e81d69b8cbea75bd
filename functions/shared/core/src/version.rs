//! The version of a change, which decides between two events about one thing.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Time and event id of a change. The later one wins, in whatever order they arrive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    millis: i64,
    event_id: String,
}

/// A string is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version, `MILLISECONDS#EVENT-ID`")]
pub struct VersionError(String);

impl Version {
    /// Joins the time of the change and the sender's id of it.
    #[must_use]
    pub fn new(occurred_at: Timestamp, event_id: impl Into<String>) -> Self {
        Self { millis: occurred_at.as_millisecond(), event_id: event_id.into() }
    }

    /// When the change was made, to the millisecond.
    #[must_use]
    pub fn occurred_at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.millis).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The sender's id of the change.
    #[must_use]
    pub fn event_id(&self) -> &str {
        &self.event_id
    }
}

/// `MILLISECONDS#EVENT-ID`, padded so that it sorts as text as it does as a value.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:015}#{}", self.millis, self.event_id)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError(text.to_owned());
        let (millis, event_id) = text.split_once('#').ok_or_else(error)?;
        Ok(Self { millis: millis.parse().map_err(|_| error())?, event_id: event_id.to_owned() })
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;
    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}
