//! Lambda function: answers what administrators ask from the console or the AWS CLI.
//!
//! It reads AWS, the clusters and the ledger. It writes the ledger and puts requests on the bus,
//! nothing else: reconcile and workloads change AWS and the clusters, and how far they have come is
//! read from the ledger.

// The SDK's futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod actions;
mod answer;
mod associations;
mod change;
mod context;
mod handler;
mod lists;
mod node_policies;
mod request;
mod run;
mod table;
mod times;
mod widget;

pub use context::{AdminWriter, Deployment};
pub use handler::{Function, Invocation};
pub use run::run;
