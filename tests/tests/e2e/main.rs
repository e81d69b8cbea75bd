//! The functions end to end: real processes, the real SDK, AWS's wire formats.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod accounts;
mod batches;
mod bounds;
mod calls;
mod changes;
mod crashes;
mod direct;
mod domino;
mod hostile;
mod import_export;
mod logs;
mod migrations;
mod ownership;
mod pages;
mod permissions;
mod reconcile;
mod restored;
mod samples;
mod scenario;
mod sweeps;
mod table;
mod template;
mod trust;
mod workloads;
