//! What is not understood is never passed over.

use super::*;

fn read(document: &str) -> Trust {
    with_question(true, |question| evaluate(document, question))
}

#[test]
fn an_unreadable_document_is_unknown() {
    for document in
        ["", "%7B", "[]", "{}", "{\"Statement\":[1]}", "{\"Statement\":{\"Effect\":\"Maybe\"}}"]
    {
        assert_eq!(read(document).verdict, Unknown, "{document}");
    }
}

#[test]
fn a_document_that_is_not_understood_completely_is_unknown() {
    for changes in [
        json!({ "Resource": "*" }),
        json!({ "effect": "Deny" }),
        json!({ "Conditions": {} }),
        json!({ "Effect": "allow" }),
        json!({ "Principal": null }),
        json!({ "Principal": "pods.eks.amazonaws.com" }),
        json!({ "Principal": { "service": "pods.eks.amazonaws.com" } }),
        json!({ "Principal": { "Service": { "x": "y" } } }),
        json!({ "NotPrincipal": { "AWS": "111122223333" } }),
        json!({ "Action": null }),
        json!({ "NotAction": "sts:AssumeRole" }),
        json!({ "Action": 1.5 }),
        json!({ "Condition": [] }),
        json!({ "Condition": { "StringEquals": "x" } }),
        json!({ "Condition": { "StringEquals": { "aws:SourceAccount": { "x": "y" } } } }),
        json!({ "Condition": { "StringEquals": { "aws:SourceAccount": [null] } } }),
        json!({ "Condition": { "StringNotEquals": { "aws:SourceAccount": 1e30 } } }),
        json!({ "Condition": { "StringNotEquals": { "aws:SourceArn": "x", "AWS:sourcearn": "y" } } }),
    ] {
        // A statement that admits EKS beside it changes nothing.
        let trust = ask(&policy(vec![statement(json!({})), statement(changes.clone())]), true);
        assert_eq!(trust.verdict, Unknown, "{changes}");
        assert!(trust.reason.starts_with("the trust policy cannot be read: "), "{trust:?}");
    }
    for (element, value) in
        [("Version", json!("2030-01-01")), ("Version", json!(1)), ("Foo", json!({}))]
    {
        let mut document = policy(vec![statement(json!({}))]);
        document[element] = value;
        assert_eq!(ask(&document, true).verdict, Unknown, "{document}");
    }
}

