//! The sample events of `events/samples`, embedded.

#[cfg(test)]
mod tests;

/// A sample event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Name of its file, without the extension.
    pub name: &'static str,
    /// The whole EventBridge envelope as JSON.
    pub json: &'static str,
    /// For a rejected one: the broken rules that it is refused with, one a line.
    pub message: Option<&'static str>,
}

macro_rules! samples {
    ($($folder:ident $list:ident $message:ident [$($name:literal,)*])*) => {
        $(const $list: &[Sample] = &[$(Sample {
            name: $name,
            json: include_str!(concat!("../samples/", stringify!($folder), "/", $name, ".json")),
            message: samples!(@$message $folder $name),
        }),*];)*
    };
    (@without $folder:ident $name:literal) => { None };
    (@with $folder:ident $name:literal) => {
        Some(include_str!(concat!("../samples/", stringify!($folder), "/", $name, ".txt")))
    };
}

/// Events that are accepted. In this order they tell one story.
#[must_use]
pub fn accepted() -> &'static [Sample] {
    ACCEPTED
}

/// Events that are refused, each for the rules in its message.
#[must_use]
pub fn rejected() -> &'static [Sample] {
    REJECTED
}

/// One event of each type that this software sends.
#[must_use]
pub fn outgoing() -> &'static [Sample] {
    OUTGOING
}

/// Calls of EKS as CloudTrail records them and EventBridge delivers them: `create`, `update`,
/// `delete`, `tag` and `untag` by hand, one that was denied, and one of this software's own.
#[must_use]
pub fn trail() -> &'static [Sample] {
    TRAIL
}

samples! {
accepted ACCEPTED without [
    "01-cluster-registered-blue",
    "02-cluster-registered-green",
    "03-cluster-registered-amber",
    "04-assigned-minimal",
    "05-assigned-named-clusters",
    "06-assigned-kubernetes-account-and-role-path",
    "07-assigned-target-role",
    "08-assigned-session-policy",
    "09-assigned-role-that-trusts-nobody",
    "10-assigned-where-a-foreign-association-is",
    "11-assigned-for-a-cluster-to-come",
    "12-assigned-for-a-short-time",
    "13-unassigned",
    "14-assigned-change-of-role",
    "15-deactivated",
    "16-assigned-again",
    "17-unassigned-late",
    "18-assigned-twice",
    "19-cluster-retired-amber",
    "20-cluster-retired-amber-giving-up",
]
rejected REJECTED with [
    "cluster-not-listed",
    "cluster-of-another-account",
    "default-name-not-rfc-1123",
    "detail-too-large",
    "domino-name-not-taken",
    "empty-event-id",
    "given-up-all-and-more",
    "kubernetes-account-default",
    "kubernetes-account-of-one-run",
    "kubernetes-name-not-rfc-1123",
    "kubernetes-not-an-object",
    "malformed-role-arn",
    "missing-field",
    "namespace-outside-the-set",
    "no-clusters",
    "node-role-not-listed",
    "registered-cluster-not-listed",
    "retired-cluster-not-listed",
    "role-of-another-account",
    "role-outside-the-allow-list",
    "role-to-assume-not-listed",
    "session-policy-not-an-object",
    "session-policy-not-json",
    "session-policy-too-long",
    "session-policy-with-session-tags",
    "several-rules",
    "target-role-outside-its-list",
    "time-in-the-future",
    "time-not-rfc-3339",
    "unknown-detail-type",
    "unknown-field",
    "unknown-version",
    "wrong-source",
    "wrong-type",
]
trail TRAIL without [
    "create",
    "delete",
    "denied",
    "own",
    "tag",
    "untag",
    "update",
]
outgoing OUTGOING without [
    "drift-corrected",
    "node-role-policy-changed",
    "pod-identity-association-blocked",
    "pod-identity-association-ready",
    "pod-identity-association-removed",
    "reconciliation-requested",
    "service-account-event-rejected",
    "service-account-event-superseded",
    "stale-pod-evicted",
    "stale-pod-reported",
    "sweep-requested",
]
}
