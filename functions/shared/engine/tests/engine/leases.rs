//! One writer per cluster at a time.

use std::task::{Context, Poll, Waker};

use pod_identity_engine::ledger::lease_key;
use pod_identity_engine::ports::{Expect, Write};
use pod_identity_engine::{Outcome, process};
use pod_identity_world::World;

use crate::check::{End, settled};
use crate::scenario::{Scenario, cluster, records};

fn hold(scenario: &Scenario, seconds: i64) {
    let until = scenario.in_seconds(seconds);
    scenario.ports.world().hold_lease(&cluster("blue"), until).unwrap();
}

fn is_change(operation: &str) -> bool {
    ["Create", "Update", "Delete", "Attach", "Tag"].iter().any(|verb| operation.starts_with(verb))
}

#[test]
fn while_somebody_else_holds_the_lease_the_record_fails_and_nothing_changes() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    hold(&scenario, 3_600);
    let event = scenario.assigned("svc-etl", "etl");
    let report = scenario.send(&event);
    Scenario::assert_outcome(&report, Outcome::Failed);
    assert!(report.lines[0].contains("somebody"), "{report:?}");
    {
        let world = scenario.ports.world();
        assert!(!world.calls.iter().any(|call| is_change(&call.operation)));
        let lease = world.ledger.get(&lease_key(&cluster("blue"))).expect("still theirs");
        assert_eq!(lease.body["owner"], "somebody");
    }
    scenario.advance(3_600);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    settled(&mut scenario);
}

#[test]
fn a_lease_that_expires_while_somebody_waits_is_taken_over() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    hold(&scenario, 10);
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    settled(&mut scenario);
}

#[test]
fn a_run_whose_lease_was_taken_over_writes_no_condition() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "etl");
    let create = "CreatePodIdentityAssociation";
    let mut stolen = false;
    let deadline = scenario.in_seconds(60);
    let report =
        scenario.batch_with(std::slice::from_ref(&event), deadline, |world: &mut World| {
            if !stolen && world.calls.iter().any(|call| call.operation == create) {
                stolen = true;
                let key = lease_key(&cluster("blue"));
                let mut item = world.ledger.get(&key).unwrap().clone();
                item.revision = "thief/1".to_owned();
                world
                    .ledger_write(&[Write::Put {
                        item,
                        expires_at: None,
                        expect: Expect::Anything,
                    }])
                    .unwrap();
            }
        });
    assert!(stolen);
    Scenario::assert_outcome(&report.records[0], Outcome::Failed);
    assert!(scenario.condition("svc-etl", "blue").unwrap().association.is_none());
    scenario.advance(121);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(scenario.associations("blue").len(), 1);
    settled(&mut scenario);
}

#[test]
fn two_runs_at_once_both_finish_and_end_as_one_after_the_other() {
    let prepared = || {
        let mut scenario = Scenario::registered();
        let shared = serde_json::json!({ "kubernetes": { "serviceAccount": "shared" } });
        let left = vec![
            scenario.assigned("svc-a", "etl"),
            scenario.assigned_with("svc-b", "report", shared.clone()),
        ];
        let right = vec![
            scenario.assigned_with("svc-c", "train", shared),
            scenario.assigned("svc-d", "etl-2"),
        ];
        (scenario, left, right)
    };
    let (mut one_after_the_other, left, right) = prepared();
    one_after_the_other.batch(&left);
    one_after_the_other.batch(&right);
    let expected = End::of(&one_after_the_other);

    // Whoever is ahead by how many polls.
    for ahead in 0..60 {
        let (mut scenario, left, right) = prepared();
        scenario.sent.extend(left.iter().chain(&right).cloned());
        let texts = |events: &[serde_json::Value]| -> Vec<String> {
            events.iter().map(ToString::to_string).collect()
        };
        let (first, second) = (records(&texts(&left)), records(&texts(&right)));
        let runs = (scenario.next_run(), scenario.next_run());
        let (ours, theirs) = (scenario.ports.clone(), scenario.other_ports());
        let deadline = scenario.in_seconds(300);
        let settings = scenario.settings.clone();
        let mut reports = (None, None);
        {
            let mut one = std::pin::pin!(process(
                ours.cloud(&runs.0, &settings, deadline),
                ours.writers(),
                &first
            ));
            let mut other = std::pin::pin!(process(
                theirs.cloud(&runs.1, &settings, deadline),
                theirs.writers(),
                &second
            ));
            let mut context = Context::from_waker(Waker::noop());
            for turn in 0.. {
                assert!(turn < 100_000, "they never end");
                if reports.0.is_none()
                    && let Poll::Ready(report) = one.as_mut().poll(&mut context)
                {
                    reports.0 = Some(report);
                }
                if turn >= ahead
                    && reports.1.is_none()
                    && let Poll::Ready(report) = other.as_mut().poll(&mut context)
                {
                    reports.1 = Some(report);
                }
                if reports.0.is_some() && reports.1.is_some() {
                    break;
                }
            }
        }
        // One that met the other's write fails for a passing reason and is delivered again.
        for (report, batch) in [(reports.0.unwrap(), &left), (reports.1.unwrap(), &right)] {
            for (record, event) in report.records.iter().zip(batch) {
                if record.outcome == Outcome::Failed {
                    assert_ne!(scenario.send(event).outcome, Outcome::Failed, "{record:?}");
                }
            }
        }
        let end = End::of(&scenario);
        assert_eq!(end.associations, expected.associations, "{ahead} ahead");
        assert_eq!(end.conditions, expected.conditions, "{ahead} ahead");
        assert_eq!(end.policies, expected.policies, "{ahead} ahead");
        settled(&mut scenario);
    }
}
