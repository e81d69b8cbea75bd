#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::Future;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

async fn api() -> Arc<RuntimeApi> {
    Arc::new(
        RuntimeApi::start("echo", "arn:aws:lambda:eu-west-1:111122223333:function:echo")
            .await
            .unwrap(),
    )
}

fn invoke(
    api: &Arc<RuntimeApi>,
    limit: Duration,
) -> JoinHandle<Result<InvocationResult, InvokeError>> {
    let api = Arc::clone(api);
    tokio::spawn(async move { api.invoke(Bytes::from_static(b"{\"n\":1}"), limit).await })
}

/// Sends one request and answers what came back, whole.
async fn call(api: &RuntimeApi, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(api.address()).await.unwrap();
    let request = format!(
        "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn header(answer: &str, name: &str) -> String {
    let start = format!("{name}: ");
    let line = answer.lines().find(|line| line.starts_with(&start));
    line.unwrap_or_else(|| panic!("no {name} in {answer}"))[start.len()..].to_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[test]
fn next_gives_the_payload_and_lambdas_headers() {
    run(async {
        let api = api().await;
        let invocation = invoke(&api, LIMIT);
        let answer = call(&api, "GET", "invocation/next", "").await;
        assert_eq!(status(&answer), "200");
        assert!(answer.ends_with("{\"n\":1}"));
        let deadline: i64 = header(&answer, "lambda-runtime-deadline-ms").parse().unwrap();
        let left = deadline - jiff::Timestamp::now().as_millisecond();
        assert!((4_000..=5_000).contains(&left), "{left}");
        assert!(header(&answer, "lambda-runtime-invoked-function-arn").ends_with(":function:echo"));
        assert!(header(&answer, "lambda-runtime-trace-id").starts_with("Root=1-"));
        let id = header(&answer, "lambda-runtime-aws-request-id");

        let path = format!("invocation/{id}/response");
        assert_eq!(status(&call(&api, "POST", &path, "{\"ok\":true}").await), "202");
        assert_eq!(
            invocation.await.unwrap().unwrap(),
            InvocationResult::Answer(json!({"ok": true}))
        );
        assert_eq!(status(&call(&api, "POST", &path, "{}").await), "400");
    });
}

#[test]
fn error_of_the_handler_is_the_result() {
    run(async {
        let api = api().await;
        let invocation = invoke(&api, LIMIT);
        let next = call(&api, "GET", "invocation/next", "").await;
        let id = header(&next, "lambda-runtime-aws-request-id");
        let error = json!({"errorType": "E", "errorMessage": "m"});
        call(&api, "POST", &format!("invocation/{id}/error"), &error.to_string()).await;
        assert_eq!(invocation.await.unwrap().unwrap(), InvocationResult::Error(error));
    });
}

#[test]
fn child_that_dies_ends_what_runs_and_what_waits() {
    run(async {
        let api = api().await;
        let running = invoke(&api, LIMIT);
        call(&api, "GET", "invocation/next", "").await;
        let waiting = invoke(&api, LIMIT);
        tokio::task::yield_now().await;
        api.obituary()("signal: 9".to_owned());
        let died = InvocationResult::ChildDied("signal: 9".to_owned());
        assert_eq!(running.await.unwrap().unwrap(), died);
        assert_eq!(waiting.await.unwrap().unwrap(), died);
        assert_eq!(invoke(&api, LIMIT).await.unwrap().unwrap(), died);
    });
}

#[test]
fn init_error_outlasts_the_exit_that_follows_it() {
    run(async {
        let api = api().await;
        let waiting = invoke(&api, LIMIT);
        let error = json!({"errorType": "Settings", "errorMessage": "CLUSTERS is missing"});
        assert_eq!(status(&call(&api, "POST", "init/error", &error.to_string()).await), "202");
        api.obituary()("exit status: 1".to_owned());
        assert_eq!(waiting.await.unwrap().unwrap(), InvocationResult::InitError(error.clone()));
        assert_eq!(invoke(&api, LIMIT).await.unwrap().unwrap(), InvocationResult::InitError(error));
    });
}

#[test]
fn late_answer_is_refused() {
    run(async {
        let api = api().await;
        let invocation = invoke(&api, Duration::from_millis(20));
        let next = call(&api, "GET", "invocation/next", "").await;
        let id = header(&next, "lambda-runtime-aws-request-id");
        assert!(matches!(invocation.await.unwrap(), Err(InvokeError::TimedOut { .. })));
        let answer = call(&api, "POST", &format!("invocation/{id}/response"), "{}").await;
        assert_eq!(status(&answer), "400");
        assert!(answer.contains("InvalidRequestID"));
    });
}

#[test]
fn answer_that_is_not_json_is_an_error() {
    run(async {
        let api = api().await;
        let invocation = invoke(&api, LIMIT);
        let next = call(&api, "GET", "invocation/next", "").await;
        let id = header(&next, "lambda-runtime-aws-request-id");
        call(&api, "POST", &format!("invocation/{id}/response"), "oops").await;
        let Ok(InvocationResult::Error(error)) = invocation.await.unwrap() else { panic!() };
        assert_eq!(error["errorType"], "Runtime.InvalidResponse");
    });
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    run(async {
        let api = api().await;
        assert_eq!(status(&call(&api, "GET", "nothing", "").await), "404");
        assert_eq!(status(&call(&api, "POST", "invocation/next", "").await), "405");
        assert_eq!(status(&call(&api, "POST", "invocation/none/response", "{}").await), "400");
    });
}
