//! Whole clusters brought to the desired state.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join;
use pod_identity_core::{DEPLOYMENT_TAG, SERVICE_ACCOUNT_TAG, ServiceAccountRef};
use pod_identity_engine::ports::{AssociationUpdate, ClusterAccess, EksWriter, ErrorKind};
use pod_identity_engine::{Outcome, Reconciled, Scope, preview, process, reconcile};
use pod_identity_world::{PortFault, When};

use crate::check::End;
use crate::policies::administrator;
use crate::scenario::{Scenario, cluster, drive, records, role};

pub(crate) fn scope() -> Scope {
    Scope::of(cluster("blue"))
}

fn access() -> ClusterAccess {
    ClusterAccess { cluster: cluster("blue"), assume_role: None }
}

pub(crate) fn run(scenario: &mut Scenario, scope: &Scope, seconds: i64) -> Reconciled {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(seconds));
    let ports = &scenario.ports;
    let future = reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), scope);
    drive(future, || {}).unwrap()
}

fn look(scenario: &mut Scenario) -> Reconciled {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let ports = &scenario.ports;
    drive(preview(ports.cloud(&run, &scenario.settings, deadline), &scope()), || {}).unwrap()
}

/// svc-etl and svc-train are bound on blue; svc-gone was.
fn bound() -> Scenario {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events = [
        scenario.assigned("svc-etl", "etl"),
        scenario.assigned("svc-train", "train"),
        scenario.assigned("svc-gone", "report"),
    ];
    scenario.batch(&events);
    let gone = scenario.unassigned("svc-gone");
    Scenario::assert_outcome(&scenario.send(&gone), Outcome::Applied);
    // What was written a moment ago is not judged by an older view.
    scenario.advance(300);
    scenario
}

fn place(name: &str) -> ServiceAccountRef {
    ServiceAccountRef::new("domino-compute", &format!("{name}-sa")).unwrap()
}

fn id_of(scenario: &Scenario, name: &str) -> String {
    let world = scenario.ports.world();
    let found = world.eks.find(&cluster("blue"), "domino-compute", &format!("{name}-sa"));
    found.unwrap().id.clone()
}

fn tags(name: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (DEPLOYMENT_TAG.to_owned(), "acme".to_owned()),
        (SERVICE_ACCOUNT_TAG.to_owned(), name.to_owned()),
    ])
}

#[test]
fn a_steady_cluster_is_looked_at_and_nothing_is_written() {
    let mut scenario = bound();
    let before = (End::of(&scenario), scenario.ports.world().calls.len());
    let done = run(&mut scenario, &scope(), 60);
    assert!(done.needed.is_empty() && done.left.is_none(), "{done:?}");
    assert_eq!(done.places, 2);
    assert!(done.capacity.is_some_and(|capacity| capacity.used_percent > 0));
    assert_eq!(End::of(&scenario), before.0);
    let world = scenario.ports.world();
    let wrote = |operation: &str| {
        operation.contains("Write")
            || operation.starts_with("Put")
            || operation.starts_with("Create")
    };
    assert!(!world.calls[before.1..].iter().any(|call| wrote(&call.operation)));
}

#[test]
fn an_association_deleted_by_hand_is_made_again_and_told() {
    let mut scenario = bound();
    let (other, id) = (scenario.other_ports(), id_of(&scenario, "svc-etl"));
    drive(other.delete_association(&access(), &id), || {}).unwrap();
    let done = run(&mut scenario, &scope(), 60);
    assert_eq!(done.needed, BTreeSet::from(["svc-etl".parse().unwrap()]));
    assert_eq!(done.steps, 1);
    assert_eq!(scenario.associations("blue").len(), 2);
    let published = scenario.outcomes("Drift Corrected");
    assert_eq!(published.len(), 1);
    assert!(published[0]["found"].as_str().unwrap().contains("is gone"), "{published:?}");
    assert!(
        published[0]["corrected"].as_str().unwrap().contains("role/domino/etl"),
        "{published:?}"
    );
    scenario.advance(300);
    assert!(run(&mut scenario, &scope(), 60).needed.is_empty());
}

#[test]
fn an_association_changed_by_hand_is_put_back_and_the_event_says_by_whom() {
    let mut scenario = bound();
    let other = scenario.other_ports();
    let id = id_of(&scenario, "svc-etl");
    let desired = pod_identity_core::Desired {
        role: role("train"),
        target_role: None,
        disable_session_tags: false,
        session_policy: None,
    };
    let update =
        AssociationUpdate { id, kubernetes: place("svc-etl"), desired, client_token: "t".into() };
    drive(other.update_association(&access(), &update), || {}).unwrap();
    scenario.advance(30);
    let actor = Some("arn:aws:sts::111122223333:assumed-role/admin/jo".to_owned());
    let places = BTreeSet::from([place("svc-etl")]);
    let done = run(&mut scenario, &Scope { places, actor, ..scope() }, 60);
    assert_eq!((done.places, done.steps), (1, 1));
    let published = scenario.outcomes("Drift Corrected");
    let found = published[0]["found"].as_str().unwrap();
    assert!(found.contains("other role") && found.contains("assumed-role/admin/jo"), "{found}");
    assert!(scenario.associations("blue").iter().any(|(_, role)| role == "etl"));
}

