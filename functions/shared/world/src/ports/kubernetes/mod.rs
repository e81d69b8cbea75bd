//! Kubernetes through the ports.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use pod_identity_core::{MUTATION_API_VERSION, ServiceAccountRef};
use pod_identity_engine::ports::{
    Admission, ClusterAccess, ErrorKind, Eviction, KubernetesReader, KubernetesWriter, Mutation,
    Page, Pod, PodId, PodQuery, PortError, ServiceAccount,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::WorldPorts;
use super::eks::found;
use crate::error::AwsError;
use crate::kubernetes::{DISRUPTION_BUDGET, KubernetesRequest, Resource, Verb};
use crate::settling::after;

/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Field manager of what is applied.
const FIELD_MANAGER: &str = "domino-pod-identity";

impl WorldPorts {
    async fn ask(
        &self,
        access: &ClusterAccess,
        verb: &'static str,
        object: String,
        request: KubernetesRequest,
    ) -> Result<Value, PortError> {
        let (operation, name) = (request.operation(), access.cluster.name());
        let logged = format!("cluster {name} {}", request.path());
        let mut slow = false;
        let outcome = self
            .call(("kubernetes", &operation), verb, logged, |world| {
                let answer = world.ask_kubernetes(&access.cluster, &self.caller, request);
                answer.map(|(_, body)| body).map_err(|status| {
                    slow = status.is_late;
                    AwsError::from(status)
                })
            })
            .await;
        if slow {
            let waited = SignedDuration::try_from(PATIENCE).unwrap_or_default();
            let mut world = self.world();
            world.now = after(world.now, waited);
            let object = format!("{object} in cluster {name}");
            return Err(PortError {
                operation: verb,
                object,
                kind: ErrorKind::Passing,
                code: None,
                message: None,
                source: "there was no complete answer".into(),
            });
        }
        // The log shows the path, people the object.
        outcome
            .map_err(|error| PortError { object: format!("{object} in cluster {name}"), ..error })
    }

    async fn page<T: DeserializeOwned>(
        &self,
        access: &ClusterAccess,
        verb: &'static str,
        object: &str,
        request: KubernetesRequest,
        page: Option<&str>,
    ) -> Result<Page<T>, PortError> {
        let request = match page {
            Some(page) => request.with("continue", page),
            None => request,
        };
        let mut list = self.ask(access, verb, object.to_owned(), request).await?;
        let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let items = items.into_iter().map(|item| read(verb, object, item));
        let next = list["metadata"]["continue"].as_str().map(str::to_owned);
        Ok(Page { items: items.collect::<Result<_, _>>()?, next })
    }

    fn page_size(&self) -> usize {
        self.world().settings.page_size
    }
}

/// An object of the API that the engine cannot read is a fault of the model.
fn read<T: DeserializeOwned>(
    operation: &'static str,
    object: &str,
    value: Value,
) -> Result<T, PortError> {
    serde_json::from_value(value).map_err(|error| PortError {
        operation,
        object: object.to_owned(),
        kind: ErrorKind::Invalid,
        code: None,
        message: Some(error.to_string()),
        source: Box::new(error),
    })
}

fn pod_request(verb: Verb, pod: &PodId) -> KubernetesRequest {
    KubernetesRequest::new(verb, Resource::Pods, Some(&pod.namespace)).name(&pod.name)
}

fn delete_options(uid: &str, grace_seconds: Option<u32>) -> Value {
    let mut options = json!({ "preconditions": { "uid": uid } });
    if let Some(seconds) = grace_seconds {
        options["gracePeriodSeconds"] = json!(seconds);
    }
    options
}

#[async_trait(?Send)]
impl KubernetesReader for WorldPorts {
    async fn pods(
        &self,
        access: &ClusterAccess,
        query: &PodQuery,
        page: Option<&str>,
    ) -> Result<Page<Pod>, PortError> {
        let mut request =
            KubernetesRequest::new(Verb::List, Resource::Pods, Some(&query.namespace))
                .with("limit", query.limit);
        if !query.selector.is_empty() {
            request = request.with("labelSelector", &query.selector);
        }
        if let Some(name) = &query.name {
            request = request.with("fieldSelector", format!("metadata.name={name}"));
        }
        let object = format!("pods of {}", query.namespace);
        self.page(access, "list", &object, request, page).await
    }

    async fn service_account(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
    ) -> Result<Option<ServiceAccount>, PortError> {
        let request =
            KubernetesRequest::new(Verb::Get, Resource::ServiceAccounts, Some(name.namespace()))
                .name(name.service_account());
        let verb = "read service account";
        let object = found(self.ask(access, verb, name.to_string(), request).await)?;
        object.map(|object| read(verb, &name.to_string(), object)).transpose()
    }

    async fn service_accounts(
        &self,
        access: &ClusterAccess,
        namespace: &str,
        selector: &str,
        page: Option<&str>,
    ) -> Result<Page<ServiceAccount>, PortError> {
        let mut request =
            KubernetesRequest::new(Verb::List, Resource::ServiceAccounts, Some(namespace))
                .with("limit", self.page_size());
        if !selector.is_empty() {
            request = request.with("labelSelector", selector);
        }
        let object = format!("service accounts of {namespace}");
        self.page(access, "list", &object, request, page).await
    }

    async fn mutations(
        &self,
        access: &ClusterAccess,
        namespace: &str,
        page: Option<&str>,
    ) -> Result<Page<Mutation>, PortError> {
        let request = KubernetesRequest::new(Verb::List, Resource::Mutations, Some(namespace))
            .with("limit", self.page_size());
        let object = format!("Mutations of {namespace}");
        let list: Page<Value> = self.page(access, "list", &object, request, page).await?;
        let items = list.items.into_iter().map(|mut item| {
            let name = item["metadata"]["name"].take();
            let or_empty = |value: Value, empty: Value| if value.is_null() { empty } else { value };
            let labels = or_empty(item["metadata"]["labels"].take(), json!({}));
            let rules = or_empty(item["rules"].take(), json!([]));
            read("list", &object, json!({ "name": name, "labels": labels, "rules": rules }))
        });
        Ok(Page { items: items.collect::<Result<_, _>>()?, next: list.next })
    }
}

#[async_trait(?Send)]
impl KubernetesWriter for WorldPorts {
    async fn evict(
        &self,
        access: &ClusterAccess,
        pod: &PodId,
        grace_seconds: Option<u32>,
    ) -> Result<Eviction, PortError> {
        let mut request = pod_request(Verb::Create, pod).body(json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": { "name": pod.name, "namespace": pod.namespace },
            "deleteOptions": delete_options(&pod.uid, grace_seconds),
        }));
        request.eviction = true;
        let object = format!("{}/{}", pod.namespace, pod.name);
        match self.ask(access, "evict pod", object, request).await {
            Ok(_) => Ok(Eviction::Evicted),
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::InUse) => {
                Ok(Eviction::Gone)
            }
            Err(error) if error.code.as_deref() == Some(DISRUPTION_BUDGET) => {
                Ok(Eviction::Blocked(error.message.unwrap_or_default()))
            }
            Err(error) => Err(error),
        }
    }

    async fn delete_pod(
        &self,
        access: &ClusterAccess,
        pod: &PodId,
        grace_seconds: Option<u32>,
    ) -> Result<bool, PortError> {
        let options = delete_options(&pod.uid, grace_seconds);
        let request = pod_request(Verb::Delete, pod).body(options);
        let object = format!("{}/{}", pod.namespace, pod.name);
        match self.ask(access, "delete pod", object, request).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::InUse) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn create_service_account(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
        labels: &BTreeMap<String, String>,
    ) -> Result<ServiceAccount, PortError> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": name.service_account(), "labels": labels },
        });
        let request =
            KubernetesRequest::new(Verb::Create, Resource::ServiceAccounts, Some(name.namespace()))
                .body(body);
        let verb = "create service account";
        let made = self.ask(access, verb, name.to_string(), request).await?;
        read(verb, &name.to_string(), made)
    }

    async fn delete_service_account(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
        uid: &str,
    ) -> Result<(), PortError> {
        let request =
            KubernetesRequest::new(Verb::Delete, Resource::ServiceAccounts, Some(name.namespace()))
                .name(name.service_account())
                .body(delete_options(uid, None));
        let verb = "delete service account";
        found(self.ask(access, verb, name.to_string(), request).await).map(drop)
    }

    async fn apply_mutation(
        &self,
        access: &ClusterAccess,
        namespace: &str,
        mutation: &Mutation,
        force: bool,
    ) -> Result<(), PortError> {
        let object = format!("{namespace}/{}", mutation.name);
        let body = json!({
            "apiVersion": MUTATION_API_VERSION,
            "kind": "Mutation",
            "metadata": {
                "name": mutation.name, "namespace": namespace, "labels": mutation.labels,
            },
            "rules": mutation.rules,
        });
        let request = KubernetesRequest::new(Verb::Patch, Resource::Mutations, Some(namespace))
            .name(&mutation.name)
            .with("fieldManager", FIELD_MANAGER)
            .with("force", force)
            .body(body);
        self.ask(access, "apply Mutation", object, request).await.map(drop)
    }

    async fn try_pod(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
    ) -> Result<Admission, PortError> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "generateName": "pod-identity-check-" },
            "spec": {
                "serviceAccountName": name.service_account(),
                "restartPolicy": "Never",
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65_532,
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
                "containers": [{
                    "name": "check", "image": "registry.k8s.io/pause:3.10",
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
                    },
                }],
            },
        });
        let request = KubernetesRequest::new(Verb::Create, Resource::Pods, Some(name.namespace()))
            .with("dryRun", "All")
            .body(body);
        let verb = "try a pod as";
        match self.ask(access, verb, name.to_string(), request).await {
            Ok(pod) => {
                read(verb, &name.to_string(), pod).map(|pod| Admission::Admitted(Box::new(pod)))
            }
            Err(error) => match &error.message {
                Some(message) if is_refusal(&error) => Ok(Admission::Refused(message.clone())),
                _ => Err(error),
            },
        }
    }
}

/// Whether admission refuses the pod. RBAC's 403 is about the caller instead.
fn is_refusal(error: &PortError) -> bool {
    let by_rules = error.message.as_ref().is_some_and(|words| words.contains(" cannot create "));
    match error.code.as_deref() {
        Some("Forbidden") => !by_rules,
        Some("Invalid" | "BadRequest" | "NotFound") => true,
        _ => false,
    }
}