#[test]
fn an_object_that_names_something_twice_is_not_understood() {
    let once = r#"{"Statement":{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},
        "Action":["sts:AssumeRole","sts:TagSession"],
        "Condition":{"StringEquals":{"aws:SourceAccount":"111122223333"}}}}"#;
    assert_eq!(read(once).verdict, Trusted);
    for (part, twice) in [
        (r#""Effect":"Allow""#, r#""Effect":"Deny","Effect":"Allow""#),
        (r#"{"Service""#, r#"{"Service":"ec2.amazonaws.com","Service""#),
        (r#""Condition":{"#, r#""Condition":{"Bool":{"x:y":"true"}},"Condition":{"#),
        (r#"{"StringEquals""#, r#"{"StringEquals":{"aws:SourceArn":"x"},"StringEquals""#),
        (r#"{"aws:SourceAccount""#, r#"{"aws:SourceAccount":"x","aws:SourceAccount""#),
        (r#"{"Statement""#, r#"{"Statement":[],"Statement""#),
        (r#""Effect""#, r#""\u0045ffect":"Deny","Effect""#),
    ] {
        let document = once.replacen(part, twice, 1);
        assert_ne!(document, once);
        let trust = read(&document);
        assert_eq!(trust.verdict, Unknown, "{document}");
        assert!(trust.reason.contains("occurs twice"), "{}", trust.reason);
    }
}

#[test]
fn a_document_nested_too_deep_is_unknown() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(read(&format!("{{\"Statement\":{deep}}}")).verdict, Unknown);
}

#[test]
fn variables_are_plain_text_before_version_2012() {
    let condition = json!({ "StringNotEquals": { "aws:SourceAccount": "${aws:x}" } });
    let mut document = policy(vec![statement(json!({ "Condition": condition }))]);
    assert_eq!(ask(&document, true).verdict, Unknown);
    document["Version"] = json!("2008-10-17");
    assert_eq!(ask(&document, true).verdict, Trusted);
    document.as_object_mut().unwrap().remove("Version");
    assert_eq!(ask(&document, true).verdict, Trusted);
}

#[test]
fn an_empty_condition_asks_nothing() {
    for condition in [json!({}), json!({ "StringEquals": {} })] {
        assert_eq!(verdict(json!({ "Condition": condition })), Trusted);
    }
}

#[test]
fn what_cannot_apply_for_another_reason_is_no_doubt() {
    let org = json!({ "StringEquals": { "aws:SourceOrgID": "o-1" } });
    let elsewhere = json!({
        "StringEquals": { "aws:SourceOrgID": "o-1", "aws:RequestTag/kubernetes-namespace": "other" },
    });
    for (changes, expected) in [
        (json!({ "NotAction": "sts:GetFederationToken", "Action": null }), Unknown),
        (json!({ "NotPrincipal": { "AWS": "111122223333" }, "Principal": null }), Unknown),
        (json!({ "Condition": org }), Unknown),
        (json!({ "Condition": elsewhere }), Trusted),
        (
            json!({
                "NotPrincipal": { "AWS": "111122223333" }, "Principal": null,
                "Action": "sts:SetSourceIdentity",
            }),
            Trusted,
        ),
        (
            json!({
                "NotAction": "sts:GetFederationToken", "Action": null,
                "Principal": { "Service": "ec2.amazonaws.com" },
            }),
            Trusted,
        ),
        (json!({ "Principal": "*", "Condition": elsewhere }), Trusted),
        (
            json!({ "Condition": { "NumericLessThan": { "x:y": 1 }, "Null": { "aws:SourceArn": true } } }),
            Trusted,
        ),
    ] {
        let mut deny = statement(changes.clone());
        deny["Effect"] = json!("Deny");
        let both = policy(vec![statement(json!({})), deny]);
        assert_eq!(ask(&both, true).verdict, expected, "{changes}");
    }
}

#[test]
fn reasons_name_the_condition_and_what_eks_sends() {
    for (condition, reason) in [
        (
            json!({ "StringNotLike": { "aws:RequestTag/kubernetes-namespace": ["kube-*", "domino-*"] } }),
            "condition StringNotLike on aws:RequestTag/kubernetes-namespace wants none of `kube-*`, \
             `domino-*` but EKS sends `domino-compute`",
        ),
        (
            json!({ "Null": { "aws:SourceArn": "true" } }),
            "condition Null on aws:SourceArn wants it absent but EKS sends that key",
        ),
        (
            json!({ "StringEquals": { "aws:PrincipalTag/kubernetes-namespace": "domino-compute" } }),
            "condition StringEquals on aws:PrincipalTag/kubernetes-namespace cannot hold, EKS does \
             not send that key here",
        ),
        (
            json!({ "ForAnyValue:StringEquals": { "sts:TransitiveTagKeys": "team" } }),
            "condition ForAnyValue:StringEquals on sts:TransitiveTagKeys wants `team` but EKS sends \
             `eks-cluster-arn`, `eks-cluster-name`, `kubernetes-namespace`, \
             `kubernetes-service-account`, `kubernetes-pod-name`, `kubernetes-pod-uid`",
        ),
    ] {
        let trust = ask(&policy(vec![statement(json!({ "Condition": condition }))]), true);
        assert_eq!(
            trust.reason,
            format!(
                "no statement allows sts:AssumeRole to pods.eks.amazonaws.com (statement 1: {reason})"
            )
        );
    }
    for (condition, reason) in [
        (json!({ "NumericEquals": { "aws:x": 1 } }), "NumericEquals on aws:x is not evaluated"),
        (
            json!({ "StringEquals": { "aws:SourceOrgID": "o-1" } }),
            "StringEquals on aws:SourceOrgID cannot be known beforehand",
        ),
        (
            json!({ "StringEquals": { "aws:TagKeys": "x" } }),
            "StringEquals on aws:TagKeys compares a list of values without ForAllValues or ForAnyValue",
        ),
    ] {
        let trust = ask(&policy(vec![statement(json!({ "Condition": condition }))]), true);
        assert_eq!(
            trust.reason,
            format!("statement 1 may allow sts:AssumeRole: condition {reason}")
        );
    }
}

#[test]
fn a_deny_of_either_action_is_the_reason_that_is_told() {
    let mut deny = statement(json!({ "Action": "sts:TagSession" }));
    deny["Effect"] = json!("Deny");
    let trust = ask(&policy(vec![deny]), true);
    assert_eq!(trust.verdict, Untrusted);
    assert_eq!(trust.reason, "statement 1 denies sts:TagSession to pods.eks.amazonaws.com");
}
