//! Observations that are incomplete or implausible.

use pod_identity_engine::ports::{ClusterAccess, EksWriter, ErrorKind};
use pod_identity_world::{AccessRule, KubernetesRequest, PortFault, Verb, When};

use super::*;

fn lasting(operation: &str, nth: usize, kind: ErrorKind) -> PortFault {
    PortFault { lasting: true, ..PortFault::nth(operation, nth, When::Before, kind) }
}

fn halted(stage: &mut Stage, pod: &str, words: &str) {
    let done = stage.sweep();
    let why = done.sweep.halted.clone().unwrap();
    assert!(why.contains(words), "{why}");
    assert!(done.evicted.is_empty() && stage.is_there(pod), "{done:?}");
    assert!(done.looked_at.is_none() && done.stale.is_empty());
    assert_eq!((done.published, stage.count("create pods/eviction")), (0, 0));
}

#[test]
fn a_list_that_expires_is_begun_again() {
    let (mut stage, pod) = Stage::revoked();
    stage.pod("svc-train");
    stage.inside.page = 1;
    stage.ports.fault(PortFault::nth("list pods", 2, When::Before, ErrorKind::Expired));
    let done = stage.sweep();
    assert_eq!((names(&done.evicted), done.sweep.pods), (vec![pod.as_str()], 2));
    assert_eq!(stage.count("list pods"), 4);
}

#[test]
fn a_page_token_that_really_expired_is_survived() {
    let (mut stage, pod) = Stage::revoked();
    stage.pod("svc-train");
    stage.inside.page = 1;
    stage.ports.world().kubernetes(&cluster("blue")).unwrap().settings.tokens_survive = 0;
    let mut acted = false;
    let done = stage.sweep_with(|world| {
        if !acted && just_called(world, "list pods", 1) {
            acted = true;
            world.add_service_account(&cluster("blue"), NAMESPACE, "new", &[]).unwrap();
        }
    });
    assert_eq!((names(&done.evicted), done.sweep.pods), (vec![pod.as_str()], 2));
    assert_eq!(stage.count("list pods"), 4);
}

#[test]
fn a_list_that_never_ends_evicts_nobody() {
    let (mut stage, pod) = Stage::revoked();
    stage.ports.fault(lasting("list pods", 1, ErrorKind::Expired));
    halted(&mut stage, &pod, "expired 4 times");
}

#[test]
fn a_throttled_list_evicts_nobody() {
    let (mut stage, pod) = Stage::revoked();
    stage.ports.fault(lasting("list pods", 1, ErrorKind::Passing));
    halted(&mut stage, &pod, "pods of namespace domino-compute");
}

#[test]
fn associations_that_cannot_be_listed_or_described_evict_nobody() {
    for (operation, kind) in [
        ("ListPodIdentityAssociations", ErrorKind::Passing),
        ("ListPodIdentityAssociations", ErrorKind::Denied),
        ("DescribePodIdentityAssociation", ErrorKind::Passing),
    ] {
        let (mut stage, pod) = Stage::revoked();
        stage.pod("svc-train");
        stage.ports.fault(lasting(operation, 1, kind));
        halted(&mut stage, &pod, "associations of EKS");
    }
}

#[test]
fn an_eks_that_shows_no_association_at_all_evicts_nobody() {
    for scope in [Stage::scope(), Stage::scope_of("svc-etl")] {
        let (mut stage, pod) = Stage::revoked();
        let all = |world: &World| -> Vec<String> {
            world.eks.associations(&cluster("blue")).iter().map(|one| one.id.clone()).collect()
        };
        let ids = all(&stage.ports.world());
        assert_eq!(ids.len(), 1);
        let access = ClusterAccess { cluster: cluster("blue"), assume_role: None };
        drive(stage.ports.delete_association(&access, &ids[0]), || {}).unwrap();
        let done = stage.work(&scope, 300).sweep.unwrap();
        assert!(done.sweep.halted.unwrap().contains("no association at all"));
        assert!(done.evicted.is_empty() && stage.is_there(&pod));
    }
}

#[test]
fn associations_without_pods_are_enough_to_be_plausible() {
    let (mut stage, pod) = Stage::revoked();
    assert_eq!(names(&stage.sweep().evicted), [pod.as_str()]);
    // svc-train has an association and no pod: it was not described.
    assert_eq!(stage.inside_of("svc-train").effective, None);
}

