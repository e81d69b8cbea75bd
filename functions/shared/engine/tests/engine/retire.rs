//! Clusters that are retired under guard.

use std::collections::BTreeSet;

use pod_identity_core::{DEPLOYMENT_TAG, DominoName, SERVICE_ACCOUNT_TAG};
use pod_identity_engine::ledger::{ClusterRecord, ConditionState, Registry, registry_key};
use pod_identity_engine::ports::{ClusterAccess, EksWriter, Item, NewAssociation};
use pod_identity_engine::{Outcome, Reconciled, Retirement, Scope, preview, reconcile};
use pod_identity_events::BlockedCode;
use pod_identity_world::{PortFault, When};
use serde_json::{Value, json};

use crate::check::End;
use crate::scenario::{Scenario, TRUSTED, UNTRUSTED, cluster, drive, node_role, role};

fn try_run(scenario: &mut Scenario, name: &str) -> Result<Reconciled, String> {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, scope) = (&scenario.ports, Scope::of(cluster(name)));
    let future =
        reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &scope);
    drive(future, || {}).map_err(|error| error.to_string())
}

fn run(scenario: &mut Scenario) -> Reconciled {
    try_run(scenario, "blue").unwrap()
}

fn retire(scenario: &mut Scenario, name: &str, exemptions: &Value) -> Value {
    let detail = json!({ "clusterArn": cluster(name), "exemptServiceAccounts": exemptions });
    let event = scenario.event("domino.administration", "Cluster Retired", detail);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::RetirementRequested);
    event
}

fn record(scenario: &Scenario) -> Option<ClusterRecord> {
    let world = scenario.ports.world();
    let item = world.ledger.get(&registry_key()).expect("a registry").clone();
    let registry: Registry = serde_json::from_value(item.body).unwrap();
    registry.clusters.get(&cluster("blue")).cloned()
}

fn names(list: &[&str]) -> BTreeSet<DominoName> {
    list.iter().map(|name| name.parse().unwrap()).collect()
}

fn policies(scenario: &Scenario, name: &str) -> Vec<String> {
    let world = scenario.ports.world();
    let of = format!("/acme-eu-west-1-{name}-");
    world.iam.policy_arns().filter(|arn| arn.contains(&of)).map(str::to_owned).collect()
}

/// svc-etl and svc-train work on blue, and on green too.
fn both() -> Scenario {
    let mut scenario = Scenario::registered();
    let events = [scenario.assigned("svc-etl", "etl"), scenario.assigned("svc-train", "train")];
    scenario.batch(&events);
    scenario.advance(300);
    scenario
}

/// svc-etl and svc-train work on blue only.
fn blue_only() -> Scenario {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events = [scenario.assigned("svc-etl", "etl"), scenario.assigned("svc-train", "train")];
    scenario.batch(&events);
    scenario.advance(300);
    scenario
}

fn assert_drained(scenario: &Scenario) {
    assert!(scenario.associations("blue").is_empty());
    assert!(policies(scenario, "blue").is_empty());
    assert!(record(scenario).unwrap().retired.unwrap().drained_at.is_some());
    for name in ["svc-etl", "svc-train"] {
        let condition = scenario.condition(name, "blue").unwrap();
        assert_eq!(condition.state, ConditionState::Removed);
        assert!(condition.wanted.is_none() && condition.leaving.is_empty());
    }
}

#[test]
fn whoever_is_ready_nowhere_else_holds_it_up_and_everything_stays() {
    let mut scenario = blue_only();
    retire(&mut scenario, "blue", &json!([]));
    let before = End::of(&scenario);
    let done = run(&mut scenario);
    let held = Retirement::RetirementBlocked(names(&["svc-etl", "svc-train"]));
    assert_eq!(done.retirement, Some(held.clone()));
    assert!(held.to_string().contains("exemptServiceAccounts"), "{held}");
    assert_eq!(End::of(&scenario), before);
    assert!(!record(&scenario).unwrap().is_retiring());
    // It is reconciled as ever.
    let id = scenario.ports.world().eks.associations(&cluster("blue"))[0].id.clone();
    let access = ClusterAccess { cluster: cluster("blue"), assume_role: None };
    drive(scenario.other_ports().delete_association(&access, &id), || {}).unwrap();
    assert_eq!(run(&mut scenario).corrected.len(), 1);
    assert_eq!(scenario.associations("blue").len(), 2);
}

