//! Links that Kubernetes and domsed hold.

use pod_identity_world::{DominoPod, KubernetesRequest, Resource, Verb, World};
use serde_json::{Value, json};

use super::{NAMESPACE, add, at_work, broken, explain, headline, kubernetes, of_pod, pod, wrong};
use crate::office::{Office, cluster, text};

/// Somebody with kubectl.
fn kubectl(world: &mut World, request: KubernetesRequest) {
    world.ask_kubernetes(&cluster("blue"), "somebody", request).unwrap();
}

fn delete_account(office: &Office) {
    let request = KubernetesRequest::new(Verb::Delete, Resource::ServiceAccounts, Some(NAMESPACE));
    kubectl(&mut office.ports.world(), request.name("svc-etl-sa"));
}

/// A Mutation of somebody.
fn mutation(office: &Office, name: &str, mappings: Value) {
    let body = json!({
        "apiVersion": "apps.dominodatalab.com/v1alpha1", "kind": "Mutation",
        "metadata": { "name": name },
        "rules": [{
            "labelSelectors": [],
            "cloudWorkloadIdentity": {
                "cloud_type": "aws", "default_sa": "", "assume_sa_mapping": true,
                "user_mappings": mappings,
            },
        }],
    });
    let request = KubernetesRequest::new(Verb::Patch, Resource::Mutations, Some("domino-platform"));
    let request =
        request.name(name).with("fieldManager", "somebody").with("force", true).body(body);
    kubectl(&mut office.ports.world(), request);
}

#[test]
fn a_missing_kubernetes_service_account_is_told() {
    let office = at_work();
    delete_account(&office);
    let answer = explain(&office);
    let (evidence, way_out) = broken(&answer, "service account");
    assert_eq!(evidence, "there is no Kubernetes service account domino-compute/svc-etl-sa");
    assert!(way_out.starts_with("kubectl -n domino-compute create serviceaccount svc-etl-sa"));
    assert_eq!(
        headline(&answer),
        "svc-etl has no credentials on blue: there is no Kubernetes service account domino-compute/svc-etl-sa (broken)"
    );
}

#[test]
fn an_irsa_annotation_is_told() {
    let office = at_work();
    delete_account(&office);
    let annotations = [("eks.amazonaws.com/role-arn", "arn:aws:iam::111122223333:role/old")];
    let made = office.ports.world().add_service_account(
        &cluster("blue"),
        NAMESPACE,
        "svc-etl-sa",
        &annotations,
    );
    made.unwrap();
    let answer = explain(&office);
    let (evidence, way_out) = broken(&answer, "irsa annotation");
    assert!(
        evidence.contains("annotated with role arn:aws:iam::111122223333:role/old"),
        "{evidence}"
    );
    assert!(way_out.contains("eks.amazonaws.com/role-arn-"), "{way_out}");
    assert!(headline(&answer).starts_with("svc-etl works on blue, but not all is well"));
}

#[test]
fn a_name_that_is_not_mapped_is_told() {
    let office = at_work();
    let request =
        KubernetesRequest::new(Verb::Delete, Resource::Mutations, Some("domino-platform"));
    kubectl(&mut office.ports.world(), request.name("domino-pod-identity"));
    let (evidence, _) = broken(&explain(&office), "domsed mapping");
    assert!(evidence.contains("does not map svc-etl to svc-etl-sa"), "{evidence}");
}

#[test]
fn another_mutation_that_maps_the_name_elsewhere_is_told() {
    let office = at_work();
    mutation(&office, "by-hand", json!({ "svc-etl": "elsewhere" }));
    let (evidence, way_out) = broken(&explain(&office), "domsed mapping");
    assert_eq!(
        evidence,
        "Mutation domino-platform/by-hand maps svc-etl to elsewhere, not to svc-etl-sa"
    );
    assert!(way_out.starts_with("take svc-etl out of it"), "{way_out}");
}

