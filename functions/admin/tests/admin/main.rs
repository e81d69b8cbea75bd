//! The admin function over the model of AWS and Kubernetes, action by action.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adopt;
mod basics;
mod clusters;
mod domino;
mod explain;
mod import_export;
mod migrate;
mod notices;
mod office;
mod plans;
mod restored;
mod rivals;
mod samples;
mod status;
mod sweeps;
mod trust;
mod who;
mod widget;
