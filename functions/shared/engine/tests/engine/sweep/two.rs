//! Two sweeps at once.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;

#[test]
fn while_one_sweeps_another_waits_and_fails() {
    let (mut stage, pod) = Stage::revoked();
    let other = stage.scenario.other_ports();
    let (run, deadline) = (stage.scenario.next_run(), stage.scenario.in_seconds(30));
    let (settings, inside) = (stage.scenario.settings.clone(), stage.inside.clone());
    let scope = Stage::scope();
    let mut slow = Box::pin(reconcile_workloads(
        other.workloads(&run, &settings, &inside, deadline),
        other.workloads_writers(),
        &scope,
    ));
    other.allow(2);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..50 {
        assert!(slow.as_mut().poll(&mut context).is_pending());
    }
    let failed = stage.work_with(&Stage::scope(), 20, |_| {}).unwrap_err();
    assert!(failed.contains("is being changed by invocation"), "{failed}");
    assert!(stage.is_there(&pod));
}

/// Both act in turns, call by call, after the slow one's lease ran out after so many calls.
/// Answers false when the slow one needed no more calls.
fn interleaved(calls: usize) -> bool {
    let mut stage = Stage::bound();
    let pods: Vec<Name> = (0..3).map(|_| stage.pod("svc-etl")).collect();
    stage.pod("svc-train");
    stage.pod("svc-train");
    stage.scenario.advance(100);
    stage.unbind("svc-etl");
    stage.scenario.advance(100);
    let slow_ports = stage.scenario.other_ports();
    let quick_ports = stage.scenario.other_ports();
    let settings = stage.scenario.settings.clone();
    let (inside, scope) = (stage.inside.clone(), Stage::scope());
    let (slow_run, quick_run) = (stage.scenario.next_run(), stage.scenario.next_run());
    let deadline = stage.scenario.in_seconds(900);
    slow_ports.allow(calls);
    let mut slow = Box::pin(reconcile_workloads(
        slow_ports.workloads(&slow_run, &settings, &inside, deadline),
        slow_ports.workloads_writers(),
        &scope,
    ));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..200 {
        if slow.as_mut().poll(&mut context).is_ready() {
            return false;
        }
    }
    stage.scenario.advance(i64::try_from(settings.lease.as_secs()).unwrap() + 1);
    let mut quick = Box::pin(reconcile_workloads(
        quick_ports.workloads(&quick_run, &settings, &inside, deadline),
        quick_ports.workloads_writers(),
        &scope,
    ));
    let (mut slow_done, mut quick_done) = (None, None);
    quick_ports.allow(0);
    for turn in 0..100_000 {
        let ports = if turn % 2 == 0 { &quick_ports } else { &slow_ports };
        ports.allow(1);
        for _ in 0..4 {
            if slow_done.is_none()
                && let Poll::Ready(done) = slow.as_mut().poll(&mut context)
            {
                slow_done = Some(done);
            }
            if quick_done.is_none()
                && let Poll::Ready(done) = quick.as_mut().poll(&mut context)
            {
                quick_done = Some(done);
            }
        }
        ports.allow(0);
        if slow_done.is_some() && quick_done.is_some() {
            break;
        }
    }
    let quick_done = quick_done.unwrap().unwrap().sweep.unwrap();
    assert!(quick_done.failures.is_empty(), "{calls}: {quick_done:?}");
    slow_ports.allow(usize::MAX);
    assert!(slow_done.is_some());
    assert!(pods.iter().all(|pod| !stage.is_there(pod)), "{calls}");
    let evictions = stage.scenario.outcomes("Stale Pod Evicted");
    let uids: std::collections::BTreeSet<String> =
        evictions.iter().map(|event| event["pod"]["uid"].to_string()).collect();
    assert_eq!(uids.len(), 3, "{calls}");
    let world = stage.ports.world();
    let pods = world.calls.iter().filter(|call| call.operation == "create pods/eviction");
    assert!(pods.count() <= 6, "{calls}");
    true
}

#[test]
fn two_sweeps_of_which_one_lost_its_lease_evict_each_stale_pod_and_nothing_else() {
    let interleaved = (1..).take_while(|calls| interleaved(*calls)).count();
    assert!(interleaved > 15, "{interleaved}");
}

#[test]
fn a_run_that_lost_its_lease_evicts_nobody_after_it() {
    let (mut stage, pod) = Stage::revoked();
    stage.scenario.settings.longest_call = Duration::from_secs(5);
    let mut acted = false;
    let report = stage.work_with(&Stage::scope(), 300, |world| {
        if !acted && just_called(world, "list pods", 1) {
            acted = true;
            // Its time runs out, and somebody takes it.
            world.now += jiff::SignedDuration::from_secs(61);
            let key = pod_identity_engine::ledger::inside_lease_key(&cluster("blue"));
            let body = json!({ "owner": "somebody", "expiresAt": world.now });
            let item = Item { key, revision: "somebody/1".to_owned(), body };
            let write = Write::Put { item, expires_at: None, expect: Expect::Anything };
            world.ledger_write(&[write]).unwrap();
        }
    });
    assert!(acted && report.is_err());
    assert!(stage.is_there(&pod));
    assert_eq!(stage.count("create pods/eviction"), 0);
}
