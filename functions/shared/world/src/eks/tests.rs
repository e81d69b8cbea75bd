#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use pod_identity_engine::ports::AssociationFilter;

use super::*;
use crate::fixture::{TRUST, blue, caller, create, role, world};
use crate::world::World;

fn code<T: std::fmt::Debug>(outcome: Result<T, AwsError>) -> String {
    outcome.unwrap_err().code
}

fn ids(world: &World, filter: &AssociationFilter) -> Vec<String> {
    let (mut ids, mut token) = (Vec::new(), None);
    loop {
        let page = world
            .list_pod_identity_associations(&caller(), "blue", filter, None, token.as_deref())
            .unwrap();
        assert!(page.items.len() <= world.settings.page_size);
        ids.extend(page.items.into_iter().map(|item| item.service_account));
        token = page.next;
        if token.is_none() {
            return ids;
        }
    }
}

#[test]
fn second_association_of_a_service_account_is_in_use() {
    let mut world = world();
    let first = world.create_pod_identity_association(&caller(), create("a")).unwrap();
    let error = world.create_pod_identity_association(&caller(), create("a")).unwrap_err();
    assert_eq!((error.status, error.code.as_str()), (409, "ResourceInUseException"));
    assert_eq!(error.message, format!("Association already exists: {}", first.id));
    let elsewhere = CreateAssociation { namespace: "other".to_owned(), ..create("a") };
    world.create_pod_identity_association(&caller(), elsewhere).unwrap();
}

#[test]
fn same_token_and_values_answer_the_same_association() {
    let mut world = world();
    let input = CreateAssociation { client_request_token: Some("t".to_owned()), ..create("a") };
    let first = world.create_pod_identity_association(&caller(), input.clone()).unwrap();
    assert_eq!(world.create_pod_identity_association(&caller(), input.clone()).unwrap(), first);
    let other = CreateAssociation { service_account: "b".to_owned(), ..input };
    assert_eq!(
        code(world.create_pod_identity_association(&caller(), other)),
        "InvalidParameterException"
    );
    assert_eq!(world.eks.associations(&blue()).len(), 1);
}

#[test]
fn token_of_a_deleted_association_makes_no_other_unless_told() {
    let mut world = world();
    let input = CreateAssociation { client_request_token: Some("t".to_owned()), ..create("a") };
    let first = world.create_pod_identity_association(&caller(), input.clone()).unwrap();
    world.delete_pod_identity_association(&caller(), "blue", &first.id).unwrap();
    let again = world.create_pod_identity_association(&caller(), input.clone()).unwrap();
    assert_eq!(again.id, first.id);
    assert!(world.eks.associations(&blue()).is_empty());
    world.settings.tokens_outlive_associations = false;
    let again = world.create_pod_identity_association(&caller(), input).unwrap();
    assert_ne!(again.id, first.id);
}

#[test]
fn list_comes_in_pages_and_is_filtered() {
    let mut world = world();
    let names: Vec<String> = (0..7).map(|n| format!("sa-{n}")).collect();
    for name in &names {
        world.create_pod_identity_association(&caller(), create(name)).unwrap();
    }
    let elsewhere = CreateAssociation { namespace: "other".to_owned(), ..create("sa-0") };
    world.create_pod_identity_association(&caller(), elsewhere).unwrap();
    world.settings.page_size = 3;
    let mut filter = AssociationFilter::default();
    assert_eq!(ids(&world, &filter).len(), 8);
    filter.namespace = Some("domino-compute".to_owned());
    let found: BTreeSet<String> = ids(&world, &filter).into_iter().collect();
    assert_eq!(found, names.into_iter().collect());
    filter.service_account = Some("sa-3".to_owned());
    assert_eq!(ids(&world, &filter), ["sa-3"]);
    filter.namespace = None;
    let list = |filter, token| {
        code(world.list_pod_identity_associations(&caller(), "blue", filter, None, token))
    };
    assert_eq!(list(&filter, None), "InvalidParameterException");
    assert_eq!(list(&AssociationFilter::default(), Some("junk")), "InvalidParameterException");
}

#[test]
fn page_holds_at_most_one_hundred() {
    let mut world = world();
    for n in 0..101 {
        world.create_pod_identity_association(&caller(), create(&format!("sa-{n}"))).unwrap();
    }
    let filter = AssociationFilter::default();
    let list = |max| world.list_pod_identity_associations(&caller(), "blue", &filter, max, None);
    let page = list(None).unwrap();
    assert_eq!((page.items.len(), page.next.is_some()), (100, true));
    assert_eq!(code(list(Some(101))), "InvalidParameterException");
}

