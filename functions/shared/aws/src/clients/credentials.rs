//! Credentials for what is signed outside the SDK's clients.

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use pod_identity_engine::ports::ClusterAccess;

use super::Aws;

/// The credentials that calls for a cluster are signed with.
#[derive(Debug)]
pub(super) struct AccessCredentials {
    pub(super) aws: Aws,
    pub(super) access: ClusterAccess,
}

impl ProvideCredentials for AccessCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}

impl AccessCredentials {
    async fn load(&self) -> Result<Credentials, CredentialsError> {
        let clients = self.aws.clients(&self.access).await;
        let provider = clients
            .config
            .credentials_provider()
            .ok_or_else(|| CredentialsError::not_loaded("the SDK's configuration has none"))?;
        provider.provide_credentials().await
    }
}
