//! Server-side apply of Mutations.

use super::*;

fn mutation(verb: Verb) -> KubernetesRequest {
    KubernetesRequest::new(verb, Resource::Mutations, Some("domino-platform")).name("ours")
}

fn rules(name: &str) -> Value {
    json!([{ "labelSelectors": ["dominodatalab.com/workload-type in (Batch)"],
             "cloudWorkloadIdentity": { "cloud_type": "aws", "user_mappings": { "etl": name } } }])
}

/// The same with what the definition fills in.
fn filled(name: &str) -> Value {
    let mut rules = rules(name);
    rules[0]["matchBuilds"] = json!(false);
    rules[0]["cloudWorkloadIdentity"]["assume_sa_mapping"] = json!(false);
    rules
}

fn body(rules: Value) -> Value {
    json!({ "apiVersion": "apps.dominodatalab.com/v1alpha1", "kind": "Mutation",
            "metadata": { "name": "ours" }, "rules": rules })
}

fn apply(manager: &str, body: Value) -> KubernetesRequest {
    mutation(Verb::Patch).with("fieldManager", manager).body(body)
}

fn patch(body: Value) -> KubernetesRequest {
    KubernetesRequest { patch: PatchKind::Merge, ..mutation(Verb::Patch) }
        .with("fieldManager", "kubectl-edit")
        .body(body)
}

#[test]
fn apply_makes_changes_and_leaves_what_is_right_alone() {
    let mut world = cluster();
    let (code, made) = ask(&mut world, apply("us", body(rules("a")))).unwrap();
    assert_eq!(code, 201);
    let entry = &made["metadata"]["managedFields"][0];
    assert_eq!((&entry["manager"], &entry["operation"]), (&json!("us"), &json!("Apply")));
    assert_eq!(entry["fieldsV1"], json!({ "f:rules": {} }));
    later(&mut world, 60);
    let (code, same) = ask(&mut world, apply("us", body(rules("a")))).unwrap();
    assert_eq!((code, &same), (200, &made));
    let changed = ok(&mut world, apply("us", body(rules("b"))));
    assert_eq!(changed["rules"], filled("b"));
    assert_eq!(changed["metadata"]["uid"], made["metadata"]["uid"]);
    assert_ne!(changed["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
}

#[test]
fn a_field_that_another_manager_set_otherwise_is_a_conflict_unless_forced() {
    let mut world = cluster();
    ok(&mut world, apply("us", body(rules("a"))));
    let edited = ok(&mut world, patch(json!({ "rules": rules("hand") })));
    let status = ask(&mut world, apply("us", body(rules("a")))).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using \
         apps.dominodatalab.com/v1alpha1: .rules"
    );
    let cause = &status.to_json()["details"]["causes"][0];
    assert_eq!(
        (&cause["reason"], &cause["field"]),
        (&json!("FieldManagerConflict"), &json!(".rules"))
    );
    assert_eq!(ok(&mut world, mutation(Verb::Get)), edited);
    // The same value is no conflict: both own it then. What the definition fills in is part of it.
    assert_eq!(refused(&mut world, apply("us", body(rules("hand")))).0, 409);
    let shared = ok(&mut world, apply("us", body(filled("hand"))));
    assert_eq!(shared["metadata"]["managedFields"].as_array().unwrap().len(), 2);
    assert_eq!(refused(&mut world, apply("us", body(rules("a")))).0, 409);
    let forced = ok(&mut world, apply("us", body(rules("a"))).with("force", "true"));
    assert_eq!(forced["rules"], filled("a"));
    assert_eq!(forced["metadata"]["managedFields"].as_array().unwrap().len(), 1);
    ok(&mut world, apply("us", body(rules("b"))));
}

#[test]
fn what_is_applied_no_more_goes_unless_somebody_else_owns_it() {
    let mut world = cluster();
    let labelled = |labels: Value| {
        let mut body = body(rules("a"));
        body["metadata"]["labels"] = labels;
        body
    };
    ok(&mut world, apply("us", labelled(json!({ "a": "1", "b": "2" }))));
    ok(&mut world, patch(json!({ "metadata": { "labels": { "c": "3" } } })));
    ok(&mut world, apply("them", json!({ "metadata": { "labels": { "b": "2" } } })));
    let left = ok(&mut world, apply("us", body(rules("a"))));
    assert_eq!(left["metadata"]["labels"], json!({ "b": "2", "c": "3" }));
    let status = ask(&mut world, apply("us", labelled(json!({ "b": "9", "c": "9" })))).unwrap_err();
    assert_eq!(status.to_json()["details"]["causes"].as_array().unwrap().len(), 2);
    assert!(status.message.starts_with("Apply failed with 2 conflicts: "));
}

#[test]
fn a_mutation_that_was_created_belongs_to_who_created_it() {
    let mut world = cluster();
    let create = KubernetesRequest { name: None, ..mutation(Verb::Create) }.body(body(rules("a")));
    let made = ok(&mut world, create);
    assert_eq!(made["metadata"]["managedFields"][0]["operation"], "Update");
    assert_eq!(refused(&mut world, apply("us", body(rules("b")))).0, 409);
}

#[test]
fn apply_names_its_manager_and_its_object() {
    let mut world = cluster();
    let nameless = mutation(Verb::Patch).body(body(rules("a")));
    assert_eq!(refused(&mut world, nameless).0, 422);
    let mut other = body(rules("a"));
    other["metadata"]["name"] = json!("theirs");
    assert_eq!(refused(&mut world, apply("us", other)).0, 400);
    let mut stale = body(rules("a"));
    stale["metadata"]["managedFields"] = json!([{ "manager": "us" }]);
    assert_eq!(refused(&mut world, apply("us", stale)).0, 400);
    let spec = json!({ "spec": { "rules": [] } });
    assert_eq!(refused(&mut world, apply("us", spec)).0, 500);
    let mut there = apply("us", body(rules("a")));
    there.namespace = Some("nowhere".to_owned());
    assert_eq!(refused(&mut world, there).0, 404);
    ok(&mut world, apply("us", body(rules("a"))));
    let mut old = body(rules("b"));
    old["metadata"]["resourceVersion"] = json!("1");
    assert_eq!(refused(&mut world, apply("us", old)).0, 409);
}

#[test]
fn a_dry_run_of_an_apply_makes_nothing() {
    let mut world = cluster();
    let dry = apply("us", body(rules("a"))).with("dryRun", "All");
    assert_eq!(ask(&mut world, dry).unwrap().0, 201);
    assert_eq!(refused(&mut world, mutation(Verb::Get)).0, 404);
}

#[test]
fn a_cluster_without_domsed_knows_no_mutations() {
    let mut world = cluster();
    ok(&mut world, apply("us", body(rules("a"))));
    settings(&mut world).has_mutations = false;
    let status = ask(&mut world, mutation(Verb::Get)).unwrap_err();
    // Plain text: nobody serves the group.
    assert_eq!((status.code, status.reason.as_str()), (404, ""));
    assert_eq!(status.message, "404 page not found\n");
}

#[test]
fn what_does_not_fit_the_schema_is_an_error_of_the_servers_without_a_reason() {
    let mut world = cluster();
    let mut unknown = rules("a");
    unknown[0]["cloudWorkloadIdentity"]["novel"] = json!(true);
    let status = ask(&mut world, apply("us", body(unknown))).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (500, ""));
    assert_eq!(
        status.message,
        "failed to create typed patch object (domino-platform/ours; \
         apps.dominodatalab.com/v1alpha1, Kind=Mutation): \
         .rules[0].cloudWorkloadIdentity.novel: field not declared in schema"
    );
    assert!(status.to_json().get("reason").is_none());
    let mut typed = rules("a");
    typed[0]["enabled"] = json!("yes");
    assert_eq!(refused(&mut world, apply("us", body(typed))).0, 500);
    // An older definition does not know the newest field.
    let newest = body(filled("a"));
    ok(&mut world, apply("us", newest.clone()).with("dryRun", "All"));
    settings(&mut world).old_mutations = true;
    assert_eq!(refused(&mut world, apply("us", newest)).0, 500);
    ok(&mut world, apply("us", body(rules("a"))));
}

