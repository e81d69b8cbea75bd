//! How much time an invocation has.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// The time by which everything has to be over: Lambda's own, less a margin for what follows the
/// last step. One that cannot be told is over already.
#[must_use]
pub fn deadline(of_lambda: SystemTime, margin: Duration) -> Timestamp {
    let deadline = of_lambda.checked_sub(margin);
    deadline.and_then(|deadline| Timestamp::try_from(deadline).ok()).unwrap_or(Timestamp::MIN)
}
