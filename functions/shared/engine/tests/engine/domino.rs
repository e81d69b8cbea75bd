//! The Domino side of bindings inside a cluster: service accounts and the mapping.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_engine::{InsideScope, Outcome, reconcile_workloads};
use pod_identity_world::{AccessRule, KubernetesRequest, PortFault, Resource, Verb, When};
use serde_json::json;

use crate::house::{COMPUTE, House, OURS, PLATFORM, writes};
use crate::scenario::{Scenario, cluster, drive, role};

const USER: &str = "association";

fn permit(house: &House, rules: &[(&str, &[Verb])]) {
    let rules = rules.iter().map(|(resource, verbs)| AccessRule {
        namespace: None,
        resource: (*resource).to_owned(),
        verbs: verbs.to_vec(),
        names: Vec::new(),
    });
    let rules = rules.collect();
    let mut world = house.world();
    world.kubernetes(&cluster("blue")).unwrap().settings.rules.insert(USER.to_owned(), rules);
}

const EVERYTHING: &[Verb] = &[Verb::Get, Verb::List, Verb::Create, Verb::Delete, Verb::Patch];

#[test]
fn a_binding_gets_its_service_account_and_its_mapping() {
    let mut house = House::with(&["svc-a"]);
    let before = house.scenario.now();
    let done = house.settle();
    assert_eq!(
        done.steps,
        [
            "+ service account domino-compute/svc-a-sa for svc-a",
            "+ Mutation domino-platform/pod-identity",
            "+ mapping svc-a -> svc-a-sa",
        ]
    );
    let labels = json!({
        "app.kubernetes.io/managed-by": "domino-pod-identity",
        "domino-pod-identity/deployment": "acme",
    });
    assert_eq!(house.accounts(), BTreeMap::from([("svc-a-sa".to_owned(), labels)]));
    assert_eq!(house.mapped(), Some(json!({ "svc-a": "svc-a-sa" })));
    let remembered = house.remembered("svc-a");
    assert_eq!(remembered.kubernetes.unwrap().to_string(), "domino-compute/svc-a-sa");
    assert!(remembered.mapped_since.unwrap() >= before);
}

#[test]
fn a_domsed_that_does_not_know_the_newest_field_maps_all_the_same() {
    let mut house = House::with(&["svc-a"]);
    house.world().kubernetes(&cluster("blue")).unwrap().settings.old_mutations = true;
    house.settle();
    assert_eq!(house.mapped(), Some(json!({ "svc-a": "svc-a-sa" })));
}

#[test]
fn mapped_since_stays_while_it_is_mapped() {
    let mut house = House::with(&["svc-a"]);
    house.work();
    let since = house.remembered("svc-a").mapped_since;
    house.scenario.advance(3_600);
    house.assign("svc-b");
    house.work();
    assert_eq!(house.remembered("svc-a").mapped_since, since);
    assert!(house.remembered("svc-b").mapped_since > since);
    house.inside.mapping = None;
    house.work();
    assert_eq!(house.remembered("svc-a").mapped_since, None);
    assert_eq!(house.mapped().unwrap().as_object().unwrap().len(), 2);
}

#[test]
fn only_who_holds_the_association_is_mapped() {
    let mut house = House::with(&["svc-a"]);
    let place = json!({ "kubernetes": { "serviceAccount": "svc-a-sa" } });
    let rival = house.scenario.assigned_with("svc-rival", "train", place);
    Scenario::assert_outcome(&house.scenario.send(&rival), Outcome::Blocked);
    house.settle();
    assert_eq!(house.mapped(), Some(json!({ "svc-a": "svc-a-sa" })));
    assert_eq!(house.remembered("svc-rival").mapped_since, None);
    house.unassign("svc-a");
    house.settle();
    assert_eq!(house.mapped(), Some(json!({ "svc-rival": "svc-a-sa" })));
    assert_eq!(house.account_names(), ["svc-a-sa"]);
}

