//! A restored ledger gives back nothing that was taken away since, or little, and says so.

use pod_identity_core::{DEPLOYMENT_TAG, SERVICE_ACCOUNT_TAG, ServiceAccountRef};
use pod_identity_engine::ledger::ConditionState;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_engine::{
    AuditEntry, Outcome, Reconciled, Resumption, Scope, plan_resumption, preview, reconcile, resume,
};
use pod_identity_events::BlockedCode;
use pod_identity_world::{Ledger, PortFault, UpdateAssociation, When};
use serde_json::{Value, json};

use crate::adopt::permit;
use crate::ownership::{foreign, somebody};
use crate::scenario::{Scenario, cluster, drive, node_role, role};

fn run(scenario: &mut Scenario) -> Reconciled {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, scope) = (&scenario.ports, Scope::of(cluster("blue")));
    let future =
        reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &scope);
    drive(future, || {}).unwrap()
}

fn look(scenario: &mut Scenario) -> Reconciled {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, scope) = (&scenario.ports, Scope::of(cluster("blue")));
    drive(preview(ports.cloud(&run, &scenario.settings, deadline), &scope), || {}).unwrap()
}

fn resumption(scenario: &mut Scenario) -> Resumption {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, blue) = (&scenario.ports, cluster("blue"));
    let future = plan_resumption(ports.cloud(&run, &scenario.settings, deadline), &blue);
    drive(future, || {}).unwrap()
}

fn go_on(scenario: &mut Scenario, resumption: &Resumption) {
    let (run, blue) = (scenario.next_run(), cluster("blue"));
    let ports = &scenario.ports;
    let change = json!({ "digest": resumption.digest });
    let act = AuditEntry { what: "Cluster Resumed", change, actor: Some("ada"), reason: None };
    drive(
        resume(
            ports.context(&run, &scenario.settings, scenario.in_seconds(60)),
            ports.writers().ledger,
            &blue,
            resumption,
            &act,
        ),
        || {},
    )
    .unwrap();
}

fn backup(scenario: &Scenario) -> Ledger {
    scenario.ports.world().ledger.clone()
}

fn restore(scenario: &Scenario, backup: &Ledger) {
    scenario.ports.world().ledger = backup.clone();
}

fn changes(scenario: &Scenario, operation: &str) -> usize {
    scenario.ports.world().count(operation)
}

/// `count` bindings on blue, a day old.
fn bound(count: usize) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events: Vec<Value> =
        (0..count).map(|n| scenario.assigned(&format!("svc-{n:02}"), "etl")).collect();
    scenario.batch(&events);
    scenario.advance(86_400);
    scenario
}

#[test]
fn what_was_made_since_the_restore_point_halts_what_would_be_made_again() {
    let mut scenario = bound(3);
    let yesterday = backup(&scenario);
    let since = [scenario.unassigned("svc-00"), scenario.assigned("svc-new", "report")];
    for event in &since {
        Scenario::assert_outcome(&scenario.send(event), Outcome::Applied);
    }
    scenario.advance(300);
    restore(&scenario, &yesterday);
    let (made, deleted) = (
        changes(&scenario, "CreatePodIdentityAssociation"),
        changes(&scenario, "DeletePodIdentityAssociation"),
    );
    let seen = look(&mut scenario);
    assert!(seen.halted.is_some() && seen.plans.iter().all(|plan| plan.steps() == 0), "{seen:?}");
    for _ in 0..2 {
        let done = run(&mut scenario);
        assert!(done.halted.as_ref().unwrap().contains("older than cluster blue"), "{done:?}");
        scenario.advance(300);
    }
    assert_eq!(changes(&scenario, "CreatePodIdentityAssociation"), made);
    assert_eq!(changes(&scenario, "DeletePodIdentityAssociation"), deleted);
    assert_eq!(scenario.code("svc-00", "blue"), Some(BlockedCode::LedgerOlderThanCluster));
    assert_eq!(scenario.condition("svc-01", "blue").unwrap().state, ConditionState::Ready);

    // The events since are replayed, what they made is adopted, and it goes on.
    for event in &since {
        scenario.send(event);
    }
    assert_eq!(scenario.condition("svc-00", "blue").unwrap().state, ConditionState::Removed);
    assert_eq!(scenario.code("svc-new", "blue"), Some(BlockedCode::OrphanAssociation));
    let orphan = {
        let world = scenario.ports.world();
        let blue = cluster("blue");
        world.eks.find(&blue, "domino-compute", "svc-new-sa").unwrap().id.clone()
    };
    permit(&mut scenario, "svc-new", &orphan).unwrap();
    let shown = resumption(&mut scenario);
    assert!(shown.halted.is_some() && shown.recreations.is_empty(), "{shown:?}");
    assert_eq!(shown.orphans, [orphan].into());
    go_on(&mut scenario, &shown);
    let done = run(&mut scenario);
    assert_eq!(done.halted, None);
    assert_eq!(scenario.condition("svc-new", "blue").unwrap().state, ConditionState::Ready);
    scenario.advance(300);
    let done = run(&mut scenario);
    assert!(done.needed.is_empty() && done.orphans.is_empty(), "{done:?}");
    assert_eq!(changes(&scenario, "CreatePodIdentityAssociation"), made);
}

