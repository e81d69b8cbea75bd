#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use pod_identity_engine::ports::ErrorKind;

use super::*;
use crate::script::{Script, access};

#[test]
fn documents_are_percent_decoded() {
    let encoded = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D";
    assert_eq!(decode(encoded).unwrap(), r#"{"Version":"2012-10-17","Statement":[]}"#);
    // RFC 3986, not a form: a plus is a plus.
    assert_eq!(decode("%7B%22a%2Bb+c%22%3A%22%C3%A9%22%7D").unwrap(), r#"{"a+b+c":"é"}"#);
}

#[test]
fn a_document_that_is_json_already_is_left_alone() {
    let raw = "\n {\"Condition\":{\"StringLike\":{\"aws:PrincipalTag/x\":\"%41\"}}}";
    assert_eq!(decode(raw).unwrap(), raw);
}

#[test]
fn a_document_that_is_not_utf8_is_refused() {
    assert!(decode("%7B%FF%7D").is_err());
}

#[test]
fn a_marker_counts_only_while_the_list_is_truncated() {
    let marker = || Some("m".to_owned());
    assert_eq!(next(true, marker()), marker());
    assert_eq!(next(false, marker()), None);
    assert_eq!(next(true, Some(String::new())), None);
}

#[test]
fn the_path_of_a_policy_has_a_slash_at_both_ends() {
    let of = |arn: &str| path(&arn.parse().unwrap()).to_owned();
    assert_eq!(of("arn:aws:iam::111122223333:policy/blue"), "/");
    assert_eq!(of("arn:aws:iam::111122223333:policy/domino/pods/blue"), "/domino/pods/");
    assert_eq!(of("arn:aws-cn:iam::111122223333:policy/blue/blue"), "/blue/");
}

#[tokio::test]
async fn iam_documents_arrive_decoded_and_lists_follow_the_marker() {
    let script = Script::new(|asked| {
        let body = if asked.body.contains("Action=GetRole") {
            "<GetRoleResponse><GetRoleResult><Role><Path>/</Path><RoleName>etl</RoleName>\
             <RoleId>R</RoleId><Arn>arn:aws:iam::111122223333:role/etl</Arn>\
             <CreateDate>2024-01-01T00:00:00Z</CreateDate>\
             <AssumeRolePolicyDocument>%7B%22a%22%3A1%7D</AssumeRolePolicyDocument>\
             </Role></GetRoleResult></GetRoleResponse>"
        } else {
            "<ListAttachedRolePoliciesResponse><ListAttachedRolePoliciesResult>\
             <IsTruncated>true</IsTruncated><Marker>m2</Marker><AttachedPolicies><member>\
             <PolicyName>p</PolicyName><PolicyArn>arn:p</PolicyArn></member></AttachedPolicies>\
             </ListAttachedRolePoliciesResult></ListAttachedRolePoliciesResponse>"
        };
        (200, body.to_owned())
    });
    let reader = script.aws().reader();
    let role = "arn:aws:iam::111122223333:role/etl".parse().unwrap();
    let found = reader.role(&access(), &role).await.unwrap().unwrap();
    assert_eq!(found.trust_policy, r#"{"a":1}"#);
    let page = reader.attached_policies(&access(), &role, Some("m1")).await.unwrap();
    assert_eq!(page.items, ["arn:p"]);
    assert_eq!(page.next.as_deref(), Some("m2"));
    let asked = script.asked();
    // Global, and signed for the region where IAM lives.
    assert_eq!(asked[0].uri, "https://iam.amazonaws.com/");
    assert!(asked[0].authorization.contains("/us-east-1/iam/aws4_request"));
    assert!(asked[1].body.contains("Marker=m1"));
    assert!(!asked[1].body.contains("MaxItems"));
}

#[tokio::test]
async fn a_policy_is_made_under_its_path_with_its_tags() {
    let script = Script::always(
        200,
        "<CreatePolicyResponse><CreatePolicyResult><Policy><PolicyName>blue</PolicyName>\
         <DefaultVersionId>v1</DefaultVersionId></Policy></CreatePolicyResult>\
         </CreatePolicyResponse>",
    );
    let new = NewPolicy {
        arn: "arn:aws:iam::111122223333:policy/domino/blue".parse().unwrap(),
        description: "roles".to_owned(),
        document: "{}".to_owned(),
        tags: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
    };
    let made = script.aws().writer().create_policy(&access(), &new).await.unwrap();
    assert_eq!((made.default_version.as_str(), &made.tags), ("v1", &new.tags));
    let body = &script.asked()[0].body;
    for part in
        ["PolicyName=blue", "Path=%2Fdomino%2F", "Tags.member.1.Key=k", "PolicyDocument=%7B%7D"]
    {
        assert!(body.contains(part), "{body}");
    }
}

#[tokio::test]
async fn what_is_detached_or_deleted_already_is_no_error_and_a_conflict_is() {
    let script = Script::new(|asked| {
        let (status, code) = if asked.body.contains("busy") {
            (409, "DeleteConflict")
        } else {
            (404, "NoSuchEntity")
        };
        let body = format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
             <Message>m</Message></Error></ErrorResponse>"
        );
        (status, body)
    });
    let writer = script.aws().writer();
    let role = "arn:aws:iam::111122223333:role/path/nodes".parse().unwrap();
    let policy = |name: &str| {
        format!("arn:aws:iam::111122223333:policy/{name}").parse::<PolicyArn>().unwrap()
    };
    writer.detach_policy(&access(), &role, &policy("gone")).await.unwrap();
    writer.delete_policy(&access(), &policy("gone")).await.unwrap();
    let error = writer.delete_policy(&access(), &policy("busy")).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Invalid, Some("DeleteConflict")));
    let asked = script.asked();
    assert!(asked[0].body.contains("Action=DetachRolePolicy"), "{}", asked[0].body);
    assert!(asked[0].body.contains("RoleName=nodes&"), "{}", asked[0].body);
    assert!(asked[1].body.contains("Action=DeletePolicy&"), "{}", asked[1].body);
}
