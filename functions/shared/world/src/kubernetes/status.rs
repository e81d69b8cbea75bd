//! Errors as the Kubernetes API words them: `Status` objects.

use std::time::Duration;

use pod_identity_engine::ports::ErrorKind;
use serde_json::{Value, json};

use super::Resource;
use crate::error::AwsError;

/// Reason of the cause of a 429 that comes from a budget.
pub(crate) const DISRUPTION_BUDGET: &str = "DisruptionBudget";

/// How long the real server answers nothing to an eviction by the uid of a pod whose name another one has, which is
/// pending or terminating: measured on kube-apiserver 1.36.
pub const LATE: Duration = Duration::from_millis(10_400);

/// An answer of the Kubernetes API that is no success.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiStatus {
    /// HTTP status; 0 when no connection can be made.
    pub code: u16,
    /// `NotFound`, `Conflict`, ...; empty for an answer that is no `Status` but plain text.
    pub reason: String,
    /// The server's words.
    pub message: String,
    /// `details`: name, group, kind, causes, `retryAfterSeconds`.
    pub details: Value,
    /// Where an inconsistent list could go on after `Expired`.
    pub continue_token: Option<String>,
    /// Whether the server says it only after [`LATE`].
    pub is_late: bool,
}

impl ApiStatus {
    /// Joins code, reason and message.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            message: message.into(),
            details: json!({}),
            continue_token: None,
            is_late: false,
        }
    }

    /// The object, as it goes over the wire.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut metadata = json!({});
        if let Some(token) = &self.continue_token {
            metadata["continue"] = json!(token);
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata,
            "status": "Failure",
            "message": self.message,
            "details": self.details,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        status
    }

    /// Whether it is plain text, from before there is anything that could say more.
    #[must_use]
    pub fn is_plain_text(&self) -> bool {
        matches!(self.code, 404 | 429) && self.reason.is_empty()
    }

    /// What the error means to the engine.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        AwsError::from(self.clone()).kind()
    }

    /// Whether a budget forbids an eviction, and not a throttle.
    #[must_use]
    pub fn is_budget(&self) -> bool {
        let causes = self.details["causes"].as_array();
        self.code == 429
            && causes.into_iter().flatten().any(|cause| cause["reason"] == DISRUPTION_BUDGET)
    }

    pub(super) fn of(mut self, resource: Resource, name: &str) -> Self {
        self.details["name"] = json!(name);
        self.details["kind"] = json!(resource.plural());
        if !resource.group().is_empty() {
            self.details["group"] = json!(resource.group());
        }
        self
    }

    pub(super) fn cause(mut self, reason: &str, message: &str, field: Option<&str>) -> Self {
        let mut cause = json!({ "reason": reason, "message": message });
        if let Some(field) = field {
            cause["field"] = json!(field);
        }
        match self.details["causes"].as_array_mut() {
            Some(causes) => causes.push(cause),
            None => self.details["causes"] = json!([cause]),
        }
        self
    }

    pub(super) fn not_found(resource: Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(404, "NotFound", message).of(resource, name)
    }

    pub(super) fn already_exists(resource: Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).of(resource, name)
    }

    pub(super) fn conflict(resource: Resource, name: &str, why: &str) -> Self {
        let what = resource.qualified();
        let message = format!("Operation cannot be fulfilled on {what} \"{name}\": {why}");
        Self::new(409, "Conflict", message).of(resource, name)
    }

    /// 409 of a precondition, and 422, name the kind and not the resource.
    pub(super) fn of_kind(mut self, resource: Resource) -> Self {
        self.details["kind"] = json!(resource.kind());
        self
    }

    /// What an apply is told that does not fit the schema: no reason, and no error of the caller's.
    pub(super) fn untyped(resource: Resource, namespace: &str, name: &str, why: &str) -> Self {
        let (version, kind) = (resource.api_version(), resource.kind());
        let message = format!(
            "failed to create typed patch object ({namespace}/{name}; {version}, Kind={kind}): {why}"
        );
        Self::new(500, "", message)
    }

    pub(super) fn invalid(resource: Resource, name: &str, field: &str, why: &str) -> Self {
        let kind = match resource.group() {
            "" => resource.kind().to_owned(),
            group => format!("{}.{group}", resource.kind()),
        };
        let message = format!("{kind} \"{name}\" is invalid: {field}: {why}");
        Self::new(422, "Invalid", message).of(resource, name).of_kind(resource).cause(
            "FieldValueInvalid",
            why,
            Some(field),
        )
    }

    pub(super) fn forbidden(resource: Resource, name: &str, why: &str) -> Self {
        let what = resource.qualified();
        let subject = if name.is_empty() { what } else { format!("{what} \"{name}\"") };
        Self::new(403, "Forbidden", format!("{subject} is forbidden: {why}")).of(resource, name)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// A resource that a known group does not have, or a path that is no resource's.
    pub(super) fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// What the server says of a group that nobody installed: plain text and no `Status`.
    pub(super) fn page_not_found() -> Self {
        Self::new(404, "", "404 page not found\n")
    }

    pub(super) fn unreachable(cluster: &str) -> Self {
        let message = format!("no connection can be made to the Kubernetes API of {cluster}");
        Self::new(0, "Unreachable", message)
    }
}

impl From<ApiStatus> for AwsError {
    fn from(status: ApiStatus) -> Self {
        let code = match status.reason.as_str() {
            _ if status.is_budget() => DISRUPTION_BUDGET,
            "" if status.code == 404 => "NotFound",
            reason => reason,
        };
        let words = status.message.trim_end();
        // As the client reads them: neither an error of the server's nor a missing right.
        let is_untyped = words.starts_with("failed to create typed patch object");
        let is_refused = status.code == 403 && words.contains("is forbidden: ");
        if is_untyped || (is_refused && !words.contains(" cannot ")) {
            return Self::new(422, "Invalid", words);
        }
        Self::new(status.code, code, words)
    }
}
