//! What happens between the plan and the eviction.

use std::time::Duration;

use pod_identity_core::sweep::Ceilings;
use pod_identity_engine::ports::{ClusterAccess, ErrorKind, KubernetesWriter, PodId};
use pod_identity_world::{AccessRule, KubernetesRequest, PortFault, Verb, When};

use super::*;

const EVICT: &str = "create pods/eviction";

#[test]
fn a_rebind_between_plan_and_eviction_spares_the_pod() {
    // Before the associations are listed, while pods are, and right before the second look, where
    // EKS may not show it yet.
    for (operation, hidden) in [("BatchGetItem", 0), ("list pods", 0), ("list pods", 60)] {
        let (mut stage, pod) = Stage::revoked();
        stage.ports.world().settings.visible_after = jiff::SignedDuration::from_secs(hidden);
        let (mut acted, before) = (false, stage.count(operation));
        let scope = Stage::scope();
        let done = stage.work_while(&scope, 300, |scenario, ports| {
            let now = just_called(&ports.world(), operation, before + 1);
            if !acted && now {
                acted = true;
                let event = scenario.assigned("svc-etl", "etl");
                scenario.send(&event);
            }
        });
        let done = done.unwrap().sweep.unwrap();
        assert!(acted && done.evicted.is_empty(), "{operation} {hidden}: {done:?}");
        assert!(stage.is_there(&pod));
    }
}

#[test]
fn somebody_else_who_is_bound_between_plan_and_eviction_spares_the_pod() {
    let (mut stage, pod) = Stage::revoked();
    stage.ports.world().settings.visible_after = jiff::SignedDuration::from_secs(60);
    let (mut acted, scope) = (false, Stage::scope());
    let done = stage.work_while(&scope, 300, |scenario, ports| {
        if !acted && just_called(&ports.world(), "list pods", 1) {
            acted = true;
            let here = json!({ "kubernetes": { "serviceAccount": "svc-etl-sa" } });
            let event = scenario.assigned_with("svc-next", "report", here);
            scenario.send(&event);
        }
    });
    let done = done.unwrap().sweep.unwrap();
    assert_eq!((done.evicted.len(), names(&done.spared)), (0, vec![pod.as_str()]));
    assert!(acted && stage.is_there(&pod));
}

#[test]
fn a_pending_pod_that_took_the_name_costs_one_call_and_is_no_failure() {
    let (mut stage, pod) = Stage::revoked();
    let old = stage.object(&pod).unwrap();
    let (mut acted, began) = (false, stage.scenario.now());
    let done = stage.sweep_with(|world| {
        if !acted && just_called(world, "list pods", 1) {
            acted = true;
            let by_hand = KubernetesRequest::new(Verb::Delete, Resource::Pods, Some(NAMESPACE));
            let now = by_hand.name(&pod).body(json!({ "gracePeriodSeconds": 0 }));
            world.ask_kubernetes(&cluster("blue"), "somebody", now).unwrap();
            let create = KubernetesRequest::new(Verb::Create, Resource::Pods, Some(NAMESPACE));
            let body = json!({
                "metadata": { "name": pod, "labels": old["metadata"]["labels"] },
                "spec": { "serviceAccountName": "svc-etl-sa", "containers": old["spec"]["containers"] },
            });
            world.ask_kubernetes(&cluster("blue"), "somebody", create.body(body)).unwrap();
            world.set_pod_phase(&cluster("blue"), NAMESPACE, &pod, "Pending").unwrap();
        }
    });
    // The server holds such an eviction for ten seconds; nothing waits for that, and nothing tries it again.
    assert_eq!(stage.count(EVICT), 1, "{done:?}");
    assert!(done.failures.is_empty() && done.blocked.is_empty(), "{done:?}");
    let took = stage.scenario.now().duration_since(began);
    assert!(took < jiff::SignedDuration::from_secs(10), "{took}");
    assert!(stage.is_there(&pod));
}

#[test]
fn another_pod_that_took_the_name_is_left_alone() {
    let (mut stage, pod) = Stage::revoked();
    let old = stage.object(&pod).unwrap();
    let mut acted = false;
    let done = stage.sweep_with(|world| {
        if !acted && just_called(world, "list pods", 1) {
            acted = true;
            replace(world, &old);
        }
    });
    assert!(acted);
    assert_eq!((done.evicted.len(), names(&done.spared)), (0, vec![pod.as_str()]));
    assert!(stage.is_there(&pod));
}

