//! Trust policies: repaired later, and as IAM's wire has them.

use local::scene;
use pod_identity_core::RoleArn;
use pod_identity_events::detail_type;
use serde_json::{Value, json};

use crate::scenario::{Scenario, assigned};

fn domino(name: &str) -> RoleArn {
    scene::role(&format!("domino/{name}")).unwrap()
}

fn trust(sid: &str, effect: &str, condition: &Value) -> Value {
    json!({
        "Sid": sid,
        "Effect": effect,
        "Principal": { "Service": "pods.eks.amazonaws.com" },
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": condition,
    })
}

fn document(statements: &[Value]) -> String {
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

#[tokio::test]
async fn policy_that_the_blocked_event_carries_is_the_one_that_helps() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let event = assigned("svc-legacy", "untrusted-legacy", 10);
    scenario.deliver(std::slice::from_ref(&event)).await;
    assert_eq!(scenario.association("blue", "svc-legacy-sa"), None);
    let blocked = scenario.news(detail_type::ASSOCIATION_BLOCKED);
    assert_eq!(blocked[0].detail["code"], "untrustedRole");
    assert_eq!(blocked[0].detail["trust"]["verdict"], "untrusted");
    assert!(!scenario.listed("blue").contains("domino/untrusted-legacy"));

    let policy = blocked[0].detail["details"]["trustPolicy"].to_string();
    scenario.stage.world().set_trust(&domino("untrusted-legacy"), &policy);
    scenario.deliver(&[event]).await;
    assert_eq!(scenario.condition("blue", "svc-legacy").await.as_deref(), Some("ready"));
    let ready = scenario.news(detail_type::ASSOCIATION_READY);
    assert_eq!(ready[0].detail["trust"]["verdict"], "trusted");
    assert!(scenario.listed("blue").contains("domino/untrusted-legacy"));
}

#[tokio::test]
async fn trust_policy_is_decoded_once_and_only_once() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let key = "aws:RequestTag/kubernetes-service-account";
    let awkward = json!({ "StringLike": { key: ["a b+c%2Bd&<é>", "svc-%6Eew-sa", "svc-new-sa"] } });
    let denied = json!({ "StringEquals": { key: "svc-%6Eew-sa" } });
    let policy = document(&[
        trust("Allow 100% of + and %2B", "Allow", &awkward),
        // Decoded twice, this would deny it.
        trust("Deny", "Deny", &denied),
    ]);
    scenario.stage.world().set_trust(&domino("new"), &policy);
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    let ready = scenario.news(detail_type::ASSOCIATION_READY);
    let reason = ready[0].detail["trust"]["reason"].as_str().unwrap();
    assert!(reason.contains("`Allow 100% of + and %2B`"), "{reason}");

    let only_other = json!({ "StringEquals": { key: "svc-%6Eew-sa" } });
    let policy = document(&[trust("Almost %6Eew +", "Allow", &only_other)]);
    scenario.stage.world().set_trust(&domino("old"), &policy);
    scenario.deliver(&[assigned("svc-new", "old", 11)]).await;
    let blocked = scenario.news(detail_type::ASSOCIATION_BLOCKED);
    let reason = blocked[0].detail["message"].as_str().unwrap();
    assert!(reason.contains("`Almost %6Eew +`"), "{reason}");
}

#[tokio::test]
async fn role_names_with_awkward_letters_stay_in_the_node_policy() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let awkward = "a+b=c,d.e@f-g_h";
    let plain = document(&[trust("Pods", "Allow", &json!({}))]);
    scenario.stage.world().add_role(&domino(awkward), &plain);
    scenario.deliver(&[assigned("svc-new", awkward, 10)]).await;
    scenario.deliver(&[assigned("svc-more", "old", 11)]).await;
    let listed = scenario.listed("blue");
    for name in [awkward, "old", "report"] {
        assert!(listed.contains(&format!("domino/{name}")), "{listed:?}");
    }
    let found = scenario.association("blue", "svc-new-sa").unwrap();
    assert_eq!(found.role_arn, domino(awkward).to_string());
}

#[tokio::test]
async fn warned_untrusted_role_goes_ahead_once_eks_takes_it() {
    let mut scenario = Scenario::on_blue(&[("TRUST", "warn")]).await;
    let elsewhere = json!({ "StringEquals": {
        "aws:RequestTag/kubernetes-namespace": "elsewhere",
    }});
    let policy = document(&[trust("Elsewhere", "Allow", &elsewhere)]);
    scenario.stage.world().set_trust(&domino("new"), &policy);
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    let ready = scenario.news(detail_type::ASSOCIATION_READY);
    assert_eq!(ready[0].detail["trust"]["verdict"], "untrusted");
    assert!(!ready[0].detail["warnings"].as_array().unwrap().is_empty());
}
