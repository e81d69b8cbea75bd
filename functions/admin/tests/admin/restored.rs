//! A restored ledger: what it does not account for is adopted, and the cluster goes on.

use pod_identity_world::Ledger;
use serde_json::{Value, json};

use crate::office::{Office, text};

fn resume(office: &Office) -> Value {
    let planned = office.planned(json!({ "action": "resume", "cluster": "blue" }));
    office.done(planned["apply"].clone())
}

/// svc-etl is bound; the ledger is that of before svc-new was, and svc-etl was unbound.
fn restored() -> Office {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    office.reconcile("blue");
    office.advance(86_400);
    let yesterday: Ledger = office.ports.world().ledger.clone();
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" }));
    office.bind("svc-new", "report");
    office.reconcile("blue");
    assert!(office.there("blue", "svc-etl-sa").is_none());
    office.advance(300);
    office.ports.world().ledger = yesterday;
    office
}

#[test]
fn orphans_are_adopted_by_a_digest_and_the_cluster_goes_on() {
    let office = restored();
    let halted = office.reconcile("blue");
    assert!(halted.halted.is_some(), "{halted:?}");
    assert!(office.there("blue", "svc-etl-sa").is_none());
    // The events since are replayed.
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" }));
    office.bind("svc-new", "report");
    let orphan = office.there("blue", "svc-new-sa").unwrap();

    let ask = json!({ "action": "adopt", "cluster": "blue", "orphans": true });
    let planned = office.planned(ask.clone());
    assert!(text(&planned).contains("svc-new is bound to it; would be taken over"), "{planned}");
    let adopted = office.adopted(ask);
    assert_eq!(adopted["accepted"], 1, "{}", text(&adopted));
    let resumed = resume(&office);
    assert!(text(&resumed).contains("It goes on"), "{}", text(&resumed));
    let done = office.reconcile("blue");
    assert_eq!(done.halted, None);
    assert_eq!(office.there("blue", "svc-new-sa").unwrap().id, orphan.id);
    assert!(office.there("blue", "svc-etl-sa").is_none());
    let steady = office.reconcile("blue");
    assert!(steady.orphans.is_empty() && steady.halted.is_none(), "{steady:?}");
    let history = office.done(json!({ "action": "history", "cluster": "blue" }));
    assert!(text(&history).contains("Cluster Resumed"), "{}", text(&history));
}

#[test]
fn an_orphan_that_differs_from_its_binding_is_adopted_only_by_name() {
    let office = restored();
    office.bind("svc-new", "train");
    let planned = office.planned(json!({ "action": "adopt", "cluster": "blue", "orphans": true }));
    assert_eq!(planned["accepted"], 0);
    assert!(text(&planned).contains("name it in `associations`"), "{}", text(&planned));
}

#[test]
fn a_resumption_is_held_to_what_its_plan_has_shown() {
    let office = restored();
    let ask = json!({ "action": "resume", "cluster": "blue", "mode": "apply" });
    assert!(office.refused(ask).contains("`plan` is not given"));
    let planned = office.planned(json!({ "action": "resume", "cluster": "blue" }));
    assert!(text(&planned).contains("svc-etl"), "{}", text(&planned));
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" }));
    let refused = office.refused(planned["apply"].clone());
    assert!(refused.contains("nothing was done"), "{refused}");
    assert!(office.reconcile("blue").halted.is_some());
}

#[test]
fn an_adoption_names_what_else_manages_the_association() {
    let office = Office::registered();
    {
        let mut world = office.ports.world();
        let (blue, role) = (crate::office::cluster("blue"), crate::office::role("etl"));
        let role = role.to_string();
        let made =
            world.add_foreign_association(&blue, "domino-compute", "svc-etl-sa", &role).unwrap();
        let tags = [("ManagedBy".to_owned(), "terraform".to_owned())].into();
        world.tag_resource(&crate::adopt::somebody(), &made.arn, &tags).unwrap();
    }
    let planned = office.planned(json!({ "action": "adopt", "cluster": "blue", "all": true }));
    assert!(text(&planned).contains("terraform looks after it"), "{}", text(&planned));
}

#[test]
fn what_was_taken_away_after_the_restore_point_is_not_bound_again_by_its_tag() {
    let office = restored();
    office.reconcile("blue");
    // The events since are replayed, and svc-new is unassigned.
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-new", "mode": "apply" }));
    let orphan = office.there("blue", "svc-new-sa").unwrap();
    let planned = office.planned(json!({ "action": "adopt", "cluster": "blue", "orphans": true }));
    assert_eq!(planned["accepted"], 0, "{}", text(&planned));
    let said = text(&planned);
    assert!(said.contains("svc-new was unassigned at"), "{said}");
    assert!(said.contains(&format!("delete association {}", orphan.id)), "{said}");
    // Meanwhile explain does not say that it has no credentials.
    let ask = json!({ "action": "explain", "serviceAccount": "svc-new", "cluster": "blue" });
    let explained = office.done(ask);
    let said = text(&explained);
    assert!(said.starts_with("svc-new still has credentials on blue"), "{said}");
    assert!(said.contains("the ledger does not account for it"), "{said}");
}

#[test]
fn a_halt_shows_in_status_with_what_to_do() {
    let office = restored();
    office.reconcile("blue");
    let status = office.done(json!({ "action": "status" }));
    assert!(text(&status).contains("! blue: halted: the ledger is older"), "{}", text(&status));
    assert!(text(&status).contains("action `resume`"), "{}", text(&status));
    resume(&office);
    office.reconcile("blue");
    let status = office.done(json!({ "action": "status" }));
    assert!(!text(&status).contains("halted"), "{}", text(&status));
}

#[test]
fn a_resumption_shows_a_role_that_would_be_put_back() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    office.reconcile("blue");
    office.advance(86_400);
    let yesterday: Ledger = office.ports.world().ledger.clone();
    office.bind("svc-etl", "report");
    office.bind("svc-new", "report");
    office.reconcile("blue");
    office.advance(300);
    office.ports.world().ledger = yesterday;
    office.reconcile("blue");
    let planned = office.planned(json!({ "action": "resume", "cluster": "blue" }));
    let said = text(&planned);
    assert!(said.contains("1 associations are otherwise than the ledger says"), "{said}");
    assert!(said.contains("role/domino/report") && said.contains("role/domino/etl"), "{said}");
}

#[test]
fn words_of_others_are_shown_without_what_a_terminal_would_act_on() {
    let office = Office::registered();
    office.bind("svc-etl", "etl");
    office.reconcile("blue");
    let hostile = "x\u{1b}[2J\r\u{202e}\u{9b}y";
    office.done(json!({
        "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply",
        "actor": hostile, "reason": hostile,
    }));
    let history = office.done(json!({ "action": "history", "serviceAccount": "svc-etl" }));
    let said = text(&history);
    assert!(said.contains("x\u{fffd}[2J"), "{said}");
    assert!(said.chars().all(|one| one == '\n' || pod_identity_core::is_plain(one)), "{said:?}");
}
