//! A small world for the tests here: one account, one cluster, some roles.

#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use pod_identity_core::{ClusterArn, RoleArn};

use crate::{Caller, CreateAssociation, World};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;

pub(crate) fn blue() -> ClusterArn {
    format!("arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/blue").parse().unwrap()
}

pub(crate) fn role(name: &str) -> RoleArn {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}").parse().unwrap()
}

pub(crate) fn caller() -> Caller {
    Caller { name: "test".to_owned(), account: ACCOUNT.to_owned(), region: "eu-west-1".to_owned() }
}

pub(crate) fn world() -> World {
    let mut world = World::new(7, ACCOUNT, Timestamp::from_second(1_800_000_000).unwrap());
    world.add_cluster(&blue(), &[("default", &role("blue-eks-nodes"))]);
    for name in ["blue-eks-nodes", "etl", "other"] {
        world.add_role(&role(name), TRUST);
    }
    world
}

pub(crate) fn create(service_account: &str) -> CreateAssociation {
    CreateAssociation {
        cluster: "blue".to_owned(),
        namespace: "domino-compute".to_owned(),
        service_account: service_account.to_owned(),
        role_arn: role("etl").to_string(),
        ..CreateAssociation::default()
    }
}
