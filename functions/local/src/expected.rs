//! What the accepted sample events come to in the [scene](crate::scene), as
//! the samples' README tells the story.

#[cfg(test)]
mod tests;

use std::fmt;

use pod_identity_events::{
    AssociationChange, BlockedCode, Envelope, PodIdentityAssociationBlocked,
    PodIdentityAssociationReady, PodIdentityAssociationRemoved, ReconciliationRequested,
    RemovalReason, detail_type,
};

use crate::show::{read, removal_words, short};

/// What an accepted event comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The cluster is registered.
    Registered,
    /// The cluster's association is as the event says.
    Ready(AssociationChange),
    /// The cluster has no association for it any more.
    Removed(RemovalReason),
    /// Something stands in the way on the cluster.
    Blocked(BlockedCode),
    /// The cluster is not registered yet.
    Waiting,
    /// A newer event was there before, whatever the cluster.
    Superseded,
    /// The retirement of the cluster is asked for.
    RetirementRequested,
    /// Anything else; no sample comes to it.
    Other,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered => f.write_str("registered"),
            Self::Ready(AssociationChange::Created) => f.write_str("ready (created)"),
            Self::Ready(AssociationChange::Updated) => f.write_str("ready (updated)"),
            Self::Ready(AssociationChange::Unchanged) => f.write_str("ready (unchanged)"),
            Self::Removed(reason) => write!(f, "removed ({})", removal_words(*reason)),
            Self::Blocked(code) => write!(f, "blocked ({code:?})"),
            Self::Waiting => f.write_str("waiting"),
            Self::Superseded => f.write_str("superseded"),
            Self::RetirementRequested => f.write_str("asked to retire"),
            Self::Other => f.write_str("something else"),
        }
    }
}

/// One outcome of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Name of the cluster; none for what belongs to no cluster.
    pub cluster: Option<&'static str>,
    /// What it comes to there.
    pub outcome: Outcome,
}

const fn on(name: &'static str, outcome: Outcome) -> Expected {
    Expected { cluster: Some(name), outcome }
}

const fn everywhere(outcome: Outcome) -> [Expected; 3] {
    [on("amber", outcome), on("blue", outcome), on("green", outcome)]
}

const CREATED: Outcome = Outcome::Ready(AssociationChange::Created);
const UPDATED: Outcome = Outcome::Ready(AssociationChange::Updated);

/// Every accepted sample, in order, by its name, and all that it comes to;
/// nothing where nothing changes. Changes of node role policies are not told
/// here: they belong to a batch, not to an event.
pub const STORY: [(&str, &[Expected]); 20] = [
    ("01-cluster-registered-blue", &[on("blue", Outcome::Registered)]),
    ("02-cluster-registered-green", &[on("green", Outcome::Registered)]),
    ("03-cluster-registered-amber", &[on("amber", Outcome::Registered)]),
    ("04-assigned-minimal", &everywhere(CREATED)),
    ("05-assigned-named-clusters", &[on("blue", CREATED), on("green", CREATED)]),
    ("06-assigned-kubernetes-account-and-role-path", &everywhere(CREATED)),
    ("07-assigned-target-role", &everywhere(CREATED)),
    ("08-assigned-session-policy", &everywhere(CREATED)),
    (
        "09-assigned-role-that-trusts-nobody",
        &everywhere(Outcome::Blocked(BlockedCode::UntrustedRole)),
    ),
    (
        "10-assigned-where-a-foreign-association-is",
        &[on("blue", Outcome::Blocked(BlockedCode::ForeignAssociation))],
    ),
    ("11-assigned-for-a-cluster-to-come", &[on("teal", Outcome::Waiting)]),
    ("12-assigned-for-a-short-time", &everywhere(CREATED)),
    ("13-unassigned", &everywhere(Outcome::Removed(RemovalReason::Unassigned))),
    ("14-assigned-change-of-role", &[on("blue", UPDATED), on("green", UPDATED)]),
    ("15-deactivated", &everywhere(Outcome::Removed(RemovalReason::Deactivated))),
    ("16-assigned-again", &everywhere(CREATED)),
    ("17-unassigned-late", &[Expected { cluster: None, outcome: Outcome::Superseded }]),
    ("18-assigned-twice", &[]),
    ("19-cluster-retired-amber", &[on("amber", Outcome::RetirementRequested)]),
    ("20-cluster-retired-amber-giving-up", &[on("amber", Outcome::RetirementRequested)]),
];

