//! Evictions are noted before they are made: each is told, whatever becomes of its run.

use std::task::{Context, Waker};

use pod_identity_engine::ledger::{Intended, intended_key};
use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{PortFault, When};

use super::*;

fn noted(stage: &Stage) -> usize {
    let intended: Option<Intended> = stage.record(&intended_key(&cluster("blue")));
    intended.unwrap_or_default().evictions.len()
}

/// A sweep that dies after so many calls. Answers whether it came to its end.
fn die_after(stage: &mut Stage, calls: usize) -> bool {
    let ports = stage.scenario.other_ports();
    let (run, deadline) = (stage.scenario.next_run(), stage.scenario.in_seconds(300));
    let (settings, inside) = (stage.scenario.settings.clone(), stage.inside.clone());
    let scope = Stage::scope();
    let mut dying = Box::pin(reconcile_workloads(
        ports.workloads(&run, &settings, &inside, deadline),
        ports.workloads_writers(),
        &scope,
    ));
    ports.allow(calls);
    let mut context = Context::from_waker(Waker::noop());
    (0..200).any(|_| dying.as_mut().poll(&mut context).is_ready())
}

fn reported_pods(stage: &Stage) -> Vec<String> {
    let events = stage.scenario.outcomes("Stale Pod Evicted");
    let mut names: Vec<String> =
        events.iter().map(|event| event["pod"]["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn whenever_a_sweep_dies_every_pod_that_it_evicted_is_told() {
    let mut late = 0;
    for calls in 0.. {
        let (mut stage, first) = Stage::revoked();
        let mut pods = vec![first];
        stage.bind("svc-etl", "etl");
        stage.scenario.advance(100);
        pods.extend([stage.pod("svc-etl"), stage.pod("svc-etl")]);
        stage.scenario.advance(100);
        stage.unbind("svc-etl");
        stage.scenario.advance(100);
        let finished = die_after(&mut stage, calls);
        let gone: Vec<String> =
            pods.iter().filter(|pod| !stage.is_there(pod)).map(ToString::to_string).collect();
        let reported_before = reported_pods(&stage);
        assert!(reported_before.iter().all(|name| gone.contains(name)));
        late += usize::from(reported_before.len() < gone.len());
        stage.scenario.advance(600);
        stage.sweep();
        let mut all: Vec<String> = pods.iter().map(ToString::to_string).collect();
        all.sort();
        assert_eq!(reported_pods(&stage), all, "after {calls} calls");
        assert_eq!(noted(&stage), 0, "after {calls} calls");
        if finished {
            break;
        }
    }
    assert!(late > 0, "no run died between evicting and telling");
}

#[test]
fn a_pod_that_was_noted_and_runs_on_is_not_told() {
    let mut at_note = 0;
    for calls in 0..40 {
        let (mut stage, pod) = Stage::revoked();
        die_after(&mut stage, calls);
        if noted(&stage) == 0 || !stage.is_there(&pod) {
            continue;
        }
        at_note += 1;
        // Its role is given back before anybody sweeps again.
        stage.bind("svc-etl", "etl");
        stage.scenario.advance(600);
        let done = stage.sweep();
        assert!(stage.is_there(&pod));
        assert_eq!((done.published, noted(&stage)), (0, 0));
        assert_eq!(reported_pods(&stage), Vec::<String>::new());
    }
    assert!(at_note > 0);
}

#[test]
fn evictions_that_the_bus_does_not_take_are_told_once_it_does() {
    let (mut stage, pod) = Stage::revoked();
    let fault = PortFault::nth("PutEvents", 1, When::Before, ErrorKind::Passing);
    stage.ports.fault(PortFault { lasting: true, ..fault });
    let done = stage.sweep();
    assert_eq!((names(&done.evicted), done.unpublished.len()), (vec![pod.as_str()], 1));
    assert_eq!(noted(&stage), 1);
    assert_eq!(stage.sweep().unpublished.len(), 1);
    stage.ports.clear_faults();
    assert_eq!(stage.sweep().published, 1);
    assert_eq!((reported_pods(&stage), noted(&stage)), (vec![pod.to_string()], 0));
    let events = stage.scenario.outcomes("Stale Pod Evicted");
    assert!(events[0]["reason"].as_str().unwrap().contains("told late"), "{events:?}");
}

#[test]
fn what_cannot_be_noted_is_not_evicted() {
    let (mut stage, pod) = Stage::revoked();
    // The first takes the lease.
    stage.ports.fault(PortFault::nth("TransactWriteItems", 2, When::Before, ErrorKind::Passing));
    let done = stage.sweep();
    assert!(done.evicted.is_empty() && done.left && stage.is_there(&pod));
    assert_eq!(names(&stage.sweep().evicted), [pod.as_str()]);
}

#[test]
fn a_namespace_that_cannot_be_looked_at_keeps_its_notes() {
    let (mut stage, pod) = Stage::revoked();
    let calls = (0..40).find(|calls| {
        let (mut stage, pod) = Stage::revoked();
        die_after(&mut stage, *calls);
        !stage.is_there(&pod) && reported_pods(&stage).is_empty()
    });
    die_after(&mut stage, calls.unwrap());
    stage.scenario.advance(600);
    let fault = PortFault::nth("list pods", 1, When::Before, ErrorKind::Passing);
    stage.ports.fault(PortFault { lasting: true, ..fault });
    stage.sweep();
    assert_eq!((reported_pods(&stage), noted(&stage)), (Vec::new(), 1));
    stage.ports.clear_faults();
    stage.sweep();
    assert_eq!((reported_pods(&stage), noted(&stage)), (vec![pod.to_string()], 0));
}

#[test]
fn one_note_serves_all_evictions_of_a_round() {
    let (mut stage, _) = Stage::revoked();
    let before = stage.count("TransactWriteItems");
    stage.sweep();
    // The lease, the note, what was told, and what was found.
    assert_eq!(stage.count("TransactWriteItems") - before, 4);
    let before = stage.count("TransactWriteItems");
    stage.sweep();
    assert_eq!(stage.count("TransactWriteItems") - before, 2);
}
