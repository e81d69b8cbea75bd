//! How tests and the local story fill a cluster: past access rules, but not past admission.

use std::collections::BTreeMap;

use pod_identity_core::ClusterArn;
use serde_json::{Value, json};

use super::store::Key;
use super::{ApiStatus, KubernetesCluster, KubernetesRequest, Moment, Resource, Verb};
use crate::world::World;

/// A pod like those of Domino's executions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DominoPod {
    /// Namespace.
    pub namespace: String,
    /// Kubernetes service account.
    pub service_account: String,
    /// `Batch`, `Workspace`, `App`, ...
    pub workload_type: String,
    /// Domino name of who started it.
    pub started_by: String,
    /// Kind of the controller, such as `ReplicaSet` or `Job`; none for a bare pod.
    pub owner: Option<String>,
    /// Environment of its container, as domsed or the image may have it.
    pub environment: BTreeMap<String, String>,
    /// Annotations, such as `eks.amazonaws.com/skip-containers`.
    pub annotations: BTreeMap<String, String>,
    /// Labels beside Domino's.
    pub labels: BTreeMap<String, String>,
}

impl DominoPod {
    /// A bare batch pod in `domino-compute`.
    #[must_use]
    pub fn new(service_account: &str, started_by: &str) -> Self {
        Self {
            namespace: "domino-compute".to_owned(),
            service_account: service_account.to_owned(),
            workload_type: "Batch".to_owned(),
            started_by: started_by.to_owned(),
            owner: None,
            environment: BTreeMap::new(),
            annotations: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }

    /// The same as a workload of another type.
    #[must_use]
    pub fn workload_type(mut self, workload_type: &str) -> Self {
        self.workload_type = workload_type.to_owned();
        self
    }

    /// The same with a controller.
    #[must_use]
    pub fn owned_by(mut self, kind: &str) -> Self {
        self.owner = Some(kind.to_owned());
        self
    }

    fn object(&self, run: &str, suffix: &str, owner_uid: &str) -> Value {
        let mut labels: BTreeMap<String, String> = [
            ("workload-type", self.workload_type.as_str()),
            ("starting-user-username", &self.started_by),
            ("execution-id", &run[4..]),
            ("project-name", "quick-start"),
            ("project-owner-username", "integration-test"),
            ("hardware-tier-id", "small-k8s"),
        ]
        .map(|(name, value)| (format!("dominodatalab.com/{name}"), value.to_owned()))
        .into();
        labels.extend(self.labels.clone());
        let environment: Vec<Value> = self
            .environment
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let mut pod = json!({
            "metadata": {
                "name": format!("{run}-{suffix}"),
                "labels": labels,
                "annotations": self.annotations,
            },
            "spec": {
                "serviceAccountName": self.service_account,
                "containers": [
                    { "name": "run", "image": "quay.io/domino/standard-environment",
                      "env": environment },
                ],
            },
        });
        if let Some(kind) = &self.owner {
            let version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
            pod["metadata"]["ownerReferences"] = json!([{
                "apiVersion": version, "kind": kind, "name": run, "uid": owner_uid,
                "controller": true, "blockOwnerDeletion": true,
            }]);
        }
        pod
    }
}

/// A PodDisruptionBudget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Labels of the pods that it protects.
    pub labels: BTreeMap<String, String>,
    /// How many of them must be there.
    pub min_available: u32,
}

impl World {
    /// Makes a namespace in a cluster.
    ///
    /// # Errors
    /// When it is there already, or there is no such cluster.
    pub fn add_namespace(&mut self, cluster: &ClusterArn, name: &str) -> Result<(), ApiStatus> {
        let body = json!({ "metadata": { "name": name } });
        self.make(cluster, Resource::Namespaces, None, body).map(drop)
    }

    /// Makes a service account with annotations and answers its uid.
    ///
    /// # Errors
    /// When it is there already, or there is no such cluster or namespace.
    pub fn add_service_account(
        &mut self,
        cluster: &ClusterArn,
        namespace: &str,
        name: &str,
        annotations: &[(&str, &str)],
    ) -> Result<String, ApiStatus> {
        let annotations: BTreeMap<&str, &str> = annotations.iter().copied().collect();
        let body = json!({ "metadata": { "name": name, "annotations": annotations } });
        let made = self.make(cluster, Resource::ServiceAccounts, Some(namespace), body)?;
        Ok(made["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
    }

    /// Makes a pod named `run-<24 hexadecimal digits>-<5>` and answers its name. Credentials are
    /// injected as for any pod, by the association that is visible now.
    ///
    /// # Errors
    /// When there is no such cluster, namespace or service account.
    pub fn add_domino_pod(
        &mut self,
        cluster: &ClusterArn,
        pod: &DominoPod,
    ) -> Result<String, ApiStatus> {
        let missing = || ApiStatus::unreachable(cluster.name());
        let api = self.kubernetes.get_mut(cluster).ok_or_else(missing)?;
        let run = api.random.id("run-", b"0123456789abcdef", 24);
        let suffix = api.generated_name("");
        let uid = api.random.uuid();
        let body = pod.object(&run, &suffix, &uid);
        self.make(cluster, Resource::Pods, Some(&pod.namespace), body)?;
        Ok(format!("{run}-{suffix}"))
    }

    /// Makes a budget.
    ///
    /// # Errors
    /// When it is there already, or there is no such cluster or namespace.
    pub fn add_budget(&mut self, cluster: &ClusterArn, budget: &Budget) -> Result<(), ApiStatus> {
        let body = json!({
            "metadata": { "name": budget.name },
            "spec": {
                "selector": { "matchLabels": budget.labels },
                "minAvailable": budget.min_available,
            },
        });
        let namespace = Some(budget.namespace.as_str());
        self.make(cluster, Resource::PodDisruptionBudgets, namespace, body).map(drop)
    }

    /// Puts a pod into a phase, such as `Succeeded`, in which it stays.
    ///
    /// # Errors
    /// When there is no such cluster or pod.
    pub fn set_pod_phase(
        &mut self,
        cluster: &ClusterArn,
        namespace: &str,
        name: &str,
        phase: &str,
    ) -> Result<(), ApiStatus> {
        let now = self.now;
        let missing = || ApiStatus::unreachable(cluster.name());
        let api = self.kubernetes(cluster).ok_or_else(missing)?;
        let key = Key::new(Resource::Pods, namespace, name);
        if api.set_phase(&key, phase, now) { Ok(()) } else { Err(key.not_found()) }
    }

    fn make(
        &mut self,
        cluster: &ClusterArn,
        resource: Resource,
        namespace: Option<&str>,
        body: Value,
    ) -> Result<Value, ApiStatus> {
        let (eks, now) = (&self.eks, self.now);
        let associated = |namespace: &str, name: &str| eks.shows(cluster, namespace, name, now);
        let user = "fixture";
        let moment = Moment { now, region: cluster.region(), user, associated: &associated };
        let request = KubernetesRequest::new(Verb::Create, resource, namespace).body(body);
        let api: Option<&mut KubernetesCluster> = self.kubernetes.get_mut(cluster);
        let api = api.ok_or_else(|| ApiStatus::unreachable(cluster.name()))?;
        let (_, made) = api.create(&request, &moment)?;
        api.settle(now);
        Ok(made)
    }
}
