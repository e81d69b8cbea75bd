//! Creation, and what admission makes of an object.

use serde_json::{Value, json};

use super::pods::is_terminating;
use super::store::Key;
use super::webhook::inject;
use super::{ApiStatus, KubernetesCluster, KubernetesRequest, Moment, Reply, Resource};

/// Of a generated name's end: no vowels, no digits that look like letters.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl KubernetesCluster {
    pub(super) fn create(&mut self, request: &KubernetesRequest, moment: &Moment<'_>) -> Reply {
        let mut object = request.body.clone();
        check_kind(request.resource, &object)?;
        let key = self.new_key(request, &object)?;
        object["metadata"]["name"] = json!(key.name);
        self.fill_defaults(&key, &mut object)?;
        if request.resource == Resource::Mutations {
            let manager = request.parameter("fieldManager").unwrap_or(moment.user);
            super::fields::own_all(&mut object, manager, moment.now);
        }
        self.insert(key, object, moment).map(|object| (201, object))
    }

    /// Admits, checks and stores.
    pub(super) fn insert(
        &mut self,
        key: Key,
        mut object: Value,
        moment: &Moment<'_>,
    ) -> Result<Value, ApiStatus> {
        let (resource, now) = (key.resource, moment.now);
        let place = Key::new(Resource::Namespaces, "", &key.namespace);
        if resource.is_namespaced() {
            let namespace = self.objects.get(&place).ok_or_else(|| place.not_found())?;
            if is_terminating(namespace) {
                let namespace = &key.namespace;
                let why = format!(
                    "unable to create new content in namespace {namespace} because it is being terminated"
                );
                let cause = format!("namespace {namespace} is being terminated");
                let status = ApiStatus::forbidden(resource, &key.name, &why);
                return Err(status.cause(
                    "NamespaceTerminating",
                    &cause,
                    Some("metadata.namespace"),
                ));
            }
            self.check_quota(&key)?;
        }
        let template = object.clone();
        if resource == Resource::Pods {
            self.admit_pod(&key, &mut object, moment)?;
        }
        check_name(&key)?;
        check_labels(&key, &object)?;
        if self.objects.contains_key(&key) {
            return Err(ApiStatus::already_exists(resource, &key.name));
        }
        match resource {
            Resource::Namespaces => Ok(self.put_namespace(&key.name, object, now)),
            Resource::Pods => {
                check_containers(&key, &object)?;
                self.note_template(&key, template);
                Ok(self.put_pod(key, object, now))
            }
            _ => Ok(self.put_new(key, object, now)),
        }
    }

    /// A quota of objects, as `count/serviceaccounts` is one.
    fn check_quota(&self, key: &Key) -> Result<(), ApiStatus> {
        let plural = key.resource.plural();
        let quota = self.settings.quotas.get(&(key.namespace.clone(), plural.to_owned()));
        let used = self.all(key.resource, &key.namespace).count();
        match quota {
            Some(limit) if used >= *limit => {
                let why = format!(
                    "exceeded quota: quota, requested: count/{plural}=1, used: count/{plural}={used}, limited: count/{plural}={limit}"
                );
                Err(ApiStatus::forbidden(key.resource, &key.name, &why))
            }
            _ => Ok(()),
        }
    }

    fn new_key(&mut self, request: &KubernetesRequest, object: &Value) -> Result<Key, ApiStatus> {
        let metadata = &object["metadata"];
        if let Some(namespace) = metadata["namespace"].as_str()
            && namespace != request.namespace()
        {
            return Err(ApiStatus::bad_request(
                "the namespace of the provided object does not match the namespace sent on the \
                 request",
            ));
        }
        let name = match (metadata["name"].as_str(), metadata["generateName"].as_str()) {
            (Some(name), _) => name.to_owned(),
            (None, Some(start)) => self.generated_name(start),
            (None, None) => {
                let why = "Required value: name or generateName is required";
                return Err(ApiStatus::invalid(request.resource, "", "metadata.name", why));
            }
        };
        Ok(Key::new(request.resource, request.namespace(), &name))
    }

    pub(super) fn generated_name(&mut self, start: &str) -> String {
        self.random.id(start, ALPHABET, 5)
    }

    fn admit_pod(&self, key: &Key, pod: &mut Value, moment: &Moment<'_>) -> Result<(), ApiStatus> {
        let spec = &mut pod["spec"];
        if !spec.is_object() {
            let why = "Required value";
            return Err(ApiStatus::invalid(key.resource, &key.name, "spec.containers", why));
        }
        let account = spec["serviceAccountName"].as_str().unwrap_or("default").to_owned();
        let defaults = [
            ("serviceAccountName", json!(account)),
            ("serviceAccount", json!(account)),
            ("terminationGracePeriodSeconds", json!(30)),
            ("restartPolicy", json!("Always")),
            ("dnsPolicy", json!("ClusterFirst")),
            ("schedulerName", json!("default-scheduler")),
            ("enableServiceLinks", json!(true)),
        ];
        for (name, value) in defaults {
            if spec[name].is_null() {
                spec[name] = value;
            }
        }
        let place = Key::new(Resource::ServiceAccounts, &key.namespace, &account);
        let Some(found) = self.objects.get(&place) else {
            let namespace = &key.namespace;
            let why = format!(
                "error looking up service account {namespace}/{account}: serviceaccount \
                 \"{account}\" not found"
            );
            return Err(ApiStatus::forbidden(key.resource, &key.name, &why));
        };
        if self.settings.webhook {
            inject(pod, found, moment);
        }
        Ok(())
    }
}

