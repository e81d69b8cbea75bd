//! Lists, selectors and pages.

use super::*;

fn list() -> KubernetesRequest {
    request(Verb::List, Resource::Pods)
}

fn five(world: &mut World) -> Vec<String> {
    for _ in 0..5 {
        add(world, &bare());
    }
    names(&ok(world, list()))
}

#[test]
fn pages_show_one_snapshot_whatever_changes_in_between() {
    let mut world = cluster();
    let before = five(&mut world);
    let first = ok(&mut world, list().with("limit", 2));
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    let token = |page: &Value| page["metadata"]["continue"].as_str().map(str::to_owned);
    // One that is to come goes, and one comes.
    ok(&mut world, pod_request(Verb::Delete, &before[3]).with("gracePeriodSeconds", 0));
    add(&mut world, &bare());
    let (mut seen, mut next) = (names(&first), token(&first));
    while let Some(page) = next {
        let page = ok(&mut world, list().with("limit", 2).with("continue", page));
        assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        seen.extend(names(&page));
        next = token(&page);
    }
    assert_eq!(seen, before);
    assert_eq!(names(&ok(&mut world, list())).len(), 5);
}

#[test]
fn a_token_that_is_too_old_is_expired_and_leads_to_an_inconsistent_rest() {
    let mut world = cluster();
    let before = five(&mut world);
    settings(&mut world).tokens_survive = 2;
    let first = ok(&mut world, list().with("limit", 2));
    let token = first["metadata"]["continue"].as_str().unwrap();
    let next = list().with("limit", 9).with("continue", token);
    ok(&mut world, pod_request(Verb::Delete, &before[3]).with("gracePeriodSeconds", 0));
    assert_eq!(names(&ok(&mut world, next.clone())), before[2..]);
    // A new pod is two changes: it is made, and it starts.
    add(&mut world, &bare());
    let status = ask(&mut world, next).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    assert_eq!(status.kind(), pod_identity_engine::ports::ErrorKind::Expired);
    let body = status.to_json();
    let token = body["metadata"]["continue"].as_str().unwrap();
    let rest = names(&ok(&mut world, list().with("continue", token)));
    assert!(!rest.contains(&before[3]), "{rest:?}");
    assert!(rest.contains(&before[2]) && rest.contains(&before[4]));
}

#[test]
fn a_token_that_was_not_given_out_is_refused() {
    let mut world = cluster();
    assert_eq!(refused(&mut world, list().with("continue", "x")).0, 400);
    five(&mut world);
    let first = ok(&mut world, list().with("limit", 2));
    let token = first["metadata"]["continue"].as_str().unwrap();
    let both = list().with("continue", token).with("resourceVersion", "1001");
    assert_eq!(refused(&mut world, both).0, 400);
}

#[test]
fn labels_are_selected_by_equality_and_by_sets() {
    let mut world = cluster();
    let a = add(&mut world, &labelled("tier", "a"));
    let b = add(&mut world, &labelled("tier", "b").workload_type("App"));
    let c = add(&mut world, &bare());
    let mut selected = |selector: &str| {
        let list = ok(&mut world, list().with("labelSelector", selector));
        let mut names = names(&list);
        names.sort_by_key(|name| [&a, &b, &c].iter().position(|one| *one == name));
        names
            .iter()
            .map(|name| {
                if *name == a {
                    'a'
                } else if *name == b {
                    'b'
                } else {
                    'c'
                }
            })
            .collect()
    };
    let mut expect = |selector: &str, expected: &str| {
        let found: String = selected(selector);
        assert_eq!(found, expected, "{selector}");
    };
    expect("tier=a", "a");
    expect("tier==a", "a");
    expect("tier!=a", "bc");
    expect("tier in (a, b)", "ab");
    expect("tier notin (a)", "bc");
    expect("tier", "ab");
    expect("!tier", "c");
    expect("tier,dominodatalab.com/workload-type=Batch", "a");
    expect("dominodatalab.com/workload-type in (Batch,App),tier notin (b,x)", "ac");
    expect("", "abc");
    for wrong in ["a in b", "=a", "a=b c", "a,,b"] {
        let status = refused(&mut world, super::lists::list().with("labelSelector", wrong));
        assert_eq!(status.0, 400, "{wrong}");
    }
}

#[test]
fn fields_are_selected_as_far_as_the_server_knows_them() {
    let mut world = cluster();
    let all = five(&mut world);
    let one = list().with("fieldSelector", format!("metadata.name={}", all[1]));
    assert_eq!(names(&ok(&mut world, one)), [all[1].clone()]);
    let none = list().with("fieldSelector", "status.phase!=Running");
    assert_eq!(names(&ok(&mut world, none)).len(), 0);
    let unknown = list().with("fieldSelector", "spec.image=x");
    assert_eq!(refused(&mut world, unknown).0, 400);
}

#[test]
fn a_selector_hides_how_many_remain_and_the_watch_cache_ignores_the_limit() {
    let mut world = cluster();
    five(&mut world);
    let selected = list().with("limit", 2).with("labelSelector", "!nothing");
    let page = ok(&mut world, selected);
    assert!(page["metadata"]["continue"].is_string());
    assert!(page["metadata"].get("remainingItemCount").is_none());
    let cached = ok(&mut world, list().with("limit", 2).with("resourceVersion", "0"));
    assert_eq!(names(&cached).len(), 5);
}

#[test]
fn a_list_of_all_namespaces_shows_those_of_each() {
    let mut world = cluster();
    add(&mut world, &bare());
    let elsewhere =
        DominoPod { namespace: "domino-platform".to_owned(), ..DominoPod::new("default", "etl") };
    add(&mut world, &elsewhere);
    let all = KubernetesRequest::new(Verb::List, Resource::Pods, None);
    assert_eq!(names(&ok(&mut world, all)).len(), 2);
    assert_eq!(names(&ok(&mut world, list())).len(), 1);
}
