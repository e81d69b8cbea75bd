#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pod_identity_engine::ports::ErrorKind::*;
use serde_json::json;

use super::*;
use crate::script::{access, status};

fn refusal(code: u16, body: &serde_json::Value) -> ApiRefusal {
    let code = StatusCode::from_u16(code).unwrap();
    ApiRefusal::read(code, &HeaderMap::new(), body.to_string().as_bytes())
}

#[test]
fn every_status_has_its_meaning() {
    for (code, expected) in [
        (301, Invalid),
        (400, Invalid),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (405, Invalid),
        (408, Passing),
        (409, InUse),
        (410, Expired),
        (413, Invalid),
        (415, Invalid),
        (422, Invalid),
        (429, Passing),
        (500, Passing),
        (502, Passing),
        (503, Passing),
        (504, Passing),
    ] {
        assert_eq!(refusal(code, &json!(null)).kind(), expected, "{code}");
        assert_eq!(refusal(code, &status(code, "Novel", "said")).kind(), expected, "{code}");
    }
}

#[test]
fn words_that_are_not_of_kubernetes_are_not_repeated() {
    let error = refusal(502, &json!("<html>")).into_port_error("list pods of", "n".to_owned());
    assert_eq!((error.code, error.message), (None, None));
    assert_eq!(error.source.to_string(), "the Kubernetes API answered 502: no words of Kubernetes");
}

#[test]
fn the_header_goes_before_the_body_in_how_long_to_wait() {
    let body = json!({"kind": "Status", "details": {"retryAfterSeconds": 7}});
    assert_eq!(refusal(429, &body).retry_after(), Some(Duration::from_secs(7)));
    let headers = HeaderMap::from_iter([(RETRY_AFTER, "2".parse().unwrap())]);
    let both =
        ApiRefusal::read(StatusCode::TOO_MANY_REQUESTS, &headers, body.to_string().as_bytes());
    assert_eq!(both.retry_after(), Some(Duration::from_secs(2)));
    assert_eq!(refusal(429, &json!(null)).retry_after(), None);
}

#[test]
fn credentials_that_sts_refuses_are_a_denial_with_its_words_and_others_pass() {
    let said = |code: &str| {
        let said = ErrorMetadata::builder().code(code).message("said").build();
        let error = CredentialsError::provider_error(said);
        credentials_error("sign a token for", &access(), error)
    };
    let denied = said("AccessDenied");
    assert_eq!((denied.kind, denied.code.as_deref()), (Denied, Some("AccessDenied")));
    assert_eq!(denied.message.as_deref(), Some("no credentials: said"));
    assert_eq!(said("Throttling").kind, Passing);
    assert_eq!(said("ServiceUnavailable").kind, Passing);

    let other = |error| credentials_error("sign a token for", &access(), error).kind;
    assert_eq!(other(CredentialsError::invalid_configuration("bad")), Denied);
    assert_eq!(other(CredentialsError::provider_error("reset")), Passing);
    assert_eq!(other(CredentialsError::provider_timed_out(Duration::from_secs(1))), Passing);
}

#[test]
fn a_quota_a_webhook_or_a_namespace_that_is_going_is_no_missing_right() {
    for (words, kind) in [
        (
            "serviceaccounts \"a\" is forbidden: exceeded quota: q, requested: count/serviceaccounts=1, used: count/serviceaccounts=1, limited: count/serviceaccounts=1",
            Invalid,
        ),
        (
            "serviceaccounts \"a\" is forbidden: unable to create new content in namespace n because it is being terminated",
            Invalid,
        ),
        ("admission webhook \"deny.example.com\" denied the request: no", Invalid),
        (
            "serviceaccounts is forbidden: User \"u\" cannot create resource \"serviceaccounts\" in API group \"\" in the namespace \"n\"",
            Denied,
        ),
        ("no", Denied),
    ] {
        assert_eq!(refusal(403, &status(403, "Forbidden", words)).kind(), kind, "{words}");
    }
}
