//! EKS, IAM, the bus and the ledger as one synchronous, seeded state machine.
//!
//! [`World`] follows AWS, not an emulator: uniqueness, pages, limits, error
//! codes and words, percent-encoded documents, changes that are not visible at
//! once. It never reads a clock: `now` is set from outside. [`WorldPorts`] puts
//! the engine's ports around it.

mod bus;
mod eks;
mod error;
#[cfg(test)]
mod fixture;
mod iam;
mod ledger;
mod paging;
mod ports;
mod random;
mod settling;
mod world;

pub use bus::{Bus, BusEvent, EntryRefusal, PutEventsEntry};
pub use eks::{Cluster, ClusterDescription, CreateAssociation, Eks, UpdateAssociation};
pub use error::AwsError;
pub use iam::{AttachedPolicy, Iam, PolicyOutput, PolicyVersionOutput, RoleOutput};
pub use ledger::{Ledger, LedgerRefusal};
pub use ports::{PortFault, When, WorldPorts};
pub use world::{Call, Caller, Settings, World};
