//! What EKS sends under each condition key, one key a row.

use super::*;

/// `None` for what cannot be known beforehand.
#[test]
fn keys_are_there_or_not_or_unknown() {
    for (key, with_tags, without) in [
        ("aws:SourceArn", Some(true), Some(true)),
        ("AWS:SOURCEARN", Some(true), Some(true)),
        ("aws:SourceAccount", Some(true), Some(true)),
        ("aws:PrincipalIsAWSService", Some(true), Some(true)),
        ("aws:PrincipalServiceName", Some(true), Some(true)),
        ("sts:RoleSessionName", Some(true), Some(true)),
        ("aws:TagKeys", Some(true), Some(false)),
        ("sts:TransitiveTagKeys", Some(true), Some(false)),
        ("aws:RequestTag/eks-cluster-arn", Some(true), Some(false)),
        ("aws:RequestTag/eks-cluster-name", Some(true), Some(false)),
        ("aws:RequestTag/kubernetes-namespace", Some(true), Some(false)),
        ("aws:RequestTag/Kubernetes-Namespace", Some(true), Some(false)),
        ("aws:requesttag/kubernetes-service-account", Some(true), Some(false)),
        ("aws:RequestTag/kubernetes-pod-name", Some(true), Some(false)),
        ("aws:RequestTag/kubernetes-pod-uid", Some(true), Some(false)),
        ("aws:RequestTag/team", Some(false), Some(false)),
        ("aws:RequestTag/kubernetes-namespace/x", Some(false), Some(false)),
        ("aws:PrincipalTag/kubernetes-namespace", Some(false), Some(false)),
        ("aws:PrincipalTag/team", Some(false), Some(false)),
        ("sts:ExternalId", Some(false), Some(false)),
        ("aws:RequestTag/", None, None),
        ("aws:RequestTag", None, None),
        ("aws:RequestTag/\u{212a}ubernetes-namespace", None, None),
        ("aws:ResourceTag/team", None, None),
        ("iam:ResourceTag/team", None, None),
        ("aws:PrincipalServiceNamesList", None, None),
        ("aws:PrincipalArn", None, None),
        ("aws:PrincipalAccount", None, None),
        ("aws:PrincipalOrgID", None, None),
        ("aws:PrincipalType", None, None),
        ("aws:userid", None, None),
        ("aws:SourceOrgID", None, None),
        ("aws:SourceOrgPaths", None, None),
        ("aws:SourceIp", None, None),
        ("aws:SourceVpc", None, None),
        ("aws:SecureTransport", None, None),
        ("aws:ViaAWSService", None, None),
        ("aws:MultiFactorAuthPresent", None, None),
        ("aws:CurrentTime", None, None),
        ("aws:RequestedRegion", None, None),
        ("sts:SourceIdentity", None, None),
        ("anything:else", None, None),
        ("", None, None),
    ] {
        for (session_tags, there) in [(true, with_tags), (false, without)] {
            let verdict = |absent: &str| {
                let condition = json!({ "Null": { key: absent } });
                ask(&policy(vec![statement(json!({ "Condition": condition }))]), session_tags)
                    .verdict
            };
            let expected = match there {
                Some(true) => (Untrusted, Trusted),
                Some(false) => (Trusted, Untrusted),
                None => (Unknown, Unknown),
            };
            assert_eq!((verdict("true"), verdict("false")), expected, "{key} {session_tags}");
        }
    }
}

#[test]
fn known_values_are_these() {
    for (key, value) in [
        ("aws:SourceArn", "arn:aws:eks:eu-west-1:111122223333:cluster/blue"),
        ("aws:SourceAccount", "111122223333"),
        ("aws:PrincipalIsAWSService", "true"),
        ("aws:PrincipalServiceName", "pods.eks.amazonaws.com"),
        ("aws:RequestTag/eks-cluster-arn", "arn:aws:eks:eu-west-1:111122223333:cluster/blue"),
        ("aws:RequestTag/eks-cluster-name", "blue"),
        ("aws:RequestTag/kubernetes-namespace", "domino-compute"),
        ("aws:RequestTag/kubernetes-service-account", "svc-etl-sa"),
    ] {
        let condition = json!({ "Condition": { "StringEquals": { key: value } } });
        assert_eq!(verdict(condition), Trusted, "{key}");
    }
}

#[test]
fn session_tags_that_only_the_call_shows_can_be_asked_for() {
    for key in ["kubernetes-pod-name", "kubernetes-pod-uid"] {
        let key = format!("aws:RequestTag/{key}");
        let any = json!({ "StringLike": { &key: "*" }, "Null": { &key: "false" } });
        assert_eq!(verdict(json!({ "Condition": any })), Trusted);
        let one = json!({ "StringEquals": { &key: "x" } });
        let trust = ask(&policy(vec![statement(json!({ "Condition": one }))]), true);
        assert_eq!(trust.verdict, Unknown);
        assert!(trust.reason.ends_with(&format!(
            "condition StringEquals on {key} is on a value that only the call shows"
        )));
    }
}