#[test]
fn a_blocked_binding_that_still_has_its_association_stays_mapped() {
    let mut house = House::with(&["svc-a"]);
    house.settle();
    let event = house.scenario.assigned("svc-a", "untrusted");
    Scenario::assert_outcome(&house.scenario.send(&event), Outcome::Blocked);
    house.settle();
    assert_eq!(house.mapped(), Some(json!({ "svc-a": "svc-a-sa" })));
}

#[test]
fn what_was_unassigned_loses_its_mapping_first_and_then_its_service_account() {
    let mut house = House::with(&["svc-a", "svc-b"]);
    house.settle();
    house.unassign("svc-a");
    house.world().calls.clear();
    let done = house.work().domino.unwrap();
    assert_eq!(writes(&house.world().calls), ["patch mutations", "delete serviceaccounts"]);
    assert_eq!(
        done.steps,
        [
            "~ Mutation domino-platform/pod-identity",
            "- mapping svc-a -> svc-a-sa",
            "- service account domino-compute/svc-a-sa",
        ]
    );
    house.settle();
    assert_eq!(house.account_names(), ["svc-b-sa"]);
    assert!(house.remembered("svc-a").is_empty());
}

#[test]
fn a_service_account_stays_while_our_mutation_could_still_lead_to_it() {
    let mut house = House::with(&["svc-a", "svc-b"]);
    house.settle();
    house.unassign("svc-a");
    let fault = PortFault::nth("patch mutations", 1, When::Before, ErrorKind::Passing);
    house.scenario.ports.fault(fault);
    let done = house.work().domino.unwrap();
    assert_eq!((done.failures.len(), done.steps.len()), (1, 0), "{done:?}");
    assert_eq!(house.account_names(), ["svc-a-sa", "svc-b-sa"]);
    house.settle();
    assert_eq!(house.account_names(), ["svc-b-sa"]);
}

#[test]
fn one_with_an_association_that_the_ledger_does_not_know_is_not_deleted() {
    let mut house = House::with(&["svc-a"]);
    house.settle();
    house.unassign("svc-a");
    let foreign = role("report");
    let mut world = house.world();
    world.add_foreign_association(&cluster("blue"), COMPUTE, "svc-a-sa", foreign.as_str()).unwrap();
    drop(world);
    let done = house.settle();
    assert_eq!(house.account_names(), ["svc-a-sa"]);
    assert!(done.kept[0].contains("there is an association for it"), "{done:?}");
}

#[test]
fn the_last_binding_empties_the_mapping_and_no_empty_one_is_made() {
    let mut house = House::with(&["svc-a"]);
    house.settle();
    house.unassign("svc-a");
    house.settle();
    assert_eq!(house.mapped(), Some(json!({})));
    assert_eq!(house.account_names(), [""; 0]);
    house.delete(Resource::Mutations, PLATFORM, OURS);
    house.settle();
    assert_eq!(house.mapped(), None);
}

#[test]
fn an_empty_ledger_empties_no_cluster() {
    let mut house = House::with(&["svc-a"]);
    house.settle();
    let mut stranger = House::new();
    std::mem::swap(
        stranger.world().kubernetes(&cluster("blue")).unwrap(),
        house.world().kubernetes(&cluster("blue")).unwrap(),
    );
    let done = stranger.settle();
    assert_eq!(done.kept.len(), 2, "{done:?}");
    assert_eq!(stranger.mapped(), Some(json!({ "svc-a": "svc-a-sa" })));
    assert_eq!(stranger.account_names(), ["svc-a-sa"]);
    // One that knows something, but not this one, keeps the service account at least.
    stranger.assign("svc-b");
    stranger.settle();
    assert_eq!(stranger.mapped(), Some(json!({ "svc-b": "svc-b-sa" })));
    assert_eq!(stranger.account_names(), ["svc-a-sa", "svc-b-sa"]);
}

