//! What the function is invoked with.

use aws_lambda_events::sqs::SqsMessage;
use pod_identity_core::Json;
use pod_identity_engine::Record;
use serde::Deserialize;
use serde_json::{Value, json};

/// What an invocation holds, by who sent it.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload {
    /// An SQS batch of EventBridge events. What fails is answered by id.
    Batch(Vec<Record>),
    /// One EventBridge event, from a rule or from somebody in the console.
    Single(Record),
}

impl Payload {
    /// What it holds, whoever sent it.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        match self {
            Self::Batch(records) => records,
            Self::Single(record) => std::slice::from_ref(record),
        }
    }
}

/// Tells the two apart. Whatever is no SQS batch is taken for an event, and
/// refused as such with the rule that it breaks.
#[must_use]
pub fn read(payload: &Json) -> Payload {
    if let Some(records) = payload.value.get("Records").and_then(Value::as_array) {
        return Payload::Batch(records.iter().map(message).collect());
    }
    let id = text_of(&payload.value, "id");
    Payload::Single(Record { id, text: payload.text(), deliveries: 0 })
}

/// One message of a batch. What is none is refused alone.
fn message(record: &Value) -> Record {
    // A list reads as a message too, its values taken for the fields in their order.
    let message = record.is_object().then(|| SqsMessage::deserialize(record).ok()).flatten();
    match message {
        Some(SqsMessage { message_id: Some(id), body: Some(text), attributes, .. }) => {
            let count = attributes.get("ApproximateReceiveCount");
            let deliveries = count.and_then(|count| count.parse().ok()).unwrap_or_default();
            Record { id, text, deliveries }
        }
        _ => Record { id: text_of(record, "messageId"), text: record.to_string(), deliveries: 0 },
    }
}

fn text_of(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What SQS gets: the messages that it should deliver again.
#[must_use]
pub fn batch_answer<'a>(failed: impl IntoIterator<Item = &'a str>) -> Value {
    let failures: Vec<Value> =
        failed.into_iter().map(|id| json!({ "itemIdentifier": id })).collect();
    json!({ "batchItemFailures": failures })
}
