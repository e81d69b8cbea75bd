#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use pod_identity_core::{Desired, ServiceAccountRef};
use pod_identity_engine::ports::{
    AssociationFilter, AssociationUpdate, Bus, BusEntry, Clock, ClusterReader, EksReader,
    EksWriter, ErrorKind, IamReader, IamWriter, NewAssociation, NewPolicy,
};

use super::*;
use crate::fixture::{TRUST, blue, role, world};

fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

fn ports() -> WorldPorts {
    WorldPorts::new(Arc::new(Mutex::new(world())), "association")
}

fn access() -> ClusterAccess {
    ClusterAccess { cluster: blue(), assume_role: None }
}

fn desired(target: Option<&str>) -> Desired {
    Desired {
        role: role("etl"),
        target_role: target.map(|arn| arn.parse().unwrap()),
        disable_session_tags: false,
        session_policy: None,
    }
}

fn new(service_account: &str) -> NewAssociation {
    NewAssociation {
        kubernetes: ServiceAccountRef::new("domino-compute", service_account).unwrap(),
        desired: desired(Some("arn:aws:iam::444455556666:role/far")),
        tags: std::collections::BTreeMap::new(),
        client_token: format!("token-{service_account}"),
    }
}

#[test]
fn association_lives_its_life_through_the_ports() {
    let ports = ports();
    let made = wait(ports.create_association(&access(), &new("a"))).unwrap();
    assert!(made.external_id.is_some());
    let update = AssociationUpdate {
        id: made.id.clone(),
        kubernetes: new("a").kubernetes,
        desired: desired(None),
        client_token: "u".to_owned(),
    };
    let changed = wait(ports.update_association(&access(), &update)).unwrap();
    assert_eq!(changed.target_role_arn, None);
    let page = wait(ports.associations(&access(), &AssociationFilter::default(), None)).unwrap();
    assert_eq!(page.items.len(), 1);
    wait(ports.delete_association(&access(), &made.id)).unwrap();
    wait(ports.delete_association(&access(), &made.id)).unwrap();
    assert_eq!(wait(ports.association(&access(), &made.id)).unwrap(), None);
    let gone = wait(ports.update_association(&access(), &update)).unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
    assert_eq!(
        gone.to_string(),
        "failed to update association for domino-compute/a in cluster blue"
    );
    assert_eq!(ports.world().count("DeletePodIdentityAssociation"), 2);
}

#[test]
fn trust_policy_is_decoded() {
    let found = wait(ports().role(&access(), &role("etl"))).unwrap().unwrap();
    assert_eq!(found.trust_policy, TRUST);
}

#[test]
fn fault_after_the_effect_leaves_the_effect() {
    let ports = ports();
    let operation = "CreatePodIdentityAssociation";
    ports.fault(PortFault::nth(operation, 2, When::After, ErrorKind::Passing));
    ports.fault(PortFault::nth(operation, 3, When::Before, ErrorKind::Denied));
    assert!(wait(ports.create_association(&access(), &new("a"))).is_ok());
    let second = wait(ports.create_association(&access(), &new("b"))).unwrap_err();
    assert_eq!(second.kind, ErrorKind::Passing);
    let third = wait(ports.create_association(&access(), &new("c"))).unwrap_err();
    assert_eq!(third.kind, ErrorKind::Denied);
    assert!(ports.world().eks.find(&blue(), "domino-compute", "b").is_some());
    assert!(ports.world().eks.find(&blue(), "domino-compute", "c").is_none());
    // The token makes the repetition harmless.
    assert!(wait(ports.create_association(&access(), &new("b"))).is_ok());
}

#[test]
fn dead_caller_has_no_later_effect() {
    let ports = ports();
    ports.fault(PortFault::dead_from(2, When::After));
    assert!(wait(ports.create_association(&access(), &new("a"))).is_ok());
    assert!(wait(ports.create_association(&access(), &new("b"))).is_err());
    assert!(wait(ports.create_association(&access(), &new("c"))).is_err());
    assert_eq!(ports.world().eks.associations(&blue()).len(), 2);
    ports.clear_faults();
    assert!(wait(ports.create_association(&access(), &new("c"))).is_ok());
}

