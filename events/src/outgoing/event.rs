//! The outcome of an incoming event that was not carried out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Cause;

wire! {
    /// `Service Account Event Rejected`: an incoming event that breaks a rule.
    pub struct ServiceAccountEventRejected {
        /// Version of the contract.
        pub schema_version: u32,
        /// Id of this outcome, the same when it is sent again.
        pub event_id: String,
        /// When it was refused (RFC 3339).
        pub occurred_at: String,
        /// What led here.
        pub cause: Cause,
        /// Every rule that was broken, with the value that broke it.
        pub reasons: Vec<String>,
        /// Size of the original in bytes.
        pub original_bytes: u64,
        /// SHA-256 of the original, in hexadecimal.
        pub original_sha256: String,
        /// The original: its JSON, or its text when it is none or had to be cut.
        pub original: Value,
        /// Whether the original was too large and is only begun here.
        pub original_truncated: bool,
    }
}

wire! {
    /// Names one accepted event.
    pub struct EventReference {
        /// Its `detail.eventId`.
        pub event_id: String,
        /// Its `detail.occurredAt`, in UTC to the millisecond.
        pub occurred_at: String,
        /// Its detail type.
        pub detail_type: String,
    }
}

wire! {
    /// `Service Account Event Superseded`: an Unassigned or Deactivated that
    /// arrived after a newer event, and so took nothing away.
    pub struct ServiceAccountEventSuperseded {
        /// Version of the contract.
        pub schema_version: u32,
        /// Id of this outcome, the same when it is sent again.
        pub event_id: String,
        /// When it was set aside (RFC 3339).
        pub occurred_at: String,
        /// What led here.
        pub cause: Cause,
        /// Name of the Domino service account.
        pub service_account: String,
        /// The event that was set aside.
        pub superseded: EventReference,
        /// The newer one that stands.
        pub by: EventReference,
        /// What to do if the older event was meant.
        pub remediation: String,
    }
}
