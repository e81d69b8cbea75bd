//! Who may do what, and who is let in.

use super::*;

#[test]
fn a_user_with_rules_may_do_what_they_say_and_nothing_else() {
    let mut world = cluster();
    let name = add(&mut world, &bare());
    let rules = vec![
        AccessRule::in_namespace(NAMESPACE, "pods", &[Verb::List, Verb::Get]),
        AccessRule {
            namespace: None,
            resource: "namespaces".to_owned(),
            verbs: vec![Verb::List],
            names: Vec::new(),
        },
    ];
    settings(&mut world).rules.insert("tester".to_owned(), rules);
    ok(&mut world, request(Verb::List, Resource::Pods));
    ok(&mut world, KubernetesRequest::new(Verb::List, Resource::Namespaces, None));
    let status = ask(&mut world, eviction(&name, json!({}))).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        status.message,
        format!(
            "pods \"{name}\" is forbidden: User \"tester\" cannot create resource \
             \"pods/eviction\" in API group \"\" in the namespace \"domino-compute\""
        )
    );
    let status =
        ask(&mut world, KubernetesRequest::new(Verb::List, Resource::Pods, None)).unwrap_err();
    assert!(status.message.ends_with("at the cluster scope"), "{status}");
    // Others have no rules, and may.
    world.ask_kubernetes(&blue(), "other", eviction(&name, json!({}))).unwrap();
}

#[test]
fn a_name_limits_what_an_apply_creates_and_forbids_a_post() {
    let mut world = cluster();
    let rule =
        AccessRule::in_namespace("domino-platform", "mutations", &[Verb::Create, Verb::Patch]);
    settings(&mut world).rules.insert("tester".to_owned(), vec![rule.named("ours")]);
    let apply = |name: &str| {
        KubernetesRequest::new(Verb::Patch, Resource::Mutations, Some("domino-platform"))
            .name(name)
            .with("fieldManager", "us")
            .body(json!({ "rules": [] }))
    };
    assert_eq!(ask(&mut world, apply("another")).unwrap_err().code, 403);
    let post = KubernetesRequest::new(Verb::Create, Resource::Mutations, Some("domino-platform"))
        .body(json!({ "metadata": { "name": "ours" }, "rules": [] }));
    assert_eq!(ask(&mut world, post).unwrap_err().code, 403);
    ok(&mut world, apply("ours"));
}

#[test]
fn an_apply_that_would_create_needs_both_verbs() {
    let mut world = cluster();
    let apply = || {
        KubernetesRequest::new(Verb::Patch, Resource::Mutations, Some("domino-platform"))
            .name("ours")
            .with("fieldManager", "us")
            .body(json!({ "rules": [] }))
    };
    let rule =
        |verbs: &[Verb]| vec![AccessRule::in_namespace("domino-platform", "mutations", verbs)];
    settings(&mut world).rules.insert("tester".to_owned(), rule(&[Verb::Patch]));
    let status = ask(&mut world, apply()).unwrap_err();
    assert!(status.message.contains("cannot create resource \"mutations\""), "{status}");
    settings(&mut world).rules.insert("tester".to_owned(), rule(&[Verb::Patch, Verb::Create]));
    ok(&mut world, apply());
    settings(&mut world).rules.insert("tester".to_owned(), rule(&[Verb::Patch]));
    ok(&mut world, apply());
}

#[test]
fn a_user_that_the_cluster_does_not_know_is_unauthorized() {
    let mut world = cluster();
    settings(&mut world).users = Some(["somebody".to_owned()].into());
    let list = request(Verb::List, Resource::Pods);
    assert_eq!(refused(&mut world, list.clone()), (401, "Unauthorized".to_owned()));
    world.ask_kubernetes(&blue(), "somebody", list).unwrap();
    assert!(world.discover_kubernetes(&blue(), "tester", &["version".to_owned()]).is_err());
}

#[test]
fn a_cluster_that_is_not_there_or_not_reachable_takes_no_connection() {
    let mut world = cluster();
    settings(&mut world).reachable = false;
    let list = request(Verb::List, Resource::Pods);
    let status = ask(&mut world, list.clone()).unwrap_err();
    assert_eq!(status.kind(), pod_identity_engine::ports::ErrorKind::Unreachable);
    let gone = "arn:aws:eks:eu-west-1:111122223333:cluster/gone".parse().unwrap();
    assert_eq!(world.ask_kubernetes(&gone, "tester", list).unwrap_err().code, 0);
    world.remove_cluster(&blue());
    assert!(world.kubernetes(&blue()).is_none());
}
