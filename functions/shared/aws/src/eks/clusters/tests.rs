#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pod_identity_engine::ports::ErrorKind;

use super::*;
use crate::script::{Script, access};

#[tokio::test]
async fn a_cluster_is_described_with_the_way_to_its_kubernetes_api() {
    let script = Script::always(
        200,
        r#"{"cluster":{"name":"blue","status":"ACTIVE","version":"1.33","createdAt":1700000000.25,
            "endpoint":"https://ABC.gr7.eu-central-1.eks.amazonaws.com",
            "certificateAuthority":{"data":"LS0t"},
            "accessConfig":{"authenticationMode":"API_AND_CONFIG_MAP"},
            "resourcesVpcConfig":{"endpointPublicAccess":false,"endpointPrivateAccess":true},
            "computeConfig":{"enabled":true,"nodePools":["system"],
            "nodeRoleArn":"arn:aws:iam::111122223333:role/auto"}}}"#,
    );
    let found = script.aws().reader().cluster(&access()).await.unwrap().unwrap();
    assert_eq!(
        found,
        ClusterDescription {
            created_at: Some("2023-11-14T22:13:20.25Z".parse().unwrap()),
            endpoint: Some("https://ABC.gr7.eu-central-1.eks.amazonaws.com".to_owned()),
            certificate_authority: Some("LS0t".to_owned()),
            status: "ACTIVE".to_owned(),
            authentication_mode: Some("API_AND_CONFIG_MAP".to_owned()),
            auto_mode: true,
            node_role: Some("arn:aws:iam::111122223333:role/auto".to_owned()),
            public_endpoint: false,
            private_endpoint: true,
            version: Some("1.33".to_owned()),
        }
    );
    let uri = &script.asked()[0].uri;
    assert_eq!(uri, "https://eks.eu-central-1.amazonaws.com/clusters/blue");
}

#[tokio::test]
async fn a_cluster_that_is_being_made_has_no_endpoint_yet() {
    let script = Script::always(200, r#"{"cluster":{"name":"blue","status":"CREATING"}}"#);
    let found = script.aws().reader().cluster(&access()).await.unwrap().unwrap();
    assert_eq!(found.status, "CREATING");
    assert_eq!(found.endpoint, None);
    assert_eq!(found.authentication_mode, None);
}

#[tokio::test]
async fn a_cluster_and_an_addon_that_eks_does_not_know_are_none() {
    let gone = r#"{"__type":"ResourceNotFoundException","message":"No cluster found."}"#;
    let reader = Script::always(404, gone).aws().reader();
    assert_eq!(reader.cluster(&access()).await.unwrap(), None);
    assert_eq!(reader.addon(&access(), "eks-pod-identity-agent").await.unwrap(), None);
}

#[tokio::test]
async fn the_status_of_an_addon_is_answered() {
    let script = Script::always(200, r#"{"addon":{"status":"DEGRADED"}}"#);
    let reader = script.aws().reader();
    let status = reader.addon(&access(), "eks-pod-identity-agent").await.unwrap();
    assert_eq!(status.as_deref(), Some("DEGRADED"));
    let uri = &script.asked()[0].uri;
    assert!(uri.ends_with("/clusters/blue/addons/eks-pod-identity-agent"), "{uri}");
}

#[tokio::test]
async fn a_cluster_that_may_not_be_described_is_a_denial() {
    let refused = r#"{"__type":"AccessDeniedException","message":"no"}"#;
    let error = Script::always(403, refused).aws().reader().cluster(&access()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(error.to_string(), "failed to describe cluster blue");
}
