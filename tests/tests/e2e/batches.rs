//! One bad or failing record of a batch fails alone.

use local::wire::{Fault, FaultKind};
use local::{InvocationResult, scene};
use pod_identity_events::{detail_type, samples, source};
use serde_json::json;

use crate::scenario::{Scenario, assigned, event, registered, role};

#[tokio::test]
async fn only_the_failing_record_of_a_mixed_batch_comes_back() {
    let mut scenario = Scenario::on_blue(&[("CALL_ATTEMPTS", "1"), ("CONCURRENCY", "1")]).await;
    // The first association that is made is that of the first name.
    let wire = scenario.stage.wire();
    wire.fault(Fault::new("CreatePodIdentityAssociation", 1, FaultKind::Throttle));
    let rejected = samples::rejected()[0].json.to_owned();
    let bodies = [
        assigned("svc-good", "new", 10),
        "this is no JSON".to_owned(),
        rejected,
        assigned("svc-first", "report", 2),
        assigned("svc-a-bad", "new", 11),
    ];
    let turn = scenario.turn(&bodies).await;
    let failing = &turn.batch.messages[4].id;
    let answer = json!({ "batchItemFailures": [{ "itemIdentifier": failing }] });
    assert_eq!(turn.result.unwrap(), InvocationResult::Answer(answer));
    assert_eq!(scenario.condition("blue", "svc-good").await.as_deref(), Some("ready"));
    assert_eq!(scenario.condition("blue", "svc-a-bad").await.as_deref(), Some("pending"));
    assert_eq!(scenario.news(detail_type::EVENT_REJECTED).len(), 2);

    let again = scenario.stage.turn().await.unwrap();
    assert_eq!(again.batch.messages.len(), 1);
    assert!(again.failed.is_empty());
    assert_eq!(scenario.condition("blue", "svc-a-bad").await.as_deref(), Some("ready"));
    assert_eq!(scenario.news(detail_type::ASSOCIATION_READY).len(), 1, "the other was told");
}

#[tokio::test]
async fn records_of_other_clusters_do_not_fail_with_a_cluster() {
    let mut scenario = Scenario::with(&[("CALL_ATTEMPTS", "1")]).await;
    let green = json!({ "clusterArn": scene::cluster("green").unwrap() });
    let green = event(source::ADMINISTRATION, detail_type::CLUSTER_REGISTERED, green, 1);
    scenario.deliver(&[green, registered("blue", 2)]).await;
    // Only green was registered without its node roles, so only there EKS is asked for them.
    let wire = scenario.stage.wire();
    wire.fault(Fault::new("ListNodegroups", 1, FaultKind::ServerError));
    let on_blue =
        json!({ "serviceAccount": "svc-blue", "roleArn": role("new"), "clusters": ["blue"] });
    let on_blue = event(source::AUTOMATION, detail_type::ROLE_ASSIGNED, on_blue, 3);
    let turn = scenario.turn(&[on_blue, assigned("svc-all", "old", 4)]).await;
    assert_eq!(turn.failed, [turn.batch.messages[1].id.clone()].into());
    assert_eq!(scenario.condition("blue", "svc-blue").await.as_deref(), Some("ready"));
    assert_eq!(scenario.condition("blue", "svc-all").await.as_deref(), Some("ready"));
    assert_eq!(scenario.condition("green", "svc-all").await.as_deref(), Some("pending"));

    let again = scenario.stage.turn().await.unwrap();
    assert!(again.failed.is_empty());
    assert_eq!(scenario.condition("green", "svc-all").await.as_deref(), Some("ready"));
}

#[tokio::test]
async fn denied_call_blocks_and_is_not_delivered_again() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let wire = scenario.stage.wire();
    wire.fault(Fault::new("CreatePodIdentityAssociation", 1, FaultKind::Denied));
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    assert_eq!(scenario.condition("blue", "svc-new").await.as_deref(), Some("blocked"));
    let blocked = scenario.news(detail_type::ASSOCIATION_BLOCKED);
    assert_eq!(blocked.len(), 1);
    assert_eq!(blocked[0].detail["code"], "accessDenied");

    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    assert_eq!(scenario.condition("blue", "svc-new").await.as_deref(), Some("ready"));
}

#[tokio::test]
async fn rejection_that_cannot_be_recorded_is_delivered_again() {
    let mut scenario = Scenario::with(&[("CALL_ATTEMPTS", "1")]).await;
    scenario.stage.wire().fault(Fault::new("PutEvents", 1, FaultKind::ServerError));
    let turn = scenario.turn(&[samples::rejected()[0].json.to_owned()]).await;
    assert_eq!(turn.failed.len(), 1);
    let again = scenario.stage.turn().await.unwrap();
    assert!(again.failed.is_empty());
    assert_eq!(scenario.news(detail_type::EVENT_REJECTED).len(), 1);
}

#[tokio::test]
async fn entries_that_the_bus_refuses_are_sent_again_alone() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.stage.world().bus.refusals.push_back(1);
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    let events = scenario.stage.new_events();
    let types: Vec<&str> = events.iter().map(|event| event.detail_type.as_str()).collect();
    assert_eq!(types, [detail_type::NODE_ROLE_POLICY_CHANGED, detail_type::ASSOCIATION_READY]);
}

#[tokio::test]
async fn record_that_always_fails_ends_as_a_dead_letter_and_stays_visible() {
    let mut scenario = Scenario::on_blue(&[("CALL_ATTEMPTS", "1")]).await;
    for _ in 0..3 {
        let fault = Fault::new("ListPodIdentityAssociations", 1, FaultKind::ServerError);
        scenario.stage.wire().fault(fault);
        if scenario.stage.queue().waiting() == 0 {
            scenario.stage.send(assigned("svc-new", "new", 10));
        }
        assert_eq!(scenario.stage.turn().await.unwrap().failed.len(), 1);
    }
    assert!(scenario.stage.turn().await.is_none());
    assert_eq!(scenario.stage.queue().dead_letters().len(), 1);
    assert_eq!(scenario.condition("blue", "svc-new").await.as_deref(), Some("pending"));
}

#[tokio::test]
async fn event_id_that_is_used_for_another_change_is_refused() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    scenario.deliver(&[assigned("svc-new", "old", 10)]).await;
    assert_eq!(scenario.news(detail_type::EVENT_REJECTED).len(), 1);
    let found = scenario.association("blue", "svc-new-sa").unwrap();
    assert_eq!(found.role_arn, role("new"));
}
