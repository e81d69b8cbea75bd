//! Roles of chosen length, and policies that hold them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::node_policy::document::cost;
use crate::node_policy::packing::Capacities;
use crate::node_policy::{
    Compaction, Extension, MAX_POLICY_CHARACTERS, Shard, characters, document, extend,
};
use crate::{ClusterArn, RoleArn};

/// Length of `arn:aws:iam::111122223333:role/a`.
pub(super) const SHORTEST: usize = 32;
/// In `aws-us-gov`, with a path of 512 characters and a name of 64.
pub(super) const LONGEST: usize = 613;

/// The role of that number, unlike all others, with an ARN of that length.
pub(super) fn role_of(number: usize, length: usize) -> RoleArn {
    // Accounts tell the shortest apart.
    let partition = if length > 606 { "aws-us-gov" } else { "aws" };
    let start = format!("arn:{partition}:iam::{number:012}:role/");
    let rest = length - start.len();
    let name = if rest == 65 { 63 } else { rest.min(64) };
    let path = match rest - name {
        0 => String::new(),
        path => format!("{}/", "p".repeat(path - 1)),
    };
    let arn = format!("{start}{path}{}", "n".repeat(name));
    assert_eq!(arn.len(), length);
    arn.parse().unwrap()
}

/// Lengths of the roles of one case: all short, as usual, all as long as can be, or mixed.
pub(super) fn lengths() -> impl Strategy<Value = std::ops::RangeInclusive<usize>> {
    prop_oneof![
        Just(SHORTEST..=SHORTEST),
        Just(50..=119),
        Just(LONGEST..=LONGEST),
        Just(500..=LONGEST),
        Just(SHORTEST..=LONGEST),
    ]
}

/// No cluster statement, a short one, the longest.
pub(super) fn clusters() -> impl Strategy<Value = Option<ClusterArn>> {
    let cluster = |partition: &str, region: &str, name: &str| {
        Some(ClusterArn::new(partition, region, "111122223333", name).unwrap())
    };
    let longest = "c".repeat(100);
    prop_oneof![
        Just(None),
        Just(cluster("aws", "eu-west-1", "b")),
        Just(cluster("aws-cn", "cn-northwest-1", "blue")),
        Just(cluster("aws-us-gov", "us-gov-west-1", &longest)),
        Just(cluster("aws", "ap-southeast-1", &longest)),
    ]
}

/// The policies after an extension, which takes none of them away.
pub(super) fn extended(shards: &[Shard], extension: &Extension) -> Vec<Shard> {
    let after = |shard: &Shard| extension.shards.iter().any(|one| one.number == shard.number);
    assert!(shards.iter().all(after));
    extension.shards.clone()
}

/// The policies after a compaction, which takes away what it says.
pub(super) fn compacted(shards: &[Shard], compaction: &Compaction) -> Vec<Shard> {
    let numbers = compaction.shards.iter().map(|shard| shard.number);
    let numbers: BTreeSet<u32> = numbers.chain(compaction.deleted.iter().copied()).collect();
    assert_eq!(numbers, shards.iter().map(|shard| shard.number).collect());
    compaction.shards.clone()
}

/// The policies that are to be written.
pub(super) fn changed(before: &[Shard], after: &[Shard]) -> Vec<Shard> {
    after.iter().filter(|shard| !before.contains(shard)).cloned().collect()
}

/// The policies after some changes.
pub(super) fn written(shards: &[Shard], changes: &[Shard]) -> Vec<Shard> {
    let all = shards.iter().chain(changes);
    let after: BTreeMap<u32, Shard> = all.map(|shard| (shard.number, shard.clone())).collect();
    after.into_values().collect()
}

pub(super) fn listed(shards: &[Shard]) -> BTreeSet<RoleArn> {
    shards.iter().flat_map(|shard| &shard.roles).cloned().collect()
}

/// What holds whatever was done: all documents fit IAM, every role is in
/// exactly one, and one has the cluster's statement.
pub(super) fn assert_sound(shards: &[Shard], cluster: Option<&ClusterArn>) {
    let mut seen = BTreeSet::new();
    for shard in shards {
        assert_fits(shard, cluster);
        for role in &shard.roles {
            assert!(seen.insert(role), "{role} is listed twice");
        }
    }
    let statements = shards.iter().filter(|shard| shard.statement).count();
    assert_eq!(statements, usize::from(cluster.is_some() && !shards.is_empty()));
}

/// A document that IAM takes: not too long, and it says something.
pub(super) fn assert_fits(shard: &Shard, cluster: Option<&ClusterArn>) {
    let statement = cluster.filter(|_| shard.statement);
    let count = characters(&document(&shard.roles, statement));
    assert!(count <= MAX_POLICY_CHARACTERS, "{count} characters");
    assert!(!shard.roles.is_empty() || statement.is_some(), "an empty document");
    if !shard.roles.is_empty() {
        let free = Capacities::new(cluster).free(statement.is_some(), &shard.roles);
        assert_eq!(free, Some(MAX_POLICY_CHARACTERS - count));
    }
}

/// The fewest policies that have so many characters for these roles: no
/// packing at all has fewer.
pub(super) fn fewest(roles: &BTreeSet<RoleArn>, cluster: Option<&ClusterArn>) -> usize {
    let capacities = Capacities::new(cluster);
    let total: usize = roles.iter().map(cost).sum();
    match total {
        0 => usize::from(cluster.is_some()),
        _ => 1 + total.saturating_sub(capacities.of(true)).div_ceil(capacities.of(false)),
    }
}

/// How many more than the fewest there may be.
///
/// With n policies, the role that the n-th was opened or could not be given up
/// for, of cost c, fits in none of the others: each has less than c free. So if
/// n is the fewest and e more, e - 1 policies' characters are less than n - 2
/// times c. A policy takes 9 of the longest roles, so up to 11 policies e is
/// at most 1.
pub(super) fn assert_few(
    count: usize,
    fewest: usize,
    longest: usize,
    cluster: Option<&ClusterArn>,
) {
    let more = count.saturating_sub(fewest);
    let room = Capacities::new(cluster).of(false);
    assert!(
        more <= 1 || (more - 1) * room < (count - 2) * (longest + 3),
        "{count} policies, but {fewest} have room"
    );
    assert!(more <= 1 || count > 11, "{count} policies, but {fewest} have room");
}

/// Policies that hold so many roles, in the order of their numbers.
pub(super) fn filled(roles: &BTreeSet<RoleArn>, cluster: Option<&ClusterArn>) -> Vec<Shard> {
    extended(&[], &extend(&[], roles, cluster, u32::MAX, 1))
}
