//! What the engine needs from the world, as narrow traits.
//!
//! Reading and writing are apart, so that a mode that must not write is never
//! given a writer. Implementations: `pod-identity-aws` over the SDKs,
//! `pod-identity-kubernetes` over kube, `pod-identity-world` over a state machine.
//!
//! The futures need not be `Send`: every function runs on one thread.

mod bus;
mod clock;
mod clusters;
mod domino;
mod eks;
mod error;
mod iam;
mod kubernetes;
mod ledger;

pub use bus::{Bus, BusEntry, MAX_BUS_ENTRIES, PutFailure};
pub use clock::Clock;
pub use clusters::{AGENT_ADDON, ClusterDescription, ClusterReader};
pub use domino::{DominoAccount, DominoPage, DominoQuery, DominoReader};
pub use eks::{
    Association, AssociationFilter, AssociationSummary, AssociationUpdate, EksReader, EksWriter,
    NewAssociation,
};
pub use error::{ErrorKind, PortError};
pub use iam::{IamReader, IamWriter, ManagedPolicy, NewPolicy, PolicyVersion, Role};
pub use kubernetes::{
    Admission, Eviction, KubernetesReader, KubernetesWriter, Mutation, Pod, PodId, PodQuery,
    ServiceAccount,
};
pub use ledger::{
    Expect, Item, Key, LedgerReader, LedgerWriter, MAX_READ, MAX_WRITE, Write, WriteError,
};

use pod_identity_core::{ClusterArn, RoleArn};
use serde::{Deserialize, Serialize};

/// Everything that is read.
pub trait Reads: ClusterReader + EksReader + IamReader + LedgerReader {}
impl<T: ClusterReader + EksReader + IamReader + LedgerReader> Reads for T {}

/// Everything that is changed.
pub trait Writes: EksWriter + IamWriter + LedgerWriter + Bus {}
impl<T: EksWriter + IamWriter + LedgerWriter + Bus> Writes for T {}

/// One page of a list, and the token that asks for the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries of this page; may be empty although more pages follow.
    pub items: Vec<T>,
    /// Token of the next page; none after the last.
    pub next: Option<String>,
}

/// How to reach the EKS and IAM of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterAccess {
    /// The cluster; its region and account are where the calls go.
    pub cluster: ClusterArn,
    /// The role to assume first, for a cluster of another account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<RoleArn>,
}
