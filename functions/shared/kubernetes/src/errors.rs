//! What an answer, or none, means to the engine, in one place.

#[cfg(test)]
mod tests;

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_types::error::metadata::ErrorMetadata;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use kube::client::AuthError;
use pod_identity_engine::ports::{ClusterAccess, ErrorKind, PortError};
use serde::Deserialize;

use crate::target::TargetError;

/// An answer that is not what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the Kubernetes API answered {status}: {}", self.words())]
pub(crate) struct ApiRefusal {
    status: u16,
    /// What the server says, when it says it as Kubernetes does.
    said: Option<Status>,
    retry_after: Option<Duration>,
}

/// Kubernetes' `Status`, as far as it is looked at.
#[derive(Debug, Deserialize)]
struct Status {
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
    details: Option<Details>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    causes: Vec<ErrorCause>,
    #[serde(default)]
    retry_after_seconds: u64,
}

#[derive(Debug, Deserialize)]
struct ErrorCause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

impl ApiRefusal {
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let said = serde_json::from_slice(body).ok();
        let said = said.filter(|status: &Status| status.kind == "Status");
        let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let details = said.as_ref().and_then(|status| status.details.as_ref());
        let seconds = header.or(details.map(|details| details.retry_after_seconds));
        let retry_after = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        Self { status: status.as_u16(), said, retry_after }
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// How long the server wants to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether Kubernetes itself answered, and not something in front of it.
    pub(crate) fn is_of_kubernetes(&self) -> bool {
        self.said.is_some()
    }

    /// The server's words, with those of its causes that they do not hold already.
    pub(crate) fn words(&self) -> String {
        let Some(status) = &self.said else {
            return "no words of Kubernetes".to_owned();
        };
        let mut words = status.message.clone();
        for cause in status.details.iter().flat_map(|details| &details.causes) {
            if !cause.message.is_empty() && !words.contains(&cause.message) {
                words = format!("{words} {}", cause.message);
            }
        }
        if words.is_empty() { status.reason.clone() } else { words }
    }

    pub(crate) fn has_cause(&self, reason: &str) -> bool {
        let details = self.said.as_ref().and_then(|status| status.details.as_ref());
        details.is_some_and(|details| details.causes.iter().any(|cause| cause.reason == reason))
    }

    /// Whether a precondition on the uid failed. Kubernetes has two wordings, by where it
    /// notices, and answers 409 for a lost race as well.
    pub(crate) fn is_of_another_uid(&self) -> bool {
        let words = self.words().to_lowercase();
        self.status == 409 && words.contains("uid") && words.contains("precondition")
    }

    /// Whether an apply does not fit the schema, of which Kubernetes makes an error of its own (500) and names no
    /// reason.
    fn is_of_schema(&self) -> bool {
        self.status == 500 && self.words().starts_with("failed to create typed patch object")
    }

    /// Whether the request was looked at and turned away: by a quota, a webhook, or a namespace that is going.
    /// Admission and authorization both answer 403; only the latter says what the caller cannot do.
    pub(crate) fn is_of_admission(&self) -> bool {
        let words = self.words();
        let refuses = words.contains("is forbidden: ") || words.contains("denied the request");
        self.status == 403 && self.is_of_kubernetes() && refuses && !words.contains(" cannot ")
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        match self.status {
            403 if self.is_of_admission() => ErrorKind::Invalid,
            500 if self.is_of_schema() => ErrorKind::Invalid,
            401 | 403 => ErrorKind::Denied,
            404 => ErrorKind::NotFound,
            409 => ErrorKind::InUse,
            410 => ErrorKind::Expired,
            408 | 429 | 500.. => ErrorKind::Passing,
            _ => ErrorKind::Invalid,
        }
    }