/// Puts another pod where one was.
fn replace(world: &mut World, old: &Value) {
    let name = old["metadata"]["name"].as_str().unwrap();
    let request = |verb| KubernetesRequest::new(verb, Resource::Pods, Some(NAMESPACE));
    let now = json!({ "gracePeriodSeconds": 0 });
    let gone = request(Verb::Delete).name(name).body(now);
    world.ask_kubernetes(&cluster("blue"), "somebody", gone).unwrap();
    let mut new = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "serviceAccountName": "svc-etl-sa" },
    });
    new["spec"]["containers"] = json!([{ "name": "run", "image": "x" }]);
    world.ask_kubernetes(&cluster("blue"), "somebody", request(Verb::Create).body(new)).unwrap();
}

#[test]
fn terminating_pods_are_let_be() {
    let (mut stage, pod) = Stage::revoked();
    let id = PodId { namespace: NAMESPACE.into(), name: pod.clone(), uid: stage.uid(&pod) };
    let access = ClusterAccess { cluster: cluster("blue"), assume_role: None };
    drive(stage.ports.delete_pod(&access, &id, None), || {}).unwrap();
    let done = stage.sweep();
    assert!(done.sweep.is_empty(), "{}", done.sweep);
}

#[test]
fn the_grace_period_that_is_set_is_the_one_that_pods_get() {
    let (mut stage, pod) = Stage::revoked();
    stage.settings().grace_seconds = Some(7);
    stage.sweep();
    assert_eq!(stage.object(&pod).unwrap()["metadata"]["deletionGracePeriodSeconds"], 7);
}

#[test]
fn a_throttled_eviction_is_tried_again() {
    let (mut stage, pod) = Stage::revoked();
    stage.ports.fault(PortFault::nth(EVICT, 1, When::Before, ErrorKind::Passing));
    let done = stage.sweep();
    assert_eq!(names(&done.evicted), [pod.as_str()]);
    assert_eq!(stage.count(EVICT), 2);
}

#[test]
fn an_eviction_whose_answer_is_lost_is_told_once() {
    let (mut stage, pod) = Stage::revoked();
    stage.settings().grace_seconds = Some(0);
    stage.ports.fault(PortFault::nth(EVICT, 1, When::After, ErrorKind::Passing));
    let done = stage.sweep();
    assert_eq!(names(&done.evicted), [pod.as_str()]);
    assert_eq!(stage.scenario.outcomes("Stale Pod Evicted").len(), 1);
}

#[test]
fn throttling_that_lasts_is_a_failure_and_ends() {
    let (mut stage, pod) = Stage::revoked();
    let fault = PortFault::nth(EVICT, 1, When::Before, ErrorKind::Passing);
    stage.ports.fault(PortFault { lasting: true, ..fault });
    let done = stage.sweep();
    assert_eq!((done.failures.len(), stage.count(EVICT)), (1, 4));
    assert!(stage.is_there(&pod) && !done.left);
}

#[test]
fn an_eviction_that_rbac_forbids_is_a_failure_that_says_the_remediation() {
    let (mut stage, pod) = Stage::revoked();
    {
        let mut world = stage.ports.world();
        let api = world.kubernetes(&cluster("blue")).unwrap();
        let rule = AccessRule::in_namespace(NAMESPACE, "pods", &[Verb::List]);
        api.settings.rules.insert("another".to_owned(), vec![rule]);
    }
    let done = stage.sweep();
    assert!(done.failures[0].1.contains("access entry"), "{done:?}");
    assert!(stage.is_there(&pod));
    assert_eq!(stage.count(EVICT), 1);
}

fn pods(stage: &mut Stage, each: usize) {
    for _ in 0..each {
        stage.pod("svc-etl");
    }
    for _ in 0..each {
        stage.pod("svc-train");
    }
    stage.scenario.advance(100);
}

fn many(stage: &mut Stage, each: usize) {
    pods(stage, each);
    stage.unbind("svc-etl");
    stage.scenario.advance(100);
}

