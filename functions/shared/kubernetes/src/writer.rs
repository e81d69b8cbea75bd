//! What is changed through a Kubernetes API.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::fmt;

use http::Method;
use pod_identity_core::{MUTATION_API_VERSION, ServiceAccountRef};
use pod_identity_engine::ports::{
    Admission, ClusterAccess, ClusterReader, ErrorKind, Eviction, KubernetesWriter, Mutation,
    PodId, PortError, ServiceAccount,
};
use serde_json::{Value, json};

use crate::call::{Ask, part};
use crate::clusters::Kubernetes;
use crate::errors::ApiRefusal;
use crate::reader::{mutations_path, service_account_path};

/// Who owns the fields that we set.
pub const FIELD_MANAGER: &str = "domino-pod-identity";

/// Who we are, and that an unknown field is an error and not passed over.
const STRICT: &str = "fieldManager=domino-pod-identity&fieldValidation=Strict";
const JSON: &str = "application/json";
/// JSON is YAML; Kubernetes before 1.36 knows server-side apply by no other name.
const APPLY: &str = "application/apply-patch+yaml";

/// Changes things through the Kubernetes API of clusters. No change is ever repeated by itself.
pub struct KubeWriter<E> {
    pub(crate) kubernetes: Kubernetes<E>,
}

impl<E> Clone for KubeWriter<E> {
    fn clone(&self) -> Self {
        Self { kubernetes: self.kubernetes.clone() }
    }
}

impl<E> fmt::Debug for KubeWriter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KubeWriter").field(&self.kubernetes).finish()
    }
}

impl<E: ClusterReader> Kubernetes<E> {
    /// The ports that write.
    #[must_use]
    pub fn writer(&self) -> KubeWriter<E> {
        KubeWriter { kubernetes: self.clone() }
    }
}

#[async_trait(?Send)]
impl<E: ClusterReader> KubernetesWriter for KubeWriter<E> {
    async fn evict(
        &self,
        access: &ClusterAccess,
        pod: &PodId,
        grace_seconds: Option<u32>,
    ) -> Result<Eviction, PortError> {
        let path = format!("{}/eviction?{STRICT}", pod_path(pod));
        // By itself, since kube's own eviction sends the options where Kubernetes does not look.
        let body = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": delete_options(&pod.uid, grace_seconds),
        });
        let ask = Ask::new(access, "evict", pod_shown(pod), Method::POST, path).with(JSON, &body);
        match ask.send(&self.kubernetes).await? {
            Ok(_) => Ok(Eviction::Evicted),
            Err(refusal) if is_gone(&refusal) => Ok(Eviction::Gone),
            Err(refusal) if is_blocked(&refusal) => Ok(Eviction::Blocked(refusal.words())),
            Err(refusal) => Err(lost_race(ask.refused(refusal))),
        }
    }

    async fn delete_pod(
        &self,
        access: &ClusterAccess,
        pod: &PodId,
        grace_seconds: Option<u32>,
    ) -> Result<bool, PortError> {
        let body = delete_options(&pod.uid, grace_seconds);
        let ask = Ask::new(access, "delete", pod_shown(pod), Method::DELETE, pod_path(pod))
            .with(JSON, &body);
        match ask.send(&self.kubernetes).await? {
            Ok(_) => Ok(true),
            Err(refusal) if is_gone(&refusal) => Ok(false),
            Err(refusal) => Err(lost_race(ask.refused(refusal))),
        }
    }

    async fn create_service_account(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
        labels: &BTreeMap<String, String>,
    ) -> Result<ServiceAccount, PortError> {
        let namespace = part(name.namespace());
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts?{STRICT}");
        let body = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {
                "name": name.service_account(),
                "namespace": name.namespace(),
                "labels": labels,
            },
        });
        let ask =
            Ask::new(access, "create service account", name, Method::POST, path).with(JSON, &body);
        let answer = ask.send(&self.kubernetes).await?;
        ask.read(answer)
    }

    async fn delete_service_account(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
        uid: &str,
    ) -> Result<(), PortError> {
        let path = service_account_path(name);
        let ask = Ask::new(access, "delete service account", name, Method::DELETE, path)
            .with(JSON, &delete_options(uid, None));
        match ask.send(&self.kubernetes).await? {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.status() == 404 && refusal.is_of_kubernetes() => Ok(()),
            Err(refusal) if refusal.is_of_another_uid() => Err(ask.refused(refusal)),
            Err(refusal) => Err(lost_race(ask.refused(refusal))),
        }
    }

    async fn apply_mutation(
        &self,
        access: &ClusterAccess,
        namespace: &str,
        mutation: &Mutation,
        force: bool,
    ) -> Result<(), PortError> {
        let force = if force { "&force=true" } else { "" };
        let path =
            format!("{}/{}?{STRICT}{force}", mutations_path(namespace), part(&mutation.name));
        let body = json!({
            "apiVersion": MUTATION_API_VERSION,
            "kind": "Mutation",
            "metadata": {
                "name": mutation.name,
                "namespace": namespace,
                "labels": mutation.labels,
            },
            "rules": mutation.rules,
        });
        let object = format!("{namespace}/{}", mutation.name);
        let ask =
            Ask::new(access, "apply Mutation", object, Method::PATCH, path).with(APPLY, &body);
        match ask.send(&self.kubernetes).await? {
            Ok(_) => Ok(()),
            Err(refusal) => Err(ask.refused(refusal)),
        }
    }

    async fn try_pod(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
    ) -> Result<Admission, PortError> {
        let namespace = part(name.namespace());
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All&{STRICT}");
        let ask = Ask::new(access, "try a pod with", name, Method::POST, path)
            .with(JSON, &smallest_pod(name));
        match ask.send(&self.kubernetes).await? {
            Err(refusal) if is_refused_admission(&refusal) => {
                Ok(Admission::Refused(refusal.words()))
            }
            answer => ask.read(answer).map(|pod| Admission::Admitted(Box::new(pod))),
        }
    }
}