/// In what a sample differs from its story, one difference a line such as
/// `04-assigned-minimal: blue should be ready (created), but is blocked
/// (UntrustedRole): ...`; empty when all went as told. `events` are the outcome
/// events that the sample led to; of a sample that the story does not tell of,
/// none are expected.
#[must_use]
pub fn differences<'a>(
    sample: &str,
    events: impl IntoIterator<Item = &'a Envelope>,
) -> Vec<String> {
    let entry = STORY.iter().find(|(name, _)| *name == sample);
    let expected = entry.map_or(&[][..], |(_, expected)| expected);
    let mut found: Vec<Found> = events.into_iter().filter_map(Found::read).collect();
    let mut take = |matches: &dyn Fn(&Found) -> bool| {
        found.iter().position(matches).map(|index| found.remove(index))
    };
    // What is as expected goes first, or it would be taken for another's difference.
    let missing: Vec<&Expected> =
        expected.iter().filter(|expected| take(&|found| found.is(expected)).is_none()).collect();
    let mut differences = Vec::new();
    for Expected { cluster, outcome } in missing {
        let what = cluster.unwrap_or("it");
        let but = match take(&|found| found.cluster.as_deref() == *cluster) {
            Some(found) => format!("is {found}"),
            None => "nothing came of it".to_owned(),
        };
        differences.push(format!("{sample}: {what} should be {outcome}, but {but}"));
    }
    let nothing = if expected.is_empty() { "nothing" } else { "nothing more" };
    differences.extend(found.iter().map(|found| {
        let what = found.cluster.as_deref().unwrap_or("it");
        format!("{sample}: {nothing} should change, but {what} is {found}")
    }));
    differences
}

/// What an outcome event says.
struct Found {
    cluster: Option<String>,
    outcome: Outcome,
    /// More about it, for people.
    why: Option<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.outcome)?;
        self.why.iter().try_for_each(|why| write!(f, ": {why}"))
    }
}

impl Found {
    /// None for a change of a node role policy.
    fn read(envelope: &Envelope) -> Option<Self> {
        let cluster = envelope.detail.get("clusterArn").and_then(|arn| arn.as_str()).map(short);
        let said = match envelope.detail_type.as_str() {
            detail_type::NODE_ROLE_POLICY_CHANGED => return None,
            detail_type::ASSOCIATION_READY => read(envelope)
                .map(|event: PodIdentityAssociationReady| (Outcome::Ready(event.change), None)),
            detail_type::ASSOCIATION_REMOVED => read(envelope)
                .map(|event: PodIdentityAssociationRemoved| (Outcome::Removed(event.reason), None)),
            detail_type::ASSOCIATION_BLOCKED => {
                read(envelope).map(|event: PodIdentityAssociationBlocked| {
                    match event.problem.code() {
                        BlockedCode::ClusterNotRegistered => {
                            (Outcome::Waiting, Some(event.message))
                        }
                        code => (Outcome::Blocked(code), Some(event.message)),
                    }
                })
            }
            detail_type::EVENT_SUPERSEDED => Some((Outcome::Superseded, None)),
            detail_type::RECONCILIATION_REQUESTED => read(envelope)
                .map(|event: ReconciliationRequested| requested(cluster, event.reason)),
            _ => None,
        };
        let other = || (Outcome::Other, Some(envelope.detail_type.clone()));
        let (outcome, why) = said.unwrap_or_else(other);
        Some(Self { cluster: cluster.map(str::to_owned), outcome, why })
    }

    fn is(&self, expected: &Expected) -> bool {
        self.cluster.as_deref() == expected.cluster && self.outcome == expected.outcome
    }
}

/// Both are requests to reconcile, which only their reasons tell apart.
fn requested(cluster: Option<&str>, reason: String) -> (Outcome, Option<String>) {
    let name = cluster.unwrap_or_default();
    if reason == format!("cluster {name} was registered") {
        (Outcome::Registered, None)
    } else if reason == format!("the retirement of cluster {name} was asked for") {
        (Outcome::RetirementRequested, None)
    } else {
        (Outcome::Other, Some(reason))
    }
}
