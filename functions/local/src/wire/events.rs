//! EventBridge: `PutEvents` in JSON.

use pod_identity_world::{AwsError, Caller, PutEventsEntry, World};
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::Request;

pub(super) struct Entries(Vec<PutEventsEntry>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    #[serde(default)]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Entry {
    event_bus_name: Option<String>,
    source: String,
    detail_type: String,
    detail: String,
    resources: Vec<String>,
}

impl Entries {
    pub(super) fn route(request: &Request) -> Result<Self, AwsError> {
        match request.target() {
            Some("PutEvents") => {}
            other => {
                return Err(AwsError::new(
                    400,
                    "UnknownOperationException",
                    format!("{} is not part of this AWS", other.unwrap_or("no operation")),
                ));
            }
        }
        let body: Body = serde_json::from_slice(&request.body)
            .map_err(|error| AwsError::new(400, "SerializationException", error.to_string()))?;
        let entry = |entry: Entry| PutEventsEntry {
            bus: entry.event_bus_name,
            source: entry.source,
            detail_type: entry.detail_type,
            detail: entry.detail,
            resources: entry.resources,
        };
        Ok(Self(body.entries.into_iter().map(entry).collect()))
    }

    pub(super) fn object(&self) -> String {
        let types: Vec<&str> = self.0.iter().map(|entry| entry.detail_type.as_str()).collect();
        types.join(", ")
    }

    pub(super) fn perform(&self, world: &mut World, caller: &Caller) -> Result<Value, AwsError> {
        let answers = world.put_events(caller, &self.0)?;
        let failed = answers.iter().filter(|answer| answer.is_err()).count();
        let entries: Vec<Value> = answers
            .into_iter()
            .map(|answer| match answer {
                Ok(id) => json!({"EventId": id}),
                Err(refusal) => {
                    json!({"ErrorCode": refusal.code, "ErrorMessage": refusal.message})
                }
            })
            .collect();
        Ok(json!({"FailedEntryCount": failed, "Entries": entries}))
    }
}