#[test]
fn a_conflict_blocks_and_is_told_once_and_unblocks_when_it_goes_away() {
    let mut house = House::with(&["svc-a", "svc-b"]);
    house.apply_mutation("theirs", &[("svc-a", "other")]);
    let published = house.scenario.outcomes("Pod Identity Association Blocked").len();
    house.settle();
    assert_eq!(house.mapped(), Some(json!({ "svc-b": "svc-b-sa" })));
    let blocked = house.remembered("svc-a").blocked.unwrap();
    assert!(blocked.message().contains("Mutation domino-platform/theirs maps it to `other`"));
    house.work();
    let events = house.scenario.outcomes("Pod Identity Association Blocked").split_off(published);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["code"], "mappingConflict");
    assert_eq!(events[0]["serviceAccount"], "svc-a");
    assert_eq!(events[0]["roleArn"], role("etl").as_str());

    house.delete(Resource::Mutations, PLATFORM, "theirs");
    house.settle();
    assert_eq!(house.mapped(), Some(json!({ "svc-a": "svc-a-sa", "svc-b": "svc-b-sa" })));
    assert_eq!(house.remembered("svc-a").blocked, None);
    assert!(house.remembered("svc-a").mapped_since.is_some());
}

#[test]
fn a_mutation_that_the_cluster_does_not_take_blocks_whom_it_would_map_and_is_not_tried_for_ever() {
    let mut house = House::with(&["svc-a"]);
    house.settle();
    house.assign("svc-b");
    house.scenario.ports.fault(PortFault {
        operation: Some("patch mutations".to_owned()),
        nth: 1,
        lasting: true,
        when: When::Before,
        kind: ErrorKind::Invalid,
    });
    let done = house.work().domino.unwrap();
    assert!(done.failures[0].contains("install a version of domsed"), "{done:?}");
    assert!(house.remembered("svc-b").blocked.unwrap().remediation().contains("version of domsed"));
    let svc_a = house.remembered("svc-a");
    assert!(svc_a.blocked.is_none() && svc_a.mapped_since.is_some(), "{svc_a:?}");
    house.scenario.ports.clear_faults();
    house.settle();
    assert_eq!(house.remembered("svc-b").blocked, None);
    assert_eq!(house.mapped(), Some(json!({ "svc-a": "svc-a-sa", "svc-b": "svc-b-sa" })));
}

#[test]
fn bindings_of_one_account_name_in_two_namespaces_are_not_mapped() {
    const BATCH: &str = "domino-batch";
    let mut house = House::with(&["svc-a", "svc-b"]);
    house.settle();
    house.world().add_namespace(&cluster("blue"), BATCH).unwrap();
    house.scenario.settings.rules.namespaces.push(BATCH.to_owned());
    house.inside.namespaces.push(BATCH.to_owned());
    let same = json!({ "kubernetes": { "namespace": BATCH, "serviceAccount": "svc-a-sa" } });
    let event = house.scenario.assigned_with("svc-c", "train", same);
    Scenario::assert_outcome(&house.scenario.send(&event), Outcome::Applied);
    let published = house.scenario.outcomes("Pod Identity Association Blocked").len();
    house.settle();
    assert_eq!(house.mapped(), Some(json!({ "svc-b": "svc-b-sa" })));
    let events = house.scenario.outcomes("Pod Identity Association Blocked").split_off(published);
    let blocked: Vec<_> =
        events.iter().map(|event| (&event["serviceAccount"], &event["code"])).collect();
    let conflict = json!("ambiguousMapping");
    assert_eq!(blocked, [(&json!("svc-a"), &conflict), (&json!("svc-c"), &conflict)]);
    for (name, other) in [("svc-a", "svc-c"), ("svc-c", "svc-a")] {
        let remembered = house.remembered(name);
        assert_eq!(remembered.mapped_since, None);
        assert!(remembered.blocked.unwrap().message().contains(&format!("and {other} uses ")));
    }

    let own = json!({ "kubernetes": { "namespace": BATCH, "serviceAccount": "svc-c-sa" } });
    let event = house.scenario.assigned_with("svc-c", "train", own);
    Scenario::assert_outcome(&house.scenario.send(&event), Outcome::Applied);
    house.settle();
    let all = json!({ "svc-a": "svc-a-sa", "svc-b": "svc-b-sa", "svc-c": "svc-c-sa" });
    assert_eq!(house.mapped(), Some(all));
    assert_eq!(house.remembered("svc-a").blocked, None);
}