pub(super) fn check_kind(resource: Resource, object: &Value) -> Result<(), ApiStatus> {
    let fits = |field: &str, wanted: &str| object[field].as_str().is_none_or(|one| one == wanted);
    let version = resource.api_version();
    if fits("apiVersion", &version) && fits("kind", resource.kind()) {
        return Ok(());
    }
    let found = format!("{}/{}", object["apiVersion"], object["kind"]);
    let wanted = format!("{version}, Kind={}", resource.kind());
    Err(ApiStatus::bad_request(format!("the object provided is a {found} and no {wanted}")))
}

/// Names are DNS subdomains.
pub(super) fn check_name(key: &Key) -> Result<(), ApiStatus> {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = key.name.as_bytes();
    let plain =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(byte);
    if bytes.len() <= 253 && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(plain) {
        return Ok(());
    }
    let why = format!(
        "Invalid value: \"{}\": a lowercase RFC 1123 subdomain must consist of lower case \
         alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        key.name
    );
    Err(ApiStatus::invalid(key.resource, &key.name, "metadata.name", &why))
}

/// Values of labels: at most 63 letters, digits and `-_.`, an alphanumeric character at both ends, or nothing.
fn check_labels(key: &Key, object: &Value) -> Result<(), ApiStatus> {
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    for value in object["metadata"]["labels"].as_object().into_iter().flat_map(|all| all.values()) {
        let bytes = value.as_str().unwrap_or_default().as_bytes();
        let fits = bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last());
        if !fits || !bytes.iter().all(plain) {
            let why = format!(
                "Invalid value: {value}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
            );
            return Err(ApiStatus::invalid(key.resource, &key.name, "metadata.labels", &why));
        }
    }
    Ok(())
}

fn check_containers(key: &Key, pod: &Value) -> Result<(), ApiStatus> {
    let wrong =
        |field: &str, why: &str| Err(ApiStatus::invalid(key.resource, &key.name, field, why));
    let containers = pod["spec"]["containers"].as_array();
    let Some(containers) = containers.filter(|containers| !containers.is_empty()) else {
        return wrong("spec.containers", "Required value");
    };
    for (index, container) in containers.iter().enumerate() {
        for field in ["name", "image"] {
            if container[field].as_str().is_none_or(str::is_empty) {
                return wrong(&format!("spec.containers[{index}].{field}"), "Required value");
            }
        }
    }
    Ok(())
}
