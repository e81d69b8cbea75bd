#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aws_sdk_eks::operation::describe_pod_identity_association::DescribePodIdentityAssociationError as Describe;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

use super::ErrorKind::{Denied, InUse, Invalid, LimitReached, NotFound, Passing};
use super::*;

type Failure = SdkError<Describe, HttpResponse>;

fn response(status: u16) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty())
}

fn answered(status: u16, code: Option<&str>) -> Failure {
    let mut meta = ErrorMetadata::builder().message("words");
    if let Some(code) = code {
        meta = meta.code(code);
    }
    Failure::service_error(Describe::generic(meta.build()), response(status))
}

fn kind(error: Failure) -> ErrorKind {
    port_error("describe association", "a-1", error).kind
}

#[test]
fn codes_mean_what_the_services_document() {
    let table = [
        // EKS
        ("ResourceNotFoundException", 404, NotFound),
        ("ResourceInUseException", 409, InUse),
        ("ResourceLimitExceededException", 400, LimitReached),
        ("InvalidParameterException", 400, Invalid),
        ("InvalidRequestException", 400, Invalid),
        ("ClientException", 400, Invalid),
        ("ServerException", 500, Passing),
        ("ServiceUnavailableException", 503, Passing),
        ("ThrottlingException", 429, Passing),
        ("ResourcePropagationDelayException", 428, Passing),
        // IAM
        ("NoSuchEntity", 404, NotFound),
        ("EntityAlreadyExists", 409, InUse),
        ("LimitExceeded", 409, LimitReached),
        ("DeleteConflict", 409, Invalid),
        ("MalformedPolicyDocument", 400, Invalid),
        ("PolicyNotAttachable", 400, Invalid),
        ("InvalidInput", 400, Invalid),
        ("UnmodifiableEntity", 400, Invalid),
        ("ConcurrentModification", 409, Passing),
        ("EntityTemporarilyUnmodifiable", 409, Passing),
        ("ServiceFailure", 500, Passing),
        ("Throttling", 400, Passing),
        // EventBridge and DynamoDB
        ("InternalException", 500, Passing),
        ("InternalServerError", 500, Passing),
        ("ValidationException", 400, Invalid),
        ("ProvisionedThroughputExceededException", 400, Passing),
        ("RequestLimitExceeded", 400, Passing),
        ("TransactionInProgressException", 400, Passing),
        ("IdempotentParameterMismatchException", 400, Invalid),
        ("ItemCollectionSizeLimitExceededException", 400, Invalid),
        // All
        ("TooManyRequestsException", 429, Passing),
        ("AccessDenied", 403, Denied),
        ("AccessDeniedException", 400, Denied),
        ("UnauthorizedOperation", 403, Denied),
        ("UnrecognizedClientException", 400, Denied),
        ("InvalidClientTokenId", 403, Denied),
        ("SignatureDoesNotMatch", 403, Denied),
        ("ExpiredToken", 403, Passing),
        ("ExpiredTokenException", 400, Passing),
        ("RequestExpired", 400, Passing),
        ("InternalFailure", 500, Passing),
        ("ServiceUnavailable", 503, Passing),
    ];
    for (code, status, expected) in table {
        let error = port_error("describe association", "a-1", answered(status, Some(code)));
        assert_eq!(error.kind, expected, "{code}");
        assert_eq!(error.code.as_deref(), Some(code));
    }
}

#[test]
fn an_unknown_code_means_what_its_status_does() {
    let table = [
        (400, Invalid),
        (401, Denied),
        (403, Denied),
        (404, Invalid),
        (408, Passing),
        (409, Invalid),
        (429, Passing),
        (500, Passing),
        (502, Passing),
        (504, Passing),
    ];
    for (status, expected) in table {
        assert_eq!(kind(answered(status, Some("Novel"))), expected, "{status}");
        assert_eq!(kind(answered(status, None)), expected, "{status}");
    }
}

#[test]
fn a_call_without_an_answer_may_have_had_its_effect() {
    assert_eq!(kind(Failure::timeout_error("slow")), Passing);
    assert_eq!(kind(Failure::response_error("garbled", response(200))), Passing);
    for connector in [
        ConnectorError::io("reset".into()),
        ConnectorError::timeout("connect".into()),
        ConnectorError::other("closed".into(), None),
    ] {
        assert_eq!(kind(Failure::dispatch_failure(connector)), Passing);
    }
}

#[test]
fn a_request_that_cannot_be_built_is_invalid() {
    assert_eq!(kind(Failure::construction_failure("no cluster name")), Invalid);
}

#[test]
fn missing_credentials_are_a_denial_and_slow_ones_pass() {
    let dispatch = |error: CredentialsError| {
        Failure::dispatch_failure(ConnectorError::other(error.into(), None))
    };
    assert_eq!(kind(dispatch(CredentialsError::not_loaded("none"))), Denied);
    assert_eq!(kind(dispatch(CredentialsError::invalid_configuration("bad"))), Denied);
    assert_eq!(
        kind(dispatch(CredentialsError::provider_timed_out(std::time::Duration::from_secs(1)))),
        Passing
    );
    assert_eq!(kind(dispatch(CredentialsError::provider_error("reset"))), Passing);
}

#[test]
fn the_message_names_the_object_and_leaves_the_cause_to_the_chain() {
    let error = port_error(
        "describe association",
        "a-1 in cluster blue",
        answered(403, Some("AccessDenied")),
    );
    assert_eq!(error.to_string(), "failed to describe association a-1 in cluster blue");
    let cause = error.source().unwrap();
    assert!(cause.to_string().starts_with("AccessDenied"), "{cause}");
}

#[test]
fn absence_is_no_error() {
    let failed =
        |status, code| port_error("describe association", "a-1", answered(status, Some(code)));
    assert!(absent(Ok(1)).unwrap().is_some());
    assert!(absent::<()>(Err(failed(404, "ResourceNotFoundException"))).unwrap().is_none());
    assert!(absent::<()>(Err(failed(500, "ServerException"))).is_err());
}

#[test]
fn an_error_that_the_model_does_not_have_is_told_in_the_services_words() {
    for (code, expected) in [(Some("NovelException"), "NovelException"), (None, "words")] {
        let error = port_error("describe association", "a-1", answered(418, code));
        let words = pod_identity_engine::chain(&error);
        assert!(words.starts_with("failed to describe association a-1: "), "{words}");
        assert!(words.contains(expected), "{words}");
        for debug in ["Unhandled", "ErrorMetadata", "Error {", "Some(", "unhandled error"] {
            assert!(!words.contains(debug), "{words}");
        }
    }
}
