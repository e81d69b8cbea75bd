#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_iam::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
use pod_identity_engine::ports::{EksReader, ErrorKind};

use super::*;
use crate::script::{Script, access};

#[tokio::test]
async fn a_passing_error_is_tried_again_as_often_as_the_settings_say() {
    let script = Script::always(503, "{}");
    let error = script.aws().reader().association(&access(), "a-1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Passing);
    assert_eq!(script.asked().len(), 3);
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_a_denial_that_keeps_its_code() {
    let script = Script::always(
        403,
        "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
         <Message>no</Message></Error></ErrorResponse>",
    );
    let access = ClusterAccess {
        assume_role: Some("arn:aws:iam::444455556666:role/reach".parse().unwrap()),
        ..access()
    };
    let error = script.aws().reader().association(&access, "a-1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(error.code.as_deref(), Some("AccessDenied"));
    let asked = &script.asked()[0];
    assert!(asked.uri.starts_with("https://sts.eu-west-1.amazonaws.com"), "{}", asked.uri);
    assert!(asked.body.contains("RoleSessionName=domino-pod-identity"), "{}", asked.body);
    assert!(!asked.body.contains("ExternalId"), "{}", asked.body);
}

#[tokio::test]
async fn a_role_is_assumed_with_the_external_id_of_the_settings() {
    let script = Script::always(403, "");
    let aws = script.aws_with(&[("ASSUME_ROLE_EXTERNAL_ID", "acme:7")]);
    let access = ClusterAccess {
        assume_role: Some("arn:aws:iam::444455556666:role/reach".parse().unwrap()),
        ..access()
    };
    aws.reader().association(&access, "a-1").await.unwrap_err();
    let asked = &script.asked()[0];
    assert!(asked.body.contains("ExternalId=acme%3A7"), "{}", asked.body);
}

#[tokio::test]
async fn an_assumed_role_signs_the_calls_of_its_cluster_and_is_assumed_once() {
    let script = Script::new(|asked| {
        if asked.uri.contains("//sts.") {
            let credentials = "<AccessKeyId>ASSUMED</AccessKeyId>\
                <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                <Expiration>2100-01-01T00:00:00Z</Expiration>";
            let answer = format!(
                "<AssumeRoleResponse><AssumeRoleResult><Credentials>{credentials}</Credentials>\
                 <AssumedRoleUser><AssumedRoleId>A:s</AssumedRoleId>\
                 <Arn>arn:aws:sts::444455556666:assumed-role/reach/s</Arn></AssumedRoleUser>\
                 </AssumeRoleResult></AssumeRoleResponse>"
            );
            (200, answer)
        } else {
            (200, r#"{"association":{"associationId":"a","associationArn":"a","namespace":"n","serviceAccount":"s","roleArn":"r"}}"#.to_owned())
        }
    });
    let reach = ClusterAccess {
        assume_role: Some("arn:aws:iam::444455556666:role/reach".parse().unwrap()),
        ..access()
    };
    let reader = script.aws().reader();
    reader.association(&reach, "a-1").await.unwrap();
    reader.association(&reach, "a-1").await.unwrap();
    reader.association(&access(), "a-1").await.unwrap();
    let asked = script.asked();
    let signers: Vec<_> = asked
        .iter()
        .map(|asked| (asked.uri.contains("//sts."), asked.authorization.contains("ASSUMED")))
        .collect();
    assert_eq!(signers, [(true, false), (false, true), (false, true), (false, false)]);
}

#[tokio::test]
async fn iam_is_reached_in_every_partition() {
    let resolver = DefaultResolver::new();
    let url = async |region: &str| {
        let params = Params::builder().region(region).build().unwrap();
        resolver.resolve_endpoint(&params).await.unwrap().url().to_owned()
    };
    assert_eq!(url("eu-central-1").await, "https://iam.amazonaws.com");
    assert_eq!(url("us-gov-west-1").await, "https://iam.us-gov.amazonaws.com");
    assert_eq!(url("cn-northwest-1").await, "https://iam.cn-north-1.amazonaws.com.cn");
}

#[tokio::test]
async fn credentials_of_a_cluster_are_our_own_until_a_role_is_to_be_assumed() {
    let script = Script::always(
        200,
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASSUMED</AccessKeyId>\
         <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials>\
         </AssumeRoleResult></AssumeRoleResponse>",
    );
    let aws = script.aws();
    let own = aws.credentials(&access()).provide_credentials().await.unwrap();
    assert_eq!(own.access_key_id(), "OWN");
    assert!(script.asked().is_empty());
    let reach = ClusterAccess {
        assume_role: Some("arn:aws:iam::444455556666:role/reach".parse().unwrap()),
        ..access()
    };
    let assumed = aws.credentials(&reach).provide_credentials().await.unwrap();
    assert_eq!(assumed.access_key_id(), "ASSUMED");
    assert_eq!(assumed.session_token(), Some("t"));
    assert!(assumed.expiry().is_some());
}
