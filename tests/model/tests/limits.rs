//! What cannot be promised: the search finds the way to it. The words of
//! `docs/invariants.md` leave these out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use protocol_model::{A, Action, B, C, Deed, Hand, Promise, Setup, find, setups};

fn way(promise: Promise, setup: Setup) -> Vec<Action> {
    find(promise, setup).expect("it cannot happen any more, so it can be promised")
}

#[test]
fn a_foreign_creator_can_slip_between_the_last_observation_and_the_trim() {
    let setup = setups::foreign_hands_at_a_trim();
    let way = way(Promise::NobodyBindsBeforeTheTrim, setup);
    let last = |wanted: fn(&Action) -> bool| way.iter().rposition(wanted).unwrap();
    let looked = last(|action| matches!(action, Action::Look(_)));
    let created = last(|action| matches!(action, Action::Deed));
    assert!(looked < created, "{way:?}");
}

#[test]
fn a_newer_assignment_can_come_between_the_removal_that_was_read_and_the_deletion() {
    let way = way(Promise::DeleteWhileRemoved, setups::assigned_again().mishaps(0));
    let deleted = way.iter().rposition(|action| matches!(action, Action::Land(_))).unwrap();
    let last = |wanted: fn(&Action) -> bool| way[..deleted].iter().rposition(wanted).unwrap();
    let read = last(|action| matches!(action, Action::LoadBinding(_)));
    let assigned = last(|action| matches!(action, Action::Deliver { .. }));
    assert!(read < assigned && assigned < deleted, "{way:?}");
}

#[test]
fn after_a_restore_a_grant_can_be_missing_until_the_run_that_wrote_over_it_has_merged() {
    let way = way(Promise::BoundStaysGranted, setups::restored_policy().mishaps(0));
    assert!(way.contains(&Action::Deed), "{way:?}");
}

#[test]
fn a_role_that_a_hand_took_out_is_bound_ungranted_until_a_reconciliation() {
    way(Promise::GrantBeforeBind, setups::unlisting_hand().mishaps(0));
}

#[test]
fn somebody_who_reads_the_policy_long_before_writing_it_takes_grants_away() {
    let slow = [Deed::Reads, Deed::Writes { role: C }];
    let setup = setups::two_accounts().mishaps(0).beside(&slow);
    way(Promise::BoundStaysGranted, setup);
}

#[test]
fn an_association_that_lost_its_tags_before_it_was_recorded_is_taken_for_foreign() {
    // A run makes it and dies; a hand takes our tags off; nothing tells it from a foreign one.
    let way = way(Promise::RemovedIsTrueOfDisowned, setups::foreign_hand());
    let died = |action: &Action| matches!(action, Action::Fail(..) | Action::Crash(_));
    assert!(way.iter().any(died), "{way:?}");
    assert!(way.contains(&Action::Hand(Hand::Untags)), "{way:?}");
    let untouched = Setup { hands: 0, ..setups::foreign_hand() };
    assert_eq!(find(Promise::RemovedIsTrueOfDisowned, untouched), None);
}

#[test]
fn what_is_made_with_our_tags_and_the_values_of_an_open_intent_is_taken_for_ours() {
    let way = way(Promise::ImitationUntouched, setups::imitating_hand().mishaps(0));
    let made = Action::Hand(Hand::Creates { role: A, tagged: true });
    assert!(way.contains(&made), "{way:?}");
}

mod beyond_the_margin {
    use super::*;

    #[test]
    fn a_creation_that_was_given_up_can_land_after_its_intent_was_closed() {
        way(Promise::BoundConverges, late(setups::assigned_again()));
        // Reconcile reports it as an orphan and keeps it.
        way(Promise::ReconcileConverges, late(setups::one_account()));
    }

    fn late(setup: Setup) -> Setup {
        setup.beyond_the_margin()
    }

    #[test]
    fn a_late_write_of_the_policy_takes_grants_away() {
        way(Promise::BoundStaysGranted, late(setups::two_accounts()));
    }

    #[test]
    fn a_grant_can_be_gone_before_its_association_is_made() {
        way(Promise::GrantBeforeBind, late(setups::two_accounts()));
    }

    #[test]
    fn two_calls_can_be_under_way() {
        way(Promise::OneWriter, late(setups::two_accounts().mishaps(1)));
    }

    #[test]
    fn a_late_deletion_can_meet_an_association_that_was_assigned_again() {
        way(Promise::DeleteWhatWasRemoved, late(setups::assigned_again()));
    }

    #[test]
    fn a_late_change_stands_until_the_next_word() {
        way(Promise::RightEnd, late(setups::one_account()));
    }

    #[test]
    fn a_creation_that_lands_after_the_removal_stays_until_somebody_looks() {
        way(Promise::Converges, late(setups::one_account().mishaps(2)));
    }

    #[test]
    fn a_role_can_be_trimmed_that_was_bound_meanwhile() {
        let setup = Setup { listed: B, ..late(setups::trim()) };
        way(Promise::UnbindBeforeTrim, setup);
    }
}
