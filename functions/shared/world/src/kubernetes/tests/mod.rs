#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod admission;
mod apply;
mod lists;
mod objects;
mod pods;
mod requests;

use jiff::SignedDuration;
use pod_identity_core::Pod;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{blue, world};

const NAMESPACE: &str = "domino-compute";

/// A cluster with the namespaces of Domino and a service account.
fn cluster() -> World {
    let mut world = world();
    world.add_namespace(&blue(), NAMESPACE).unwrap();
    world.add_namespace(&blue(), "domino-platform").unwrap();
    world.add_service_account(&blue(), NAMESPACE, "svc-etl-sa", &[]).unwrap();
    world
}

fn ask(world: &mut World, request: KubernetesRequest) -> Result<(u16, Value), ApiStatus> {
    world.ask_kubernetes(&blue(), "tester", request)
}

fn ok(world: &mut World, request: KubernetesRequest) -> Value {
    ask(world, request).unwrap().1
}

fn refused(world: &mut World, request: KubernetesRequest) -> (u16, String) {
    let status = ask(world, request).unwrap_err();
    (status.code, status.reason)
}

fn request(verb: Verb, resource: Resource) -> KubernetesRequest {
    KubernetesRequest::new(verb, resource, Some(NAMESPACE))
}

fn pod_request(verb: Verb, name: &str) -> KubernetesRequest {
    request(verb, Resource::Pods).name(name)
}

fn eviction(name: &str, options: Value) -> KubernetesRequest {
    let body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": name }, "deleteOptions": options,
    });
    KubernetesRequest { eviction: true, ..pod_request(Verb::Create, name).body(body) }
}

fn bare() -> DominoPod {
    DominoPod::new("svc-etl-sa", "etl")
}

fn add(world: &mut World, pod: &DominoPod) -> String {
    world.add_domino_pod(&blue(), pod).unwrap()
}

/// The pods of the namespace, as the engine reads them.
fn pods(world: &mut World) -> Vec<Pod> {
    let list = ok(world, request(Verb::List, Resource::Pods));
    list["items"].as_array().unwrap().iter().map(read).collect()
}

fn read(object: &Value) -> Pod {
    serde_json::from_value(object.clone()).unwrap()
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn later(world: &mut World, seconds: i64) {
    world.now = world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
}

fn settings(world: &mut World) -> &mut KubernetesSettings {
    &mut world.kubernetes(&blue()).unwrap().settings
}

fn budget(min_available: u32) -> Budget {
    Budget {
        namespace: NAMESPACE.to_owned(),
        name: "keep".to_owned(),
        labels: [("app".to_owned(), "a".to_owned())].into(),
        min_available,
    }
}

fn labelled(name: &str, value: &str) -> DominoPod {
    DominoPod { labels: [(name.to_owned(), value.to_owned())].into(), ..bare() }
}
