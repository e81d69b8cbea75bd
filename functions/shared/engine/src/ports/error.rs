//! The one error of all ports.

/// What an error means to the engine, whatever service it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The object does not exist (`ResourceNotFoundException`, `NoSuchEntity`).
    NotFound,
    /// Something of that name or place exists already (`ResourceInUseException`, `EntityAlreadyExists`).
    InUse,
    /// A limit of the service was reached (`ResourceLimitExceededException`, `LimitExceeded`).
    LimitReached,
    /// The caller may not do that.
    Denied,
    /// The service refuses a value; trying again will not help.
    Invalid,
    /// A page token is too old: the list has to begin again (Kubernetes' 410).
    Expired,
    /// No connection can be made: no address, no route, or a certificate that is not the cluster's.
    Unreachable,
    /// Throttled, a server error, a time-out or a broken connection: try again later.
    /// The call may have had its effect.
    Passing,
}

/// A call to AWS or Kubernetes failed.
///
/// `Display` names operation and object and never repeats the source.
#[derive(Debug, thiserror::Error)]
#[error("failed to {operation} {object}")]
pub struct PortError {
    /// What was tried, as a verb and a noun: `create association for`.
    pub operation: &'static str,
    /// On what, such as `domino-compute/svc-etl-sa in cluster blue`.
    pub object: String,
    /// What it means.
    pub kind: ErrorKind,
    /// The service's error code, when it answered with one.
    pub code: Option<String>,
    /// What the service said, when it answered with an error.
    pub message: Option<String>,
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl PortError {
    /// Whether the service answered. Without an answer a call may have had its effect.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.code.is_some() || self.message.is_some()
    }
}
