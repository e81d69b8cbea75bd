//! Where a Kubernetes API is: what kube's client is built from.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use pod_identity_core::ClusterArn;
use pod_identity_engine::Calls;
use pod_identity_engine::ports::ClusterDescription;

/// Longest wait for a connection, however long an attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// No client can be built for a cluster.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error("EKS knows no such cluster: it was deleted, or is in another account or region")]
    NoCluster,
    #[error("EKS shows the cluster as {0}, without an endpoint and a certificate authority")]
    NoEndpoint(String),
    #[error("the endpoint `{0}` is not an https URL")]
    Endpoint(String),
    #[error("the certificate authority is not base64 of PEM certificates")]
    Authority(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    #[error("kubeconfig {path} cannot be used")]
    Kubeconfig { path: String, source: Box<KubeconfigError> },
    #[error(
        "kubeconfig {path} has no context {arn} and no context {name}: add one, or name another"
    )]
    NoContext { path: String, arn: String, name: String },
    #[error("failed to build the client")]
    Client(#[source] Box<kube::Error>),
}

/// A client for a cluster by what EKS tells of it. It sends no credentials of its own.
pub(crate) fn eks(
    description: Option<ClusterDescription>,
    calls: &Calls,
) -> Result<Client, TargetError> {
    let Some(description) = description else {
        return Err(TargetError::NoCluster);
    };
    let (Some(endpoint), Some(authority)) =
        (description.endpoint, description.certificate_authority)
    else {
        return Err(TargetError::NoEndpoint(description.status));
    };
    // A token must not travel in the clear, whatever EKS answers.
    let url = endpoint
        .parse()
        .ok()
        .filter(|url: &Uri| url.scheme_str() == Some("https") && url.host().is_some())
        .ok_or(TargetError::Endpoint(endpoint))?;
    let mut config = Config::new(url);
    config.root_cert = Some(certificates(&authority)?);
    client(config, calls)
}

/// A client for a context of a kubeconfig, with the credentials that it names.
pub(crate) async fn kubeconfig(
    path: &Path,
    context: Option<&str>,
    cluster: &ClusterArn,
    calls: &Calls,
) -> Result<Client, TargetError> {
    let shown = || path.display().to_string();
    let wrong = |source| TargetError::Kubeconfig { path: shown(), source: Box::new(source) };
    let file = Kubeconfig::read_from(path).map_err(wrong)?;
    let context = match context {
        Some(context) => context.to_owned(),
        // Never the file's current context: it may be of another cluster.
        None => [cluster.as_str(), cluster.name()]
            .into_iter()
            .find(|name| file.contexts.iter().any(|context| context.name == *name))
            .map(str::to_owned)
            .ok_or_else(|| TargetError::NoContext {
                path: shown(),
                arn: cluster.to_string(),
                name: cluster.name().to_owned(),
            })?,
    };
    let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
    let proxied = file.clusters.iter().filter_map(|one| one.cluster.as_ref());
    let proxied = proxied.filter_map(|cluster| cluster.proxy_url.as_ref()).count() > 0;
    let mut config = Config::from_custom_kubeconfig(file, &options).await.map_err(wrong)?;
    // kube asks the environment as well, and compares NO_PROXY with the proxy instead of the
    // cluster. What the file itself names is refused, as the feature for it is off.
    if !proxied {
        config.proxy_url = None;
    }
    client(config, calls)
}

fn client(mut config: Config, calls: &Calls) -> Result<Client, TargetError> {
    // Half of an attempt at most, so that a cluster that cannot be reached is distinguished from a slow one.
    config.connect_timeout = Some(CONNECT_TIMEOUT.min(calls.timeout / 2));
    config.read_timeout = Some(calls.timeout);
    config.write_timeout = Some(calls.timeout);
    // Otherwise the time that a connection lay idle counts as time without an answer.
    config.reset_reader_on_write = true;
    // It repeats for minutes what a disruption budget forbids.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| TargetError::Client(Box::new(error)))
}

fn certificates(authority: &str) -> Result<Vec<Vec<u8>>, TargetError> {
    let wrong =
        |error: Box<dyn std::error::Error + Send + Sync>| TargetError::Authority(Some(error));
    let text = STANDARD.decode(authority).map_err(|error| wrong(error.into()))?;
    let found = pem::parse_many(text).map_err(|error| wrong(error.into()))?;
    let found: Vec<_> = found
        .into_iter()
        .filter(|one| one.tag() == "CERTIFICATE")
        .map(pem::Pem::into_contents)
        .collect();
    if found.is_empty() { Err(TargetError::Authority(None)) } else { Ok(found) }
}
