//! Which of two bindings holds a Kubernetes service account, in every order of delivery.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use protocol_model::claims::{Claims, Omission, Promise, setups};

fn holds(claims: Claims, states: usize) {
    let (visited, broken) = claims.check(1);
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(visited >= states, "only {visited} states");
}

fn breaks(claims: Claims, step: Omission, promise: Promise) {
    let (_, broken) = claims.without(step).check(1);
    assert!(broken.iter().any(|(it, _)| *it == promise), "nothing breaks without it: {broken:?}");
}

#[test]
fn the_claim_that_was_recorded_first_holds() {
    holds(setups::continuation(), 150_000);
}

#[test]
fn a_binding_that_comes_again_comes_last() {
    holds(setups::claimed_again(), 100_000);
}

#[test]
fn a_cluster_that_is_given_up_goes_to_the_next_claim() {
    holds(setups::narrowed(), 80_000);
}

#[test]
fn a_cluster_that_is_added_gets_a_number_of_its_own() {
    holds(setups::widened(), 400_000);
}

#[test]
fn a_number_comes_from_the_ledger_and_not_from_the_event() {
    breaks(setups::continuation(), Omission::Sequence, Promise::FirstRecordedHolds);
    breaks(setups::continuation(), Omission::Sequence, Promise::HolderKeepsIt);
}

#[test]
fn a_newer_event_keeps_the_numbers_that_it_has() {
    breaks(setups::widened(), Omission::KeptNumbers, Promise::FirstRecordedHolds);
}

#[test]
fn what_a_newer_event_no_longer_covers_is_given_up() {
    breaks(setups::continuation(), Omission::Exemptions, Promise::FirstRecordedHolds);
}

#[test]
fn the_accepting_transaction_gives_the_number() {
    breaks(setups::continuation(), Omission::NumberAtAcceptance, Promise::FirstRecordedHolds);
}

#[test]
fn a_run_gives_no_number_to_a_binding_that_changed() {
    breaks(setups::continuation(), Omission::BindingCheck, Promise::FirstRecordedHolds);
    breaks(setups::claimed_again(), Omission::BindingCheck, Promise::HolderKeepsIt);
}

#[test]
fn claims_and_bindings_are_read_as_of_one_moment() {
    breaks(setups::claimed_again(), Omission::Snapshot, Promise::HolderKeepsIt);
    breaks(setups::continuation(), Omission::Snapshot, Promise::RightEnd);
}
