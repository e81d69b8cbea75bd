//! The sweep of stale pods: observe, plan with `core`, evict, tell.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_core::sweep::{Case, Sweep};

use super::known::Known;
use super::{Hands, Inside, InsideError, InsideReport, InsideScope, OutsideReads, OutsideWrites};
use crate::ports::{Clock, KubernetesReader, KubernetesWriter, PodId};

/// What became of a sweep.
#[derive(Debug, Clone)]
pub struct SweepReport {
    /// What was planned.
    pub sweep: Sweep,
    /// When it began to look, if it saw all pods and associations.
    pub looked_at: Option<Timestamp>,
    /// Stale pods by case.
    pub stale: BTreeMap<Case, usize>,
    /// Pods that were evicted.
    pub evicted: Vec<PodId>,
    /// Pods that were deleted because a budget had blocked their eviction for too long.
    pub deleted: Vec<PodId>,
    /// Pods whose eviction a budget blocks, and Kubernetes' words.
    pub blocked: Vec<(PodId, String)>,
    /// Pods that were to be evicted and are not stale any more, or gone.
    pub spared: Vec<PodId>,
    /// What failed for a passing reason, by pod.
    pub failures: Vec<(PodId, String)>,
    /// Whether the time was over before all was done: somebody has to go on.
    pub left: bool,
}

/// What is to be done about stale pods, and what it rests on.
pub(super) struct SweepPlan {
    report: SweepReport,
}

impl SweepPlan {
    /// The plan as it is shown where nothing is written.
    pub(super) fn shown(self) -> SweepReport {
        self.report
    }
}

/// Looks at pods and associations, and plans; notes which bindings are effective or shadowed.
pub(super) async fn plan<A, K, C>(
    _context: &Inside<'_, A, K, C>,
    _known: &Known,
    _scope: &InsideScope,
    _report: &mut InsideReport,
) -> Result<Option<SweepPlan>, InsideError>
where
    A: OutsideReads,
    K: KubernetesReader,
    C: Clock,
{
    Ok(None)
}

/// Evicts and tells.
pub(super) async fn apply<A, K, B, W, C>(
    _context: &Inside<'_, A, K, C>,
    _hands: &Hands<'_, B, W>,
    _known: &Known,
    plan: SweepPlan,
) -> SweepReport
where
    A: OutsideReads,
    K: KubernetesReader,
    B: OutsideWrites,
    W: KubernetesWriter,
    C: Clock,
{
    plan.report
}
