//! A cluster of another account, reached by a role of that account.

use jiff::Timestamp;
use local::scene;
use local::wire::{Fault, FaultKind};
use pod_identity_core::{ClusterArn, RoleArn};
use pod_identity_events::{Envelope, detail_type, source};
use pod_identity_world::World;
use serde_json::json;

use crate::scenario::{Scenario, assigned, event, registered};

pub(crate) const OTHER: &str = "222233334444";
const ACCESS: &str = "arn:aws:iam::222233334444:role/pod-identity-access";
pub(crate) const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;

fn there(name: &str) -> RoleArn {
    format!("arn:aws:iam::{OTHER}:role/{name}").parse().unwrap()
}

/// As the scene's blue, but of the other account and in another region.
pub(crate) fn their_blue() -> ClusterArn {
    ClusterArn::new("aws", "eu-central-1", OTHER, "blue").unwrap()
}

/// The other account's cluster and roles come into the world.
pub(crate) fn add_their_account(world: &mut World) {
    let nodes = there("blue-eks-nodes");
    world.add_cluster(&their_blue(), &[("compute", &nodes)]);
    for role in [nodes, there("domino/new")] {
        world.add_role(&role, TRUST);
    }
}

/// Settings that admit the other account.
pub(crate) fn settings() -> Vec<(String, String)> {
    let settings = scene::settings();
    let pattern = |name: &str| format!("arn:aws:iam::{OTHER}:role/{name}");
    let more = |name: &str, value: &str| (name.to_owned(), format!("{},{value}", settings[name]));
    vec![
        more("CLUSTERS", their_blue().as_str()),
        more("ROLES", &pattern("domino/*")),
        more("NODE_ROLES", &pattern("*-eks-nodes")),
        ("ASSUME_ROLES".to_owned(), ACCESS.to_owned()),
    ]
}

/// Their cluster is registered with the role to assume.
pub(crate) fn their_registration(second: i64) -> String {
    let detail = json!({ "clusterArn": their_blue(), "assumeRoleArn": ACCESS });
    event(source::ADMINISTRATION, detail_type::CLUSTER_REGISTERED, detail, second)
}

/// A service account is bound to a role of the other account.
pub(crate) fn theirs_assigned(second: i64) -> String {
    let detail = json!({ "serviceAccount": "svc-theirs", "roleArn": there("domino/new").as_str() });
    event(source::AUTOMATION, detail_type::ROLE_ASSIGNED, detail, second)
}

pub(crate) async fn scenario() -> Scenario {
    let mut world = scene::world(Timestamp::now()).unwrap();
    add_their_account(&mut world);
    let changes = settings();
    let changes: Vec<(&str, &str)> =
        changes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut scenario = Scenario::of(world, &changes).await;
    scenario.deliver(&[their_registration(1), registered("blue", 2)]).await;
    scenario
}

#[tokio::test]
async fn cluster_of_another_account_is_reached_by_its_role() {
    let mut scenario = scenario().await;
    scenario.deliver(&[theirs_assigned(10), assigned("svc-ours", "new", 11)]).await;

    let world = scenario.stage.world();
    let find = |cluster: &ClusterArn, name: &str| {
        world.eks.find(cluster, "domino-compute", name).map(|one| one.role_arn.clone())
    };
    let our_blue = scene::cluster("blue").unwrap();
    assert_eq!(find(&their_blue(), "svc-theirs-sa"), Some(there("domino/new").to_string()));
    assert_eq!(find(&our_blue, "svc-theirs-sa"), None);
    assert!(find(&our_blue, "svc-ours-sa").is_some());
    assert_eq!(find(&their_blue(), "svc-ours-sa"), None);
    let policies: Vec<&str> = world.iam.policy_arns().collect();
    let account = |id: &str| policies.iter().filter(|arn| arn.contains(id)).count();
    assert_eq!((account(OTHER), account(scene::ACCOUNT)), (1, 1), "{policies:?}");

    let assumed: Vec<_> =
        world.calls.iter().filter(|call| call.operation == "AssumeRole").collect();
    assert_eq!(assumed.len(), 1, "its credentials are kept");
    assert_eq!(assumed[0].object, ACCESS);
}

/// The event that tells that svc-theirs is blocked, once the role was denied.
async fn denied(scenario: &mut Scenario) -> Envelope {
    scenario.stage.wire().fault(Fault::new("AssumeRole", 1, FaultKind::Denied));
    scenario.deliver(&[theirs_assigned(10), assigned("svc-ours", "new", 11)]).await;
    let mut blocked = scenario.news(detail_type::ASSOCIATION_BLOCKED);
    assert_eq!(blocked.len(), 1);
    blocked.remove(0)
}

#[tokio::test]
async fn role_that_cannot_be_assumed_blocks_only_its_own_cluster() {
    let mut scenario = scenario().await;
    let blocked = denied(&mut scenario).await;
    assert_eq!(blocked.detail["code"], "accessDenied");
    assert_eq!(blocked.detail["clusterArn"], their_blue().as_str());
    assert_eq!(scenario.condition("blue", "svc-ours").await.as_deref(), Some("ready"));
    assert_eq!(scenario.condition("blue", "svc-theirs").await.as_deref(), Some("blocked"));
}

#[tokio::test]
async fn role_that_cannot_be_assumed_is_named_in_the_reason() {
    let mut scenario = scenario().await;
    let blocked = denied(&mut scenario).await;
    let message = blocked.detail["message"].as_str().unwrap();
    assert!(message.contains(ACCESS), "{message}");
}
