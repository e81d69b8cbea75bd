//! The objects, and what they were a while ago.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ApiStatus, KubernetesCluster, KubernetesRequest, Resource, time};

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) resource: Resource,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What an object was before a change; none when it was not there.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: Key,
    pub(super) before: Option<Arc<Value>>,
}

impl Key {
    pub(super) fn new(resource: Resource, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    pub(super) fn of(request: &KubernetesRequest) -> Self {
        Self::new(request.resource, request.namespace(), request.object_name())
    }

    pub(super) fn not_found(&self) -> ApiStatus {
        ApiStatus::not_found(self.resource, &self.name)
    }
}

impl KubernetesCluster {
    /// The objects of a resource, of one namespace or all.
    pub(super) fn range(
        &self,
        resource: Resource,
        namespace: Option<&str>,
    ) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        let start = Key::new(resource, namespace.unwrap_or_default(), "");
        let namespace = namespace.map(str::to_owned);
        self.objects.range(start..).take_while(move |(key, _)| {
            key.resource == resource && namespace.as_ref().is_none_or(|one| *one == key.namespace)
        })
    }

    /// The same as it was at an earlier version; none when that is too long ago.
    pub(super) fn range_at(
        &self,
        resource: Resource,
        namespace: Option<&str>,
        version: u64,
    ) -> Option<BTreeMap<Key, Arc<Value>>> {
        let since = self.version.checked_sub(version)?;
        if since > self.settings.tokens_survive as u64 || since > self.changes.len() as u64 {
            return None;
        }
        let now = self.range(resource, namespace);
        let mut then: BTreeMap<Key, Arc<Value>> =
            now.map(|(key, value)| (key.clone(), Arc::clone(value))).collect();
        for change in self.changes.iter().rev().take_while(|change| change.version > version) {
            let key = &change.key;
            if key.resource != resource || namespace.is_some_and(|one| one != key.namespace) {
                continue;
            }
            match &change.before {
                Some(before) => then.insert(key.clone(), Arc::clone(before)),
                None => then.remove(key),
            };
        }
        Some(then)
    }

    /// Stores an object under the next version, and answers it.
    pub(super) fn put(&mut self, key: Key, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let before = self.objects.insert(key.clone(), Arc::new(object.clone()));
        self.note(key, before);
        object
    }

    pub(super) fn take(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.starting.remove(key);
        self.ending.remove(key);
        self.version += 1;
        self.note(key.clone(), Some(Arc::clone(&before)));
        Some(before)
    }

    fn note(&mut self, key: Key, before: Option<Arc<Value>>) {
        self.changes.push_back(Change { version: self.version, key, before });
        while self.changes.len() > self.settings.tokens_survive {
            self.changes.pop_front();
        }
    }

    /// Stores a new object with what the server gives it.
    pub(super) fn put_new(&mut self, key: Key, mut object: Value, now: Timestamp) -> Value {
        object["apiVersion"] = json!(key.resource.api_version());
        object["kind"] = json!(key.resource.kind());
        let metadata = &mut object["metadata"];
        metadata["name"] = json!(key.name);
        if key.resource.is_namespaced() {
            metadata["namespace"] = json!(key.namespace);
        }
        metadata["uid"] = json!(self.random.uuid());
        metadata["creationTimestamp"] = time(now);
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.remove("deletionTimestamp");
            metadata.remove("deletionGracePeriodSeconds");
        }
        self.put(key, object)
    }

    /// Stores a namespace, with the service account that Kubernetes makes in each.
    pub(super) fn put_namespace(&mut self, name: &str, mut object: Value, now: Timestamp) -> Value {
        object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
        object["spec"] = json!({ "finalizers": ["kubernetes"] });
        object["status"] = json!({ "phase": "Active" });
        let namespace = self.put_new(Key::new(Resource::Namespaces, "", name), object, now);
        let key = Key::new(Resource::ServiceAccounts, name, "default");
        self.put_new(key, json!({ "metadata": {} }), now);
        namespace
    }
}
