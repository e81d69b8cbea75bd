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