#[test]
fn external_id_comes_and_goes_with_the_target_role() {
    let mut world = world();
    let target = "arn:aws:iam::444455556666:role/far".to_owned();
    let input = CreateAssociation { target_role_arn: Some(target.clone()), ..create("a") };
    let made = world.create_pod_identity_association(&caller(), input).unwrap();
    assert_eq!(made.external_id.as_deref(), Some("eu-west-1/111122223333/blue/domino-compute/a"));
    let update = |target: Option<&str>| UpdateAssociation {
        cluster: "blue".to_owned(),
        association_id: made.id.clone(),
        target_role_arn: target.map(str::to_owned),
        ..UpdateAssociation::default()
    };
    let same = world.update_pod_identity_association(&caller(), &update(None)).unwrap();
    assert_eq!(same.target_role_arn, Some(target));
    let cleared = world.update_pod_identity_association(&caller(), &update(Some(""))).unwrap();
    assert_eq!((cleared.target_role_arn, cleared.external_id), (None, None));
}

#[test]
fn session_policy_needs_disabled_session_tags() {
    let mut world = world();
    let mut input = CreateAssociation { policy: Some("{}".to_owned()), ..create("a") };
    let refused = world.create_pod_identity_association(&caller(), input.clone());
    assert_eq!(code(refused), "InvalidParameterException");
    input.disable_session_tags = Some(true);
    let made = world.create_pod_identity_association(&caller(), input).unwrap();
    let mut update = UpdateAssociation {
        cluster: "blue".to_owned(),
        association_id: made.id,
        disable_session_tags: Some(false),
        ..UpdateAssociation::default()
    };
    let refused = world.update_pod_identity_association(&caller(), &update);
    assert_eq!(code(refused), "InvalidParameterException");
    update.policy = Some(String::new());
    let cleared = world.update_pod_identity_association(&caller(), &update).unwrap();
    assert_eq!(cleared.policy, None);
}

#[test]
fn role_must_exist_in_the_account_and_trust_eks() {
    let mut world = world();
    let mut with = |role: &str| {
        let input = CreateAssociation { role_arn: role.to_owned(), ..create("a") };
        world.create_pod_identity_association(&caller(), input).unwrap_err()
    };
    let far = with("arn:aws:iam::444455556666:role/etl");
    assert_eq!(far.code, "InvalidRequestException");
    assert_eq!(far.message, "Cross-account pass role is not allowed.");
    assert_eq!(with("etl").code, "InvalidParameterException");
    let missing = with(role("nobody").as_str());
    assert_eq!(missing.message, "Role provided in the request does not exist.");
    // The path belongs to the ARN.
    let wrong_path = with("arn:aws:iam::111122223333:role/team/etl");
    assert_eq!(wrong_path.message, "Role provided in the request does not exist.");
    world.set_trust(&role("etl"), &TRUST.replace("pods.eks", "ec2"));
    let untrusted = world.create_pod_identity_association(&caller(), create("a")).unwrap_err();
    assert!(untrusted.message.starts_with("Trust policy of the role provided is invalid"));
}

