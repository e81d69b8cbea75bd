//! Time.

use std::time::Duration;

use jiff::Timestamp;

/// The time now, and waiting.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits.
    async fn sleep(&self, duration: Duration);
}
