//! The wire breaks, and the SDK's retries get over it within one invocation.

use local::wire::{Fault, FaultKind};
use pod_identity_events::detail_type;

use crate::scenario::{Changes, Scenario, assigned, registered, role, unassigned};

const SETTINGS: Changes<'static> = &[("CALL_TIMEOUT_MS", "500"), ("LEASE_SECONDS", "10")];

/// Breaks the first call of each operation.
fn break_each(scenario: &Scenario, operations: &[&str], kind: FaultKind) {
    for operation in operations {
        scenario.stage.wire().fault(Fault::new(operation, 1, kind));
    }
}

async fn gets_over(kind: FaultKind) {
    let mut scenario = Scenario::with(SETTINGS).await;
    scenario.deliver(&[registered("blue", 1)]).await;
    let first = [
        "BatchGetItem",
        "TransactWriteItems",
        "ListPodIdentityAssociations",
        "DescribePodIdentityAssociation",
        "GetRole",
        "GetPolicy",
        "ListAttachedRolePolicies",
        "CreatePolicy",
        "AttachRolePolicy",
        "CreatePodIdentityAssociation",
        "PutEvents",
    ];
    break_each(&scenario, &first, kind);
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    assert_eq!(scenario.condition("blue", "svc-new").await.as_deref(), Some("ready"));
    assert!(scenario.listed("blue").contains("domino/new"));
    let id = scenario.association("blue", "svc-new-sa").unwrap().id;

    let second = ["Query", "GetPolicyVersion", "CreatePolicyVersion"];
    break_each(&scenario, &second, kind);
    break_each(&scenario, &["UpdatePodIdentityAssociation", "TransactWriteItems"], kind);
    scenario.deliver(&[assigned("svc-new", "old", 11)]).await;
    let changed = scenario.association("blue", "svc-new-sa").unwrap();
    assert_eq!((changed.id, changed.role_arn), (id, role("old")));
    assert!(scenario.listed("blue").contains("domino/old"));

    break_each(&scenario, &["DeletePodIdentityAssociation", "PutEvents"], kind);
    scenario.deliver(&[unassigned("svc-new", 12)]).await;
    assert_eq!(scenario.association("blue", "svc-new-sa"), None);
    assert_eq!(scenario.condition("blue", "svc-new").await.as_deref(), Some("removed"));
    assert!(!scenario.news(detail_type::ASSOCIATION_REMOVED).is_empty());

    let world = scenario.stage.world();
    let failed = world.calls.iter().filter(|call| call.status != 200).count();
    assert!(failed >= first.len() + second.len() + 4, "every fault has struck: {failed}");
    assert_eq!(world.iam.policy_arns().count(), 1);
    let ours = |one: &&pod_identity_core::Association| !one.tags.is_empty();
    let blue = local::scene::cluster("blue").unwrap();
    assert_eq!(world.eks.associations(&blue).into_iter().filter(ours).count(), 0);
}

#[tokio::test]
async fn throttled_calls_are_repeated() {
    gets_over(FaultKind::Throttle).await;
}

#[tokio::test]
async fn server_errors_are_repeated() {
    gets_over(FaultKind::ServerError).await;
}

#[tokio::test]
async fn connections_reset_before_the_effect_are_repeated() {
    gets_over(FaultKind::ResetBefore).await;
}

#[tokio::test]
async fn connections_reset_after_the_effect_double_nothing() {
    gets_over(FaultKind::ResetAfter).await;
}

#[tokio::test]
async fn answers_that_never_come_are_given_up_and_double_nothing() {
    let mut scenario = Scenario::on_blue(SETTINGS).await;
    let operations = ["TransactWriteItems", "CreatePolicyVersion", "CreatePodIdentityAssociation"];
    break_each(&scenario, &operations, FaultKind::TimeoutAfter);
    break_each(&scenario, &["GetRole", "PutEvents"], FaultKind::Timeout);
    scenario.deliver(&[assigned("svc-new", "new", 10)]).await;
    assert_eq!(scenario.condition("blue", "svc-new").await.as_deref(), Some("ready"));
    assert_eq!(scenario.news(detail_type::ASSOCIATION_READY).len(), 1);
}
