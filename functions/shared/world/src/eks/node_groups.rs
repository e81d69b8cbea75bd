//! Clusters and node groups, read only.

use jiff::Timestamp;
use pod_identity_engine::ports::Page;

use super::invalid_parameter;
use crate::error::AwsError;
use crate::paging::cut;
use crate::world::{Caller, World};

/// What `DescribeCluster` tells here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// Name.
    pub name: String,
    /// ARN.
    pub arn: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// `ACTIVE`, `CREATING`, `FAILED`, ...
    pub status: String,
    /// Version of Kubernetes.
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
}

impl World {
    /// `DescribeCluster`.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn describe_cluster(
        &self,
        caller: &Caller,
        cluster: &str,
    ) -> Result<ClusterDescription, AwsError> {
        let arn = self.eks.resolve(caller, cluster)?;
        let found = &self.eks.clusters[&arn];
        Ok(ClusterDescription {
            name: cluster.to_owned(),
            created_at: found.created_at,
            status: found.status.clone(),
            version: found.version.clone(),
            endpoint: found.endpoint.clone(),
            certificate_authority: found.certificate_authority.clone(),
            authentication_mode: found.authentication_mode.clone(),
            endpoint_public_access: found.endpoint_public_access,
            endpoint_private_access: found.endpoint_private_access,
            auto_mode: found.auto_mode,
            node_role: found.node_role.clone(),
            arn: arn.to_string(),
        })
    }

    /// `ListNodegroups`.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, `InvalidParameterException`.
    pub fn list_nodegroups(
        &self,
        caller: &Caller,
        cluster: &str,
        max_results: Option<usize>,
        next_token: Option<&str>,
    ) -> Result<Page<String>, AwsError> {
        let arn = self.eks.resolve(caller, cluster)?;
        let size = self.eks_page_size(max_results)?;
        let names = self.eks.clusters[&arn].node_groups.keys();
        let (items, next) = cut(names.map(|name| (name.clone(), name.clone())), next_token, size)
            .ok_or_else(|| invalid_parameter("Invalid nextToken provided."))?;
        Ok(Page { items, next })
    }

    /// `DescribeNodegroup`; answers the ARN of its role.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn describe_nodegroup(
        &self,
        caller: &Caller,
        cluster: &str,
        name: &str,
    ) -> Result<String, AwsError> {
        let arn = self.eks.resolve(caller, cluster)?;
        self.eks.clusters[&arn].node_groups.get(name).cloned().ok_or_else(|| {
            AwsError::new(
                404,
                "ResourceNotFoundException",
                format!("No node group found for name: {name}."),
            )
        })
    }
}
