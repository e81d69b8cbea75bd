//! The engine of domino-pod-identity: observes AWS and the ledger through
//! narrow ports, plans with `pod-identity-core`, applies the plan through
//! ports again. It knows no SDK and no runtime, and spawns nothing.

mod adopt;
mod apply;
mod audit;
mod batch;
mod calls;
mod cluster;
mod context;
mod directory;
mod dry_run;
mod error;
mod inside;
mod lease;
pub mod ledger;
mod observe;
mod original;
mod outcome;
pub mod ports;
mod publish;
mod reconcile;
mod requests;
mod run;
mod settings;
mod workload_settings;

pub use adopt::{Adoption, permit_adoption};
pub use audit::{AuditEntry, record_audit};
pub use batch::{BatchReport, Outcome, Record, RecordReport, Recorded, process, record};
pub use calls::Calls;
pub use cluster::{ClusterReport, retirement_blockers};
pub use context::{Cloud, Context, Workloads, WorkloadsWriters, Writers};
pub use directory::{DominoCheck, DominoSource, check_domino, record_domino_check};
pub use dry_run::DryRunLedger;
pub use error::{Error, chain};
pub use inside::{
    DominoReport, InsideReport, InsideScope, SweepReport, is_covered, preview_workloads,
    reconcile_workloads, request_sweep, request_sweep_rest, request_sweeps,
};
pub use observe::is_broad_policy;
pub use reconcile::{
    Correction, Orphan, Reconciled, Recreation, Resumption, Retirement, Scope, note_reconciled,
    plan_resumption, preview, reconcile, request_again, request_all, request_clusters,
    request_rest, resume,
};
pub use run::Run;
pub use settings::Settings;
pub use workload_settings::{InsideSettings, MappingSettings, SweepSettings};