#[test]
fn a_conflict_that_could_not_be_told_is_told_by_the_next_run() {
    let mut house = House::with(&["svc-a"]);
    house.apply_mutation("theirs", &[("svc-a", "other")]);
    let fault = PortFault::nth("PutEvents", 1, When::Before, ErrorKind::Passing);
    house.scenario.ports.fault(fault);
    let done = house.work().domino.unwrap();
    assert!(done.failures[0].contains("could not be told that svc-a is blocked"), "{done:?}");
    assert_eq!(house.remembered("svc-a").blocked, None);
    house.work();
    assert_eq!(house.scenario.outcomes("Pod Identity Association Blocked").len(), 1);
}

#[test]
fn nobody_elses_mutation_is_ever_written() {
    let mut house = House::with(&["svc-a"]);
    house.apply_mutation("theirs", &[("svc-a", "other")]);
    let read = |house: &House| {
        let mut world = house.world();
        let all = world.kubernetes(&cluster("blue")).unwrap();
        all.get(Resource::Mutations, PLATFORM, "theirs").cloned()
    };
    let before = read(&house);
    house.settle();
    assert_eq!(read(&house), before);
}

#[test]
fn a_mutation_of_our_name_that_is_somebody_elses_is_left_alone() {
    let mut house = House::with(&["svc-a"]);
    house.apply_mutation(OURS, &[("svc-x", "x")]);
    let done = house.work().domino.unwrap();
    assert!(done.failures[0].contains("has another owner"), "{done:?}");
    assert_eq!(house.mapped(), Some(json!({ "svc-x": "x" })));
    assert_eq!(house.account_names(), ["svc-a-sa"]);
    assert_eq!(house.remembered("svc-a").mapped_since, None);
}

#[test]
fn what_somebody_changed_of_ours_is_put_back_where_it_is_ours_alone() {
    let mut house = House::with(&["svc-a"]);
    house.settle();
    house.delete(Resource::Mutations, PLATFORM, OURS);
    house.delete(Resource::ServiceAccounts, COMPUTE, "svc-a-sa");
    let done = house.settle();
    assert_eq!(done.steps.len(), 3, "{done:?}");
    assert_eq!(house.mapped(), Some(json!({ "svc-a": "svc-a-sa" })));
}

#[test]
fn without_domsed_service_accounts_are_made_all_the_same() {
    let mut house = House::with(&["svc-a"]);
    house.world().kubernetes(&cluster("blue")).unwrap().settings.has_mutations = false;
    let done = house.settle();
    assert_eq!(house.account_names(), ["svc-a-sa"]);
    assert!(done.failures[0].contains("install domsed there"), "{done:?}");
    let blocked = house.remembered("svc-a").blocked.unwrap();
    assert!(blocked.message().contains("does not know Mutations"), "{blocked:?}");
    house.unassign("svc-a");
    house.settle();
    assert_eq!(house.account_names(), [""; 0]);
}

#[test]
fn what_is_forbidden_in_one_part_keeps_the_other_from_nothing() {
    let mut house = House::with(&["svc-a"]);
    permit(&house, &[("serviceaccounts", EVERYTHING)]);
    let report = house.work();
    assert_eq!(report.skipped, None);
    let done = report.domino.unwrap();
    assert!(done.failures[0].contains("bind the Kubernetes role"), "{done:?}");
    assert_eq!(house.account_names(), ["svc-a-sa"]);

    let mut house = House::with(&["svc-a"]);
    permit(&house, &[("mutations", EVERYTHING)]);
    let done = house.settle();
    assert!(done.failures[0].contains("service accounts of domino-compute"), "{done:?}");
    assert_eq!(house.mapped(), None, "its account may not exist");
}