#[test]
fn a_cluster_that_cannot_be_reached_is_left_and_the_ledger_says_so() {
    let (mut stage, pod) = Stage::revoked();
    stage.ports.world().kubernetes(&cluster("blue")).unwrap().settings.reachable = false;
    let report = stage.work(&Stage::scope(), 300);
    assert!(report.sweep.is_none());
    assert!(report.skipped.unwrap().contains("network"));
    let key = pod_identity_engine::ledger::inside_key(&cluster("blue"));
    let inside: pod_identity_engine::ledger::InsideCluster = stage.record(&key).unwrap();
    assert!(inside.unreachable.is_some() && inside.swept_at.is_none());
    assert!(stage.is_there(&pod));
}

fn allow(stage: &Stage, namespaces: &[&str]) {
    let mut world = stage.ports.world();
    let api = world.kubernetes(&cluster("blue")).unwrap();
    let rules = namespaces.iter().flat_map(|namespace| {
        [("pods", Verb::List), ("pods/eviction", Verb::Create)]
            .map(|(resource, verb)| AccessRule::in_namespace(namespace, resource, &[verb]))
    });
    api.settings.rules.insert("another".to_owned(), rules.collect());
}

#[test]
fn a_cluster_where_nothing_may_be_listed_is_left() {
    let (mut stage, pod) = Stage::revoked();
    allow(&stage, &[]);
    let report = stage.work(&Stage::scope(), 300);
    assert!(report.sweep.is_none());
    assert!(report.skipped.unwrap().contains("access entry"));
    assert!(stage.is_there(&pod));
}

#[test]
fn one_namespace_that_may_not_be_listed_is_named_and_the_others_are_swept() {
    let (mut stage, pod) = Stage::revoked();
    let blue = cluster("blue");
    stage.ports.world().add_namespace(&blue, "secret").unwrap();
    stage.settings().rules.namespaces.insert("secret".to_owned());
    allow(&stage, &[NAMESPACE]);
    let done = stage.sweep();
    assert_eq!(names(&done.evicted), [pod.as_str()]);
    assert!(done.closed["secret"].contains("access entry"), "{done:?}");
    assert_eq!(done.looked_at, None);
}

#[test]
fn an_association_that_comes_while_pods_are_listed_makes_no_false_alarm() {
    let mut stage = Stage::bound();
    let (mut acted, scope) = (false, Stage::scope());
    let lists = stage.count("ListPodIdentityAssociations");
    let done = stage.work_while(&scope, 300, |scenario, ports| {
        if !acted && just_called(&ports.world(), "ListPodIdentityAssociations", lists + 1) {
            acted = true;
            let event = scenario.assigned("svc-report", "report");
            scenario.send(&event);
            let pod = pod_identity_world::DominoPod::new("svc-report-sa", "svc-report");
            ports.world().add_domino_pod(&cluster("blue"), &pod).unwrap();
        }
    });
    let done = done.unwrap().sweep.unwrap();
    assert!(acted && done.sweep.is_empty(), "{}", done.sweep);
}

#[test]
fn an_association_that_goes_while_pods_are_listed_makes_no_false_alarm() {
    let mut stage = Stage::bound();
    stage.pod("svc-etl");
    stage.scenario.advance(100);
    let (mut acted, scope) = (false, Stage::scope());
    let done = stage.work_while(&scope, 300, |scenario, ports| {
        if !acted && just_called(&ports.world(), "list pods", 1) {
            acted = true;
            let event = scenario.unassigned("svc-etl");
            scenario.send(&event);
        }
    });
    let done = done.unwrap().sweep.unwrap();
    assert!(acted && done.sweep.is_empty(), "{}", done.sweep);
    assert_eq!(stage.sweep().evicted.len(), 1);
}

#[test]
fn pods_that_cannot_matter_are_counted_and_not_kept() {
    let (mut stage, pod) = Stage::revoked();
    for n in 0..20 {
        let name = format!("plain-{n}");
        let mut world = stage.ports.world();
        let body = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
            "spec": { "serviceAccountName": "run-1",
                      "containers": [{ "name": "run", "image": "x" }] },
        });
        let request = KubernetesRequest::new(Verb::Create, Resource::Pods, Some(NAMESPACE));
        world.ask_kubernetes(&cluster("blue"), "somebody", request.body(body)).unwrap();
    }
    let before = stage.count("DescribePodIdentityAssociation");
    let done = stage.sweep();
    assert_eq!((done.sweep.pods, names(&done.evicted)), (21, vec![pod.as_str()]));
    // svc-train's association has no pods.
    assert_eq!(stage.count("DescribePodIdentityAssociation"), before);
}
