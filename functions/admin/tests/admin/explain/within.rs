//! Links that Kubernetes and domsed hold.

use pod_identity_core::SKIP_CONTAINERS_ANNOTATION;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{DominoPod, KubernetesRequest, PortFault, Resource, Verb, When, World};
use serde_json::{Value, json};

use super::{
    NAMESPACE, add, at_work, broken, explain, golden, headline, kubernetes, of_pod, pod, wrong,
};
use crate::office::{Office, cluster, role, text};

/// Somebody with kubectl.
fn kubectl(world: &mut World, request: KubernetesRequest) {
    world.ask_kubernetes(&cluster("blue"), "somebody", request).unwrap();
}

fn delete_account(office: &Office) {
    let request = KubernetesRequest::new(Verb::Delete, Resource::ServiceAccounts, Some(NAMESPACE));
    kubectl(&mut office.ports.world(), request.name("svc-etl-sa"));
}

/// Somebody has the service account annotated with a role, for IRSA.
fn annotate(office: &Office) {
    delete_account(office);
    let annotations = [("eks.amazonaws.com/role-arn", "arn:aws:iam::111122223333:role/old")];
    let (mut world, blue) = (office.ports.world(), cluster("blue"));
    world.add_service_account(&blue, NAMESPACE, "svc-etl-sa", &annotations).unwrap();
}