#[test]
fn what_fails_inside_is_noted_at_the_binding_and_at_the_cluster_in_the_words_of_kubernetes() {
    let mut house = House::with(&["svc-a", "svc-b"]);
    house.world().add_service_account(&cluster("blue"), COMPUTE, "svc-b-sa", &[]).unwrap();
    permit(&house, &[("mutations", EVERYTHING), ("serviceaccounts", &[Verb::List])]);
    let report = house.work();
    assert_eq!(report.failed().count(), 1, "{report:?}");
    let blocked = house.remembered("svc-a").blocked.unwrap();
    assert!(
        blocked.message().contains("cannot create resource \"serviceaccounts\""),
        "{blocked:?}"
    );
    assert!(blocked.remediation().contains("bind the Kubernetes role"), "{blocked:?}");
    assert_eq!(house.remembered("svc-b").blocked, None);
    let noted = house.remembered_cluster().failures;
    assert!(noted[0].contains(&blocked.message()) && noted.len() == 1, "{noted:?}");
    let published = house.scenario.outcomes("Pod Identity Association Blocked");
    assert_eq!((published.len(), &published[0]["code"]), (1, &json!("accessDenied")));

    permit(&house, &[("mutations", EVERYTHING), ("serviceaccounts", EVERYTHING)]);
    house.settle();
    assert_eq!(house.remembered("svc-a").blocked, None);
    assert_eq!(house.remembered_cluster().failures, [""; 0]);
}

#[test]
fn what_may_end_by_itself_is_noted_and_no_event_tells_of_it() {
    for operation in
        ["create serviceaccounts", "patch mutations", "list mutations", "list serviceaccounts"]
    {
        let mut house = House::with(&["svc-a"]);
        house.scenario.ports.fault(PortFault {
            operation: Some(operation.to_owned()),
            nth: 1,
            lasting: true,
            when: When::Before,
            kind: ErrorKind::Passing,
        });
        house.work();
        let blocked = house.remembered("svc-a").blocked.unwrap();
        assert!(
            blocked.remediation().contains("the next sweep tries again"),
            "{operation}: {blocked:?}"
        );
        assert_eq!(house.remembered_cluster().failures.len(), 1, "{operation}");
        assert!(house.scenario.outcomes("Pod Identity Association Blocked").is_empty());
        house.scenario.ports.clear_faults();
        house.settle();
        assert_eq!(house.remembered("svc-a").blocked, None, "{operation}");
        assert_eq!(house.remembered_cluster().failures, [""; 0]);
    }
}

#[test]
fn ours_that_came_back_under_another_field_manager_is_taken_back_and_that_is_said_once() {
    let mut house = House::with(&["svc-a"]);
    house.settle();
    // As domsed's documentation has it reinstalled: get, delete, apply.
    let copy = {
        let mut world = house.world();
        let all = world.kubernetes(&cluster("blue")).unwrap();
        let ours = all.get(Resource::Mutations, PLATFORM, OURS).unwrap();
        json!({
            "apiVersion": ours["apiVersion"], "kind": ours["kind"], "rules": ours["rules"],
            "metadata": { "name": OURS, "labels": ours["metadata"]["labels"] },
        })
    };
    house.delete(Resource::Mutations, PLATFORM, OURS);
    let create = KubernetesRequest::new(Verb::Create, Resource::Mutations, Some(PLATFORM));
    house.by_hand(create.body(copy));
    house.assign("svc-b");
    let done = house.settle();
    assert_eq!(done.failures, [""; 0]);
    let said = done.steps.iter().filter(|step| step.contains("taken back")).count();
    assert_eq!(said, 1, "{done:?}");
    assert_eq!(house.mapped(), Some(json!({ "svc-a": "svc-a-sa", "svc-b": "svc-b-sa" })));
    house.assign("svc-c");
    let done = house.settle();
    assert!(!done.steps.iter().any(|step| step.contains("taken back")), "{done:?}");
}

#[test]
fn nobody_is_mapped_to_a_service_account_that_could_not_be_made() {
    let mut house = House::with(&["svc-a", "svc-b"]);
    house.world().add_service_account(&cluster("blue"), COMPUTE, "svc-b-sa", &[]).unwrap();
    permit(&house, &[("mutations", EVERYTHING), ("serviceaccounts", &[Verb::List])]);
    let done = house.work().domino.unwrap();
    assert_eq!(done.failures.len(), 1, "{done:?}");
    assert_eq!(house.mapped(), Some(json!({ "svc-b": "svc-b-sa" })));
}

