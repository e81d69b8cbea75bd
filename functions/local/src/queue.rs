//! A standard SQS queue and its Lambda trigger with `ReportBatchItemFailures`.
//!
//! What counts as a failed item follows
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use md5::{Digest, Md5};
use pod_identity_core::hex;
use serde_json::{Value, json};

use crate::runtime_api::InvocationResult;

/// Most records of one batch; Lambda's default for a standard queue.
pub(crate) const BATCH_SIZE: usize = 10;

/// A message of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// SQS's id of it.
    pub id: String,
    /// What was sent: here, an EventBridge envelope.
    pub body: String,
    /// How often it was received.
    pub receives: u32,
    /// Milliseconds since 1970 at which it was sent.
    pub sent_at: i64,
    /// Milliseconds since 1970 at which it was first received.
    pub first_received_at: Option<i64>,
}

/// Messages that are with the function.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "messages come back to the queue only by `settle`"]
pub struct Batch {
    /// The messages, in order.
    pub messages: Vec<Message>,
    arn: String,
    region: String,
}

/// A queue whose messages end as deleted or, after `max_receives`, as dead letters.
#[derive(Debug)]
pub struct Queue {
    arn: String,
    region: String,
    max_receives: u32,
    sent: u64,
    waiting: VecDeque<Message>,
    dead: Vec<Message>,
}

impl Queue {
    /// An empty queue.
    #[must_use]
    pub fn new(name: &str, region: &str, account: &str, max_receives: u32) -> Self {
        Self {
            arn: format!("arn:aws:sqs:{region}:{account}:{name}"),
            region: region.to_owned(),
            max_receives,
            sent: 0,
            waiting: VecDeque::new(),
            dead: Vec::new(),
        }
    }

    /// Takes a message and answers its id.
    pub fn send(&mut self, body: impl Into<String>, now: Timestamp) -> String {
        self.sent += 1;
        let id = format!("00000000-0000-4000-8000-{:012x}", self.sent);
        self.waiting.push_back(Message {
            id: id.clone(),
            body: body.into(),
            receives: 0,
            sent_at: now.as_millisecond(),
            first_received_at: None,
        });
        id
    }

    /// The next batch, unless nothing waits. A message that was received too
    /// often becomes a dead letter here, as in SQS, when it would be received again.
    pub fn receive(&mut self, now: Timestamp) -> Option<Batch> {
        let mut messages = Vec::new();
        while messages.len() < BATCH_SIZE {
            let Some(mut message) = self.waiting.pop_front() else {
                break;
            };
            if message.receives >= self.max_receives {
                self.dead.push(message);
                continue;
            }
            message.receives += 1;
            message.first_received_at.get_or_insert(now.as_millisecond());
            messages.push(message);
        }
        (!messages.is_empty()).then(|| Batch {
            messages,
            arn: self.arn.clone(),
            region: self.region.clone(),
        })
    }

    /// Deletes what the function has done and takes the rest back; answers
    /// the ids of the rest.
    pub fn settle(&mut self, batch: Batch, result: &InvocationResult) -> BTreeSet<String> {
        let failed = batch.failed(result);
        self.waiting
            .extend(batch.messages.into_iter().filter(|message| failed.contains(&message.id)));
        failed
    }

    /// Messages that were received too often.
    #[must_use]
    pub fn dead_letters(&self) -> &[Message] {
        &self.dead
    }

    /// Number of messages that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

impl Batch {
    /// The event that Lambda gives the function.
    #[must_use]
    pub fn event(&self) -> Value {
        let records = self.messages.iter().map(|message| {
            json!({
                "messageId": message.id,
                "receiptHandle": format!("{}#{}", message.id, message.receives),
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": message.receives.to_string(),
                    "SentTimestamp": message.sent_at.to_string(),
                    "SenderId": "AIDALOCAL",
                    "ApproximateFirstReceiveTimestamp":
                        message.first_received_at.unwrap_or(message.sent_at).to_string(),
                },
                "messageAttributes": {},
                "md5OfBody": hex(&Md5::digest(&message.body)),
                "eventSource": "aws:sqs",
                "eventSourceARN": self.arn,
                "awsRegion": self.region,
            })
        });
        json!({ "Records": records.collect::<Vec<_>>() })
    }

    /// Ids of the messages that come back. Anything but a proper answer fails
    /// the whole batch, also an item that it does not hold.
    fn failed(&self, result: &InvocationResult) -> BTreeSet<String> {
        let all: BTreeSet<String> =
            self.messages.iter().map(|message| message.id.clone()).collect();
        let InvocationResult::Answer(answer) = result else {
            return all;
        };
        let Some(items) = answer.get("batchItemFailures").and_then(Value::as_array) else {
            return BTreeSet::new();
        };
        let named: Option<BTreeSet<String>> =
            items.iter().map(|item| item["itemIdentifier"].as_str().map(str::to_owned)).collect();
        match named {
            Some(named) if named.is_subset(&all) => named,
            _ => all,
        }
    }
}
