//! Latest version wins, in whatever order and however often events arrive.

use pod_identity_engine::Outcome;
use serde_json::Value;

use crate::check::{End, settled};
use crate::scenario::Scenario;

#[test]
fn the_ledger_of_another_deployment_is_left_alone_and_nothing_is_done() {
    let mut scenario = Scenario::registered();
    let assigned = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&assigned), Outcome::Applied);
    let items =
        |scenario: &Scenario| scenario.ports.world().ledger.items().cloned().collect::<Vec<_>>();
    let before = (End::of(&scenario), items(&scenario));
    scenario.settings.plan.deployment = "other".to_owned();
    let (unassigned, again) = (scenario.unassigned("svc-etl"), scenario.assigned("svc-x", "etl"));
    let report = scenario.batch(&[unassigned, again]);
    for record in &report.records {
        Scenario::assert_outcome(record, Outcome::Failed);
        let said = record.lines.join("; ");
        assert!(said.contains("that of deployment `acme`"), "{said}");
        assert!(said.contains("LEDGER_TABLE or DEPLOYMENT_ID"), "{said}");
    }
    assert_eq!((End::of(&scenario), items(&scenario)), before);
}

/// Every order of some events.
pub(crate) fn permutations(events: &[Value]) -> Vec<Vec<Value>> {
    if events.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..events.len() {
        let mut rest = events.to_vec();
        let first = rest.remove(at);
        for mut order in permutations(&rest) {
            order.insert(0, first.clone());
            all.push(order);
        }
    }
    all
}

fn assign_change_unassign_assign(scenario: &mut Scenario) -> Vec<Value> {
    vec![
        scenario.assigned("svc-etl", "etl"),
        scenario.assigned("svc-etl", "etl-2"),
        scenario.unassigned("svc-etl"),
        scenario.assigned("svc-etl", "train"),
    ]
}

/// The policies list what was once granted, which depends on the order.
fn end_of(scenario: &Scenario) -> End {
    End { policies: Default::default(), ..End::of(scenario) }
}

#[test]
fn any_order_and_any_repetition_of_the_same_events_end_alike() {
    let mut faultless = Scenario::registered();
    let events = assign_change_unassign_assign(&mut faultless);
    for event in &events {
        Scenario::assert_outcome(&faultless.send(event), Outcome::Applied);
    }
    let expected = end_of(&faultless);
    for order in permutations(&events) {
        let mut one_by_one = Scenario::registered();
        for event in &order {
            let first = one_by_one.send(event);
            assert_ne!(first.outcome, Outcome::Failed, "{first:?}");
            one_by_one.send(event);
        }
        assert_eq!(end_of(&one_by_one), expected, "{order:?}");
        settled(&mut one_by_one);

        let mut together = Scenario::registered();
        let twice: Vec<Value> = order.iter().chain(&order).cloned().collect();
        together.batch(&twice);
        assert_eq!(end_of(&together), expected, "{order:?}");
        settled(&mut together);
    }
}

#[test]
fn any_order_that_ends_with_a_removal_leaves_no_association() {
    let mut first = Scenario::registered();
    let mut events = assign_change_unassign_assign(&mut first);
    events.push(first.unassigned("svc-etl"));
    events.remove(1);
    for order in permutations(&events) {
        let mut scenario = Scenario::registered();
        for event in &order {
            scenario.send(event);
        }
        for name in ["blue", "green"] {
            assert!(scenario.associations(name).is_empty(), "{order:?}");
            let condition = scenario.condition("svc-etl", name);
            assert!(condition.is_none_or(|c| c.wanted.is_none() && c.leaving.is_empty()));
        }
        settled(&mut scenario);
    }
}

#[test]
fn a_superseded_removal_raises_an_event_and_keeps_the_association() {
    let mut scenario = Scenario::registered();
    let assigned = scenario.assigned("svc-etl", "etl");
    let removed = scenario.unassigned("svc-etl");
    let newer = scenario.assigned("svc-etl", "etl-2");
    scenario.send(&assigned);
    scenario.send(&newer);
    let report = scenario.send(&removed);
    Scenario::assert_outcome(&report, Outcome::Superseded);
    let raised = scenario.outcomes("Service Account Event Superseded");
    assert_eq!(raised.len(), 1);
    assert_eq!(raised[0]["superseded"]["eventId"], removed["detail"]["eventId"]);
    assert_eq!(raised[0]["by"]["eventId"], newer["detail"]["eventId"]);
    assert_eq!(raised[0]["by"]["detailType"], "Service Account Role Assigned");
    assert_eq!(scenario.associations("blue")[0].1, "etl-2");
    // A redelivery is superseded again: the sender hears of it at least once.
    Scenario::assert_outcome(&scenario.send(&removed), Outcome::Superseded);
    settled(&mut scenario);
}