/// A Mutation of somebody.
fn mutation(office: &Office, name: &str, mappings: Value) {
    let body = json!({
        "apiVersion": "apps.dominodatalab.com/v1alpha1", "kind": "Mutation",
        "metadata": { "name": name },
        "rules": [{
            "labelSelectors": [],
            "cloudWorkloadIdentity": {
                "cloud_type": "aws", "default_sa": "", "assume_sa_mapping": false,
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
    broken(&answer, "service account");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn an_irsa_annotation_is_told() {
    let office = at_work();
    annotate(&office);
    let answer = explain(&office);
    broken(&answer, "irsa annotation");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_name_that_is_not_mapped_is_told() {
    let office = at_work();
    let request =
        KubernetesRequest::new(Verb::Delete, Resource::Mutations, Some("domino-platform"));
    kubectl(&mut office.ports.world(), request.name("domino-pod-identity"));
    let answer = explain(&office);
    broken(&answer, "domsed mapping");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn another_mutation_that_maps_the_name_elsewhere_is_told() {
    let office = at_work();
    mutation(&office, "by-hand", json!({ "svc-etl": "elsewhere" }));
    let answer = explain(&office);
    broken(&answer, "domsed mapping");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn another_mutation_that_maps_the_name_right_is_enough() {
    let office = at_work();
    let request =
        KubernetesRequest::new(Verb::Delete, Resource::Mutations, Some("domino-platform"));
    kubectl(&mut office.ports.world(), request.name("domino-pod-identity"));
    mutation(&office, "by-hand", json!({ "svc-etl": "svc-etl-sa" }));
    let answer = explain(&office);
    assert_eq!(wrong(&answer), []);
    let words = text(&answer);
    assert!(words.contains("Mutation domino-platform/by-hand, which is not ours, maps"), "{words}");
    mutation(&office, "another", json!({ "svc-etl": "elsewhere" }));
    let (evidence, _) = broken(&explain(&office), "domsed mapping");
    assert!(evidence.contains("domino-platform/another maps svc-etl to elsewhere"), "{evidence}");
}

#[test]
fn a_mutation_of_ours_that_maps_the_name_elsewhere_is_told() {
    let office = at_work();
    mutation(&office, "domino-pod-identity", json!({ "svc-etl": "elsewhere" }));
    let answer = explain(&office);
    broken(&answer, "domsed mapping");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn domsed_that_is_not_installed_is_told() {
    let office = at_work();
    kubernetes(&office, |api| api.settings.has_mutations = false);
    let answer = explain(&office);
    broken(&answer, "domsed mapping");
    insta::assert_snapshot!(golden(&answer));
}

/// The pod's line is the one that is broken, whether the service account is asked for or the pod.
fn assert_pod(office: &Office, name: &str) {
    broken(&explain(office), &format!("pod {name}"));
    broken(&of_pod(office, name), &format!("pod {name}"));
}

#[test]
fn a_pod_that_came_up_without_credentials_is_told() {
    let office = at_work();
    kubernetes(&office, |api| api.settings.webhook = false);
    let name = pod(&office, "svc-etl-sa");
    for answer in [explain(&office), of_pod(&office, &name)] {
        let checks: Vec<_> = wrong(&answer).into_iter().map(|(check, ..)| check).collect();
        assert_eq!(checks, ["webhook".to_owned(), format!("pod {name}")]);
        let words = headline(&answer);
        assert!(words.contains(" has no credentials on blue: pod "), "{words}");
        assert_eq!(answer["works"], false);
    }
    insta::assert_snapshot!(golden(&explain(&office)));
    insta::assert_snapshot!(golden(&of_pod(&office, &name)));
}

#[test]
fn a_pod_that_domsed_missed_is_told() {
    let office = at_work();
    let run = "run-0123456789abcdef01234567";
    office.ports.world().add_service_account(&cluster("blue"), NAMESPACE, run, &[]).unwrap();
    let name = pod(&office, run);
    assert_pod(&office, &name);
    insta::assert_snapshot!(golden(&explain(&office)));
    insta::assert_snapshot!(golden(&of_pod(&office, &name)));
}

#[test]
fn a_pod_with_access_keys_is_told() {
    let office = at_work();
    let mut with_keys = DominoPod::new("svc-etl-sa", "svc-etl");
    with_keys.environment.insert("AWS_ACCESS_KEY_ID".to_owned(), "AKIA".to_owned());
    let name = add(&office, &with_keys);
    assert_pod(&office, &name);
    insta::assert_snapshot!(golden(&explain(&office)));
    insta::assert_snapshot!(golden(&of_pod(&office, &name)));
}

#[test]
fn a_pod_that_holds_the_role_before_is_told() {
    let office = at_work();
    let name = pod(&office, "svc-etl-sa");
    office.advance(600);
    office.bind("svc-etl", "train");
    office.advance(100);
    assert_pod(&office, &name);
    insta::assert_snapshot!(golden(&explain(&office)));
    insta::assert_snapshot!(golden(&of_pod(&office, &name)));
}

#[test]
fn a_pod_that_outlives_its_binding_is_told() {
    let office = at_work();
    let name = pod(&office, "svc-etl-sa");
    office.advance(600);
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" }));
    office.reconcile("blue");
    office.reconcile("blue");
    let answer = explain(&office);
    let shown = wrong(&answer);
    let last = shown.last().unwrap();
    assert_eq!(last.0, format!("pod {name}"));
    assert!(last.2.starts_with("revoked: "), "{last:?}");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_pod_of_an_association_before_is_told() {
    let office = at_work();
    let name = pod(&office, "svc-etl-sa");
    office.advance(600);
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" }));
    office.reconcile("blue");
    office.advance(600);
    office.bind("svc-etl", "train");
    office.work("blue");
    office.advance(100);
    let answer = explain(&office);
    let (evidence, _) = broken(&answer, &format!("pod {name}"));
    assert!(evidence.starts_with("recreated: "), "{evidence}");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_pod_that_works_by_irsa_is_told() {
    let office = at_work();
    annotate(&office);
    let environment = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"), ("AWS_ROLE_ARN", "old")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let name = add(&office, &DominoPod { environment, ..DominoPod::new("svc-etl-sa", "svc-etl") });
    let answer = explain(&office);
    let shown = wrong(&answer);
    let checks: Vec<&str> = shown.iter().map(|(check, ..)| check.as_str()).collect();
    assert_eq!(checks, ["irsa annotation".to_owned(), format!("pod {name}")]);
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_pod_that_is_right_is_told_so() {
    let office = at_work();
    let name = pod(&office, "svc-etl-sa");
    let answer = of_pod(&office, &name);
    assert_eq!(answer["works"], true);
    insta::assert_snapshot!(golden(&answer));
    end(&office, &name);
    let answer = of_pod(&office, &name);
    assert!(text(&answer).contains("has ended"), "{}", text(&answer));
    insta::assert_snapshot!(golden(&answer));
}

fn end(office: &Office, pod: &str) {
    office.ports.world().set_pod_phase(&cluster("blue"), NAMESPACE, pod, "Failed").unwrap();
}

#[test]
fn a_pod_that_ended_without_credentials_is_told_so() {
    let office = at_work();
    kubernetes(&office, |api| api.settings.webhook = false);
    let name = pod(&office, "svc-etl-sa");
    end(&office, &name);
    let answer = of_pod(&office, &name);
    assert_eq!(answer["works"], false);
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn of_a_pod_that_ended_nobody_says_whether_it_was_before_a_change() {
    let office = at_work();
    let name = pod(&office, "svc-etl-sa");
    end(&office, &name);
    office.advance(3600);
    office.bind("svc-etl", "train");
    office.advance(100);
    let answer = of_pod(&office, &name);
    let [(check, verdict, evidence)] = &wrong(&answer)[..] else { panic!("{}", text(&answer)) };
    assert_eq!((check, verdict.as_str()), (&format!("pod {name}"), "unknown"));
    assert!(evidence.starts_with("it has ended, and whether before this"), "{evidence}");
    assert_eq!(answer["works"], Value::Null);
}

/// svc-etl moves from svc-etl-sa to another service account.
fn move_on(office: &Office) {
    office.advance(600);
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"), "mode": "apply",
        "kubernetes": { "namespace": NAMESPACE, "serviceAccount": "svc-new-sa" },
    }));
    office.reconcile("blue");
}

#[test]
fn pods_of_whoever_has_the_service_account_of_before_are_not_ones_own() {
    let office = at_work();
    move_on(&office);
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-heir", "roleArn": role("train"), "mode": "apply",
        "kubernetes": { "namespace": NAMESPACE, "serviceAccount": "svc-etl-sa" },
    }));
    office.reconcile("blue");
    office.work("blue");
    office.advance(100);
    let mut with_keys = DominoPod::new("svc-etl-sa", "svc-heir");
    with_keys.environment.insert("AWS_ACCESS_KEY_ID".to_owned(), "AKIA".to_owned());
    let name = add(&office, &with_keys);
    let answer = explain(&office);
    assert!(!text(&answer).contains(&name), "{}", text(&answer));
}

#[test]
fn a_pod_whose_service_account_could_not_be_looked_up_is_told() {
    let office = at_work();
    let name = pod(&office, "svc-etl-sa");
    move_on(&office);
    // The list at the place that is wanted is the first.
    let denied = PortFault::nth("ListPodIdentityAssociations", 2, When::Before, ErrorKind::Denied);
    office.ports.fault(denied);
    let shown = wrong(&explain(&office));
    let of_pod = shown.iter().find(|(check, ..)| *check == format!("pod {name}")).unwrap();
    assert_eq!(of_pod.1, "unknown", "{shown:?}");
    assert!(of_pod.2.contains("whether it holds what that one gave is not known"), "{shown:?}");
}

#[test]
fn a_pod_on_another_service_account_than_the_binding_says_is_told() {
    let office = at_work();
    let name = pod(&office, "default");
    for answer in [explain(&office), of_pod(&office, &name)] {
        let (evidence, remediation) = broken(&answer, &format!("pod {name}"));
        assert_eq!(evidence, "it runs as domino-compute/default, not as domino-compute/svc-etl-sa");
        assert!(remediation.contains("label selectors"), "{remediation}");
    }
    assert_eq!(of_pod(&office, &name)["works"], false);
}

#[test]
fn a_pod_whose_containers_are_left_out_is_told_when_it_is_asked_for() {
    let office = at_work();
    let mut skipping = DominoPod::new("svc-etl-sa", "svc-etl");
    skipping.annotations.insert(SKIP_CONTAINERS_ANNOTATION.to_owned(), "run".to_owned());
    let name = add(&office, &skipping);
    let (evidence, _) = broken(&of_pod(&office, &name), &format!("pod {name}"));
    assert!(evidence.contains(SKIP_CONTAINERS_ANNOTATION), "{evidence}");
    // It opted out, which concerns nobody else.
    let [(check, _, evidence)] = &wrong(&explain(&office))[..] else { panic!() };
    assert_eq!(check, &format!("pod {name}"));
    assert!(evidence.starts_with("excluded: "), "{evidence}");
}

#[test]
fn what_can_keep_a_pod_from_its_credentials_is_told() {
    let office = at_work();
    let mut proxied = DominoPod::new("svc-etl-sa", "svc-etl");
    proxied.environment.insert("HTTP_PROXY".to_owned(), "http://proxy:3128".to_owned());
    let name = add(&office, &proxied);
    for answer in [explain(&office), of_pod(&office, &name)] {
        let [(check, verdict, evidence)] = &wrong(&answer)[..] else { panic!("{}", text(&answer)) };
        assert_eq!((check, verdict.as_str()), (&format!("pod {name}"), "unknown"));
        assert!(evidence.contains("NO_PROXY"), "{evidence}");
        assert_eq!(answer["works"], Value::Null);
    }
    let mut on_fargate = DominoPod::new("svc-etl-sa", "svc-etl");
    let label = "eks.amazonaws.com/fargate-profile".to_owned();
    on_fargate.labels.insert(label, "jobs".to_owned());
    let name = add(&office, &on_fargate);
    let answer = of_pod(&office, &name);
    let (evidence, _) = broken(&answer, &format!("pod {name}"));
    assert!(evidence.contains("Fargate"), "{evidence}");
    assert_eq!(answer["works"], false);
}

#[test]
fn a_pod_that_another_name_started_is_told() {
    let office = at_work();
    let name = add(&office, &DominoPod::new("svc-etl-sa", "svc-report"));
    for answer in [explain(&office), of_pod(&office, &name)] {
        let (evidence, _) = broken(&answer, &format!("pod {name}"));
        assert!(evidence.starts_with("it was started by svc-report"), "{evidence}");
        assert!(evidence.ends_with(role("etl").as_str()), "{evidence}");
    }
}

#[test]
fn a_pod_that_holds_what_the_service_account_before_gave_is_told() {
    let office = at_work();
    let name = pod(&office, "svc-etl-sa");
    move_on(&office);
    office.advance(100);
    for answer in [explain(&office), of_pod(&office, &name)] {
        let shown = wrong(&answer);
        let of_pod = shown.iter().find(|(check, ..)| *check == format!("pod {name}"));
        let (_, verdict, evidence) = of_pod.unwrap();
        assert_eq!(verdict, "broken");
        assert!(evidence.starts_with("revoked: "), "{evidence}");
        assert!(evidence.contains("holds credentials that svc-etl lost"), "{evidence}");
    }
}

#[test]
fn before_a_pod_came_up_nothing_proves_that_the_webhook_injects() {
    let office = at_work();
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" }));
    office.reconcile("blue");
    office.bind("svc-etl", "etl");
    office.advance(10);
    let answer = explain(&office);
    let [(check, verdict, _)] = &wrong(&answer)[..] else { panic!("{}", text(&answer)) };
    assert_eq!((check.as_str(), verdict.as_str()), ("webhook", "unknown"));
    let words = headline(&answer);
    assert!(
        words.starts_with("nothing is seen that keeps svc-etl from working on blue"),
        "{words}"
    );
    assert_eq!(answer["works"], Value::Null);
    office.advance(100);
    pod(&office, "svc-etl-sa");
    assert_eq!(explain(&office)["works"], true);
}

#[test]
fn of_two_that_want_one_service_account_a_pod_belongs_to_the_one_that_holds_it() {
    let office = at_work();
    let name = pod(&office, "svc-etl-sa");
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-second", "roleArn": role("train"),
        "kubernetes": { "namespace": NAMESPACE, "serviceAccount": "svc-etl-sa" }, "mode": "apply",
    }));
    office.reconcile("blue");
    office.advance(100);
    // The holder's binding is the younger one now.
    office.bind("svc-etl", "etl");
    office.work("blue");
    assert_eq!(of_pod(&office, &name)["serviceAccount"], "svc-etl");
}

#[test]
fn a_pod_of_nobody_is_refused_with_the_remediation() {
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

#[test]
fn nobody_forges_a_line_of_explain_or_of_the_history() {
    let office = at_work();
    delete_account(&office);
    let forged = "x\n  ok  pod  everything works\r\u{202e}\u{2028}";
    {
        let annotations = [("eks.amazonaws.com/role-arn", forged)];
        let (mut world, blue) = (office.ports.world(), cluster("blue"));
        world.add_service_account(&blue, NAMESPACE, "svc-etl-sa", &annotations).unwrap();
    }
    mutation(&office, "theirs", json!({ "svc-etl": forged }));
    let event = json!({
        "version": "0", "id": "d-9", "source": "domino.automation", "account": "111122223333",
        "detail-type": "Service Account Role Assigned", "region": "eu-west-1",
        "time": "2026-11-20T12:30:00Z", "resources": [],
        "detail": {
            "schemaVersion": 1, "eventId": "e-9", "occurredAt": office.ports.world().now.to_string(),
            "serviceAccount": "svc-etl", "roleArn": role("etl"), "actor": forged, "reason": forged,
        },
    });
    office.comes(&event.to_string());
    let of_history = json!({ "action": "history", "serviceAccount": "svc-etl" });
    for answer in [explain(&office), office.done(of_history)] {
        let words = text(&answer);
        assert!(words.contains("everything works"), "{words}");
        for line in words.lines() {
            assert!(!line.trim_start().starts_with("ok  pod"), "{words}");
        }
        assert!(!words.contains(['\r', '\u{202e}', '\u{2028}']), "{words}");
    }
}
