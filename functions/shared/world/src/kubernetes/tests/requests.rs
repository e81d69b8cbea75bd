//! Requests as they come over HTTP, and discovery.

use super::*;

fn segments(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(str::to_owned).collect()
}

fn parse(method: &str, path: &str) -> Result<KubernetesRequest, ApiStatus> {
    let content_type = if method == "PATCH" { "application/apply-patch+yaml" } else { "" };
    KubernetesRequest::parse(method, &segments(path), Vec::new(), content_type, b"")
}

#[test]
fn paths_are_understood_and_written_alike() {
    for (method, path, operation) in [
        ("GET", "/api/v1/namespaces", "list namespaces"),
        ("GET", "/api/v1/namespaces/a", "get namespaces"),
        ("GET", "/api/v1/pods", "list pods"),
        ("GET", "/api/v1/namespaces/a/pods", "list pods"),
        ("POST", "/api/v1/namespaces/a/pods", "create pods"),
        ("DELETE", "/api/v1/namespaces/a/pods/b", "delete pods"),
        ("POST", "/api/v1/namespaces/a/pods/b/eviction", "create pods/eviction"),
        ("GET", "/apis/policy/v1/namespaces/a/poddisruptionbudgets", "list poddisruptionbudgets"),
        (
            "PATCH",
            "/apis/apps.dominodatalab.com/v1alpha1/namespaces/a/mutations/b",
            "patch mutations",
        ),
    ] {
        let request = parse(method, path).unwrap();
        assert_eq!((request.path().as_str(), request.operation().as_str()), (path, operation));
    }
    let request =
        request(Verb::List, Resource::Pods).with("labelSelector", "a in (b)").with("limit", 5);
    assert_eq!(
        request.path(),
        "/api/v1/namespaces/domino-compute/pods?labelSelector=a%20in%20%28b%29&limit=5"
    );
}

#[test]
fn what_the_api_does_not_have_is_told_apart() {
    for (method, path, code) in [
        ("GET", "/", 404),
        ("GET", "/apis/apps/v1/namespaces/a/deployments", 404),
        ("GET", "/api/v1/namespaces/a/secrets", 404),
        ("GET", "/api/v1/namespaces/a/mutations", 404),
        ("GET", "/api/v1/namespaces/a/pods/b/log", 404),
        ("GET", "/api/v1/namespaces/a/pods/b/eviction", 405),
        ("PUT", "/api/v1/namespaces/a/pods/b", 405),
        ("DELETE", "/api/v1/namespaces/a/pods", 405),
        ("PATCH", "/api/v1/namespaces/a/pods", 405),
    ] {
        assert_eq!(parse(method, path).unwrap_err().code, code, "{method} {path}");
    }
    let path = segments("/api/v1/namespaces/a/pods/b");
    let json =
        KubernetesRequest::parse("PATCH", &path, Vec::new(), "application/json-patch+json", b"[]");
    assert_eq!(json.unwrap_err().code, 415);
    let broken = KubernetesRequest::parse("DELETE", &path, Vec::new(), "application/json", b"{");
    assert_eq!(broken.unwrap_err().code, 400);
}

#[test]
fn discovery_lists_groups_and_resources() {
    let mut world = cluster();
    let discover = |world: &World, path: &str| {
        world.discover_kubernetes(&blue(), "tester", &segments(path)).unwrap()
    };
    assert_eq!(discover(&world, "/version").unwrap()["minor"], "33");
    assert_eq!(discover(&world, "/api").unwrap()["versions"], json!(["v1"]));
    let core = discover(&world, "/api/v1").unwrap();
    let names: Vec<&str> = core["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["namespaces", "pods", "pods/eviction", "serviceaccounts"]);
    let groups =
        |world: &World| discover(world, "/apis").unwrap()["groups"].as_array().unwrap().len();
    assert_eq!(groups(&world), 2);
    let domino = "/apis/apps.dominodatalab.com/v1alpha1";
    assert_eq!(discover(&world, domino).unwrap()["resources"][0]["kind"], "Mutation");
    settings(&mut world).has_mutations = false;
    assert_eq!(groups(&world), 1);
    assert_eq!(discover(&world, domino), None);
    assert_eq!(discover(&world, "/api/v1/pods"), None);
}

#[test]
fn a_patch_says_which_kind_it_is_and_a_custom_resource_has_no_strategic_merge() {
    let mutation = "/apis/apps.dominodatalab.com/v1alpha1/namespaces/a/mutations/b";
    let account = "/api/v1/namespaces/a/serviceaccounts/b";
    for (path, content_type, expected) in [
        (mutation, "application/merge-patch+json", Ok(PatchKind::Merge)),
        (mutation, "application/apply-patch+yaml", Ok(PatchKind::Apply)),
        (mutation, "application/strategic-merge-patch+json", Err(415)),
        (mutation, "application/json", Err(415)),
        (account, "application/strategic-merge-patch+json", Ok(PatchKind::Merge)),
        (account, "application/json", Err(415)),
    ] {
        let parsed =
            KubernetesRequest::parse("PATCH", &segments(path), Vec::new(), content_type, b"{}");
        let parsed = parsed.map(|request| request.patch).map_err(|status| status.code);
        assert_eq!(parsed, expected, "{path} {content_type}");
    }
}
