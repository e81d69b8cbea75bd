//! How many calls an event costs, and which clients it needs.

use pod_identity_events::samples;

use crate::scenario::{Scenario, assigned};

#[tokio::test]
async fn new_service_account_costs_ten_calls_and_eight_when_its_role_is_listed() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let before = scenario.calls();
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    let calls = scenario.operations_since(before);
    assert_eq!(calls.len(), 10, "{calls:#?}");

    let before = scenario.calls();
    scenario.deliver(&[assigned("svc-more", "new", 11)]).await;
    let calls = scenario.operations_since(before);
    assert_eq!(calls.len(), 8, "{calls:#?}");
    assert!(!calls.contains(&"CreatePolicyVersion".to_owned()));
}

#[tokio::test]
async fn duplicate_costs_two_calls_none_of_them_to_eks_or_iam() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let before = scenario.calls();
    scenario.deliver(&[assigned("svc-first", "report", 2)]).await;
    let calls = scenario.stage.wire().log().split_off(before);
    assert_eq!(calls.len(), 2, "{calls:#?}");
    assert!(calls.iter().all(|call| call.service == "dynamodb"), "{calls:#?}");
}

#[tokio::test]
async fn rejected_events_need_neither_eks_nor_iam() {
    let mut scenario = Scenario::with(&[]).await;
    let rejected: Vec<String> =
        samples::rejected()[..3].iter().map(|sample| sample.json.to_owned()).collect();
    scenario.deliver(&rejected).await;
    let calls = scenario.stage.wire().log();
    assert!(!calls.is_empty());
    let only = |service: &str| ["dynamodb", "events"].contains(&service);
    assert!(calls.iter().all(|call| only(&call.service)), "{calls:#?}");
    assert_eq!(calls.iter().filter(|call| call.operation == "PutEvents").count(), 1);
}

#[tokio::test]
async fn batch_makes_one_policy_version_and_one_call_for_its_events() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let roles = ["etl", "old", "new", "archive", "warehouse"];
    let events: Vec<String> = (10..)
        .zip(roles)
        .map(|(second, role)| assigned(&format!("svc-{role}"), role, second))
        .collect();
    let before = scenario.calls();
    scenario.deliver(&events).await;
    let calls = scenario.operations_since(before);
    let count = |operation: &str| calls.iter().filter(|call| *call == operation).count();
    assert_eq!(count("CreatePolicyVersion"), 1, "{calls:#?}");
    assert_eq!(count("PutEvents"), 1, "{calls:#?}");
    assert_eq!(count("CreatePodIdentityAssociation"), 4, "one place is somebody else's");
    for role in roles.iter().filter(|role| **role != "warehouse") {
        assert!(scenario.listed("blue").contains(&format!("domino/{role}")), "{role}");
    }
}
