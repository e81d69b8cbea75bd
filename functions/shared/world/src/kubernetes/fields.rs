//! Who owns which field: `managedFields`, as far as server-side apply needs them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::time;

/// The way to a field: names from the top. Lists are one field each, as in a custom resource
/// whose definition does not say otherwise.
pub(super) type Path = Vec<String>;

/// Of the metadata only these can be owned.
const OWNED_METADATA: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

/// What one manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manager {
    pub(super) name: String,
    /// `Apply` or `Update`.
    pub(super) operation: String,
    pub(super) time: Value,
    pub(super) paths: BTreeSet<Path>,
}

impl Manager {
    pub(super) fn new(name: &str, operation: &str, now: Timestamp, paths: BTreeSet<Path>) -> Self {
        Self { name: name.to_owned(), operation: operation.to_owned(), time: time(now), paths }
    }

    pub(super) fn is(&self, name: &str, operation: &str) -> bool {
        self.name == name && self.operation == operation
    }
}

/// The leaves of an object that can be owned, with their values.
pub(super) fn leaves(object: &Value) -> BTreeMap<Path, &Value> {
    let mut leaves = BTreeMap::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                for field in OWNED_METADATA {
                    if let Some(value) = value.get(field) {
                        collect(value, vec![name.clone(), field.to_owned()], &mut leaves);
                    }
                }
            }
            _ => collect(value, vec![name.clone()], &mut leaves),
        }
    }
    leaves
}

fn collect<'a>(value: &'a Value, path: Path, leaves: &mut BTreeMap<Path, &'a Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let mut path = path.clone();
                path.push(name.clone());
                collect(value, path, leaves);
            }
        }
        leaf => {
            leaves.insert(path, leaf);
        }
    }
}

pub(super) fn read(object: &Value) -> Vec<Manager> {
    let entries = object["metadata"]["managedFields"].as_array();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entry = |entry: &Value| {
        let mut paths = BTreeSet::new();
        unfold(&entry["fieldsV1"], &mut Vec::new(), &mut paths);
        Manager {
            name: text(&entry["manager"]),
            operation: text(&entry["operation"]),
            time: entry["time"].clone(),
            paths,
        }
    };
    entries.into_iter().flatten().map(entry).collect()
}

fn unfold(fields: &Value, path: &mut Path, paths: &mut BTreeSet<Path>) {
    match fields.as_object() {
        Some(fields) if !fields.is_empty() => {
            for (name, inner) in fields {
                path.push(name.strip_prefix("f:").unwrap_or(name).to_owned());
                unfold(inner, path, paths);
                path.pop();
            }
        }
        _ if path.is_empty() => {}
        _ => {
            paths.insert(path.clone());
        }
    }
}

pub(super) fn write(object: &mut Value, managers: &[Manager]) {
    let version = object["apiVersion"].clone();
    let entries = managers.iter().filter(|manager| !manager.paths.is_empty()).map(|manager| {
        let mut fields = Value::Object(Map::new());
        for path in &manager.paths {
            let mut at = &mut fields;
            for name in path {
                at = &mut at[format!("f:{name}")];
            }
            if at.is_null() {
                *at = json!({});
            }
        }
        json!({
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": version,
            "time": manager.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        })
    });
    object["metadata"]["managedFields"] = entries.collect();
}

/// Makes one manager the owner of everything in a new object.
pub(super) fn own_all(object: &mut Value, manager: &str, now: Timestamp) {
    let paths = leaves(object).into_keys().collect();
    write(object, &[Manager::new(manager, "Update", now, paths)]);
}

/// `.rules` or `.metadata.labels.a`.
pub(super) fn dotted(path: &[String]) -> String {
    path.iter().map(|name| format!(".{name}")).collect()
}

pub(super) fn find<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |at, name| at.get(name))
}

/// Takes a field out, and what is empty without it.
pub(super) fn cut(object: &mut Value, path: &[String]) {
    let Some((name, rest)) = path.split_first() else { return };
    let Some(fields) = object.as_object_mut() else { return };
    if rest.is_empty() {
        fields.remove(name);
        return;
    }
    if let Some(inner) = fields.get_mut(name) {
        cut(inner, rest);
        if name != "metadata" && inner.as_object().is_some_and(Map::is_empty) {
            fields.remove(name);
        }
    }
}

pub(super) fn set(object: &mut Value, path: &[String], value: &Value) {
    let mut at = object;
    for name in path {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[name.as_str()];
    }
    *at = value.clone();
}

/// Whether two fields are the same, or one contains the other.
pub(super) fn overlap(one: &[String], other: &[String]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}
