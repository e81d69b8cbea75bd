//! The reconcile function: requests, schedules, changes by hand, plans.

use local::{InvocationResult, scene};
use pod_identity_events::{detail_type, samples, source};
use pod_identity_world::{Caller, UpdateAssociation};
use serde_json::{Value, json};

use crate::scenario::{Scenario, assigned, event, registered};

const ADMIN: &str = "arn:aws:sts::111122223333:assumed-role/platform-admin/jo.meier";

/// A call of EKS as EventBridge delivers it.
fn trail(name: &str) -> Value {
    let sample = samples::trail().iter().find(|sample| sample.name == name).unwrap();
    serde_json::from_str(sample.json).unwrap()
}

async fn ask(scenario: &Scenario, payload: Value) -> Value {
    match scenario.stage.reconcile().invoke(payload.to_string()).await.unwrap() {
        InvocationResult::Answer(answer) => answer,
        other => panic!("{other:?}\n{}", scenario.stage.reconcile().log().lines().join("\n")),
    }
}

fn blue() -> String {
    scene::cluster("blue").unwrap().to_string()
}

/// Gives the association of svc-first on blue another role, and answers the role before.
fn change_by_hand(scenario: &Scenario) -> String {
    let found = scenario.association("blue", "svc-first-sa").unwrap();
    let hand = Caller {
        name: "by-hand".to_owned(),
        account: "111122223333".to_owned(),
        region: "eu-west-1".to_owned(),
    };
    let update = UpdateAssociation {
        cluster: "blue".to_owned(),
        association_id: found.id,
        role_arn: Some("arn:aws:iam::111122223333:role/domino/new".to_owned()),
        ..UpdateAssociation::default()
    };
    scenario.stage.world().update_pod_identity_association(&hand, &update).unwrap();
    found.role_arn
}

#[tokio::test]
async fn a_request_in_a_batch_makes_bindings_true_that_came_before_their_cluster() {
    let mut scenario = Scenario::with(&[]).await;
    scenario.deliver(&[assigned("svc-early", "new", 1)]).await;
    scenario.deliver(&[registered("blue", 2)]).await;
    assert!(scenario.association("blue", "svc-early-sa").is_none());
    let asked = scenario.news(detail_type::RECONCILIATION_REQUESTED).remove(0);
    let body = serde_json::to_string(&asked).unwrap();
    let batch = json!({ "Records": [
        { "messageId": "m-1", "body": body, "attributes": {}, "messageAttributes": {} },
        { "messageId": "m-2", "body": "no request", "attributes": {}, "messageAttributes": {} },
    ]});
    assert_eq!(ask(&scenario, batch).await, json!({ "batchItemFailures": [] }));
    assert!(scenario.association("blue", "svc-early-sa").is_some());
    assert_eq!(scenario.condition("blue", "svc-early").await.as_deref(), Some("ready"));
    let log = scenario.stage.wire().log();
    let made = log.iter().find(|call| call.operation == "CreatePodIdentityAssociation").unwrap();
    assert!(made.caller.contains("RECONCILE"), "{made:?}");
}

#[tokio::test]
async fn a_schedule_asks_for_every_cluster_by_an_event_of_its_own() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[registered("green", 3)]).await;
    scenario.stage.new_events();
    let schedule =
        json!({ "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} });
    assert_eq!(ask(&scenario, schedule).await["text"], "asked for 2 clusters");
    let asked = scenario.news(detail_type::RECONCILIATION_REQUESTED);
    let clusters: Vec<&Value> = asked.iter().map(|event| &event.detail["clusterArn"]).collect();
    let green = scene::cluster("green").unwrap().to_string();
    assert_eq!(clusters, [&json!(blue()), &json!(green)]);
}

#[tokio::test]
async fn a_call_by_hand_is_put_back_within_one_delivery_and_the_event_names_the_caller() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let role = change_by_hand(&scenario);
    let mut trail = trail("update");
    trail["detail"]["responseElements"]["association"]["serviceAccount"] = json!("svc-first-sa");
    let said = ask(&scenario, trail).await;
    assert!(said["text"].as_str().unwrap().contains("looked at 1 places"), "{said}");
    assert_eq!(scenario.association("blue", "svc-first-sa").unwrap().role_arn, role);
    let corrected = scenario.news(detail_type::DRIFT_CORRECTED);
    assert_eq!(corrected.len(), 1);
    let found = corrected[0].detail["found"].as_str().unwrap();
    assert!(found.contains("other role") && found.contains(ADMIN), "{found}");
}

