//! End-to-end tests over the wire

pub mod ledger_suite;
pub mod rules_suite;
