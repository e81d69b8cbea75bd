//! What a cluster lacks, as a run inside finds out.

use std::collections::BTreeSet;

use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{PortFault, When};

use crate::house::House;
use crate::scenario::cluster;

fn reasons(house: &mut House) -> Vec<String> {
    let report = house.work();
    assert_eq!(house.remembered_cluster().missing, report.missing);
    report.missing.into_iter().map(|missing| missing.reason).collect()
}

#[test]
fn a_cluster_that_has_everything_lacks_nothing_and_two_calls_say_so() {
    let mut house = House::with(&["svc-a"]);
    house.world().calls.clear();
    assert_eq!(reasons(&mut house), [""; 0]);
    assert_eq!(house.world().count("DescribeCluster"), 1);
    assert_eq!(house.world().count("DescribeAddon"), 1);
}

#[test]
fn a_cluster_without_the_agent_says_so() {
    let mut house = House::new();
    house.world().eks.cluster_mut(&cluster("blue")).unwrap().addons.clear();
    assert!(reasons(&mut house)[0].contains("no EKS add-on eks-pod-identity-agent"));
}

#[test]
fn a_private_endpoint_is_the_hint_where_no_connection_can_be_made() {
    let mut house = House::with(&["svc-a"]);
    {
        let mut world = house.world();
        world.eks.cluster_mut(&cluster("blue")).unwrap().endpoint_public_access = false;
    }
    assert_eq!(reasons(&mut house), [""; 0]);
    house.world().kubernetes(&cluster("blue")).unwrap().settings.reachable = false;
    assert!(reasons(&mut house)[0].contains("a private endpoint only"));
    assert!(house.remembered_cluster().unreachable.is_some());
}

#[test]
fn the_mode_config_map_is_the_hint_where_the_caller_is_not_known() {
    let mut house = House::with(&["svc-a"]);
    {
        let mut world = house.world();
        let blue = world.eks.cluster_mut(&cluster("blue")).unwrap();
        blue.authentication_mode = "CONFIG_MAP".to_owned();
    }
    assert_eq!(reasons(&mut house), [""; 0]);
    let nobody = Some(BTreeSet::from(["somebody".to_owned()]));
    house.world().kubernetes(&cluster("blue")).unwrap().settings.users = nobody;
    assert!(reasons(&mut house)[0].contains("CONFIG_MAP"));
}

#[test]
fn a_denial_is_something_missing_and_what_passes_is_a_failure() {
    let mut house = House::new();
    for (operation, permission) in
        [("DescribeCluster", "eks:DescribeCluster"), ("DescribeAddon", "eks:DescribeAddon")]
    {
        let fault = |kind| PortFault::nth(operation, 1, When::Before, kind);
        house.scenario.ports.fault(fault(ErrorKind::Denied));
        let report = house.work();
        assert!(report.missing[0].remediation.contains(permission), "{report:?}");
        assert_eq!(report.failures, [""; 0]);
        house.scenario.ports.fault(fault(ErrorKind::Passing));
        let report = house.work();
        assert_eq!((report.missing.len(), report.failures.len()), (0, 1), "{report:?}");
        assert!(report.domino.is_some());
    }
}

#[test]
fn a_cluster_that_is_gone_is_told_and_skipped() {
    let mut house = House::with(&["svc-a"]);
    house.world().remove_cluster(&cluster("blue"));
    let report = house.work();
    assert_eq!(report.missing[0].reason, "EKS does not know cluster blue");
    assert!(report.skipped.is_some());
}
