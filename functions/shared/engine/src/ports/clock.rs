//! Time.

use async_trait::async_trait;
use std::time::Duration;

use jiff::Timestamp;

/// The time now, and waiting.
#[async_trait(?Send)]
pub trait Clock {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits.
    async fn sleep(&self, duration: Duration);
}
