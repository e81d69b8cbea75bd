//! The HTTP side of the Runtime API.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{InvocationResult, Shared};

/// Lambda's limit for the answer of a function.
const MAX_ANSWER_BYTES: usize = 6 * 1024 * 1024;

type Answer = Response<Full<Bytes>>;

/// Serves until it is aborted, and every connection with it.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(&shared, request).await) }
            });
            // A child that is killed breaks its connection: nothing to report here.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    let Some(path) = path.strip_prefix("/2018-06-01/runtime/") else {
        return refuse(StatusCode::NOT_FOUND, "NotFound", "no such path");
    };
    let parts: Vec<&str> = path.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => next(shared).await,
        (&Method::POST, ["invocation", id, "response"]) => {
            finish(shared, id, request, InvocationResult::Answer).await
        }
        (&Method::POST, ["invocation", id, "error"]) => {
            finish(shared, id, request, InvocationResult::Error).await
        }
        (&Method::POST, ["init", "error"]) => init_error(shared, request).await,
        (
            _,
            ["invocation", "next"] | ["invocation", _, "response" | "error"] | ["init", "error"],
        ) => refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "method not allowed"),
        _ => refuse(StatusCode::NOT_FOUND, "NotFound", "no such path"),
    }
}

/// Waits for work. Between taking an invocation and answering nothing is
/// awaited, so a connection that breaks while it waits loses none.
async fn next(shared: &Shared) -> Answer {
    loop {
        let wake = shared.work.notified();
        {
            let mut state = shared.state();
            if state.ended.is_some() {
                return refuse(
                    StatusCode::FORBIDDEN,
                    "InvalidStateTransition",
                    "state transition not allowed",
                );
            }
            if let Some(waiting) = state.waiting.pop_front() {
                shared.idle.send_replace(None);
                let id = waiting.request_id.clone();
                state.running.insert(id.clone(), waiting.done);
                // The caller may have given up meanwhile.
                let _ = waiting.taken.send(());
                return invocation(shared, &id, waiting.limit, waiting.payload);
            }
            shared
                .idle
                .send_if_modified(|idle| idle.replace(idle.unwrap_or_else(Instant::now)).is_none());
        }
        wake.await;
    }
}

fn invocation(shared: &Shared, id: &str, limit: Duration, payload: Bytes) -> Answer {
    let deadline = SystemTime::now() + limit;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
    let trace = format!("Root=1-{:08x}-{:024x};Sampled=0", deadline.as_secs(), shared.seed);
    Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
        .header("lambda-runtime-invoked-function-arn", &shared.function_arn)
        .header("lambda-runtime-trace-id", trace)
        .body(Full::new(payload))
        .unwrap_or_else(|error| {
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "ContainerError", &error.to_string())
        })
}

async fn finish(
    shared: &Shared,
    id: &str,
    request: Request<Incoming>,
    kind: fn(Value) -> InvocationResult,
) -> Answer {
    // The child may die in the middle of its answer; then the invocation stays open for its end.
    let Ok(body) = request.into_body().collect().await else {
        return refuse(StatusCode::BAD_REQUEST, "InvalidRequest", "the body broke off");
    };
    let Some(done) = shared.state().running.remove(id) else {
        return refuse(StatusCode::BAD_REQUEST, "InvalidRequestID", "invalid request id");
    };
    let body = body.to_bytes();
    if body.len() > MAX_ANSWER_BYTES {
        let message = format!(
            "response payload size ({} bytes) exceeded maximum allowed payload size ({MAX_ANSWER_BYTES} bytes)",
            body.len()
        );
        let _ = done.send(InvocationResult::Error(json!({
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": message,
        })));
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message);
    }
    let _ = done.send(match serde_json::from_slice(&body) {
        Ok(value) => kind(value),
        Err(error) => InvocationResult::Error(json!({
            "errorType": "Runtime.InvalidResponse",
            "errorMessage": format!("the answer is not JSON: {error}"),
        })),
    });
    accepted()
}

async fn init_error(shared: &Shared, request: Request<Incoming>) -> Answer {
    let Ok(body) = request.into_body().collect().await else {
        return refuse(StatusCode::BAD_REQUEST, "InvalidRequest", "the body broke off");
    };
    let body = body.to_bytes();
    let error = serde_json::from_slice(&body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
    shared.end(&InvocationResult::InitError(error));
    accepted()
}

fn accepted() -> Answer {
    respond(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Answer {
    respond(status, &json!({ "errorType": kind, "errorMessage": message }))
}

fn respond(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    answer
}
