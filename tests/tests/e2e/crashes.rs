//! The function dies in the middle; the message comes again. That every flow
//! ends alike wherever the function died is in the fault table.

use local::scene;
use local::wire::When::{After, Before};
use pod_identity_events::detail_type;

use crate::scenario::{SHORT_LEASE, Scenario, assigned, unassigned};

/// blue is registered and its policy known; leases are soon over.
async fn begun() -> Scenario {
    Scenario::on_blue(SHORT_LEASE).await
}

#[tokio::test]
async fn lease_of_a_dead_function_keeps_nobody_waiting_for_longer_than_it_lasts() {
    let mut scenario = begun().await;
    scenario.kill_at(&assigned("svc-new", "new", 10), ("CreatePolicyVersion", 1, Before)).await;
    // Another event for the same cluster, in the same batch as the one that comes again.
    let turn = scenario.turn(&[assigned("svc-more", "old", 11)]).await;
    assert_eq!(turn.batch.messages.len(), 2);
    assert!(turn.failed.is_empty(), "{}", scenario.log());
    for name in ["svc-new-sa", "svc-more-sa"] {
        assert!(scenario.association("blue", name).is_some());
    }
    assert!(scenario.news(detail_type::NODE_ROLE_POLICY_CHANGED).len() == 1);
    assert!(
        scenario
            .stage
            .ledger()
            .await
            .unwrap()
            .iter()
            .all(|item| item.key.sort != "LEASE" || item.body.get("owner").is_none())
    );
    assert_eq!(scenario.stage.world().eks.associations(&scene::cluster("blue").unwrap()).len(), 5);
}

#[tokio::test]
async fn new_policy_version_is_told_although_the_function_died_after_it() {
    let mut scenario = begun().await;
    scenario.kill_at(&assigned("svc-new", "new", 10), ("CreatePolicyVersion", 1, After)).await;
    scenario.stage.turn().await.unwrap();
    assert_eq!(scenario.news(detail_type::NODE_ROLE_POLICY_CHANGED).len(), 1);
}

#[tokio::test]
async fn removal_is_remembered_as_a_change_of_credentials_although_the_function_died() {
    let mut scenario = begun().await;
    let before = changed_at(&scenario).await;
    let call = ("DeletePodIdentityAssociation", 1, After);
    scenario.kill_at(&unassigned("svc-first", 10), call).await;
    // Until its lease is over for a while, nothing is concluded from an association's absence.
    scenario.stage.expire_leases().await.unwrap();
    scenario.stage.turn().await.unwrap();
    assert!(changed_at(&scenario).await > before);
}

/// When the credentials of svc-first on blue last changed.
async fn changed_at(scenario: &Scenario) -> String {
    let items = scenario.stage.ledger().await.unwrap();
    let mut conditions = items.iter().filter(|item| item.key.sort.starts_with("CONDITION#"));
    conditions.next().unwrap().body["credentialsChangedAt"].as_str().unwrap().to_owned()
}
