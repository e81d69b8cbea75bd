//! What this software tells the bus.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::envelope::detail_type;
use crate::incoming::{ParseError, read};

macro_rules! wire {
    ($(#[$meta:meta])* pub struct $name:ident $body:tt) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
        pub struct $name $body
    };
    ($(#[$meta:meta])* pub enum $name:ident $body:tt) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
        pub enum $name $body
    };
}

mod association;
mod cluster;
mod event;
mod pod;
mod problem;

pub use association::{
    AssociationChange, PodIdentityAssociationBlocked, PodIdentityAssociationReady,
    PodIdentityAssociationRemoved, RemovalReason, Subject, Trust, TrustVerdict,
};
pub use cluster::{DriftCorrected, NodeRolePolicyChanged, PolicyCapacity, ReconciliationRequested};
pub use event::{EventReference, ServiceAccountEventRejected, ServiceAccountEventSuperseded};
pub use pod::{Pod, StalePodCase, StalePodEvicted, StalePodReported, SweepRequested};
pub use problem::{
    BlockedCode, CallPurpose, ClusterAccount, FailedCall, MAKE_READY_ELSEWHERE, OtherMapping,
    Problem,
};

wire! {
    /// What led to an outcome: the incoming event, or the run that found something.
    pub struct Cause {
        /// `detail.eventId` of the incoming event, when one led here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub event_id: Option<String>,
        /// Request id of the function's invocation, as in its logs.
        pub request_id: String,
    }
}

macro_rules! outgoing {
    ($($(#[$meta:meta])* $variant:ident($body:ident) = $kind:ident,)*) => {
        /// Any event that this software sends; its detail is the inner value.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Outgoing {
            $($(#[$meta])* $variant($body),)*
        }

        impl Outgoing {
            /// The envelope's `detail-type`.
            #[must_use]
            pub fn detail_type(&self) -> &'static str {
                match self { $(Self::$variant(_) => detail_type::$kind,)* }
            }

            /// Id of this outcome.
            #[must_use]
            pub fn event_id(&self) -> &str {
                match self { $(Self::$variant(event) => &event.event_id,)* }
            }

            /// Reads a detail back by its detail type. Unknown fields are let be, so
            /// that a reader goes on working when outcomes learn to say more.
            ///
            /// # Errors
            /// When no outcome has this detail type, or a field is missing or of the wrong type.
            pub fn parse(kind: &str, detail: &Value) -> Result<Self, ParseError> {
                match kind {
                    $(detail_type::$kind => read(kind, detail).map(Self::$variant),)*
                    other => Err(ParseError(format!("no outcome has detail-type `{other}`"))),
                }
            }
        }

        $(impl From<$body> for Outgoing {
            fn from(event: $body) -> Self { Self::$variant(event) }
        })*
    };
}

outgoing! {
    /// See [`PodIdentityAssociationReady`].
    Ready(PodIdentityAssociationReady) = ASSOCIATION_READY,
    /// See [`PodIdentityAssociationRemoved`].
    Removed(PodIdentityAssociationRemoved) = ASSOCIATION_REMOVED,
    /// See [`PodIdentityAssociationBlocked`].
    Blocked(PodIdentityAssociationBlocked) = ASSOCIATION_BLOCKED,
    /// See [`NodeRolePolicyChanged`].
    PolicyChanged(NodeRolePolicyChanged) = NODE_ROLE_POLICY_CHANGED,
    /// See [`StalePodEvicted`].
    PodEvicted(StalePodEvicted) = STALE_POD_EVICTED,
    /// See [`StalePodReported`].
    PodReported(StalePodReported) = STALE_POD_REPORTED,
    /// See [`DriftCorrected`].
    DriftCorrected(DriftCorrected) = DRIFT_CORRECTED,
    /// See [`ServiceAccountEventRejected`].
    Rejected(ServiceAccountEventRejected) = EVENT_REJECTED,
    /// See [`ServiceAccountEventSuperseded`].
    Superseded(ServiceAccountEventSuperseded) = EVENT_SUPERSEDED,
    /// See [`ReconciliationRequested`].
    ReconciliationRequested(ReconciliationRequested) = RECONCILIATION_REQUESTED,
    /// See [`SweepRequested`].
    SweepRequested(SweepRequested) = SWEEP_REQUESTED,
}
