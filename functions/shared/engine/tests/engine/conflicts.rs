//! Two accounts want one Kubernetes service account.

use std::collections::BTreeMap;

use pod_identity_core::Pattern;
use pod_identity_engine::ledger::{ConditionState, MAX_CLAIMS};
use pod_identity_engine::ports::ErrorKind;
use pod_identity_engine::{Outcome, Scope, reconcile};
use pod_identity_events::BlockedCode;
use pod_identity_world::{PortFault, When};
use serde_json::{Value, json};

use crate::check::settled;
use crate::ledger::permutations;
use crate::scenario::{Scenario, cluster, drive};

fn shared() -> Value {
    json!({ "kubernetes": { "serviceAccount": "shared" } })
}

fn of_shared(scenario: &Scenario) -> String {
    let associations = scenario.associations("blue");
    assert_eq!(associations.len(), 1, "{associations:?}");
    assert_eq!(associations[0].0, "domino-compute/shared");
    associations[0].1.clone()
}

#[test]
fn the_claim_that_was_recorded_first_holds() {
    let mut first = Scenario::registered();
    let events = [
        first.assigned_with("svc-b", "etl", shared()),
        first.assigned_with("svc-a", "report", shared()),
        first.assigned_with("svc-c", "train", shared()),
    ];
    for order in permutations(&events) {
        for together in [false, true] {
            let mut scenario = Scenario::registered();
            // Within one batch too: the order is that of arrival, and no date decides.
            let holder = &order[0];
            if together {
                scenario.batch(&order);
            } else {
                for event in &order {
                    scenario.send(event);
                }
            }
            let holder = holder["detail"]["serviceAccount"].as_str().unwrap();
            for event in &events {
                let name = event["detail"]["serviceAccount"].as_str().unwrap();
                let code = (name != holder).then_some(BlockedCode::Conflict);
                assert_eq!(scenario.code(name, "blue"), code, "{name} in {order:?}");
                if name == holder {
                    let role = event["detail"]["roleArn"].as_str().unwrap();
                    assert!(role.ends_with(&format!("/{}", of_shared(&scenario))), "{order:?}");
                }
            }
            settled(&mut scenario);
        }
    }
}

#[test]
fn the_removal_names_the_role_that_was_taken_away_although_the_next_one_is_there() {
    for when in [When::Before, When::After] {
        let mut scenario = Scenario::registered();
        let holder = scenario.assigned_with("svc-a", "etl", shared());
        let waiting = scenario.assigned_with("svc-b", "report", shared());
        scenario.batch(&[holder, waiting]);
        let removal = scenario.unassigned("svc-a");
        // The association has its new role, and perhaps its new tag, when the run fails.
        scenario.ports.fault(PortFault::nth("TagResource", 1, when, ErrorKind::Passing));
        Scenario::assert_outcome(&scenario.send(&removal), Outcome::Failed);
        Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
        let removed = scenario.outcomes("Pod Identity Association Removed");
        assert!(!removed.is_empty());
        for event in removed {
            assert!(event["roleArn"].as_str().unwrap().ends_with("/etl"), "{event}");
        }
        settled(&mut scenario);
    }
}

#[test]
fn the_waiting_one_takes_over_when_the_holder_is_unassigned() {
    let mut scenario = Scenario::registered();
    let holder = scenario.assigned_with("svc-a", "etl", shared());
    let waiting = scenario.assigned_with("svc-b", "report", shared());
    scenario.send(&holder);
    Scenario::assert_outcome(&scenario.send(&waiting), Outcome::Blocked);
    let blocked = scenario.outcomes("Pod Identity Association Blocked");
    assert_eq!(blocked.len(), 2);
    assert_eq!(blocked[0]["code"], "conflict");
    assert!(blocked[0]["message"].as_str().unwrap().contains("svc-a"), "{blocked:?}");
    let removal = scenario.unassigned("svc-a");
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    assert_eq!(of_shared(&scenario), "report");
    assert_eq!(scenario.code("svc-b", "blue"), None);
    let ready = scenario.outcomes("Pod Identity Association Ready");
    assert_eq!(ready.iter().filter(|event| event["serviceAccount"] == "svc-b").count(), 2);
    let removed = scenario.outcomes("Pod Identity Association Removed");
    assert_eq!(removed.iter().filter(|event| event["serviceAccount"] == "svc-a").count(), 2);
    settled(&mut scenario);
}

