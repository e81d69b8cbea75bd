//! The ledger's records, keys and rules.

mod accept;
mod claims;
mod domino;
mod inside;
mod keys;
mod known;
mod records;
mod view;

pub use accept::{Acceptance, Decision, accept, registry};
pub use claims::{AccountClaim, Claimed, ClaimsRecord, MAX_CLAIMS};
pub use domino::{DominoComparison, DominoFailure, DominoRecord, MAX_DOMINO_NAMES, NameList};
pub use inside::{
    Effective, InsideBinding, InsideCluster, Intended, IntendedEviction, Missing, Proof,
    SweepCount, Sweeps, Told,
};
pub use keys::{
    account_key, account_prefix, binding_key, bindings_partition, claims_key, cluster_partition,
    condition_key, condition_prefix, domino_key, history_key, history_partition,
    inside_binding_key, inside_key, inside_lease_key, inside_partition, intended_key, lease_key,
    node_policy_key, notice_key, notice_partition, reconciled_key, registry_key,
    service_account_partition, sweeps_key, told_key, told_partition, trim_key,
};
pub use known::accounts;
pub(crate) use known::{bindings, by_name, condition_keys, conditions};
pub(crate) use records::MAX_REMOVALS;
pub use records::{
    AccountRecord, AssociationRecord, BindingRecord, BindingState, BlockedRecord, ClusterRecord,
    Condition, ConditionState, HistoryOutcome, HistoryRecord, LeaseRecord, NodePolicyRecord,
    NoticeKind, NoticeRecord, ReconciledRecord, Registry, RemovalRecord, Retirement, TrimRecord,
    WorkedRecord, WrittenRecord,
};
pub use view::{LedgerError, Stored, View, WriteSet};

/// Most clusters of one deployment: an accepted change writes one condition a
/// cluster, and one transaction holds 100 writes.
pub const MAX_CLUSTERS: usize = 80;
