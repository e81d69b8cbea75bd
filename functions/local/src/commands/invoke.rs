//! `cargo run -- invoke`: one payload to the function, and its answer.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use super::{CommandError, failure, last_words, register, say, stage};
use crate::child::Log;
use crate::client;
use crate::front::{FUNCTION_ERROR, invoke_path};
use crate::running;
use crate::runtime_api::InvocationResult;
use crate::show;

/// Answers whether the function answered without an error, and did not refuse.
pub(super) async fn run(
    function: &str,
    file: &Path,
    endpoint: Option<String>,
    log: Log,
) -> Result<bool, CommandError> {
    let payload = payload(file)?;
    if let Some(endpoint) = endpoint {
        return send(&endpoint, function, payload)
            .await
            .map_err(|source| CommandError::Unreachable { endpoint, source });
    }
    for left in running::place().map(|place| running::all(&place)).unwrap_or_default() {
        let endpoint = left.endpoint.clone();
        match send(&endpoint, function, payload.clone()).await {
            // A `serve` that was killed leaves its folder behind.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => left.forget(),
            result => {
                return result.map_err(|source| CommandError::Unreachable { endpoint, source });
            }
        }
    }
    alone(function, payload, log).await
}

fn payload(file: &Path) -> Result<Bytes, CommandError> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    let name = file.display();
    read.map_err(|error| CommandError::Input(format!("file `{name}` cannot be read: {error}")))?;
    serde_json::from_slice::<Value>(&bytes).map_err(|error| {
        CommandError::Input(format!("file `{name}` is not JSON, which Lambda asks for: {error}"))
    })?;
    Ok(bytes.into())
}

/// To a running `serve`, which prints the outcome events itself.
async fn send(endpoint: &str, function: &str, payload: Bytes) -> io::Result<bool> {
    let request = Request::post(invoke_path(function))
        .header("host", client::authority(endpoint)?)
        .body(Full::new(payload))
        .map_err(io::Error::other)?;
    let answer = client::send(endpoint, request).await?;
    say(&format!("Answer of {function} at {endpoint}"));
    let value: Value = serde_json::from_slice(answer.body()).map_err(io::Error::other)?;
    say(&readable(function, &value));
    let failed = answer.headers().contains_key(FUNCTION_ERROR) || is_refusal(function, &value);
    Ok(answer.status().is_success() && !failed)
}

/// To a scene of its own.
async fn alone(function: &str, payload: Bytes, log: Log) -> Result<bool, CommandError> {
    let mut stage = stage(log).await?;
    say("No `serve` runs: a fresh embedded AWS");
    let mut problems = register(&mut stage).await?;
    let Some(invoked) = stage.function(function).map(Arc::clone) else {
        return Err(CommandError::Input(format!("there is no function `{function}` here")));
    };
    let mut refused = false;
    match invoked.invoke(payload).await {
        Ok(InvocationResult::Answer(answer)) => {
            refused = is_refusal(function, &answer);
            say(&format!("\nAnswer of {function}\n{}", readable(function, &answer)));
        }
        Ok(other) => problems.push(failure(&other)),
        Err(error) => problems.push(error.to_string()),
    }
    for event in stage.new_events() {
        say(&show::outcome(&event).join("\n"));
    }
    for problem in &problems {
        say(&format!("! {problem}"));
    }
    if !problems.is_empty() {
        say(&last_words(&stage));
    }
    Ok(problems.is_empty() && !refused)
}

/// Whether the admin function says that it did not answer or do what was asked. A page for a
/// dashboard says nothing of the kind.
fn is_refusal(function: &str, answer: &Value) -> bool {
    function == "admin" && answer.get("ok") == Some(&Value::Bool(false))
}

/// What the admin function says to people, and every other answer as JSON.
fn readable(function: &str, value: &Value) -> String {
    let text = match value {
        Value::String(text) => Some(text.as_str()),
        value => value.get("text").and_then(Value::as_str),
    };
    match text {
        Some(text) if function == "admin" => text.to_owned(),
        _ => pretty(value),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::is_refusal;

    #[test]
    fn what_the_admin_function_refuses_is_no_success() {
        assert!(is_refusal("admin", &json!({ "ok": false, "text": "there is no action" })));
        assert!(!is_refusal("admin", &json!({ "ok": true, "text": "fine" })));
        assert!(!is_refusal("admin", &json!("<p>a page</p>")));
        assert!(!is_refusal("reconcile", &json!({ "ok": false })));
    }
}
