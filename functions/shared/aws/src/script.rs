//! A scripted HTTP client under the ports: what is asked, and what the answers come to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use pod_identity_engine::ports::ClusterAccess;
use serde_json::Value;

use crate::{Aws, Settings};

/// Host, path and query, and body of a request, and whom it is signed for.
#[derive(Debug, Clone)]
pub(crate) struct AwsCall {
    pub(crate) uri: String,
    pub(crate) body: String,
    pub(crate) authorization: String,
}

type Answer = (u16, String);

/// Answers by a function of the request, and remembers what was asked.
#[derive(Clone)]
pub(crate) struct Script {
    answer: Arc<dyn Fn(&AwsCall) -> Answer + Send + Sync>,
    asked: Arc<Mutex<Vec<AwsCall>>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().unwrap_or_default();
        let asked = AwsCall {
            uri: request.uri().to_owned(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            authorization: request.headers().get("authorization").unwrap_or_default().to_owned(),
        };
        let (status, body) = (self.answer)(&asked);
        self.asked.lock().unwrap().push(asked);
        let status = StatusCode::try_from(status).unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}

impl Script {
    pub(crate) fn new(answer: impl Fn(&AwsCall) -> Answer + Send + Sync + 'static) -> Self {
        Self { answer: Arc::new(answer), asked: Arc::default() }
    }

    pub(crate) fn always(status: u16, body: &str) -> Self {
        let body = body.to_owned();
        Self::new(move |_| (status, body.clone()))
    }

    pub(crate) fn aws(&self) -> Aws {
        self.aws_with(&[])
    }

    /// The same with some settings changed.
    pub(crate) fn aws_with(&self, changes: &[(&'static str, &'static str)]) -> Aws {
        let script = self.clone();
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "OWN", "secret", None, None, "test",
            )))
            .http_client(http_client_fn(move |_, _| SharedHttpConnector::new(script.clone())))
            .sleep_impl(aws_smithy_async::rt::sleep::default_async_sleep().unwrap())
            .time_source(aws_smithy_async::time::SystemTimeSource::new())
            .build();
        Aws::with_config(&settings(changes), &config)
    }

    pub(crate) fn asked(&self) -> Vec<AwsCall> {
        self.asked.lock().unwrap().clone()
    }

    /// The body of the only request, as JSON.
    pub(crate) fn json(&self) -> Value {
        let asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:#?}");
        serde_json::from_str(&asked[0].body).unwrap()
    }
}

fn settings(changes: &[(&'static str, &'static str)]) -> Settings {
    let mut variables = BTreeMap::from([
        ("DEPLOYMENT_ID", "test"),
        ("LEDGER_TABLE", "ledger"),
        ("AWS_REGION", "eu-west-1"),
        ("CLUSTERS", "arn:*"),
        ("ROLES", "arn:*"),
        ("NODE_ROLES", "arn:*"),
        ("CALL_BACKOFF_MS", "1"),
        ("CALL_BACKOFF_MAX_MS", "1"),
    ]);
    variables.extend(changes.iter().copied());
    Settings::read(|name| variables.get(name).map(ToString::to_string)).unwrap()
}

pub(crate) fn access() -> ClusterAccess {
    ClusterAccess {
        cluster: "arn:aws:eks:eu-central-1:111122223333:cluster/blue".parse().unwrap(),
        assume_role: None,
    }
}
