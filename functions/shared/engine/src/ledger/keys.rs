//! Where the ledger's items are. `docs/ledger.md` is the table of this.

use jiff::Timestamp;
use pod_identity_core::{ClusterArn, DominoName, ServiceAccountRef, Version};

use super::records::NoticeKind;
use crate::ports::Key;

fn key(partition: impl Into<String>, sort: impl Into<String>) -> Key {
    Key { partition: partition.into(), sort: sort.into() }
}

/// Partition of a service account's conditions.
#[must_use]
pub fn service_account_partition(name: &DominoName) -> String {
    format!("SA#{name}")
}

/// Partition of all bindings, so that one query reads them: a thousand in one call. A binding is
/// written once for each accepted event, far below what DynamoDB takes for one partition.
#[must_use]
pub fn bindings_partition() -> &'static str {
    "BINDINGS"
}

/// The current binding of a service account, or its tombstone.
#[must_use]
pub fn binding_key(name: &DominoName) -> Key {
    key(bindings_partition(), name.as_str())
}

/// The condition of a binding on a cluster.
#[must_use]
pub fn condition_key(name: &DominoName, cluster: &ClusterArn) -> Key {
    key(service_account_partition(name), format!("{}{cluster}", condition_prefix()))
}

/// What the sort keys of conditions begin with.
#[must_use]
pub fn condition_prefix() -> &'static str {
    "CONDITION#"
}

/// Partition of the history of a service account or, by ARN, of a cluster.
#[must_use]
pub fn history_partition(of: &str) -> String {
    format!("HISTORY#{of}")
}

/// One change in a history; the sort key is in order of the versions.
#[must_use]
pub fn history_key(of: &str, version: &Version) -> Key {
    key(history_partition(of), version.to_string())
}

/// Who wants a Kubernetes service account.
#[must_use]
pub fn claims_key(kubernetes: &ServiceAccountRef) -> Key {
    key(format!("KSA#{kubernetes}"), "CLAIMS")
}

/// The registered clusters.
#[must_use]
pub fn registry_key() -> Key {
    key("CLUSTERS", "REGISTRY")
}

/// What Domino's lists said about the bindings when reconcile last asked.
#[must_use]
pub fn domino_key() -> Key {
    key("DOMINO", "COMPARISON")
}

/// The lease of a cluster.
#[must_use]
pub fn lease_key(cluster: &ClusterArn) -> Key {
    key(cluster_partition(cluster), "LEASE")
}

/// What is remembered of a cluster's node policies.
#[must_use]
pub fn node_policy_key(cluster: &ClusterArn) -> Key {
    key(cluster_partition(cluster), "NODE-POLICY")
}

/// What the last reconciliation of a cluster found.
#[must_use]
pub fn reconciled_key(cluster: &ClusterArn) -> Key {
    key(cluster_partition(cluster), "RECONCILED")
}

/// What is remembered of a Kubernetes service account on a cluster.
#[must_use]
pub fn account_key(cluster: &ClusterArn, kubernetes: &ServiceAccountRef) -> Key {
    key(cluster_partition(cluster), format!("{}{kubernetes}", account_prefix()))
}

/// What the sort keys of Kubernetes service accounts begin with.
#[must_use]
pub fn account_prefix() -> &'static str {
    "ACCOUNT#"
}

/// Partition of what is remembered of a cluster.
#[must_use]
pub fn cluster_partition(cluster: &ClusterArn) -> String {
    format!("CLUSTER#{cluster}")
}

/// Partition of what the workloads function remembers of a cluster. Apart from the cluster's own, which
/// says which associations are ours, so that no role has to be able to write both.
fn workloads_partition(cluster: &ClusterArn) -> String {
    format!("WORKLOADS#{cluster}")
}

/// The lease of what is inside a cluster: one workloads run at a time.
#[must_use]
pub fn inside_lease_key(cluster: &ClusterArn) -> Key {
    key(workloads_partition(cluster), "INSIDE-LEASE")
}

/// What the last workloads run found out about a cluster.
#[must_use]
pub fn inside_key(cluster: &ClusterArn) -> Key {
    key(workloads_partition(cluster), "INSIDE")
}

/// Stale pods of the last sweeps of a cluster.
#[must_use]
pub fn sweeps_key(cluster: &ClusterArn) -> Key {
    key(workloads_partition(cluster), "SWEEPS")
}

/// Evictions that the last workloads run was about to make on a cluster.
#[must_use]
pub fn intended_key(cluster: &ClusterArn) -> Key {
    key(workloads_partition(cluster), "INTENDED")
}

/// Partition of what has become of bindings inside a cluster.
#[must_use]
pub fn inside_partition(cluster: &ClusterArn) -> String {
    format!("INSIDE#{cluster}")
}

/// What has become of a binding inside a cluster.
#[must_use]
pub fn inside_binding_key(name: &DominoName, cluster: &ClusterArn) -> Key {
    key(inside_partition(cluster), name.as_str())
}

/// Partition of the published stale pods of a cluster.
#[must_use]
pub fn reported_partition(cluster: &ClusterArn) -> String {
    format!("TOLD#{cluster}")
}

/// What was published of a pod.
#[must_use]
pub fn reported_key(cluster: &ClusterArn, uid: &str) -> Key {
    key(reported_partition(cluster), uid)
}

/// What keeps a restored ledger from giving back on a cluster what was revoked since.
#[must_use]
pub fn guard_key(cluster: &ClusterArn) -> Key {
    key(format!("GUARD#{cluster}"), "GUARD")
}

/// Partition of one day's rejections or superseded events.
#[must_use]
pub fn notice_partition(kind: NoticeKind, at: Timestamp) -> String {
    let kind = match kind {
        NoticeKind::Rejected => "REJECTED",
        NoticeKind::Superseded => "SUPERSEDED",
    };
    format!("{kind}#{}", at.strftime("%Y-%m-%d"))
}

/// One rejection or superseded event; the same event has the same key within a day.
#[must_use]
pub fn notice_key(kind: NoticeKind, at: Timestamp, id: &str) -> Key {
    key(notice_partition(kind, at), id)
}

/// How many rejections, or superseded events of one kind about one subject, a day has had.
#[must_use]
pub fn notice_count_key(kind: NoticeKind, at: Timestamp, of: &str) -> Key {
    key(format!("{}#COUNTS", notice_partition(kind, at)), of)
}

/// How many service accounts the ledger has ever known.
#[must_use]
pub fn names_key() -> Key {
    key("CLUSTERS", "NAMES")
}