#[test]
fn an_event_that_comes_before_the_first_look_does_not_hide_the_sign() {
    let mut scenario = bound(3);
    let done = run(&mut scenario);
    let (noted, scope) = (scenario.next_run(), Scope::of(cluster("blue")));
    scenario.note_reconciled(&noted, &scope, &done);
    scenario.advance(3_600);
    let before = backup(&scenario);
    let since = [scenario.unassigned("svc-00"), scenario.assigned("svc-new", "report")];
    scenario.batch(&since);
    scenario.advance(3_600);
    restore(&scenario, &before);
    let event = scenario.assigned("svc-other", "train");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    let done = run(&mut scenario);
    assert!(done.halted.is_some(), "{done:?}");
    assert_eq!(scenario.code("svc-00", "blue"), Some(BlockedCode::LedgerOlderThanCluster));
}

#[test]
fn without_a_sign_a_run_makes_no_more_again_than_the_ceiling() {
    let mut scenario = bound(15);
    let yesterday = backup(&scenario);
    let since: Vec<Value> = (0..15).map(|n| scenario.unassigned(&format!("svc-{n:02}"))).collect();
    scenario.batch(&since);
    assert_eq!(scenario.associations("blue"), []);
    scenario.advance(300);
    restore(&scenario, &yesterday);
    let done = run(&mut scenario);
    assert_eq!(done.halted, None);
    assert_eq!(scenario.associations("blue").len(), 10);
    // What was held back stays so, whatever runs come after.
    scenario.advance(3_600);
    run(&mut scenario);
    assert_eq!(scenario.associations("blue").len(), 10);
    let shown = resumption(&mut scenario);
    assert_eq!(shown.recreations.len(), 5);
    let held: Vec<&str> =
        shown.recreations.iter().map(|one| one.service_account.as_str()).collect();
    for name in held {
        assert_eq!(scenario.code(name, "blue"), Some(BlockedCode::RecreationCeiling));
    }
    scenario.settings.plan.max_recreations = 0;
    go_on(&mut scenario, &shown);
    run(&mut scenario);
    assert_eq!(scenario.associations("blue").len(), 15);
}

/// The cluster is deleted, and built again under its name.
fn rebuild(scenario: &Scenario) {
    let mut world = scenario.ports.world();
    world.remove_cluster(&cluster("blue"));
    world.add_cluster(&cluster("blue"), &[("default", &node_role("blue-eks-nodes"))]);
}