#[test]
fn a_cluster_into_which_nobody_can_look_is_left_with_its_memory() {
    let mut house = House::with(&["svc-a"]);
    house.settle();
    let remembered = house.remembered("svc-a");
    house.world().kubernetes(&cluster("blue")).unwrap().settings.users = Some(BTreeSet::new());
    let report = house.work();
    assert!(report.skipped.unwrap().contains("access entry"));
    assert!(report.domino.is_none());
    assert_eq!(house.remembered("svc-a"), remembered);
}

#[test]
fn parts_that_are_off_are_not_touched() {
    let mut house = House::with(&["svc-a"]);
    house.inside.service_accounts = false;
    house.inside.mapping = None;
    assert_eq!(house.settle().steps, [""; 0]);
    house.world().calls.clear();
    house.work();
    assert_eq!(house.world().count("list serviceaccounts"), 1);
    assert_eq!(house.world().count("list mutations"), 0);
}

#[test]
fn with_service_accounts_off_a_missing_one_is_told_and_mapped_once_it_is_made() {
    let mut house = House::with(&["svc-a"]);
    house.inside.service_accounts = false;
    house.settle();
    assert_eq!(house.mapped(), None);
    let published = house.scenario.outcomes("Pod Identity Association Blocked");
    assert_eq!(published.len(), 1);
    assert_eq!(published[0]["code"], "serviceAccountMissing");
    house.world().add_service_account(&cluster("blue"), COMPUTE, "svc-a-sa", &[]).unwrap();
    house.settle();
    assert_eq!(house.mapped(), Some(json!({ "svc-a": "svc-a-sa" })));
    assert_eq!(house.remembered("svc-a").blocked, None);
}

#[test]
fn somebodys_service_account_is_never_changed_and_its_irsa_role_is_told() {
    let mut house = House::with(&["svc-a"]);
    let irsa = [("eks.amazonaws.com/role-arn", "arn:aws:iam::111122223333:role/irsa")];
    let uid = house.world().add_service_account(&cluster("blue"), COMPUTE, "svc-a-sa", &irsa);
    let done = house.settle();
    assert_eq!(done.annotated.len(), 1);
    assert_eq!(done.annotated.values().next().unwrap(), "arn:aws:iam::111122223333:role/irsa");
    house.unassign("svc-a");
    house.settle();
    let mut world = house.world();
    let all = world.kubernetes(&cluster("blue")).unwrap();
    let there = all.get(Resource::ServiceAccounts, COMPUTE, "svc-a-sa").unwrap();
    assert_eq!(there["metadata"]["uid"].as_str().unwrap(), uid.unwrap());
    assert!(there["metadata"].get("labels").is_none_or(serde_json::Value::is_null));
}

#[test]
fn a_binding_that_moves_takes_its_mapping_along_and_begins_again() {
    let mut house = House::with(&["svc-a"]);
    house.settle();
    let before = house.remembered("svc-a");
    house.scenario.advance(3_600);
    let place = json!({ "kubernetes": { "serviceAccount": "elsewhere" } });
    let event = house.scenario.assigned_with("svc-a", "etl", place);
    Scenario::assert_outcome(&house.scenario.send(&event), Outcome::Applied);
    house.settle();
    assert_eq!(house.mapped(), Some(json!({ "svc-a": "elsewhere" })));
    assert_eq!(house.account_names(), ["elsewhere"]);
    let after = house.remembered("svc-a");
    assert_eq!(after.kubernetes.unwrap().service_account(), "elsewhere");
    assert!(after.mapped_since > before.mapped_since);
}

#[test]
fn lists_go_over_all_pages_and_begin_again_when_a_token_is_too_old() {
    let names: Vec<String> = (0..7).map(|n| format!("svc-{n}")).collect();
    let mut house = House::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    house.settle();
    house.world().settings.page_size = 2;
    for _ in 0..3 {
        let name = format!("domsed-{}", house.scenario.now());
        house.apply_mutation(&name.to_lowercase().replace(':', "-"), &[]);
        house.scenario.advance(1);
    }
    house.settle();
    let fault = PortFault::nth("list serviceaccounts", 2, When::Before, ErrorKind::Expired);
    house.scenario.ports.fault(fault);
    house.world().calls.clear();
    let again = house.work().domino.unwrap();
    assert_eq!((again.steps.len(), again.failures.len()), (0, 0), "{again:?}");
    assert_eq!(house.world().count("list mutations"), 2);
    // The first page, the one that failed, and all of them: 7 and Kubernetes' own.
    assert_eq!(house.world().count("list serviceaccounts"), 2 + 4);
}

