//! What every function needs around its handler: what it is invoked with, how
//! much time it has, its logs and its metrics.

mod answers;
mod deadline;
#[cfg(feature = "logging")]
mod logging;
mod metrics;
mod not_finished;
mod payload;
#[cfg(test)]
mod tests;

pub use answers::{Answers, waits};
pub use deadline::deadline;
#[cfg(feature = "logging")]
pub use logging::start as start_logging;
pub use metrics::{Metric, capacity, line, now, write_waiting};
pub use not_finished::NotFinished;
pub use payload::{Payload, batch_answer, read};
