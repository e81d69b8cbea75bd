//! How a node policy is written and read.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{ClusterArn, RoleArn};

const ACTION: &str = "eks-auth:AssumeRoleForPodIdentity";
/// Sid of the blueprint's statement.
const ROLES_SID: &str = "WorkerNodePermissions";
const CLUSTER_SID: &str = "WorkerNodeCluster";

/// One policy: what it lists, or is to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 1.
    pub number: u32,
    /// The roles it lists.
    pub roles: BTreeSet<RoleArn>,
    /// Whether it has the cluster's statement as well.
    pub statement: bool,
}

/// Writes a policy: the exhaustive list of roles and, when a cluster is
/// given, the second statement with its ARN.
#[must_use]
pub fn document(roles: &BTreeSet<RoleArn>, cluster: Option<&ClusterArn>) -> String {
    write(roles.iter().map(RoleArn::as_str).collect(), cluster)
}

fn write(roles: Vec<&str>, cluster: Option<&ClusterArn>) -> String {
    let statement = |sid: &str, resources: Vec<&str>| json!({ "Sid": sid, "Effect": "Allow", "Action": [ACTION], "Resource": resources });
    let mut statements = Vec::new();
    // IAM refuses an empty list of resources.
    if !roles.is_empty() {
        statements.push(statement(ROLES_SID, roles));
    }
    if let Some(cluster) = cluster {
        statements.push(statement(CLUSTER_SID, vec![cluster.as_str()]));
    }
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

/// Characters that a document has beside the [`cost`] of each of its roles.
pub(super) fn frame(cluster: Option<&ClusterArn>) -> usize {
    characters(&write(vec![""], cluster)) - COST
}

/// Characters that a role takes in a document. Role ARNs are ASCII without
/// anything that JSON escapes.
pub(super) fn cost(role: &RoleArn) -> usize {
    role.as_str().len() + COST
}

/// Two quotes and a comma. The first role has no comma, which the frame makes up for.
const COST: usize = 3;

/// Reads a policy of a cluster back. None when it is not JSON, or says anything
/// that [`document`] would never write for that cluster: writing it again would then
/// lose something.
#[must_use]
pub fn parse(number: u32, text: &str, cluster: &ClusterArn) -> Option<Shard> {
    let value: Value = serde_json::from_str(text).ok()?;
    let (mut roles, mut has_statement) = (BTreeSet::new(), false);
    for statement in list(value.get("Statement")?) {
        let fields = statement.as_object()?;
        let known = ["Sid", "Effect", "Action", "Resource"];
        let is_ours = fields.keys().all(|field| known.contains(&field.as_str()))
            && statement["Effect"] == "Allow"
            && list(fields.get("Action")?).iter().all(|action| action == ACTION);
        if !is_ours {
            return None;
        }
        for resource in list(fields.get("Resource")?) {
            let resource = resource.as_str()?;
            match resource.parse() {
                Ok(role) => _ = roles.insert(role),
                Err(_) if resource == cluster.as_str() => has_statement = true,
                Err(_) => return None,
            }
        }
    }
    Some(Shard { number, roles, statement: has_statement })
}

/// IAM takes one value where it takes a list.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        single => std::slice::from_ref(single),
    }
}

/// Characters as IAM counts them: white space is free.
#[must_use]
pub fn characters(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}
