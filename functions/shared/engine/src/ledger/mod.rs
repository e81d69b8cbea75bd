//! The ledger's records, keys and rules.

mod accept;
mod keys;
mod records;
mod view;

pub use accept::{Acceptance, Decision, accept, registry};
pub use keys::{
    binding_key, bindings_partition, claims_key, condition_key, condition_prefix, history_key,
    history_partition, lease_key, node_policy_key, notice_key, notice_partition, recent_key,
    registry_key, service_account_partition,
};
pub use records::{
    AssociationRecord, BindingRecord, BindingState, BlockedRecord, ClaimsRecord, ClusterRecord,
    Condition, ConditionState, HistoryOutcome, HistoryRecord, LeaseRecord, NodePolicyRecord,
    NoticeKind, NoticeRecord, RecentRecord, Registry, Retirement, WrittenRecord,
};
pub use view::{LedgerError, Stored, View, WriteSet};

/// Most clusters of one deployment: an accepted change writes one condition a
/// cluster, and one transaction holds 100 writes.
pub const MAX_CLUSTERS: usize = 80;
