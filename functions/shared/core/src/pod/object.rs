//! The JSON of Kubernetes' objects, only what is looked at, so that a page of pods stays small.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::{Credentials, Owner, Phase, Pod, SKIP_CONTAINERS_ANNOTATION, ServiceAccount};

/// What EKS's webhook sets, by IP version of the cluster.
/// <https://github.com/aws/amazon-eks-pod-identity-webhook>
const CREDENTIALS_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const POD_IDENTITY_HOSTS: [&str; 2] = ["http://169.254.170.23/", "http://[fd00:ec2::23]/"];
/// Audience of the token that the agent takes.
const POD_IDENTITY_AUDIENCE: &str = "pods.eks.amazonaws.com";
const WEB_IDENTITY: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const STATIC_KEY: &str = "AWS_ACCESS_KEY_ID";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
    uid: String,
    creation_timestamp: Option<Timestamp>,
    deletion_timestamp: Option<Timestamp>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<OwnerReference>,
}

#[derive(Deserialize)]
struct OwnerReference {
    #[serde(flatten)]
    owner: Owner,
    #[serde(default)]
    controller: bool,
}

#[derive(Deserialize)]
pub(super) struct PodObject {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    service_account_name: Option<String>,
    pub(super) init_containers: Vec<Container>,
    pub(super) containers: Vec<Container>,
    volumes: Vec<Volume>,
    pub(super) os: Option<Os>,
    pub(super) node_selector: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(super) struct Os {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct Container {
    #[serde(default)]
    name: String,
    #[serde(default)]
    env: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    /// Absent when it comes from somewhere else.
    value: Option<String>,
}

impl Container {
    /// Whether its environment has a variable, wherever its value comes from.
    pub(super) fn has(&self, name: &str) -> bool {
        self.env.iter().any(|variable| variable.name == name)
    }

    /// The value of a variable, if it stands in the pod.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let variable = self.env.iter().find(|variable| variable.name == name)?;
        variable.value.as_deref()
    }

    /// Whether EKS's webhook pointed it at the agent. Other tools use the same variable with
    /// endpoints of their own.
    pub(super) fn is_injected(&self) -> bool {
        let uri = self.value(CREDENTIALS_URI).unwrap_or_default();
        POD_IDENTITY_HOSTS.iter().any(|host| uri.starts_with(host))
    }
}

#[derive(Deserialize)]
struct Volume {
    projected: Option<Projected>,
}

#[derive(Deserialize)]
struct Projected {
    #[serde(default)]
    sources: Vec<Source>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    service_account_token: Option<Token>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    audience: String,
}

#[derive(Deserialize, Default)]
struct Status {
    phase: Option<String>,
}

impl TryFrom<PodObject> for Pod {
    type Error = String;

    fn try_from(object: PodObject) -> Result<Self, String> {
        let obstacles = object.obstacles();
        let PodObject { metadata, spec, status } = object;
        let created_at = metadata.creation_timestamp.ok_or_else(|| {
            format!("pod {}/{} has no creationTimestamp", metadata.namespace, metadata.name)
        })?;
        let owners = metadata.owner_references.into_iter();
        let skipped = metadata.annotations.get(SKIP_CONTAINERS_ANNOTATION);
        let credentials = spec.credentials(skipped.map_or("", String::as_str));
        let phase = match status.phase.as_deref() {
            Some("Running") => Phase::Running,
            Some("Pending") | None => Phase::Pending,
            Some(_) => Phase::Over,
        };
        Ok(Self {
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            created_at,
            phase,
            terminating: metadata.deletion_timestamp.is_some(),
            owner: owners.filter(|one| one.controller).map(|one| one.owner).next(),
            labels: metadata.labels,
            annotations: metadata.annotations,
            credentials,
            obstacles,
            // Kubernetes' own admission sets it where a pod names none.
            service_account: spec.service_account_name.unwrap_or_else(|| "default".to_owned()),
        })
    }
}

impl Spec {
    fn credentials(&self, skipped: &str) -> Credentials {
        let containers = || self.init_containers.iter().chain(&self.containers);
        let has = |name: &str| containers().any(|one| one.has(name));
        let endpoint = containers().any(Container::is_injected);
        let token = self
            .volumes
            .iter()
            .filter_map(|volume| volume.projected.as_ref())
            .flat_map(|projected| &projected.sources)
            .filter_map(|source| source.service_account_token.as_ref())
            .any(|token| token.audience == POD_IDENTITY_AUDIENCE);
        let is_skipped = |one: &Container| skipped.split(',').any(|name| name.trim() == one.name);
        // The webhook adds the token also when it leaves every container out, or when all of them
        // have these variables already. It knew the association then.
        let all_skipped = !skipped.is_empty() && containers().all(is_skipped);
        Credentials {
            pod_identity: endpoint && token,
            web_identity: has(WEB_IDENTITY),
            static_keys: has(STATIC_KEY),
            left_out: !endpoint && (token || all_skipped),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceAccountObject {
    metadata: Metadata,
    #[serde(default)]
    secrets: Vec<Reference>,
    #[serde(default)]
    image_pull_secrets: Vec<Reference>,
}

/// Another object.
#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    name: String,
}

impl From<ServiceAccountObject> for ServiceAccount {
    fn from(object: ServiceAccountObject) -> Self {
        let Metadata { namespace, name, uid, labels, annotations, .. } = object.metadata;
        let secrets = object.secrets.into_iter().chain(object.image_pull_secrets);
        let secrets = secrets.map(|secret| secret.name).collect();
        Self { namespace, name, uid, labels, annotations, secrets }
    }
}
