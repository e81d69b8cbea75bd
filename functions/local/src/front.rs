//! One address for everything that `serve` offers: Lambda's Invoke API in
//! front of the functions, the embedded AWS behind it for all the rest.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::client;
use crate::function::Function;
use crate::runtime_api::InvocationResult;

/// Header of an answer that is the function's error.
pub(crate) const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");

const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

type Answer = Response<Full<Bytes>>;

/// The path of Lambda's Invoke API for a function.
pub(crate) fn invoke_path(function: &str) -> String {
    format!("/2015-03-31/functions/{function}/invocations")
}

/// The front of running [`Function`]s and the AWS that they talk to.
pub struct Front {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Front {
    /// Listens on a port of 127.0.0.1, or on a free one for 0. What is not
    /// for a function goes to the functions' own endpoint.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub async fn start(port: u16, functions: Vec<Arc<Function>>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(serve(listener, functions));
        Ok(Self { address, server })
    }

    /// Its URL, what `AWS_ENDPOINT_URL` has to hold.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(listener: TcpListener, functions: Vec<Arc<Function>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let _ = stream.set_nodelay(true);
        let functions = functions.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| answer(functions.clone(), request));
            // A client that goes away, or an AWS that breaks off on purpose, ends the connection.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(functions: Vec<Arc<Function>>, request: Request<Incoming>) -> io::Result<Answer> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let name = parts
        .uri
        .path()
        .strip_prefix("/2015-03-31/functions/")
        .and_then(|rest| rest.strip_suffix("/invocations"))
        .map(|name| name.replace("%3A", ":"));
    match name {
        Some(name) if parts.method == Method::POST => {
            let is_wanted = |function: &&Arc<Function>| {
                let configuration = function.configuration();
                name == configuration.name || name == configuration.arn()
            };
            let Some(function) = functions.iter().find(is_wanted).cloned() else {
                let message = format!("Function not found: {name}");
                return Ok(refuse(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message));
            };
            let kind = parts.headers.get(INVOCATION_TYPE).map(HeaderValue::as_bytes);
            if kind == Some(b"Event") {
                tokio::spawn(async move { function.invoke(body).await });
                return Ok(empty(StatusCode::ACCEPTED));
            }
            if kind == Some(b"DryRun") {
                return Ok(empty(StatusCode::NO_CONTENT));
            }
            Ok(invoke(&function, body).await)
        }
        _ => {
            let request = Request::from_parts(parts, Full::new(body));
            // All of them talk to the same AWS.
            let aws = functions.first().map(|function| function.configuration().endpoint.as_str());
            let answer = client::send(aws.unwrap_or_default(), request).await?;
            Ok(answer.map(Full::new))
        }
    }
}

async fn invoke(function: &Function, payload: Bytes) -> Answer {
    let (value, failed) = match function.invoke(payload).await {
        Ok(InvocationResult::Answer(value)) => (value, false),
        Ok(InvocationResult::Error(value) | InvocationResult::InitError(value)) => (value, true),
        Ok(InvocationResult::ChildDied(how)) => (
            json!({
                "errorType": "Runtime.ExitError",
                "errorMessage": format!("Error: Runtime exited with error: {how}"),
            }),
            true,
        ),
        Err(error) => {
            (json!({ "errorType": "Sandbox.Timedout", "errorMessage": error.to_string() }), true)
        }
    };
    let mut answer = respond(StatusCode::OK, &value);
    let headers = answer.headers_mut();
    headers.insert("x-amz-executed-version", HeaderValue::from_static("$LATEST"));
    if failed {
        headers.insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
    }
    answer
}

fn refuse(status: StatusCode, code: &'static str, message: &str) -> Answer {
    let mut answer = respond(status, &json!({ "Type": "User", "Message": message }));
    answer.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(code));
    answer
}

fn respond(status: StatusCode, value: &Value) -> Answer {
    let mut answer = empty(status);
    *answer.body_mut() = Full::from(value.to_string());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::default();
    *answer.status_mut() = status;
    answer
}
