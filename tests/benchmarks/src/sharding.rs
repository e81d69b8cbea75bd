//! 1,000 roles spread over node policies.

use std::collections::BTreeSet;

use local::table;
use pod_identity_core::node_policy::extend;
use pod_identity_core::{ClusterArn, RoleArn};

use crate::Failure;
use crate::figures::{cell, time, verdict};

const ROLES: usize = 1_000;

const GOAL_MS: f64 = 2.0;

/// More than any case needs, so that every role finds its place.
const MAX_SHARDS: u32 = 50;

pub(crate) fn run(rounds: usize) -> Result<String, Failure> {
    let cluster: ClusterArn = "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse()?;
    let short = |number| format!("domino/project-role-{number:04}");
    // A path of 64 characters and the longest name that IAM takes.
    let long = |number| format!("{:x<63}/{number:n<64}", "domino");
    let cases = [
        ("all of them new", roles(0..ROLES, &short)?, 0),
        ("all of them new, long ARNs", roles(0..ROLES, &long)?, 0),
        ("100 new beside 900", roles(0..ROLES, &short)?, ROLES - 100),
        ("one new beside 999", roles(0..ROLES, &short)?, ROLES - 1),
        ("none new", roles(0..ROLES, &short)?, ROLES),
    ];
    let mut rows = Vec::new();
    for (name, wanted, listed) in cases {
        let listed = wanted.iter().take(listed).cloned().collect();
        let shards = extend(&[], &listed, Some(&cluster), MAX_SHARDS, 1).shards;
        let figures = time(rounds, || extend(&shards, &wanted, Some(&cluster), MAX_SHARDS, 1));
        let extension = extend(&shards, &wanted, Some(&cluster), MAX_SHARDS, 1);
        let written = extension.shards.iter().filter(|shard| !shards.contains(shard)).count();
        rows.push([
            name.to_owned(),
            extension.shards.len().to_string(),
            written.to_string(),
            cell(figures.least()),
            cell(figures.median()),
            cell(figures.p95()),
            cell(GOAL_MS),
            verdict(figures.median(), GOAL_MS),
        ]);
    }
    let headings =
        ["case", "policies", "written", "least ms", "median ms", "p95 ms", "goal ms", ""];
    Ok(format!("{ROLES} roles in node policies, {rounds} rounds\n{}", table(headings, &rows)))
}

fn roles(
    numbers: std::ops::Range<usize>,
    name: &dyn Fn(usize) -> String,
) -> Result<BTreeSet<RoleArn>, Failure> {
    numbers
        .map(|number| Ok(format!("arn:aws:iam::111122223333:role/{}", name(number)).parse()?))
        .collect()
}
