//! The event contract of domino-pod-identity.
//!
//! Everything that comes in from Domino automation and administrators, and
//! everything that goes out, is a type here. The JSON Schemas in
//! `events/schemas` are generated from these types, and the files in
//! `events/samples` are held to both.

mod envelope;
mod incoming;
mod outgoing;
#[cfg(feature = "samples")]
pub mod samples;
#[cfg(feature = "schemas")]
pub mod schemas;

pub use envelope::{
    Envelope, MAX_DETAIL_BYTES, MAX_EVENT_ID_CHARS, MAX_REMARK_CHARS, MAX_SESSION_POLICY_CHARS,
    SCHEMA_VERSION, detail_type, source,
};
pub use incoming::{
    ClusterRegistered, ClusterRetired, ClusterSelection, Incoming, KubernetesServiceAccount,
    ParseError, ServiceAccountDeactivated, ServiceAccountRoleAssigned,
    ServiceAccountRoleUnassigned,
};
pub use outgoing::{
    AssociationChange, BlockedCode, CallPurpose, Cause, ClusterAccount, DriftCorrected,
    EventReference, FailedCall, MAKE_READY_ELSEWHERE, NodeRolePolicyChanged, OtherMapping,
    Outgoing, Pod, PodIdentityAssociationBlocked, PodIdentityAssociationReady,
    PodIdentityAssociationRemoved, PolicyCapacity, Problem, ReconciliationRequested, RemovalReason,
    ServiceAccountEventRejected, ServiceAccountEventSuperseded, StalePodCase, StalePodEvicted,
    StalePodReported, Subject, SweepRequested, Trust, TrustVerdict,
};
