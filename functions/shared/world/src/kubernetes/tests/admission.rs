//! What admission makes of a pod: service accounts and EKS's webhook.

use super::*;
use crate::CreateAssociation;
use crate::fixture::{caller, create};

fn bind(world: &mut World) {
    let input = CreateAssociation { namespace: NAMESPACE.to_owned(), ..create("svc-etl-sa") };
    world.create_pod_identity_association(&caller(), input).unwrap();
}

fn credentials(world: &mut World, name: &str) -> pod_identity_core::Credentials {
    let found = ok(world, pod_request(Verb::Get, name));
    read(&found).credentials
}

#[test]
fn credentials_are_injected_at_admission_and_never_later() {
    let mut world = cluster();
    let before = add(&mut world, &bare());
    bind(&mut world);
    let after = add(&mut world, &bare());
    assert!(!credentials(&mut world, &before).pod_identity);
    let found = credentials(&mut world, &after);
    assert!(found.pod_identity && !found.web_identity && !found.static_keys);
    let other = add(&mut world, &DominoPod::new("default", "etl"));
    assert!(!credentials(&mut world, &other).pod_identity);
    let pod = ok(&mut world, pod_request(Verb::Get, &after));
    assert_eq!(pod["spec"]["volumes"][0]["name"], "eks-pod-identity-token");
}

#[test]
fn a_pod_that_comes_before_the_association_is_visible_has_no_credentials() {
    let mut world = cluster();
    world.settings.visible_after = SignedDuration::from_secs(10);
    bind(&mut world);
    later(&mut world, 9);
    let early = add(&mut world, &bare());
    later(&mut world, 1);
    let late = add(&mut world, &bare());
    assert!(!credentials(&mut world, &early).pod_identity);
    assert!(credentials(&mut world, &late).pod_identity);
}

#[test]
fn a_webhook_that_fails_is_passed_over() {
    let mut world = cluster();
    bind(&mut world);
    settings(&mut world).webhook = false;
    let name = add(&mut world, &bare());
    assert!(!credentials(&mut world, &name).pod_identity);
}

#[test]
fn skipped_containers_get_nothing_and_set_ones_are_left_alone() {
    let mut world = cluster();
    bind(&mut world);
    let skip = ("eks.amazonaws.com/skip-containers".to_owned(), "run, other".to_owned());
    let skipping = DominoPod { annotations: [skip].into(), ..bare() };
    let name = add(&mut world, &skipping);
    assert!(!credentials(&mut world, &name).pod_identity);
    let own = ("AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned(), "http://127.0.0.1/".to_owned());
    let name = add(&mut world, &DominoPod { environment: [own].into(), ..bare() });
    let pod = ok(&mut world, pod_request(Verb::Get, &name));
    assert_eq!(pod["spec"]["containers"][0]["env"].as_array().unwrap().len(), 1);
}

#[test]
fn irsa_is_injected_only_where_there_is_no_association() {
    let mut world = cluster();
    let role = [("eks.amazonaws.com/role-arn", "arn:aws:iam::111122223333:role/irsa")];
    world.add_service_account(&blue(), NAMESPACE, "annotated", &role).unwrap();
    let pod = DominoPod::new("annotated", "etl");
    let name = add(&mut world, &pod);
    let found = credentials(&mut world, &name);
    assert!(found.web_identity && !found.pod_identity);
    let input = CreateAssociation { namespace: NAMESPACE.to_owned(), ..create("annotated") };
    world.create_pod_identity_association(&caller(), input).unwrap();
    let name = add(&mut world, &pod);
    let found = credentials(&mut world, &name);
    assert!(found.pod_identity && !found.web_identity);
    // Something else may have put it there.
    let file = ("AWS_WEB_IDENTITY_TOKEN_FILE".to_owned(), "/var/run/t".to_owned());
    let name = add(&mut world, &DominoPod { environment: [file].into(), ..pod });
    let found = credentials(&mut world, &name);
    assert!(found.pod_identity && found.web_identity);
}

#[test]
fn what_a_replica_set_starts_again_is_admitted_again() {
    let mut world = cluster();
    let name = add(&mut world, &bare().owned_by("ReplicaSet"));
    bind(&mut world);
    ok(&mut world, eviction(&name, json!({})));
    let new = pods(&mut world).into_iter().find(|pod| pod.name != name).unwrap();
    assert!(new.credentials.pod_identity);
    let association = world.eks.find(&blue(), NAMESPACE, "svc-etl-sa").unwrap().id.clone();
    world.delete_pod_identity_association(&caller(), "blue", &association).unwrap();
    ok(&mut world, eviction(&new.name, json!({})));
    let newest = pods(&mut world).into_iter().find(|pod| !pod.terminating).unwrap();
    assert!(!newest.credentials.pod_identity);
}

#[test]
fn a_pod_of_a_service_account_that_is_not_there_is_forbidden() {
    let mut world = cluster();
    let status = world.add_domino_pod(&blue(), &DominoPod::new("nobody", "etl")).unwrap_err();
    assert_eq!(status.code, 403);
    assert!(status.message.ends_with(
        "is forbidden: error looking up service account domino-compute/nobody: serviceaccount \
         \"nobody\" not found"
    ));
}

#[test]
fn a_pod_without_containers_is_invalid() {
    let mut world = cluster();
    let create = |spec: Value| {
        let body = json!({ "metadata": { "generateName": "p-" }, "spec": spec });
        request(Verb::Create, Resource::Pods).body(body)
    };
    assert_eq!(refused(&mut world, create(json!({}))).0, 422);
    assert_eq!(refused(&mut world, create(json!({ "containers": [{ "name": "c" }] }))).0, 422);
    let made = ok(&mut world, create(json!({ "containers": [{ "name": "c", "image": "i" }] })));
    assert_eq!(made["metadata"]["name"].as_str().unwrap().len(), 7);
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    assert_eq!(made["status"]["phase"], "Pending");
}
