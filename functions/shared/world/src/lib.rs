//! EKS, IAM, the bus, the ledger and Kubernetes as one synchronous, seeded state machine.
//!
//! [`World`] follows AWS and Kubernetes, not an emulator: uniqueness, pages, limits, error
//! codes and words, percent-encoded documents, changes that are not visible at
//! once. It never reads a clock: `now` is set from outside. [`WorldPorts`] puts
//! the engine's ports around it.

mod bus;
mod deployment;
mod eks;
mod error;
#[cfg(test)]
mod fixture;
mod iam;
mod kubernetes;
mod ledger;
mod paging;
mod ports;
mod random;
mod settling;
mod world;

pub use bus::{Bus, BusEvent, EntryRefusal, PutEventsEntry};
pub use deployment::{deployment_settings, drive};
pub use eks::{Addon, Cluster, ClusterDescription, CreateAssociation, Eks, UpdateAssociation};
pub use error::AwsError;
pub use iam::{AttachedPolicy, Iam, PolicyOutput, PolicyVersionOutput, RoleOutput};
pub use kubernetes::{
    AccessRule, ApiStatus, Budget, DominoPod, KubernetesCluster, KubernetesRequest,
    KubernetesSettings, LATE, PatchKind, Resource, Verb,
};
pub use ledger::{Ledger, LedgerRefusal};
pub use ports::{PortFault, Waiting, When, WorldPorts};
pub use world::{Call, Caller, Settings, World};
