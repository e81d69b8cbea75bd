//! One request to a Kubernetes API, its time-outs and its repetition.

use std::error::Error;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pod_identity_engine::ports::{ClusterAccess, ClusterReader, ErrorKind, PortError};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::clusters::Kubernetes;
use crate::errors::{ApiRefusal, BrokenConnection};

/// How the API server's audit log sees us.
const AGENT: &str = concat!("domino-pod-identity/", env!("CARGO_PKG_VERSION"));
/// Largest answer: together with what is read out of it, a page must stay far below a
/// function's memory.
const MAX_ANSWER: usize = 32 * 1024 * 1024;
/// All but what a part of a URL may hold as it is.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A part of a path, or a value of a query.
pub(crate) fn part(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, PART)
}

/// What is asked, and how errors name it.
pub(crate) struct Ask<'a> {
    access: &'a ClusterAccess,
    operation: &'static str,
    object: String,
    method: Method,
    path: String,
    body: Option<(&'static str, Vec<u8>)>,
}

/// The body of an answer, or what the server said instead.
pub(crate) type Answer = Result<Vec<u8>, ApiRefusal>;

impl<'a> Ask<'a> {
    /// Asks for `path`, which begins with `/` and has its query.
    pub(crate) fn new(
        access: &'a ClusterAccess,
        operation: &'static str,
        object: impl std::fmt::Display,
        method: Method,
        path: String,
    ) -> Self {
        let object = format!("{object} in cluster {}", access.cluster.name());
        Self { access, operation, object, method, path, body: None }
    }

    /// Sends a body with the request.
    pub(crate) fn with(mut self, content_type: &'static str, body: &serde_json::Value) -> Self {
        self.body = Some((content_type, body.to_string().into_bytes()));
        self
    }

    /// Sends it, reads again and again, writes once.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn send<E: ClusterReader>(
        &self,
        kubernetes: &Kubernetes<E>,
    ) -> Result<Answer, PortError> {
        let (client, authorization) = kubernetes.ready(self.access).await?;
        let calls = kubernetes.calls();
        let (begun, longest) = (Instant::now(), calls.longest());
        let mut failed = 0;
        loop {
            let timeout = calls.timeout.min(longest.saturating_sub(begun.elapsed()));
            let attempt = self.attempt(&client, authorization.clone());
            let outcome = match tokio::time::timeout(timeout, attempt).await {
                Ok(outcome) => outcome,
                Err(_) => Err(BrokenConnection::TimedOut(timeout)),
            };
            let (kind, wait) = match &outcome {
                Ok(Ok(_)) => return self.finish(kubernetes, outcome).await,
                Ok(Err(refusal)) => (refusal.kind(), refusal.retry_after()),
                Err(broken) => (broken.kind(), None),
            };
            failed += 1;
            let pause = wait.unwrap_or_else(|| calls.pause(failed));
            // A write may have had its effect: whoever asked for it has to look first.
            let again = kind == ErrorKind::Passing
                && self.method == Method::GET
                && failed < calls.attempts
                && begun.elapsed() + pause < longest;
            if !again {
                return self.finish(kubernetes, outcome).await;
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn finish<E: ClusterReader>(
        &self,
        kubernetes: &Kubernetes<E>,
        outcome: Result<Answer, BrokenConnection>,
    ) -> Result<Answer, PortError> {
        match outcome {
            Ok(Err(refusal)) if refusal.status() == 401 => {
                kubernetes.forget_token(self.access).await;
                Ok(Err(refusal))
            }
            Ok(answer) => Ok(answer),
            Err(broken) => {
                let kind = broken.kind();
                if kind == ErrorKind::Unreachable {
                    kubernetes.forget_client(self.access).await;
                }
                Err(self.error(kind, broken))
            }
        }
    }

    async fn attempt(
        &self,
        client: &Client,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, BrokenConnection> {
        let request = self.request(authorization).map_err(BrokenConnection::Request)?;
        let answer = client.send(request).await.map_err(connection)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = read(answer).await?;
        if status.is_success() {
            return Ok(Ok(body));
        }
        Ok(Err(ApiRefusal::read(status, &headers, &body)))
    }

    fn request(&self, authorization: Option<HeaderValue>) -> http::Result<Request<Body>> {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(&self.path)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, AGENT);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        match &self.body {
            Some((content_type, body)) => {
                request.header(CONTENT_TYPE, *content_type).body(Body::from(body.clone()))
            }
            None => request.body(Body::empty()),
        }
    }

    /// Reads an answer, or makes an error of what the server said instead.
    pub(crate) fn read<T: DeserializeOwned>(&self, answer: Answer) -> Result<T, PortError> {
        let body = answer.map_err(|refusal| self.refused(refusal))?;
        serde_json::from_slice(&body).map_err(|error| {
            let broken = BrokenConnection::Unreadable(error);
            self.error(broken.kind(), broken)
        })
    }

    /// The error that a refusal is, where it has no other meaning.
    pub(crate) fn refused(&self, refusal: ApiRefusal) -> PortError {
        refusal.into_port_error(self.operation, self.object.clone())
    }

    fn error(&self, kind: ErrorKind, source: impl Error + Send + Sync + 'static) -> PortError {
        PortError {
            operation: self.operation,
            object: self.object.clone(),
            kind,
            code: None,
            message: None,
            source: Box::new(source),
        }
    }
}

fn connection(error: kube::Error) -> BrokenConnection {
    BrokenConnection::Connection(Box::new(error))
}

/// Frame by frame, so that the answer is there once and no more.
async fn read(answer: Response<Body>) -> Result<Vec<u8>, BrokenConnection> {
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(connection)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > MAX_ANSWER {
            return Err(BrokenConnection::TooLarge(MAX_ANSWER));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