#[test]
fn a_preview_writes_nothing_and_says_what_a_run_does() {
    let mut house = House::with(&["svc-a", "svc-b"]);
    house.work();
    house.unassign("svc-a");
    house.assign("svc-c");
    house.apply_mutation("theirs", &[("svc-b", "other")]);
    house.world().calls.clear();
    let preview = house.preview().domino.unwrap();
    {
        let world = house.world();
        let writing = ["TransactWriteItems", "PutEvents"];
        assert!(world.calls.iter().all(|call| !writing.contains(&call.operation.as_str())));
        assert_eq!(writes(&world.calls), [""; 0]);
    }
    let done = house.work().domino.unwrap();
    assert_eq!(preview.steps, done.steps);
    assert_eq!(preview.steps.len(), 6, "{preview:?}");
}

#[test]
fn nothing_starts_that_might_not_end_in_time() {
    let mut house = House::with(&["svc-a"]);
    house.world().settings.call_takes = std::time::Duration::from_secs(1);
    // Enough to look at everything, and not for a step after that.
    for seconds in 12..20 {
        let report = house.try_work(house.scenario.in_seconds(seconds));
        let Ok(report) = report else {
            house.scenario.advance(120);
            continue;
        };
        let done = report.domino.unwrap();
        // Where the time did not even suffice to look, that is said.
        if done.left && done.failures.is_empty() {
            house.scenario.advance(120);
            house.settle();
            assert_eq!(house.mapped(), Some(json!({ "svc-a": "svc-a-sa" })));
            return;
        }
    }
    panic!("no run ended too early");
}

/// One of each kind of step, and a conflict to be told.
fn busy() -> House {
    let mut house = House::with(&["svc-old", "svc-b", "svc-c"]);
    house.settle();
    house.unassign("svc-old");
    house.assign("svc-new");
    house.apply_mutation("theirs", &[("svc-c", "other")]);
    house.world().calls.clear();
    house
}

#[test]
fn a_run_that_dies_at_any_call_is_finished_by_the_next() {
    let names = ["svc-old", "svc-b", "svc-c", "svc-new"];
    let mut undisturbed = busy();
    undisturbed.work();
    let calls = undisturbed.world().calls.len();
    let (expected, published) = (undisturbed.end(&names), |house: &House| -> BTreeSet<String> {
        let events = house.scenario.outcomes("Pod Identity Association Blocked");
        events.iter().map(|event| event["eventId"].to_string()).collect()
    });
    assert!(calls > 10, "{calls}");
    for when in [When::Before, When::After] {
        for nth in 1..=calls {
            let mut house = busy();
            house.scenario.ports.fault(PortFault::dead_from(nth, when));
            let _ = house.try_work(house.scenario.in_seconds(60));
            house.scenario.ports.clear_faults();
            house.scenario.advance(120);
            house.settle();
            assert_eq!(house.end(&names), expected, "call {nth} {when:?}");
            assert_eq!(published(&house), published(&undisturbed), "call {nth} {when:?}");
        }
    }
}

#[test]
fn any_call_that_fails_once_keeps_only_what_depends_on_it_undone() {
    let names = ["svc-old", "svc-b", "svc-c", "svc-new"];
    let mut undisturbed = busy();
    undisturbed.work();
    let expected = undisturbed.end(&names);
    let operations = ["create serviceaccounts", "patch mutations", "delete serviceaccounts"];
    for operation in operations {
        for when in [When::Before, When::After] {
            for kind in [ErrorKind::Passing, ErrorKind::Invalid] {
                let mut house = busy();
                house.scenario.ports.fault(PortFault::nth(operation, 1, when, kind));
                let done = house.work().domino.unwrap();
                assert_eq!(done.failures.len(), 1, "{done:?}");
                house.settle();
                assert_eq!(house.end(&names), expected, "{operation} {when:?}");
            }
        }
    }
}

