//! JSON Schemas of the contract, generated from its types.
//!
//! Each describes a whole envelope, in draft 4 of JSON Schema: of all drafts
//! EventBridge's schema registry takes that one alone.

use std::fs;
use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::{
    ClusterRegistered, ClusterRetired, DriftCorrected, Envelope, MAX_EVENT_ID_CHARS,
    MAX_REMARK_CHARS, MAX_SESSION_POLICY_CHARS, NodeRolePolicyChanged,
    PodIdentityAssociationBlocked, PodIdentityAssociationReady, PodIdentityAssociationRemoved,
    ReconciliationRequested, SCHEMA_VERSION, ServiceAccountDeactivated,
    ServiceAccountEventRejected, ServiceAccountEventSuperseded, ServiceAccountRoleAssigned,
    ServiceAccountRoleUnassigned, StalePodEvicted, StalePodReported, SweepRequested, detail_type,
    source,
};

#[cfg(test)]
mod tests;

/// The schema of one event type.
#[derive(Debug, Clone, PartialEq)]
pub struct EventSchema {
    /// The envelope's `source`.
    pub source: &'static str,
    /// The envelope's `detail-type`.
    pub detail_type: &'static str,
    /// The schema of the envelope, draft 4.
    pub schema: Value,
}

impl EventSchema {
    /// Name of its file: the detail type in kebab case, `.json`.
    #[must_use]
    pub fn file_name(&self) -> String {
        let kebab = self.detail_type.to_lowercase().replace(' ', "-");
        format!("{kebab}.json")
    }

    /// What its file holds.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}\n", self.schema)
    }
}

/// Every event type's schema.
#[must_use]
pub fn all() -> Vec<EventSchema> {
    macro_rules! events {
        ($($source:ident $kind:ident $body:ty,)*) => {
            vec![$(event::<$body>(source::$source, detail_type::$kind)),*]
        };
    }
    events![
        AUTOMATION ROLE_ASSIGNED ServiceAccountRoleAssigned,
        AUTOMATION ROLE_UNASSIGNED ServiceAccountRoleUnassigned,
        AUTOMATION DEACTIVATED ServiceAccountDeactivated,
        ADMINISTRATION CLUSTER_REGISTERED ClusterRegistered,
        ADMINISTRATION CLUSTER_RETIRED ClusterRetired,
        POD_IDENTITY ASSOCIATION_READY PodIdentityAssociationReady,
        POD_IDENTITY ASSOCIATION_REMOVED PodIdentityAssociationRemoved,
        POD_IDENTITY ASSOCIATION_BLOCKED PodIdentityAssociationBlocked,
        POD_IDENTITY NODE_ROLE_POLICY_CHANGED NodeRolePolicyChanged,
        POD_IDENTITY STALE_POD_EVICTED StalePodEvicted,
        POD_IDENTITY STALE_POD_REPORTED StalePodReported,
        POD_IDENTITY DRIFT_CORRECTED DriftCorrected,
        POD_IDENTITY EVENT_REJECTED ServiceAccountEventRejected,
        POD_IDENTITY EVENT_SUPERSEDED ServiceAccountEventSuperseded,
        POD_IDENTITY RECONCILIATION_REQUESTED ReconciliationRequested,
        POD_IDENTITY SWEEP_REQUESTED SweepRequested,
    ]
}

/// What in a folder is not as [`all`] would write it, one line a file: changed, missing, or left
/// over.
#[must_use]
pub fn drift(folder: &Path) -> Vec<String> {
    let expected = all();
    let mut drift = Vec::new();
    for schema in &expected {
        let name = schema.file_name();
        match fs::read_to_string(folder.join(&name)) {
            Ok(text) if text == schema.text() => {}
            Ok(_) => drift.push(format!("{name} differs from its type")),
            Err(error) => drift.push(format!("{name} cannot be read: {error}")),
        }
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut left_over: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !expected.iter().any(|schema| schema.file_name() == *name))
        .collect();
    left_over.sort();
    drift.extend(left_over.iter().map(|name| format!("{name} belongs to no event type")));
    drift
}

fn event<T: JsonSchema>(source: &'static str, kind: &'static str) -> EventSchema {
    let mut envelope = root_schema::<Envelope>();
    let mut detail = root_schema::<T>();
    let definitions = detail.remove("definitions");
    for key in ["$schema", "title"] {
        detail.remove(key);
    }
    pin(&mut detail, "schemaVersion", json!({ "enum": [SCHEMA_VERSION] }));
    pin(&mut detail, "occurredAt", json!({ "format": "date-time" }));
    if source != source::POD_IDENTITY {
        bound_incoming(&mut detail);
    }

    envelope.insert("title".into(), kind.into());
    envelope.insert("description".into(), format!("`{kind}` from `{source}`.").into());
    pin(&mut envelope, "source", json!({ "enum": [source] }));
    pin(&mut envelope, "detail-type", json!({ "enum": [kind] }));
    if let Some(Value::Object(properties)) = envelope.get_mut("properties") {
        properties.insert("detail".into(), Value::Object(detail));
    }
    if let Some(mut definitions) = definitions {
        if let Some(Value::Object(account)) = definitions.get_mut("KubernetesServiceAccount") {
            bound_account(account);
        }
        envelope.insert("definitions".into(), definitions);
    }
    EventSchema { source, detail_type: kind, schema: sorted(Value::Object(envelope)) }
}

/// Draft 7 is draft 4 once `const` and the schema `true` are written in the older way.
fn root_schema<T: JsonSchema>() -> Map<String, Value> {
    let settings = SchemaSettings::draft07()
        .with(|settings| {
            settings.meta_schema = Some("http://json-schema.org/draft-04/schema#".into());
        })
        .with_transform(RecursiveTransform(|schema: &mut Schema| {
            if schema.as_bool() == Some(true) {
                *schema = Schema::default();
            }
            if let Some(value) = schema.remove("const") {
                schema.insert("enum".into(), Value::Array(vec![value]));
            }
            if let Some(Value::String(text)) = schema.get_mut("description") {
                *text = text.replace('\n', " ");
            }
        }));
    match settings.into_generator().into_root_schema_for::<T>().to_value() {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// Adds keywords to the schema of one property.
fn pin(schema: &mut Map<String, Value>, property: &str, keywords: Value) {
    let found = schema.get_mut("properties").and_then(|properties| properties.get_mut(property));
    if let (Some(Value::Object(found)), Value::Object(keywords)) = (found, keywords) {
        found.extend(keywords);
    }
}

/// The limits that the types cannot say.
fn bound_incoming(detail: &mut Map<String, Value>) {
    let event_id = json!({
        "minLength": 1,
        "maxLength": MAX_EVENT_ID_CHARS,
        "pattern": "^[!-\"$-~]+$",
    });
    pin(detail, "eventId", event_id);
    pin(detail, "actor", json!({ "maxLength": MAX_REMARK_CHARS }));
    pin(detail, "reason", json!({ "maxLength": MAX_REMARK_CHARS }));
    pin(detail, "sessionPolicy", json!({ "maxLength": MAX_SESSION_POLICY_CHARS }));
}

/// The Kubernetes service accounts that no event can name.
fn bound_account(account: &mut Map<String, Value>) {
    let refused = json!({ "type": "string", "pattern": "^(default|run-[0-9a-f]{24})$" });
    pin(account, "serviceAccount", json!({ "not": refused }));
}

/// Orders the keys, whether or not some crate of the build switched on `serde_json/preserve_order`.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            pairs.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}
