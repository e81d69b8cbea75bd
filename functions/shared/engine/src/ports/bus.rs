//! The event bus.

use super::PortError;
use async_trait::async_trait;

/// Most entries of one `PutEvents` call.
pub const MAX_BUS_ENTRIES: usize = 10;

/// One event to put on the bus, from source `domino.pod-identity`.
#[derive(Debug, Clone, PartialEq)]
pub struct BusEntry {
    /// The envelope's `detail-type`.
    pub detail_type: String,
    /// The detail as compact JSON.
    pub detail: String,
}

/// The bus did not take one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutFailure {
    /// EventBridge's error code.
    pub code: String,
    /// EventBridge's words.
    pub message: String,
}

/// Puts events on the bus.
#[async_trait(?Send)]
pub trait Bus {
    /// Puts at most [`MAX_BUS_ENTRIES`] entries (`PutEvents`). Answers one
    /// result an entry, in order: EventBridge can refuse some and take others.
    ///
    /// # Errors
    /// When the call as a whole failed.
    async fn put(&self, entries: &[BusEntry]) -> Result<Vec<Result<(), PutFailure>>, PortError>;
}
