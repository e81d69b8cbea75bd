//! Time-outs and repetition of calls.

use std::time::Duration;

/// How long a call may take and how often it is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// Of one attempt.
    pub timeout: Duration,
    /// Most attempts, the first one included; at least 1.
    pub attempts: u32,
    /// Longest pause before the second attempt; it doubles before each further one.
    pub backoff: Duration,
    /// Longest pause of all.
    pub backoff_max: Duration,
}

impl Calls {
    /// The longest time that one call can take, with all its attempts and
    /// pauses. Clients are held to it as the time-out of the whole operation.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let pauses: Duration = (1..self.attempts).map(|failed| self.pause(failed)).sum();
        self.timeout * self.attempts + pauses
    }

    /// The longest pause after so many failed attempts, counted from 1.
    #[must_use]
    pub fn pause(&self, failed: u32) -> Duration {
        let factor = 2u32.saturating_pow(failed.saturating_sub(1));
        self.backoff.saturating_mul(factor).min(self.backoff_max)
    }
}
