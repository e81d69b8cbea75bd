//! The outcome of the records of an invocation that asks for something, one by one, and what
//! Lambda is told of it.

use jiff::Timestamp;
use pod_identity_core::ClusterArn;
use pod_identity_engine::{Error, Record};
use serde_json::{Value, json};

use crate::not_finished::NotFinished;
use crate::payload::{Payload, batch_answer};

/// The outcome of each record, in words. An error is delivered again.
#[derive(Debug, Default)]
pub struct Answers(Vec<(String, Result<String, Error>)>);

impl Answers {
    /// Notes the outcome of a record, perhaps about one cluster, and logs it. What ends by itself is no error.
    pub fn note(
        &mut self,
        record: &Record,
        cluster: Option<&ClusterArn>,
        said: Result<String, Error>,
    ) {
        let (message_id, cluster) = (record.id.as_str(), cluster.map(ClusterArn::name));
        match &said {
            Ok(text) => tracing::info!(message_id, cluster, text, "request processed"),
            Err(why) if why.waits_until().is_some() => {
                tracing::warn!(message_id, cluster, %why, "request waits");
            }
            Err(why) => tracing::error!(message_id, cluster, %why, "request failed"),
        }
        self.0.push((record.id.clone(), said));
    }

    /// How many records wait for what ends by itself.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let failed = self.0.iter().filter_map(|(_, said)| said.as_ref().err());
        failed.filter(|why| why.waits_until().is_some()).count()
    }

    /// What Lambda gets: of a batch the messages to deliver again, of a single record what
    /// `single` makes of the words. A single record that waits is answered with when to ask again: to whoever
    /// invokes by hand it is no error.
    ///
    /// # Errors
    /// Why a single record failed, which makes Lambda deliver it again.
    pub fn answer(
        mut self,
        payload: &Payload,
        single: impl FnOnce(String) -> Value,
    ) -> Result<Value, NotFinished> {
        if let Payload::Batch(_) = payload {
            let failed = self.0.iter().filter(|(_, said)| said.is_err());
            return Ok(batch_answer(failed.map(|(id, _)| id.as_str())));
        }
        let last = self.0.pop().map(|(_, said)| said);
        let lost = || Err("the request was not processed; send it again".into());
        match last.unwrap_or_else(lost) {
            Ok(said) => Ok(single(said)),
            Err(Error::Waits { why, until }) => Ok(waits(&why, until)),
            Err(why) => Err(NotFinished(why.to_string())),
        }
    }
}

/// What is answered to whoever has to ask again.
#[must_use]
pub fn waits(why: &str, until: Timestamp) -> Value {
    // Whole seconds, rounded up.
    let at = Timestamp::from_second(until.as_second().saturating_add(1)).unwrap_or(until);
    json!({ "text": format!("not done yet: {why}; ask again after {at}"), "askAgainAt": at.to_string() })
}
