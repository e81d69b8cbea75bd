#![allow(clippy::unwrap_used)]

mod documents;
mod generated;
mod keys;
mod operators;
mod reference;

use pod_identity_events::TrustVerdict::{Trusted, Unknown, Untrusted};
use serde_json::{Value, json};

use super::*;

fn with_question<T>(session_tags: bool, then: impl FnOnce(TrustQuestion<'_>) -> T) -> T {
    let cluster: ClusterArn = "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap();
    let kubernetes = ServiceAccountRef::new("domino-compute", "svc-etl-sa").unwrap();
    then(TrustQuestion { cluster: &cluster, kubernetes: &kubernetes, session_tags })
}

fn ask(policy: &Value, session_tags: bool) -> Trust {
    with_question(session_tags, |question| evaluate(&policy.to_string(), question))
}

fn statement(changes: Value) -> Value {
    let mut statement = json!({
        "Effect": "Allow",
        "Principal": { "Service": "pods.eks.amazonaws.com" },
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    });
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            statement.as_object_mut().unwrap().remove(key);
        } else {
            statement[key] = value.clone();
        }
    }
    statement
}

fn policy(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn verdict(changes: Value) -> TrustVerdict {
    ask(&policy(vec![statement(changes)]), true).verdict
}

#[test]
fn blueprint_policy_is_trusted() {
    let trust = ask(
        &policy(vec![statement(json!({ "Sid": "AllowEksAuthToAssumeRoleForPodIdentity" }))]),
        true,
    );
    assert_eq!(trust.verdict, Trusted);
    assert_eq!(
        trust.reason,
        "statement `AllowEksAuthToAssumeRoleForPodIdentity` allows sts:AssumeRole and sts:TagSession to pods.eks.amazonaws.com"
    );
}

#[test]
fn the_statements_and_conditions_that_admit_it_are_named() {
    let assume = statement(json!({
        "Action": "sts:AssumeRole",
        "Condition": { "StringEquals": { "aws:SourceAccount": "111122223333" } },
    }));
    let tag = statement(json!({ "Sid": "Tags", "Action": "sts:TagSession" }));
    assert_eq!(
        ask(&policy(vec![assume, tag]), true).reason,
        "statement 1 allows sts:AssumeRole to pods.eks.amazonaws.com, if StringEquals on \
         aws:SourceAccount; statement `Tags` allows sts:TagSession to pods.eks.amazonaws.com"
    );
}

#[test]
fn a_deny_whose_condition_nobody_knows_may_deny() {
    let deny = |condition: Value| {
        let deny = statement(json!({ "Effect": "Deny", "Condition": condition }));
        let document = policy(vec![statement(json!({})), deny]).to_string();
        with_question(true, |question| TrustPolicy::read(&document).may_be_denied(question))
    };
    assert!(deny(json!({ "StringNotEquals": { "aws:PrincipalOrgID": "o-1" } })));
    assert!(!deny(json!({ "StringEquals": { "aws:SourceAccount": "999999999999" } })));
}

#[test]
fn statement_may_be_an_object_and_lists_may_be_strings() {
    let one = json!({ "Statement": statement(json!({ "Action": "sts:*" })) });
    assert_eq!(ask(&one, true).verdict, Trusted);
    let listed =
        json!({ "Principal": { "Service": ["ec2.amazonaws.com", "pods.eks.amazonaws.com"] } });
    assert_eq!(verdict(listed), Trusted);
}

#[test]
fn actions_are_matched_with_wildcards_and_without_case() {
    for action in [json!("STS:*"), json!("*"), json!(["sts:assumerole", "sts:Tag?ession"])] {
        assert_eq!(verdict(json!({ "Action": action })), Trusted, "{action}");
    }
}

#[test]
fn tag_session_is_needed_only_with_session_tags() {
    let policy = policy(vec![statement(json!({ "Action": "sts:AssumeRole" }))]);
    let trust = ask(&policy, true);
    assert_eq!(trust.verdict, Untrusted);
    assert_eq!(
        trust.reason,
        "no statement allows sts:TagSession to pods.eks.amazonaws.com (statement 1: its Action does not name sts:TagSession)"
    );
    assert_eq!(ask(&policy, false).verdict, Trusted);
}

#[test]
fn other_principals_are_untrusted() {
    for principal in [
        json!({ "Service": "ec2.amazonaws.com" }),
        json!({ "AWS": "arn:aws:iam::111122223333:root" }),
        json!({ "Federated": "arn:aws:iam::111122223333:oidc-provider/x" }),
    ] {
        assert_eq!(verdict(json!({ "Principal": principal })), Untrusted, "{principal}");
    }
}

#[test]
fn what_cannot_be_known_is_unknown() {
    for changes in [
        json!({ "Principal": "*" }),
        json!({ "Principal": { "AWS": "*" } }),
        json!({ "Principal": null, "NotPrincipal": { "Service": "ec2.amazonaws.com" } }),
        json!({ "Action": null, "NotAction": "sts:GetFederationToken" }),
        json!({ "Condition": { "StringEquals": { "aws:SourceOrgId": "o-1" } } }),
        json!({ "Condition": { "StringEquals": { "aws:RequestTag/kubernetes-pod-name": "p" } } }),
        json!({ "Condition": { "StringEquals": { "aws:RequestTag/kubernetes-namespace": "${aws:x}" } } }),
        json!({ "Condition": { "NumericEquals": { "aws:SourceAccount": "111122223333" } } }),
    ] {
        assert_eq!(verdict(changes.clone()), Unknown, "{changes}");
    }
}

#[test]
fn conditions_on_tags_source_arn_and_account_decide() {
    let yes = json!({
        "StringEquals": {
            "aws:RequestTag/kubernetes-namespace": ["other", "domino-compute"],
            "AWS:requesttag/Kubernetes-Service-Account": "svc-etl-sa",
            "aws:SourceAccount": "111122223333",
        },
        "StringLike": {
            "aws:RequestTag/eks-cluster-arn": "arn:aws:eks:*:111122223333:cluster/*",
            "aws:RequestTag/eks-cluster-name": "blu?",
            "aws:SourceArn": "arn:aws:eks:eu-west-1:111122223333:cluster/blue",
        },
    });
    assert_eq!(verdict(json!({ "Condition": yes })), Trusted);
}

#[test]
fn a_condition_that_fails_names_statement_key_and_values() {
    let condition = json!({ "StringEquals": { "aws:RequestTag/kubernetes-namespace": "other" } });
    let trust =
        ask(&policy(vec![statement(json!({ "Sid": "Pods", "Condition": condition }))]), true);
    assert_eq!(trust.verdict, Untrusted);
    assert_eq!(
        trust.reason,
        "no statement allows sts:AssumeRole to pods.eks.amazonaws.com (statement `Pods`: condition \
         StringEquals on aws:RequestTag/kubernetes-namespace wants `other` but EKS sends `domino-compute`)"
    );
}

#[test]
fn a_deny_that_applies_wins_and_one_that_might_makes_unknown() {
    let deny = |changes: Value| {
        let mut statement = statement(changes);
        statement["Effect"] = json!("Deny");
        statement
    };
    let allow = statement(json!({}));
    let applies = policy(vec![allow.clone(), deny(json!({ "Action": "sts:AssumeRole" }))]);
    assert_eq!(ask(&applies, true).verdict, Untrusted);
    let org = json!({ "Condition": { "StringEquals": { "aws:PrincipalOrgID": "o-1" } } });
    let might = policy(vec![allow.clone(), deny(org)]);
    assert_eq!(ask(&might, true).verdict, Unknown);
    let elsewhere = json!({ "Principal": { "Service": "ec2.amazonaws.com" } });
    assert_eq!(ask(&policy(vec![allow, deny(elsewhere)]), true).verdict, Trusted);
}

#[test]
fn a_deny_that_might_apply_does_not_hide_a_missing_allow() {
    let mut deny = statement(json!({ "Principal": "*" }));
    deny["Effect"] = json!("Deny");
    assert_eq!(ask(&policy(vec![deny]), true).verdict, Untrusted);
}

#[test]
fn the_required_policy_is_trusted_with_and_without_session_tags() {
    for session_tags in [true, false] {
        let required = with_question(session_tags, required_policy);
        assert_eq!(ask(&required, session_tags).verdict, Trusted);
    }
}
