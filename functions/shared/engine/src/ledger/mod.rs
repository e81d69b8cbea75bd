//! The ledger's records, keys and rules.

mod accept;
mod claims;
mod domino;
mod guard;
mod inside;
mod keys;
mod known;
mod records;
mod registry;
mod view;

pub(crate) use accept::superseded_count_key;
pub use accept::{Acceptance, Decision, accept, registry};
pub use claims::{AccountClaim, Claimed, ClaimsRecord, MAX_CLAIMS};
pub use domino::{DominoComparison, DominoFailure, DominoRecord, MAX_DOMINO_NAMES, NameList};
pub use guard::{GuardRecord, HaltRecord};
pub use inside::{
    Effective, InsideBinding, InsideCluster, Intended, IntendedEviction, Missing, Proof,
    ReportedPod, SweepCount, Sweeps,
};
pub use keys::{
    account_key, account_prefix, binding_key, bindings_partition, claims_key, cluster_partition,
    condition_key, condition_prefix, domino_key, guard_key, history_key, history_partition,
    inside_binding_key, inside_key, inside_lease_key, inside_partition, intended_key, lease_key,
    names_key, node_policy_key, notice_count_key, notice_key, notice_partition, reconciled_key,
    registry_key, reported_key, reported_partition, service_account_partition, sweeps_key,
};
pub use known::accounts;
pub(crate) use known::{bindings, by_name, on_cluster};
pub(crate) use records::MAX_REMOVALS;
pub use records::{
    AccountRecord, AssociationRecord, BindingRecord, BindingState, Condition, ConditionState,
    CountRecord, HistoryOutcome, HistoryRecord, LeaseRecord, NodePolicyRecord, NoticeKind,
    NoticeRecord, ReconciledRecord, RemovalRecord, WorkedRecord, WrittenRecord,
};
pub use registry::{ClusterRecord, Registry, RetirementRecord};
pub use view::{LedgerError, View, WriteSet};

/// Most superseded events of one type about one name that the ledger keeps in a day; the rest is counted.
pub const MAX_SUPERSEDED: usize = 100;

/// Most rejected events that the ledger keeps whole in a day; of the rest it keeps a digest.
pub const MAX_REJECTED: usize = 1_000;

/// Format of the ledger's items. A function that meets another one refuses to work.
pub const REGISTRY_FORMAT: u32 = 1;

/// Most bytes of the registry, which every event reads.
pub const MAX_REGISTRY_BYTES: usize = 64 * 1024;

/// Most clusters of one deployment: an accepted change writes one condition a
/// cluster, and one transaction holds 100 writes.
pub const MAX_CLUSTERS: usize = 80;
