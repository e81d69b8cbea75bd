//! The SDK clients, each built when it is first needed.

mod credentials;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use pod_identity_core::RoleArn;
use pod_identity_engine::ports::ClusterAccess;
use tokio::sync::{Mutex, OnceCell};

use crate::http;
use crate::settings::{Calls, Settings};

/// How CloudTrail and trust policies see us after an assumed role.
const SESSION_NAME: &str = "domino-pod-identity";

/// Longest wait for a connection, however long an attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long one attempt waits for a connection.
pub(crate) fn connect_timeout(calls: &Calls) -> Duration {
    calls.timeout.min(CONNECT_TIMEOUT)
}

/// The clients of all services. Clones share them.
///
/// Nothing is loaded or built before it is needed: neither the SDK's
/// configuration nor a client.
#[derive(Debug, Clone)]
pub struct Aws {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    region: String,
    calls: Calls,
    table: String,
    bus: String,
    external_id: Option<String>,
    config: OnceCell<SdkConfig>,
    dynamodb: OnceCell<aws_sdk_dynamodb::Client>,
    eventbridge: OnceCell<aws_sdk_eventbridge::Client>,
    secrets: OnceCell<aws_sdk_secretsmanager::Client>,
    places: Mutex<BTreeMap<ClientKey, Arc<Clients>>>,
}

/// Where calls to EKS and IAM go, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ClientKey {
    region: String,
    assume_role: Option<RoleArn>,
}

#[derive(Debug)]
struct Clients {
    config: SdkConfig,
    eks: OnceCell<aws_sdk_eks::Client>,
    iam: OnceCell<aws_sdk_iam::Client>,
}

/// Reads EKS, IAM and the ledger.
#[derive(Debug, Clone)]
pub struct AwsReader {
    pub(crate) aws: Aws,
}

/// Changes EKS, IAM and the ledger, and puts events on the bus.
#[derive(Debug, Clone)]
pub struct AwsWriter {
    pub(crate) aws: Aws,
}

impl Aws {
    /// Clients by the settings. Credentials and the endpoint
    /// (`AWS_ENDPOINT_URL`) come from the SDK's default chain, when they are
    /// first needed.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self::build(settings, OnceCell::new())
    }

    /// Clients over a ready-made SDK configuration, which brings its HTTP
    /// client and its credentials; region, retries and time-outs are those of
    /// the settings.
    #[must_use]
    pub fn with_config(settings: &Settings, config: &SdkConfig) -> Self {
        let config = config
            .to_builder()
            .region(Region::new(settings.region.clone()))
            .retry_config(retries(&settings.calls))
            .timeout_config(timeouts(&settings.calls))
            .build();
        Self::build(settings, OnceCell::new_with(Some(config)))
    }

    fn build(settings: &Settings, config: OnceCell<SdkConfig>) -> Self {
        Self {
            inner: Arc::new(Inner {
                region: settings.region.clone(),
                calls: settings.calls.clone(),
                table: settings.ledger_table.clone(),
                bus: settings.event_bus.clone(),
                external_id: settings.external_id.clone(),
                config,
                dynamodb: OnceCell::new(),
                eventbridge: OnceCell::new(),
                secrets: OnceCell::new(),
                places: Mutex::new(BTreeMap::new()),
            }),
        }
    }

    /// The ports that read.
    #[must_use]
    pub fn reader(&self) -> AwsReader {
        AwsReader { aws: self.clone() }
    }

    /// The ports that write.
    #[must_use]
    pub fn writer(&self) -> AwsWriter {
        AwsWriter { aws: self.clone() }
    }

    /// The credentials that reach a cluster: the function's own, or those of the role to
    /// assume. Nothing is loaded before they are asked for.
    #[must_use]
    pub fn credentials(&self, access: &ClusterAccess) -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(credentials::AccessCredentials {
            aws: self.clone(),
            access: access.clone(),
        })
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.inner.calls
    }

    pub(crate) fn table(&self) -> &str {
        &self.inner.table
    }

    pub(crate) fn bus(&self) -> &str {
        &self.inner.bus
    }

    pub(crate) async fn config(&self) -> &SdkConfig {
        let inner = &self.inner;
        inner
            .config
            .get_or_init(|| {
                aws_config::defaults(BehaviorVersion::latest())
                    .region(Region::new(inner.region.clone()))
                    .http_client(http::shared_client())
                    .retry_config(retries(&inner.calls))
                    .timeout_config(timeouts(&inner.calls))
                    .load()
            })
            .await
    }

    pub(crate) async fn dynamodb(&self) -> &aws_sdk_dynamodb::Client {
        self.inner
            .dynamodb
            .get_or_init(|| async { aws_sdk_dynamodb::Client::new(self.config().await) })
            .await
    }

    pub(crate) async fn eventbridge(&self) -> &aws_sdk_eventbridge::Client {
        self.inner
            .eventbridge
            .get_or_init(|| async { aws_sdk_eventbridge::Client::new(self.config().await) })
            .await
    }

    pub(crate) async fn secrets(&self) -> &aws_sdk_secretsmanager::Client {
        self.inner
            .secrets
            .get_or_init(|| async { aws_sdk_secretsmanager::Client::new(self.config().await) })
            .await
    }

    pub(crate) async fn eks(&self, access: &ClusterAccess) -> aws_sdk_eks::Client {
        let clients = self.clients(access).await;
        let build = || async { aws_sdk_eks::Client::new(&clients.config) };
        clients.eks.get_or_init(build).await.clone()
    }

    /// IAM is global: from the client's region, the SDK finds the endpoint of
    /// the partition and the region that it signs for.
    pub(crate) async fn iam(&self, access: &ClusterAccess) -> aws_sdk_iam::Client {
        let clients = self.clients(access).await;
        let build = || async { aws_sdk_iam::Client::new(&clients.config) };
        clients.iam.get_or_init(build).await.clone()
    }

    async fn clients(&self, access: &ClusterAccess) -> Arc<Clients> {
        let place = ClientKey {
            region: access.cluster.region().to_owned(),
            assume_role: access.assume_role.clone(),
        };
        // Held while the configuration is built, which makes no call.
        let mut places = self.inner.places.lock().await;
        if let Some(clients) = places.get(&place) {
            return Arc::clone(clients);
        }
        let clients = Arc::new(Clients {
            config: self.config_for(&place).await,
            eks: OnceCell::new(),
            iam: OnceCell::new(),
        });
        places.insert(place, Arc::clone(&clients));
        clients
    }

    async fn config_for(&self, place: &ClientKey) -> SdkConfig {
        let own = self.config().await;
        let builder = own.to_builder().region(Region::new(place.region.clone()));
        let Some(role) = &place.assume_role else {
            return builder.build();
        };
        // STS of our own region: its tokens are good everywhere, and it may
        // be the only one that a VPC endpoint leads to.
        let mut provider = AssumeRoleProvider::builder(role.as_str()).session_name(SESSION_NAME);
        if let Some(external_id) = &self.inner.external_id {
            provider = provider.external_id(external_id);
        }
        let provider = provider.configure(own).build().await;
        builder.credentials_provider(SharedCredentialsProvider::new(provider)).build()
    }
}

fn retries(calls: &Calls) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(calls.attempts)
        .with_initial_backoff(calls.backoff)
        .with_max_backoff(calls.backoff_max)
}

fn timeouts(calls: &Calls) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(connect_timeout(calls))
        .operation_attempt_timeout(calls.timeout)
        .operation_timeout(calls.longest())
        .build()
}
