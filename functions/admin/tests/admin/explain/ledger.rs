//! Links that the ledger holds.

use serde_json::json;

use super::{ask, at_work, broken, explain, golden, headline, set_agent, wrong};
use crate::office::{Office, role};

#[test]
fn a_tombstone_is_told_with_its_event() {
    let office = at_work();
    office.done(json!({
        "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply", "actor": "ada",
    }));
    office.reconcile("blue");
    let answer = explain(&office);
    broken(&answer, "ledger");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_name_that_the_ledger_does_not_know_is_told_so() {
    let office = at_work();
    let asked = json!({ "action": "explain", "serviceAccount": "svc-x" });
    let answer = ask(&office, asked.clone());
    assert_eq!(answer["works"], false);
    insta::assert_snapshot!(golden(&answer));
    let mut on_blue = asked;
    on_blue["cluster"] = json!("blue");
    let answer = ask(&office, on_blue);
    broken(&answer, "ledger");
    insta::assert_snapshot!(golden(&answer));
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
    broken(&answer, "cluster");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_cluster_that_the_binding_is_not_meant_for_is_told() {
    let office = at_work();
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"),
        "clusters": ["green"], "mode": "apply",
    }));
    office.reconcile("blue");
    let answer = explain(&office);
    broken(&answer, "cluster");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_cluster_that_is_being_retired_is_told() {
    let office = at_work();
    office.done(json!({ "action": "clusters", "retire": { "cluster": "blue" }, "mode": "apply" }));
    office.reconcile("blue");
    let answer = explain(&office);
    broken(&answer, "cluster");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_binding_that_nobody_has_carried_out_yet_is_told() {
    let office = Office::registered();
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"), "mode": "apply",
    }));
    let answer = explain(&office);
    assert!(
        headline(&answer).starts_with("svc-etl has no credentials on blue: accepted and not yet"),
        "{}",
        headline(&answer)
    );
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_binding_whose_place_another_holds_is_told() {
    let office = at_work();
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-second", "roleArn": role("train"), "mode": "apply",
        "kubernetes": { "namespace": "domino-compute", "serviceAccount": "svc-etl-sa" },
    }));
    office.reconcile("blue");
    let asked = json!({ "action": "explain", "serviceAccount": "svc-second", "cluster": "blue" });
    let answer = ask(&office, asked);
    let shown = wrong(&answer);
    assert!(shown.iter().any(|(check, ..)| check == "condition"), "{shown:?}");
    assert!(shown.iter().any(|(check, ..)| check == "association"), "{shown:?}");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_binding_on_several_clusters_is_told_cluster_by_cluster() {
    let office = at_work();
    set_agent(&office, "green", "DEGRADED");
    let answer = ask(&office, json!({ "action": "explain", "serviceAccount": "svc-etl" }));
    broken(&answer, "agent");
    insta::assert_snapshot!(golden(&answer));
}
