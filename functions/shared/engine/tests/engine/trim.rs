//! Roles that no binding uses leave the node policies.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use pod_identity_core::node_policy::PolicyState;
use pod_identity_core::{RoleArn, ServiceAccountRef};
use pod_identity_engine::ledger::{NodePolicyRecord, node_policy_key};
use pod_identity_engine::ports::{ErrorKind, Key};
use pod_identity_engine::{Outcome, Reconciled, Scope, preview, reconcile};
use pod_identity_world::{PortFault, When, World};
use serde_json::{Value, json};

use crate::check::{End, Grants, listed, nothing_is_bound_before_it_is_granted, settled};
use crate::policies::{administrator, blue_nodes, names, policy};
use crate::scenario::{Scenario, TRUSTED, cluster, drive, node_role, role};
use crate::versions::put_version;

const HOUR: i64 = 3_600;

fn scope() -> Scope {
    Scope::of(cluster("blue"))
}

/// Reconciles blue; what is bound is granted and what leaves is unused after every call.
fn watched(
    scenario: &mut Scenario,
    seconds: i64,
    mut meddle: impl FnMut(&mut World),
) -> Result<Reconciled, String> {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(seconds));
    let (ports, node_roles) = (&scenario.ports, &scenario.node_roles);
    let mut grants = Grants::of(&ports.world(), node_roles);
    let mut seen = ports.world().calls.len();
    let scope = scope();
    let future =
        reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &scope);
    drive(future, || {
        let mut world = ports.world();
        grants.look(&world, node_roles);
        nothing_is_bound_before_it_is_granted(&world, node_roles, seen);
        seen = world.calls.len();
        meddle(&mut world);
    })
    .map_err(|error| error.to_string())
}

fn run(scenario: &mut Scenario) -> Reconciled {
    watched(scenario, 60, |_| {}).unwrap()
}

fn look(scenario: &mut Scenario) -> Reconciled {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let ports = &scenario.ports;
    drive(preview(ports.cloud(&run, &scenario.settings, deadline), &scope()), || {}).unwrap()
}

fn item<T: serde::de::DeserializeOwned>(scenario: &Scenario, key: &Key) -> Option<T> {
    let world = scenario.ports.world();
    let item = world.ledger.items().find(|item| item.key == *key)?;
    Some(serde_json::from_value(item.body.clone()).unwrap())
}

fn unused(scenario: &Scenario) -> BTreeSet<RoleArn> {
    let record: Option<NodePolicyRecord> = item(scenario, &node_policy_key(&cluster("blue")));
    record.map(|record| record.unused.into_keys().collect()).unwrap_or_default()
}

/// Roles that the ledger has taken out of a policy that may not be written yet.
fn unwritten(scenario: &Scenario) -> BTreeSet<RoleArn> {
    let record: Option<NodePolicyRecord> = item(scenario, &node_policy_key(&cluster("blue")));
    let policies = record.map(|record| record.projection.policies).unwrap_or_default();
    let pending = policies.into_values().filter(|one| one.state != PolicyState::Clean);
    pending.flat_map(|one| one.removed).collect()
}

/// Whether the ledger says of a policy that it is in a state.
fn is_any(world: &World, state: &str) -> bool {
    world.ledger.items().any(|item| {
        let policies = item.body["projection"]["policies"].as_object();
        policies.is_some_and(|all| all.values().any(|one| one["state"] == state))
    })
}

fn granted(scenario: &Scenario) -> BTreeSet<String> {
    listed(&scenario.ports.world(), &blue_nodes())
}

/// Roles are taken out an hour after they were seen unused.
fn trimming() -> Scenario {
    let mut scenario = Scenario::new();
    scenario.settings.trim_after = Some(Duration::from_secs(3_600));
    scenario.register("blue");
    scenario
}

/// svc-etl is bound on blue, and svc-gone was, to `report`.
fn bound() -> Scenario {
    let mut scenario = trimming();
    let events = [scenario.assigned("svc-etl", "etl"), scenario.assigned("svc-gone", "report")];
    scenario.batch(&events);
    let gone = scenario.unassigned("svc-gone");
    Scenario::assert_outcome(&scenario.send(&gone), Outcome::Applied);
    scenario.advance(300);
    scenario
}