#[test]
fn a_superseded_deactivation_raises_an_event() {
    let mut scenario = Scenario::registered();
    let removed = scenario.deactivated("svc-etl");
    let newer = scenario.assigned("svc-etl", "etl");
    scenario.send(&newer);
    Scenario::assert_outcome(&scenario.send(&removed), Outcome::Superseded);
    assert_eq!(scenario.outcomes("Service Account Event Superseded").len(), 1);
    assert_eq!(scenario.associations("blue").len(), 1);
    settled(&mut scenario);
}

#[test]
fn a_superseded_assignment_raises_none_but_is_remembered() {
    let mut scenario = Scenario::registered();
    let older = scenario.assigned("svc-etl", "etl");
    let newer = scenario.assigned("svc-etl", "etl-2");
    scenario.send(&newer);
    Scenario::assert_outcome(&scenario.send(&older), Outcome::Superseded);
    assert!(scenario.outcomes("Service Account Event Superseded").is_empty());
    {
        let world = scenario.ports.world();
        let history: Vec<_> = world
            .ledger
            .items()
            .filter(|item| item.key.partition == "HISTORY#svc-etl")
            .map(|item| item.body["outcome"].clone())
            .collect();
        assert_eq!(history, ["superseded", "accepted"]);
        let notice = world
            .ledger
            .items()
            .find(|item| item.key.partition == "SUPERSEDED#2026-11-20")
            .expect("a notice");
        assert_eq!(notice.body["original"], older.to_string());
        assert!(world.ledger.expires_at(&notice.key).is_some());
    }
    settled(&mut scenario);
}

#[test]
fn an_overtaken_redelivery_is_neither_superseded_nor_carried_out() {
    let mut scenario = Scenario::registered();
    let removed = scenario.unassigned("svc-etl");
    let newer = scenario.assigned("svc-etl", "etl");
    scenario.send(&removed);
    scenario.send(&newer);
    Scenario::assert_outcome(&scenario.send(&removed), Outcome::AlreadySuperseded);
    assert!(scenario.outcomes("Service Account Event Superseded").is_empty());
    let notices = |scenario: &Scenario| {
        let world = scenario.ports.world();
        world.ledger.items().filter(|i| i.key.partition.starts_with("SUPERSEDED#")).count()
    };
    assert_eq!(notices(&scenario), 0);
    assert_eq!(scenario.associations("blue").len(), 1);
    settled(&mut scenario);
}

#[test]
fn assignment_and_removal_in_one_batch_are_one_transaction_and_make_nothing() {
    for backwards in [false, true] {
        let mut scenario = Scenario::registered();
        let mut batch = vec![scenario.assigned("svc-etl", "etl"), scenario.unassigned("svc-etl")];
        if backwards {
            batch.reverse();
        }
        scenario.ports.world().calls.clear();
        let report = scenario.batch(&batch);
        for record in &report.records {
            assert_ne!(record.outcome, Outcome::Failed, "{record:?}");
        }
        {
            let world = scenario.ports.world();
            let first = world.calls.iter().position(|c| c.operation == "TransactWriteItems");
            let accepted = &world.calls[first.unwrap()];
            // Binding, two histories, claims, two conditions, the number of names.
            assert_eq!(accepted.object, "7 items of the ledger");
            assert_eq!(world.count("CreatePodIdentityAssociation"), 0);
        }
        assert!(scenario.associations("blue").is_empty());
        settled(&mut scenario);
    }
}

#[test]
fn a_removal_of_an_unknown_account_beats_an_older_assignment_that_comes_later() {
    let mut scenario = Scenario::registered();
    let assigned = scenario.assigned("svc-etl", "etl");
    let removed = scenario.unassigned("svc-etl");
    let report = scenario.send(&removed);
    Scenario::assert_outcome(&report, Outcome::Applied);
    assert!(report.lines[0].contains("remembered"), "{report:?}");
    Scenario::assert_outcome(&scenario.send(&assigned), Outcome::Superseded);
    assert!(scenario.associations("blue").is_empty());
    settled(&mut scenario);
}

#[test]
fn a_newer_assignment_binds_a_deactivated_account_again() {
    let mut scenario = Scenario::registered();
    let events = [
        scenario.assigned("svc-etl", "etl"),
        scenario.deactivated("svc-etl"),
        scenario.assigned("svc-etl", "etl"),
    ];
    scenario.send(&events[0]);
    scenario.send(&events[1]);
    let removed = scenario.outcomes("Pod Identity Association Removed");
    assert_eq!(removed.len(), 2);
    assert!(removed.iter().all(|event| event["reason"] == "deactivated"));
    assert!(removed.iter().all(|event| event["associationId"].is_string()));
    Scenario::assert_outcome(&scenario.send(&events[2]), Outcome::Applied);
    assert_eq!(scenario.associations("green").len(), 1);
    settled(&mut scenario);
}