#[test]
fn one_sweep_evicts_no_more_than_its_ceiling_and_the_next_goes_on() {
    let mut stage = Stage::bound();
    many(&mut stage, 7);
    stage.settings().rules.ceilings = Ceilings { per_sweep: 5, ..Ceilings::default() };
    let done = stage.sweep();
    assert_eq!((done.evicted.len(), done.sweep.held_back.len()), (5, 2));
    assert!(done.sweep.ceilings[0].to_string().contains("at most 5 pods"));
    assert_eq!(stage.sweep().evicted.len(), 2);
}

#[test]
fn what_earlier_invocations_of_a_request_evicted_counts_for_the_ceiling() {
    let mut stage = Stage::bound();
    many(&mut stage, 7);
    stage.settings().rules.ceilings = Ceilings { per_sweep: 5, ..Ceilings::default() };
    let scope = InsideScope { evicted: 3, ..Stage::scope() };
    assert_eq!(stage.work(&scope, 300).sweep.unwrap().evicted.len(), 2);
}

#[test]
fn a_namespace_has_a_ceiling_of_its_own() {
    let mut stage = Stage::bound();
    many(&mut stage, 7);
    stage.settings().rules.ceilings = Ceilings { per_namespace: 4, ..Ceilings::default() };
    assert_eq!(stage.sweep().evicted.len(), 4);
}

#[test]
fn an_implausible_share_evicts_nobody_also_in_a_sweep_of_one_service_account() {
    for (scope, evicted) in [(Stage::scope(), 0), (Stage::scope_of("svc-etl"), 0)] {
        let mut stage = Stage::bound();
        stage.policy("changed=evict");
        pods(&mut stage, 7);
        stage.bind("svc-etl", "report");
        stage.scenario.advance(100);
        let share = |percent| Ceilings { share_percent: percent, ..Ceilings::default() };
        stage.settings().rules.ceilings = share(49);
        let done = stage.work(&scope, 300).sweep.unwrap();
        assert_eq!((done.sweep.pods, done.evicted.len()), (14, evicted));
        assert!(done.sweep.ceilings[0].to_string().contains("plausible share"));
        // All pods count, also for one service account: half of them is not all of its own.
        stage.settings().rules.ceilings = share(50);
        assert_eq!(stage.work(&scope, 300).sweep.unwrap().evicted.len(), 7);
    }
}

#[test]
fn a_sweep_of_one_service_account_leaves_the_others_and_the_clusters_numbers() {
    let mut stage = Stage::bound();
    let (etl, train) = (stage.pod("svc-etl"), stage.pod("svc-train"));
    stage.scenario.advance(100);
    stage.unbind("svc-etl");
    stage.unbind("svc-train");
    stage.bind("svc-report", "report");
    stage.scenario.advance(100);
    let done = stage.work(&Stage::scope_of("svc-etl"), 300).sweep.unwrap();
    assert_eq!(names(&done.evicted), [etl.as_str()]);
    assert_eq!(done.looked_at, None);
    assert!(stage.is_there(&train));
}

#[test]
fn what_the_time_does_not_suffice_for_is_left_and_the_next_invocation_goes_on() {
    let mut stage = Stage::bound();
    many(&mut stage, 9);
    stage.scenario.settings.concurrency = 1;
    stage.scenario.settings.longest_call = Duration::from_secs(3);
    stage.ports.world().settings.call_takes = Duration::from_secs(1);
    let (mut left, mut evicted, mut invocations) = (true, 0, 0);
    while left {
        let scope = InsideScope { evicted, ..Stage::scope() };
        let done = stage.work(&scope, 24).sweep.unwrap();
        left = done.left;
        evicted += done.evicted.len();
        invocations += 1;
        assert!(invocations < 9, "{evicted} evicted");
        stage.ports.world().now += jiff::SignedDuration::from_secs(40);
    }
    assert_eq!(evicted, 9);
    assert!(invocations > 1, "{invocations}");
    assert_eq!(stage.scenario.outcomes("Stale Pod Evicted").len(), 9);
}

#[test]
fn a_sweep_outlasts_its_lease_by_renewing_it() {
    let mut stage = Stage::bound();
    many(&mut stage, 9);
    stage.scenario.settings.concurrency = 1;
    stage.scenario.settings.lease = Duration::from_secs(20);
    stage.ports.world().settings.call_takes = Duration::from_secs(2);
    let done = stage.sweep();
    assert_eq!((done.evicted.len(), done.left), (9, false));
}
