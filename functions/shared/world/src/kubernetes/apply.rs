//! Server-side apply.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::create::{check_kind, check_name};
use super::fields::{self, Manager, Path};
use super::store::Key;
use super::{ApiStatus, KubernetesCluster, KubernetesRequest, Moment, Reply, Resource};

impl KubernetesCluster {
    pub(super) fn apply(&mut self, request: &KubernetesRequest, moment: &Moment<'_>) -> Reply {
        let (resource, wanted) = (request.resource, &request.body);
        if !matches!(resource, Resource::Mutations | Resource::ServiceAccounts) {
            let words = "this Kubernetes applies Mutations and service accounts only";
            return Err(ApiStatus::new(415, "UnsupportedMediaType", words));
        }
        let Some(manager) = request.parameter("fieldManager") else {
            let words = "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: \
                         is required for apply patch";
            return Err(ApiStatus::new(422, "Invalid", words));
        };
        check_kind(resource, wanted)?;
        let metadata = &wanted["metadata"];
        if metadata["managedFields"].as_array().is_some_and(|fields| !fields.is_empty()) {
            return Err(ApiStatus::bad_request("metadata.managedFields must be nil"));
        }
        let key = Key::of(request);
        if metadata["name"].as_str().is_some_and(|name| name != key.name) {
            let words = "the name of the object does not match the name on the URL";
            return Err(ApiStatus::bad_request(words));
        }
        if metadata["namespace"].as_str().is_some_and(|namespace| namespace != key.namespace) {
            let words = "the namespace of the object does not match the namespace on the URL";
            return Err(ApiStatus::bad_request(words));
        }
        check_name(&key)?;
        let leaves = fields::leaves(wanted);
        let paths: BTreeSet<Path> = leaves.keys().cloned().collect();
        let own = Manager::new(manager, "Apply", moment.now, paths);
        let Some(found) = self.objects.get(&key).map(Arc::clone) else {
            let mut object = wanted.clone();
            self.fill_defaults(&key, &mut object)?;
            object["apiVersion"] = resource.api_version().into();
            fields::write(&mut object, &[own]);
            return self.insert(key, object, moment).map(|object| (201, object));
        };

        for field in ["uid", "resourceVersion"] {
            if metadata[field].is_string() && metadata[field] != found["metadata"][field] {
                let why = "the object has been modified; please apply your changes to the latest \
                           version and try again";
                return Err(ApiStatus::conflict(resource, &key.name, why));
            }
        }
        let mut managers = fields::read(&found);
        let conflicts = conflicts(&managers, manager, wanted, &found, &own.paths);
        if !conflicts.is_empty() && request.parameter("force") != Some("true") {
            return Err(conflict(&managers, &conflicts));
        }
        for (index, path) in &conflicts {
            managers[*index].paths.remove(path);
        }
        let (before, others): (Vec<_>, Vec<_>) =
            managers.iter().partition(|one| one.is(manager, "Apply"));
        let mut object = found.as_ref().clone();
        for path in before.iter().flat_map(|one| &one.paths) {
            let kept =
                own.paths.contains(path) || others.iter().any(|other| other.paths.contains(path));
            if !kept {
                fields::cut(&mut object, path);
            }
        }
        for (path, value) in leaves {
            fields::set(&mut object, &path, value);
        }
        self.fill_defaults(&key, &mut object)?;
        let unchanged = before.iter().any(|before| before.paths == own.paths)
            && conflicts.is_empty()
            && object == *found;
        if unchanged {
            return Ok((200, object));
        }
        let managers: Vec<Manager> = others.into_iter().cloned().chain([own]).collect();
        fields::write(&mut object, &managers);
        Ok((200, self.put(key, object)))
    }
}

/// Fields that others own with another value than the wanted one: whose, by their place, and which.
fn conflicts(
    managers: &[Manager],
    manager: &str,
    wanted: &Value,
    found: &Value,
    paths: &BTreeSet<Path>,
) -> Vec<(usize, Path)> {
    let mut conflicts = Vec::new();
    for (index, other) in managers.iter().enumerate() {
        if other.is(manager, "Apply") {
            continue;
        }
        for path in &other.paths {
            let differs = |own: &Path| {
                let shorter = if own.len() < path.len() { own } else { path };
                fields::find(wanted, shorter) != fields::find(found, shorter)
            };
            if paths.iter().any(|own| fields::overlap(own, path) && differs(own)) {
                conflicts.push((index, path.clone()));
            }
        }
    }
    conflicts
}

fn conflict(managers: &[Manager], conflicts: &[(usize, Path)]) -> ApiStatus {
    let version = Resource::Mutations.api_version();
    let words: Vec<(String, String)> = conflicts
        .iter()
        .map(|(index, path)| {
            let words = format!("conflict with \"{}\" using {version}", managers[*index].name);
            (words, fields::dotted(path))
        })
        .collect();
    let listed: Vec<String> =
        words.iter().map(|(words, field)| format!("{words}: {field}")).collect();
    let noun = if words.len() == 1 { "conflict" } else { "conflicts" };
    let message = format!("Apply failed with {} {noun}: {}", words.len(), listed.join(", "));
    let status = ApiStatus::new(409, "Conflict", message);
    words.iter().fold(status, |status, (words, field)| {
        status.cause("FieldManagerConflict", words, Some(field))
    })
}