#[test]
fn what_is_ready_elsewhere_is_taken_away_with_the_policies_and_the_registry_says_so() {
    let mut scenario = both();
    retire(&mut scenario, "blue", &json!([]));
    let green = scenario.associations("green");
    let done = run(&mut scenario);
    assert_eq!(done.retirement, Some(Retirement::Drained), "{done:?}");
    assert_drained(&scenario);
    assert_eq!(scenario.associations("green"), green);
    assert_eq!(policies(&scenario, "green").len(), 1);
    let attached = scenario.ports.world().iam.attached_to(&node_role("blue-eks-nodes"));
    assert!(attached.is_empty(), "{attached:?}");
    let removed = scenario.outcomes("Pod Identity Association Removed");
    assert_eq!(removed.len(), 2);
    assert!(removed.iter().all(|event| event["reason"] == "clusterRetired"), "{removed:?}");
    let published = scenario.outcomes("Node Role Policy Changed").pop().unwrap();
    assert_eq!(published["removedRoleArns"].as_array().unwrap().len(), 2, "{published}");
    // From now on it is looked at with two calls, and nothing is made there.
    let from = scenario.ports.world().calls.len();
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Drained));
    assert_eq!(scenario.ports.world().calls.len() - from, 2);
    let event = scenario.assigned("svc-etl", "report");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    let event = scenario.assigned("svc-new", "report");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert!(scenario.associations("blue").is_empty());
    assert_eq!(scenario.associations("green").len(), 3);
}

#[test]
fn whoever_is_given_up_need_not_be_ready_elsewhere() {
    for exemptions in [json!(["svc-etl", "svc-train"]), json!(["*"])] {
        let mut scenario = blue_only();
        retire(&mut scenario, "blue", &json!(["svc-etl"]));
        let held = Retirement::RetirementBlocked(names(&["svc-train"]));
        assert_eq!(run(&mut scenario).retirement, Some(held));
        // A newer one replaces the older with its list.
        retire(&mut scenario, "blue", &exemptions);
        assert_eq!(run(&mut scenario).retirement, Some(Retirement::Drained));
        assert_drained(&scenario);
    }
}

#[test]
fn a_cluster_that_is_retired_itself_is_nobodys_elsewhere() {
    let mut scenario = both();
    retire(&mut scenario, "green", &json!([]));
    retire(&mut scenario, "blue", &json!([]));
    for name in ["blue", "green"] {
        let done = try_run(&mut scenario, name).unwrap();
        let held = Retirement::RetirementBlocked(names(&["svc-etl", "svc-train"]));
        assert_eq!(done.retirement, Some(held));
    }
    assert_eq!(scenario.associations("blue").len(), 2);
}

#[test]
fn one_run_deletes_no_more_than_the_ceiling_and_another_goes_on() {
    let mut scenario = both();
    scenario.settings.plan.max_deletions = 1;
    retire(&mut scenario, "blue", &json!([]));
    let done = run(&mut scenario);
    assert_eq!(done.retirement, Some(Retirement::UnderWay { goes_on: true }));
    assert_eq!(scenario.associations("blue").len(), 1);
    assert!(scenario.outcomes("Pod Identity Association Blocked").is_empty());
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Drained));
    assert_drained(&scenario);
}

/// What a run with so many seconds would do.
fn look(scenario: &mut Scenario, seconds: i64) -> Reconciled {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(seconds));
    let (ports, scope) = (&scenario.ports, Scope::of(cluster("blue")));
    drive(preview(ports.cloud(&run, &scenario.settings, deadline), &scope), || {}).unwrap()
}

#[test]
fn a_look_says_whether_others_follow_those_that_one_run_deletes() {
    let mut scenario = both();
    retire(&mut scenario, "blue", &json!([]));
    let under_way = |goes_on| Some(Retirement::UnderWay { goes_on });
    assert_eq!(look(&mut scenario, 60).retirement, under_way(false));
    scenario.settings.plan.max_deletions = 1;
    let done = look(&mut scenario, 60);
    assert_eq!((done.retirement, done.left), (under_way(true), None));
}

