#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::*;
use crate::fixture::{ACCOUNT, TRUST, caller, role, world};
use crate::world::World;

fn document(resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"S","Effect":"Allow","Action":"a:B","Resource":["{resource}"]}}]}}"#
    )
}

fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:policy/{name}")
}

fn make(world: &mut World, name: &str) -> Result<PolicyOutput, AwsError> {
    world.create_policy(&caller(), name, "/", "d", &document("*"), &BTreeMap::new())
}

fn code<T: std::fmt::Debug>(outcome: Result<T, AwsError>) -> String {
    outcome.unwrap_err().code
}

#[test]
fn documents_come_percent_encoded() {
    let mut world = world();
    let role = world.get_role(&caller(), "etl").unwrap();
    assert!(role.assume_role_policy_document.starts_with("%7B%22Version%22%3A%222012-10-17%22"));
    assert!(!role.assume_role_policy_document.contains('+'));
    assert_eq!(role.path, "/");
    make(&mut world, "p").unwrap();
    let version = world.get_policy_version(&caller(), &arn("p"), "v1").unwrap();
    assert!(version.document.unwrap().starts_with("%7B%22"));
}

#[test]
fn policy_has_at_most_five_versions_and_never_reuses_a_number() {
    let mut world = world();
    make(&mut world, "p").unwrap();
    let add =
        |world: &mut World| world.create_policy_version(&caller(), &arn("p"), &document("*"), true);
    for expected in ["v2", "v3", "v4", "v5"] {
        assert_eq!(add(&mut world).unwrap().id, expected);
    }
    let full = add(&mut world).unwrap_err();
    assert_eq!((full.status, full.code.as_str()), (409, "LimitExceeded"));
    let delete =
        |world: &mut World, id: &str| world.delete_policy_version(&caller(), &arn("p"), id);
    assert_eq!(code(delete(&mut world, "v5")), "DeleteConflict");
    delete(&mut world, "v1").unwrap();
    assert_eq!(code(delete(&mut world, "v1")), "NoSuchEntity");
    assert_eq!(add(&mut world).unwrap().id, "v6");
    world.settings.page_size = 3;
    let first = world.list_policy_versions(&caller(), &arn("p"), None, None).unwrap();
    let ids: Vec<&str> = first.items.iter().map(|version| version.id.as_str()).collect();
    assert_eq!(ids, ["v6", "v5", "v4"]);
    assert!(first.items[0].is_default);
    let next = first.next.as_deref();
    let second = world.list_policy_versions(&caller(), &arn("p"), None, next).unwrap();
    assert_eq!((second.items.len(), second.next), (2, None));
}

#[test]
fn document_is_measured_without_white_space() {
    let mut world = world();
    let overhead = document("").len();
    let fits = document(&format!("arn:aws:s3:::{}", "x".repeat(6_144 - overhead - 13)));
    let spaced = fits.replace(':', " : ").replace("arn : aws : s3 :  :  : ", "arn:aws:s3:::");
    assert!(spaced.len() > 6_144);
    world.create_policy(&caller(), "p", "/", "", &spaced, &BTreeMap::new()).unwrap();
    let long = fits.replace("xx\"", "xxx\"");
    let error = world.create_policy(&caller(), "q", "/", "", &long, &BTreeMap::new()).unwrap_err();
    assert_eq!(error.message, "Cannot exceed quota for PolicySize: 6144");
}

#[test]
fn malformed_documents_are_refused() {
    let mut world = world();
    let good = document("*");
    for bad in [
        "not json".to_owned(),
        "[]".to_owned(),
        good.replace("\"Allow\"", "\"Maybe\""),
        good.replace("\"*\"", ""),
        good.replace("\"*\"", "\"role/x\""),
        good.replace("a:B", "aB"),
        good.replace("\"S\"", "\"with space\""),
        good.replace("2012", "2013"),
        good.replace("\"Effect\"", "\"Principal\":\"*\",\"Effect\""),
    ] {
        let made = world.create_policy(&caller(), "p", "/", "", &bad, &BTreeMap::new());
        assert_eq!(code(made), "MalformedPolicyDocument", "{bad}");
    }
}

