//! Why something is as it is on the other cluster.

/// Why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) why: String,
    pub(super) remediation: String,
}

impl Reason {
    pub(super) fn new(why: impl Into<String>, remediation: impl Into<String>) -> Self {
        Self { why: why.into(), remediation: remediation.into() }
    }
}
