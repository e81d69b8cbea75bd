//! Disruption budgets.

use std::time::Duration;

use pod_identity_world::{Budget, KubernetesRequest, Verb};

use super::*;

const EVICT: &str = "create pods/eviction";

fn budget(stage: &Stage) {
    let labels = [("dominodatalab.com/workload-type".to_owned(), "Batch".to_owned())].into();
    let budget = Budget {
        namespace: NAMESPACE.to_owned(),
        name: "keep-one".to_owned(),
        labels,
        min_available: 1,
    };
    stage.ports.world().add_budget(&cluster("blue"), &budget).unwrap();
}

fn free(world: &mut World) {
    let request =
        KubernetesRequest::new(Verb::Delete, Resource::PodDisruptionBudgets, Some(NAMESPACE));
    world.ask_kubernetes(&cluster("blue"), "somebody", request.name("keep-one")).unwrap();
}

#[test]
fn a_blocked_eviction_is_tried_again_and_done_once_the_budget_allows_it() {
    let (mut stage, pod) = Stage::revoked();
    budget(&stage);
    let mut acted = false;
    let done = stage.sweep_with(|world| {
        if !acted && just_called(world, EVICT, 3) {
            acted = true;
            free(world);
        }
    });
    assert_eq!(names(&done.evicted), [pod.as_str()], "{done:?}");
    assert!(done.blocked.is_empty());
    assert!(stage.scenario.outcomes("Stale Pod Reported").is_empty());
}

#[test]
fn a_blocked_pod_uses_up_no_ceiling_of_later_sweeps() {
    let (mut stage, blocked) = Stage::revoked();
    budget(&stage);
    let free = pod_identity_world::DominoPod::new("svc-train-sa", "svc-train");
    let free = stage.add(&free.workload_type("App"));
    stage.scenario.advance(100);
    stage.unbind("svc-train");
    stage.bind("svc-report", "report");
    stage.scenario.advance(100);
    stage.settings().rules.ceilings.per_sweep = 1;
    let first = stage.sweep();
    assert_eq!((first.blocked.len(), first.evicted.len()), (1, 0), "{first:?}");
    assert_eq!(names(&stage.sweep().evicted), [free.as_str()]);
    assert!(stage.is_there(&blocked));
}

#[test]
fn a_blocked_pod_keeps_no_other_from_being_evicted() {
    let (mut stage, pod) = Stage::revoked();
    budget(&stage);
    let free = pod_identity_world::DominoPod::new("svc-train-sa", "svc-train");
    let free = stage.add(&free.workload_type("App"));
    stage.scenario.advance(100);
    stage.unbind("svc-train");
    stage.bind("svc-report", "report");
    stage.scenario.advance(10);
    let began = stage.scenario.now();
    let done = stage.sweep();
    assert_eq!(names(&done.evicted), [free.as_str()]);
    assert_eq!(done.blocked.len(), 1);
    assert!(done.blocked[0].1.contains("disruption budget"), "{done:?}");
    assert!(stage.is_there(&pod) && !done.left);
    // Half of what remained would have been 150 s.
    assert!(stage.scenario.now().duration_since(began).as_secs() <= 60);
}

#[test]
fn budgets_are_waited_for_no_longer_than_half_of_what_remains() {
    let (mut stage, _) = Stage::revoked();
    budget(&stage);
    let began = stage.scenario.now();
    let done = stage.work(&Stage::scope(), 40).sweep.unwrap();
    assert_eq!(done.blocked.len(), 1);
    assert!(stage.scenario.now().duration_since(began).as_secs() <= 20);
    assert!(stage.count(EVICT) > 2);
}

#[test]
fn a_blocked_pod_is_reported_once_with_the_budgets_words() {
    let (mut stage, pod) = Stage::revoked();
    budget(&stage);
    let since = stage.scenario.now();
    stage.sweep();
    stage.scenario.advance(600);
    let done = stage.sweep();
    assert_eq!((done.blocked.len(), done.published), (1, 0));
    let events = stage.scenario.outcomes("Stale Pod Reported");
    assert_eq!(events.len(), 1);
    let reason = events[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("disruption budget") && reason.contains(&since.to_string()),
        "{reason}"
    );
    assert!(events[0]["remediation"].as_str().unwrap().contains("PodDisruptionBudget"));
    assert_eq!(stage.published(&stage.uid(&pod)).unwrap().blocked_since, Some(since));
}

#[test]
fn what_was_taken_away_is_deleted_once_a_budget_has_blocked_it_for_too_long() {
    let (mut stage, pod) = Stage::revoked();
    budget(&stage);
    stage.settings().delete_after = Some(Duration::from_secs(600));
    assert_eq!(stage.sweep().blocked.len(), 1);
    let uid = stage.uid(&pod);
    stage.scenario.advance(400);
    assert_eq!(stage.sweep().blocked.len(), 1);
    stage.scenario.advance(200);
    let done = stage.sweep();
    assert_eq!((names(&done.deleted), done.evicted.len()), (vec![pod.as_str()], 0));
    assert!(!stage.is_there(&pod));
    let events = stage.scenario.outcomes("Stale Pod Evicted");
    assert!(events[0]["reason"].as_str().unwrap().contains("so it was deleted"), "{events:?}");
    assert!(stage.published(&uid).unwrap().evicted);
}

#[test]
fn nothing_but_what_was_taken_away_is_ever_deleted() {
    let mut stage = Stage::bound();
    let app = stage.app("svc-etl");
    budget(&stage);
    stage.settings().delete_after = Some(Duration::ZERO);
    stage.scenario.advance(100);
    stage.bind("svc-etl", "etl-2");
    stage.scenario.advance(100);
    let done = stage.sweep();
    assert_eq!((done.blocked.len(), done.deleted.len()), (1, 0));
    stage.scenario.advance(10_000);
    assert!(stage.sweep().deleted.is_empty());
    assert!(stage.is_there(&app));
    assert_eq!(stage.count("delete pods"), 0);
}

#[test]
fn a_rebind_while_a_budget_blocks_spares_the_pod() {
    let (mut stage, pod) = Stage::revoked();
    budget(&stage);
    stage.settings().delete_after = Some(Duration::from_secs(1));
    let (mut acted, scope) = (false, Stage::scope());
    let done = stage.work_while(&scope, 300, |scenario, ports| {
        if !acted && just_called(&ports.world(), EVICT, 1) {
            acted = true;
            let event = scenario.assigned("svc-etl", "etl");
            scenario.send(&event);
        }
    });
    let done = done.unwrap().sweep.unwrap();
    assert_eq!(names(&done.spared), [pod.as_str()]);
    assert!(acted && stage.is_there(&pod));
}
