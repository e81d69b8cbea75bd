//! Amazon EKS, as far as Pod Identity and node roles are concerned.

mod addons;
mod associations;
mod check;
mod node_groups;
mod tags;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_core::ClusterArn;
use pod_identity_engine::ports::Association;

pub use addons::Addon;
pub use associations::{CreateAssociation, UpdateAssociation};
pub use node_groups::ClusterDescription;

use crate::error::AwsError;
use crate::settling::Settling;
use crate::world::Caller;

/// The clusters of all accounts and regions.
#[derive(Debug, Clone, Default)]
pub struct Eks {
    pub(crate) clusters: BTreeMap<ClusterArn, Cluster>,
}

/// A cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// When it was made.
    pub created_at: Timestamp,
    /// ARN of the role of each node group, by the node group's name.
    pub node_groups: BTreeMap<String, String>,
    /// `ACTIVE`, `CREATING`, `FAILED`, ...
    pub status: String,
    /// Version of Kubernetes, such as `1.33`.
    pub version: String,
    /// URL of the Kubernetes API.
    pub endpoint: String,
    /// What signs the certificate of the Kubernetes API: PEM in base64.
    pub certificate_authority: String,
    /// `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    pub authentication_mode: String,
    /// Whether the Kubernetes API can be reached from outside the cluster's VPC.
    pub endpoint_public_access: bool,
    /// Whether the Kubernetes API can be reached from inside it.
    pub endpoint_private_access: bool,
    /// Whether it runs in EKS Auto Mode.
    pub auto_mode: bool,
    /// ARN of the role of the nodes that EKS Auto Mode makes; empty without.
    pub node_role: String,
    /// Add-ons, by name. A new cluster has the Pod Identity agent.
    pub addons: BTreeMap<String, Addon>,
    pub(crate) associations: BTreeMap<String, Settling<Association>>,
    tokens: BTreeMap<String, (CreateAssociation, Association)>,
}

impl Cluster {
    pub(crate) fn new(
        arn: &ClusterArn,
        created_at: Timestamp,
        node_groups: BTreeMap<String, String>,
    ) -> Self {
        let agent = Addon { version: "v1.3.8-eksbuild.2".to_owned(), status: "ACTIVE".to_owned() };
        Self {
            created_at,
            node_groups,
            status: "ACTIVE".to_owned(),
            version: "1.33".to_owned(),
            endpoint: format!("https://{}.{}.eks.invalid", arn.name(), arn.region()),
            certificate_authority: String::new(),
            authentication_mode: "API_AND_CONFIG_MAP".to_owned(),
            endpoint_public_access: true,
            endpoint_private_access: false,
            auto_mode: false,
            node_role: String::new(),
            addons: [("eks-pod-identity-agent".to_owned(), agent)].into(),
            associations: BTreeMap::new(),
            tokens: BTreeMap::new(),
        }
    }
}

impl Eks {
    /// The associations of a cluster as they are, seen or not yet, by id.
    #[must_use]
    pub fn associations(&self, cluster: &ClusterArn) -> Vec<&Association> {
        let Some(cluster) = self.clusters.get(cluster) else {
            return Vec::new();
        };
        cluster.associations.values().filter_map(Settling::latest).collect()
    }

    /// The association of a Kubernetes service account, seen or not yet.
    #[must_use]
    pub fn find(
        &self,
        cluster: &ClusterArn,
        namespace: &str,
        service_account: &str,
    ) -> Option<&Association> {
        self.associations(cluster)
            .into_iter()
            .find(|a| a.namespace == namespace && a.service_account == service_account)
    }

    /// A cluster, to look at or to change what tests may change.
    pub fn cluster_mut(&mut self, cluster: &ClusterArn) -> Option<&mut Cluster> {
        self.clusters.get_mut(cluster)
    }

    /// Whether an association of a Kubernetes service account can be seen yet, or still.
    pub(crate) fn shows(
        &self,
        cluster: &ClusterArn,
        namespace: &str,
        service_account: &str,
        now: Timestamp,
    ) -> bool {
        self.shown(cluster, namespace, service_account, now).is_some()
    }

    /// The association of a Kubernetes service account as readers see it at a time.
    #[must_use]
    pub fn shown(
        &self,
        cluster: &ClusterArn,
        namespace: &str,
        service_account: &str,
        now: Timestamp,
    ) -> Option<&Association> {
        let associations = self.clusters.get(cluster).map(|cluster| cluster.associations.values());
        let mut visible = associations.into_iter().flatten().filter_map(|one| one.visible(now));
        visible.find(|one| one.namespace == namespace && one.service_account == service_account)
    }

    /// Version of a cluster's Kubernetes; empty when there is no such cluster.
    pub(crate) fn version(&self, cluster: &ClusterArn) -> &str {
        self.clusters.get(cluster).map_or("", |cluster| &cluster.version)
    }

    /// The ARNs of all clusters.
    pub fn cluster_arns(&self) -> impl Iterator<Item = &ClusterArn> {
        self.clusters.keys()
    }

    /// The cluster that a caller means by a name.
    fn resolve(&self, caller: &Caller, name: &str) -> Result<ClusterArn, AwsError> {
        self.clusters
            .keys()
            .find(|arn| {
                arn.name() == name
                    && arn.account() == caller.account
                    && arn.region() == caller.region
            })
            .cloned()
            .ok_or_else(|| no_cluster(name))
    }
}

fn no_cluster(name: &str) -> AwsError {
    AwsError::new(404, "ResourceNotFoundException", format!("No cluster found for name: {name}."))
}

fn invalid_parameter(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidParameterException", message)
}

fn invalid_request(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidRequestException", message)
}
