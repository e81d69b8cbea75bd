//! What the function is invoked with.

use aws_lambda_events::sqs::SqsEvent;
use pod_identity_engine::Record;
use serde::Deserialize;
use serde_json::Value;

/// What an invocation holds, by who sent it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// An SQS batch of EventBridge events. What fails is answered by id.
    Batch(Vec<Record>),
    /// One EventBridge event, from a rule or from somebody in the console.
    Single(Record),
}

/// Tells the two apart. Whatever is no SQS batch is taken for an event, and
/// refused as such with the rule that it breaks.
pub(crate) fn read(payload: &Value) -> Payload {
    if payload.get("Records").is_some_and(Value::is_array)
        && let Ok(batch) = SqsEvent::deserialize(payload)
    {
        let records = batch.records.into_iter().map(|message| Record {
            id: message.message_id.unwrap_or_default(),
            text: message.body.unwrap_or_default(),
        });
        return Payload::Batch(records.collect());
    }
    let id = payload.get("id").and_then(Value::as_str).unwrap_or_default();
    Payload::Single(Record { id: id.to_owned(), text: payload.to_string() })
}
