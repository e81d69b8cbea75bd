//! The Runtime API and the child loop around a real `lambda_runtime` loop:
//! this test binary starts itself again as the function.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::{LambdaEvent, service_fn};
use local::{
    Configuration, Front, Function, FunctionError, InvocationResult, InvokeError, Log,
    MAX_RECEIVES, Program, Stage, scene,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The child's side. As a test it does nothing.
#[test]
fn child() {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return;
    }
    if std::env::var_os("BROKEN").is_some() {
        eprintln!("this child will not start");
        std::process::exit(3);
    }
    run(async {
        let ended = lambda_runtime::run(service_fn(handle)).await;
        assert!(ended.is_err(), "the loop ends only with its Runtime API");
    });
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, lambda_runtime::Error> {
    let variable = |name: &str| std::env::var(name).ok();
    match event.payload["do"].as_str() {
        Some("fail") => Err("asked to fail".into()),
        Some("exit") => std::process::exit(7),
        None if event.payload["Records"].is_array() => Ok(failures(&event.payload)),
        Some("hang") => std::future::pending().await,
        Some("panic") => panic!("asked to panic"),
        Some("environment") => Ok(json!({
            "key": variable("AWS_ACCESS_KEY_ID"),
            "endpoint": variable("AWS_ENDPOINT_URL"),
            "region": variable("AWS_REGION"),
            "own": variable("OWN"),
            "home": variable("HOME"),
            "cargo": variable("CARGO_MANIFEST_DIR"),
        })),
        _ => Ok(json!({
            "process": std::process::id(),
            "request": event.context.request_id,
            "arn": event.context.invoked_function_arn,
            "deadline": event.context.deadline,
        })),
    }
}

/// Fails what says "poison".
fn failures(batch: &Value) -> Value {
    let records = batch["Records"].as_array().unwrap().iter();
    let poison = records.filter(|record| record["body"] == "poison");
    let items: Vec<_> =
        poison.map(|record| json!({"itemIdentifier": record["messageId"]})).collect();
    json!({"batchItemFailures": items})
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn function(settings: &[(&str, &str)], timeout: Duration) -> Function {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let configuration = Configuration {
        name: "echo".to_owned(),
        account: "111122223333".to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint: "http://127.0.0.1:9".to_owned(),
        program: myself(),
        settings: settings.collect::<BTreeMap<_, _>>(),
        timeout,
    };
    Function::new(configuration, Log::default())
}

fn myself() -> Program {
    Program {
        path: std::env::current_exe().unwrap(),
        arguments: ["child", "--exact", "--nocapture"].map(Into::into).to_vec(),
    }
}

async fn stage() -> Stage {
    let world = scene::world(jiff::Timestamp::now()).unwrap();
    Stage::start(world, scene::settings(), myself(), Log::default()).await.unwrap()
}

fn plain() -> Function {
    function(&[("OWN", "yes")], Duration::from_secs(10))
}

async fn ask(function: &Function, what: &str) -> InvocationResult {
    function.invoke(json!({ "do": what }).to_string()).await.unwrap()
}

async fn answer(function: &Function, what: &str) -> Value {
    match ask(function, what).await {
        InvocationResult::Answer(value) => value,
        other => panic!("{other:?}\n{}", function.log().lines().join("\n")),
    }
}

#[test]
fn one_child_serves_many_invocations() {
    run(async {
        let function = plain();
        let first = answer(&function, "tell").await;
        let second = answer(&function, "tell").await;
        assert_eq!(first["process"], second["process"]);
        assert_ne!(first["request"], second["request"]);
        assert_eq!(first["arn"], "arn:aws:lambda:eu-west-1:111122223333:function:echo");
    });
}

#[test]
fn child_gets_lambdas_environment_and_nothing_of_the_users() {
    run(async {
        let environment = answer(&plain(), "environment").await;
        let expected = json!({
            "key": "LOCALECHO", "endpoint": "http://127.0.0.1:9", "region": "eu-west-1",
            "own": "yes", "home": null, "cargo": null,
        });
        assert_eq!(environment, expected);
    });
}

#[test]
fn error_and_panic_of_the_handler_keep_the_child() {
    run(async {
        let function = plain();
        let before = answer(&function, "tell").await;
        for what in ["fail", "panic"] {
            let InvocationResult::Error(error) = ask(&function, what).await else { panic!() };
            assert!(error["errorMessage"].as_str().unwrap().contains(what), "{error}");
        }
        assert_eq!(answer(&function, "tell").await["process"], before["process"]);
    });
}

#[test]
fn child_that_exits_ends_its_invocation_and_the_next_gets_another() {
    run(async {
        let function = plain();
        let before = answer(&function, "tell").await;
        let InvocationResult::ChildDied(how) = ask(&function, "exit").await else { panic!() };
        assert!(how.contains('7'), "{how}");
        assert_ne!(answer(&function, "tell").await["process"], before["process"]);
    });
}

#[test]
fn killed_child_ends_its_invocation() {
    run(async {
        let function = plain();
        answer(&function, "tell").await;
        let (result, ()) = tokio::join!(ask(&function, "hang"), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            function.kill();
        });
        assert!(matches!(result, InvocationResult::ChildDied(_)), "{result:?}");
        answer(&function, "tell").await;
    });
}

#[test]
fn function_killed_between_invocations_answers_the_next() {
    run(async {
        let function = plain();
        let before = answer(&function, "tell").await;
        function.kill();
        assert_ne!(answer(&function, "tell").await["process"], before["process"]);
    });
}

#[test]
fn child_that_does_not_answer_in_time_is_given_up() {
    run(async {
        let function = function(&[], Duration::from_millis(200));
        let before = answer(&function, "tell").await;
        let result = function.invoke(json!({"do": "hang"}).to_string()).await;
        assert!(
            matches!(result, Err(FunctionError::Invoke(InvokeError::TimedOut { .. }))),
            "{result:?}"
        );
        assert_ne!(answer(&function, "tell").await["process"], before["process"]);
    });
}

#[test]
fn child_that_does_not_start_says_why_in_the_log() {
    run(async {
        let function = function(&[("BROKEN", "1")], Duration::from_secs(10));
        let InvocationResult::ChildDied(how) = ask(&function, "tell").await else { panic!() };
        assert!(how.contains('3'), "{how}");
        assert!(function.log().lines().iter().any(|line| line.contains("will not start")));
    });
}

/// Sends one request and answers what came back, whole.
async fn call(front: &Front, path: &str, body: &str) -> String {
    ask_front(front, "POST", path, "", body).await
}

async fn ask_front(front: &Front, method: &str, path: &str, headers: &str, body: &str) -> String {
    let address = front.endpoint().replace("http://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A connection that breaks off answers nothing.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[test]
fn front_speaks_lambdas_invoke_api() {
    run(async {
        let front = Front::start(0, vec![Arc::new(plain())]).await.unwrap();
        let answer = call(&front, "/2015-03-31/functions/echo/invocations", "{}").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("\"request\""), "{answer}");
        assert!(!answer.contains("x-amz-function-error"), "{answer}");

        let arn = "arn%3Aaws%3Alambda%3Aeu-west-1%3A111122223333%3Afunction%3Aecho";
        let path = format!("/2015-03-31/functions/{arn}/invocations");
        let answer = call(&front, &path, "{\"do\":\"exit\"}").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("x-amz-function-error: Unhandled"), "{answer}");
        assert!(answer.contains("Runtime.ExitError"), "{answer}");

        let answer = call(&front, "/2015-03-31/functions/other/invocations", "{}").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(answer.contains("ResourceNotFoundException"), "{answer}");
    });
}

#[test]
fn front_passes_everything_else_to_aws() {
    run(async {
        let stage = stage().await;
        let front = Front::start(0, vec![Arc::clone(stage.association())]).await.unwrap();
        let scope = "authorization: AWS4-HMAC-SHA256 \
                     Credential=me/20261101/eu-west-1/eks/aws4_request, SignedHeaders=host, Signature=0\r\n";
        let path = "/clusters/blue/pod-identity-associations";
        let answer = ask_front(&front, "GET", path, scope, "").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("svc-warehouse-sa"), "{answer}");
        assert_eq!(stage.world().calls.last().unwrap().caller, "me");
    });
}

