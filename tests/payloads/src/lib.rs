//! What must hold whatever the association function is invoked with.
//!
//! [`judge`] hands bytes to the function's handler over a modelled AWS in which
//! no call ever fails, and panics when a demand is not met. The fuzz target and
//! the tests that replay its corpus are this function.

// It is a test: a broken demand is a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod demands;
mod inflate;
mod scene;

use std::time::Duration;

use association::{Function, Invocation};
use pod_identity_engine::Outcome;
use serde_json::{Value, json};

use demands::Before;
use scene::{GOOD, Stage};

/// One in so many payloads is judged a second time at the size of the largest
/// message that a queue takes.
const INFLATED: u32 = 16;

/// Hands bytes to the handler in every way in which they could arrive.
///
/// # Panics
/// When anything that must always hold does not.
pub fn judge(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    judge_text(&text);
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    if sum.is_multiple_of(INFLATED)
        && let Some(large) = inflate::to_a_message(&text)
    {
        judge_text(&large);
    }
}

/// As [`judge`], and nothing is made larger.
///
/// # Panics
/// When anything that must always hold does not.
pub fn judge_text(text: &str) {
    // What is no JSON, the runtime itself refuses as an invocation; as the body of
    // a message it comes all the same.
    if let Ok(payload) = serde_json::from_str::<Value>(text) {
        delivered_twice(&payload);
    }
    let message = |id: &str, body: &str| json!({ "messageId": id, "body": body });
    let batch = json!({ "Records": [message("good", GOOD), message("other", text)] });
    let (first, stage) = delivered_twice(&batch);
    if first.report.records[1].outcome == Outcome::Rejected {
        assert_eq!(first.report.records[0].outcome, Outcome::Applied, "{:?}", first.report);
        assert!(stage.association("svc-good-sa").is_some(), "a refused neighbour held it up");
    }
}

/// Delivers a payload, and then again as queues do, and makes every demand.
fn delivered_twice(payload: &Value) -> (Invocation, Stage) {
    let mut stage = Stage::new();
    let before = Before::of(&stage);
    let first = invoke(&mut stage, payload);
    demands::of_invocation(payload, &first);
    demands::of_effects(&stage, &before, &first);
    let after = Before::of(&stage);
    let second = invoke(&mut stage, payload);
    demands::of_invocation(payload, &second);
    demands::of_repetition(&stage, &after, &second);
    (first, stage)
}

fn invoke(stage: &mut Stage, payload: &Value) -> Invocation {
    let request = stage.next_request();
    let function = Function {
        reader: &stage.ports,
        writer: &stage.ports,
        clock: &stage.ports,
        settings: stage.settings,
        deadline_margin: Duration::from_secs(3),
    };
    scene::drive(function.invoke(payload.clone(), &request, scene::in_a_minute(stage.now())))
}
