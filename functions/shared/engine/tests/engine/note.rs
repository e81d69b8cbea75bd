//! What a reconciliation notes for whoever asks how things are.

use pod_identity_core::ServiceAccountRef;
use pod_identity_engine::ledger::{ConditionState, ReconciledRecord, View, reconciled_key};
use pod_identity_engine::ports::ErrorKind;
use pod_identity_engine::{Reconciled, Record, Scope, reconcile, record};
use pod_identity_world::{PortFault, When};
use serde_json::Value;

use crate::scenario::{Scenario, cluster, drive};

/// More associations than there are.
const NEVER: usize = usize::MAX;

/// Takes events into the ledger and reconciles nothing.
fn accept(scenario: &mut Scenario, events: &[Value]) {
    let record_of = |(at, event): (usize, &Value)| Record {
        id: at.to_string(),
        text: event.to_string(),
        deliveries: 0,
    };
    let records: Vec<Record> = events.iter().enumerate().map(record_of).collect();
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(600));
    let (ports, settings) = (&scenario.ports, &scenario.settings);
    let writers = ports.writers();
    let context = ports.context(&run, settings, deadline);
    drive(record(context, writers.ledger, writers.bus, &records), || {});
}

/// So many service accounts are bound in the ledger, and nothing is there yet.
fn bound(count: usize) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events: Vec<Value> =
        (0..count).map(|at| scenario.assigned(&format!("svc-{at:04}"), "etl")).collect();
    accept(&mut scenario, &events);
    scenario.advance(300);
    scenario
}

fn note(scenario: &Scenario) -> Option<ReconciledRecord> {
    let (key, mut view) = (reconciled_key(&cluster("blue")), View::default());
    drive(view.read(&scenario.ports, std::slice::from_ref(&key)), || {}).unwrap();
    view.get(&key).unwrap()
}

/// As the function does it. Time is over once so many associations are there.
fn run_until(
    scenario: &mut Scenario,
    after: Option<ServiceAccountRef>,
    there: usize,
) -> Reconciled {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(20));
    let scope = Scope { after, ..Scope::of(cluster("blue")) };
    let (ports, settings, mut over) = (&scenario.ports, &scenario.settings, false);
    let future = reconcile(ports.cloud(&run, settings, deadline), ports.writers(), &scope);
    let done = drive(future, || {
        if !over && ports.world().eks.associations(&cluster("blue")).len() == there {
            over = true;
            scenario.advance(16);
        }
    });
    let done = done.unwrap();
    scenario.note_reconciled(&run, &scope, &done);
    scenario.advance(300);
    done
}

fn ready(note: &ReconciledRecord) -> Option<usize> {
    note.states.get(&ConditionState::Ready).copied()
}

#[test]
fn what_is_handed_on_notes_what_is_ready_so_far_and_that_it_goes_on() {
    let mut scenario = bound(900);
    let (mut after, mut seen) = (None, Vec::new());
    for there in [400, 800, 900] {
        after = run_until(&mut scenario, after, there).left;
        let note = note(&scenario).unwrap();
        assert_eq!((note.bindings, &note.goes_on), (Some(900), &after));
        assert!(note.capacity.is_some(), "a part that does not look at it keeps what is known");
        seen.push((ready(&note), note.goes_on.is_some()));
    }
    assert_eq!(seen, [(Some(400), true), (Some(800), true), (Some(900), false)]);
}

#[test]
fn what_dies_between_two_parts_has_noted_the_first() {
    let mut scenario = bound(900);
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (scope, ports) = (Scope::of(cluster("blue")), &scenario.ports);
    let mut halfway = None;
    let future =
        reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &scope);
    drive(future, || {
        if halfway.is_none() && ports.world().eks.associations(&scope.cluster).len() > 401 {
            halfway = note(&scenario);
        }
    })
    .unwrap();
    let halfway = halfway.unwrap();
    assert_eq!((ready(&halfway), halfway.bindings), (Some(400), Some(900)));
    assert!(halfway.goes_on.is_some());
}

#[test]
fn what_was_put_back_counts_in_all_parts_of_one_reconciliation() {
    let mut scenario = bound(900);
    run_until(&mut scenario, None, NEVER);
    for at in [3, 899] {
        let mut world = scenario.ports.world();
        let place = format!("svc-{at:04}-sa");
        let id = world.eks.find(&cluster("blue"), "domino-compute", &place).unwrap().id.clone();
        let somebody = crate::policies::administrator();
        world.delete_pod_identity_association(&somebody, "blue", &id).unwrap();
    }
    let after = run_until(&mut scenario, None, 899).left;
    assert_eq!(note(&scenario).unwrap().corrected, 1);
    let left = run_until(&mut scenario, after.clone(), NEVER).left;
    assert_eq!((left, note(&scenario).unwrap().corrected), (None, 2));
    // What goes on behind another place is another reconciliation.
    run_until(&mut scenario, after, NEVER);
    assert_eq!(note(&scenario).unwrap().corrected, 0);
}

#[test]
fn a_cluster_that_is_left_alone_keeps_what_was_counted_and_when() {
    let mut scenario = bound(1);
    run_until(&mut scenario, None, NEVER);
    let before = note(&scenario).unwrap();
    let denied = |operation| PortFault::nth(operation, 1, When::Before, ErrorKind::Denied);
    for _ in 0..2 {
        scenario.ports.fault(denied("ListPodIdentityAssociations"));
        run_until(&mut scenario, None, NEVER);
        let alone = note(&scenario).unwrap();
        assert!(alone.skipped.is_some() && alone.at > before.at);
        assert_eq!((&alone.states, alone.bindings), (&before.states, Some(1)));
        assert_eq!((alone.counted_at, &alone.capacity), (Some(before.at), &before.capacity));
    }
}

#[test]
fn ready_as_before_the_last_change_is_not_counted_as_ready() {
    let mut scenario = bound(1);
    run_until(&mut scenario, None, NEVER);
    assert_eq!(ready(&note(&scenario).unwrap()), Some(1));
    let event = scenario.assigned("svc-0000", "report");
    accept(&mut scenario, &[event]);
    let beyond = ServiceAccountRef::new("x", "x").ok();
    run_until(&mut scenario, beyond, NEVER);
    let note = note(&scenario).unwrap();
    assert_eq!((ready(&note), note.bindings), (None, Some(1)));
    assert_eq!(note.states.get(&ConditionState::Pending), Some(&1));
}
