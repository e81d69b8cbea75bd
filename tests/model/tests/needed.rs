//! Every protective step is needed: without it a promise is broken. This is
//! also what shows that the model can fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use protocol_model::{A, Event, Omission, Promise, Setup, check, find, setups};

macro_rules! is_needed {
    ($($test:ident: $step:ident, $promise:ident, $setup:expr;)*) => {
        $(#[test]
        fn $test() {
            let setup: Setup = $setup;
            let way = find(Promise::$promise, setup.clone().without(Omission::$step));
            assert!(way.is_some(), "nothing breaks without it");
        })*
    };
}

is_needed! {
    older_events_are_superseded: VersionOrder, RightEnd, setups::one_account();
    the_lease_is_looked_at_before_every_call: LeaseCheck, OneWriter, setups::two_accounts();
    without_that_look_a_late_call_undoes_a_newer_one: LeaseCheck, RightEnd, setups::assigned_again().mishaps(2);
    the_lease_is_taken: Lease, RightEnd, setups::two_accounts();
    the_lease_comes_before_the_observation: LeaseBeforeObservation, RightEnd, setups::one_account();
    a_number_that_skips_is_noticed: SkippedVersion, NothingLost, setups::foreign_policy_writer();
    every_skipped_version_is_merged:
        EarlierSkippedVersions, NothingLost, setups::foreign_policy_writer().mishaps(2);
    the_ledger_is_told_before_iam_is: Assignment, GrantBeforeBind, unused_then_assigned();
    what_was_assigned_is_written_by_whoever_comes_next:
        Pending, GrantBeforeBind, setups::one_account();
    what_others_listed_is_taken_in: TakenIn, NothingLost, foreign_writer_and_a_reconciliation();
    the_grant_comes_first: GrantFirst, GrantBeforeBind, setups::one_account();
    the_ledger_is_fenced: Fence, Fenced, setups::two_accounts();
    what_the_ledger_does_not_know_is_kept: Memory, DeleteWhatWasRemoved, setups::orphan();
    ownership_is_looked_at: Ownership, ForeignUntouched, setups::foreign_creator();
    a_tag_is_no_proof: TagIsNoProof, ForeignUntouched, setups::foreign_hand().mishaps(0);
    an_intent_is_recorded_before_a_creation: Intent, ReconcileConverges, setups::one_account();
    without_an_intent_an_association_is_an_orphan: Intent, RightEnd, setups::one_account();
    what_stands_for_a_binding_is_recorded: Held, RightEnd, setups::one_account().mishaps(0);
    without_its_id_removed_is_said_too_early: Held, RemovedIsTrue, setups::foreign_hand().mishaps(0);
    a_removal_keeps_its_intents:
        IntentAfterRemoval, ReconcileConverges, setups::one_account().with_late_calls();
    a_run_that_died_keeps_its_intents:
        AbandonedIntent, BoundConverges, setups::assigned_again().with_late_calls();
    an_intent_that_expires_is_renewed: RenewedIntent, ReconcileConverges, setups::assigned_again();
    an_association_is_confirmed_before_it_is_changed:
        Confirmation, ReconcileConverges, setups::one_account().mishaps(2);
    a_trim_needs_a_look_at_the_associations:
        Observation, SeenBeforeTrim, setups::foreign_hands_at_a_trim();
    a_trim_needs_two_observations:
        SecondObservation, ReplacementKeepsItsGrant, setups::foreign_replacement();
    a_trim_merges_what_it_wrote_over: TrimMerge, NothingLost, setups::foreign_policy_writer_at_a_trim();
}

/// Somebody lists a role, and a reconciliation comes before the next event.
fn foreign_writer_and_a_reconciliation() -> Setup {
    Setup { reconciles: 1, ..setups::foreign_policy_writer() }
}

/// A listed role that no binding uses is trimmed while it is assigned.
fn unused_then_assigned() -> Setup {
    let event = Event { account: 0, version: 1, role: Some(A) };
    Setup { listed: A, events: vec![event], ..setups::trim().mishaps(2) }
}

#[test]
fn a_trim_that_the_ledger_is_told_of_first_takes_no_grant_that_an_assignment_relies_on() {
    let checked = check(unused_then_assigned(), 1);
    assert!(checked.broken.is_empty(), "{:#?}", checked.broken);
}
