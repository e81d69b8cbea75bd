//! A removal is remembered, whenever the run that does it dies; so are the last sweeps' counts.

use pod_identity_core::ServiceAccountRef;
use pod_identity_core::sweep::Case;
use pod_identity_engine::ledger::{Sweeps, sweeps_key};
use pod_identity_world::{PortFault, When};

use super::*;

#[test]
fn a_removal_whose_run_dies_at_any_call_is_remembered_and_its_pods_are_evicted() {
    for when in [When::Before, When::After] {
        let mut broken = 0;
        for n in 1.. {
            let mut stage = Stage::bound();
            let pod = stage.pod("svc-etl");
            stage.scenario.advance(100);
            let event = stage.scenario.unassigned("svc-etl");
            stage.scenario.ports.fault(PortFault::dead_from(n, when));
            let struck = stage.scenario.send(&event).outcome == Outcome::Failed;
            stage.scenario.ports.clear_faults();
            for _ in 0..10 {
                stage.scenario.advance(61);
                if stage.scenario.send(&event).outcome != Outcome::Failed {
                    break;
                }
            }
            let condition = stage.scenario.condition("svc-etl", "blue").unwrap();
            let place = ServiceAccountRef::new(NAMESPACE, "svc-etl-sa").unwrap();
            let removal = condition.removals.get(&place);
            assert!(removal.is_some_and(|removal| removal.before.is_some()), "{n}: {condition:?}");
            stage.scenario.advance(61);
            assert_eq!(names(&stage.sweep().evicted), [pod.as_str()], "{when:?} {n}");
            broken += usize::from(struck);
            if !struck {
                break;
            }
        }
        assert!(broken > 5, "{broken}");
    }
}

#[test]
fn the_ledger_remembers_what_the_last_48_whole_sweeps_counted() {
    let (mut stage, _) = Stage::revoked();
    stage.policy("revoked=report");
    let mut began = Vec::new();
    for _ in 0..50 {
        stage.scenario.advance(61);
        began.extend(stage.sweep().looked_at);
    }
    let remembered: Sweeps = stage.record(&sweeps_key(&cluster("blue"))).unwrap();
    let at: Vec<_> = remembered.sweeps.iter().map(|sweep| sweep.at).collect();
    assert_eq!(at, began[2..]);
    assert!(remembered.sweeps.iter().all(|sweep| sweep.stale[&Case::Revoked] == 1));
}

#[test]
fn a_look_that_saw_not_everything_counts_as_no_sweep() {
    let (mut stage, _) = Stage::revoked();
    stage.work(&Stage::scope_of("svc-train"), 300);
    assert_eq!(stage.record::<Sweeps>(&sweeps_key(&cluster("blue"))), None);
    stage.sweep();
    let remembered: Sweeps = stage.record(&sweeps_key(&cluster("blue"))).unwrap();
    assert_eq!(remembered.sweeps.len(), 1);
}
