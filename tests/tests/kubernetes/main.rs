//! The Kubernetes client over the wire.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod anywhere;
mod embedded;
mod manifest;
