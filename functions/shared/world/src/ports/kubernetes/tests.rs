#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use pod_identity_core::{CloudWorkloadIdentity, MutationRule};

use super::*;
use crate::fixture::{blue, caller, create, world};
use crate::{AccessRule, Budget, CreateAssociation, DominoPod, PortFault, When};

const NAMESPACE: &str = "domino-compute";

fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

fn ports() -> WorldPorts {
    let mut world = world();
    world.add_namespace(&blue(), NAMESPACE).unwrap();
    world.add_namespace(&blue(), "domino-platform").unwrap();
    world.add_service_account(&blue(), NAMESPACE, "svc-etl-sa", &[]).unwrap();
    WorldPorts::new(Arc::new(Mutex::new(world)), "workloads")
}

fn access() -> ClusterAccess {
    ClusterAccess { cluster: blue(), assume_role: None }
}

fn account(name: &str) -> ServiceAccountRef {
    ServiceAccountRef::new(NAMESPACE, name).unwrap()
}

fn query(limit: u32) -> PodQuery {
    PodQuery { namespace: NAMESPACE.to_owned(), selector: String::new(), name: None, limit }
}

fn add(ports: &WorldPorts, pod: &DominoPod) -> PodId {
    let name = ports.world().add_domino_pod(&blue(), pod).unwrap();
    let page = wait(ports.pods(&access(), &query(500), None)).unwrap();
    let found = page.items.into_iter().find(|pod| pod.name == name).unwrap();
    PodId { namespace: found.namespace, name, uid: found.uid }
}

fn pod() -> DominoPod {
    DominoPod::new("svc-etl-sa", "etl")
}

fn mutation(target: &str) -> Mutation {
    let identity = CloudWorkloadIdentity {
        cloud_type: "aws".to_owned(),
        default_sa: String::new(),
        assume_sa_mapping: false,
        user_mappings: [("etl".to_owned(), target.to_owned())].into(),
    };
    let rule = MutationRule {
        enabled: true,
        label_selectors: vec!["dominodatalab.com/workload-type in (Batch)".to_owned()],
        cloud_workload_identity: Some(identity),
        variables: BTreeSet::new(),
    };
    Mutation { name: "domino-pod-identity".to_owned(), labels: BTreeMap::new(), rules: vec![rule] }
}

#[test]
fn pods_come_in_pages_and_an_old_page_is_expired() {
    let ports = ports();
    let ids: Vec<PodId> = (0..5).map(|_| add(&ports, &pod())).collect();
    let first = wait(ports.pods(&access(), &query(2), None)).unwrap();
    assert_eq!(first.items.len(), 2);
    let second = wait(ports.pods(&access(), &query(2), first.next.as_deref())).unwrap();
    let last = wait(ports.pods(&access(), &query(2), second.next.as_deref())).unwrap();
    assert_eq!((last.items.len(), last.next), (1, None));
    ports.world().kubernetes(&blue()).unwrap().settings.tokens_survive = 0;
    wait(ports.evict(&access(), &ids[0], None)).unwrap();
    let expired = wait(ports.pods(&access(), &query(2), first.next.as_deref())).unwrap_err();
    assert_eq!(expired.kind, ErrorKind::Expired);
    let selected =
        PodQuery { selector: "dominodatalab.com/workload-type=App".to_owned(), ..query(9) };
    assert!(wait(ports.pods(&access(), &selected, None)).unwrap().items.is_empty());
}

#[test]
fn an_eviction_ends_in_one_of_three_ways() {
    let ports = ports();
    let labels: BTreeMap<String, String> = [("app".to_owned(), "a".to_owned())].into();
    let id = add(&ports, &DominoPod { labels: labels.clone(), ..pod() });
    let budget = Budget {
        namespace: NAMESPACE.to_owned(),
        name: "keep".to_owned(),
        labels,
        min_available: 1,
    };
    ports.world().add_budget(&blue(), &budget).unwrap();
    let blocked = wait(ports.evict(&access(), &id, Some(5))).unwrap();
    assert!(matches!(blocked, Eviction::Blocked(words) if words.contains("disruption budget")));
    assert_eq!(ports.world().calls.last().unwrap().status, 429);
    let free = add(&ports, &pod());
    let other = PodId { uid: "other".to_owned(), ..free.clone() };
    assert_eq!(wait(ports.evict(&access(), &other, None)).unwrap(), Eviction::Gone);
    assert_eq!(wait(ports.evict(&access(), &free, Some(0))).unwrap(), Eviction::Evicted);
    assert_eq!(wait(ports.evict(&access(), &free, None)).unwrap(), Eviction::Gone);
    // Whatever budgets say, and only the pod that is meant.
    let other = PodId { uid: "other".to_owned(), ..id.clone() };
    assert!(!wait(ports.delete_pod(&access(), &other, None)).unwrap());
    assert!(wait(ports.delete_pod(&access(), &id, Some(0))).unwrap());
    assert!(!wait(ports.delete_pod(&access(), &id, Some(0))).unwrap());
}

#[test]
fn a_throttled_eviction_is_passing_and_no_budget() {
    let ports = ports();
    let id = add(&ports, &pod());
    let fault = PortFault::nth("create pods/eviction", 1, When::Before, ErrorKind::Passing);
    ports.fault(fault);
    let error = wait(ports.evict(&access(), &id, None)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Passing);
    let words = format!("failed to evict pod domino-compute/{} in cluster blue", id.name);
    assert_eq!(error.to_string(), words);
    assert_eq!(wait(ports.evict(&access(), &id, None)).unwrap(), Eviction::Evicted);
}

