//! What came of events, for people to read.

mod events;
mod tables;

pub(crate) use events::{heading, outcome};
pub(crate) use tables::{aws, calls, ledger};

/// The part of an ARN that people call the thing by: `domino/etl` of a role's, `blue` of a cluster's.
pub(crate) fn short(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    resource.split_once('/').map_or(resource, |(_, name)| name)
}
