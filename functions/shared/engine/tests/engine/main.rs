//! The engine over `world`, without HTTP: what a batch of events makes true.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calls;
mod scenario;
