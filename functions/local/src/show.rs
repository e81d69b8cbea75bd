//! What came of events, for people to read.

mod events;
mod tables;

use pod_identity_events::{Envelope, RemovalReason};
use serde::de::DeserializeOwned;

pub(crate) use events::{heading, outcome};
pub(crate) use tables::{aws, calls, ledger, pods};

/// The part of an ARN that people call the thing by: `domino/etl` of a role's, `blue` of a cluster's.
pub(crate) fn short(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    resource.split_once('/').map_or(resource, |(_, name)| name)
}

/// A role, and the one that is assumed from there.
fn roles(role: &str, target: Option<&str>) -> String {
    let role = short(role);
    target.map_or_else(|| role.to_owned(), |target| format!("{role} -> {}", short(target)))
}

/// Why an association was deleted, in a word.
pub(crate) fn removal_words(reason: RemovalReason) -> &'static str {
    match reason {
        RemovalReason::Unassigned => "unassigned",
        RemovalReason::Deactivated => "deactivated",
        RemovalReason::Moved => "moved",
        RemovalReason::ClusterRetired => "its cluster is retired",
    }
}

/// What an event carries, if it is of this type.
pub(crate) fn read<T: DeserializeOwned>(envelope: &Envelope) -> Option<T> {
    T::deserialize(&envelope.detail).ok()
}