#[test]
fn of_two_runs_at_once_one_does_the_work() {
    let mut house = busy();
    let (first, second) = (house.scenario.next_run(), house.scenario.next_run());
    let deadline = house.scenario.in_seconds(60);
    let scope = InsideScope { cluster: cluster("blue"), service_account: None, evicted: 0 };
    let (other, settings) = (house.scenario.other_ports(), &house.scenario.settings);
    let (a, inside) = (&house.scenario.ports, &house.inside);
    let b = &other;
    let both = join(
        reconcile_workloads(
            a.workloads(&first, settings, inside, deadline),
            a.workloads_writers(),
            &scope,
        ),
        reconcile_workloads(
            b.workloads(&second, settings, inside, deadline),
            b.workloads_writers(),
            &scope,
        ),
    );
    let (first, second) = drive(both, || {});
    let (first, second) = (first.unwrap().domino.unwrap(), second.unwrap().domino.unwrap());
    assert!(first.steps.is_empty() != second.steps.is_empty(), "{first:?} {second:?}");
    let world = house.world();
    let expected = ["create serviceaccounts", "patch mutations", "delete serviceaccounts"];
    assert_eq!(writes(&world.calls), expected);
}

#[test]
fn a_steady_cluster_is_listed_and_nothing_else() {
    let mut house = House::with(&["svc-a", "svc-b"]);
    house.settle();
    house.world().calls.clear();
    house.work();
    let world = house.world();
    let kubernetes: Vec<&str> = world
        .calls
        .iter()
        .filter(|call| call.service == "kubernetes")
        .map(|call| call.operation.as_str())
        .collect();
    assert_eq!(kubernetes, ["list serviceaccounts", "list mutations"]);
}

#[test]
fn a_service_account_that_somebody_made_theirs_is_kept() {
    let mut house = House::with(&["svc-a"]);
    house.settle();
    let body = json!({ "metadata": { "annotations": { "team": "data" } } });
    let mut request = KubernetesRequest::new(Verb::Patch, Resource::ServiceAccounts, Some(COMPUTE));
    request.patch = pod_identity_world::PatchKind::Merge;
    house.by_hand(request.name("svc-a-sa").body(body));
    house.unassign("svc-a");
    let done = house.settle();
    assert_eq!(house.account_names(), ["svc-a-sa"]);
    assert!(done.kept[0].contains("annotation team"), "{done:?}");
}

#[test]
fn a_binding_that_leaves_the_cluster_takes_everything_along() {
    let mut house = House::with(&["svc-a", "svc-b"]);
    house.settle();
    let green = json!({ "clusters": [cluster("green")] });
    let event = house.scenario.assigned_with("svc-a", "etl", green);
    Scenario::assert_outcome(&house.scenario.send(&event), Outcome::Applied);
    house.settle();
    assert_eq!(house.mapped(), Some(json!({ "svc-b": "svc-b-sa" })));
    assert_eq!(house.account_names(), ["svc-b-sa"]);
    assert!(house.remembered("svc-a").is_empty());
}

#[test]
fn namespaces_are_not_listed_when_the_time_is_over() {
    let mut house = House::with(&["svc-a"]);
    house.inside.namespaces.extend((0..7).map(|n| format!("more-{n}")));
    for namespace in house.inside.namespaces.clone() {
        let _ = house.world().add_namespace(&cluster("blue"), &namespace);
    }
    house.world().settings.call_takes = std::time::Duration::from_secs(4);
    house.world().calls.clear();
    let (began, deadline) = (house.scenario.now(), house.scenario.in_seconds(45));
    let report = house.try_work(deadline).unwrap();
    assert!(house.world().count("list serviceaccounts") < 8, "{began}");
    assert!(report.failed().any(|why| why.contains("time was nearly over")), "{report:?}");
    assert!(house.scenario.now() <= deadline, "{}", house.scenario.now().duration_since(began));
}
