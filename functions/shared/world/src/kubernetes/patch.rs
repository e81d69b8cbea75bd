//! Merge patches: what `kubectl label`, `annotate` and `edit` send.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::fields::{self, Manager, Path};
use super::pods::is_terminating;
use super::store::Key;
use super::{ApiStatus, KubernetesCluster, KubernetesRequest, Moment, Reply, Resource};

impl KubernetesCluster {
    pub(super) fn merge(&mut self, request: &KubernetesRequest, moment: &Moment<'_>) -> Reply {
        let key = Key::of(request);
        let found = self.objects.get(&key).map(Arc::clone).ok_or_else(|| key.not_found())?;
        if !request.body.is_object() {
            return Err(ApiStatus::bad_request("the body is no patch"));
        }
        let mut object = found.as_ref().clone();
        merge(&mut object, &request.body);
        // What the server alone decides stays.
        for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            let value = found["metadata"][field].clone();
            if !value.is_null() {
                object["metadata"][field] = value;
            }
        }
        self.fill_defaults(&key, &mut object)?;
        if object == *found {
            return Ok((200, object));
        }
        if request.resource == Resource::Mutations {
            let manager = request.parameter("fieldManager").unwrap_or(moment.user);
            let (then, now) = (fields::leaves(&found), fields::leaves(&object));
            let changed = now.iter().filter(|(path, value)| then.get(*path) != Some(*value));
            let changed: BTreeSet<Path> = changed.map(|(path, _)| path.clone()).collect();
            let gone = then.keys().filter(|path| !now.contains_key(*path));
            let gone: BTreeSet<Path> = gone.cloned().collect();
            let mut managers = fields::read(&found);
            // Who changes a field takes it from everybody else.
            for one in &mut managers {
                one.paths.retain(|path| !changed.contains(path) && !gone.contains(path));
            }
            match managers.iter_mut().find(|one| one.is(manager, "Update")) {
                Some(own) => own.paths.extend(changed),
                None => managers.push(Manager::new(manager, "Update", moment.now, changed)),
            }
            fields::write(&mut object, &managers);
        }
        let finalizers =
            object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty());
        if is_terminating(&object) && key.resource != Resource::Pods && !finalizers {
            self.take(&key);
            return Ok((200, object));
        }
        let object = self.put(key.clone(), object);
        Ok((200, self.shown(&key, &object)))
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Some(target) = target.as_object_mut() {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                merge(target.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
    }
}
