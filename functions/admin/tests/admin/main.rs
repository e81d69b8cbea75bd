//! The admin function over the model of AWS and Kubernetes, action by action.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod basics;
mod domino;
mod explain;
mod office;
mod trust;
mod who;
mod widget;
