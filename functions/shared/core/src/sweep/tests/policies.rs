//! The policy's text.

use super::*;

fn action(policy: &str, case: Case, workload_type: Option<&str>) -> Action {
    policy.parse::<Policy>().unwrap().action(case, workload_type)
}

#[test]
fn defaults_evict_the_revoked_restart_the_changed_and_report_the_rest() {
    for (case, expected) in [
        (Case::Revoked, Action::Evict),
        (Case::Changed, Action::Restart),
        (Case::Recreated, Action::Restart),
        (Case::Shadowed, Action::Report),
        (Case::Missing, Action::Report),
        (Case::Unmapped, Action::Report),
    ] {
        for text in ["", " , ", "unmapped:Batch=report"] {
            assert_eq!(action(text, case, None), expected);
            assert_eq!(action(text, case, Some("App")), expected);
        }
    }
}

#[test]
fn the_most_specific_rule_wins_and_of_two_equals_the_one_that_does_less() {
    let text = "*=report, changed = evict, changed:Batch=restart, *:Workspace=report, *:App=evict";
    for (case, workload_type, expected) in [
        (Case::Changed, None, Action::Evict),
        (Case::Changed, Some("Scheduled"), Action::Evict),
        (Case::Changed, Some("Batch"), Action::Restart),
        (Case::Changed, Some("batch"), Action::Evict),
        (Case::Changed, Some("Workspace"), Action::Report),
        (Case::Missing, Some("App"), Action::Evict),
        (Case::Missing, Some("Batch"), Action::Report),
        (Case::Revoked, None, Action::Report),
    ] {
        assert_eq!(action(text, case, workload_type), expected, "{case} {workload_type:?}");
    }
}

#[test]
fn an_explicit_rule_evicts_also_what_nothing_starts_again() {
    let bare = || Pod { owner: None, ..pod("p", -60.0) };
    assert_eq!(judged_by("changed=evict", updated(), bare(), HOUR), "changed evict");
    let restart = judged_by("revoked=restart", removed(), bare(), HOUR);
    assert_eq!(restart, "revoked report NothingRestartsIt");
    assert_eq!(judged_by("*=report", removed(), bare(), HOUR), "revoked report Policy");
}

#[test]
fn a_pod_that_asks_to_be_kept_is_kept_unless_it_is_revoked() {
    let keeps = |value: &str| {
        let annotations =
            BTreeMap::from([("domino-pod-identity/keep".to_owned(), value.to_owned())]);
        Pod { annotations, ..pod("p", -60.0) }
    };
    assert_eq!(judged(updated(), keeps("true")), "changed report AsksToBeKept");
    assert_eq!(judged(updated(), keeps("false")), "changed evict");
    assert_eq!(judged(removed(), keeps("true")), "revoked evict");
}

#[test]
fn a_text_that_is_no_policy_is_answered_with_the_rule_that_it_breaks() {
    let errors: Vec<String> = [
        "evict",
        "revoked=delete",
        "gone=evict",
        "changed:=evict",
        "changed=evict,changed:*=report",
        "changed:Batch=evict, changed : Batch = report",
    ]
    .iter()
    .map(|text| text.parse::<Policy>().unwrap_err().to_string())
    .collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    `evict` is not a rule for stale pods, `CASE[:WORKLOAD-TYPE]=report|restart|evict`, with `*` for every case or type
    `revoked=delete` is not a rule for stale pods, `CASE[:WORKLOAD-TYPE]=report|restart|evict`, with `*` for every case or type
    `gone` is not a case of stale pods: revoked, changed, recreated, excluded, shadowed, missing or unmapped
    `changed:=evict` is not a rule for stale pods, `CASE[:WORKLOAD-TYPE]=report|restart|evict`, with `*` for every case or type
    `changed:*` is ruled on twice: give each case and workload type one rule
    `changed : Batch` is ruled on twice: give each case and workload type one rule
    "#);
}
