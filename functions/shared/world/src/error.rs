//! Errors as AWS answers them, and what they and Kubernetes' mean.

use pod_identity_engine::ports::ErrorKind;

/// An error answer of an AWS service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AwsError {
    /// HTTP status.
    pub status: u16,
    /// Error code, such as `ResourceInUseException`.
    pub code: String,
    /// The service's words.
    pub message: String,
}

impl AwsError {
    /// Joins status, code and message.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// What the error means to the engine.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.code.as_str() {
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "ProvisionedThroughputExceededException"
            | "ConcurrentModification"
            | "RequestTimeout" => ErrorKind::Passing,
            _ if self.status >= 500 || self.status == 429 => ErrorKind::Passing,
            "ResourceNotFoundException"
            | "NotFoundException"
            | "NoSuchEntity"
            | "NotFound"
            | "NoSuchKey"
            | "NoSuchBucket" => ErrorKind::NotFound,
            "ResourceInUseException" | "EntityAlreadyExists" | "AlreadyExists" | "Conflict" => {
                ErrorKind::InUse
            }
            "Expired" => ErrorKind::Expired,
            "Unreachable" => ErrorKind::Unreachable,
            "Forbidden" | "Unauthorized" => ErrorKind::Denied,
            "ResourceLimitExceededException" | "LimitExceeded" | "LimitExceededException" => {
                ErrorKind::LimitReached
            }
            code if code.starts_with("AccessDenied") => ErrorKind::Denied,
            _ => ErrorKind::Invalid,
        }
    }
}
