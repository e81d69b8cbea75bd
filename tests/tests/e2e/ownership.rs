//! Associations of others.

use local::scene;
use pod_identity_core::{DEPLOYMENT_TAG, SERVICE_ACCOUNT_TAG};
use pod_identity_events::detail_type;
use pod_identity_world::CreateAssociation;
use serde_json::json;

use crate::restored::{planned_and_done, reconcile};
use crate::scenario::{Scenario, assigned, registered, role, somebody, unassigned};

#[tokio::test]
async fn foreign_association_in_the_way_blocks_until_it_is_gone() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let theirs = scenario.association("blue", "svc-warehouse-sa").unwrap();
    let event = assigned("svc-warehouse", "warehouse", 10);
    scenario.deliver(std::slice::from_ref(&event)).await;
    assert_eq!(scenario.condition("blue", "svc-warehouse").await.as_deref(), Some("blocked"));
    let blocked = scenario.news(detail_type::ASSOCIATION_BLOCKED);
    assert_eq!(blocked.len(), 1);
    assert_eq!(blocked[0].detail["code"], "foreignAssociation");
    assert!(blocked[0].detail["remediation"].as_str().unwrap().contains(&theirs.id));
    assert_eq!(scenario.association("blue", "svc-warehouse-sa"), Some(theirs.clone()));

    scenario
        .stage
        .world()
        .delete_pod_identity_association(&somebody(), "blue", &theirs.id)
        .unwrap();
    scenario.deliver(&[event]).await;
    assert_eq!(scenario.condition("blue", "svc-warehouse").await.as_deref(), Some("ready"));
    let ours = scenario.association("blue", "svc-warehouse-sa").unwrap();
    assert_ne!(ours.id, theirs.id);
    assert_eq!(ours.tags[DEPLOYMENT_TAG], scene::DEPLOYMENT);
    assert_eq!(scenario.news(detail_type::ASSOCIATION_READY).len(), 1);
}

#[tokio::test]
async fn foreign_association_outlives_the_binding_that_it_blocked() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let theirs = scenario.association("blue", "svc-warehouse-sa");
    scenario.deliver(&[assigned("svc-warehouse", "warehouse", 10)]).await;
    scenario.deliver(&[unassigned("svc-warehouse", 11)]).await;
    assert_eq!(scenario.condition("blue", "svc-warehouse").await.as_deref(), Some("removed"));
    assert_eq!(scenario.association("blue", "svc-warehouse-sa"), theirs);
    assert_eq!(scenario.stage.world().count("DeletePodIdentityAssociation"), 0);
}

#[tokio::test]
async fn tags_on_a_foreign_association_neither_adopt_nor_delete_it() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let event = assigned("svc-warehouse", "warehouse", 10);
    scenario.deliver(std::slice::from_ref(&event)).await;
    let theirs = scenario.association("blue", "svc-warehouse-sa").unwrap();
    let tags = [(DEPLOYMENT_TAG, scene::DEPLOYMENT), (SERVICE_ACCOUNT_TAG, "svc-warehouse")];
    let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    scenario.stage.world().tag_resource(&somebody(), &theirs.arn, &tags).unwrap();
    let tagged = scenario.association("blue", "svc-warehouse-sa");
    scenario.deliver(&[event]).await;
    let blocked = scenario.news(detail_type::ASSOCIATION_BLOCKED);
    assert_eq!(blocked.last().unwrap().detail["code"], "orphanAssociation");
    scenario.deliver(&[unassigned("svc-warehouse", 11)]).await;
    assert_eq!(scenario.condition("blue", "svc-warehouse").await.as_deref(), Some("blocked"));
    assert_eq!(scenario.association("blue", "svc-warehouse-sa"), tagged);
    assert!(scenario.news(detail_type::ASSOCIATION_REMOVED).is_empty());
}

#[tokio::test]
async fn association_that_was_untagged_is_deleted_by_its_removal() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[assigned("svc-u", "new", 10)]).await;
    let ours = scenario.association("blue", "svc-u-sa").unwrap();
    let keys: Vec<String> = ours.tags.keys().cloned().collect();
    scenario.stage.world().untag_resource(&somebody(), &ours.arn, &keys).unwrap();
    scenario.deliver(&[unassigned("svc-u", 11)]).await;
    assert_eq!(scenario.association("blue", "svc-u-sa"), None);
    assert_eq!(scenario.condition("blue", "svc-u").await.as_deref(), Some("removed"));
    assert_eq!(scenario.news(detail_type::ASSOCIATION_REMOVED).len(), 1);
}

/// Lets a binding adopt the association that blocks it, and reconciles.
async fn adopt(scenario: &Scenario, account: &str, name: &str) {
    let one = json!({ "namespace": "domino-compute", "serviceAccount": account, "as": name });
    let payload = json!({ "action": "adopt", "cluster": "blue", "associations": [one] });
    let adopted = planned_and_done(scenario, payload).await;
    assert_eq!(adopted["ok"], true, "{adopted:#}");
    reconcile(scenario).await;
}