#[test]
fn role_holds_ten_policies_and_attaching_again_is_no_error() {
    let mut world = world();
    for n in 0..11 {
        make(&mut world, &format!("p{n}")).unwrap();
    }
    let attach = |world: &mut World, n: u8| {
        world.attach_role_policy(&caller(), "etl", &arn(&format!("p{n}")))
    };
    for n in 0..10 {
        attach(&mut world, n).unwrap();
    }
    attach(&mut world, 3).unwrap();
    let error = attach(&mut world, 10).unwrap_err();
    assert_eq!(error.message, "Cannot exceed quota for PoliciesPerRole: 10");
    world.settings.policies_per_role = 20;
    attach(&mut world, 10).unwrap();
    let list =
        |max, marker| world.list_attached_role_policies(&caller(), "etl", max, marker).unwrap();
    let first = list(Some(6), None);
    let second = list(Some(6), first.next.as_deref());
    assert_eq!((first.items.len(), second.items.len(), second.next), (6, 5, None));
}

#[test]
fn attached_or_versioned_policy_is_not_deleted() {
    let mut world = world();
    make(&mut world, "p").unwrap();
    assert_eq!(code(make(&mut world, "p")), "EntityAlreadyExists");
    world.attach_role_policy(&caller(), "etl", &arn("p")).unwrap();
    assert_eq!(code(world.delete_policy(&caller(), &arn("p"))), "DeleteConflict");
    world.detach_role_policy(&caller(), "etl", &arn("p")).unwrap();
    let again = world.detach_role_policy(&caller(), "etl", &arn("p"));
    assert_eq!(code(again), "NoSuchEntity");
    world.create_policy_version(&caller(), &arn("p"), &document("*"), true).unwrap();
    assert_eq!(code(world.delete_policy(&caller(), &arn("p"))), "DeleteConflict");
    world.delete_policy_version(&caller(), &arn("p"), "v1").unwrap();
    world.delete_policy(&caller(), &arn("p")).unwrap();
    assert_eq!(code(world.get_policy(&caller(), &arn("p"))), "NoSuchEntity");
    make(&mut world, "p").unwrap();
}

#[test]
fn missing_role_and_policy_are_no_such_entity() {
    let mut world = world();
    let missing = world.get_role(&caller(), "nobody").unwrap_err();
    assert_eq!(missing.status, 404);
    assert_eq!(missing.message, "The role with name nobody cannot be found.");
    let attach = |world: &mut World, role: &str| {
        code(world.attach_role_policy(&caller(), role, &arn("none")))
    };
    assert_eq!(attach(&mut world, "etl"), "NoSuchEntity");
    assert_eq!(attach(&mut world, "nobody"), "NoSuchEntity");
    let far = "arn:aws:iam::444455556666:policy/p";
    assert_eq!(code(world.get_policy(&caller(), far)), "AccessDenied");
}

#[test]
fn reads_do_not_see_a_new_version_at_once() {
    let mut world = world();
    make(&mut world, "p").unwrap();
    world.settings.visible_after = SignedDuration::from_secs(2);
    world.now += SignedDuration::from_secs(1);
    world.create_policy_version(&caller(), &arn("p"), &document("*"), true).unwrap();
    let default = |world: &World| world.get_policy(&caller(), &arn("p")).unwrap().default_version;
    assert_eq!(default(&world), "v1");
    // A second writer that read too early still adds to what is there.
    world.create_policy_version(&caller(), &arn("p"), &document("*"), true).unwrap();
    world.now += SignedDuration::from_secs(2);
    assert_eq!(default(&world), "v3");
}

#[test]
fn worker_node_policy_of_aws_is_there_and_can_be_attached() {
    let mut world = world();
    let worker = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy";
    world.attach_role_policy(&caller(), "blue-eks-nodes", worker).unwrap();
    let version = world.get_policy_version(&caller(), worker, "v1").unwrap();
    assert!(version.document.unwrap().contains("AssumeRoleForPodIdentity"));
    assert!(world.iam.attached_to(&role("blue-eks-nodes")).contains(worker));
    world.set_trust(&role("etl"), "{}");
    assert_ne!(world.iam.trust(&role("etl")), Some(TRUST));
}