#[test]
fn a_role_that_an_event_changes_while_a_cluster_is_looked_at_is_no_drift() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events: Vec<_> =
        (10..90).map(|n| scenario.assigned(&format!("svc-{n}"), "report")).collect();
    scenario.batch(&events);
    scenario.advance(300);
    assert!(run(&mut scenario, &scope(), 60).needed.is_empty());
    let event = scenario.assigned("svc-89", "etl");
    let (runs, deadline) = ([scenario.next_run(), scenario.next_run()], scenario.in_seconds(60));
    let (ports, settings, records) =
        (&scenario.ports, &scenario.settings, records(&[event.to_string()]));
    let scope = scope();
    let both = join(
        reconcile(ports.cloud(&runs[0], settings, deadline), ports.writers(), &scope),
        process(ports.cloud(&runs[1], settings, deadline), ports.writers(), &records),
    );
    let (done, report) = drive(both, || {});
    let done = done.unwrap();
    Scenario::assert_outcome(&report.records[0], Outcome::Applied);
    let name = "svc-89".parse().unwrap();
    assert_eq!(done.needed, BTreeSet::from([name]), "the look saw the change");
    assert_eq!((done.corrected, done.steps), (Vec::new(), 0));
    assert!(scenario.outcomes("Drift Corrected").is_empty());
}

#[test]
fn a_part_that_only_removes_something_does_not_hide_how_full_the_policies_are() {
    let mut scenario = bound();
    let gone = scenario.unassigned("svc-train");
    let fault = PortFault::nth("DeletePodIdentityAssociation", 1, When::Before, ErrorKind::Passing);
    scenario.ports.fault(fault);
    Scenario::assert_outcome(&scenario.send(&gone), Outcome::Failed);
    scenario.advance(300);
    let done = run(&mut scenario, &scope(), 60);
    assert_eq!(done.steps, 1);
    assert_eq!(done.capacity.map(|capacity| capacity.policies), Some(1));
}

#[test]
fn an_association_made_for_somebody_who_has_no_role_is_deleted_and_an_unknown_one_is_kept() {
    let mut scenario = bound();
    let other = scenario.other_ports();
    for name in ["svc-gone", "svc-unknown"] {
        let new = pod_identity_engine::ports::NewAssociation {
            kubernetes: place(name),
            desired: pod_identity_core::Desired {
                role: role("report"),
                target_role: None,
                disable_session_tags: false,
                session_policy: None,
            },
            tags: tags(name),
            client_token: name.to_owned(),
        };
        drive(other.create_association(&access(), &new), || {}).unwrap();
    }
    let done = run(&mut scenario, &scope(), 60);
    assert_eq!(done.steps, 1);
    assert_eq!(done.orphans.len(), 1);
    assert_eq!(done.orphans[0].tag.as_deref(), Some("svc-unknown"));
    let there: BTreeSet<String> =
        scenario.associations("blue").into_iter().map(|(place, _)| place).collect();
    assert_eq!(there.len(), 3, "{there:?}");
    let published = scenario.outcomes("Drift Corrected");
    assert_eq!(published[0]["corrected"], "no association");
}

#[test]
fn the_role_of_an_association_that_somebody_else_made_is_listed() {
    let mut scenario = bound();
    let foreign = role("report");
    let made = scenario.ports.world().add_foreign_association(
        &cluster("blue"),
        "domino-compute",
        "other",
        foreign.as_str(),
    );
    made.unwrap();
    // Listed already, for one that is gone.
    assert!(run(&mut scenario, &scope(), 60).needed.is_empty());
    let new = role("etl-2");
    scenario
        .ports
        .world()
        .add_foreign_association(&cluster("blue"), "domino-compute", "new", new.as_str())
        .unwrap();
    assert_eq!(run(&mut scenario, &scope(), 60).needed.len(), 1);
    let listed = |text: &String| text.contains(new.as_str());
    assert!(End::of(&scenario).policies.values().any(listed));
    scenario.advance(300);
    assert!(run(&mut scenario, &scope(), 60).needed.is_empty());
}

#[test]
fn what_was_blocked_is_tried_again() {
    let mut scenario = bound();
    let event = scenario.assigned("svc-late", "untrusted");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    scenario.ports.world().set_trust(&role("untrusted"), crate::scenario::TRUSTED);
    scenario.advance(300);
    let done = run(&mut scenario, &scope(), 60);
    assert_eq!(done.needed, BTreeSet::from(["svc-late".parse().unwrap()]));
    assert_eq!(scenario.associations("blue").len(), 3);
    assert!(scenario.outcomes("Drift Corrected").is_empty());
}