#[test]
fn a_look_whose_time_is_over_says_behind_whom_it_stopped() {
    let mut scenario = both();
    for batch in 0..5 {
        let name = |n| format!("svc-{batch}{n:02}");
        let events: Vec<_> = (0..100).map(|n| scenario.assigned(&name(n), "etl")).collect();
        scenario.batch(&events);
    }
    scenario.advance(300);
    scenario.settings.plan.max_deletions = 1_000;
    retire(&mut scenario, "blue", &json!([]));
    // Every call takes its time, so that one part is all that fits.
    scenario.ports.world().settings.call_takes = std::time::Duration::from_millis(100);
    let done = look(&mut scenario, 20);
    assert_eq!((done.places, done.plans.len()), (400, 1));
    assert!(done.left.is_some());
    assert_eq!(done.retirement, Some(Retirement::UnderWay { goes_on: true }));
}

/// Begun with one association gone; svc-train has since lost green.
fn half_done() -> Scenario {
    let mut scenario = both();
    scenario.settings.plan.max_deletions = 1;
    retire(&mut scenario, "blue", &json!([]));
    run(&mut scenario);
    let event = scenario.assigned("svc-train", "untrusted");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    scenario
}

#[test]
fn whoever_is_no_longer_ready_elsewhere_keeps_the_association_until_he_is() {
    let mut scenario = half_done();
    let kept = [("domino-compute/svc-train-sa".to_owned(), "train".to_owned())];
    assert_eq!(scenario.associations("blue"), kept);
    assert_eq!(scenario.code("svc-train", "blue"), Some(BlockedCode::NotReadyElsewhere));
    let held = Retirement::RetirementBlocked(names(&["svc-train"]));
    assert_eq!(run(&mut scenario).retirement, Some(held));
    assert_eq!(scenario.associations("blue"), kept);
    // Repaired on green.
    scenario.ports.world().set_trust(&role("untrusted"), TRUSTED);
    try_run(&mut scenario, "green").unwrap();
    scenario.advance(61);
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Drained));
    assert_drained(&scenario);
}

#[test]
fn those_who_keep_theirs_hold_up_nobody_behind_them() {
    let mut scenario = Scenario::registered();
    let events: Vec<Value> =
        ["svc-a", "svc-b", "svc-c"].map(|name| scenario.assigned(name, "etl")).into();
    scenario.batch(&events);
    scenario.advance(300);
    scenario.settings.plan.max_deletions = 0;
    retire(&mut scenario, "blue", &json!([]));
    run(&mut scenario);
    assert_eq!(scenario.associations("blue").len(), 3);
    for name in ["svc-a", "svc-b"] {
        let event = scenario.assigned(name, "untrusted");
        scenario.send(&event);
    }
    scenario.settings.plan.max_deletions = 1;
    let done = run(&mut scenario);
    assert_eq!(done.retirement, Some(Retirement::RetirementBlocked(names(&["svc-a", "svc-b"]))));
    let left: Vec<String> =
        scenario.associations("blue").into_iter().map(|(place, _)| place).collect();
    assert_eq!(left, ["domino-compute/svc-a-sa", "domino-compute/svc-b-sa"]);
}

#[test]
fn whoever_keeps_the_association_loses_it_when_given_up_or_unassigned() {
    let mut scenario = half_done();
    retire(&mut scenario, "blue", &json!(["svc-train"]));
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Drained));
    assert_drained(&scenario);

    let mut scenario = half_done();
    let event = scenario.unassigned("svc-train");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert!(scenario.associations("blue").is_empty());
    let removed = scenario.outcomes("Pod Identity Association Removed").pop().unwrap();
    assert_eq!(removed["reason"], "unassigned");
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Drained));
}

#[test]
fn a_move_during_the_retirement_leaves_what_was_there_under_guard() {
    let mut scenario = both();
    scenario.settings.plan.max_deletions = 1;
    retire(&mut scenario, "blue", &json!([]));
    run(&mut scenario);
    scenario.ports.world().set_trust(&role("train"), UNTRUSTED);
    let elsewhere = json!({ "kubernetes": { "serviceAccount": "elsewhere" } });
    let event = scenario.assigned_with("svc-train", "train", elsewhere);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    assert_eq!(scenario.associations("blue").len(), 1);
    scenario.ports.world().set_trust(&role("train"), TRUSTED);
    // Ready on green by the time that it ends, which blue is not waited for with.
    scenario.send(&event);
    scenario.advance(61);
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Drained));
    assert!(scenario.associations("blue").is_empty());
}

