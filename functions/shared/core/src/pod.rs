//! Pods and Kubernetes service accounts, as far as credentials are concerned.

mod object;
mod obstacle;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use obstacle::Obstacle;

/// Annotation on a service account that names the role of IAM roles for service accounts (IRSA).
pub const IRSA_ANNOTATION: &str = "eks.amazonaws.com/role-arn";

/// Annotation on a pod that names the containers, separated by commas, which EKS's webhook leaves
/// out.
pub const SKIP_CONTAINERS_ANNOTATION: &str = "eks.amazonaws.com/skip-containers";

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Accepted, not all containers started.
    Pending,
    /// At least one container is or was running.
    Running,
    /// All containers ended well, or one did not; or the node cannot say.
    Over,
}

/// What would start a pod again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// Kind, such as `ReplicaSet` or `Job`.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// The identities that a pod was given, by what its containers' environment and volumes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Credentials {
    /// EKS Pod Identity: its credentials endpoint in a container's environment, and the token.
    pub pod_identity: bool,
    /// IRSA: a web identity token in a container's environment.
    pub web_identity: bool,
    /// Access keys in a container's environment.
    pub static_keys: bool,
    /// No container takes EKS Pod Identity, and that is no oversight: the annotation leaves all
    /// of them out, or the webhook gave the token and found no container to point at it.
    pub left_out: bool,
}

/// A pod. Reads from the JSON that Kubernetes answers; everything else in it is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "object::PodObject")]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Unique among all pods that there ever were on the cluster.
    pub uid: String,
    /// Its Kubernetes service account.
    pub service_account: String,
    /// When it was admitted. Injection happens then and never later.
    pub created_at: Timestamp,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether its deletion has begun.
    pub terminating: bool,
    /// The controller that would start it again.
    pub owner: Option<Owner>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// The identities that it was given.
    pub credentials: Credentials,
    /// What can keep it from them.
    pub obstacles: BTreeSet<Obstacle>,
}

/// A Kubernetes service account. Reads from the JSON that Kubernetes answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "object::ServiceAccountObject")]
pub struct ServiceAccount {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Unique among all service accounts that there ever were on the cluster.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Names of the secrets that it lists, those for pulling images among them.
    pub secrets: BTreeSet<String>,
}

impl ServiceAccount {
    /// The role that IRSA gives its pods. Where there is an association as well, EKS's webhook gives a pod that one
    /// at its admission: <https://github.com/aws/amazon-eks-pod-identity-webhook>
    #[must_use]
    pub fn irsa_role(&self) -> Option<&str> {
        self.annotations.get(IRSA_ANNOTATION).map(String::as_str)
    }
}
