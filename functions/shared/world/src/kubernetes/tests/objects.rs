//! Objects that are made, read and deleted.

use super::*;

fn account(name: &str) -> KubernetesRequest {
    request(Verb::Create, Resource::ServiceAccounts).body(json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name },
    }))
}

#[test]
fn an_object_gets_uid_version_and_time_in_whole_seconds() {
    let mut world = cluster();
    world.now = world.now.checked_add(SignedDuration::from_millis(700)).unwrap();
    let first = ask(&mut world, account("a")).unwrap();
    assert_eq!(first.0, 201);
    let metadata = &first.1["metadata"];
    assert_eq!(metadata["creationTimestamp"], "2027-01-15T08:00:00Z");
    assert_eq!(metadata["namespace"], NAMESPACE);
    let second = ok(&mut world, account("b"));
    assert_ne!(metadata["uid"], second["metadata"]["uid"]);
    let version = |object: &Value| -> u64 {
        object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
    };
    assert!(version(&first.1) < version(&second));
    let get = request(Verb::Get, Resource::ServiceAccounts).name("a");
    assert_eq!(ok(&mut world, get), first.1);
}

#[test]
fn a_second_object_of_a_name_already_exists() {
    let mut world = cluster();
    ok(&mut world, account("a"));
    let status = ask(&mut world, account("a")).unwrap_err();
    assert_eq!(status.to_string(), "serviceaccounts \"a\" already exists");
    assert_eq!((status.code, status.reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(status.to_json()["details"], json!({ "name": "a", "kind": "serviceaccounts" }));
}

#[test]
fn nothing_is_made_in_a_namespace_that_is_not_there() {
    let mut world = cluster();
    let body = json!({ "metadata": { "name": "a" } });
    let there = KubernetesRequest::new(Verb::Create, Resource::ServiceAccounts, Some("nowhere"));
    let status = ask(&mut world, there.body(body)).unwrap_err();
    assert_eq!(
        (status.code, status.to_string().as_str()),
        (404, "namespaces \"nowhere\" not found")
    );
    let list = KubernetesRequest::new(Verb::List, Resource::Pods, Some("nowhere"));
    assert_eq!(names(&ok(&mut world, list)), Vec::<String>::new());
}

#[test]
fn a_namespace_comes_with_a_default_account_and_goes_with_all_that_is_in_it() {
    let mut world = cluster();
    let name = add(&mut world, &bare());
    let accounts = ok(&mut world, request(Verb::List, Resource::ServiceAccounts));
    assert_eq!(names(&accounts), ["default", "svc-etl-sa"]);
    let all = KubernetesRequest::new(Verb::List, Resource::Namespaces, None);
    let found = ok(&mut world, all.clone());
    assert_eq!(names(&found), ["default", "domino-compute", "domino-platform", "kube-system"]);
    let delete = KubernetesRequest::new(Verb::Delete, Resource::Namespaces, None).name(NAMESPACE);
    ok(&mut world, delete);
    assert_eq!(names(&ok(&mut world, all)), ["default", "domino-platform", "kube-system"]);
    assert_eq!(refused(&mut world, pod_request(Verb::Get, &name)).0, 404);
}

#[test]
fn a_deletion_with_another_uid_is_a_conflict_and_deletes_nothing() {
    let mut world = cluster();
    let made = ok(&mut world, account("a"));
    let delete = |uid: &Value| {
        let options = json!({ "preconditions": { "uid": uid } });
        request(Verb::Delete, Resource::ServiceAccounts).name("a").body(options)
    };
    let status = ask(&mut world, delete(&json!("other"))).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert!(status.message.contains("UID in the precondition (other)"), "{status}");
    ok(&mut world, delete(&made["metadata"]["uid"]));
    assert_eq!(refused(&mut world, delete(&json!("other"))), (404, "NotFound".to_owned()));
}

#[test]
fn a_dry_run_answers_as_if_and_keeps_nothing() {
    let mut world = cluster();
    let before = world.kubernetes(&blue()).unwrap().version();
    let (code, made) = ask(&mut world, account("a").with("dryRun", "All")).unwrap();
    assert_eq!((code, made["metadata"]["name"].as_str()), (201, Some("a")));
    let body = json!({ "dryRun": ["All"] });
    let delete = request(Verb::Delete, Resource::ServiceAccounts).name("svc-etl-sa").body(body);
    ok(&mut world, delete);
    assert_eq!(world.kubernetes(&blue()).unwrap().version(), before);
    assert_eq!(refused(&mut world, account("a").with("dryRun", "some")).0, 422);
    assert_eq!(refused(&mut world, account("svc-etl-sa").with("dryRun", "All")).0, 409);
}

#[test]
fn unknown_fields_and_wrong_types_are_refused() {
    let mut world = cluster();
    let create = |body: Value| request(Verb::Create, Resource::ServiceAccounts).body(body);
    let strange = json!({ "metadata": { "name": "a", "lables": {} }, "roleArn": "x" });
    let status = ask(&mut world, create(strange.clone())).unwrap_err();
    assert_eq!(status.code, 400);
    assert_eq!(
        status.to_string(),
        "ServiceAccount in version \"v1\" cannot be handled as a ServiceAccount: strict decoding \
         error: unknown field \"metadata.lables\", unknown field \"roleArn\""
    );
    let wrong = json!({ "metadata": { "name": "a", "labels": { "n": 1 } } });
    assert_eq!(refused(&mut world, create(wrong)).0, 400);
    let wrong = json!({ "metadata": { "name": "A_b" } });
    assert_eq!(refused(&mut world, create(wrong)), (422, "Invalid".to_owned()));
    let wrong = json!({ "kind": "Pod", "metadata": { "name": "a" } });
    assert_eq!(refused(&mut world, create(wrong)).0, 400);

    // The real server drops them unless it is asked to be strict.
    settings(&mut world).strict = false;
    let asked = create(strange.clone()).with("fieldValidation", "Strict");
    assert_eq!(refused(&mut world, asked).0, 400);
    let made = ok(&mut world, create(strange));
    assert!(made.get("roleArn").is_none());
}

#[test]
fn a_namespace_that_is_going_and_a_quota_refuse_what_is_new_and_name_no_right() {
    let mut world = cluster();
    let create = |name: &str| {
        request(Verb::Create, Resource::ServiceAccounts)
            .body(json!({ "metadata": { "name": name } }))
    };
    let used = world.kubernetes(&blue()).unwrap().all(Resource::ServiceAccounts, NAMESPACE).count();
    let quota = (NAMESPACE.to_owned(), "serviceaccounts".to_owned());
    settings(&mut world).quotas.insert(quota, used + 1);
    ok(&mut world, create("first"));
    let status = ask(&mut world, create("second")).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert!(status.message.contains("exceeded quota: "), "{status}");
    settings(&mut world).quotas.clear();

    let finalizers = json!({ "metadata": { "finalizers": ["example.com/keep"] } });
    let namespace = |verb| KubernetesRequest::new(verb, Resource::Namespaces, None).name(NAMESPACE);
    let patch = KubernetesRequest { patch: PatchKind::Merge, ..namespace(Verb::Patch) };
    ok(&mut world, patch.body(finalizers));
    ok(&mut world, namespace(Verb::Delete));
    let status = ask(&mut world, create("third")).unwrap_err();
    assert_eq!(status.code, 403);
    assert!(status.message.contains("because it is being terminated"), "{status}");
    assert_eq!(status.to_json()["details"]["causes"][0]["reason"], "NamespaceTerminating");
}

#[test]
fn an_object_with_finalizers_terminates_until_they_are_taken_away() {
    let mut world = cluster();
    let account = |verb| request(verb, Resource::ServiceAccounts).name("svc-etl-sa");
    let patch = |finalizers: Value| {
        KubernetesRequest { patch: PatchKind::Merge, ..account(Verb::Patch) }
            .body(json!({ "metadata": { "finalizers": finalizers } }))
    };
    ok(&mut world, patch(json!(["example.com/keep"])));
    let going = ok(&mut world, account(Verb::Delete));
    assert!(going["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(ok(&mut world, account(Verb::Get)), going);
    assert_eq!(ok(&mut world, account(Verb::Delete)), going);
    ok(&mut world, patch(json!([])));
    assert_eq!(refused(&mut world, account(Verb::Get)).0, 404);
}

#[test]
fn a_label_is_held_to_its_rule() {
    let mut world = cluster();
    for (label, fits) in [("", true), ("a-1", true), ("-a", false), ("a b", false)] {
        let body = json!({ "metadata": { "generateName": "a-", "labels": { "l": label } } });
        let made = ask(&mut world, request(Verb::Create, Resource::ServiceAccounts).body(body));
        assert_eq!(made.is_ok(), fits, "{label}: {made:?}");
    }
}