/// The same, seen by one reconciliation, and an hour later.
fn due() -> Scenario {
    let mut scenario = bound();
    run(&mut scenario);
    assert_eq!(unused(&scenario), BTreeSet::from([role("report")]));
    scenario.advance(HOUR);
    scenario
}

/// A role whose ARN is so long that ten fill a policy.
fn long(n: usize) -> RoleArn {
    format!("arn:aws:iam::111122223333:role/domino/{}/role-{n}", "x".repeat(500)).parse().unwrap()
}

/// Two policies, of which one is enough once the roles are trimmed that an hour ago nobody used: one reconciliation
/// moves what the second lists, and another gives it up.
fn two_policies() -> Scenario {
    let mut scenario = trimming();
    let mut events = Vec::new();
    for n in 0..14 {
        scenario.ports.world().add_role(&long(n), TRUSTED);
        events.push(scenario.assigned_with(
            &format!("svc-{n}"),
            "etl",
            json!({ "roleArn": long(n) }),
        ));
    }
    scenario.batch(&events);
    assert_eq!(scenario.ports.world().iam.policy_arns().count(), 2);
    let gone: Vec<Value> = (0..8).map(|n| scenario.unassigned(&format!("svc-{n}"))).collect();
    scenario.batch(&gone);
    scenario.advance(300);
    run(&mut scenario);
    scenario.advance(HOUR);
    scenario
}

/// The same, and what the second lists has moved.
fn moved() -> Scenario {
    let mut scenario = two_policies();
    run(&mut scenario);
    scenario
}

#[test]
fn a_role_that_nobody_uses_leaves_after_the_grace_period() {
    let mut scenario = bound();
    let first = run(&mut scenario);
    assert!(first.trimmed.is_empty() && first.trim_skipped.is_none(), "{first:?}");
    scenario.advance(HOUR - 10);
    assert!(run(&mut scenario).trimmed.is_empty());
    assert_eq!(granted(&scenario), names(&["etl", "report"]));
    scenario.advance(10);
    let done = run(&mut scenario);
    assert_eq!((done.trimmed, done.trim_skipped), (BTreeSet::from([role("report")]), None));
    assert_eq!(granted(&scenario), names(&["etl"]));
    assert!(unused(&scenario).is_empty());
    let published = scenario.outcomes("Node Role Policy Changed").pop().unwrap();
    assert_eq!(published["removedRoleArns"], json!([role("report")]));
    assert_eq!(published["addedRoleArns"], json!([]));
    settled(&mut scenario);
}

#[test]
fn a_steady_cluster_costs_no_further_call_and_nothing_is_written() {
    let mut scenario = due();
    run(&mut scenario);
    scenario.advance(HOUR);
    let mut calls = |trim_after| {
        scenario.settings.trim_after = trim_after;
        let from = scenario.ports.world().calls.len();
        run(&mut scenario);
        let world = scenario.ports.world();
        world.calls[from..].iter().map(|call| call.operation.clone()).collect::<Vec<_>>()
    };
    let without = calls(None);
    assert_eq!(calls(Some(Duration::from_secs(3_600))), without);
    assert!(!without.iter().any(|call| call.contains("Write")), "{without:?}");
}

#[test]
fn a_role_that_is_used_again_is_forgotten_and_waits_again() {
    let mut scenario = bound();
    run(&mut scenario);
    scenario.advance(HOUR / 2);
    let back = scenario.assigned("svc-back", "report");
    scenario.send(&back);
    scenario.advance(300);
    run(&mut scenario);
    assert!(unused(&scenario).is_empty());
    let gone = scenario.unassigned("svc-back");
    scenario.send(&gone);
    scenario.advance(HOUR);
    assert!(run(&mut scenario).trimmed.is_empty());
    scenario.advance(HOUR);
    assert_eq!(run(&mut scenario).trimmed.len(), 1);
}

#[test]
fn a_role_that_somebody_elses_association_uses_stays() {
    let mut scenario = due();
    let report = role("report").to_string();
    let place = ("team", "theirs");
    scenario
        .ports
        .world()
        .add_foreign_association(&cluster("blue"), place.0, place.1, &report)
        .unwrap();
    let done = run(&mut scenario);
    assert!(done.trimmed.is_empty() && done.trim_skipped.is_none(), "{done:?}");
    assert!(unused(&scenario).is_empty());
    assert!(granted(&scenario).contains(&report));
}

