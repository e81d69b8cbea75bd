//! Lists: selectors, and pages of one consistent snapshot.

use serde_json::{Value, json};

use super::selector::Selector;
use super::store::Key;
use super::{ApiStatus, KubernetesCluster, KubernetesRequest, Reply, Resource};
use crate::paging;

/// Where a list goes on: behind a key, in the snapshot of a version; the newest when absent.
struct Continue {
    version: Option<u64>,
    after: Key,
}

impl Continue {
    fn token(&self) -> String {
        let version = self.version.map(|version| version.to_string()).unwrap_or_default();
        paging::encode(&format!("{version}/{}/{}", self.after.namespace, self.after.name))
    }

    fn read(token: &str, resource: Resource) -> Option<Self> {
        let text = paging::decode(token)?;
        let [version, namespace, name] = text.split('/').collect::<Vec<_>>().try_into().ok()?;
        let version = match version {
            "" => None,
            version => Some(version.parse().ok()?),
        };
        Some(Self { version, after: Key::new(resource, namespace, name) })
    }
}

impl KubernetesCluster {
    pub(super) fn list(&self, request: &KubernetesRequest) -> Reply {
        let resource = request.resource;
        if request.parameter("watch").is_some_and(|watch| watch != "false" && watch != "0") {
            return Err(ApiStatus::bad_request("this Kubernetes has no watches"));
        }
        let labels = Selector::parse(request.parameter("labelSelector").unwrap_or_default())
            .map_err(ApiStatus::bad_request)?;
        let fields = FieldSelector::of(request)?;
        let asked = request.parameter("resourceVersion").unwrap_or_default();
        let limit = match request.parameter("limit").unwrap_or("0").parse::<usize>() {
            // From the watch cache: the real server then gives everything at once.
            Ok(_) if asked == "0" => usize::MAX,
            Ok(0) => usize::MAX,
            Ok(limit) => limit,
            Err(_) => return Err(ApiStatus::bad_request("limit is no number")),
        };
        let from = match request.parameter("continue") {
            Some(_) if !matches!(asked, "" | "0") => {
                let words = "specifying resource version is not allowed when using continue";
                return Err(ApiStatus::bad_request(words));
            }
            Some(token) => Some(Continue::read(token, resource).ok_or_else(|| {
                ApiStatus::bad_request("continue key is not valid: it was not given out here")
            })?),
            None => None,
        };
        let version = from.as_ref().and_then(|from| from.version).unwrap_or(self.version);
        let namespace = request.namespace.as_deref();
        let snapshot = self.range_at(resource, namespace, version).ok_or_else(|| {
            let after = from.as_ref().map(|from| from.after.clone());
            expired(after.map(|after| Continue { version: None, after }.token()))
        })?;
        let after = from.map(|from| from.after);
        let mut rest = snapshot
            .iter()
            .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
            .filter(|(_, object)| labels.fits(object) && fields.fits(object));
        let (mut items, mut last) = (Vec::new(), None);
        for (key, object) in rest.by_ref().take(limit) {
            items.push(self.shown(key, object));
            last = Some(key.clone());
        }
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        let remaining = rest.count();
        if let Some(after) = last.filter(|_| remaining > 0) {
            metadata["continue"] = json!(Continue { version: Some(version), after }.token());
            // How many a selector would admit is not counted.
            if labels.is_empty() && fields.0.is_empty() {
                metadata["remainingItemCount"] = json!(remaining);
            }
        }
        // In a list of a built-in resource the items carry no kind; those of a custom one do.
        if resource != Resource::Mutations {
            for item in &mut items {
                if let Some(item) = item.as_object_mut() {
                    item.remove("apiVersion");
                    item.remove("kind");
                }
            }
        }
        let kind = format!("{}List", resource.kind());
        let list = json!({
            "kind": kind,
            "apiVersion": resource.api_version(),
            "metadata": metadata,
            "items": items,
        });
        Ok((200, list))
    }
}

fn expired(token: Option<String>) -> ApiStatus {
    let mut status = ApiStatus::new(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can \
         start a new list without the continue parameter, or use the continue token in this \
         response to retrieve the remainder of the results. Continuing with the provided token \
         results in an inconsistent list - objects that were created, modified, or deleted between \
         the time the first chunk was returned and now may show up in the list.",
    );
    status.continue_token = token;
    status
}

/// Fields and whether they must have a value, or must not.
struct FieldSelector(Vec<(String, bool, String)>);

impl FieldSelector {
    fn of(request: &KubernetesRequest) -> Result<Self, ApiStatus> {
        let text = request.parameter("fieldSelector").unwrap_or_default();
        let parts = text.split(',').filter(|part| !part.is_empty());
        let parts: Result<Vec<_>, _> = parts.map(|part| read(part, request.resource)).collect();
        parts.map(Self)
    }

    fn fits(&self, object: &Value) -> bool {
        self.0.iter().all(|(field, equal, value)| {
            let pointer = format!("/{}", field.replace('.', "/"));
            let found = object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default();
            (found == value) == *equal
        })
    }
}

fn read(part: &str, resource: Resource) -> Result<(String, bool, String), ApiStatus> {
    let (field, equal, value) = if let Some((field, value)) = part.split_once("!=") {
        (field, false, value)
    } else if let Some((field, value)) = part.split_once("==").or(part.split_once('=')) {
        (field, true, value)
    } else {
        let words = format!("invalid selector: '{part}'; can't understand '{part}'");
        return Err(ApiStatus::bad_request(words));
    };
    let of_pods = ["spec.nodeName", "spec.serviceAccountName", "status.phase"];
    match field {
        "metadata.name" | "metadata.namespace" => {}
        field if resource == Resource::Pods && of_pods.contains(&field) => {}
        field => {
            let words = format!("field label not supported: {field}");
            return Err(ApiStatus::bad_request(words));
        }
    }
    Ok((field.to_owned(), equal, value.to_owned()))
}
