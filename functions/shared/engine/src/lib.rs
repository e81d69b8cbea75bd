//! The engine of domino-pod-identity: observes AWS and the ledger through
//! narrow ports, plans with `pod-identity-core`, applies the plan through
//! ports again. It knows no SDK and no runtime, and spawns nothing.

mod act;
mod adopt;
mod apply;
mod batch;
mod calls;
mod cluster;
mod context;
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
mod roster;
mod run;
mod settings;
mod workload_settings;

pub use act::{Act, note_act};
pub use adopt::{Adoption, permit_adoption};
pub use batch::{BatchReport, Outcome, Record, RecordReport, Recorded, process, record};
pub use calls::Calls;
pub use cluster::{ClusterReport, held_up};
pub use context::{Cloud, Context, Workloads, WorkloadsWriters, Writers};
pub use dry_run::DryRunLedger;
pub use error::{Error, chain};
pub use inside::{
    DominoReport, InsideReport, InsideScope, SweepReport, is_covered, preview_inside,
    request_sweep, request_sweep_rest, request_sweeps, work_inside,
};
pub use observe::is_broad_policy;
pub use reconcile::{
    Correction, Orphan, Reconciled, Recreation, Resumption, Retirement, Scope, note_reconciled,
    plan_resumption, preview, reconcile, request_again, request_all, request_clusters,
    request_rest, resume,
};
pub use roster::{DominoCheck, DominoSource, check_domino, record_domino_check};
pub use run::Run;
pub use settings::Settings;
pub use workload_settings::{InsideSettings, MappingSettings, SweepSettings};
