//! Roles and policies.

use crate::{ACCOUNT, TRUST, config, role, wire};

#[tokio::test]
async fn role_documents_are_percent_encoded() {
    let wire = wire().await;
    let iam = aws_sdk_iam::Client::new(&config(&wire, 0).await);
    let found = iam.get_role().role_name("etl").send().await.unwrap().role.unwrap();
    let document = found.assume_role_policy_document().unwrap();
    assert!(document.starts_with("%7B%22Version%22"));
    assert_eq!(percent_encoding::percent_decode_str(document).decode_utf8().unwrap(), TRUST);
    assert_eq!(found.arn(), role("etl").as_str());
    let missing = iam.get_role().role_name("nobody").send().await.unwrap_err();
    assert!(missing.into_service_error().is_no_such_entity_exception());
}

#[tokio::test]
async fn policy_lives_its_life() {
    let wire = wire().await;
    let iam = aws_sdk_iam::Client::new(&config(&wire, 0).await);
    let document = |resource: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"a:B","Resource":"{resource}"}}]}}"#
        )
    };
    let tag = aws_sdk_iam::types::Tag::builder().key("k").value("v & w").build().unwrap();
    let made = iam
        .create_policy()
        .policy_name("p")
        .path("/team/")
        .description("<what>")
        .policy_document(document("*"))
        .tags(tag)
        .send()
        .await
        .unwrap()
        .policy
        .unwrap();
    let arn = made.arn().unwrap();
    assert_eq!(arn, format!("arn:aws:iam::{ACCOUNT}:policy/team/p"));
    let found = iam.get_policy().policy_arn(arn).send().await.unwrap().policy.unwrap();
    assert_eq!((found.description(), found.path()), (Some("<what>"), Some("/team/")));
    assert_eq!(found.tags()[0].value(), "v & w");

    let add = || {
        let document = document("arn:aws:s3:::x");
        iam.create_policy_version().policy_arn(arn).policy_document(document).set_as_default(true)
    };
    for expected in ["v2", "v3", "v4", "v5"] {
        let version = add().send().await.unwrap().policy_version.unwrap();
        assert_eq!(version.version_id(), Some(expected));
    }
    let full = add().send().await.unwrap_err().into_service_error();
    assert!(full.is_limit_exceeded_exception());
    wire.world().settings.page_size = 3;
    let list = || iam.list_policy_versions().policy_arn(arn);
    let first = list().send().await.unwrap();
    assert_eq!((first.versions().len(), first.is_truncated()), (3, true));
    let rest = list().marker(first.marker().unwrap()).send().await.unwrap();
    assert_eq!((rest.versions().len(), rest.is_truncated()), (2, false));
    let get = iam.get_policy_version().policy_arn(arn).version_id("v5");
    let version = get.send().await.unwrap().policy_version.unwrap();
    assert!(version.is_default_version());
    assert!(version.document().unwrap().contains("arn%3Aaws%3As3"));
    let delete = |id: &str| iam.delete_policy_version().policy_arn(arn).version_id(id).send();
    let refused = delete("v5").await.unwrap_err().into_service_error();
    assert!(refused.is_delete_conflict_exception());
    delete("v1").await.unwrap();

    let attach = || iam.attach_role_policy().role_name("blue-eks-nodes").policy_arn(arn);
    attach().send().await.unwrap();
    let attached = iam.list_attached_role_policies().role_name("blue-eks-nodes").send();
    assert_eq!(attached.await.unwrap().attached_policies()[0].policy_name(), Some("p"));
    let refused = iam.delete_policy().policy_arn(arn).send().await.unwrap_err();
    assert!(refused.into_service_error().is_delete_conflict_exception());
    let detach = || iam.detach_role_policy().role_name("blue-eks-nodes").policy_arn(arn).send();
    detach().await.unwrap();
    assert!(detach().await.unwrap_err().into_service_error().is_no_such_entity_exception());
    let refused = iam.delete_policy().policy_arn(arn).send().await.unwrap_err();
    assert!(refused.into_service_error().is_delete_conflict_exception(), "versions are left");
    for version in ["v2", "v3", "v4"] {
        delete(version).await.unwrap();
    }
    iam.delete_policy().policy_arn(arn).send().await.unwrap();
    let gone = iam.delete_policy().policy_arn(arn).send().await.unwrap_err();
    assert!(gone.into_service_error().is_no_such_entity_exception());
    let bad = iam.create_policy().policy_name("q").policy_document("{}").send().await.unwrap_err();
    assert!(bad.into_service_error().is_malformed_policy_document_exception());
}

#[tokio::test]
async fn a_role_is_made_its_trust_policy_is_changed_and_it_is_deleted() {
    let wire = wire().await;
    let iam = aws_sdk_iam::Client::new(&config(&wire, 0).await);
    let make = |trust: &str| {
        iam.create_role().role_name("new").path("/domino/").assume_role_policy_document(trust)
    };
    let wrong = make("{").send().await.unwrap_err().into_service_error();
    assert!(wrong.is_malformed_policy_document_exception(), "{wrong:?}");
    let made = make(TRUST).send().await.unwrap().role.unwrap();
    assert_eq!(made.arn(), format!("arn:aws:iam::{ACCOUNT}:role/domino/new"));
    let again = make(TRUST).send().await.unwrap_err().into_service_error();
    assert!(again.is_entity_already_exists_exception(), "{again:?}");

    let trust = async || {
        let found = iam.get_role().role_name("new").send().await.unwrap().role.unwrap();
        let document = found.assume_role_policy_document().unwrap();
        percent_encoding::percent_decode_str(document).decode_utf8().unwrap().into_owned()
    };
    assert_eq!(trust().await, TRUST);
    let other = TRUST.replace("pods.eks", "ec2");
    iam.update_assume_role_policy().role_name("new").policy_document(&other).send().await.unwrap();
    assert_eq!(trust().await, other);

    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:B","Resource":"*"}]}"#;
    let made = iam.create_policy().policy_name("p").policy_document(policy).send().await.unwrap();
    let arn = made.policy.unwrap().arn.unwrap();
    iam.attach_role_policy().role_name("new").policy_arn(&arn).send().await.unwrap();
    let attached = iam.delete_role().role_name("new").send().await.unwrap_err();
    assert!(attached.into_service_error().is_delete_conflict_exception());
    iam.detach_role_policy().role_name("new").policy_arn(&arn).send().await.unwrap();
    iam.delete_role().role_name("new").send().await.unwrap();
    let gone = iam.get_role().role_name("new").send().await.unwrap_err();
    assert!(gone.into_service_error().is_no_such_entity_exception());
    let gone = iam.delete_role().role_name("new").send().await.unwrap_err();
    assert!(gone.into_service_error().is_no_such_entity_exception());
}
