//! Links that the ledger holds.

use serde_json::json;

use super::{ask, at_work, broken, explain, headline, wrong};
use crate::office::{Office, role, text};

#[test]
fn a_tombstone_is_told_with_its_event() {
    let office = at_work();
    office.done(json!({
        "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply", "actor": "ada",
    }));
    office.reconcile("blue");
    let answer = explain(&office);
    let (evidence, _) = broken(&answer, "ledger");
    assert!(
        evidence.starts_with("svc-etl is bound to no role (unassigned) since 2026-"),
        "{evidence}"
    );
    assert!(evidence.contains("Service Account Role Unassigned admin-r-"), "{evidence}");
    assert!(evidence.ends_with("by ada (claimed)"), "{evidence}");
    assert!(
        headline(&answer)
            .starts_with("svc-etl has no credentials on blue: svc-etl is bound to no role")
    );
}

#[test]
fn a_name_that_the_ledger_does_not_know_is_told_so() {
    let office = at_work();
    let ask = json!({ "action": "explain", "serviceAccount": "svc-x" });
    let answer = office.done(ask.clone());
    assert!(
        headline(&answer).starts_with("svc-x has no credentials anywhere"),
        "{}",
        text(&answer)
    );
    assert_eq!(answer["works"], false);
    let mut on_blue = ask;
    on_blue["cluster"] = json!("blue");
    let (evidence, _) = broken(&office.done(on_blue), "ledger");
    assert_eq!(evidence, "the ledger knows no binding of svc-x");
}

#[test]
fn a_cluster_that_is_not_registered_is_told() {
    let office = Office::new();
    office.register("green");
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"),
        "clusters": ["blue"], "mode": "apply",
    }));
    let answer = ask(&office, json!({ "action": "explain", "serviceAccount": "svc-etl" }));
    let (evidence, way_out) = broken(&answer, "cluster");
    assert_eq!(evidence, "cluster blue is not registered");
    assert!(way_out.contains("\"register\""), "{way_out}");
}

#[test]
fn a_cluster_that_the_binding_is_not_meant_for_is_told() {
    let office = at_work();
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"),
        "clusters": ["green"], "mode": "apply",
    }));
    office.reconcile("blue");
    let (evidence, _) = broken(&explain(&office), "cluster");
    assert_eq!(evidence, "the binding is for green only, not for cluster blue");
}

#[test]
fn a_cluster_that_is_being_retired_is_told() {
    let office = at_work();
    office.done(json!({ "action": "clusters", "retire": { "cluster": "blue" }, "mode": "apply" }));
    office.reconcile("blue");
    let (evidence, _) = broken(&explain(&office), "cluster");
    assert!(evidence.starts_with("cluster blue is being retired since"), "{evidence}");
}

#[test]
fn a_binding_that_nobody_has_carried_out_yet_is_told() {
    let office = Office::registered();
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"), "mode": "apply",
    }));
    let answer = explain(&office);
    let told = wrong(&answer);
    let condition = told.iter().find(|(check, ..)| check == "condition").unwrap();
    assert!(condition.2.starts_with("accepted and not yet carried out since"), "{condition:?}");
    assert!(
        headline(&answer).starts_with("svc-etl has no credentials on blue: accepted and not yet"),
        "{}",
        text(&answer)
    );
}
