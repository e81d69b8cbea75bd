//! What reconcile recorded of its comparison with Domino.

use pod_identity_core::DominoName;
use pod_identity_core::directory::{Comparison, DirectoryDoubt};
use pod_identity_engine::DominoCheck;
use serde_json::{Value, json};

use crate::office::{Office, text};

fn names(names: &[&str]) -> Vec<DominoName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// svc-etl is deactivated in Domino, svc-train is in none of its lists, svc-free is not bound.
pub(crate) fn check() -> DominoCheck {
    let found = Comparison {
        bound: 3,
        deactivated: names(&["svc-etl"]),
        gone: names(&["svc-train"]),
        unassigned: vec!["svc-free".to_owned()],
        doubt: None,
    };
    DominoCheck { found, ..DominoCheck::default() }
}

fn domino(office: &Office) -> Value {
    office.planned(json!({ "action": "domino" }))
}

#[test]
fn the_recorded_comparison_is_shown_with_its_time() {
    let office = Office::registered();
    office.compared_with_domino(&Ok(check()));
    office.advance(360);
    office.calls();
    let answer = domino(&office);
    assert_eq!(office.calls(), ["dynamodb BatchGetItem"; 2]);
    let words = text(&answer);
    assert!(words.contains(" UTC (6 min ago). 3 service accounts were bound"), "{words}");
    for name in ["svc-etl", "svc-train", "svc-free"] {
        assert!(words.contains(name), "{words}");
    }
    assert!(words.contains("set DominoUnbind=unbind"), "{words}");
    assert_eq!(answer["comparison"]["deactivated"], json!({ "total": 1, "names": ["svc-etl"] }));
    assert_eq!(answer["failure"], Value::Null);
}

#[test]
fn service_accounts_that_reconcile_unbound_or_could_not_are_shown() {
    let office = Office::registered();
    let failures = [("svc-etl".parse().unwrap(), "Superseded".into())].into();
    let unbound = names(&["svc-report"]);
    let mut done = DominoCheck { unbound, failures, ..check() };
    done.found.deactivated = names(&["svc-etl", "svc-report"]);
    office.compared_with_domino(&Ok(done));
    let answer = domino(&office);
    let words = text(&answer);
    assert!(words.contains("Reconcile unbound 1."), "{words}");
    assert!(words.contains("1 could not be unbound: svc-etl."), "{words}");
}

#[test]
fn an_answer_that_is_not_believed_is_shown_with_the_remediation() {
    let office = Office::registered();
    let mut done = check();
    done.found.doubt = Some(DirectoryDoubt::TooMany { deactivated: 2, bound: 3, limit: 1 });
    office.compared_with_domino(&Ok(done));
    let answer = domino(&office);
    assert!(text(&answer).contains("raise DOMINO_UNBIND_MAX"), "{}", text(&answer));
    assert_eq!(answer["comparison"]["doubt"]["doubt"], "tooMany");
}

#[test]
fn a_failed_attempt_is_shown_beside_the_comparison_before_it() {
    let office = Office::registered();
    office.compared_with_domino(&Err("no connection".to_owned()));
    let words = domino(&office);
    let words = text(&words);
    assert!(words.contains("no complete comparison") && words.contains("no connection"), "{words}");
    office.compared_with_domino(&Ok(check()));
    assert_eq!(domino(&office)["failure"], Value::Null);
    office.compared_with_domino(&Err("no connection".to_owned()));
    let words = domino(&office);
    let words = text(&words);
    assert!(words.contains("svc-etl") && words.contains("failed: no connection"), "{words}");
}

#[test]
fn long_lists_are_shown_with_their_total() {
    let office = Office::registered();
    let mut done = check();
    done.found.unassigned = (0..250).map(|at| format!("svc-{at:03}")).collect();
    office.compared_with_domino(&Ok(done));
    let answer = domino(&office);
    let words = text(&answer);
    assert!(words.contains("250 are active") && words.contains("and 150 more"), "{words}");
}

#[test]
fn without_a_comparison_the_remediation_is_shown() {
    let mut office = Office::registered();
    let ask = json!({ "action": "domino" });
    let why = office.refused(ask.clone());
    assert!(why.contains("DominoUrl") && why.contains("DOMINO_TOKEN_SECRET"), "{why}");
    assert!(!why.contains("plan mode"), "{why}");
    office.others_plan = true;
    assert!(office.refused(ask).contains("set ReconcileMode=apply"));
    assert!(office.refused(json!({ "action": "domino", "other": 1 })).contains("unknown field"));
}

#[test]
fn mode_apply_unbinds_no_service_account() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    office.compared_with_domino(&Ok(check()));
    let made = office.writers_made.get();
    let answer = office.applied(json!({ "action": "domino" }));
    assert!(text(&answer).contains("domino only answers"), "{}", text(&answer));
    assert_eq!(office.writers_made.get(), made);
    assert!(text(&office.done(json!({ "action": "status" }))).contains("1 service accounts"));
}
