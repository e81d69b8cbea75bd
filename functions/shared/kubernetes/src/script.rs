//! A Kubernetes API over TLS that answers by a script, and an EKS that leads to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use async_trait::async_trait;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pod_identity_engine::Calls;
use pod_identity_engine::ports::{ClusterAccess, ClusterDescription, ClusterReader, PortError};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::Kubernetes;

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct KubernetesCall {
    /// Method, path and query.
    pub(crate) line: String,
    pub(crate) authorization: String,
    pub(crate) content_type: String,
    /// Null when there is none.
    pub(crate) body: Value,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Json(u16, Value),
    /// With a header `Retry-After`.
    Later(u16, u64, Value),
    Text(u16, &'static str),
    /// So many bytes of an answer that never ends well.
    Bytes(usize),
    /// Never.
    Silence,
    /// The connection ends.
    Hangup,
}

type Script = Arc<dyn Fn(usize, &KubernetesCall) -> Reply + Send + Sync>;

/// A running server. It ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Server {
    port: u16,
    authority: String,
    asked: Arc<Mutex<Vec<KubernetesCall>>>,
}

impl Server {
    /// Answers by the number of the request, from 0, and the request.
    pub(crate) async fn start(
        script: impl Fn(usize, &KubernetesCall) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let server = Self { port, authority: made.cert.pem(), asked: Arc::default() };
        tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(tls)),
            Arc::new(script),
            Arc::clone(&server.asked),
        ));
        server
    }

    /// Answers everything alike.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_, _| reply.clone()).await
    }

    pub(crate) fn asked(&self) -> Vec<KubernetesCall> {
        self.asked.lock().unwrap().clone()
    }

    /// The only request.
    pub(crate) fn one(&self) -> KubernetesCall {
        let asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:#?}");
        asked[0].clone()
    }

    /// Where EKS says that the API is.
    pub(crate) fn description(&self) -> ClusterDescription {
        ClusterDescription {
            created_at: None,
            endpoint: Some(self.url()),
            certificate_authority: Some(STANDARD.encode(&self.authority)),
            status: "ACTIVE".to_owned(),
            authentication_mode: Some("API".to_owned()),
            auto_mode: false,
            node_role: None,
            public_endpoint: true,
            private_endpoint: false,
            version: Some("1.33".to_owned()),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// The client, by way of EKS.
    pub(crate) fn kubernetes(&self) -> Kubernetes<ScriptClusters> {
        ScriptClusters::new(Some(self.description())).kubernetes()
    }
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    script: Script,
    asked: Arc<Mutex<Vec<KubernetesCall>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, script, asked) = (tls.clone(), Arc::clone(&script), Arc::clone(&asked));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service =
                service_fn(|request| answer(request, Arc::clone(&script), Arc::clone(&asked)));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Script,
    asked: Arc<Mutex<Vec<KubernetesCall>>>,
) -> io::Result<Response<Full<Bytes>>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: &str| {
        parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let one = KubernetesCall {
        line: format!("{} {}", parts.method, parts.uri),
        authorization: header("authorization"),
        content_type: header("content-type"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let reply = {
        let mut asked = asked.lock().unwrap();
        asked.push(one.clone());
        script(asked.len() - 1, &one)
    };
    let response = Response::builder();
    let (response, body) = match reply {
        Reply::Json(status, body) => (response.status(status), body.to_string().into_bytes()),
        Reply::Later(status, seconds, body) => {
            (response.status(status).header("retry-after", seconds), body.to_string().into_bytes())
        }
        Reply::Text(status, text) => (response.status(status), text.as_bytes().to_vec()),
        Reply::Bytes(count) => (response, vec![b' '; count]),
        Reply::Silence => std::future::pending().await,
        Reply::Hangup => return Err(io::ErrorKind::ConnectionReset.into()),
    };
    Ok(response.body(Full::new(body.into())).unwrap())
}

/// An EKS that knows one cluster, or none, and counts what it is asked.
#[derive(Clone)]
pub(crate) struct ScriptClusters {
    pub(crate) description: Arc<Mutex<Option<ClusterDescription>>>,
    described: Arc<Mutex<usize>>,
    credentials: Arc<Mutex<Vec<ClusterAccess>>>,
}

impl ScriptClusters {
    pub(crate) fn new(description: Option<ClusterDescription>) -> Self {
        Self {
            description: Arc::new(Mutex::new(description)),
            described: Arc::default(),
            credentials: Arc::default(),
        }
    }

    pub(crate) fn kubernetes(&self) -> Kubernetes<Self> {
        let asked = Arc::clone(&self.credentials);
        Kubernetes::eks(calls(), self.clone(), move |access| {
            asked.lock().unwrap().push(access.clone());
            SharedCredentialsProvider::new(credentials(None))
        })
    }

    pub(crate) fn described(&self) -> usize {
        *self.described.lock().unwrap()
    }

    pub(crate) fn credentials_for(&self) -> Vec<ClusterAccess> {
        self.credentials.lock().unwrap().clone()
    }
}

#[async_trait(?Send)]
impl ClusterReader for ScriptClusters {
    async fn cluster(
        &self,
        _access: &ClusterAccess,
    ) -> Result<Option<ClusterDescription>, PortError> {
        *self.described.lock().unwrap() += 1;
        Ok(self.description.lock().unwrap().clone())
    }

    async fn addon(
        &self,
        _access: &ClusterAccess,
        _name: &str,
    ) -> Result<Option<String>, PortError> {
        Ok(None)
    }
}

/// AWS's own example keys.
pub(crate) fn credentials(expiry: Option<std::time::SystemTime>) -> Credentials {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    Credentials::new("AKIDEXAMPLE", secret, Some("session+token/=".to_owned()), expiry, "test")
}

pub(crate) fn calls() -> Calls {
    Calls {
        timeout: Duration::from_secs(5),
        attempts: 3,
        backoff: Duration::from_millis(1),
        backoff_max: Duration::from_millis(1),
    }
}

pub(crate) fn access() -> ClusterAccess {
    ClusterAccess {
        cluster: "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap(),
        assume_role: None,
    }
}

/// A `Status` as Kubernetes answers it.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}
