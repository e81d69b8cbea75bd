//! Lambda function: everything that happens inside a cluster. Our own outcome events, requests
//! and a schedule start it. The only function that talks to Kubernetes, and the only one that may
//! need a VPC.

// The SDK's futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod handler;
mod metrics;
mod request;
mod run;
#[cfg(test)]
mod tests;
mod words;

pub use handler::{Function, Invocation};
pub use run::run;
