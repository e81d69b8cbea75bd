#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pod_identity_core::{Desired, ServiceAccountRef};
use pod_identity_engine::ports::ErrorKind;

use super::*;
use crate::script::{Script, access};

fn desired() -> Desired {
    Desired {
        role: "arn:aws:iam::111122223333:role/etl".parse().unwrap(),
        target_role: None,
        disable_session_tags: false,
        session_policy: None,
    }
}

fn kubernetes() -> ServiceAccountRef {
    ServiceAccountRef::new("domino-compute", "svc-etl-sa").unwrap()
}

const ASSOCIATION: &str = r#"{"association":{"clusterName":"blue","namespace":"domino-compute",
    "serviceAccount":"svc-etl-sa","roleArn":"arn:aws:iam::111122223333:role/etl",
    "associationArn":"arn:aws:eks:eu-central-1:111122223333:podidentityassociation/blue/a-1",
    "associationId":"a-1","tags":{"k":"v"},"createdAt":1700000000.25,"modifiedAt":1700000001,
    "disableSessionTags":false,"targetRoleArn":"","policy":"","externalId":"e"}}"#;

#[tokio::test]
async fn an_association_is_described_in_full() {
    let script = Script::always(200, ASSOCIATION);
    let found = script.aws().reader().association(&access(), "a-1").await.unwrap().unwrap();
    assert_eq!(found.id, "a-1");
    assert_eq!(found.target_role_arn, None);
    assert_eq!(found.policy, None);
    assert_eq!(found.external_id.as_deref(), Some("e"));
    assert_eq!(found.tags["k"], "v");
    assert_eq!(found.created_at.unwrap().to_string(), "2023-11-14T22:13:20.25Z");
    assert_eq!(found.modified_at.unwrap().to_string(), "2023-11-14T22:13:21Z");
    let asked = &script.asked()[0];
    assert!(asked.uri.starts_with("https://eks.eu-central-1.amazonaws.com/clusters/blue/"));
    assert!(asked.authorization.contains("/eu-central-1/eks/aws4_request"));
}

#[tokio::test]
async fn an_association_that_is_gone_is_none_and_deleting_it_succeeds() {
    let gone = r#"{"__type":"ResourceNotFoundException","message":"gone"}"#;
    let aws = Script::always(404, gone).aws();
    assert_eq!(aws.reader().association(&access(), "a-1").await.unwrap(), None);
    aws.writer().delete_association(&access(), "a-1").await.unwrap();
    let error = aws
        .reader()
        .associations(&access(), &AssociationFilter::default(), None)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert_eq!(error.to_string(), "failed to list associations of cluster blue");
}

#[tokio::test]
async fn a_list_asks_for_the_largest_page_with_filters_and_token() {
    let script = Script::always(
        200,
        r#"{"associations":[{"associationId":"a-1","associationArn":"arn","namespace":"n",
            "serviceAccount":"s","ownerArn":"addon"}],"nextToken":"t2"}"#,
    );
    let filter = AssociationFilter {
        namespace: Some("n".to_owned()),
        service_account: Some("s".to_owned()),
    };
    let page = script.aws().reader().associations(&access(), &filter, Some("t1")).await.unwrap();
    assert_eq!(page.next.as_deref(), Some("t2"));
    assert_eq!(page.items[0].owner_arn.as_deref(), Some("addon"));
    let uri = &script.asked()[0].uri;
    for part in ["maxResults=100", "namespace=n", "serviceAccount=s", "nextToken=t1"] {
        assert!(uri.contains(part), "{uri}");
    }
}

#[tokio::test]
async fn a_create_sends_its_token_and_tags_and_leaves_out_what_is_not_wanted() {
    let script = Script::always(200, ASSOCIATION);
    let new = NewAssociation {
        kubernetes: kubernetes(),
        desired: desired(),
        tags: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        client_token: "token".to_owned(),
    };
    let made = script.aws().writer().create_association(&access(), &new).await.unwrap();
    assert_eq!(made.id, "a-1");
    let body = script.json();
    assert_eq!(body["clientRequestToken"], "token");
    assert_eq!(body["tags"]["k"], "v");
    assert_eq!(body["disableSessionTags"], false);
    assert_eq!(body.get("targetRoleArn"), None);
    assert_eq!(body.get("policy"), None);
}

#[tokio::test]
async fn an_update_clears_what_is_not_wanted() {
    let script = Script::always(200, ASSOCIATION);
    let update = AssociationUpdate {
        id: "a-1".to_owned(),
        kubernetes: kubernetes(),
        desired: desired(),
        client_token: "token".to_owned(),
    };
    script.aws().writer().update_association(&access(), &update).await.unwrap();
    let body = script.json();
    assert_eq!(body["roleArn"], "arn:aws:iam::111122223333:role/etl");
    assert_eq!(body["targetRoleArn"], "");
    assert_eq!(body["policy"], "");
    assert_eq!(body["disableSessionTags"], false);
    assert_eq!(body["clientRequestToken"], "token");
}
