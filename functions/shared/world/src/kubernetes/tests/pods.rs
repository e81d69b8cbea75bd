//! How pods go: grace periods, evictions, budgets, controllers.

use super::*;

fn set() -> DominoPod {
    labelled("app", "a").owned_by("ReplicaSet")
}

#[test]
fn a_deleted_pod_stays_until_its_grace_period_is_over() {
    let mut world = cluster();
    let name = add(&mut world, &bare());
    let pod =
        ok(&mut world, pod_request(Verb::Delete, &name).body(json!({ "gracePeriodSeconds": 20 })));
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 20);
    assert_eq!(pod["metadata"]["deletionTimestamp"], "2027-01-15T08:00:20Z");
    later(&mut world, 19);
    assert!(pods(&mut world)[0].terminating);
    later(&mut world, 1);
    assert!(pods(&mut world).is_empty());
}

#[test]
fn a_terminating_pod_can_be_deleted_again_and_only_sooner() {
    let mut world = cluster();
    let name = add(&mut world, &bare());
    let delete = |grace: Option<u32>| {
        let request = pod_request(Verb::Delete, &name);
        match grace {
            Some(grace) => request.with("gracePeriodSeconds", grace),
            None => request,
        }
    };
    let first = ok(&mut world, delete(None));
    assert_eq!(first["metadata"]["deletionGracePeriodSeconds"], 30);
    later(&mut world, 2);
    assert_eq!(ok(&mut world, delete(None)), first);
    assert_eq!(ok(&mut world, delete(Some(60))), first);
    let sooner = ok(&mut world, delete(Some(10)));
    assert_eq!(sooner["metadata"]["deletionTimestamp"], "2027-01-15T08:00:10Z");
    ok(&mut world, delete(Some(0)));
    assert!(pods(&mut world).is_empty());
    assert_eq!(refused(&mut world, delete(None)).0, 404);
}

#[test]
fn a_pod_that_runs_nowhere_or_is_over_goes_at_once() {
    let mut world = cluster();
    settings(&mut world).starts_after = SignedDuration::from_secs(60);
    let pending = add(&mut world, &bare());
    assert_eq!(pods(&mut world)[0].phase, pod_identity_core::Phase::Pending);
    ok(&mut world, pod_request(Verb::Delete, &pending));
    assert!(pods(&mut world).is_empty());
    settings(&mut world).starts_after = SignedDuration::ZERO;
    let over = add(&mut world, &bare());
    world.set_pod_phase(&blue(), NAMESPACE, &over, "Succeeded").unwrap();
    ok(&mut world, pod_request(Verb::Delete, &over));
    assert!(pods(&mut world).is_empty());
}

#[test]
fn an_eviction_takes_only_the_pod_of_its_uid() {
    let mut world = cluster();
    let name = add(&mut world, &bare());
    let uid = pods(&mut world)[0].uid.clone();
    let other = eviction(&name, json!({ "preconditions": { "uid": "other" } }));
    assert_eq!(refused(&mut world, other), (409, "Conflict".to_owned()));
    assert!(!pods(&mut world)[0].terminating);
    let own = json!({ "preconditions": { "uid": uid }, "gracePeriodSeconds": 5 });
    let (code, answer) = ask(&mut world, eviction(&name, own.clone())).unwrap();
    assert_eq!((code, answer["status"].as_str()), (201, Some("Success")));
    assert!(pods(&mut world)[0].terminating);
    later(&mut world, 5);
    assert_eq!(refused(&mut world, eviction(&name, own)), (404, "NotFound".to_owned()));
}

#[test]
fn delete_options_of_an_eviction_under_another_name_are_refused_or_lost() {
    let mut world = cluster();
    let name = add(&mut world, &bare());
    let mut lost = eviction(&name, Value::Null);
    lost.body = json!({
        "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name },
        "delete_options": { "preconditions": { "uid": "other" } },
    });
    let status = ask(&mut world, lost.clone()).unwrap_err();
    assert!(status.message.contains("unknown field \"delete_options\""), "{status}");
    // What the real server does with it.
    settings(&mut world).strict = false;
    ok(&mut world, lost);
    assert!(pods(&mut world)[0].terminating);
}

#[test]
fn a_budget_forbids_an_eviction_and_says_that_it_was_a_budget() {
    let mut world = cluster();
    let (first, second) =
        (add(&mut world, &labelled("app", "a")), add(&mut world, &labelled("app", "a")));
    world.add_budget(&blue(), &budget(1)).unwrap();
    let dry = eviction(&first, json!({ "dryRun": ["All"] }));
    ok(&mut world, dry);
    ok(&mut world, eviction(&first, json!({})));
    let status = ask(&mut world, eviction(&second, json!({}))).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (429, "TooManyRequests"));
    assert!(status.is_budget());
    assert_eq!(status.message, "Cannot evict pod as it would violate the pod's disruption budget.");
    let cause = &status.to_json()["details"]["causes"][0];
    assert_eq!(cause["reason"], "DisruptionBudget");
    assert_eq!(
        cause["message"],
        "The disruption budget keep needs 1 healthy pods and has 1 currently"
    );
    let shown = request(Verb::Get, Resource::PodDisruptionBudgets).name("keep");
    assert_eq!(ok(&mut world, shown)["status"]["disruptionsAllowed"], 0);
    // A deletion asks no budget.
    ok(&mut world, pod_request(Verb::Delete, &second));
}