#[test]
fn a_binding_that_came_before_its_cluster_comes_true() {
    let mut scenario = bound();
    scenario.register("green");
    let scope = Scope::of(cluster("green"));
    let done = run(&mut scenario, &scope, 60);
    assert_eq!(done.needed.len(), 2);
    assert_eq!(scenario.associations("green").len(), 2);
}

#[test]
fn a_policy_that_was_detached_by_hand_is_attached_again() {
    let mut scenario = bound();
    let node_role = crate::scenario::node_role("blue-eks-nodes");
    let before = End::of(&scenario);
    {
        let mut world = scenario.ports.world();
        let arns: Vec<String> = world.iam.attached_to(&node_role).into_iter().collect();
        for arn in arns {
            world.detach_role_policy(&administrator(), node_role.name(), &arn).unwrap();
        }
    }
    let done = run(&mut scenario, &scope(), 60);
    assert!(!done.needed.is_empty());
    assert_eq!(End::of(&scenario).attached, before.attached);
    assert!(!scenario.outcomes("Drift Corrected").is_empty());
}

#[test]
fn a_preview_plans_and_writes_nothing() {
    let mut scenario = bound();
    let (other, id) = (scenario.other_ports(), id_of(&scenario, "svc-etl"));
    drive(other.delete_association(&access(), &id), || {}).unwrap();
    let before = (End::of(&scenario), scenario.ports.world().bus.events.len());
    let done = look(&mut scenario);
    assert_eq!(done.plans.len(), 1);
    assert_eq!(done.plans[0].steps(), 1);
    assert_eq!((End::of(&scenario), scenario.ports.world().bus.events.len()), before);
}

#[test]
fn a_cluster_that_is_gone_is_skipped_and_said() {
    let mut scenario = bound();
    scenario.ports.world().remove_cluster(&cluster("blue"));
    let done = run(&mut scenario, &scope(), 60);
    assert!(done.skipped.unwrap().contains("retire it"));
    let done = run(&mut scenario, &Scope::of(cluster("green")), 60);
    assert!(done.skipped.unwrap().contains("is not registered"));
}

#[test]
fn one_that_runs_out_of_time_goes_on_where_it_stopped() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    for batch in 0..10 {
        let events: Vec<_> =
            (0..100).map(|n| scenario.assigned(&format!("svc-{batch}{n:02}"), "etl")).collect();
        scenario.batch(&events);
    }
    scenario.advance(300);
    let mut scope = scope();
    // Every call takes its time, so that one chunk is all that fits.
    scenario.ports.world().settings.call_takes = std::time::Duration::from_millis(100);
    let mut described = BTreeSet::new();
    let mut runs = 0;
    loop {
        let from = scenario.ports.world().calls.len();
        let done = run(&mut scenario, &scope, 45);
        runs += 1;
        let world = scenario.ports.world();
        for call in world.calls[from..].iter().filter(|c| c.operation.starts_with("Describe")) {
            assert!(described.insert(call.object.clone()), "{} was described twice", call.object);
        }
        drop(world);
        match done.left {
            Some(left) => scope.after = Some(left),
            None => break,
        }
    }
    assert_eq!((described.len(), runs), (1_000, 3));
}

#[test]
fn a_steady_cluster_costs_its_list_a_description_each_and_twenty_calls_at_most() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    for number in 0..40 {
        scenario.ports.world().add_role(&role(&format!("job-{number}")), crate::scenario::TRUSTED);
    }
    for batch in 0..10 {
        let event = |n: usize, scenario: &mut Scenario| {
            scenario.assigned(&format!("svc-{batch}{n:02}"), &format!("job-{}", n % 40))
        };
        let events: Vec<_> = (0..100).map(|n| event(n, &mut scenario)).collect();
        scenario.batch(&events);
    }
    scenario.advance(300);
    scenario.ports.world().settings.page_size = 100;
    let from = scenario.ports.world().calls.len();
    let done = run(&mut scenario, &scope(), 60);
    assert!(done.needed.is_empty() && done.left.is_none() && done.places == 1_000, "{done:?}");
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for call in &scenario.ports.world().calls[from..] {
        *calls.entry(call.operation.clone()).or_default() += 1;
    }
    assert_eq!(calls.remove("ListPodIdentityAssociations"), Some(10));
    assert_eq!(calls.remove("DescribePodIdentityAssociation"), Some(1_000));
    // DynamoDB's pages hold a megabyte, two for so many bindings at the most and one for what is
    // remembered of their accounts; the model's a hundred items.
    assert_eq!(calls.insert("Query".to_owned(), 3), Some(20));
    assert!(calls.values().sum::<usize>() <= 20, "{calls:?}");
    assert!(calls.keys().all(|call| !call.contains("Write") && call != "PutEvents"), "{calls:?}");
}
