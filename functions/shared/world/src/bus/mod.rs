//! Amazon EventBridge, as far as putting events goes. Delivers nothing; keeps everything.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::Value;

use crate::error::AwsError;
use crate::world::{Caller, World};

/// Everything that was put on any bus.
#[derive(Debug, Clone, Default)]
pub struct Bus {
    /// Oldest first.
    pub events: Vec<BusEvent>,
    /// How many entries the next calls refuse, one number a call, from the end
    /// of its entries. Calls beyond the list refuse none.
    pub refusals: VecDeque<usize>,
}

/// An event that the bus took.
#[derive(Debug, Clone, PartialEq)]
pub struct BusEvent {
    /// The id that EventBridge gave it.
    pub id: String,
    /// When it came.
    pub at: Timestamp,
    /// Who put it.
    pub caller: String,
    /// Name or ARN of the bus.
    pub bus: String,
    /// The envelope's `source`.
    pub source: String,
    /// The envelope's `detail-type`.
    pub detail_type: String,
    /// The detail.
    pub detail: Value,
    /// The envelope's `resources`.
    pub resources: Vec<String>,
}

/// One entry of `PutEvents`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PutEventsEntry {
    /// Name or ARN of the bus; the default bus when absent.
    pub bus: Option<String>,
    /// Source.
    pub source: String,
    /// Detail type.
    pub detail_type: String,
    /// Detail, a JSON object as text.
    pub detail: String,
    /// ARNs that the event concerns.
    pub resources: Vec<String>,
}

/// Why EventBridge did not take one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRefusal {
    /// Its code.
    pub code: String,
    /// Its words.
    pub message: String,
}

impl World {
    /// `PutEvents`. Answers one result an entry, in order: the event's id or the refusal.
    ///
    /// # Errors
    /// `ValidationException` for too many or too large entries; then none is taken.
    pub fn put_events(
        &mut self,
        caller: &Caller,
        entries: &[PutEventsEntry],
    ) -> Result<Vec<Result<String, EntryRefusal>>, AwsError> {
        if !(1..=10).contains(&entries.len()) {
            let rule = if entries.is_empty() {
                "greater than or equal to 1"
            } else {
                "less than or equal to 10"
            };
            return Err(validation(format!(
                "1 validation error detected: Value at 'entries' failed to satisfy constraint: \
                 Member must have length {rule}"
            )));
        }
        if entries.iter().map(size).sum::<usize>() >= self.settings.put_events_bytes {
            return Err(validation("Total size of the entries in the request is over the limit."));
        }
        let refused = self.bus.refusals.pop_front().unwrap_or(0);
        let taken = entries.len().saturating_sub(refused);
        Ok(entries
            .iter()
            .enumerate()
            .map(|(index, entry)| {
                if index >= taken {
                    return refuse("InternalFailure", "An internal failure occurred.".to_owned());
                }
                self.put_event(caller, entry)
            })
            .collect())
    }

    fn put_event(
        &mut self,
        caller: &Caller,
        entry: &PutEventsEntry,
    ) -> Result<String, EntryRefusal> {
        let required = [
            ("Source", &entry.source),
            ("DetailType", &entry.detail_type),
            ("Detail", &entry.detail),
        ];
        if let Some((name, _)) = required.iter().find(|(_, value)| value.is_empty()) {
            return refuse(
                "InvalidArgument",
                format!("Parameter {name} is not valid. Reason: {name} is a required argument."),
            );
        }
        if entry.source.starts_with("aws.") {
            return refuse(
                "NotAuthorizedForSourceException",
                format!("Not authorized for the source {}.", entry.source),
            );
        }
        let detail = match serde_json::from_str::<Value>(&entry.detail) {
            Ok(detail) if detail.is_object() => detail,
            _ => return refuse("MalformedDetail", "Detail is malformed.".to_owned()),
        };
        let id = self.random.uuid();
        self.bus.events.push(BusEvent {
            id: id.clone(),
            at: self.now,
            caller: caller.name.clone(),
            bus: entry.bus.clone().unwrap_or_else(|| "default".to_owned()),
            source: entry.source.clone(),
            detail_type: entry.detail_type.clone(),
            detail,
            resources: entry.resources.clone(),
        });
        Ok(id)
    }
}

/// As the user guide counts: the text of source, detail type, detail and
/// resources, and 14 bytes for a time (which nobody sends here).
fn size(entry: &PutEventsEntry) -> usize {
    entry.source.len()
        + entry.detail_type.len()
        + entry.detail.len()
        + entry.resources.iter().map(String::len).sum::<usize>()
}

fn refuse(code: &str, message: String) -> Result<String, EntryRefusal> {
    Err(EntryRefusal { code: code.to_owned(), message })
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "ValidationException", message)
}