#[test]
fn a_budget_does_not_hold_pods_that_are_pending_over_or_terminating() {
    for phase in ["Pending", "Succeeded", "Failed"] {
        let mut world = cluster();
        let name = add(&mut world, &labelled("app", "a"));
        world.add_budget(&blue(), &budget(1)).unwrap();
        assert_eq!(refused(&mut world, eviction(&name, json!({}))).0, 429);
        world.set_pod_phase(&blue(), NAMESPACE, &name, phase).unwrap();
        ok(&mut world, eviction(&name, json!({})));
    }
    let mut world = cluster();
    let name = add(&mut world, &labelled("app", "a"));
    ok(&mut world, pod_request(Verb::Delete, &name));
    world.add_budget(&blue(), &budget(1)).unwrap();
    ok(&mut world, eviction(&name, json!({})));
}

#[test]
fn a_budget_of_shares_counts_the_pods_of_controllers_that_have_a_scale() {
    let mut world = cluster();
    let pods: Vec<String> = (0..4).map(|_| add(&mut world, &set())).collect();
    settings(&mut world).restarts = false;
    let body = json!({
        "metadata": { "name": "half" },
        "spec": { "maxUnavailable": "30%", "selector": { "matchExpressions": [
            { "key": "app", "operator": "In", "values": ["a"] },
        ] } },
    });
    ok(&mut world, request(Verb::Create, Resource::PodDisruptionBudgets).body(body));
    // 30 % of four, rounded up.
    ok(&mut world, eviction(&pods[0], json!({})));
    ok(&mut world, eviction(&pods[1], json!({})));
    assert_eq!(refused(&mut world, eviction(&pods[2], json!({}))).0, 429);
    let job = add(&mut world, &labelled("app", "a").owned_by("Job"));
    assert_eq!(refused(&mut world, eviction(&job, json!({}))).0, 429);
}

#[test]
fn two_budgets_of_one_pod_make_an_eviction_fail() {
    let mut world = cluster();
    let name = add(&mut world, &labelled("app", "a"));
    world.add_budget(&blue(), &budget(0)).unwrap();
    let second = Budget { name: "second".to_owned(), ..budget(0) };
    world.add_budget(&blue(), &second).unwrap();
    assert_eq!(refused(&mut world, eviction(&name, json!({}))).0, 500);
}

#[test]
fn a_replica_set_starts_its_pod_again_under_another_name_and_others_do_not() {
    let mut world = cluster();
    let name = add(&mut world, &set());
    let job = add(&mut world, &bare().owned_by("Job"));
    let alone = add(&mut world, &bare());
    for name in [&name, &job, &alone] {
        ok(&mut world, eviction(name, json!({ "gracePeriodSeconds": 30 })));
    }
    let all = pods(&mut world);
    let new: Vec<&Pod> = all.iter().filter(|pod| !pod.terminating).collect();
    assert_eq!((all.len(), new.len()), (4, 1));
    assert_eq!(new[0].name[..28], name[..28]);
    assert_ne!(new[0].name, name);
    assert_eq!(new[0].owner.as_ref().unwrap().kind, "ReplicaSet");
    let again = new[0].name.clone();
    settings(&mut world).restarts = false;
    ok(&mut world, pod_request(Verb::Delete, &again).with("gracePeriodSeconds", 0));
    later(&mut world, 30);
    assert!(pods(&mut world).is_empty());
}

#[test]
fn a_pod_of_a_name_that_was_free_again_is_another_one() {
    let mut world = cluster();
    let body = json!({
        "metadata": { "name": "one" },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    });
    let create = request(Verb::Create, Resource::Pods).body(body);
    let first = ok(&mut world, create.clone());
    assert_eq!(refused(&mut world, create.clone()).0, 409);
    ok(&mut world, pod_request(Verb::Delete, "one").with("gracePeriodSeconds", 0));
    let second = ok(&mut world, create);
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    let stale = json!({ "preconditions": { "uid": first["metadata"]["uid"] } });
    assert_eq!(refused(&mut world, eviction("one", stale)).0, 409);
}

#[test]
fn the_eviction_of_an_old_uid_is_answered_late_where_a_pending_pod_has_the_name() {
    let mut world = cluster();
    let name = add(&mut world, &bare());
    let old = json!({ "preconditions": { "uid": "gone" } });
    let status = ask(&mut world, eviction(&name, old.clone())).unwrap_err();
    assert_eq!((status.code, status.is_late), (409, false));
    assert_eq!(status.to_json()["details"]["kind"], "Pod");
    world.set_pod_phase(&blue(), NAMESPACE, &name, "Pending").unwrap();
    let status = ask(&mut world, eviction(&name, old)).unwrap_err();
    assert_eq!((status.code, status.is_late), (409, true));
}
