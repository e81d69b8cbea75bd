//! Lambda function: brings whole clusters to the desired state. A schedule, a
//! request or a change by hand starts it. It talks to AWS, and to
//! Domino where that is a source; to no cluster.

// The SDK's futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod domino;
mod handler;
mod metrics;
mod request;
mod run;
#[cfg(test)]
mod tests;

pub use handler::{Function, Invocation};
pub use run::run;