#[tokio::test]
async fn in_plan_mode_drift_is_told_in_the_answer_and_nothing_is_written() {
    let mut scenario = Scenario::on_blue(&[("RECONCILE", "plan")]).await;
    let role = change_by_hand(&scenario);
    let from = scenario.calls();
    let said = ask(&scenario, json!({ "clusterArn": blue() })).await;
    let plan = said["plans"][0]["text"].as_str().unwrap();
    assert!(plan.contains("~ association domino-compute/svc-first-sa"), "{plan}");
    assert_ne!(scenario.association("blue", "svc-first-sa").unwrap().role_arn, role);
    let writes = |operation: &String| {
        ["Create", "Update", "Delete", "Put", "Transact", "Tag", "Attach"]
            .iter()
            .any(|verb| operation.starts_with(verb))
    };
    let operations = scenario.operations_since(from);
    assert!(!operations.iter().any(writes), "{operations:?}");
    assert!(scenario.stage.new_events().is_empty());
}

#[tokio::test]
async fn a_death_at_any_call_that_writes_is_made_good_by_the_next_request() {
    for operation in ["UpdatePodIdentityAssociation", "TransactWriteItems", "PutEvents"] {
        for when in [local::wire::When::Before, local::wire::When::After] {
            let scenario = Scenario::on_blue(crate::scenario::SHORT_LEASE).await;
            let role = change_by_hand(&scenario);
            let request = json!({ "clusterArn": blue() }).to_string();
            let function = scenario.stage.reconcile();
            scenario.outlive_death_at(function, &request, (operation, when)).await;
            assert_eq!(scenario.association("blue", "svc-first-sa").unwrap().role_arn, role);
        }
    }
}

#[tokio::test]
async fn every_call_that_cloudtrail_saw_is_taken_and_only_others_are_looked_at() {
    let own = ("OWN_ROLES", "arn:aws:iam::111122223333:role/domino-pod-identity-*");
    let scenario = Scenario::on_blue(&[own]).await;
    // Nobody is bound at the samples' place; the whole cluster has three.
    for (name, what) in [
        ("create", "looked at 0 places"),
        ("update", "looked at 0 places"),
        ("delete", "looked at 0 places"),
        ("tag", "looked at 3 places"),
        ("untag", "looked at 3 places"),
        ("denied", "failed with AccessDenied"),
        ("own", "this deployment's own"),
    ] {
        let said = ask(&scenario, trail(name)).await;
        assert!(said["text"].as_str().unwrap().contains(what), "{name}: {said}");
    }
}

#[tokio::test]
async fn a_retired_cluster_is_emptied_once_everybody_works_elsewhere() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let retired = |exemptions: Value, second| {
        let detail = json!({ "clusterArn": blue(), "exemptServiceAccounts": exemptions });
        event(source::ADMINISTRATION, detail_type::CLUSTER_RETIRED, detail, second)
    };
    scenario.deliver(&[retired(json!([]), 10)]).await;
    let request = json!({ "clusterArn": blue() });
    let said = ask(&scenario, request.clone()).await;
    assert!(said["text"].as_str().unwrap().contains("held up by"), "{said}");
    assert!(scenario.association("blue", "svc-first-sa").is_some());
    scenario.deliver(&[retired(json!(["svc-first"]), 11)]).await;
    let plan = ask(&scenario, json!({ "clusterArn": blue(), "planOnly": true })).await;
    assert!(plan["plans"][0]["text"].as_str().unwrap().contains("- association"), "{plan}");
    let said = ask(&scenario, request.clone()).await;
    assert!(said["text"].as_str().unwrap().contains("delete those, or the cluster"), "{said}");
    assert!(scenario.association("blue", "svc-first-sa").is_none());
    assert_eq!(scenario.condition("blue", "svc-first").await.as_deref(), Some("removed"));
    let removed = scenario.news(detail_type::ASSOCIATION_REMOVED);
    assert_eq!(removed[0].detail["reason"], "clusterRetired");
    // With the cluster go the associations of others, and then the node policies.
    scenario.stage.world().remove_cluster(&scene::cluster("blue").unwrap());
    let said = ask(&scenario, request).await;
    assert!(said["text"].as_str().unwrap().contains("has left the registry"), "{said}");
    assert_eq!(scenario.stage.world().iam.policy_arns().count(), 0);
}
