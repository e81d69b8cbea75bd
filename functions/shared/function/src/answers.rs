//! What became of the records of an invocation that asks for something, one by one, and what
//! Lambda is told of it.

use pod_identity_engine::Record;
use serde_json::Value;

use crate::payload::{Payload, batch_answer};

/// What became of each record, in words. An error is delivered again.
#[derive(Debug, Default)]
pub struct Answers(Vec<(String, Result<String, String>)>);

impl Answers {
    /// Notes what became of a record, and logs it.
    pub fn note(&mut self, record: &Record, said: Result<String, String>) {
        match &said {
            Ok(text) => tracing::info!(message_id = record.id, text, "request processed"),
            Err(why) => tracing::error!(message_id = record.id, why, "request failed"),
        }
        self.0.push((record.id.clone(), said));
    }

    /// What Lambda is told: of a batch the messages to deliver again, of a single record what
    /// `single` makes of the words.
    ///
    /// # Errors
    /// Why a single record failed, which makes Lambda deliver it again.
    pub fn answer(
        mut self,
        payload: &Payload,
        single: impl FnOnce(String) -> Value,
    ) -> Result<Value, String> {
        if let Payload::Batch(_) = payload {
            let failed = self.0.iter().filter(|(_, said)| said.is_err());
            return Ok(batch_answer(failed.map(|(id, _)| id.as_str())));
        }
        let last = self.0.pop().map(|(_, said)| said);
        let lost = || Err("the request was not processed; send it again".to_owned());
        last.unwrap_or_else(lost).map(single)
    }
}
