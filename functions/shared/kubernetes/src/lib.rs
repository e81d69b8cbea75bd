//! The engine's ports over the Kubernetes API of clusters.
//!
//! [`Kubernetes`] finds the API of a cluster, through EKS or in a kubeconfig, and keeps one
//! client and one bearer token for each. [`KubeReader`] and [`KubeWriter`] are the ports, apart
//! from each other, so that a mode that must not write is given no writer.
//!
//! Nothing is described, read or built before the first call to a cluster. kube makes the
//! connections and reads kubeconfigs; requests, their repetition and the reading of answers are
//! our own, because kube's `evict` loses the precondition and its retries ignore deadlines.

mod call;
mod clusters;
mod errors;
mod reader;
#[cfg(test)]
mod script;
mod target;
mod token;
mod writer;

pub use clusters::Kubernetes;
pub use reader::KubeReader;
pub use writer::{FIELD_MANAGER, KubeWriter};
