//! The clusters, each with its client and its token, made when they are first needed.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use http::HeaderValue;
use kube::Client;
use pod_identity_engine::Calls;
use pod_identity_engine::ports::{ClusterAccess, ClusterReader, ErrorKind, PortError};

use crate::errors::{credentials_error, local_error, target_error};
use crate::target;
use crate::token::Token;

const CONNECT: &str = "find the Kubernetes API of";
const SIGN: &str = "sign a token for";

/// The Kubernetes APIs of all clusters. Clones share clients and tokens.
///
/// A call takes at most [`Calls::longest`]. The first call to a cluster also describes it and
/// asks for credentials, as does, every ten minutes or so, a call that needs a new token; those
/// take as long as whoever was given to do it allows.
pub struct Kubernetes<E> {
    inner: Arc<Pool<E>>,
}

type CredentialsOf = Box<dyn Fn(&ClusterAccess) -> SharedCredentialsProvider + Send + Sync>;

enum Source<E> {
    Eks { clusters: E, credentials: CredentialsOf },
    Kubeconfig { path: PathBuf, context: Option<String> },
}

struct Pool<E> {
    calls: Calls,
    source: Source<E>,
    clusters: Mutex<BTreeMap<ClusterAccess, Arc<Cluster>>>,
}

/// What is kept of a cluster. Those who come while it is made wait for it.
#[derive(Default)]
struct Cluster(tokio::sync::Mutex<Kept>);

#[derive(Default)]
struct Kept {
    client: Option<Client>,
    token: Option<Token>,
}

impl<E> Clone for Kubernetes<E> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<E> fmt::Debug for Kubernetes<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Kubernetes");
        shown.field("calls", &self.inner.calls);
        if let Source::Kubeconfig { path, context } = &self.inner.source {
            shown.field("path", path).field("context", context);
        }
        shown.finish_non_exhaustive()
    }
}

impl<E: ClusterReader> Kubernetes<E> {
    /// Clusters of EKS: where they are comes from `DescribeCluster`, who we are from AWS
    /// credentials, asked for by access, because a role may have to be assumed first.
    #[must_use]
    pub fn eks(
        calls: Calls,
        clusters: E,
        credentials: impl Fn(&ClusterAccess) -> SharedCredentialsProvider + Send + Sync + 'static,
    ) -> Self {
        Self::build(calls, Source::Eks { clusters, credentials: Box::new(credentials) })
    }

    /// Clusters of a kubeconfig, which need not be of EKS. With a context, every cluster is
    /// that one; without, each is the context that is named by its ARN, or else by its name,
    /// and none where there is no such context.
    #[must_use]
    pub fn kubeconfig(calls: Calls, path: impl Into<PathBuf>, context: Option<&str>) -> Self {
        let context = context.map(str::to_owned);
        Self::build(calls, Source::Kubeconfig { path: path.into(), context })
    }

    fn build(calls: Calls, source: Source<E>) -> Self {
        Self { inner: Arc::new(Pool { calls, source, clusters: Mutex::default() }) }
    }

    pub(crate) fn calls(&self) -> &Calls {
        &self.inner.calls
    }

    /// The client of a cluster, and the header that tells who we are where the client does not.
    pub(crate) async fn ready(
        &self,
        access: &ClusterAccess,
    ) -> Result<(Client, Option<HeaderValue>), PortError> {
        let cluster = self.cluster(access);
        let mut kept = cluster.0.lock().await;
        let Kept { client, token } = &mut *kept;
        let client = match client {
            Some(client) => client.clone(),
            None => client.insert(self.connect(access).await?).clone(),
        };
        let Source::Eks { credentials, .. } = &self.inner.source else {
            return Ok((client, None));
        };
        let now = SystemTime::now();
        let token = match token {
            Some(token) if token.is_fresh(now) => token,
            _ => token.insert(sign(access, credentials(access), now).await?),
        };
        Ok((client, Some(token.authorization())))
    }

    /// After a failure to connect: a cluster that was made again under the same name has another
    /// endpoint and another authority.
    pub(crate) async fn forget_client(&self, access: &ClusterAccess) {
        self.cluster(access).0.lock().await.client = None;
    }

    /// After a 401: credentials that were taken back sign no longer.
    pub(crate) async fn forget_token(&self, access: &ClusterAccess) {
        self.cluster(access).0.lock().await.token = None;
    }

    fn cluster(&self, access: &ClusterAccess) -> Arc<Cluster> {
        let mut clusters = self.inner.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(clusters.entry(access.clone()).or_default())
    }

    async fn connect(&self, access: &ClusterAccess) -> Result<Client, PortError> {
        let calls = &self.inner.calls;
        let client = match &self.inner.source {
            Source::Eks { clusters, .. } => target::eks(clusters.cluster(access).await?, calls),
            Source::Kubeconfig { path, context } => {
                target::kubeconfig(path, context.as_deref(), &access.cluster, calls).await
            }
        };
        client.map_err(|error| target_error(CONNECT, access, error))
    }
}

async fn sign(
    access: &ClusterAccess,
    provider: SharedCredentialsProvider,
    now: SystemTime,
) -> Result<Token, PortError> {
    let credentials = provider
        .provide_credentials()
        .await
        .map_err(|error| credentials_error(SIGN, access, error))?;
    Token::sign(&access.cluster, credentials, now)
        .map_err(|error| local_error(SIGN, access, ErrorKind::Invalid, error))
}
