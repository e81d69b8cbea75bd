//! What EKS tells of a cluster itself.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{ClusterAccess, PortError};

/// The add-on that hands out credentials on every node.
pub const AGENT_ADDON: &str = "eks-pod-identity-agent";

/// A cluster, as EKS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// When it was made. A cluster that is built again under its name has a new time. None where
    /// EKS does not say.
    pub created_at: Option<Timestamp>,
    /// Where its Kubernetes API is, an `https` URL; none while the cluster is being made.
    pub endpoint: Option<String>,
    /// Certificates that its Kubernetes API is signed by, base64 of PEM; none as above.
    pub certificate_authority: Option<String>,
    /// Such as `ACTIVE`, `CREATING`, `UPDATING`, `DELETING` or `FAILED`.
    pub status: String,
    /// How callers become known to it: `API`, `API_AND_CONFIG_MAP`, or `CONFIG_MAP`, which
    /// knows no access entries. None where EKS does not say.
    pub authentication_mode: Option<String>,
    /// Whether its Kubernetes API can be reached from outside its VPC.
    pub public_endpoint: bool,
    /// Whether its Kubernetes API has an address within its VPC.
    pub private_endpoint: bool,
    /// Whether it runs in EKS Auto Mode, whose nodes have the EKS Pod Identity agent built in.
    pub auto_mode: bool,
    /// ARN of the role of the nodes that EKS Auto Mode makes; none without.
    pub node_role: Option<String>,
    /// Version of Kubernetes, such as `1.33`.
    pub version: Option<String>,
}

/// Reads what EKS tells of clusters.
#[async_trait(?Send)]
pub trait ClusterReader {
    /// A cluster, or none when EKS does not know it (`DescribeCluster`).
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn cluster(
        &self,
        access: &ClusterAccess,
    ) -> Result<Option<ClusterDescription>, PortError>;

    /// The status of an add-on, such as `ACTIVE` or `DEGRADED`, or none when the cluster does
    /// not have it as an EKS add-on (`DescribeAddon`). It may run there all the same, installed
    /// in another way.
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn addon(&self, access: &ClusterAccess, name: &str) -> Result<Option<String>, PortError>;
}