#[test]
fn tag_session_is_needed_unless_session_tags_are_disabled() {
    let mut world = world();
    world.set_trust(&role("etl"), &TRUST.replace(r#","sts:TagSession""#, ""));
    assert_eq!(
        code(world.create_pod_identity_association(&caller(), create("a"))),
        "InvalidParameterException"
    );
    let input = CreateAssociation { disable_session_tags: Some(true), ..create("a") };
    world.create_pod_identity_association(&caller(), input).unwrap();
}

#[test]
fn tag_edit_moves_the_time_of_modification() {
    let mut world = world();
    let made = world.create_pod_identity_association(&caller(), create("a")).unwrap();
    world.now += SignedDuration::from_secs(5);
    let tags = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    world.tag_resource(&caller(), &made.arn, &tags).unwrap();
    let now = world.describe_pod_identity_association(&caller(), "blue", &made.id).unwrap();
    assert_eq!((now.created_at, now.modified_at), (made.created_at, Some(world.now)));
    assert_eq!(world.list_tags_for_resource(&caller(), &made.arn).unwrap(), tags);
    world.untag_resource(&caller(), &made.arn, &["k".to_owned()]).unwrap();
    world.delete_pod_identity_association(&caller(), "blue", &made.id).unwrap();
    assert_eq!(code(world.tag_resource(&caller(), &made.arn, &tags)), "NotFoundException");
}

#[test]
fn changes_are_visible_after_a_while_but_names_are_taken_at_once() {
    let mut world = world();
    world.settings.visible_after = SignedDuration::from_secs(3);
    let made = world.create_pod_identity_association(&caller(), create("a")).unwrap();
    let filter = AssociationFilter::default();
    assert!(ids(&world, &filter).is_empty());
    assert_eq!(
        code(world.create_pod_identity_association(&caller(), create("a"))),
        "ResourceInUseException"
    );
    world.now += SignedDuration::from_secs(3);
    assert_eq!(ids(&world, &filter), ["a"]);
    world.delete_pod_identity_association(&caller(), "blue", &made.id).unwrap();
    assert_eq!(ids(&world, &filter), ["a"]);
    // The deletion has not settled: creating again meets the deleted one.
    assert_eq!(
        code(world.create_pod_identity_association(&caller(), create("a"))),
        "ResourceInUseException"
    );
    world.now += SignedDuration::from_secs(3);
    assert!(ids(&world, &filter).is_empty());
    world.create_pod_identity_association(&caller(), create("a")).unwrap();
}

#[test]
fn limit_of_a_cluster_is_kept() {
    let mut world = world();
    world.settings.associations_per_cluster = 1;
    world.create_pod_identity_association(&caller(), create("a")).unwrap();
    assert_eq!(
        code(world.create_pod_identity_association(&caller(), create("b"))),
        "ResourceLimitExceededException"
    );
}

#[test]
fn cluster_is_found_only_from_its_account_and_region() {
    let world = world();
    assert!(world.describe_cluster(&caller(), "blue").is_ok());
    for wrong in [
        Caller { region: "us-east-1".to_owned(), ..caller() },
        Caller { account: "444455556666".to_owned(), ..caller() },
    ] {
        let error = world.describe_cluster(&wrong, "blue").unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (404, "ResourceNotFoundException"));
        assert_eq!(error.message, "No cluster found for name: blue.");
    }
}

#[test]
fn node_groups_are_listed_and_tell_their_roles() {
    let world = world();
    let page = world.list_nodegroups(&caller(), "blue", None, None).unwrap();
    assert_eq!(page.items, ["default"]);
    let found = world.describe_nodegroup(&caller(), "blue", "default").unwrap();
    assert_eq!(found, role("blue-eks-nodes").to_string());
    let missing = world.describe_nodegroup(&caller(), "blue", "gone");
    assert_eq!(code(missing), "ResourceNotFoundException");
}

#[test]
fn foreign_and_addon_associations_need_no_role_and_show_their_owner() {
    let mut world = world();
    let addon = format!("arn:aws:eks:eu-west-1:{}:addon/blue/ebs/1", world.account);
    world.add_foreign_association(&blue(), "x", "foreign", "arn:aws:iam::1:role/y").unwrap();
    world.add_addon_association(&blue(), "x", "addon", "arn:aws:iam::1:role/y", &addon).unwrap();
    assert_eq!(world.eks.find(&blue(), "x", "foreign").unwrap().owner_arn, None);
    assert_eq!(world.eks.find(&blue(), "x", "addon").unwrap().owner_arn, Some(addon));
}

#[test]
fn same_seed_gives_the_same_ids() {
    let id = || world().create_pod_identity_association(&caller(), create("a")).unwrap().id;
    assert_eq!(id(), id());
    assert_eq!(id().len(), 19);
}

#[test]
fn a_cluster_tells_how_its_kubernetes_is_reached() {
    let mut world = world();
    let found = world.describe_cluster(&caller(), "blue").unwrap();
    assert_eq!(found.authentication_mode, "API_AND_CONFIG_MAP");
    assert!(found.endpoint.starts_with("https://") && found.endpoint_public_access);
    let cluster = world.eks.cluster_mut(&blue()).unwrap();
    cluster.authentication_mode = "CONFIG_MAP".to_owned();
    cluster.endpoint_public_access = false;
    let found = world.describe_cluster(&caller(), "blue").unwrap();
    assert_eq!(
        (found.authentication_mode.as_str(), found.endpoint_public_access),
        ("CONFIG_MAP", false)
    );
    assert_eq!(code(world.describe_cluster(&caller(), "gone")), "ResourceNotFoundException");
}

#[test]
fn addons_are_listed_and_described() {
    let mut world = world();
    let cluster = world.eks.cluster_mut(&blue()).unwrap();
    let agent = cluster.addons["eks-pod-identity-agent"].clone();
    assert_eq!(agent.status, "ACTIVE");
    cluster.addons.insert("vpc-cni".to_owned(), agent.clone());
    let first = world.list_addons(&caller(), "blue", Some(1), None).unwrap();
    assert_eq!(first.items, ["eks-pod-identity-agent"]);
    let second = world.list_addons(&caller(), "blue", None, first.next.as_deref()).unwrap();
    assert_eq!((second.items, second.next), (vec!["vpc-cni".to_owned()], None));
    assert_eq!(world.describe_addon(&caller(), "blue", "vpc-cni").unwrap(), agent);
    let missing = world.describe_addon(&caller(), "blue", "coredns").unwrap_err();
    assert_eq!(
        (missing.code.as_str(), missing.message.as_str()),
        ("ResourceNotFoundException", "No addon: coredns found in cluster: blue")
    );
}
