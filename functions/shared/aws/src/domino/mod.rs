//! Domino's API of service accounts, for the engine.
//!
//! `GET URL/api/serviceAccounts/v1/serviceAccounts`, by the SDK's own HTTPS connector, so that no
//! second TLS is linked. Connections of its own: none is shared with AWS.

mod answer;
#[cfg(test)]
mod tests;
mod token;

use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use pod_identity_engine::chain;
use pod_identity_engine::ports::{DominoPage, DominoQuery, DominoReader, ErrorKind, PortError};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::{sleep, timeout};

use crate::clients::{Aws, connect_timeout};
use crate::errors::invalid;
use crate::http;
use crate::settings::{Calls, DominoSettings};
use answer::Failure;
use token::ApiToken;

/// Asks Domino. Nothing is built or read before it is needed: neither the client of Secrets
/// Manager, nor the key, nor a connection.
#[derive(Debug)]
pub struct Domino {
    aws: Aws,
    settings: DominoSettings,
    connector: OnceCell<SharedHttpConnector>,
    /// The key as it was read last; kept as long as Domino takes it.
    token: Mutex<Option<ApiToken>>,
}

impl Aws {
    /// What asks Domino for its service accounts.
    #[must_use]
    pub fn domino(&self, settings: &DominoSettings) -> Domino {
        Domino::new(self.clone(), settings.clone())
    }
}

impl Domino {
    pub(crate) fn new(aws: Aws, settings: DominoSettings) -> Self {
        Self { aws, settings, connector: OnceCell::new(), token: Mutex::new(None) }
    }

    async fn list(&self, query: DominoQuery) -> Result<DominoPage, PortError> {
        let longest = self.calls().longest();
        match timeout(longest, self.attempts(query)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.failed(&Failure::Late(longest.as_millis()), None)),
        }
    }

    /// As many attempts as the settings say, and one more with a key that is read again.
    async fn attempts(&self, query: DominoQuery) -> Result<DominoPage, PortError> {
        let mut token = self.token(None).await?;
        let (mut failed, mut read_again) = (0, false);
        loop {
            let failure = match self.attempt(&token, query).await? {
                Ok(page) => return Ok(page),
                Err(failure) => failure,
            };
            if matches!(failure, Failure::Status(401)) && !read_again {
                read_again = true;
                let newer = self.token(Some(&token)).await?;
                if newer != token {
                    token = newer;
                    continue;
                }
            }
            failed += 1;
            let passes = failure.kind() == ErrorKind::Passing;
            if !passes || failed >= self.calls().attempts {
                return Err(self.failed(&failure, Some(&token)));
            }
            sleep(self.calls().pause(failed)).await;
        }
    }

    async fn attempt(
        &self,
        token: &ApiToken,
        query: DominoQuery,
    ) -> Result<Result<DominoPage, Failure>, PortError> {
        let DominoQuery { include_deactivated, offset, limit } = query;
        let url = format!(
            "{}/api/serviceAccounts/v1/serviceAccounts?includeDeactivated={include_deactivated}&offset={offset}&limit={limit}",
            self.settings.url
        );
        let request = token.request(&url, self.settings.header).ok_or_else(|| {
            invalid(LIST, self.object(), "its URL or the key cannot be sent; check DOMINO_URL")
        })?;
        let connector = self.connector().await;
        let answer = async {
            let answer = connector.call(request).await.map_err(Failure::NoConnection)?;
            answer::read(answer).await
        };
        let late = self.calls().timeout;
        Ok(timeout(late, answer).await.unwrap_or(Err(Failure::Late(late.as_millis()))))
    }

    /// The key; another one than `refused`, if there is another by now.
    async fn token(&self, refused: Option<&ApiToken>) -> Result<ApiToken, PortError> {
        // Held while the secret is read, so that it is read once.
        let mut known = self.token.lock().await;
        match &*known {
            Some(token) if refused != Some(token) => Ok(token.clone()),
            _ => {
                let token = ApiToken::read(&self.aws, &self.settings.secret).await?;
                Ok(known.insert(token).clone())
            }
        }
    }

    async fn connector(&self) -> &SharedHttpConnector {
        let wait = connect_timeout(self.calls());
        self.connector.get_or_init(|| async { http::connector(wait) }).await
    }

    fn calls(&self) -> &Calls {
        self.aws.calls()
    }

    fn object(&self) -> String {
        format!("service accounts of Domino at {}", self.settings.url)
    }

    fn failed(&self, failure: &Failure, token: Option<&ApiToken>) -> PortError {
        let said = chain(failure);
        let said = token.map_or(said.clone(), |token| token.hidden_in(&said));
        let code = match failure {
            Failure::Status(status) => Some(status.to_string()),
            _ => None,
        };
        let error = invalid(LIST, self.object(), said);
        PortError { kind: failure.kind(), code, ..error }
    }
}

const LIST: &str = "list";

#[async_trait(?Send)]
impl DominoReader for Domino {
    async fn service_accounts(&self, query: DominoQuery) -> Result<DominoPage, PortError> {
        self.list(query).await
    }
}