#[test]
fn time_moves_only_when_somebody_sleeps() {
    let ports = ports();
    let before = ports.now();
    let entry = BusEntry { detail_type: "t".to_owned(), detail: "{}".to_owned() };
    assert!(wait(ports.put(&[entry])).unwrap()[0].is_ok());
    assert_eq!(ports.now(), before);
    wait(ports.sleep(Duration::from_secs(9)));
    assert_eq!(ports.now().as_second(), before.as_second() + 9);
}

#[test]
fn cluster_of_another_account_is_reached_through_its_role_only() {
    let ports = ports();
    let far: pod_identity_core::ClusterArn =
        "arn:aws:eks:eu-west-1:444455556666:cluster/far".parse().unwrap();
    ports.world().add_cluster(&far, &[]);
    let mut access = ClusterAccess { cluster: far, assume_role: None };
    let denied = wait(ports.node_groups(&access, None)).unwrap_err();
    assert_eq!(denied.kind, ErrorKind::NotFound);
    access.assume_role = Some("arn:aws:iam::444455556666:role/hands".parse().unwrap());
    assert!(wait(ports.node_groups(&access, None)).is_ok());
}

#[test]
fn a_cluster_that_nobody_made_is_not_described() {
    let ports = ports();
    let found = wait(ports.cluster(&access())).unwrap().unwrap();
    assert_eq!((found.status.as_str(), found.endpoint.is_some()), ("ACTIVE", true));
    let mauve = "arn:aws:eks:eu-west-1:111122223333:cluster/mauve".parse().unwrap();
    let nowhere = ClusterAccess { cluster: mauve, assume_role: None };
    assert_eq!(wait(ports.cluster(&nowhere)).unwrap(), None);
    let addon = |name: &str| wait(ports.addon(&access(), name)).unwrap();
    assert_eq!(addon("eks-pod-identity-agent").as_deref(), Some("ACTIVE"));
    assert_eq!(addon("vpc-cni"), None);
}

#[test]
fn a_policy_goes_once_it_is_detached_and_has_one_version_and_is_gone_again_without_error() {
    let ports = ports();
    let (access, nodes) = (access(), role("blue-eks-nodes"));
    let arn: pod_identity_core::PolicyArn =
        "arn:aws:iam::111122223333:policy/domino-pod-identity/p".parse().unwrap();
    let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"a:B","Resource":"*"}]}"#;
    let new = NewPolicy {
        arn: arn.clone(),
        description: String::new(),
        document: document.to_owned(),
        tags: std::collections::BTreeMap::new(),
    };
    wait(ports.create_policy(&access, &new)).unwrap();
    wait(ports.attach_policy(&access, &nodes, &arn)).unwrap();
    wait(ports.create_policy_version(&access, &arn, document)).unwrap();
    let conflict = |ports: &WorldPorts| {
        let error = wait(ports.delete_policy(&access, &arn)).unwrap_err();
        (error.kind, error.code)
    };
    let expected = (ErrorKind::Invalid, Some("DeleteConflict".to_owned()));
    assert_eq!(conflict(&ports), expected, "attached");
    for role in [&nodes, &nodes, &role("nobody")] {
        wait(ports.detach_policy(&access, role, &arn)).unwrap();
    }
    assert_eq!(conflict(&ports), expected, "two versions");
    wait(ports.delete_policy_version(&access, &arn, "v1")).unwrap();
    wait(ports.delete_policy(&access, &arn)).unwrap();
    wait(ports.delete_policy(&access, &arn)).unwrap();
    assert_eq!(wait(ports.policy(&access, &arn)).unwrap(), None);
    assert!(ports.world().iam.attached_to(&nodes).is_empty());
}
