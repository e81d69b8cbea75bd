//! Lambda function: Domino service-account events become EKS Pod Identity
//! associations. It talks to AWS only and never waits for Kubernetes.

// The SDK's futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod handler;
#[cfg(feature = "aws")]
mod metrics;
#[cfg(feature = "aws")]
mod run;
#[cfg(all(test, feature = "aws"))]
mod tests;

pub use handler::{Function, Invocation};
#[cfg(feature = "aws")]
pub use run::run;