/// Who holds the account after events that arrive one by one, and with which role: the first to be
/// recorded that has not given it up since.
fn holder_of(order: &[Value]) -> Option<(String, String)> {
    let mut current: BTreeMap<String, (String, Option<String>)> = BTreeMap::new();
    let mut queue: Vec<String> = Vec::new();
    for event in order {
        let detail = &event["detail"];
        let text = |field: &str| detail[field].as_str().map(str::to_owned);
        let (name, version) = (text("serviceAccount").unwrap(), text("occurredAt").unwrap());
        if current.get(&name).is_some_and(|(newest, _)| *newest > version) {
            continue;
        }
        let role = text("roleArn");
        match &role {
            Some(_) if !queue.contains(&name) => queue.push(name.clone()),
            Some(_) => {}
            None => queue.retain(|other| *other != name),
        }
        current.insert(name, (version, role));
    }
    let first = queue.first()?.clone();
    let role = current[&first].1.clone()?;
    Some((first, role.rsplit('/').next()?.to_owned()))
}

fn assert_held_as_recorded(events: &[Value]) {
    for order in permutations(events) {
        let mut scenario = Scenario::registered();
        for event in &order {
            scenario.send(event);
        }
        let (_, role) = holder_of(&order).unwrap();
        assert_eq!(of_shared(&scenario), role, "{order:?}");
        settled(&mut scenario);
    }
}

#[test]
fn a_change_of_role_does_not_lose_the_place() {
    let mut first = Scenario::registered();
    assert_held_as_recorded(&[
        first.assigned_with("svc-a", "etl", shared()),
        first.assigned_with("svc-b", "report", shared()),
        first.assigned_with("svc-a", "etl-2", shared()),
    ]);
}

#[test]
fn giving_the_place_up_in_between_loses_it() {
    let mut first = Scenario::registered();
    assert_held_as_recorded(&[
        first.assigned_with("svc-a", "etl", shared()),
        first.unassigned("svc-a"),
        first.assigned_with("svc-b", "report", shared()),
        first.assigned_with("svc-a", "etl-2", shared()),
    ]);
}

#[test]
fn no_date_in_an_event_takes_an_account() {
    let mut scenario = Scenario::registered();
    let ready = scenario.assigned_with("svc-etl", "etl", shared());
    let later = scenario.assigned_with("attacker", "report", shared());
    let mut backdated = scenario.assigned_with("attacker", "train", shared());
    backdated["detail"]["occurredAt"] = json!("1970-01-01T00:00:00Z");
    Scenario::assert_outcome(&scenario.send(&ready), Outcome::Applied);
    // As the first event of its sender, and as one that a newer one precedes.
    Scenario::assert_outcome(&scenario.send(&backdated), Outcome::Blocked);
    assert_eq!(of_shared(&scenario), "etl");
    Scenario::assert_outcome(&scenario.send(&later), Outcome::Blocked);
    Scenario::assert_outcome(&scenario.send(&backdated), Outcome::AlreadySuperseded);
    let mut superseded = backdated.clone();
    superseded["detail"]["eventId"] = json!("e-superseded");
    Scenario::assert_outcome(&scenario.send(&superseded), Outcome::Superseded);
    assert_eq!(of_shared(&scenario), "etl");
    assert_eq!(scenario.code("svc-etl", "blue"), None);
    assert_eq!(scenario.code("attacker", "blue"), Some(BlockedCode::Conflict));
    settled(&mut scenario);
}

#[test]
fn a_binding_that_is_widened_queues_only_on_the_clusters_that_are_added() {
    let mut scenario = Scenario::registered();
    let on = |names: &[&str]| {
        let clusters: Vec<_> = names.iter().map(|name| cluster(name)).collect();
        json!({ "kubernetes": { "serviceAccount": "shared" }, "clusters": clusters })
    };
    let events = [
        scenario.assigned_with("svc-a", "etl", on(&["blue"])),
        scenario.assigned_with("svc-b", "report", on(&["blue", "green"])),
        scenario.assigned_with("svc-a", "etl", on(&["blue", "green"])),
    ];
    for event in &events {
        scenario.send(event);
    }
    assert_eq!(scenario.associations("blue")[0].1, "etl");
    assert_eq!(scenario.associations("green")[0].1, "report");
    // Narrowed and widened to all: what was covered all along keeps its number.
    let events = [
        scenario.assigned_with("svc-a", "etl", on(&["blue"])),
        scenario.assigned_with("svc-a", "etl", shared()),
        scenario.unassigned("svc-b"),
    ];
    scenario.send(&events[0]);
    scenario.send(&events[1]);
    assert_eq!(scenario.associations("blue")[0].1, "etl");
    assert_eq!(scenario.associations("green")[0].1, "report");
    scenario.send(&events[2]);
    assert_eq!(scenario.associations("green")[0].1, "etl");
    settled(&mut scenario);
}

