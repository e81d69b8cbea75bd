//! Associations, node groups and tags.

use std::collections::HashMap;

use aws_sdk_eks::error::ProvideErrorMetadata;
use jiff::Timestamp;

use crate::{TARGET, blue, create, eks, role, wire};

#[tokio::test]
async fn association_lives_its_life() {
    let wire = wire().await;
    let eks = eks(&wire, 0).await;
    let made = create(&eks, "svc").await.unwrap().association.unwrap();
    let id = made.association_id().unwrap();
    assert_eq!(made.external_id(), Some("eu-west-1/111122223333/blue/domino-compute/svc"));
    assert!((Timestamp::now().as_second() - made.created_at().unwrap().secs()).abs() < 60);

    let describe = || eks.describe_pod_identity_association().cluster_name("blue");
    let found = describe().association_id(id).send().await.unwrap().association.unwrap();
    assert_eq!(found.role_arn(), Some(role("etl").as_str()));
    assert_eq!(found.target_role_arn(), Some(TARGET));
    assert_eq!(found.disable_session_tags(), Some(false));
    assert_eq!(found.tags().unwrap()["owner"], "a & <b>");

    let changed = eks
        .update_pod_identity_association()
        .cluster_name("blue")
        .association_id(id)
        .target_role_arn("")
        .disable_session_tags(true)
        .policy("{}")
        .send()
        .await
        .unwrap()
        .association
        .unwrap();
    assert_eq!((changed.target_role_arn(), changed.external_id()), (None, None));
    assert_eq!(changed.policy(), Some("{}"));

    let arn = made.association_arn().unwrap();
    eks.tag_resource().resource_arn(arn).tags("k", "v").send().await.unwrap();
    eks.untag_resource().resource_arn(arn).tag_keys("owner").send().await.unwrap();
    let tags = eks.list_tags_for_resource().resource_arn(arn).send().await.unwrap().tags.unwrap();
    assert_eq!(tags, HashMap::from([("k".to_owned(), "v".to_owned())]));

    let delete = || eks.delete_pod_identity_association().cluster_name("blue").association_id(id);
    delete().send().await.unwrap();
    let gone = delete().send().await.unwrap_err().into_service_error();
    assert!(gone.is_resource_not_found_exception());
    let log = wire.log();
    assert!(log.iter().all(|call| call.caller == "association" && call.service == "eks"));
    let last = log.last().unwrap();
    assert_eq!(last.operation, "DeletePodIdentityAssociation");
    assert_eq!(last.object, format!("{id} in cluster blue"));
    assert_eq!((last.status, last.error.as_deref()), (404, Some("ResourceNotFoundException")));
}

#[tokio::test]
async fn duplicate_is_a_typed_resource_in_use_exception() {
    let wire = wire().await;
    let eks = eks(&wire, 0).await;
    create(&eks, "svc").await.unwrap();
    let error = create(&eks, "svc").await.unwrap_err().into_service_error();
    assert!(error.is_resource_in_use_exception());
    assert!(error.message().unwrap().starts_with("Association already exists: a-"));
}

#[tokio::test]
async fn associations_and_node_groups_come_in_pages() {
    let wire = wire().await;
    wire.world().settings.page_size = 2;
    let eks = eks(&wire, 0).await;
    for n in 0..5 {
        create(&eks, &format!("svc-{n}")).await.unwrap();
    }
    let list = || eks.list_pod_identity_associations().cluster_name("blue");
    let mut pages = list().into_paginator().send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.unwrap().associations().len());
    }
    assert_eq!(sizes, [2, 2, 1]);
    let one = list().namespace("domino-compute").service_account("svc-3").send().await.unwrap();
    assert_eq!(one.associations().len(), 1);
    assert_eq!(one.associations()[0].owner_arn(), None);

    let groups = eks.list_nodegroups().cluster_name("blue").send().await.unwrap();
    assert_eq!(groups.nodegroups(), ["default"]);
    let describe = eks.describe_nodegroup().cluster_name("blue").nodegroup_name("default");
    let group = describe.send().await.unwrap().nodegroup.unwrap();
    assert_eq!(group.node_role(), Some(role("blue-eks-nodes").as_str()));
    let cluster = eks.describe_cluster().name("blue").send().await.unwrap().cluster.unwrap();
    assert_eq!(cluster.arn(), Some(blue().as_str()));
}
