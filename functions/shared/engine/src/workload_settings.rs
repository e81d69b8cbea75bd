//! What a deployment sets of the inside of its clusters.

use std::time::Duration;

pub use pod_identity_core::domino::MappingSettings;
use pod_identity_core::sweep;

/// Settings of what is done inside clusters. Each part can be left out.
#[derive(Debug, Clone)]
pub struct InsideSettings {
    /// Namespaces in which Domino's executions run.
    pub namespaces: Vec<String>,
    /// Whether Kubernetes service accounts that bindings need are made.
    pub service_accounts: bool,
    /// How Domino names are mapped; not at all when absent.
    pub mapping: Option<MappingSettings>,
    /// How stale pods are looked for; not at all when absent.
    pub sweep: Option<SweepSettings>,
    /// Whether a dry run of a pod's creation proves that an association is effective.
    pub dry_run: bool,
    /// Most objects of one page of a list.
    pub page: u32,
}

/// Settings of the sweep.
#[derive(Debug, Clone)]
pub struct SweepSettings {
    /// What is stale, and what is done about it.
    pub rules: sweep::Settings,
    /// Label selector of the pods that are looked at; empty for all.
    pub selector: String,
    /// Grace period that evicted pods get, in seconds; their own when absent.
    pub grace_seconds: Option<u32>,
    /// How long a disruption budget may block the eviction of a revoked pod before it is deleted
    /// instead; for ever when absent.
    pub delete_after: Option<Duration>,
}
