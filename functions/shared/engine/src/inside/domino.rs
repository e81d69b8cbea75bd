//! The Domino side of bindings: Kubernetes service accounts and domsed's mapping.

use std::collections::BTreeMap;

use pod_identity_core::{DominoName, KubernetesName};

use super::known::Known;
use super::{Hands, Inside, InsideError, OutsideReads, OutsideWrites};
use crate::ledger::InsideBinding;
use crate::ports::{Clock, KubernetesReader, KubernetesWriter};

/// What became of the Domino side.
#[derive(Debug, Clone, Default)]
pub struct DominoReport {
    /// Roles that IRSA annotations of Kubernetes service accounts name, by service account.
    pub annotated: BTreeMap<KubernetesName, String>,
    /// What was done, or would be, in words.
    pub steps: Vec<String>,
    /// What failed, and why.
    pub failures: Vec<String>,
}

/// What is to be done about the Domino side.
pub(super) struct DominoPlan {
    report: DominoReport,
}

impl DominoPlan {
    /// The plan as it is shown where nothing is written.
    pub(super) fn shown(self, _bindings: &mut BTreeMap<DominoName, InsideBinding>) -> DominoReport {
        self.report
    }
}

/// Looks at service accounts and Mutations, and plans.
pub(super) async fn plan<A, K, C>(
    _context: &Inside<'_, A, K, C>,
    _known: &Known,
) -> Result<DominoPlan, InsideError>
where
    A: OutsideReads,
    K: KubernetesReader,
    C: Clock,
{
    Ok(DominoPlan { report: DominoReport::default() })
}

/// Does what was planned, and notes for each binding what became of it.
pub(super) async fn apply<A, K, B, W, C>(
    _context: &Inside<'_, A, K, C>,
    _hands: &Hands<'_, B, W>,
    plan: DominoPlan,
    _bindings: &mut BTreeMap<DominoName, InsideBinding>,
) -> DominoReport
where
    A: OutsideReads,
    K: KubernetesReader,
    B: OutsideWrites,
    W: KubernetesWriter,
    C: Clock,
{
    plan.report
}