fn pod_path(pod: &PodId) -> String {
    format!("/api/v1/namespaces/{}/pods/{}", part(&pod.namespace), part(&pod.name))
}

fn pod_shown(pod: &PodId) -> String {
    format!("pod {}/{}", pod.namespace, pod.name)
}

/// Of one object, and of no other that took its name.
fn delete_options(uid: &str, grace_seconds: Option<u32>) -> Value {
    let mut options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": uid},
    });
    if let Some(seconds) = grace_seconds {
        options["gracePeriodSeconds"] = seconds.into();
    }
    options
}

fn is_gone(refusal: &ApiRefusal) -> bool {
    refusal.is_of_another_uid() || (refusal.status() == 404 && refusal.is_of_kubernetes())
}

/// A budget forbids it now, or several budgets forbid it until somebody takes one away, which
/// Kubernetes calls an internal error.
fn is_blocked(refusal: &ApiRefusal) -> bool {
    match refusal.status() {
        429 => refusal.has_cause("DisruptionBudget"),
        500 => refusal.words().contains("more than one PodDisruptionBudget"),
        _ => false,
    }
}

/// 409 without a precondition that failed: somebody changed the object at the same moment.
fn lost_race(error: PortError) -> PortError {
    let kind = if error.kind == ErrorKind::InUse { ErrorKind::Passing } else { error.kind };
    PortError { kind, ..error }
}

/// Whether the pod was looked at and turned away.
fn is_refused_admission(refusal: &ApiRefusal) -> bool {
    refusal.is_of_admission()
        || (matches!(refusal.status(), 400 | 409 | 422) && refusal.is_of_kubernetes())
}

/// A pod that the restricted Pod Security Standard and a namespace with quotas admit.
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
fn smallest_pod(name: &ServiceAccountRef) -> Value {
    let little = json!({"cpu": "10m", "memory": "16Mi"});
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "pod-identity-check-",
            "namespace": name.namespace(),
            "labels": {"app.kubernetes.io/managed-by": FIELD_MANAGER},
        },
        "spec": {
            "serviceAccountName": name.service_account(),
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "check",
                "image": "pause",
                "resources": {"requests": little, "limits": little},
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}
