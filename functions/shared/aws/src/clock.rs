//! Time, by the system's clock and tokio's timer.

use async_trait::async_trait;
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_engine::ports::Clock;

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait(?Send)]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
