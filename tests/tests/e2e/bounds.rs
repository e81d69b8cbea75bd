//! What a sender fills makes nobody else's event dearer, and has an end.

use pod_identity_events::{detail_type, source};
use serde_json::{Value, json};

use crate::scenario::{Scenario, assigned, event, role, unassigned};

fn shared(name: &str, second: i64) -> String {
    let detail = json!({
        "serviceAccount": name,
        "kubernetes": { "serviceAccount": "shared" },
        "roleArn": role("new"),
    });
    event(source::AUTOMATION, detail_type::ROLE_ASSIGNED, detail, second)
}

/// The operations of an event that claims the account that another holds.
async fn cost_of_next(scenario: &mut Scenario) -> Vec<String> {
    let before = scenario.calls();
    scenario.deliver(&[shared("svc-next", 500)]).await;
    let world = scenario.stage.world();
    world.calls[before..].iter().map(|call| call.operation.clone()).collect()
}

#[tokio::test]
async fn superseded_events_and_claims_make_no_other_event_dearer() {
    let mut quiet = Scenario::on_blue(&[]).await;
    quiet.deliver(&[shared("svc-holder", 400), shared("svc-second", 401)]).await;
    let expected = cost_of_next(&mut quiet).await;

    let mut flooded = Scenario::on_blue(&[]).await;
    flooded.deliver(&[shared("svc-holder", 400)]).await;
    let old = (10..130).map(|second| unassigned("svc-holder", second));
    let claims = (0..40).map(|n| shared(&format!("svc-{n}"), 401 + n));
    let flood: Vec<String> = old.chain(claims).collect();
    for batch in flood.chunks(10) {
        flooded.deliver(batch).await;
    }
    assert_eq!(cost_of_next(&mut flooded).await, expected);
    assert_eq!(flooded.condition("blue", "svc-holder").await.as_deref(), Some("ready"));
    assert_eq!(flooded.condition("blue", "svc-next").await.as_deref(), Some("blocked"));
    // Beyond a hundred a day they are counted, and the bus is told once more.
    assert_eq!(flooded.news(detail_type::EVENT_SUPERSEDED).len(), 101);
}

#[tokio::test]
async fn beyond_the_most_names_a_new_one_is_rejected_and_known_ones_go_on() {
    // One is known already.
    let mut scenario = Scenario::on_blue(&[("MAX_NAMES", "2")]).await;
    scenario.deliver(&[assigned("svc-known", "new", 10)]).await;
    scenario.deliver(&[assigned("svc-one-more", "new", 11)]).await;
    let rejected = scenario.news(detail_type::EVENT_REJECTED);
    let reasons: Vec<&Value> = rejected.iter().map(|one| &one.detail["reasons"]).collect();
    assert!(reasons.len() == 1 && reasons[0].to_string().contains("MAX_NAMES"), "{reasons:?}");
    scenario.deliver(&[unassigned("svc-known", 12)]).await;
    scenario.deliver(&[assigned("svc-known", "old", 13)]).await;
    assert_eq!(scenario.condition("blue", "svc-known").await.as_deref(), Some("ready"));
    assert_eq!(scenario.association("blue", "svc-one-more-sa"), None);
}