#[test]
fn an_association_whose_name_kubernetes_would_not_take_keeps_its_role() {
    let mut scenario = due();
    let report = role("report").to_string();
    let world = |scenario: &Scenario| {
        let mut world = scenario.ports.world();
        world.add_foreign_association(&cluster("blue"), "team", "Not_A_Name", &report).unwrap();
    };
    assert!(ServiceAccountRef::new("team", "Not_A_Name").is_err());
    world(&scenario);
    assert!(run(&mut scenario).trimmed.is_empty());
    assert!(unused(&scenario).is_empty());
}

#[test]
fn a_role_that_is_bound_on_another_cluster_only_stays() {
    let mut scenario = due();
    scenario.register("green");
    let green = json!({ "clusters": [cluster("green")] });
    let other = scenario.assigned_with("svc-other", "report", green);
    Scenario::assert_outcome(&scenario.send(&other), Outcome::Applied);
    assert!(run(&mut scenario).trimmed.is_empty());
    assert!(granted(&scenario).contains(role("report").as_str()));
}

#[test]
fn a_made_up_time_of_the_last_look_trims_nothing_that_is_used_now() {
    // An association that is made between the look and the lease is seen under the lease.
    let mut scenario = due();
    let report = role("report").to_string();
    let mut made = false;
    let done = watched(&mut scenario, 60, |world| {
        let leased =
            world.calls.iter().rev().take(1).any(|call| call.operation == "TransactWriteItems");
        if leased && !made {
            made = true;
            world.add_foreign_association(&cluster("blue"), "team", "theirs", &report).unwrap();
        }
    });
    assert!(made && done.unwrap().trimmed.is_empty());
    assert!(granted(&scenario).contains(&report));
}

#[test]
fn a_policy_that_is_not_needed_any_more_is_given_up() {
    let mut scenario = two_policies();
    // What moves is listed where it goes first; the next reconciliation gives up what it left.
    let moved = run(&mut scenario);
    assert_eq!((moved.trim_skipped, moved.deleted_policies.len()), (None, 0));
    let done = run(&mut scenario);
    assert_eq!((moved.trimmed.len() + done.trimmed.len(), done.trim_skipped.as_ref()), (8, None));
    assert_eq!(done.deleted_policies.len(), 1);
    let kept: BTreeSet<String> = (8..14).map(|n| long(n).to_string()).collect();
    assert_eq!(granted(&scenario), kept);
    let attached = scenario.ports.world().iam.attached_to(&blue_nodes());
    assert_eq!(attached, BTreeSet::from([policy(1)]));
    let published = scenario.outcomes("Node Role Policy Changed");
    let gone = published.iter().find(|one| one["nodeRoleArns"] == json!([])).unwrap();
    assert_eq!(gone["policyArn"], json!(policy(2)));
    assert_eq!(gone["capacity"]["policies"], json!(1));
    let ids: BTreeSet<String> = published.iter().map(|one| one["eventId"].to_string()).collect();
    assert_eq!(ids.len(), published.len());
    // It comes back when it is needed.
    let more: Vec<Value> = (0..6)
        .map(|n| scenario.assigned_with(&format!("svc-{n}"), "etl", json!({ "roleArn": long(n) })))
        .collect();
    for record in scenario.batch(&more).records {
        Scenario::assert_outcome(&record, Outcome::Applied);
    }
    assert_eq!(granted(&scenario).len(), 12);
    settled(&mut scenario);
}

#[test]
fn a_policy_that_is_attached_elsewhere_is_kept_attached_and_said() {
    let mut scenario = moved();
    let elsewhere = node_role("somebody-elses");
    scenario.ports.world().add_role(&elsewhere, TRUSTED);
    let now = scenario.now();
    scenario.ports.world().iam.attach(&elsewhere, &policy(2), now);
    let done = run(&mut scenario);
    assert!(done.trim_skipped.unwrap().contains("IAM does not delete it"));
    assert!(done.deleted_policies.is_empty());
    assert!(scenario.ports.world().iam.attached_to(&blue_nodes()).contains(&policy(2)));
}

