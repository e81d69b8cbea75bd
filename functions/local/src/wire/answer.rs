//! Answers and errors in the formats of the protocols.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use pod_identity_world::AwsError;
use serde_json::{Value, json};

use super::fault::ErrorFault;

pub(super) type Answer = Response<Full<Bytes>>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// How a service words its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// EKS: REST and JSON, the error's type in a header.
    RestJson,
    /// EventBridge, DynamoDB and Secrets Manager: JSON, the error's type in the body.
    Json,
    /// IAM and STS: XML.
    Query,
}

impl Format {
    pub(super) fn of(service: &str) -> Self {
        match service {
            "iam" | "sts" => Self::Query,
            "events" | "dynamodb" | "secretsmanager" => Self::Json,
            _ => Self::RestJson,
        }
    }

    pub(super) fn error(self, error: &AwsError, id: &str) -> Answer {
        let AwsError { status, code, message } = error;
        match self {
            Self::RestJson => {
                let mut answer =
                    answer(*status, "application/json", json!({"message": message}), id);
                if let Ok(code) = HeaderValue::from_str(code) {
                    answer.headers_mut().insert(ERROR_TYPE, code);
                }
                answer
            }
            Self::Json => {
                let body = json!({"__type": code, "message": message});
                answer(*status, "application/x-amz-json-1.1", body, id)
            }
            Self::Query => {
                let party = if *status < 500 { "Sender" } else { "Receiver" };
                let error = json!({ "Type": party, "Code": code, "Message": message });
                let content = json!({ "Error": error, "RequestId": id });
                xml_answer(*status, "ErrorResponse", &content, id)
            }
        }
    }

    /// The error that a service throttles or breaks with.
    pub(super) fn injected(self, kind: ErrorFault) -> AwsError {
        match (kind, self) {
            (ErrorFault::Throttle, Self::RestJson) => {
                AwsError::new(429, "TooManyRequestsException", "Too Many Requests")
            }
            (ErrorFault::Throttle, Self::Json) => {
                AwsError::new(400, "ThrottlingException", "Rate exceeded")
            }
            (ErrorFault::Throttle, Self::Query) => {
                AwsError::new(400, "Throttling", "Rate exceeded")
            }
            (ErrorFault::ServerError, Self::RestJson) => {
                AwsError::new(500, "ServerException", "Internal server error")
            }
            (ErrorFault::ServerError, Self::Json) => {
                AwsError::new(500, "InternalServerError", "Internal server error")
            }
            (ErrorFault::ServerError, Self::Query) => {
                AwsError::new(500, "ServiceFailure", "Internal service failure")
            }
            (ErrorFault::Unavailable, _) => {
                AwsError::new(503, "ServiceUnavailable", "Service is unavailable")
            }
            (ErrorFault::Denied, Self::Query) => {
                AwsError::new(403, "AccessDenied", "User is not authorized to perform this")
            }
            (ErrorFault::Denied, _) => AwsError::new(
                403,
                "AccessDeniedException",
                "User is not authorized to perform this",
            ),
        }
    }
}

pub(super) fn json(body: &Value, id: &str) -> Answer {
    answer(200, "application/json", body, id)
}

/// Wraps a result as IAM and STS do; operations without one answer an empty object.
pub(super) fn xml(namespace: &str, operation: &str, result: &Value, id: &str) -> Answer {
    let mut inner = json!({ "@xmlns": namespace, "ResponseMetadata": { "RequestId": id } });
    if *result != json!({}) {
        inner[format!("{operation}Result")] = result.clone();
    }
    xml_answer(200, &format!("{operation}Response"), &inner, id)
}

/// Elements by their names; `@` begins the name of an attribute, and a list is an element repeated.
fn xml_answer(status: u16, root: &str, content: &Value, id: &str) -> Answer {
    match quick_xml::se::to_string_with_root(root, content) {
        Ok(body) => answer(status, "text/xml", body, id),
        Err(error) => answer(500, "text/plain", error, id),
    }
}

pub(super) fn answer(
    status: u16,
    content_type: &'static str,
    body: impl ToString,
    id: &str,
) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    with_id(&mut answer, id);
    answer
}

/// Names the request.
pub(super) fn with_id(answer: &mut Answer, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
}
