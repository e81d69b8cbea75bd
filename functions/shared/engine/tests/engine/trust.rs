//! What the role's own trust policy, or its absence, means for a binding.

use jiff::SignedDuration;
use pod_identity_core::plan::TrustMode;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_engine::{Outcome, process};
use pod_identity_events::{BlockedCode, TrustVerdict};
use pod_identity_world::{Caller, PortFault, When};
use serde_json::json;

use crate::check::settled;
use crate::scenario::{ACCOUNT, Scenario, TRUSTED, UNTRUSTED, drive, records, role};

#[test]
fn an_untrusted_role_is_blocked_with_the_exact_policy_until_it_is_repaired() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "untrusted");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    assert!(scenario.associations("blue").is_empty());
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::UntrustedRole));
    let blocked = scenario.outcomes("Pod Identity Association Blocked");
    assert_eq!(blocked.len(), 1);
    assert_eq!(blocked[0]["code"], "untrustedRole");
    assert_eq!(blocked[0]["trust"]["verdict"], "untrusted");
    let expected: serde_json::Value = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "pods.eks.amazonaws.com" },
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        }],
    });
    let policy = &blocked[0]["details"]["trustPolicy"];
    assert_eq!(policy["Version"], expected["Version"]);
    for field in ["Effect", "Principal", "Action"] {
        assert_eq!(policy["Statement"][0][field], expected["Statement"][0][field], "{policy}");
    }
    settled(&mut scenario);

    // The policy that was handed out is the one that helps.
    scenario.ports.world().set_trust(&role("untrusted"), &policy.to_string());
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(scenario.associations("blue").len(), 1);
    let condition = scenario.condition("svc-etl", "blue").unwrap();
    assert_eq!(condition.trust.unwrap().verdict, TrustVerdict::Trusted);
    assert_eq!(scenario.outcomes("Pod Identity Association Ready").len(), 1);
    settled(&mut scenario);
}

#[test]
fn a_role_change_to_an_untrusted_role_keeps_what_is_there() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events = [scenario.assigned("svc-etl", "etl"), scenario.assigned("svc-etl", "untrusted")];
    scenario.send(&events[0]);
    Scenario::assert_outcome(&scenario.send(&events[1]), Outcome::Blocked);
    assert_eq!(scenario.associations("blue")[0].1, "etl");
    settled(&mut scenario);
}

#[test]
fn warn_mode_lets_an_untrusted_role_go_ahead_with_a_warning() {
    let mut scenario = Scenario::new();
    scenario.settings.plan.trust = TrustMode::Warn;
    scenario.ports.world().settings.checks_trust = false;
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "untrusted");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    let ready = scenario.outcomes("Pod Identity Association Ready");
    assert_eq!(ready[0]["trust"]["verdict"], "untrusted");
    assert!(ready[0]["warnings"][0].as_str().unwrap().contains("does not trust"));
    settled(&mut scenario);
}

#[test]
fn a_role_that_eks_refuses_is_blocked_as_untrusted() {
    let mut scenario = Scenario::new();
    scenario.settings.plan.trust = TrustMode::Warn;
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "untrusted");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::RefusedRole));
    assert_eq!(scenario.outcomes("Pod Identity Association Blocked").len(), 1);
    assert!(scenario.outcomes("Pod Identity Association Ready").is_empty());
}

#[test]
fn a_role_that_may_not_be_read_goes_ahead_with_an_unknown_verdict() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    scenario.ports.fault(PortFault::nth("GetRole", 1, When::Before, ErrorKind::Denied));
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    let condition = scenario.condition("svc-etl", "blue").unwrap();
    assert_eq!(condition.trust.unwrap().verdict, TrustVerdict::Unknown);
    assert_eq!(condition.warnings.len(), 1);
    let ready = scenario.outcomes("Pod Identity Association Ready");
    assert_eq!(ready[0]["trust"]["verdict"], "unknown");
    assert_eq!(scenario.associations("blue").len(), 1);
    settled(&mut scenario);
}

#[test]
fn a_missing_role_is_blocked_until_it_is_made() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "to-come");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::RoleNotFound));
    assert!(scenario.associations("blue").is_empty());
    settled(&mut scenario);
    scenario.ports.world().add_role(&role("to-come"), TRUSTED);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    settled(&mut scenario);
}

