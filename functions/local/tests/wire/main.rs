//! The real SDK clients against the embedded AWS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod associations;
mod faults;
mod kubernetes;
mod ledger;
mod policies;
mod rest;
mod sign;
mod tls;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use jiff::Timestamp;
use local::wire::Wire;
use pod_identity_core::{ClusterArn, RoleArn};
use pod_identity_world::World;

const ACCOUNT: &str = "111122223333";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
const TARGET: &str = "arn:aws:iam::444455556666:role/far";

fn blue() -> ClusterArn {
    format!("arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/blue").parse().unwrap()
}

fn role(name: &str) -> RoleArn {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}").parse().unwrap()
}

async fn wire() -> Wire {
    let mut world = World::new(1, ACCOUNT, Timestamp::now());
    world.add_cluster(&blue(), &[("default", &role("blue-eks-nodes"))]);
    world.add_role(&role("etl"), TRUST);
    world.add_role(&role("blue-eks-nodes"), TRUST);
    Wire::start(Arc::new(Mutex::new(world))).await.unwrap()
}

async fn config(wire: &Wire, retries: u32) -> SdkConfig {
    let pause = Duration::from_millis(1);
    let retry = RetryConfig::standard().with_max_attempts(retries + 1).with_initial_backoff(pause);
    let timeout =
        TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(400)).build();
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(wire.endpoint())
        .credentials_provider(Credentials::new("association", "secret", None, None, "test"))
        .timeout_config(timeout)
        .retry_config(retry)
        .load()
        .await
}

async fn eks(wire: &Wire, retries: u32) -> aws_sdk_eks::Client {
    aws_sdk_eks::Client::new(&config(wire, retries).await)
}

type Created = Result<
    aws_sdk_eks::operation::create_pod_identity_association::CreatePodIdentityAssociationOutput,
    aws_sdk_eks::error::SdkError<
        aws_sdk_eks::operation::create_pod_identity_association::CreatePodIdentityAssociationError,
    >,
>;

async fn create(eks: &aws_sdk_eks::Client, service_account: &str) -> Created {
    eks.create_pod_identity_association()
        .cluster_name("blue")
        .namespace("domino-compute")
        .service_account(service_account)
        .role_arn(role("etl").to_string())
        .target_role_arn(TARGET)
        .tags("owner", "a & <b>")
        .send()
        .await
}

/// Keys of a role of another account.
async fn far_credentials(wire: &Wire) -> Credentials {
    use aws_credential_types::provider::ProvideCredentials;
    let config = config(wire, 0).await;
    let role = aws_config::sts::AssumeRoleProvider::builder(TARGET).session_name("s");
    role.configure(&config).build().await.provide_credentials().await.unwrap()
}