#[test]
fn the_last_binding_gone_leaves_the_cluster_statement_alone() {
    let mut scenario = due();
    let gone = scenario.unassigned("svc-etl");
    scenario.send(&gone);
    scenario.advance(300);
    run(&mut scenario);
    scenario.advance(HOUR);
    run(&mut scenario);
    assert!(granted(&scenario).is_empty());
    assert_eq!(scenario.ports.world().iam.attached_to(&blue_nodes()).len(), 1);
    assert!(run(&mut scenario).trim_skipped.is_none());
}

#[test]
fn clusters_that_share_a_node_role_are_not_trimmed_and_it_is_said() {
    let mut scenario = due();
    let shared = blue_nodes();
    let detail = json!({ "clusterArn": cluster("green"), "nodeRoleArns": [shared] });
    let event = scenario.event("domino.administration", "Cluster Registered", detail);
    scenario.send(&event);
    let said = [run(&mut scenario), look(&mut scenario)].map(|done| done.trim_skipped.unwrap());
    assert!(said.iter().all(|why| why.contains("cluster green has node role")), "{said:?}");
    assert!(granted(&scenario).contains(role("report").as_str()));
}

#[test]
fn a_look_says_what_would_leave_and_writes_nothing() {
    let mut scenario = due();
    let before = (End::of(&scenario), unused(&scenario), scenario.ports.world().bus.events.len());
    let done = look(&mut scenario);
    let said = done.plans[0].to_string();
    assert!(
        said.contains("- policy acme-eu-west-1-blue-1 lists role/domino/report no longer"),
        "{said}"
    );
    let after = (End::of(&scenario), unused(&scenario), scenario.ports.world().bus.events.len());
    assert_eq!(after, before);
}

#[test]
fn what_is_handed_on_is_not_trimmed_and_it_is_said() {
    let mut scenario = due();
    let after = ServiceAccountRef::new("a", "a").ok();
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, scope) = (&scenario.ports, Scope { after, ..scope() });
    let future =
        reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &scope);
    let done = drive(future, || {}).unwrap();
    assert!(done.trim_skipped.unwrap().contains("in one invocation"));
    assert!(granted(&scenario).contains(role("report").as_str()));
}

#[test]
fn what_is_written_meanwhile_takes_the_trim_back() {
    let mut scenario = due();
    let mut wrote = false;
    watched(&mut scenario, 60, |world| {
        if is_any(world, "pending") && !wrote {
            wrote = true;
            put_version(world, &["etl", "report", "train"]);
        }
    })
    .unwrap();
    assert!(wrote);
    assert_eq!(granted(&scenario), names(&["etl", "report", "train"]));
    assert!(unused(&scenario).contains(&role("report")));
    scenario.advance(HOUR + 300);
    run(&mut scenario);
    assert!(granted(&scenario).contains(role("etl").as_str()));
    scenario.advance(HOUR);
    run(&mut scenario);
    assert_eq!(granted(&scenario), names(&["etl"]), "what nobody uses leaves in the end");
}

#[test]
fn a_policy_that_somebody_writes_meanwhile_is_not_given_up() {
    let mut scenario = moved();
    let mut wrote = false;
    watched(&mut scenario, 60, |world| {
        if is_any(world, "removing") && !wrote {
            wrote = true;
            let document = pod_identity_core::node_policy::document(
                &[long(12), long(13), role("train")].into(),
                None,
            );
            let (who, arn) = (administrator(), policy(2));
            world.create_policy_version(&who, &arn, &document, true).unwrap();
        }
    })
    .unwrap();
    assert!(wrote);
    assert!(granted(&scenario).contains(role("train").as_str()));
}

