//! The Kubernetes API of a cluster.

use async_trait::async_trait;
use std::collections::BTreeMap;

use pod_identity_core::ServiceAccountRef;
pub use pod_identity_core::{Mutation, Pod, ServiceAccount};

use super::{ClusterAccess, Page, PortError};

/// Which pods a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodQuery {
    /// Namespace.
    pub namespace: String,
    /// Label selector, as Kubernetes writes it; empty for all.
    pub selector: String,
    /// Only the one of this name; all when there is none.
    pub name: Option<String>,
    /// Most pods of a page.
    pub limit: u32,
}

impl PodQuery {
    /// The pod that has a pod's name now.
    #[must_use]
    pub fn named(pod: &PodId) -> Self {
        let (namespace, name) = (pod.namespace.clone(), Some(pod.name.clone()));
        Self { namespace, selector: String::new(), name, limit: 1 }
    }
}

/// One pod, and no other that took its name later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodId {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
}

/// The outcome of an eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    /// The pod is terminating.
    Evicted,
    /// There is no such pod any more, or another one has its name.
    Gone,
    /// A PodDisruptionBudget forbids it now; what Kubernetes said.
    Blocked(String),
}

/// The outcome of a dry run of a pod's creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It would be admitted, and would look like this.
    Admitted(Box<Pod>),
    /// It would be refused; what Kubernetes said.
    Refused(String),
}

/// Reads a cluster's Kubernetes API.
///
/// All methods answer `Unreachable` when no connection can be made, `Denied` when the caller
/// is not known to the cluster (401) or may not do that there (403).
#[async_trait(?Send)]
pub trait KubernetesReader {
    /// One page of pods.
    ///
    /// # Errors
    /// `Expired` when the page token is too old (410): the list has to begin again.
    async fn pods(
        &self,
        access: &ClusterAccess,
        query: &PodQuery,
        page: Option<&str>,
    ) -> Result<Page<Pod>, PortError>;

    /// One service account, or none.
    ///
    /// # Errors
    /// `Passing`, `Denied`, `Unreachable`.
    async fn service_account(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
    ) -> Result<Option<ServiceAccount>, PortError>;

    /// One page of the service accounts of a namespace that a label selector admits.
    ///
    /// # Errors
    /// `Expired` when the page token is too old.
    async fn service_accounts(
        &self,
        access: &ClusterAccess,
        namespace: &str,
        selector: &str,
        page: Option<&str>,
    ) -> Result<Page<ServiceAccount>, PortError>;

    /// One page of the `Mutation` objects of a namespace.
    ///
    /// # Errors
    /// `NotFound` when the cluster does not know the resource: domsed is not installed.
    /// `Expired` when the page token is too old.
    async fn mutations(
        &self,
        access: &ClusterAccess,
        namespace: &str,
        page: Option<&str>,
    ) -> Result<Page<Mutation>, PortError>;
}

/// Changes things through a cluster's Kubernetes API.
#[async_trait(?Send)]
pub trait KubernetesWriter {
    /// Evicts a pod, by its uid. Never repeated by itself.
    ///
    /// # Errors
    /// `Passing` when throttled: a budget that forbids it is no error.
    async fn evict(
        &self,
        access: &ClusterAccess,
        pod: &PodId,
        grace_seconds: Option<u32>,
    ) -> Result<Eviction, PortError>;

    /// Deletes a pod, by its uid, whatever budgets say. Answers whether it was still there.
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn delete_pod(
        &self,
        access: &ClusterAccess,
        pod: &PodId,
        grace_seconds: Option<u32>,
    ) -> Result<bool, PortError>;

    /// Makes a service account with labels.
    ///
    /// # Errors
    /// `InUse` when there is one of that name, `NotFound` when there is no such namespace.
    async fn create_service_account(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
        labels: &BTreeMap<String, String>,
    ) -> Result<ServiceAccount, PortError>;

    /// Deletes a service account, by its uid; one that is gone already is no error.
    ///
    /// # Errors
    /// `InUse` when another one has its name.
    async fn delete_service_account(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
        uid: &str,
    ) -> Result<(), PortError>;

    /// Makes a `Mutation` be as it is given, by server-side apply with our field manager. With `force` it takes
    /// the fields that another manager owns.
    ///
    /// # Errors
    /// `InUse` when another manager owns a field of it and nothing is forced, `NotFound` when the cluster does not know
    /// the resource.
    async fn apply_mutation(
        &self,
        access: &ClusterAccess,
        namespace: &str,
        mutation: &Mutation,
        force: bool,
    ) -> Result<(), PortError>;

    /// Asks what a pod with a service account would look like after admission, and makes none
    /// (`dryRun=All`).
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn try_pod(
        &self,
        access: &ClusterAccess,
        name: &ServiceAccountRef,
    ) -> Result<Admission, PortError>;
}
