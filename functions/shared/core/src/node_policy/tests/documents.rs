//! Documents that are read back.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::roles::{clusters, lengths, role_of};
use crate::node_policy::{Shard, document, parse};
use crate::{ClusterArn, RoleArn};

fn lists() -> impl Strategy<Value = BTreeSet<RoleArn>> {
    lengths().prop_flat_map(|lengths| prop::collection::vec(lengths, 1..150)).prop_map(|lengths| {
        lengths.iter().enumerate().map(|(n, length)| role_of(n, *length)).collect()
    })
}

fn of(cluster: Option<&ClusterArn>) -> ClusterArn {
    let other = || "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap();
    cluster.cloned().unwrap_or_else(other)
}

/// Changes by hand that give a statement another meaning.
const CHANGES: [fn(&mut Value); 12] = [
    |one| one["Action"] = json!(["eks-auth:*"]),
    |one| one["Action"] = json!(["eks-auth:AssumeRoleForPodIdentity", "sts:AssumeRole"]),
    |one| one["Action"] = json!("*"),
    |one| one["Effect"] = json!("Deny"),
    |one| one["Condition"] = json!({ "StringEquals": { "aws:PrincipalOrgID": "o-1" } }),
    |one| one["Principal"] = json!("*"),
    |one| renamed(one, "Resource", "NotResource"),
    |one| renamed(one, "Action", "NotAction"),
    |one| one["Resource"] = json!("*"),
    |one| add(one, "arn:aws:iam::111122223333:role/*"),
    |one| add(one, "arn:aws:iam::111122223333:role/team-?/etl"),
    |one| add(one, "arn:aws:eks:eu-west-1:111122223333:cluster/another"),
];

fn renamed(statement: &mut Value, from: &str, to: &str) {
    let fields = statement.as_object_mut().unwrap();
    let value = fields.remove(from).unwrap();
    fields.insert(to.to_owned(), value);
}

fn add(statement: &mut Value, resource: &str) {
    statement["Resource"].as_array_mut().unwrap().push(json!(resource));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_document_reads_back_as_the_roles_that_were_written(
        roles in lists(),
        cluster in clusters(),
        number in 1_u32..9,
    ) {
        let text = document(&roles, cluster.as_ref());
        let (found, statement) = (parse(number, &text, &of(cluster.as_ref())), cluster.is_some());
        prop_assert_eq!(found, Some(Shard { number, roles, statement }));
    }

    #[test]
    fn a_document_that_says_more_by_one_word_is_not_ours(
        roles in lists(),
        cluster in clusters(),
        at in any::<Index>(),
    ) {
        let text = document(&roles, cluster.as_ref());
        for (number, change) in CHANGES.iter().enumerate() {
            let mut value: Value = serde_json::from_str(&text).unwrap();
            let statements = value["Statement"].as_array_mut().unwrap();
            let at = at.index(statements.len());
            change(&mut statements[at]);
            let found = parse(1, &value.to_string(), &of(cluster.as_ref()));
            prop_assert_eq!(found, None, "change {} of statement {}", number, at);
        }
    }

    #[test]
    fn a_document_with_one_statement_more_is_not_ours(
        roles in lists(),
        cluster in clusters(),
        first in any::<bool>(),
    ) {
        let mut value: Value = serde_json::from_str(&document(&roles, cluster.as_ref())).unwrap();
        let statements = value["Statement"].as_array_mut().unwrap();
        let more = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" });
        statements.insert(if first { 0 } else { statements.len() }, more);
        let found = parse(1, &value.to_string(), &of(cluster.as_ref()));
        prop_assert_eq!(found, None);
    }
}
