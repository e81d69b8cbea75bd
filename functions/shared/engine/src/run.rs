//! One invocation.

use std::cell::Cell;

use jiff::Timestamp;

/// Names one invocation in everything that it writes.
#[derive(Debug)]
pub struct Run {
    request_id: String,
    started: Timestamp,
    writes: Cell<u64>,
}

impl Run {
    /// Starts a run. Lambda retries under the same request id, so the time is
    /// part of what makes revisions unique.
    #[must_use]
    pub fn new(request_id: impl Into<String>, started: Timestamp) -> Self {
        Self { request_id: request_id.into(), started, writes: Cell::new(0) }
    }

    /// Request id of the invocation.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// A revision that no other write uses.
    #[must_use]
    pub fn revision(&self) -> String {
        self.writes.set(self.writes.get() + 1);
        format!("{}/{}/{}", self.request_id, self.started.as_microsecond(), self.writes.get())
    }
}
