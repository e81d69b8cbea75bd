//! Payloads as large as a queue takes them.

use serde_json::Value;

/// The largest message of SQS, and entry of EventBridge, were long this large; both have
/// grown since, and what goes out should fit the smaller.
const BYTES: usize = 256 * 1024;

/// The text with its longest string repeated until the whole is as large as a
/// message may be: a string of the JSON that it is, or the text itself.
pub(crate) fn to_a_message(text: &str) -> Option<String> {
    let mut value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let rest = BYTES.checked_sub(value.to_string().len())?;
    let longest = longest(&mut value)?;
    let step = Value::from(longest.as_str()).to_string().len() - 2;
    *longest = longest.repeat(1 + rest / step.max(1));
    Some(match value {
        Value::String(text) => text,
        other => other.to_string(),
    })
}

fn longest(value: &mut Value) -> Option<&mut String> {
    match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text),
        Value::Array(list) => list.iter_mut().filter_map(longest).max_by_key(|text| text.len()),
        Value::Object(map) => map.values_mut().filter_map(longest).max_by_key(|text| text.len()),
        _ => None,
    }
}
