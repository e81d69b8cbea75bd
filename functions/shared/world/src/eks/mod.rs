//! Amazon EKS, as far as Pod Identity and node roles are concerned.

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
    pub(crate) associations: BTreeMap<String, Settling<Association>>,
    tokens: BTreeMap<String, (CreateAssociation, Association)>,
}

impl Cluster {
    pub(crate) fn new(created_at: Timestamp, node_groups: BTreeMap<String, String>) -> Self {
        Self { created_at, node_groups, associations: BTreeMap::new(), tokens: BTreeMap::new() }
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
