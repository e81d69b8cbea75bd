//! The EventBridge envelope around every event.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the contract that this build speaks, the `schemaVersion` of every detail.
pub const SCHEMA_VERSION: u32 = 1;

/// Largest accepted `detail` in bytes of compact JSON.
///
/// Ours, far below EventBridge's limit for an entry, so that a rejection can
/// always carry the original beside its reasons.
pub const MAX_DETAIL_BYTES: usize = 16 * 1024;

/// Most characters of an incoming `eventId`.
pub const MAX_EVENT_ID_CHARS: usize = 128;

/// Most characters of an incoming `actor` or `reason`.
pub const MAX_REMARK_CHARS: usize = 512;

/// Most characters of a session policy. STS takes no more from `AssumeRole`, nor does EKS.
/// STS also packs policy and session tags into a size of its own, which cannot be known here.
pub const MAX_SESSION_POLICY_CHARS: usize = 2_048;

/// Values of an envelope's `source`.
pub mod source {
    /// Domino automation: service accounts come, change and go.
    pub const AUTOMATION: &str = "domino.automation";
    /// Administrators: clusters come and go.
    pub const ADMINISTRATION: &str = "domino.administration";
    /// This software: outcomes and requests.
    pub const POD_IDENTITY: &str = "domino.pod-identity";
}

/// Values of an envelope's `detail-type`.
pub mod detail_type {
    /// A Domino service account is bound to a role from now on.
    pub const ROLE_ASSIGNED: &str = "Service Account Role Assigned";
    /// A Domino service account is bound to no role any more.
    pub const ROLE_UNASSIGNED: &str = "Service Account Role Unassigned";
    /// A Domino service account was deactivated, which takes its role away.
    pub const DEACTIVATED: &str = "Service Account Deactivated";
    /// A cluster joins, or its registration changes.
    pub const CLUSTER_REGISTERED: &str = "Cluster Registered";
    /// Somebody asks for the guarded retirement of a cluster.
    pub const CLUSTER_RETIRED: &str = "Cluster Retired";
    /// An association is in place.
    pub const ASSOCIATION_READY: &str = "Pod Identity Association Ready";
    /// An association was deleted.
    pub const ASSOCIATION_REMOVED: &str = "Pod Identity Association Removed";
    /// A binding could not be made true.
    pub const ASSOCIATION_BLOCKED: &str = "Pod Identity Association Blocked";
    /// A node role's policy has a new version.
    pub const NODE_ROLE_POLICY_CHANGED: &str = "Node Role Policy Changed";
    /// A pod with stale credentials was evicted.
    pub const STALE_POD_EVICTED: &str = "Stale Pod Evicted";
    /// A pod with stale credentials was found and left alone.
    pub const STALE_POD_REPORTED: &str = "Stale Pod Reported";
    /// Something that was changed by hand was put right.
    pub const DRIFT_CORRECTED: &str = "Drift Corrected";
    /// An incoming event was refused.
    pub const EVENT_REJECTED: &str = "Service Account Event Rejected";
    /// An incoming event was older than what is already known.
    pub const EVENT_SUPERSEDED: &str = "Service Account Event Superseded";
    /// Reconcile is asked to run.
    pub const RECONCILIATION_REQUESTED: &str = "Reconciliation Requested";
    /// The sweep of stale pods is asked to run.
    pub const SWEEP_REQUESTED: &str = "Sweep Requested";
}

/// An event as EventBridge delivers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct Envelope {
    /// Version of EventBridge's envelope, always `0`.
    #[serde(default)]
    pub version: String,
    /// EventBridge's id of this delivery. It differs when a sender retries,
    /// so it is never part of an event's version: `detail.eventId` is.
    pub id: String,
    /// What happened, such as `Service Account Role Assigned`.
    #[serde(rename = "detail-type")]
    pub detail_type: String,
    /// Who says so, such as `domino.automation`.
    pub source: String,
    /// AWS account of the sender.
    #[serde(default)]
    pub account: String,
    /// When EventBridge took it (RFC 3339). An archive replays the old time.
    #[serde(default)]
    pub time: String,
    /// AWS region of the bus.
    #[serde(default)]
    pub region: String,
    /// ARNs that the event is about; not read.
    #[serde(default)]
    pub resources: Vec<String>,
    /// The event itself.
    pub detail: Value,
}
