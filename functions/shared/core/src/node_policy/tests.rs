#![allow(clippy::unwrap_used, clippy::panic)]

mod compaction;
mod documents;
mod roles;
mod sharding;

use std::collections::BTreeSet;

use super::*;
use crate::RoleArn;

fn cluster() -> ClusterArn {
    "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap()
}

fn role(name: &str) -> RoleArn {
    format!("arn:aws:iam::111122223333:role/{name}").parse().unwrap()
}

fn roles(range: std::ops::Range<u32>) -> BTreeSet<RoleArn> {
    range.map(|n| role(&format!("domino/service-account-role-{n:05}"))).collect()
}

#[test]
fn document_is_the_blueprints_with_the_cluster_beside_it() {
    let roles = BTreeSet::from([role("PodIdentityRole1"), role("PodIdentityRole2")]);
    let found: serde_json::Value =
        serde_json::from_str(&document(&roles, Some(&cluster()))).unwrap();
    assert_eq!(
        found,
        serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "WorkerNodePermissions",
                    "Effect": "Allow",
                    "Action": ["eks-auth:AssumeRoleForPodIdentity"],
                    "Resource": [
                        "arn:aws:iam::111122223333:role/PodIdentityRole1",
                        "arn:aws:iam::111122223333:role/PodIdentityRole2",
                    ],
                },
                {
                    "Sid": "WorkerNodeCluster",
                    "Effect": "Allow",
                    "Action": ["eks-auth:AssumeRoleForPodIdentity"],
                    "Resource": ["arn:aws:eks:eu-west-1:111122223333:cluster/blue"],
                },
            ],
        })
    );
}

#[test]
fn white_space_does_not_count() {
    assert_eq!(characters("{ \"a\":\n\t[1, 2] }"), "{\"a\":[1,2]}".len());
}

#[test]
fn a_document_reads_back_as_it_was_written() {
    let roles = roles(0..3);
    let cluster = cluster();
    let text = document(&roles, Some(&cluster));
    let pretty =
        serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&text).unwrap());
    let shard = parse(1, &pretty.unwrap(), &cluster);
    assert_eq!(shard, Some(Shard { number: 1, roles, statement: true }));
}

#[test]
fn a_document_that_says_the_same_otherwise_is_understood() {
    let cluster = cluster();
    let two = roles(0..2);
    let [first, second] = [0, 1].map(|at| two.iter().nth(at).unwrap().as_str());
    let action = "eks-auth:AssumeRoleForPodIdentity";
    let one =
        serde_json::json!({ "Effect": "Allow", "Action": action, "Resource": [first, second] });
    let single = serde_json::json!({ "Version": "2012-10-17", "Statement": one });
    let shard = parse(1, &single.to_string(), &cluster).unwrap();
    assert_eq!((shard.roles, shard.statement), (two, false));
}

#[test]
fn a_document_that_says_anything_else_is_not_understood() {
    let cluster = cluster();
    let text = document(&roles(0..3), Some(&cluster));
    for changed in [
        text.replace("[\"eks-auth:Assume", "[\"s3:*\",\"eks-auth:Assume"),
        text.replace("\"Allow\"", "\"Deny\""),
        text.replace("\"Sid\"", "\"Condition\":{},\"Sid\""),
        text.replace("arn:aws:eks:eu-west-1:111122223333:cluster/blue", "*"),
        text.replace("cluster/blue", "cluster/green"),
        text.replace("\"Resource\"", "\"NotResource\""),
        "not json".to_owned(),
        "{}".to_owned(),
        String::new(),
    ] {
        assert_eq!(parse(1, &changed, &cluster), None, "{changed}");
    }
}

#[test]
fn a_listed_role_changes_nothing() {
    let shards = [Shard { number: 1, roles: roles(0..5), statement: true }];
    assert_eq!(extend(&shards, &roles(2..4), Some(&cluster()), 10, 1).shards, shards);
}

#[test]
fn the_fullest_policy_with_room_takes_a_new_role() {
    let shard = |number, range| Shard { number, roles: roles(range), statement: number == 1 };
    let shards = [shard(1, 0..10), shard(2, 100..120), shard(3, 200..205)];
    let extension = extend(&shards, &roles(500..501), Some(&cluster()), 10, 1);
    assert_eq!(extension.shards[1].roles, &shards[1].roles | &roles(500..501));
    assert_eq!([&extension.shards[0], &extension.shards[2]], [&shards[0], &shards[2]]);
}

#[test]
fn roles_beyond_the_last_policy_are_named() {
    let extension = extend(&[], &roles(0..400), Some(&cluster()), 2, 1);
    assert_eq!(extension.shards.len(), 2);
    let placed: usize = extension.shards.iter().map(|change| change.roles.len()).sum();
    assert_eq!(placed + extension.unplaced.len(), 400);
    assert!(!extension.unplaced.is_empty());
}

#[test]
fn capacity_counts_what_is_left() {
    let cluster = cluster();
    let empty = capacity(&[], Some(&cluster), 1);
    assert_eq!((empty.policies, empty.max_policies, empty.roles, empty.used_percent), (0, 1, 0, 0));
    assert!((90..110).contains(&empty.roles_remaining), "{empty:?}");
    let full = extend(&[], &roles(0..1000), Some(&cluster), 1, 1).shards.remove(0);
    let full =
        capacity(&[Shard { number: 1, roles: full.roles, statement: true }], Some(&cluster), 1);
    assert_eq!((full.roles_remaining, full.used_percent), (0, 100));
}

#[test]
fn policy_names_carry_region_and_cluster_and_fit_iam() {
    let arn = policy_arn("acme", &cluster(), 1).unwrap();
    assert_eq!(
        arn.as_str(),
        "arn:aws:iam::111122223333:policy/domino-pod-identity/acme/eu-west-1/acme-eu-west-1-blue-1"
    );
    assert_eq!(policy_number("acme", &cluster(), arn.as_str()), Some(1));
    assert_eq!(policy_number("acme-eu", &cluster(), arn.as_str()), None);
    // The rights of one deployment are on its own path.
    let other = policy_arn("acme-eu", &cluster(), 1).unwrap();
    assert!(arn.as_str().contains(":policy/domino-pod-identity/acme/"));
    assert!(!other.as_str().contains(":policy/domino-pod-identity/acme/"));
    let long = |end: char| {
        let name = format!("{}{end}", "c".repeat(99));
        let cluster = ClusterArn::new("aws", "ap-southeast-1", "111122223333", &name).unwrap();
        policy_arn(&"d".repeat(32), &cluster, 10).unwrap()
    };
    assert_eq!(long('a').name().len(), 128);
    assert_ne!(long('a'), long('b'));
}