#[test]
fn a_role_that_a_run_took_out_before_it_died_is_listed_again_before_it_is_bound() {
    let mut scenario = due();
    scenario.ports.world().settings.visible_after = SignedDuration::from_secs(100);
    // It dies once the version is written, before the ledger knows.
    let mut dead = false;
    let ports = scenario.ports.clone();
    let _ = watched(&mut scenario, 60, |world| {
        let trimmed = world.calls.last().is_some_and(|c| c.operation == "CreatePolicyVersion");
        if trimmed && !dead {
            dead = true;
            ports.fault(PortFault::dead_from(1, When::Before));
        }
    });
    assert!(dead);
    scenario.ports.clear_faults();
    assert_eq!(unwritten(&scenario), BTreeSet::from([role("report")]));
    assert_eq!(granted(&scenario), names(&["etl"]));
    scenario.advance(170);
    // Grant before bind is looked at after every call.
    let back = scenario.assigned("svc-back", "report");
    // IAM does not show yet what was written over.
    Scenario::assert_outcome(&scenario.send(&back), Outcome::Failed);
    assert!(granted(&scenario).contains(role("report").as_str()));
    scenario.advance(100);
    Scenario::assert_outcome(&scenario.send(&back), Outcome::Applied);
    assert!(granted(&scenario).contains(role("report").as_str()));
    assert!(unwritten(&scenario).is_empty());
    scenario.advance(200);
    run(&mut scenario);
    assert!(granted(&scenario).contains(role("report").as_str()));
}

/// Reconciles until all is done, as the schedule does.
fn converge(scenario: &mut Scenario) {
    for _ in 0..4 {
        scenario.advance(300);
        let done = watched(scenario, 60, |_| {});
        if done.is_ok_and(|done| done.trim_skipped.is_none() && done.steps == 0) {
            return;
        }
    }
    panic!("it never ends");
}

/// Breaks the trim's calls one after the other. Right after that `back` of the roles that were to
/// leave is assigned again; in the end all is as without the fault.
fn break_every_call(
    begin: fn() -> Scenario,
    back: Option<RoleArn>,
    visible_after: i64,
    fault: impl Fn(usize) -> PortFault,
) {
    let assign = |scenario: &mut Scenario| {
        let Some(role) = &back else { return };
        let event = scenario.assigned_with("svc-back", "etl", json!({ "roleArn": role }));
        for _ in 0..10 {
            if scenario.send(&event).outcome == Outcome::Applied {
                return;
            }
            scenario.advance(30);
        }
        panic!("svc-back is never applied");
    };
    let mut faultless = begin();
    run(&mut faultless);
    assign(&mut faultless);
    converge(&mut faultless);
    let expected = granted(&faultless);
    for n in 1.. {
        let mut scenario = begin();
        let from = scenario.ports.world().calls.len();
        scenario.ports.world().settings.visible_after = SignedDuration::from_secs(visible_after);
        scenario.ports.fault(fault(n));
        let _ = watched(&mut scenario, 60, |_| {});
        let struck = scenario.ports.world().calls[from..].iter().any(|call| call.status == 503);
        if !struck {
            assert!(n > 20, "only {n} calls");
            return;
        }
        scenario.ports.clear_faults();
        assign(&mut scenario);
        converge(&mut scenario);
        assert_eq!(granted(&scenario), expected, "after call {n}");
        assert!(unwritten(&scenario).iter().all(|role| !expected.contains(role.as_str())), "{n}");
        let policies = |s: &Scenario| s.ports.world().iam.policy_arns().count();
        assert_eq!(policies(&scenario), policies(&faultless), "after call {n}");
    }
}

#[test]
fn a_run_that_dies_at_any_call_of_a_trim_is_made_up_for() {
    for visible_after in [0, 90] {
        for when in [When::Before, When::After] {
            break_every_call(due, None, visible_after, |n| PortFault::dead_from(n, when));
            for begin in [two_policies, moved] {
                break_every_call(begin, None, visible_after, |n| PortFault::dead_from(n, when));
            }
        }
    }
}

#[test]
fn a_role_that_comes_back_after_a_run_died_at_any_call_is_granted_before_it_is_bound() {
    for visible_after in [0, 90] {
        for when in [When::Before, When::After] {
            let back = || Some(role("report"));
            break_every_call(due, back(), visible_after, |n| PortFault::dead_from(n, when));
            for begin in [two_policies, moved] {
                let back = Some(long(2));
                break_every_call(begin, back, visible_after, |n| PortFault::dead_from(n, when));
            }
        }
    }
}

#[test]
fn any_call_of_a_trim_that_fails_is_made_up_for() {
    for when in [When::Before, When::After] {
        let passing = |n| PortFault {
            operation: None,
            nth: n,
            lasting: false,
            when,
            kind: ErrorKind::Passing,
        };
        break_every_call(due, None, 0, passing);
        break_every_call(moved, None, 0, passing);
        break_every_call(two_policies, None, 0, passing);
    }
}
