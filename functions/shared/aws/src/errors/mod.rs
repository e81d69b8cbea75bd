//! What the SDKs' errors mean to the engine, in one place.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use pod_identity_engine::ports::{ErrorKind, PortError};

/// Turns an SDK's error into a port's.
pub(crate) fn port_error<E: Error + ProvideErrorMetadata + Send + Sync + 'static>(
    operation: &'static str,
    object: impl Into<String>,
    error: SdkError<E, HttpResponse>,
) -> PortError {
    let Class { kind, code, message } = classify(&error);
    // What the SDK shows of an error that its model does not have is Rust's view of it.
    let source: Box<dyn Error + Send + Sync> = match &error {
        SdkError::ServiceError(service) => Box::new(Answered {
            code: code.clone(),
            message: message.clone(),
            status: service.raw().status().as_u16(),
        }),
        _ => Box::new(error),
    };
    PortError { operation, object: object.into(), kind, code, message, source }
}

/// What a service answered instead of what was asked for.
#[derive(Debug)]
struct Answered {
    code: Option<String>,
    message: Option<String>,
    status: u16,
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => write!(f, "{code}: {message}"),
            (Some(words), None) | (None, Some(words)) => f.write_str(words),
            (None, None) => write!(f, "AWS answered {} and said nothing", self.status),
        }
    }
}

impl Error for Answered {}

/// A call succeeded, but its answer or its input is not what it must be.
pub(crate) fn invalid(
    operation: &'static str,
    object: impl Into<String>,
    source: impl Into<Box<dyn Error + Send + Sync>>,
) -> PortError {
    PortError {
        operation,
        object: object.into(),
        kind: ErrorKind::Invalid,
        code: None,
        message: None,
        source: source.into(),
    }
}

/// The object is gone or was never there: none instead of an error.
pub(crate) fn absent<T>(result: Result<T, PortError>) -> Result<Option<T>, PortError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What an error means, and the service's own words for it.
struct Class {
    kind: ErrorKind,
    code: Option<String>,
    message: Option<String>,
}

impl Class {
    fn bare(kind: ErrorKind) -> Self {
        Self { kind, code: None, message: None }
    }
}

fn classify<E: Error + ProvideErrorMetadata + 'static>(error: &SdkError<E, HttpResponse>) -> Class {
    match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code();
            let status = service.raw().status().as_u16();
            let kind = code.and_then(kind_of_code).unwrap_or(kind_of_status(status));
            let message = service.err().message().map(str::to_owned);
            Class { kind, code: code.map(str::to_owned), message }
        }
        SdkError::ConstructionFailure(_) => Class::bare(ErrorKind::Invalid),
        // Credentials are fetched before the request is sent; a role that may
        // not be assumed arrives here and not as an answer of the service.
        SdkError::DispatchFailure(_) => {
            credentials(error).unwrap_or(Class::bare(ErrorKind::Passing))
        }
        // A time-out, or an answer that cannot be read, which may follow an effect.
        _ => Class::bare(ErrorKind::Passing),
    }
}

/// Why there are no credentials, when that is in the chain of causes.
fn credentials(error: &(dyn Error + 'static)) -> Option<Class> {
    let mut found = None;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<CredentialsError>() {
            let kind = match error {
                CredentialsError::CredentialsNotLoaded(_)
                | CredentialsError::InvalidConfiguration(_) => ErrorKind::Denied,
                _ => ErrorKind::Passing,
            };
            found = Some(Class::bare(kind));
        }
        if let Some(said) = error.downcast_ref::<ErrorMetadata>()
            && let Some(code) = said.code()
        {
            let kind = kind_of_code(code).unwrap_or(ErrorKind::Denied);
            let message = said.message().map(|message| format!("no credentials: {message}"));
            return Some(Class { kind, code: Some(code.to_owned()), message });
        }
        cause = error.source();
    }
    found
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Denied,
        408 | 429 | 500.. => ErrorKind::Passing,
        _ => ErrorKind::Invalid,
    }
}

/// The codes of EKS, IAM, STS, EventBridge and DynamoDB whose status does not say enough.
/// Protocols differ in the suffix: the query protocol of IAM and STS has none.
fn kind_of_code(code: &str) -> Option<ErrorKind> {
    let bare = code.strip_suffix("Exception").unwrap_or(code);
    let kind = match bare {
        "ResourceNotFound" | "NoSuchEntity" | "NotFound" => ErrorKind::NotFound,

        "ResourceInUse" | "EntityAlreadyExists" => ErrorKind::InUse,

        "ResourceLimitExceeded" | "LimitExceeded" | "ServiceQuotaExceeded" => {
            ErrorKind::LimitReached
        }

        "AccessDenied"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "AuthFailure"
        | "OptInRequired"
        | "UnrecognizedClient"
        | "InvalidClientTokenId"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | "InvalidSignature"
        | "SignatureDoesNotMatch" => ErrorKind::Denied,

        // Credentials that ran out, or a clock that is off for a moment: new ones come by themselves.
        "ExpiredToken" | "ExpiredTokenId" | "RequestExpired" | "RequestTimeTooSkewed" => {
            ErrorKind::Passing
        }

        "Throttling"
        | "Throttled"
        | "TooManyRequests"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "BandwidthLimitExceeded"
        | "SlowDown"
        | "PriorRequestNotComplete"
        | "ProvisionedThroughputExceeded" => ErrorKind::Passing,

        "InternalFailure"
        | "InternalError"
        | "InternalServerError"
        | "InternalServer"
        | "Internal"
        | "ServiceFailure"
        | "ServiceUnavailable"
        | "Server"
        | "RequestTimeout" => ErrorKind::Passing,

        // IAM and DynamoDB: another caller is changing the same object.
        "ConcurrentModification"
        | "EntityTemporarilyUnmodifiable"
        | "TransactionInProgress"
        | "TransactionConflict" => ErrorKind::Passing,

        // EKS: another resource is still on its way to where EKS looks for it.
        "ResourcePropagationDelay" => ErrorKind::Passing,

        _ => return None,
    };
    Some(kind)
}