#[test]
fn on_a_cluster_that_was_built_again_under_its_name_all_is_made_again() {
    let mut scenario = bound(15);
    rebuild(&scenario);
    scenario.advance(60);
    let asked = changes(&scenario, "DescribeCluster");
    assert_eq!(resumption(&mut scenario).recreations, []);
    run(&mut scenario);
    assert_eq!(scenario.associations("blue").len(), 15);
    // What goes from it afterwards is held to the ceiling again.
    scenario.advance(300);
    let ids: Vec<String> = {
        let world = scenario.ports.world();
        world.eks.associations(&cluster("blue")).iter().map(|one| one.id.clone()).collect()
    };
    for id in ids {
        let mut world = scenario.ports.world();
        world.delete_pod_identity_association(&somebody(), "blue", &id).unwrap();
    }
    scenario.advance(300);
    run(&mut scenario);
    assert_eq!(scenario.associations("blue").len(), 10);
    assert!(changes(&scenario, "DescribeCluster") > asked);
}

#[test]
fn where_eks_does_not_say_when_the_cluster_was_made_the_ceiling_holds() {
    let mut scenario = bound(15);
    rebuild(&scenario);
    scenario.advance(60);
    let denied = PortFault::nth("DescribeCluster", 1, When::Before, ErrorKind::Denied);
    scenario.ports.fault(denied);
    run(&mut scenario);
    assert_eq!(scenario.associations("blue").len(), 10);
}

#[test]
fn a_run_that_makes_little_again_does_not_ask_when_the_cluster_was_made() {
    let mut scenario = bound(10);
    rebuild(&scenario);
    run(&mut scenario);
    assert_eq!(scenario.associations("blue").len(), 10);
    assert_eq!(changes(&scenario, "DescribeCluster"), 0);
}

/// Reconciles one Kubernetes service account, as after a call that CloudTrail has seen.
fn run_at(scenario: &mut Scenario, name: &str) -> Reconciled {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let place = ServiceAccountRef::new("domino-compute", name).unwrap();
    let scope = Scope { places: [place].into(), ..Scope::of(cluster("blue")) };
    let ports = &scenario.ports;
    let future =
        reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &scope);
    drive(future, || {}).unwrap()
}

#[test]
fn runs_that_look_at_one_account_each_evade_neither_the_ceiling_nor_the_sign() {
    for sign in [false, true] {
        let mut scenario = bound(12);
        let yesterday = backup(&scenario);
        let since: Vec<Value> =
            (0..12).map(|n| scenario.unassigned(&format!("svc-{n:02}"))).collect();
        scenario.batch(&since);
        if sign {
            let event = scenario.assigned("svc-new", "etl");
            scenario.send(&event);
        }
        scenario.advance(300);
        restore(&scenario, &yesterday);
        for n in 0..12 {
            let done = run_at(&mut scenario, &format!("svc-{n:02}-sa"));
            assert_eq!(done.halted.is_some(), sign, "{done:?}");
        }
        let code =
            if sign { BlockedCode::LedgerOlderThanCluster } else { BlockedCode::RecreationCeiling };
        assert_eq!(scenario.code("svc-03", "blue"), Some(code));
        assert_eq!(scenario.associations("blue").len(), usize::from(sign));
    }
    // Where little is gone, it is made again at once.
    let mut scenario = bound(3);
    let id = {
        let world = scenario.ports.world();
        world.eks.associations(&cluster("blue"))[0].id.clone()
    };
    let deleted = scenario.ports.world().delete_pod_identity_association(&somebody(), "blue", &id);
    deleted.unwrap();
    scenario.advance(300);
    for n in 0..3 {
        run_at(&mut scenario, &format!("svc-{n:02}-sa"));
    }
    assert_eq!(scenario.associations("blue").len(), 3);
}

