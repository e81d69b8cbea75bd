//! The JSON of Kubernetes' objects, only what is looked at, so that a page of pods stays small.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use crate::malformed::Malformed;
use crate::plain;

use super::{
    ContainerIdentity, Credentials, Owner, Phase, Pod, SKIP_CONTAINERS_ANNOTATION, STATIC_KEY,
    ServiceAccount, WEB_IDENTITY, WORKLOAD_CONTAINER,
};

/// What EKS's webhook sets, by IP version of the cluster.
/// <https://github.com/aws/amazon-eks-pod-identity-webhook>
const CREDENTIALS_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const POD_IDENTITY_HOSTS: [&str; 4] = [
    "http://169.254.170.23/",
    "http://169.254.170.23:80/",
    "http://[fd00:ec2::23]/",
    "http://[fd00:ec2::23]:80/",
];
/// Audience of the token that the agent takes.
const POD_IDENTITY_AUDIENCE: &str = "pods.eks.amazonaws.com";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodMetadata {
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
    pub(super) metadata: PodMetadata,
    #[serde(default)]
    pub(super) spec: Spec,
    #[serde(default)]
    status: PodStatus,
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
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    #[serde(default)]
    name: String,
    #[serde(default)]
    env: Vec<Variable>,
    #[serde(default)]
    volume_mounts: Vec<Mount>,
}

#[derive(Deserialize)]
struct Mount {
    name: String,
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

    /// Whether it is pointed at the agent, or may be: what comes from somewhere else may say anything. Other tools
    /// use the same variable with endpoints of their own.
    fn is_pointed(&self) -> bool {
        let agent = |uri: &str| POD_IDENTITY_HOSTS.iter().any(|host| uri.starts_with(host));
        self.has(CREDENTIALS_URI) && self.value(CREDENTIALS_URI).is_none_or(agent)
    }
}

#[derive(Deserialize)]
struct Volume {
    #[serde(default)]
    name: String,
    projected: Option<Projected>,
}

impl Volume {
    /// Whether it has a token that the agent takes.
    fn is_token(&self) -> bool {
        let sources = self.projected.iter().flat_map(|projected| &projected.sources);
        sources
            .filter_map(|source| source.service_account_token.as_ref())
            .any(|token| token.audience == POD_IDENTITY_AUDIENCE)
    }
}

#[derive(Deserialize)]
struct Projected {
    #[serde(default)]
    sources: Vec<ValueSource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueSource {
    service_account_token: Option<TokenProjection>,
}

#[derive(Deserialize)]
struct TokenProjection {
    #[serde(default)]
    audience: String,
}

#[derive(Deserialize, Default)]
struct PodStatus {
    phase: Option<String>,
}

impl TryFrom<PodObject> for Pod {
    type Error = Malformed;

    fn try_from(object: PodObject) -> Result<Self, Malformed> {
        let obstacles = object.obstacles();
        let PodObject { metadata, spec, status } = object;
        let created_at = metadata.creation_timestamp.ok_or_else(|| {
            format!("pod {}/{} has no creationTimestamp", metadata.namespace, metadata.name)
        })?;
        let owners = metadata.owner_references.into_iter();
        let skipped = metadata.annotations.get(SKIP_CONTAINERS_ANNOTATION);
        let containers = spec.identities(skipped.map_or("", String::as_str));
        let has_token = spec.volumes.iter().any(Volume::is_token);
        let phase = match status.phase.as_deref() {
            Some("Running") => Phase::Running,
            Some("Pending") | None => Phase::Pending,
            Some(_) => Phase::Over,
        };
        let mut pod = Self {
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            created_at,
            phase,
            terminating: metadata.deletion_timestamp.is_some(),
            owner: owners.filter(|one| one.controller).map(|one| one.owner).next(),
            labels: metadata.labels,
            annotations: metadata.annotations,
            containers,
            has_token,
            credentials: Credentials::default(),
            obstacles,
            // Kubernetes' own admission sets it where a pod names none.
            service_account: spec.service_account_name.unwrap_or_else(|| "default".to_owned()),
        };
        pod.judge(&BTreeSet::from([WORKLOAD_CONTAINER.to_owned()]));
        Ok(pod)
    }
}

impl Spec {
    fn identities(&self, skipped: &str) -> Vec<ContainerIdentity> {
        let tokens: BTreeSet<&str> =
            self.volumes.iter().filter(|one| one.is_token()).map(|one| one.name.as_str()).collect();
        let init = self.init_containers.iter().map(|one| (one, true));
        let all = init.chain(self.containers.iter().map(|one| (one, false)));
        let identity = |(one, is_init): (&Container, bool)| ContainerIdentity {
            name: one.name.clone(),
            is_init,
            has_token: one.volume_mounts.iter().any(|mount| tokens.contains(mount.name.as_str())),
            is_pointed: one.is_pointed(),
            is_skipped: skipped.split(',').any(|name| name.trim() == one.name),
            others: [WEB_IDENTITY, STATIC_KEY].into_iter().filter(|name| one.has(name)).collect(),
        };
        all.map(identity).collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceAccountObject {
    metadata: PodMetadata,
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
        let PodMetadata { namespace, name, uid, labels, annotations, deletion_timestamp, .. } =
            object.metadata;
        // Anybody who may annotate writes them, and they stand in lines of text.
        let annotations =
            annotations.into_iter().map(|(name, text)| (name, plain(&text))).collect();
        let secrets = object.secrets.into_iter().chain(object.image_pull_secrets);
        let secrets = secrets.map(|secret| secret.name).collect();
        let terminating = deletion_timestamp.is_some();
        Self { namespace, name, uid, labels, annotations, terminating, secrets }
    }
}