#[test]
fn what_is_not_ours_stays_and_so_do_the_policies_that_it_may_need() {
    let mut scenario = both();
    let blue = cluster("blue");
    {
        let mut world = scenario.ports.world();
        let foreign = role("report");
        world.add_foreign_association(&blue, "domino-compute", "other", foreign.as_str()).unwrap();
        world.add_addon_association(&blue, "kube-system", "csi", foreign.as_str(), "ebs").unwrap();
    }
    let orphan = NewAssociation {
        kubernetes: pod_identity_core::ServiceAccountRef::new("domino-compute", "orphan").unwrap(),
        desired: pod_identity_core::Desired {
            role: role("report"),
            target_role: None,
            disable_session_tags: false,
            session_policy: None,
        },
        tags: [(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-unknown")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        client_token: "t".to_owned(),
    };
    let access = ClusterAccess { cluster: blue.clone(), assume_role: None };
    drive(scenario.other_ports().create_association(&access, &orphan), || {}).unwrap();
    retire(&mut scenario, "blue", &json!([]));
    let Some(Retirement::NotAlone(others)) = run(&mut scenario).retirement else {
        panic!("emptied")
    };
    assert_eq!(others.len(), 3, "{others:?}");
    assert_eq!(scenario.associations("blue").len(), 3);
    assert_eq!(policies(&scenario, "blue").len(), 1);
    // With the cluster they are gone, and the policies follow.
    scenario.ports.world().remove_cluster(&blue);
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Deregistered));
    assert!(policies(&scenario, "blue").is_empty() && record(&scenario).is_none());
}

#[test]
fn a_cluster_that_is_gone_leaves_the_registry_and_an_old_registration_does_not_bring_it_back() {
    let mut scenario = blue_only();
    let registration = scenario.sent[0].clone();
    retire(&mut scenario, "blue", &json!([]));
    scenario.ports.world().remove_cluster(&cluster("blue"));
    let done = run(&mut scenario);
    assert_eq!((done.retirement, done.skipped), (Some(Retirement::Deregistered), None));
    assert!(record(&scenario).is_none() && policies(&scenario, "blue").is_empty());
    for name in ["svc-etl", "svc-train"] {
        assert_eq!(scenario.condition(name, "blue").unwrap().state, ConditionState::Removed);
    }
    assert!(run(&mut scenario).skipped.unwrap().contains("not registered"));
    scenario.send(&registration);
    assert!(record(&scenario).unwrap().is_retiring());
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Deregistered));
    // A new one of the same name is as good as any.
    scenario.ports.world().add_cluster(&cluster("blue"), &[]);
    scenario.advance(300);
    scenario.register("blue");
    assert_eq!(run(&mut scenario).needed.len(), 2);
    assert_eq!(scenario.associations("blue").len(), 2);
}

#[test]
fn nobody_waits_for_what_was_written_on_a_cluster_that_is_gone() {
    let mut scenario = blue_only();
    let event = scenario.assigned("svc-etl", "report");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    retire(&mut scenario, "blue", &json!([]));
    scenario.ports.world().remove_cluster(&cluster("blue"));
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Deregistered));
}

#[test]
fn an_emptied_cluster_leaves_the_registry_once_it_is_gone() {
    let mut scenario = both();
    retire(&mut scenario, "blue", &json!([]));
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Drained));
    scenario.ports.world().remove_cluster(&cluster("blue"));
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Deregistered));
    assert!(record(&scenario).is_none());
}

#[test]
fn a_newer_registration_brings_the_cluster_back_at_any_stage() {
    for stage in 0..3 {
        let mut scenario = both();
        let before = (scenario.associations("blue"), policies(&scenario, "blue"));
        scenario.settings.plan.max_deletions = 1;
        retire(&mut scenario, "blue", &json!([]));
        for _ in 0..stage {
            run(&mut scenario);
        }
        scenario.register("blue");
        let done = run(&mut scenario);
        assert!(done.failures.is_empty() && done.retirement.is_none(), "{done:?}");
        let now = (scenario.associations("blue"), policies(&scenario, "blue"));
        // What was deleted is made again under another number, whatever IAM still shows.
        assert_eq!(now.0, before.0, "stage {stage}: {done:?}");
        assert_eq!(now.1 == before.1, stage < 2, "stage {stage}: {now:?}");
        scenario.advance(300);
        assert!(run(&mut scenario).needed.is_empty());
    }
}