#[tokio::test]
async fn an_adopted_association_of_a_stack_is_replaced_without_the_stacks_tags() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let theirs = {
        let mut world = scenario.stage.world();
        world.settings.clears_empty_values = false;
        let input = CreateAssociation {
            cluster: "blue".to_owned(),
            namespace: "domino-compute".to_owned(),
            service_account: "svc-u-sa".to_owned(),
            role_arn: role("new"),
            target_role_arn: Some(role("old")),
            tags: [("team".to_owned(), "data".to_owned())].into(),
            ..CreateAssociation::default()
        };
        let theirs = world.create_pod_identity_association(&somebody(), input).unwrap();
        let cluster = scene::cluster("blue").unwrap();
        world.add_stack_tags(&cluster, &theirs.id, "data-platform");
        theirs
    };
    scenario.deliver(&[assigned("svc-u", "new", 10)]).await;
    assert_eq!(scenario.condition("blue", "svc-u").await.as_deref(), Some("blocked"));
    adopt(&scenario, "svc-u-sa", "svc-u").await;
    let ours = scenario.association("blue", "svc-u-sa").unwrap();
    assert_ne!(ours.id, theirs.id);
    assert_eq!((ours.target_role_arn, ours.tags["team"].as_str()), (None, "data"));
    assert!(!ours.tags.keys().any(|key| key.starts_with("aws:")), "{:?}", ours.tags);
    assert_eq!(scenario.condition("blue", "svc-u").await.as_deref(), Some("ready"));
}

#[tokio::test]
async fn two_deployments_that_are_given_one_event_ask_eks_with_tokens_of_their_own() {
    let mut one = Scenario::on_blue(&[]).await;
    let event = assigned("svc-u", "new", 10);
    one.deliver(std::slice::from_ref(&event)).await;
    let first = one.association("blue", "svc-u-sa").unwrap();
    let mut world = one.stage.world().clone();
    // EKS remembers the token of what is deleted.
    world.delete_pod_identity_association(&somebody(), "blue", &first.id).unwrap();
    let mut other = Scenario::of(world, &[("DEPLOYMENT_ID", "another")]).await;
    other.deliver(&[registered("blue", 1)]).await;
    other.deliver(&[event]).await;
    assert_eq!(other.condition("blue", "svc-u").await.as_deref(), Some("ready"));
    let second = other.association("blue", "svc-u-sa").unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(second.tags[DEPLOYMENT_TAG], "another");
    // The roles of `infra` are those of the first one.
    other.stage.world().calls.clear();
}

#[tokio::test]
async fn association_of_an_add_on_is_left_as_it_is() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let owner = "arn:aws:eks:eu-west-1:111122223333:addon/blue/agent/0";
    let role = scene::role("aws-ebs-csi").unwrap();
    let cluster = scene::cluster("blue").unwrap();
    let theirs = scenario
        .stage
        .world()
        .add_addon_association(&cluster, "domino-compute", "svc-addon-sa", role.as_str(), owner)
        .unwrap();
    scenario.deliver(&[assigned("svc-addon", "new", 10)]).await;
    let blocked = scenario.news(detail_type::ASSOCIATION_BLOCKED);
    assert_eq!(blocked[0].detail["code"], "addOnOwnedAssociation");
    scenario.deliver(&[unassigned("svc-addon", 11)]).await;
    assert_eq!(scenario.association("blue", "svc-addon-sa"), Some(theirs));
}

#[tokio::test]
async fn of_two_bindings_of_one_kubernetes_account_the_oldest_holds_and_the_other_follows() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let other = |second| {
        let detail = serde_json::json!({
            "serviceAccount": "svc-other",
            "kubernetes": { "serviceAccount": "svc-new-sa" },
            "roleArn": crate::scenario::role("old"),
        });
        let source = pod_identity_events::source::AUTOMATION;
        crate::scenario::event(source, detail_type::ROLE_ASSIGNED, detail, second)
    };
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    scenario.deliver(&[other(11)]).await;
    assert_eq!(scenario.condition("blue", "svc-new").await.as_deref(), Some("ready"));
    assert_eq!(scenario.condition("blue", "svc-other").await.as_deref(), Some("blocked"));
    let blocked = scenario.news(detail_type::ASSOCIATION_BLOCKED);
    assert_eq!(blocked[0].detail["code"], "conflict");

    scenario.deliver(&[unassigned("svc-new", 12)]).await;
    let held = scenario.association("blue", "svc-new-sa").unwrap();
    assert!(held.role_arn.ends_with(":role/domino/old"));
    assert_eq!(scenario.condition("blue", "svc-other").await.as_deref(), Some("ready"));
    assert_eq!(scenario.condition("blue", "svc-new").await.as_deref(), Some("removed"));
}
