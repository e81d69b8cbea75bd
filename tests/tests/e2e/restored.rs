//! The ledger's table is restored to an earlier state, and the cluster goes on by an administrator's word.

use jiff::{SignedDuration, Timestamp};
use local::InvocationResult;
use local::scene;
use pod_identity_events::detail_type;
use serde_json::{Value, json};

use crate::scenario::{Scenario, assigned, somebody, unassigned};

async fn ask(scenario: &Scenario, payload: Value) -> Value {
    let admin = scenario.stage.admin();
    match admin.invoke(payload.to_string()).await.unwrap() {
        InvocationResult::Answer(answer) => answer,
        other => panic!("{payload}: {other:?}\n{}", admin.log().lines().join("\n")),
    }
}

/// Plans, and sends the payload that the plan hands over.
pub(crate) async fn planned_and_done(scenario: &Scenario, payload: Value) -> Value {
    let planned = ask(scenario, payload).await;
    assert!(planned["apply"].is_object(), "{}", planned["text"].as_str().unwrap());
    ask(scenario, planned["apply"].clone()).await
}

pub(crate) async fn reconcile(scenario: &Scenario) -> String {
    let blue = json!({ "clusterArn": scene::cluster("blue").unwrap() });
    match scenario.stage.reconcile().invoke(blue.to_string()).await.unwrap() {
        InvocationResult::Answer(answer) => answer.to_string(),
        other => panic!("{other:?}"),
    }
}

/// A backup that is a day old: what it says was written was written yesterday.
fn aged(mut items: Vec<Value>) -> Vec<Value> {
    for item in &mut items {
        if let Some(at) = item.pointer_mut("/body/M/lastWrite/M/at/S") {
            *at = json!("2026-01-01T00:00:00Z");
        }
    }
    items
}

/// Restores the ledger to before an unassignment and an assignment, replays both, adopts and resumes.
pub(crate) async fn restored_and_resumed() -> Scenario {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[assigned("svc-etl", "etl", 3)]).await;
    let yesterday = aged(scenario.stage.backup_ledger().await.unwrap());
    let since = [unassigned("svc-etl", 4), assigned("svc-new", "new", 5)];
    scenario.deliver(&since).await;
    assert_eq!(scenario.association("blue", "svc-etl-sa"), None);
    let made = scenario.association("blue", "svc-new-sa").unwrap();
    scenario.stage.restore_ledger(&yesterday).await.unwrap();
    let blue = scene::cluster("blue").unwrap();
    scenario.stage.world().age_association(&blue, &made.id, SignedDuration::from_mins(10));

    let answer = reconcile(&scenario).await;
    assert!(answer.contains("the ledger is older than cluster blue"), "{answer}");
    assert_eq!(scenario.association("blue", "svc-etl-sa"), None);
    assert_eq!(scenario.condition("blue", "svc-etl").await.as_deref(), Some("blocked"));
    assert_eq!(scenario.association("blue", "svc-new-sa").unwrap().id, made.id);

    // The archive is replayed, and what was made since becomes known again.
    scenario.deliver(&since).await;
    assert_eq!(scenario.condition("blue", "svc-etl").await.as_deref(), Some("removed"));
    assert_eq!(scenario.condition("blue", "svc-new").await.as_deref(), Some("blocked"));
    let adopt = json!({ "action": "adopt", "cluster": "blue", "orphans": true });
    let adopted = planned_and_done(&scenario, adopt).await;
    assert_eq!(adopted["accepted"], 1, "{adopted:#}");
    let resume = json!({ "action": "resume", "cluster": "blue" });
    let resumed = planned_and_done(&scenario, resume).await;
    assert_eq!(resumed["ok"], true, "{resumed:#}");

    let answer = reconcile(&scenario).await;
    assert!(!answer.contains("halted"), "{answer}");
    assert_eq!(scenario.association("blue", "svc-new-sa").unwrap().id, made.id);
    scenario
}

#[tokio::test]
async fn restored_ledger_gives_nothing_back_and_goes_on_once_orphans_are_adopted() {
    let scenario = restored_and_resumed().await;
    assert_eq!(scenario.condition("blue", "svc-new").await.as_deref(), Some("ready"));
    assert_eq!(scenario.association("blue", "svc-etl-sa"), None);
}

/// More is gone with a cluster that was built again than one run may make again otherwise.
pub(crate) async fn built_again() -> Scenario {
    let mut scenario = Scenario::on_blue(&[("MAX_RECREATIONS", "1")]).await;
    scenario.deliver(&[assigned("svc-etl", "etl", 3), assigned("svc-new", "new", 4)]).await;
    {
        let blue = scene::cluster("blue").unwrap();
        let mut world = scenario.stage.world();
        let made: Vec<String> =
            world.eks.associations(&blue).iter().map(|one| one.id.clone()).collect();
        for id in made {
            world.delete_pod_identity_association(&somebody(), "blue", &id).unwrap();
        }
        world.eks.cluster_mut(&blue).unwrap().created_at = Timestamp::now();
    }
    reconcile(&scenario).await;
    scenario
}

#[tokio::test]
async fn on_a_cluster_that_was_built_again_all_is_made_again() {
    let scenario = built_again().await;
    for name in ["svc-first", "svc-etl", "svc-new"] {
        assert!(scenario.association("blue", &format!("{name}-sa")).is_some(), "{name}");
    }
}

#[tokio::test]
async fn no_date_in_an_event_takes_another_bindings_account() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[assigned("svc-etl", "etl", 3)]).await;
    let mut attack: Value = serde_json::from_str(&assigned("attacker", "new", 4)).unwrap();
    attack["detail"]["kubernetes"] = json!({ "serviceAccount": "svc-etl-sa" });
    attack["detail"]["occurredAt"] = json!("1970-01-01T00:00:00Z");
    scenario.deliver(&[attack.to_string()]).await;
    let there = scenario.association("blue", "svc-etl-sa").unwrap();
    assert!(there.role_arn.ends_with("/etl"), "{there:?}");
    assert_eq!(scenario.condition("blue", "svc-etl").await.as_deref(), Some("ready"));
    let blocked = scenario.news(detail_type::ASSOCIATION_BLOCKED);
    assert_eq!(blocked.last().unwrap().detail["code"], "conflict");
}
