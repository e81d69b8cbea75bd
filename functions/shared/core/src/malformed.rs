//! What cannot be read.

/// A document, an object or a request breaks a rule of its form: which one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl From<String> for Malformed {
    fn from(rule: String) -> Self {
        Self(rule)
    }
}

impl From<&str> for Malformed {
    fn from(rule: &str) -> Self {
        Self(rule.to_owned())
    }
}