#[test]
fn stage_redelivers_what_failed_until_it_is_a_dead_letter() {
    run(async {
        let mut stage = stage().await;
        stage.send("{}");
        stage.send("poison");
        let turns = stage.drain().await;
        assert_eq!(turns.len(), MAX_RECEIVES as usize);
        assert_eq!(turns[0].batch.messages.len(), 2);
        assert!(turns.iter().all(|turn| turn.failed.len() == 1), "{turns:?}");
        assert_eq!(stage.queue().dead_letters()[0].body, "poison");
        assert!(stage.ledger().await.unwrap().is_empty());
    });
}

#[test]
fn front_breaks_off_where_the_aws_behind_it_does() {
    run(async {
        // Nothing listens at the endpoint of `plain`.
        let front = Front::start(0, vec![Arc::new(plain())]).await.unwrap();
        assert_eq!(call(&front, "/clusters", "").await, "");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn child_ends_with_its_function() {
    run(async {
        let function = plain();
        let process = answer(&function, "tell").await["process"].clone();
        drop(function);
        let alive = || {
            let status =
                std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            !status.is_empty() && !status.contains("State:\tZ")
        };
        for _ in 0..100 {
            if !alive() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("child {process} still runs");
    });
}

#[test]
fn a_function_is_ready_when_it_asks_for_work_and_again_after_each_event() {
    run(async {
        let function = function(&[], Duration::from_secs(10));
        let first = function.ready().await.unwrap();
        assert!(first.since > first.started);
        let InvocationResult::Answer(answer) = function.invoke("{}").await.unwrap() else {
            panic!("no answer");
        };
        assert_eq!(answer["process"], first.process_id);
        let again = function.ready().await.unwrap();
        assert_eq!((again.process_id, again.started), (first.process_id, first.started));
        assert!(again.since > first.since);
    });
}
