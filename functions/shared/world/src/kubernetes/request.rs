//! Requests to the Kubernetes API, as far as it understands them.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{ApiStatus, Resource};

const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What is to be done, as RBAC names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a page of objects.
    List,
    /// Make an object; of the subresource `eviction`, evict.
    Create,
    /// Delete an object.
    Delete,
    /// Change an object: server-side apply or a merge patch.
    Patch,
}

impl Verb {
    /// As in RBAC.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Patch => "patch",
        }
    }
}

/// How a patch is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/apply-patch+yaml`, in JSON.
    Apply,
    /// `application/merge-patch+json`, and `application/strategic-merge-patch+json` of what has
    /// no lists.
    Merge,
}

/// A request that is understood.
#[derive(Debug, Clone, PartialEq)]
pub struct KubernetesRequest {
    /// What is to be done.
    pub verb: Verb,
    /// On objects of which resource.
    pub resource: Resource,
    /// Whether it is the subresource `eviction` of a pod.
    pub eviction: bool,
    /// Namespace; none for all, and for what is in none.
    pub namespace: Option<String>,
    /// Name of the object; none for a list or a creation.
    pub name: Option<String>,
    /// Query parameters, decoded.
    pub query: Vec<(String, String)>,
    /// How a patch is meant.
    pub patch: PatchKind,
    /// Body; null for none.
    pub body: Value,
}

impl KubernetesRequest {
    /// A request without name, query and body.
    #[must_use]
    pub fn new(verb: Verb, resource: Resource, namespace: Option<&str>) -> Self {
        Self {
            verb,
            resource,
            eviction: false,
            namespace: namespace.map(str::to_owned),
            name: None,
            query: Vec::new(),
            patch: PatchKind::Apply,
            body: Value::Null,
        }
    }

    /// Names the object.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn with(mut self, parameter: &str, value: impl ToString) -> Self {
        self.query.push((parameter.to_owned(), value.to_string()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = body;
        self
    }

    /// Reads a request from its HTTP method, the decoded segments of its path, its decoded query,
    /// its content type and its body.
    ///
    /// # Errors
    /// 400, 404, 405 or 415 when the API has no such request.
    pub fn parse(
        method: &str,
        segments: &[String],
        query: Vec<(String, String)>,
        content_type: &str,
        body: &[u8],
    ) -> Result<Self, ApiStatus> {
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(ApiStatus::page_not_found()),
        };
        let (namespace, plural, rest) = match rest {
            ["namespaces"] => (None, "namespaces", &[][..]),
            ["namespaces", _] => (None, "namespaces", &rest[1..]),
            ["namespaces", namespace, plural, rest @ ..] => (Some(*namespace), *plural, rest),
            [plural, rest @ ..] => (None, *plural, rest),
            [] => return Err(ApiStatus::no_such_resource()),
        };
        if !Resource::ALL.iter().any(|known| known.group() == group && known.version() == version) {
            return Err(ApiStatus::page_not_found());
        }
        let resource = Resource::ALL
            .into_iter()
            .find(|known| known.group() == group && known.plural() == plural)
            .filter(|known| known.is_namespaced() || namespace.is_none())
            .ok_or_else(ApiStatus::no_such_resource)?;
        let (name, eviction) = match rest {
            [] => (None, false),
            [name] => (Some(*name), false),
            [name, "eviction"] if resource == Resource::Pods => (Some(*name), true),
            _ => return Err(ApiStatus::no_such_resource()),
        };
        let verb = match (method, name.is_some(), eviction) {
            ("GET", true, false) => Verb::Get,
            ("GET", false, false) => Verb::List,
            ("POST", false, false) | ("POST", true, true) => Verb::Create,
            ("DELETE", true, false) => Verb::Delete,
            ("PATCH", true, false) => Verb::Patch,
            _ => {
                let words = "the server does not allow this method on the requested resource";
                return Err(ApiStatus::new(405, "MethodNotAllowed", words));
            }
        };
        if name.is_some() && resource.is_namespaced() && namespace.is_none() {
            return Err(ApiStatus::no_such_resource());
        }
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        // A custom resource has no strategic merge, and a patch says which kind it is.
        let is_custom = resource == Resource::Mutations;
        let patch = match content_type {
            "application/merge-patch+json" => PatchKind::Merge,
            "application/strategic-merge-patch+json" if !is_custom => PatchKind::Merge,
            "application/apply-patch+yaml" => PatchKind::Apply,
            "" | "application/json" if verb != Verb::Patch => PatchKind::Apply,
            other => {
                let words = format!("the body of the request was in an unknown format: {other}");
                return Err(ApiStatus::new(415, "UnsupportedMediaType", words));
            }
        };
        let body = match body {
            [] => Value::Null,
            body => serde_json::from_slice(body).map_err(|error| {
                ApiStatus::bad_request(format!("cannot read the body: {error}"))
            })?,
        };
        Ok(Self {
            verb,
            resource,
            eviction,
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            query,
            patch,
            body,
        })
    }

    /// Verb and resource, such as `create pods/eviction`: the operation in [`crate::Call`].
    #[must_use]
    pub fn operation(&self) -> String {
        format!("{} {}", self.verb.name(), self.rbac_resource())
    }

    /// Path and query, as they go over the wire: the object in [`crate::Call`], with the
    /// cluster's name.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = match self.resource.group() {
            "" => format!("/api/{}", self.resource.version()),
            group => format!("/apis/{group}/{}", self.resource.version()),
        };
        let mut push = |segment: &str| {
            // Writing to a String cannot fail.
            let _ = write!(path, "/{}", utf8_percent_encode(segment, UNRESERVED));
        };
        if let Some(namespace) = &self.namespace {
            push("namespaces");
            push(namespace);
        }
        push(self.resource.plural());
        if let Some(name) = &self.name {
            push(name);
        }
        if self.eviction {
            push("eviction");
        }
        for (index, (name, value)) in self.query.iter().enumerate() {
            let mark = if index == 0 { '?' } else { '&' };
            let value = utf8_percent_encode(value, UNRESERVED);
            let _ = write!(path, "{mark}{name}={value}");
        }
        path
    }

    pub(super) fn rbac_resource(&self) -> String {
        let subresource = if self.eviction { "/eviction" } else { "" };
        format!("{}{subresource}", self.resource.plural())
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn object_name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub(super) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// Whether nothing is to be kept, by the query or by the options in the body.
    pub(super) fn is_dry_run(&self) -> Result<bool, ApiStatus> {
        let options = if self.eviction { &self.body["deleteOptions"] } else { &self.body };
        let of_body = match self.verb {
            Verb::Delete => options["dryRun"].as_array(),
            _ if self.eviction => options["dryRun"].as_array(),
            _ => None,
        };
        let of_query = self.query.iter().filter(|(key, _)| key == "dryRun");
        let mut values = of_query
            .map(|(_, value)| value.as_str())
            .chain(of_body.into_iter().flatten().map(|value| value.as_str().unwrap_or_default()));
        let mut dry = false;
        values.try_for_each(|value| {
            dry = true;
            if value == "All" {
                return Ok(());
            }
            let words =
                format!("dryRun: Unsupported value: \"{value}\": supported values: \"All\"");
            Err(ApiStatus::new(422, "Invalid", words))
        })?;
        Ok(dry)
    }
}
