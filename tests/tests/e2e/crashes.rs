//! The function dies in the middle; the message comes again.

use std::collections::BTreeSet;

use local::scene;
use local::wire::When::{self, After, Before};
use pod_identity_events::{Envelope, detail_type};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::scenario::{
    SHORT_LEASE, Scenario, assigned, deactivated, registered, somebody, unassigned,
};

type Point = (&'static str, usize, When);

/// What happened before, and the event in whose middle the function dies.
#[derive(Clone)]
struct Story {
    before: Vec<String>,
    event: String,
}

/// What an outcome event is about. Its own id changes with the association's,
/// and the role of an association that is gone already is not known any more.
fn about(outcome: &Envelope) -> String {
    let parts = ["serviceAccount", "clusterArn", "reason", "policyArn"];
    let parts = parts.map(|name| outcome.detail[name].as_str().unwrap_or("-"));
    format!("{} {}", outcome.detail_type, parts.join(" "))
}

async fn begun(story: &Story) -> Scenario {
    let mut scenario = Scenario::with(SHORT_LEASE).await;
    for event in &story.before {
        scenario.deliver(std::slice::from_ref(event)).await;
    }
    scenario.stage.new_events();
    scenario
}

/// The state, the number of versions of blue's policy, and what was told.
async fn ended(mut scenario: Scenario) -> (Value, usize, BTreeSet<String>) {
    let events = scenario.stage.new_events();
    let told = events.iter().map(about).collect();
    let state = scenario.state().await;
    let world = scenario.stage.world();
    let policy = world.iam.policy_arns().find(|arn| arn.contains("-blue-")).map(str::to_owned);
    let versions = policy.map_or(0, |arn| {
        world.list_policy_versions(&somebody(), &arn, None, None).unwrap().items.len()
    });
    drop(world);
    (state, versions, told)
}

async fn faultless(story: &Story) -> (Value, usize, BTreeSet<String>) {
    let mut scenario = begun(story).await;
    scenario.deliver(std::slice::from_ref(&story.event)).await;
    ended(scenario).await
}

async fn ends_alike_after_a_death_at(story: Story, points: &[Point]) {
    let (state, versions, told) = faultless(&story).await;
    let mut deaths = JoinSet::new();
    for point in points.iter().copied() {
        let story = story.clone();
        deaths.spawn(async move {
            let mut scenario = begun(&story).await;
            scenario.kill_at(&story.event, point).await;
            let again = scenario.stage.turn().await.unwrap();
            assert!(again.failed.is_empty(), "{point:?}: {:?}\n{}", again.result, scenario.log());
            assert!(scenario.stage.queue().dead_letters().is_empty());
            (point, ended(scenario).await)
        });
    }
    for (point, (state_then, versions_then, told_then)) in deaths.join_all().await {
        assert_eq!(state_then, state, "{point:?}");
        assert_eq!(versions_then, versions, "{point:?}");
        let lost: Vec<_> = told.difference(&told_then).collect();
        assert!(lost.is_empty(), "{point:?}: {lost:#?} of {told_then:#?}");
    }
}

fn on_blue() -> Vec<String> {
    vec![registered("blue", 1), assigned("svc-first", "report", 2)]
}

#[tokio::test]
async fn assignment_ends_alike_wherever_the_function_died() {
    let story = Story { before: on_blue(), event: assigned("svc-new", "new", 10) };
    let points = [
        // The ledger's word, the lease, the conditions.
        ("TransactWriteItems", 1, Before),
        ("TransactWriteItems", 1, After),
        ("TransactWriteItems", 2, Before),
        ("TransactWriteItems", 2, After),
        ("ListPodIdentityAssociations", 1, Before),
        ("CreatePolicyVersion", 1, Before),
        ("CreatePodIdentityAssociation", 1, Before),
        ("CreatePodIdentityAssociation", 1, After),
        ("PutEvents", 1, Before),
        ("PutEvents", 1, After),
        ("TransactWriteItems", 3, Before),
        ("TransactWriteItems", 3, After),
    ];
    ends_alike_after_a_death_at(story, &points).await;
}

#[tokio::test]
async fn first_assignment_on_a_cluster_ends_alike_wherever_the_function_died() {
    let story =
        Story { before: vec![registered("blue", 1)], event: assigned("svc-new", "new", 10) };
    let points = [
        ("CreatePolicy", 1, Before),
        ("CreatePolicy", 1, After),
        ("AttachRolePolicy", 1, Before),
        ("AttachRolePolicy", 1, After),
    ];
    ends_alike_after_a_death_at(story, &points).await;
}

#[tokio::test]
async fn change_of_role_ends_alike_wherever_the_function_died() {
    let story = Story { before: on_blue(), event: assigned("svc-first", "new", 10) };
    let points = [
        ("CreatePolicyVersion", 1, After),
        ("UpdatePodIdentityAssociation", 1, Before),
        ("UpdatePodIdentityAssociation", 1, After),
        ("PutEvents", 1, Before),
        ("TransactWriteItems", 3, Before),
    ];
    ends_alike_after_a_death_at(story, &points).await;
}

#[tokio::test]
async fn removal_ends_alike_wherever_the_function_died() {
    let points = [
        ("TransactWriteItems", 1, After),
        ("DeletePodIdentityAssociation", 1, Before),
        ("DeletePodIdentityAssociation", 1, After),
        ("PutEvents", 1, Before),
        ("PutEvents", 1, After),
        ("TransactWriteItems", 3, Before),
        ("TransactWriteItems", 3, After),
    ];
    let story = Story { before: on_blue(), event: unassigned("svc-first", 10) };
    ends_alike_after_a_death_at(story, &points).await;
}

#[tokio::test]
async fn rejection_is_told_wherever_the_function_died() {
    let story = Story { before: Vec::new(), event: deactivated("not a name", 10) };
    let points = [("PutEvents", 1, Before), ("PutEvents", 1, After)];
    ends_alike_after_a_death_at(story, &points).await;
}

#[tokio::test]
async fn lease_of_a_dead_function_keeps_nobody_waiting_for_longer_than_it_lasts() {
    let mut scenario = begun(&Story { before: on_blue(), event: String::new() }).await;
    scenario.kill_at(&assigned("svc-new", "new", 10), ("CreatePolicyVersion", 1, Before)).await;
    // Another event for the same cluster, in the same batch as the one that comes again.
    let turn = scenario.turn(&[assigned("svc-more", "old", 11)]).await;
    assert_eq!(turn.batch.messages.len(), 2);
    assert!(turn.failed.is_empty(), "{}", scenario.log());
    for name in ["svc-new-sa", "svc-more-sa"] {
        assert!(scenario.association("blue", name).is_some());
    }
    assert!(scenario.news(detail_type::NODE_ROLE_POLICY_CHANGED).len() == 1);
    assert!(scenario.stage.ledger().await.unwrap().iter().all(|item| item.key.sort != "LEASE"));
    assert_eq!(scenario.stage.world().eks.associations(&scene::cluster("blue").unwrap()).len(), 5);
}

#[tokio::test]
async fn new_policy_version_is_told_although_the_function_died_after_it() {
    let mut scenario = begun(&Story { before: on_blue(), event: String::new() }).await;
    scenario.kill_at(&assigned("svc-new", "new", 10), ("CreatePolicyVersion", 1, After)).await;
    scenario.stage.turn().await.unwrap();
    assert_eq!(scenario.news(detail_type::NODE_ROLE_POLICY_CHANGED).len(), 1);
}

#[tokio::test]
async fn removal_is_remembered_as_a_change_of_credentials_although_the_function_died() {
    let mut scenario = begun(&Story { before: on_blue(), event: String::new() }).await;
    let before = changed_at(&scenario).await;
    let call = ("DeletePodIdentityAssociation", 1, After);
    scenario.kill_at(&unassigned("svc-first", 10), call).await;
    scenario.stage.turn().await.unwrap();
    assert!(changed_at(&scenario).await > before);
}

/// When the credentials of svc-first on blue last changed.
async fn changed_at(scenario: &Scenario) -> String {
    let items = scenario.stage.ledger().await.unwrap();
    let mut conditions = items.iter().filter(|item| item.key.sort.starts_with("CONDITION#"));
    conditions.next().unwrap().body["credentialsChangedAt"].as_str().unwrap().to_owned()
}