#[test]
fn a_role_of_the_same_name_under_another_path_is_a_missing_role() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let arn = "arn:aws:iam::111122223333:role/domino/deeper/etl";
    let event = scenario.assigned_with("svc-etl", "etl", json!({ "roleArn": arn }));
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::RoleNotFound));
    settled(&mut scenario);
}

fn iam() -> Caller {
    let (name, region) = ("owner".to_owned(), "eu-west-1".to_owned());
    Caller { name, account: ACCOUNT.to_owned(), region }
}

#[test]
fn a_role_that_was_made_just_now_is_asked_for_again_within_the_invocation() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    {
        let mut world = scenario.ports.world();
        world.settings.visible_after = SignedDuration::from_secs(12);
        world.create_role(&iam(), "fresh", "/domino/", TRUSTED).unwrap();
        world.settings.visible_after = SignedDuration::ZERO;
    }
    let began = scenario.now();
    let event = scenario.assigned("svc-etl", "fresh");
    Scenario::assert_outcome(&scenario.deliver(&event, 1), Outcome::Applied);
    // Seen with the second of three pauses.
    let took = scenario.now().duration_since(began);
    assert!(
        took >= SignedDuration::from_secs(15) && took < SignedDuration::from_secs(20),
        "{took}"
    );
    assert_eq!(scenario.associations("blue")[0].1, "fresh");
    assert!(scenario.outcomes("Pod Identity Association Blocked").is_empty());
    settled(&mut scenario);
}

#[test]
fn a_role_that_does_not_exist_comes_back_once_and_then_blocks_and_delays_nothing_else() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "absent");
    let began = scenario.now();
    Scenario::assert_outcome(&scenario.deliver(&event, 1), Outcome::Failed);
    assert_eq!(scenario.now().duration_since(began), SignedDuration::from_secs(30));
    assert!(scenario.outcomes("Pod Identity Association Blocked").is_empty());
    let began = scenario.now();
    Scenario::assert_outcome(&scenario.deliver(&event, 2), Outcome::Blocked);
    assert_eq!(scenario.now(), began);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::RoleNotFound));
    assert_eq!(scenario.outcomes("Pod Identity Association Blocked").len(), 1);
    // Where nothing delivers it again, it blocks at once.
    let other = scenario.assigned("svc-train", "absent");
    Scenario::assert_outcome(&scenario.send(&other), Outcome::Blocked);
    settled(&mut scenario);
}

#[test]
fn a_trust_policy_that_eks_does_not_see_yet_is_waited_for_and_then_said_to_be_right() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    scenario.ports.world().settings.eks_sees_roles_after = SignedDuration::from_secs(14);
    scenario.ports.world().set_trust(&role("untrusted"), TRUSTED);
    let event = scenario.assigned("svc-etl", "untrusted");
    Scenario::assert_outcome(&scenario.deliver(&event, 1), Outcome::Applied);
    assert_eq!(scenario.associations("blue")[0].1, "untrusted");

    scenario.ports.world().set_trust(&role("train"), UNTRUSTED);
    scenario.advance(60);
    scenario.ports.world().set_trust(&role("train"), TRUSTED);
    let event = scenario.assigned("svc-train", "train");
    Scenario::assert_outcome(&scenario.deliver(&event, 2), Outcome::Blocked);
    let published = scenario.outcomes("Pod Identity Association Blocked");
    assert_eq!(published[0]["code"], "refusedRole");
    assert!(
        published[0]["remediation"].as_str().unwrap().contains("reads as trusted by now"),
        "{published:?}"
    );
    scenario.advance(60);
    Scenario::assert_outcome(&scenario.deliver(&event, 3), Outcome::Applied);
}

#[test]
fn who_waits_for_iam_keeps_the_others_of_a_batch_from_nothing() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events = [scenario.assigned("svc-etl", "etl"), scenario.assigned("svc-lost", "absent")];
    let mut records = records(&events.map(|event| event.to_string()));
    records.iter_mut().for_each(|record| record.deliveries = 1);
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let ports = &scenario.ports;
    let (began, mut made) = (scenario.now(), None);
    let done = drive(
        process(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &records),
        || {
            let world = ports.world();
            let ready = world.bus.events.iter().any(|event| event.detail_type.ends_with("Ready"));
            made = made.or(ready.then_some(world.now));
        },
    );
    assert_eq!(made, Some(began), "before anything is waited for");
    let outcomes: Vec<Outcome> = done.records.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Applied, Outcome::Failed]);
}
