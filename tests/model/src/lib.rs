//! The protocol of lease, ledger, node policy and associations as a state
//! machine, and the search through every state that it can reach.
//!
//! It follows `pod-identity-engine` call by call; an [`Action`] names the
//! function that it stands for. Where code and model differ, the model is
//! wrong. What the model leaves out is listed in `docs/invariants.md`.

mod action;
mod association;
mod check;
pub mod claims;
mod outside;
mod promise;
mod protocol;
mod reconcile;
mod rerun;
mod runner;
mod setup;
mod state;

pub use action::{Action, Error, Name};
pub use check::{Checked, check, find};
pub use promise::{Promise, Reached};
pub use protocol::Protocol;
pub use setup::{Deed, Event, Hand, Margin, Omission, Setup, setups};
pub use state::{A, Association, B, C, Roles, State};