#[test]
fn values_outside_an_enumeration_and_a_mutation_without_rules_are_invalid() {
    let mut world = cluster();
    let mut cloud = rules("a");
    cloud[0]["cloudWorkloadIdentity"]["cloud_type"] = json!("moon");
    let status = ask(&mut world, apply("us", body(cloud))).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert_eq!(status.to_json()["details"]["kind"], "Mutation");
    let none = json!({ "metadata": { "name": "ours" } });
    assert_eq!(refused(&mut world, apply("us", none)).0, 422);
    // Any value may stand for a name.
    let mut odd = rules("a");
    odd[0]["cloudWorkloadIdentity"]["user_mappings"] = json!({ "a": null, "b": 7, "c": {} });
    ok(&mut world, apply("us", body(odd)));
}

#[test]
fn a_definition_that_was_installed_just_now_asks_for_patience() {
    let mut world = cluster();
    settings(&mut world).mutations_initialize = true;
    let list = KubernetesRequest::new(Verb::List, Resource::Mutations, Some("domino-platform"));
    let status = ask(&mut world, list).unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (429, "storage is (re)initializing"));
    assert!(!status.is_plain_text());
}

#[test]
fn a_service_account_is_applied_like_any_object() {
    let mut world = cluster();
    let apply = KubernetesRequest::new(Verb::Patch, Resource::ServiceAccounts, Some(NAMESPACE))
        .name("applied")
        .with("fieldManager", "us")
        .body(json!({ "metadata": { "name": "applied" } }));
    assert_eq!(ask(&mut world, apply.clone()).unwrap().0, 201);
    assert_eq!(ask(&mut world, apply).unwrap().0, 200);
}
