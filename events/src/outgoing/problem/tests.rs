#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn denied(error: &str) -> Problem {
    let call = FailedCall {
        operation: "create association for".to_owned(),
        object: "domino-compute/svc-etl-sa in cluster blue".to_owned(),
        assumed_role_arn: Some("arn:aws:iam::222233334444:role/access".to_owned()),
        error: error.to_owned(),
    };
    Problem::AccessDenied { purpose: CallPurpose::Associations, call }
}

fn untrusted(reason: &str, denied: bool) -> Problem {
    Problem::UntrustedRole {
        role_arn: "arn:aws:iam::111122223333:role/domino/etl".to_owned(),
        reason: reason.to_owned(),
        denied,
        trust_policy: json!({ "Statement": [{ "Effect": "Allow" }] }),
    }
}

#[test]
fn a_problem_is_stored_as_code_and_details() {
    let problem =
        Problem::NodeRoleFull { node_role_arn: "n".to_owned(), policy_arn: "p".to_owned() };
    let stored = json!(problem);
    let details = json!({ "nodeRoleArn": "n", "policyArn": "p" });
    assert_eq!(stored, json!({ "code": "nodeRoleFull", "details": details }));
    assert_eq!(serde_json::from_value::<Problem>(stored).unwrap(), problem);
}

#[test]
fn a_code_or_details_of_another_version_are_shown_and_written_back_as_they_are() {
    for stored in [
        json!({ "code": "quotaOfTomorrow", "details": { "left": 3 } }),
        json!({ "code": "quotaOfTomorrow" }),
        json!({ "code": "nodeRoleFull", "details": { "slots": 10 } }),
    ] {
        let read: Problem = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(read.code(), BlockedCode::Other);
        assert!(read.message().contains(stored["code"].as_str().unwrap()), "{read}");
        assert_eq!(json!(read), stored);
    }
}

#[test]
fn the_words_of_others_do_not_make_it_another_problem() {
    let (one, other) = (denied("AccessDenied: no"), denied("AccessDenied: not today"));
    assert_ne!(one, other);
    assert_eq!(one.identity(), other.identity());
    assert_eq!(untrusted("no statement", false).identity(), untrusted("none", false).identity());
    assert_ne!(untrusted("none", false).identity(), untrusted("none", true).identity());
}

#[test]
fn a_failed_call_names_the_role_that_it_was_made_as() {
    assert_eq!(
        denied("AccessDenied: no").message(),
        "failed to create association for domino-compute/svc-etl-sa in cluster blue as role \
         arn:aws:iam::222233334444:role/access: AccessDenied: no"
    );
}

#[test]
fn the_owner_of_an_untrusted_role_gets_the_statement() {
    assert_eq!(
        untrusted("none", true).remediation(),
        "the owner of role arn:aws:iam::111122223333:role/domino/etl must take that Deny out of its \
         trust policy and add this statement to its trust policy: {\"Effect\":\"Allow\"}; then send \
         the event again"
    );
}