#[test]
fn a_preview_shows_what_would_be_deleted_and_writes_nothing() {
    let mut scenario = both();
    retire(&mut scenario, "blue", &json!([]));
    let before = (End::of(&scenario), scenario.ports.world().ledger.items().count());
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, scope) = (&scenario.ports, Scope::of(cluster("blue")));
    let look = preview(ports.cloud(&run, &scenario.settings, deadline), &scope);
    let done = drive(look, || {}).unwrap();
    let text = done.plans[0].to_string();
    assert_eq!(text.matches("- association").count(), 2, "{text}");
    let now = (End::of(&scenario), scenario.ports.world().ledger.items().count());
    assert_eq!(now, before);
    assert!(!record(&scenario).unwrap().is_retiring());
}

#[test]
fn an_event_that_comes_again_is_made_true_on_a_cluster_that_came_back() {
    let mut scenario = both();
    retire(&mut scenario, "blue", &json!([]));
    assert_eq!(run(&mut scenario).retirement, Some(Retirement::Drained));
    scenario.register("blue");
    scenario.advance(300);
    let again = scenario.sent.clone();
    for record in scenario.batch(&again).records {
        assert_ne!(record.outcome, Outcome::Failed, "{record:?}");
    }
    assert_eq!(scenario.associations("blue").len(), 2);
}

/// Goes on until nothing is left to do.
fn finish(scenario: &mut Scenario, pause: i64, what: &str) {
    let mut last = None;
    for _ in 0..20 {
        match try_run(scenario, "blue") {
            Ok(done) if done.retirement == Some(Retirement::Drained) => return,
            done => last = Some(done),
        }
        scenario.advance(pause);
    }
    panic!("{what}: it never ends: {last:?}");
}

fn removals(scenario: &Scenario) -> BTreeSet<String> {
    let removed = scenario.outcomes("Pod Identity Association Removed");
    removed.iter().map(|event| event["eventId"].to_string()).collect()
}

/// Breaks every call of a retirement, one after the other, and compares the ends.
fn break_every_call(visible_after: i64, fault: impl Fn(usize) -> PortFault) {
    let start = || {
        let mut scenario = both();
        retire(&mut scenario, "blue", &json!([]));
        scenario.advance(100);
        let shown = jiff::SignedDuration::from_secs(visible_after);
        scenario.ports.world().settings.visible_after = shown;
        scenario.ports.world().calls.clear();
        scenario
    };
    let mut expected = start();
    finish(&mut expected, 61, "without a fault");
    expected.advance(visible_after);
    for n in 1.. {
        let mut scenario = start();
        scenario.ports.fault(fault(n));
        let done = try_run(&mut scenario, "blue");
        let struck = |scenario: &Scenario| {
            scenario.ports.world().calls.iter().any(|call| call.status == 503)
        };
        if !struck(&scenario) {
            assert!(n > 20, "only {n} calls");
            return;
        }
        let what = format!("call {n}: {done:?}");
        scenario.ports.clear_faults();
        scenario.advance(61);
        finish(&mut scenario, 61, &what);
        scenario.advance(visible_after);
        assert_drained(&scenario);
        assert_eq!(End::of(&scenario), End::of(&expected), "{what}");
        assert_eq!(removals(&scenario), removals(&expected), "{what}");
        let world = scenario.ports.world();
        let is_held = |item: &Item| item.key.sort == "LEASE" && item.body.get("owner").is_some();
        assert!(!world.ledger.items().any(is_held), "{what}");
    }
}

#[test]
fn a_retirement_that_dies_before_any_call_is_finished_by_the_next_runs() {
    break_every_call(0, |n| PortFault::dead_from(n, When::Before));
}

#[test]
fn a_retirement_that_dies_after_any_call_is_finished_by_the_next_runs() {
    break_every_call(0, |n| PortFault::dead_from(n, When::After));
}

#[test]
fn any_call_that_fails_once_delays_a_retirement_and_no_more() {
    for when in [When::Before, When::After] {
        break_every_call(0, |n| PortFault { lasting: false, ..PortFault::dead_from(n, when) });
        break_every_call(8, |n| PortFault { lasting: false, ..PortFault::dead_from(n, when) });
    }
}
