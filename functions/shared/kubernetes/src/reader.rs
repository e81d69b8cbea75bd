//! What is read of a Kubernetes API.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fmt;

use http::Method;
use pod_identity_core::{MUTATION_API_VERSION, MutationRule, ServiceAccountRef};
use pod_identity_engine::ports::{
    ClusterAccess, ClusterReader, KubernetesReader, Mutation, Page, Pod, PodQuery, PortError,
    ServiceAccount,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::call::{Ask, part};
use crate::clusters::Kubernetes;

/// Service accounts and Mutations of a page; both are small.
const PAGE: u32 = 500;

/// Reads the Kubernetes API of clusters.
pub struct KubeReader<E> {
    pub(crate) kubernetes: Kubernetes<E>,
}

impl<E> Clone for KubeReader<E> {
    fn clone(&self) -> Self {
        Self { kubernetes: self.kubernetes.clone() }
    }
}

impl<E> fmt::Debug for KubeReader<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KubeReader").field(&self.kubernetes).finish()
    }
}

impl<E: ClusterReader> Kubernetes<E> {
    /// The ports that read.
    #[must_use]
    pub fn reader(&self) -> KubeReader<E> {
        KubeReader { kubernetes: self.clone() }
    }
}

#[async_trait(?Send)]
impl<E: ClusterReader> KubernetesReader for KubeReader<E> {
    async fn pods(
        &self,
        access: &ClusterAccess,
        query: &PodQuery,
        page: Option<&str>,
    ) -> Result<Page<Pod>, PortError> {
        let path = format!("/api/v1/namespaces/{}/pods", part(&query.namespace));
        let name = query.name.as_deref();
        let what = List { path, selector: &query.selector, name, limit: query.limit, page };
        let object = format!("namespace {}", query.namespace);
        self.list(access, "list pods of", object, &what).await
    }

    async fn service_account(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
    ) -> Result<Option<ServiceAccount>, PortError> {
        let path = service_account_path(name);
        let ask = Ask::new(access, "get service account", name, Method::GET, path);
        match ask.send(&self.kubernetes).await? {
            Err(refusal) if refusal.status() == 404 && refusal.is_of_kubernetes() => Ok(None),
            answer => ask.read(answer).map(Some),
        }
    }

    async fn service_accounts(
        &self,
        access: &ClusterAccess,
        namespace: &str,
        selector: &str,
        page: Option<&str>,
    ) -> Result<Page<ServiceAccount>, PortError> {
        let path = format!("/api/v1/namespaces/{}/serviceaccounts", part(namespace));
        let what = List { path, selector, name: None, limit: PAGE, page };
        let object = format!("namespace {namespace}");
        self.list(access, "list service accounts of", object, &what).await
    }

    async fn mutations(
        &self,
        access: &ClusterAccess,
        namespace: &str,
        page: Option<&str>,
    ) -> Result<Page<Mutation>, PortError> {
        let path = mutations_path(namespace);
        let what = List { path, selector: "", name: None, limit: PAGE, page };
        let object = format!("namespace {namespace}");
        let found: Page<MutationObject> =
            self.list(access, "list Mutations of", object, &what).await?;
        Ok(Page { items: found.items.into_iter().map(Mutation::from).collect(), next: found.next })
    }
}

pub(crate) fn service_account_path(name: &ServiceAccountRef) -> String {
    let (namespace, name) = (part(name.namespace()), part(name.service_account()));
    format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}")
}

pub(crate) fn mutations_path(namespace: &str) -> String {
    format!("/apis/{MUTATION_API_VERSION}/namespaces/{}/mutations", part(namespace))
}

/// What is listed.
struct List<'a> {
    path: String,
    selector: &'a str,
    name: Option<&'a str>,
    limit: u32,
    page: Option<&'a str>,
}

impl<E: ClusterReader> KubeReader<E> {
    async fn list<T: DeserializeOwned>(
        &self,
        access: &ClusterAccess,
        operation: &'static str,
        object: String,
        what: &List<'_>,
    ) -> Result<Page<T>, PortError> {
        // Kubernetes takes 0 for all.
        let mut path = format!("{}?limit={}", what.path, what.limit.max(1));
        if !what.selector.is_empty() {
            path = format!("{path}&labelSelector={}", part(what.selector));
        }
        if let Some(name) = what.name {
            path = format!("{path}&fieldSelector={}", part(&format!("metadata.name={name}")));
        }
        if let Some(page) = what.page {
            path = format!("{path}&continue={}", part(page));
        }
        let ask = Ask::new(access, operation, object, Method::GET, path);
        let answer = ask.send(&self.kubernetes).await?;
        let ListObject { metadata, items } = ask.read(answer)?;
        Ok(Page { items, next: metadata.next.filter(|token| !token.is_empty()) })
    }
}

/// A list, as Kubernetes answers it. Without `items` it is something else, and not empty.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct ListObject<T> {
    metadata: ListMetadata,
    #[serde(deserialize_with = "nullable")]
    items: Vec<T>,
}

#[derive(Deserialize)]
struct ListMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct MutationObject {
    metadata: NamedObject,
    #[serde(default, deserialize_with = "nullable")]
    rules: Vec<MutationRule>,
}

#[derive(Deserialize)]
struct NamedObject {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl From<MutationObject> for Mutation {
    fn from(object: MutationObject) -> Self {
        let NamedObject { name, labels } = object.metadata;
        Self { name, labels, rules: object.rules }
    }
}

/// Servers written in Go may say null for an empty list.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}
