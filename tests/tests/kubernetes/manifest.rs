//! The manifests of `infra/kubernetes` against what the embedded clusters let the functions do in
//! every other test.

use std::collections::BTreeSet;

use local::scene;
use pod_identity_world::AccessRule;
use serde_json::Value;

/// Namespace, resource, verb, and the names of the objects, of all where there are none.
type Right = (String, String, String, Vec<String>);

fn documents(name: &str) -> Vec<Value> {
    let path = format!("{}/../infra/kubernetes/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned())
}

fn granted(documents: &[Value]) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for role in documents.iter().filter(|one| one["kind"] == "Role") {
        let namespace = role["metadata"]["namespace"].as_str().unwrap();
        for rule in role["rules"].as_array().unwrap() {
            let names = rule.get("resourceNames").map(|names| texts(names).collect());
            let names: Vec<String> = names.unwrap_or_default();
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    rights.insert((namespace.to_owned(), resource.clone(), verb, names.clone()));
                }
            }
        }
    }
    rights
}

fn had(rules: Vec<AccessRule>) -> BTreeSet<Right> {
    let mut had = BTreeSet::new();
    for rule in rules {
        let namespace = rule.namespace.unwrap();
        for verb in rule.verbs {
            let verb = verb.name().to_owned();
            had.insert((namespace.clone(), rule.resource.clone(), verb, rule.names.clone()));
        }
    }
    had
}

#[test]
fn the_manifests_grant_what_the_functions_have_in_the_embedded_clusters_and_nothing_else() {
    assert_eq!(granted(&documents("access")), had(scene::access()));
    assert_eq!(granted(&documents("readers")), had(scene::readers()));
}

#[test]
fn readers_only_read_and_nothing_that_the_workloads_function_may_not() {
    let access = granted(&documents("access"));
    for (namespace, resource, verb, names) in granted(&documents("readers")) {
        assert!(["get", "list"].contains(&verb.as_str()), "{verb} {resource}");
        let list = "list".to_owned();
        assert!(access.contains(&(namespace, resource.clone(), list, names)), "{verb} {resource}");
    }
}

#[test]
fn of_mutations_nothing_but_ours_is_written() {
    for (_, resource, verb, names) in granted(&documents("access")) {
        let ours = names == ["domino-pod-identity"];
        assert!(resource != "mutations" || verb == "list" || ours, "{verb} {names:?}");
    }
}

#[test]
fn creating_pods_is_granted_by_a_manifest_of_its_own_alone() {
    let creation =
        ("domino-compute".to_owned(), "pods".to_owned(), "create".to_owned(), Vec::new());
    assert!(!granted(&documents("access")).contains(&creation));
    assert_eq!(granted(&documents("dry-run")), BTreeSet::from([creation]));
}

#[test]
fn every_binding_binds_its_own_role_to_the_group_of_its_functions() {
    for (name, group) in [
        ("access", "domino-pod-identity"),
        ("dry-run", "domino-pod-identity"),
        ("readers", "domino-pod-identity-readers"),
    ] {
        let documents = documents(name);
        let of_kind = |kind: &str| -> Vec<&Value> {
            documents.iter().filter(|one| one["kind"] == kind).collect()
        };
        let (roles, bindings) = (of_kind("Role"), of_kind("RoleBinding"));
        assert_eq!(roles.len(), bindings.len());
        for (role, binding) in roles.into_iter().zip(bindings) {
            assert_eq!(role["metadata"], binding["metadata"]);
            assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
            assert_eq!(binding["subjects"].as_array().unwrap().len(), 1);
            assert_eq!(binding["subjects"][0]["kind"], "Group");
            assert_eq!(binding["subjects"][0]["name"], group);
        }
    }
}
