//! A binding changes, ends and begins again.

use pod_identity_events::{detail_type, source};
use serde_json::json;

use crate::scenario::{Scenario, assigned, deactivated, event, role, unassigned};

#[tokio::test]
async fn change_of_role_keeps_the_association_and_lists_both_roles() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    let before = scenario.association("blue", "svc-new-sa").unwrap();
    scenario.stage.new_events();
    scenario.deliver(&[assigned("svc-new", "old", 11)]).await;
    let after = scenario.association("blue", "svc-new-sa").unwrap();
    assert_eq!(after.id, before.id);
    assert_eq!(after.role_arn, role("old"));
    let listed = scenario.listed("blue");
    assert!(listed.contains("domino/new") && listed.contains("domino/old"), "{listed:?}");
    let ready = scenario.news(detail_type::ASSOCIATION_READY);
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0].detail["change"], "updated");
    assert_eq!(ready[0].detail["roleArn"], role("old"));
}

#[tokio::test]
async fn target_role_and_session_policy_come_and_go_in_place() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let with = |extra: serde_json::Value, second| {
        let mut detail = json!({ "serviceAccount": "svc-new", "roleArn": role("new") });
        detail.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        event(source::AUTOMATION, detail_type::ROLE_ASSIGNED, detail, second)
    };
    let target = "arn:aws:iam::444455556666:role/domino-target-x";
    let policy = r#"{"Version":"2012-10-17","Statement":[]}"#;
    scenario.deliver(&[with(json!({ "targetRoleArn": target }), 10)]).await;
    let first = scenario.association("blue", "svc-new-sa").unwrap();
    assert_eq!(first.target_role_arn.as_deref(), Some(target));
    let ready = scenario.news(detail_type::ASSOCIATION_READY);
    assert_eq!(ready[0].detail["externalId"], json!(first.external_id));

    let narrowed = json!({ "disableSessionTags": true, "sessionPolicy": policy });
    scenario.deliver(&[with(narrowed, 11)]).await;
    let second = scenario.association("blue", "svc-new-sa").unwrap();
    assert_eq!(second.id, first.id);
    assert_eq!(second.target_role_arn, None);
    assert_eq!(second.policy.as_deref(), Some(policy));
    assert!(second.disable_session_tags);

    scenario.deliver(&[with(json!({}), 12)]).await;
    let third = scenario.association("blue", "svc-new-sa").unwrap();
    assert_eq!((third.policy, third.disable_session_tags), (None, false));
    assert_eq!(third.id, first.id);
}

#[tokio::test]
async fn role_taken_away_takes_the_association_and_leaves_the_policy() {
    for (removal, reason) in
        [(unassigned("svc-new", 11), "unassigned"), (deactivated("svc-new", 11), "deactivated")]
    {
        let mut scenario = Scenario::on_blue(&[]).await;
        scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
        let id = scenario.association("blue", "svc-new-sa").unwrap().id;
        let (listed, calls) = (scenario.listed("blue"), scenario.calls());
        scenario.stage.new_events();

        scenario.deliver(&[removal]).await;
        assert_eq!(scenario.association("blue", "svc-new-sa"), None);
        assert_eq!(scenario.listed("blue"), listed);
        let calls = scenario.stage.wire().log().split_off(calls);
        assert!(calls.iter().all(|call| call.service != "iam"), "{calls:#?}");
        let events = scenario.stage.new_events();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].detail_type, detail_type::ASSOCIATION_REMOVED);
        assert_eq!(events[0].detail["reason"], reason);
        assert_eq!(events[0].detail["associationId"], id);

        // An older assignment that comes late brings nothing back, a newer one does.
        scenario.deliver(&[assigned("svc-new", "new", 9)]).await;
        assert_eq!(scenario.association("blue", "svc-new-sa"), None);
        scenario.deliver(&[assigned("svc-new", "new", 12)]).await;
        assert!(scenario.association("blue", "svc-new-sa").is_some());
    }
}

#[tokio::test]
async fn association_deleted_by_hand_is_made_again_by_a_newer_event() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    let id = scenario.association("blue", "svc-new-sa").unwrap().id;
    scenario
        .stage
        .world()
        .delete_pod_identity_association(&crate::scenario::somebody(), "blue", &id)
        .unwrap();
    scenario.deliver(&[assigned("svc-new", "new", 11)]).await;
    let again = scenario.association("blue", "svc-new-sa").unwrap();
    assert_ne!(again.id, id, "a token of the first one must not bring back its ghost");
}

#[tokio::test]
async fn kubernetes_account_that_a_binding_leaves_loses_its_association() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    scenario.stage.new_events();
    let detail = json!({
        "serviceAccount": "svc-new",
        "roleArn": role("new"),
        "kubernetes": { "serviceAccount": "elsewhere" },
    });
    scenario.deliver(&[event(source::AUTOMATION, detail_type::ROLE_ASSIGNED, detail, 11)]).await;
    assert_eq!(scenario.association("blue", "svc-new-sa"), None);
    assert!(scenario.association("blue", "elsewhere").is_some());
    let removed = scenario.news(detail_type::ASSOCIATION_REMOVED);
    assert_eq!(removed[0].detail["reason"], "moved");
}

#[tokio::test]
async fn any_order_of_the_same_events_ends_in_the_same_state() {
    let events = [
        assigned("svc-new", "new", 10),
        assigned("svc-new", "old", 11),
        unassigned("svc-new", 12),
        assigned("svc-new", "archive", 13),
    ];
    let mut states = Vec::new();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let mut scenario = Scenario::on_blue(&[]).await;
        for at in order {
            scenario.deliver(std::slice::from_ref(&events[at])).await;
        }
        let mut state = scenario.state().await;
        // A role that was in use for a moment stays listed until reconcile trims it.
        state.as_object_mut().unwrap().remove("policies");
        states.push(state);
    }
    assert_eq!(states[0], states[1]);
    assert_eq!(states[0], states[2]);
}