#[test]
fn domsed_that_is_not_installed_is_told() {
    let office = at_work();
    kubernetes(&office, |api| api.settings.has_mutations = false);
    let (evidence, _) = broken(&explain(&office), "domsed mapping");
    assert_eq!(evidence, "cluster blue does not know Mutations: domsed is not installed");
}

#[test]
fn a_pod_that_came_up_without_credentials_is_told() {
    let office = at_work();
    kubernetes(&office, |api| api.settings.webhook = false);
    let name = pod(&office, "svc-etl-sa");
    let answer = explain(&office);
    let (evidence, way_out) = broken(&answer, &format!("pod {name}"));
    assert!(evidence.starts_with("missing: pod domino-compute/run-"), "{evidence}");
    assert!(!way_out.is_empty());
    assert!(headline(&answer).starts_with("svc-etl works on blue, but not all is well"));
    assert!(
        headline(&of_pod(&office, &name))
            .starts_with(&format!("pod {name} of svc-etl has no credentials on blue: missing:"))
    );
}

#[test]
fn a_pod_that_domsed_missed_is_told() {
    let office = at_work();
    let run = "run-0123456789abcdef01234567";
    office.ports.world().add_service_account(&cluster("blue"), NAMESPACE, run, &[]).unwrap();
    let name = pod(&office, run);
    let (evidence, _) = broken(&explain(&office), &format!("pod {name}"));
    assert!(evidence.starts_with("unmapped: "), "{evidence}");
    broken(&of_pod(&office, &name), &format!("pod {name}"));
}

#[test]
fn a_pod_with_access_keys_is_told() {
    let office = at_work();
    let mut with_keys = DominoPod::new("svc-etl-sa", "svc-etl");
    with_keys.environment.insert("AWS_ACCESS_KEY_ID".to_owned(), "AKIA".to_owned());
    let name = add(&office, &with_keys);
    let (evidence, _) = broken(&explain(&office), &format!("pod {name}"));
    assert!(evidence.starts_with("shadowed: "), "{evidence}");
}

#[test]
fn a_pod_that_holds_the_role_before_is_told() {
    let office = at_work();
    let name = pod(&office, "svc-etl-sa");
    office.advance(600);
    office.bind("svc-etl", "train");
    office.advance(100);
    let (evidence, _) = broken(&explain(&office), &format!("pod {name}"));
    assert!(
        evidence.starts_with("changed: ") && evidence.contains("role/domino/etl"),
        "{evidence}"
    );
}

#[test]
fn a_pod_that_outlives_its_binding_is_told() {
    let office = at_work();
    let name = pod(&office, "svc-etl-sa");
    office.advance(600);
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" }));
    office.reconcile("blue");
    office.reconcile("blue");
    let told = wrong(&explain(&office));
    let last = told.last().unwrap();
    assert_eq!(last.0, format!("pod {name}"));
    assert!(last.2.starts_with("revoked: "), "{last:?}");
}

#[test]
fn a_pod_that_is_right_is_told_so() {
    let office = at_work();
    let name = pod(&office, "svc-etl-sa");
    let answer = of_pod(&office, &name);
    assert_eq!(headline(&answer), format!("pod {name} of svc-etl works on blue"));
    assert!(text(&answer).contains(&format!("1 with credentials: {name}")), "{}", text(&answer));
}

#[test]
fn a_pod_of_nobody_is_refused_with_the_way_out() {
    let office = at_work();
    let blue = cluster("blue");
    office.ports.world().add_service_account(&blue, NAMESPACE, "other", &[]).unwrap();
    let name = add(&office, &DominoPod::new("other", "somebody"));
    let ask = |pod: &str| json!({ "action": "explain", "pod": pod, "cluster": "blue" });
    let why = office.refused(ask(&name));
    assert!(why.contains("runs as domino-compute/other and was started by somebody"), "{why}");
    assert!(office.refused(ask("gone")).contains("there is no pod gone on cluster blue"));
    let both = json!({ "action": "explain", "pod": name });
    assert!(office.refused(both).contains("a pod goes with `cluster`"));
}
