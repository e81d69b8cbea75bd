//! Calls that break or wait on demand.

use std::time::Duration;

use local::wire::{Fault, FaultKind, When};

use crate::{blue, create, eks, wire};

#[tokio::test]
async fn sdk_gets_over_every_fault_and_the_token_makes_one_association() {
    let kinds = [
        FaultKind::Throttle,
        FaultKind::ServerError,
        FaultKind::Timeout,
        FaultKind::TimeoutAfter,
        FaultKind::ResetBefore,
        FaultKind::ResetAfter,
    ];
    for kind in kinds {
        let wire = wire().await;
        let eks = eks(&wire, 2).await;
        wire.fault(Fault::new("CreatePodIdentityAssociation", 1, kind));
        create(&eks, "svc").await.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        assert_eq!(wire.world().eks.associations(&blue()).len(), 1, "{kind:?}");
        assert_eq!(wire.world().count("CreatePodIdentityAssociation"), 2, "{kind:?}");
    }
}

#[tokio::test]
async fn lasting_fault_breaks_every_attempt_at_its_call_and_no_other_call() {
    let wire = wire().await;
    let eks = eks(&wire, 2).await;
    let operation = "CreatePodIdentityAssociation";
    wire.fault(Fault::lasting(operation, 2, FaultKind::ServerError));
    create(&eks, "first").await.unwrap();
    assert_eq!(wire.waiting_faults(), 1);
    assert!(create(&eks, "second").await.is_err());
    assert_eq!((wire.waiting_faults(), wire.world().count(operation)), (0, 1 + 3));
    create(&eks, "third").await.unwrap();
    assert_eq!(wire.world().count(operation), 1 + 3 + 1);
}

#[tokio::test]
async fn what_was_saved_comes_back_on_any_wire() {
    let wire = wire().await;
    wire.create_ledger_table("eu-west-1", "ledger").await.unwrap();
    create(&eks(&wire, 0).await, "first").await.unwrap();
    let saved = wire.save("eu-west-1").await;
    let other = crate::wire().await;
    other.fault(Fault::new("CreatePodIdentityAssociation", 1, FaultKind::Denied));
    for wire in [&wire, &other] {
        let eks = eks(wire, 0).await;
        let _ = create(&eks, "second").await;
        wire.restore(&saved).await.unwrap();
        assert_eq!(wire.world().eks.associations(&blue()).len(), 1);
        assert_eq!(wire.waiting_faults(), 0);
        assert!(wire.create_ledger_table("eu-west-1", "ledger").await.is_err(), "it is there");
        create(&eks, "third").await.unwrap();
    }
}

#[tokio::test]
async fn held_call_has_its_effect_only_once_released() {
    let wire = wire().await;
    let eks = eks(&wire, 0).await;
    let mut held = wire.hold("CreatePodIdentityAssociation", 1, When::Before);
    let call = tokio::spawn({
        let eks = eks.clone();
        async move { create(&eks, "svc").await }
    });
    assert!(held.arrived().await);
    assert!(wire.world().eks.associations(&blue()).is_empty());
    held.release();
    call.await.unwrap().unwrap();

    let mut held = wire.hold("CreatePodIdentityAssociation", 1, When::Before);
    let (lost, ()) = tokio::join!(create(&eks, "other"), async {
        assert!(held.arrived().await);
        drop(held);
    });
    assert!(lost.is_err());
    assert_eq!(wire.world().eks.associations(&blue()).len(), 1);

    let mut held = wire.hold("CreatePodIdentityAssociation", 1, When::After);
    let (lost, ()) = tokio::join!(create(&eks, "third"), async {
        assert!(held.arrived().await);
        drop(held);
    });
    assert!(lost.is_err());
    assert_eq!(wire.world().eks.associations(&blue()).len(), 2);
}

#[tokio::test]
async fn caller_that_dies_while_held_leaves_no_effect() {
    let wire = wire().await;
    let eks = eks(&wire, 0).await;
    let mut held = wire.hold("CreatePodIdentityAssociation", 1, When::Before);
    let call = tokio::spawn(async move { create(&eks, "svc").await });
    assert!(held.arrived().await);
    call.abort();
    assert!(call.await.is_err());
    tokio::time::sleep(Duration::from_millis(50)).await;
    held.release();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(wire.world().eks.associations(&blue()).is_empty());
}
