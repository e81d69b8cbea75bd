//! The admin function over the model of AWS and Kubernetes, action by action.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adopt;
mod basics;
mod exchange;
mod migrate;
mod office;
