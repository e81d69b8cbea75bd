//! What holds in every state that a setup can reach. A search ends when no
//! state is left; the numbers say that it did not end early.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use protocol_model::{Reached, Setup, check, setups};

fn holds(setup: Setup, states: usize, reached: &[Reached]) {
    let name = setup.name;
    let checked = check(setup, 1);
    assert!(checked.broken.is_empty(), "{name}: {:#?}", checked.broken);
    assert!(checked.states >= states, "{name}: only {} states", checked.states);
    for one in reached.iter().chain(&[Reached::Rest, Reached::TwoRuns]) {
        assert!(checked.reached.contains(one), "{name} never reached {}", one.name());
    }
}

macro_rules! every_promise_holds {
    ($($test:ident: $setup:expr, $states:expr, [$($reached:ident),*];)*) => {
        $(#[test]
        fn $test() {
            holds($setup, $states, &[$(Reached::$reached),*]);
        })*
    };
}

mod within_the_margin {
    use super::*;

    every_promise_holds! {
        for_one_account: setups::one_account().mishaps(2), 100_000, [TakenOver, Merged];
        for_an_account_that_is_assigned_again: setups::assigned_again(), 20_000, [TakenOver];
        for_two_accounts: setups::two_accounts().mishaps(3), 80_000, [TakenOver, Merged];
        beside_a_foreign_policy_writer: setups::foreign_policy_writer().mishaps(2), 100_000, [TakenOver, Merged];
        after_the_policy_was_restored: setups::restored_policy(), 20_000, [TakenOver, Merged];
        beside_an_unlisting_hand: setups::unlisting_hand(), 20_000, [TakenOver];
        beside_a_foreign_creator: setups::foreign_creator().mishaps(2), 80_000, [TakenOver, Blocked];
        for_a_trim: setups::trim(), 100_000, [TakenOver, Trimmed];
        for_a_role_that_comes_back_after_a_trim: setups::trim_and_return(), 200_000, [TakenOver, Trimmed];
        for_a_trim_beside_a_foreign_replacement: setups::foreign_replacement(), 50_000, [TakenOver];
        for_a_trim_beside_a_foreign_creator: setups::foreign_hands_at_a_trim(), 5_000, [Trimmed];
        for_a_trim_beside_a_foreign_policy_writer:
            setups::foreign_policy_writer_at_a_trim(), 50_000, [TakenOver, Merged, Trimmed];
        for_an_orphan: setups::orphan(), 8_000, [TakenOver];
        for_an_adoption: setups::adoption(), 60_000, [TakenOver, Blocked, Adopted];
        beside_a_foreign_hand: setups::foreign_hand(), 300_000, [TakenOver, Blocked, Confirmed, Orphan];
        beside_an_imitating_hand: setups::imitating_hand(), 600_000, [TakenOver, Blocked, Confirmed, Orphan];
        beside_a_foreign_hand_at_a_change:
            setups::foreign_hand_at_a_change(), 100_000, [TakenOver, Blocked, Confirmed, Orphan];
        for_an_account_that_is_repaired: setups::repaired(), 1_000_000, [TakenOver, Blocked, Confirmed, Orphan];
    }
}

mod with_late_calls {
    use super::*;

    every_promise_holds! {
        for_one_account: setups::one_account().with_late_calls(), 100_000, [TakenOver, Merged, Confirmed];
        for_an_account_that_is_assigned_again:
            setups::assigned_again().with_late_calls(), 100_000, [TakenOver, Merged, Confirmed];
        for_two_accounts: setups::two_accounts().with_late_calls(), 80_000, [TakenOver, Merged];
        for_a_role_that_comes_back_after_a_trim:
            setups::trim_and_return().mishaps(1).with_late_calls(), 500_000, [TakenOver, Trimmed];
        for_an_orphan: setups::orphan().with_late_calls(), 20_000, [TakenOver];
        for_an_adoption: setups::adoption().with_late_calls(), 80_000, [TakenOver, Adopted];
        beside_a_foreign_hand: setups::foreign_hand().with_late_calls(), 400_000, [TakenOver, Confirmed, Orphan];
    }
}

mod beyond_the_margin {
    use super::*;

    every_promise_holds! {
        for_one_account: setups::one_account().beyond_the_margin(), 30_000, [TakenOver, Merged];
        for_an_account_that_is_assigned_again:
            setups::assigned_again().beyond_the_margin(), 40_000, [TakenOver, Merged];
        for_two_accounts: setups::two_accounts().beyond_the_margin(), 50_000, [TakenOver, Merged];
        beside_a_foreign_policy_writer:
            setups::foreign_policy_writer().beyond_the_margin(), 20_000, [TakenOver, Merged];
        beside_a_foreign_creator:
            setups::foreign_creator().beyond_the_margin(), 20_000, [TakenOver, Blocked];
        for_a_trim: setups::trim().beyond_the_margin(), 150_000, [TakenOver, Merged, Trimmed];
        for_an_orphan: setups::orphan().beyond_the_margin(), 10_000, [TakenOver];
    }
}