    pub(crate) fn into_port_error(self, operation: &'static str, object: String) -> PortError {
        let reason = self.said.as_ref().map(|status| status.reason.clone());
        PortError {
            operation,
            object,
            kind: self.kind(),
            code: reason.filter(|reason| !reason.is_empty()),
            message: self.said.is_some().then(|| self.words()),
            source: Box::new(self),
        }
    }
}

/// No answer, or one that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenConnection {
    #[error("the connection failed")]
    Connection(#[source] Box<kube::Error>),
    #[error("there was no complete answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("the answer has more than {0} bytes: ask for smaller pages")]
    TooLarge(usize),
    #[error("the answer is not what Kubernetes documents")]
    Unreadable(#[source] serde_json::Error),
    #[error("the request cannot be built")]
    Request(#[source] http::Error),
}

impl BrokenConnection {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Connection(error) => connection(error.as_ref()),
            Self::TimedOut(_) => ErrorKind::Passing,
            Self::TooLarge(_) | Self::Unreadable(_) | Self::Request(_) => ErrorKind::Invalid,
        }
    }
}

/// What never became a connection had no effect; anything else may have had one.
fn connection(error: &(dyn Error + 'static)) -> ErrorKind {
    for cause in chain(error) {
        if cause.is::<AuthError>() {
            return ErrorKind::Denied;
        }
        let failed = cause.downcast_ref::<hyper_util::client::legacy::Error>();
        if failed.is_some_and(hyper_util::client::legacy::Error::is_connect) {
            return ErrorKind::Unreachable;
        }
    }
    ErrorKind::Passing
}

fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> + 'a {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// An error without an answer of the Kubernetes API.
pub(crate) fn local_error(
    operation: &'static str,
    access: &ClusterAccess,
    kind: ErrorKind,
    source: impl Error + Send + Sync + 'static,
) -> PortError {
    PortError {
        operation,
        object: format!("cluster {}", access.cluster.name()),
        kind,
        code: None,
        message: None,
        source: Box::new(source),
    }
}

/// A cluster that is not there, or not yet, cannot be reached; all else is a wrong value.
pub(crate) fn target_error(
    operation: &'static str,
    access: &ClusterAccess,
    error: TargetError,
) -> PortError {
    let kind = match error {
        TargetError::NoCluster | TargetError::NoEndpoint(_) => ErrorKind::Unreachable,
        _ => ErrorKind::Invalid,
    };
    let message = error.to_string();
    PortError { message: Some(message), ..local_error(operation, access, kind, error) }
}

/// Why there are no credentials: STS's own code where it answered.
pub(crate) fn credentials_error(
    operation: &'static str,
    access: &ClusterAccess,
    error: CredentialsError,
) -> PortError {
    let said = chain(&error).find_map(|cause| cause.downcast_ref::<ErrorMetadata>());
    let said = said.filter(|said| said.code().is_some()).cloned();
    let code = said.as_ref().and_then(|said| said.code()).map(str::to_owned);
    let kind = match (&error, code.as_deref()) {
        (_, Some(code)) if passes(code) => ErrorKind::Passing,
        (_, Some(_)) => ErrorKind::Denied,
        (CredentialsError::CredentialsNotLoaded(_), None)
        | (CredentialsError::InvalidConfiguration(_), None) => ErrorKind::Denied,
        _ => ErrorKind::Passing,
    };
    let message =
        said.and_then(|said| said.message().map(|said| format!("no credentials: {said}")));
    PortError { code, message, ..local_error(operation, access, kind, error) }
}

/// Codes of STS that are no refusal.
fn passes(code: &str) -> bool {
    let code = code.strip_suffix("Exception").unwrap_or(code);
    matches!(
        code,
        "Throttling"
            | "Throttled"
            | "TooManyRequests"
            | "RequestLimitExceeded"
            | "ExpiredToken"
            | "ExpiredTokenId"
            | "RequestExpired"
            | "InternalFailure"
            | "InternalError"
            | "ServiceUnavailable"
            | "ServiceFailure"
            | "RequestTimeout"
    )
}