#[test]
fn a_resumption_shows_what_would_be_put_back_and_is_held_to_it() {
    let mut scenario = bound(2);
    let yesterday = backup(&scenario);
    let since = [scenario.assigned("svc-00", "report"), scenario.assigned("svc-new", "etl")];
    scenario.batch(&since);
    scenario.advance(300);
    restore(&scenario, &yesterday);
    assert!(run(&mut scenario).halted.is_some());
    let shown = resumption(&mut scenario);
    let [one] = shown.corrections.as_slice() else { panic!("{shown:?}") };
    assert_eq!((one.service_account.as_str(), one.changes.as_slice()), ("svc-00", &["role"][..]));
    assert!(one.from_role.ends_with("/report") && one.role.name() == "etl", "{one:?}");
    // What is changed since is not what was shown, and no more is another halt.
    let update = UpdateAssociation {
        cluster: "blue".to_owned(),
        association_id: one.association_id.clone(),
        role_arn: Some(role("train").to_string()),
        ..UpdateAssociation::default()
    };
    scenario.ports.world().update_pod_identity_association(&somebody(), &update).unwrap();
    let changed = resumption(&mut scenario);
    assert_ne!(changed.digest, shown.digest);
    go_on(&mut scenario, &changed);
    assert_ne!(resumption(&mut scenario).digest, changed.digest);
}

#[test]
fn a_token_that_eks_remembers_is_not_taken_for_an_association() {
    let mut scenario = bound(1);
    let before = {
        let mut world = scenario.ports.world();
        world.settings.tokens_outlive_associations = true;
        world.ledger.clone()
    };
    for _ in 0..2 {
        restore(&scenario, &before);
        let removal = scenario.unassigned("svc-00");
        scenario.send(&removal);
        scenario.advance(300);
        restore(&scenario, &before);
        run(&mut scenario);
        assert_eq!(scenario.associations("blue").len(), 1);
        scenario.advance(300);
    }
}

#[test]
fn a_restore_at_every_step_deletes_nothing_and_makes_again_at_most_the_ceiling() {
    let history = |scenario: &mut Scenario| {
        let elsewhere = json!({ "kubernetes": { "serviceAccount": "elsewhere" } });
        vec![
            scenario.assigned("svc-a", "etl"),
            scenario.assigned("svc-b", "report"),
            scenario.unassigned("svc-00"),
            scenario.assigned("svc-a", "etl-2"),
            scenario.assigned_with("svc-01", "train", elsewhere),
            scenario.unassigned("svc-b"),
            scenario.assigned("svc-00", "report"),
        ]
    };
    for from in 0..7 {
        for until in from + 1..=7 {
            let mut scenario = bound(2);
            scenario.settings.plan.max_recreations = 1;
            let events = history(&mut scenario);
            let mut kept = backup(&scenario);
            for (at, event) in events.iter().enumerate().take(until) {
                if at == from {
                    kept = backup(&scenario);
                }
                Scenario::assert_outcome(&scenario.send(event), Outcome::Applied);
                scenario.advance(300);
            }
            restore(&scenario, &kept);
            let made = changes(&scenario, "CreatePodIdentityAssociation");
            let there = scenario.associations("blue");
            run(&mut scenario);
            let what = format!("{from} to {until}");
            for one in &there {
                let after = scenario.associations("blue");
                let still = after.iter().any(|(place, _)| *place == one.0);
                assert!(still, "{what}: {one:?} is gone from {after:?}");
            }
            assert!(changes(&scenario, "CreatePodIdentityAssociation") <= made + 1, "{what}");
        }
    }
}

#[test]
fn a_tag_that_is_copied_onto_a_young_association_halts_until_it_is_dismissed() {
    let mut scenario = bound(2);
    let theirs = foreign(&scenario, "theirs");
    let tags = [(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-00")];
    let tags = tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    scenario.ports.world().tag_resource(&somebody(), &theirs.arn, &tags).unwrap();
    assert!(run(&mut scenario).halted.is_some());
    // Events go on.
    let event = scenario.assigned("svc-new", "report");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    let shown = resumption(&mut scenario);
    go_on(&mut scenario, &shown);
    scenario.advance(86_400);
    let done = run(&mut scenario);
    assert!(done.halted.is_none() && done.needed.is_empty(), "{done:?}");
}

#[test]
fn a_ledger_without_a_write_on_the_cluster_has_no_sign() {
    let mut scenario = bound(2);
    scenario.ports.world().ledger = Ledger::default();
    scenario.register("blue");
    let done = run(&mut scenario);
    assert!(done.halted.is_none() && done.orphans.len() == 2, "{done:?}");
}
