//! Pod Identity associations and node groups of EKS.

use async_trait::async_trait;
use std::collections::BTreeMap;

pub use pod_identity_core::Association;
use pod_identity_core::{Desired, ServiceAccountRef};

use super::{ClusterAccess, Page, PortError};

/// Narrows a list of associations, as EKS's own filters do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssociationFilter {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of this Kubernetes service account; EKS wants a namespace with it.
    pub service_account: Option<String>,
}

/// What a list tells of an association: no role, no tags, no times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationSummary {
    /// Id, such as `a-abcdefghijklmnop1`.
    pub id: String,
    /// ARN.
    pub arn: String,
    /// Namespace, as EKS has it; another may have made it, so it is not checked.
    pub namespace: String,
    /// Kubernetes service account.
    pub service_account: String,
    /// The add-on that owns it, when one does.
    pub owner_arn: Option<String>,
}

/// An association to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAssociation {
    /// Where.
    pub kubernetes: ServiceAccountRef,
    /// What its pods should work as.
    pub desired: Desired,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Idempotency token: the same token makes the same association once.
    pub client_token: String,
}

/// New values for an association. Everything that can be changed is sent,
/// so that what is absent here is cleared there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationUpdate {
    /// Id of the association.
    pub id: String,
    /// Where it is; for messages.
    pub kubernetes: ServiceAccountRef,
    /// What its pods should work as.
    pub desired: Desired,
    /// Idempotency token.
    pub client_token: String,
}

/// Reads EKS.
#[async_trait(?Send)]
pub trait EksReader {
    /// One page of the associations of a cluster (`ListPodIdentityAssociations`).
    ///
    /// # Errors
    /// `NotFound` when EKS does not know the cluster.
    async fn associations(
        &self,
        access: &ClusterAccess,
        filter: &AssociationFilter,
        page: Option<&str>,
    ) -> Result<Page<AssociationSummary>, PortError>;

    /// One association, or none when it is gone (`DescribePodIdentityAssociation`).
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn association(
        &self,
        access: &ClusterAccess,
        id: &str,
    ) -> Result<Option<Association>, PortError>;

    /// One page of the names of the cluster's node groups (`ListNodegroups`).
    ///
    /// # Errors
    /// `NotFound` when EKS does not know the cluster.
    async fn node_groups(
        &self,
        access: &ClusterAccess,
        page: Option<&str>,
    ) -> Result<Page<String>, PortError>;

    /// ARN of a node group's role, or none when the group is gone (`DescribeNodegroup`).
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn node_group_role(
        &self,
        access: &ClusterAccess,
        name: &str,
    ) -> Result<Option<String>, PortError>;
}

/// Changes EKS.
#[async_trait(?Send)]
pub trait EksWriter {
    /// Makes an association (`CreatePodIdentityAssociation`).
    ///
    /// # Errors
    /// `InUse` when the Kubernetes service account has one already.
    async fn create_association(
        &self,
        access: &ClusterAccess,
        new: &NewAssociation,
    ) -> Result<Association, PortError>;

    /// Changes an association and answers what it is now (`UpdatePodIdentityAssociation`).
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    async fn update_association(
        &self,
        access: &ClusterAccess,
        update: &AssociationUpdate,
    ) -> Result<Association, PortError>;

    /// Adds or overwrites tags of an association (`TagResource`).
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    async fn tag_association(
        &self,
        access: &ClusterAccess,
        arn: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), PortError>;

    /// Deletes an association; one that is gone already is no error (`DeletePodIdentityAssociation`).
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn delete_association(&self, access: &ClusterAccess, id: &str) -> Result<(), PortError>;
}