#[test]
fn beyond_the_queue_a_binding_is_blocked_until_there_is_room() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events: Vec<Value> = (0..=MAX_CLAIMS)
        .map(|n| scenario.assigned_with(&format!("svc-{n:02}"), "etl", shared()))
        .collect();
    for event in &events {
        scenario.send(event);
    }
    let last = format!("svc-{MAX_CLAIMS:02}");
    assert_eq!(scenario.code(&last, "blue"), Some(BlockedCode::Conflict));
    for n in 0..MAX_CLAIMS {
        let removal = scenario.unassigned(&format!("svc-{n:02}"));
        scenario.send(&removal);
    }
    assert_eq!(scenario.associations("blue"), []);
    scenario.advance(300);
    reconcile_blue(&mut scenario);
    assert_eq!(of_shared(&scenario), "etl");
    assert_eq!(scenario.condition(&last, "blue").unwrap().state, ConditionState::Ready);
    settled(&mut scenario);
}

fn reconcile_blue(scenario: &mut Scenario) {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, scope) = (&scenario.ports, Scope::of(cluster("blue")));
    let future =
        reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &scope);
    let done = drive(future, || {}).unwrap();
    assert!(done.failures.is_empty(), "{done:?}");
}

#[test]
fn a_claim_that_the_rules_no_longer_admit_is_blocked_and_keeps_what_is_there() {
    let mut scenario = Scenario::registered();
    let holder = scenario.assigned_with("svc-a", "etl", shared());
    let waiting = scenario.assigned_with("svc-b", "report", shared());
    scenario.batch(&[holder.clone(), waiting]);
    let wide = scenario.settings.rules.roles.clone();
    scenario.settings.rules.roles =
        vec![Pattern::new("arn:aws:iam::111122223333:role/domino/report")];
    let removal = scenario.unassigned("svc-b");
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    assert_eq!(scenario.code("svc-a", "blue"), Some(BlockedCode::NotAllowed));
    assert_eq!(of_shared(&scenario), "etl");
    let blocked = scenario.outcomes("Pod Identity Association Blocked");
    let refused: Vec<_> = blocked.iter().filter(|event| event["code"] == "notAllowed").collect();
    assert_eq!(refused.len(), 2);
    assert!(refused[0]["message"].as_str().unwrap().contains("ROLES"));

    scenario.settings.rules.roles = wide;
    Scenario::assert_outcome(&scenario.send(&holder), Outcome::Applied);
    assert_eq!(scenario.code("svc-a", "blue"), None);
    settled(&mut scenario);
}

#[test]
fn somebody_whose_old_place_is_taken_over_is_ready_at_the_new_one() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let before = scenario.assigned_with("svc-a", "etl", shared());
    scenario.send(&before);
    let elsewhere = json!({ "kubernetes": { "serviceAccount": "elsewhere" } });
    let moved = scenario.assigned_with("svc-a", "etl", elsewhere);
    scenario.ports.fault(PortFault::nth(
        "DeletePodIdentityAssociation",
        1,
        When::Before,
        ErrorKind::Denied,
    ));
    Scenario::assert_outcome(&scenario.send(&moved), Outcome::Blocked);
    scenario.ports.clear_faults();
    let next = scenario.assigned_with("svc-b", "report", shared());
    Scenario::assert_outcome(&scenario.send(&next), Outcome::Applied);
    assert_eq!(scenario.condition("svc-a", "blue").unwrap().state, ConditionState::Ready);
    settled(&mut scenario);
}

/// Assigns an account that is shared, to as many as the ledger queues.
fn full(scenario: &mut Scenario) {
    for n in 0..MAX_CLAIMS {
        let event = scenario.assigned_with(&format!("svc-{n:02}"), "etl", shared());
        scenario.send(&event);
    }
}

fn look(scenario: &mut Scenario) {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, scope) = (&scenario.ports, Scope::of(cluster("blue")));
    let future =
        reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &scope);
    drive(future, || {}).unwrap();
}

#[test]
fn who_found_no_room_among_the_claims_has_the_next_turn_by_how_long_it_waits() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    full(&mut scenario);
    // By name and by date the later one would be first.
    let waits = scenario.assigned_with("waits", "report", shared());
    scenario.send(&waits);
    scenario.advance(60);
    let mut later = scenario.assigned_with("later", "train", shared());
    later["detail"]["occurredAt"] = json!("1970-01-01T00:00:00Z");
    scenario.send(&later);
    let leaves = scenario.unassigned("svc-07");
    scenario.send(&leaves);
    // There is room, but not for who comes only now.
    scenario.advance(60);
    let last = scenario.assigned_with("a-last", "train", shared());
    scenario.send(&last);
    look(&mut scenario);
    let others: Vec<Value> =
        (0..MAX_CLAIMS).map(|n| scenario.unassigned(&format!("svc-{n:02}"))).collect();
    scenario.batch(&others);
    look(&mut scenario);
    assert_eq!(of_shared(&scenario), "report");
    let leaves = scenario.unassigned("waits");
    scenario.send(&leaves);
    assert_eq!(scenario.code("later", "blue"), None);
    look(&mut scenario);
    settled(&mut scenario);
}
