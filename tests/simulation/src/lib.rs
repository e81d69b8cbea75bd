//! The engine over the model of AWS, under seeded histories.
//!
//! A history is a list of events, late, doubled and reordered, delivered to two
//! runners that pause, crash and meet faults, while hands change AWS and the
//! ledger is lost or restored. After every step the invariants are checked, and
//! when all is quiet the end is compared with what the events ask for, which
//! is worked out from the events alone.
// A premise that does not hold ends the run, and says where.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod generate;
mod hands;
pub mod history;
mod play;
mod report;
mod search;
pub mod stage;
mod verdict;
mod watch;

pub use play::{play, trace};
pub use report::{Played, Violation};
pub use search::{Found, generate, search};
