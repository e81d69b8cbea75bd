//! How a node policy is written and read.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{ClusterArn, RoleArn};

const ACTION: &str = "eks-auth:AssumeRoleForPodIdentity";
/// Sid of the blueprint's statement.
const ROLES_SID: &str = "WorkerNodePermissions";
const CLUSTER_SID: &str = "WorkerNodeCluster";

/// One policy as it is in IAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 1.
    pub number: u32,
    /// The roles it lists.
    pub roles: BTreeSet<RoleArn>,
    /// Whether the document is exactly what [`document`] writes for these roles.
    pub canonical: bool,
}

/// Writes a policy: the exhaustive list of roles and, when a cluster is
/// given, the second statement with its ARN.
#[must_use]
pub fn document(roles: &BTreeSet<RoleArn>, cluster: Option<&ClusterArn>) -> String {
    let statement = |sid: &str, resources: Vec<&str>| json!({ "Sid": sid, "Effect": "Allow", "Action": [ACTION], "Resource": resources });
    let mut statements = Vec::new();
    // IAM refuses an empty list of resources.
    if !roles.is_empty() {
        statements.push(statement(ROLES_SID, roles.iter().map(RoleArn::as_str).collect()));
    }
    if let Some(cluster) = cluster {
        statements.push(statement(CLUSTER_SID, vec![cluster.as_str()]));
    }
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

/// Reads a policy back. Whatever is not a role in it makes it not canonical,
/// and so does anything that was changed by hand.
#[must_use]
pub fn parse(number: u32, text: &str, cluster: Option<&ClusterArn>) -> Shard {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let statements = value.get("Statement").and_then(Value::as_array);
    let roles: BTreeSet<RoleArn> = statements
        .into_iter()
        .flatten()
        .filter(|statement| statement["Sid"] == ROLES_SID && statement["Effect"] == "Allow")
        .flat_map(|statement| match &statement["Resource"] {
            Value::Array(list) => list.as_slice(),
            single => std::slice::from_ref(single),
        })
        .filter_map(|resource| resource.as_str()?.parse().ok())
        .collect();
    let written = document(&roles, cluster);
    let canonical = serde_json::from_str::<Value>(&written).is_ok_and(|written| written == value);
    Shard { number, roles, canonical }
}

/// Characters as IAM counts them: white space is free.
#[must_use]
pub fn characters(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}