#[test]
fn a_service_account_lives_its_life_through_the_ports() {
    let ports = ports();
    let name = account("new");
    assert_eq!(wait(ports.service_account(&access(), &name)).unwrap(), None);
    let labels = [("app".to_owned(), "a".to_owned())].into();
    let made = wait(ports.create_service_account(&access(), &name, &labels)).unwrap();
    assert_eq!((made.name.as_str(), &made.labels), ("new", &labels));
    assert_eq!(wait(ports.service_account(&access(), &name)).unwrap().as_ref(), Some(&made));
    let page = wait(ports.service_accounts(&access(), NAMESPACE, "app=a", None)).unwrap();
    assert_eq!(page.items, std::slice::from_ref(&made));
    let again = wait(ports.create_service_account(&access(), &name, &labels)).unwrap_err();
    assert_eq!(again.kind, ErrorKind::InUse);
    let nowhere = ServiceAccountRef::new("nowhere", "new").unwrap();
    let error = wait(ports.create_service_account(&access(), &nowhere, &labels)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    let other = wait(ports.delete_service_account(&access(), &name, "other")).unwrap_err();
    assert_eq!(other.kind, ErrorKind::InUse);
    wait(ports.delete_service_account(&access(), &name, &made.uid)).unwrap();
    wait(ports.delete_service_account(&access(), &name, &made.uid)).unwrap();
    ports.world().settings.page_size = 1;
    let page = wait(ports.service_accounts(&access(), NAMESPACE, "", None)).unwrap();
    assert!(page.next.is_some());
}

#[test]
fn a_mutation_is_applied_read_back_and_not_taken_from_others() {
    let ports = ports();
    let apply = |mutation: &Mutation| {
        wait(ports.apply_mutation(&access(), "domino-platform", mutation, false))
    };
    apply(&mutation("svc-etl-sa")).unwrap();
    apply(&mutation("svc-etl-sa")).unwrap();
    let page = wait(ports.mutations(&access(), "domino-platform", None)).unwrap();
    assert_eq!(page.items, [mutation("svc-etl-sa")]);
    let mut edit =
        KubernetesRequest::new(Verb::Patch, Resource::Mutations, Some("domino-platform"))
            .name("domino-pod-identity")
            .with("fieldManager", "kubectl-edit")
            .body(json!({ "rules": [] }));
    edit.patch = crate::PatchKind::Merge;
    ports.world().ask_kubernetes(&blue(), "somebody", edit).unwrap();
    let conflict = apply(&mutation("other")).unwrap_err();
    assert_eq!(conflict.kind, ErrorKind::InUse);
    assert!(conflict.message.unwrap().contains("kubectl-edit"));
    ports.world().kubernetes(&blue()).unwrap().settings.has_mutations = false;
    let absent = wait(ports.mutations(&access(), "domino-platform", None)).unwrap_err();
    assert_eq!(absent.kind, ErrorKind::NotFound);
    assert_eq!(apply(&mutation("other")).unwrap_err().kind, ErrorKind::NotFound);
}

#[test]
fn a_pod_that_is_tried_shows_its_credentials_and_is_not_there() {
    let ports = ports();
    let tried = |name: &str| wait(ports.try_pod(&access(), &account(name)));
    let Admission::Admitted(pod) = tried("svc-etl-sa").unwrap() else { panic!("refused") };
    assert!(!pod.credentials.pod_identity);
    let input = CreateAssociation { namespace: NAMESPACE.to_owned(), ..create("svc-etl-sa") };
    ports.world().create_pod_identity_association(&caller(), input).unwrap();
    let Admission::Admitted(pod) = tried("svc-etl-sa").unwrap() else { panic!("refused") };
    assert!(pod.credentials.pod_identity);
    assert!(wait(ports.pods(&access(), &query(9), None)).unwrap().items.is_empty());
    let Admission::Refused(words) = tried("nobody").unwrap() else { panic!("admitted") };
    assert!(words.contains("\"nobody\" not found"), "{words}");
    let rules = vec![AccessRule::in_namespace(NAMESPACE, "pods", &[Verb::List])];
    let allow = |rules| {
        let mut world = ports.world();
        world.kubernetes(&blue()).unwrap().settings.rules.insert("workloads".to_owned(), rules);
    };
    allow(rules);
    assert_eq!(tried("svc-etl-sa").unwrap_err().kind, ErrorKind::Denied);
}

#[test]
fn a_cluster_that_refuses_or_cannot_be_reached_says_so_and_the_log_has_the_path() {
    let ports = ports();
    ports.world().kubernetes(&blue()).unwrap().settings.users = Some([].into());
    let denied = wait(ports.pods(&access(), &query(5), None)).unwrap_err();
    assert_eq!((denied.kind, denied.code.as_deref()), (ErrorKind::Denied, Some("Unauthorized")));
    ports.world().kubernetes(&blue()).unwrap().settings.reachable = false;
    let unreachable = wait(ports.pods(&access(), &query(5), None)).unwrap_err();
    assert_eq!(unreachable.kind, ErrorKind::Unreachable);
    assert_eq!(unreachable.to_string(), "failed to list pods of domino-compute in cluster blue");
    ports.fault(PortFault::nth("list pods", 1, When::Before, ErrorKind::Unreachable));
    let injected = wait(ports.pods(&access(), &query(5), None)).unwrap_err();
    assert_eq!(injected.kind, ErrorKind::Unreachable);
    let world = ports.world();
    let lines: Vec<_> = world
        .calls
        .iter()
        .map(|call| (call.caller.as_str(), call.operation.as_str(), call.status))
        .collect();
    assert_eq!(
        lines,
        [
            ("workloads", "list pods", 401),
            ("workloads", "list pods", 0),
            ("workloads", "list pods", 0)
        ]
    );
    assert_eq!(
        world.calls[0].object,
        "cluster blue /api/v1/namespaces/domino-compute/pods?limit=5"
    );
}
