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

/// Variables that give a container another identity.
pub(crate) const WEB_IDENTITY: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
pub(crate) const STATIC_KEY: &str = "AWS_ACCESS_KEY_ID";

/// Annotation on a pod that names the containers, separated by commas, which EKS's webhook leaves
/// out.
pub const SKIP_CONTAINERS_ANNOTATION: &str = "eks.amazonaws.com/skip-containers";

/// Label on a pod with which EKS's webhook passes over it.
pub const SKIP_LABEL: &str = "eks.amazonaws.com/skip-pod-identity-webhook";

/// The container of a Domino execution that runs what its user wrote.
pub const WORKLOAD_CONTAINER: &str = "run";

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
///
/// What was taken away concerns every container. What is given concerns the workload's own: Domino puts
/// sidecars beside it, some with keys of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Credentials {
    /// A container has a token that the agent takes, whoever put it there: it can get what the association
    /// gives, whether or not an SDK finds that by itself.
    pub can_get: bool,
    /// Each of the workload's containers has that token, and a variable that points it at the agent.
    pub pod_identity: bool,
    /// IRSA: a web identity token in the environment of one of the workload's containers.
    pub web_identity: bool,
    /// Access keys in the environment of one of the workload's containers.
    pub static_keys: bool,
    /// The workload takes no EKS Pod Identity, and that is no oversight: a label or an annotation leaves it
    /// out, or the webhook gave the token and found none of its containers to point at it.
    pub left_out: bool,
}

/// One container of a pod, as far as credentials are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerIdentity {
    /// Its name.
    pub name: String,
    /// Whether it runs before the others and ends.
    pub is_init: bool,
    /// Whether it mounts a token that the agent takes.
    pub has_token: bool,
    /// Whether it has the variable that points SDKs at the agent, or may have it.
    pub is_pointed: bool,
    /// Whether the annotation leaves it out.
    pub is_skipped: bool,
    /// The variables that give it another identity.
    pub others: BTreeSet<&'static str>,
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
    /// Its containers.
    pub containers: Vec<ContainerIdentity>,
    /// Whether it has a token that the agent takes, be it that no container mounts it.
    pub has_token: bool,
    /// The identities that it was given.
    pub credentials: Credentials,
    /// What can keep it from them.
    pub obstacles: BTreeSet<Obstacle>,
}

impl Pod {
    /// The workload's own containers: those of these names, or all but those that run before them where there is
    /// none of these.
    #[must_use]
    pub fn own_containers(&self, names: &BTreeSet<String>) -> Vec<&ContainerIdentity> {
        let all: Vec<_> = self.containers.iter().filter(|one| !one.is_init).collect();
        let own: Vec<_> = all.iter().copied().filter(|one| names.contains(&one.name)).collect();
        if own.is_empty() { all } else { own }
    }

    /// Judges its credentials by which containers are the workload's own.
    pub fn judge(&mut self, names: &BTreeSet<String>) {
        let own = self.own_containers(names);
        let has = |variable| own.iter().any(|one| one.others.contains(variable));
        let passed_over = self.labels.contains_key(SKIP_LABEL);
        let unpointed = self.has_token && !own.iter().any(|one| one.is_pointed);
        let credentials = Credentials {
            can_get: self.containers.iter().any(|one| one.has_token),
            pod_identity: !own.is_empty() && own.iter().all(|one| one.has_token && one.is_pointed),
            web_identity: has(WEB_IDENTITY),
            static_keys: has(STATIC_KEY),
            left_out: passed_over || unpointed || own.iter().any(|one| one.is_skipped),
        };
        self.credentials = credentials;
    }

    /// Whether its workload surely gets what its association gives, and nothing else instead.
    #[must_use]
    pub fn works(&self) -> bool {
        let Credentials { pod_identity, web_identity, static_keys, left_out, .. } =
            self.credentials;
        let can_work = !self.obstacles.iter().any(|one| one.is_sure());
        pod_identity && can_work && !web_identity && !static_keys && !left_out
    }
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
    /// Whether its deletion has begun: Kubernetes takes no new pods with it.
    pub terminating: bool,
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
