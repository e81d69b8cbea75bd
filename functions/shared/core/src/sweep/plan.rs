//! What is done about stale pods.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::ceilings::Budget;
use super::{Action, Case, Ceiling, CeilingHit, Doubt, Finding, Settings};

/// What one sweep of a cluster does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sweep {
    /// How many pods were looked at.
    pub pods: usize,
    /// Why nobody is evicted or reported at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<String>,
    /// Pods to evict, in this order: what was taken away longest ago first, and last of all
    /// what a budget blocked before.
    pub evictions: Vec<Finding>,
    /// Pods to report and leave alone.
    pub reports: Vec<Reported>,
    /// Pods that a later sweep looks at again, about which nothing is done and nothing told now.
    pub held_back: Vec<HeldBack>,
    /// The ceilings that held evictions back.
    pub ceilings: Vec<CeilingHit>,
    /// When the first of those that wait for a change to settle can be looked at again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Timestamp>,
    /// What this one leaves out, where it shows only a part of what is done ([`Sweep::shown`]).
    #[serde(skip_serializing_if = "Omitted::is_nothing")]
    pub omitted: Omitted,
}

/// How many pods are not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Omitted {
    /// Of those that are evicted.
    pub evictions: usize,
    /// Of those that are reported.
    pub reports: usize,
    /// Of those that are held back.
    pub held_back: usize,
}

impl Omitted {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Sweep {
    /// The same with at most so many pods of each kind, and how many were left out.
    #[must_use]
    pub fn shown(&self, most: usize) -> Self {
        fn first<T: Clone>(all: &[T], most: usize) -> Vec<T> {
            all.iter().take(most).cloned().collect()
        }
        let beyond = |count: usize| count.saturating_sub(most);
        Self {
            pods: self.pods,
            halted: self.halted.clone(),
            evictions: first(&self.evictions, most),
            reports: first(&self.reports, most),
            held_back: first(&self.held_back, most),
            ceilings: self.ceilings.clone(),
            again_at: self.again_at,
            omitted: Omitted {
                evictions: beyond(self.evictions.len()),
                reports: beyond(self.reports.len()),
                held_back: beyond(self.held_back.len()),
            },
        }
    }

    /// Whether nothing is stale, and nothing stood in the way of finding out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // A new field does not compile until somebody has decided about it.
        let Self { pods: _, halted, evictions, reports, held_back, ceilings, again_at, omitted: _ } =
            self;
        halted.is_none()
            && evictions.is_empty()
            && reports.is_empty()
            && held_back.is_empty()
            && ceilings.is_empty()
            && again_at.is_none()
    }
}

/// A pod that is reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reported {
    /// The pod.
    pub finding: Finding,
    /// Why it is not evicted.
    pub because: WhyReported,
}

/// Why a pod is reported and not evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WhyReported {
    /// The policy says so.
    Policy,
    /// The policy evicts what a controller starts again, and nothing starts this one again.
    NothingRestartsIt,
    /// It may be right.
    Doubt(Doubt),
    /// It asks to be kept.
    AsksToBeKept,
}

/// A pod about which nothing is done now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldBack {
    /// The pod.
    pub finding: Finding,
    /// Why nothing is done.
    pub because: WhyHeldBack,
}

/// Why nothing is done about a pod now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum WhyHeldBack {
    /// The observation cannot be trusted.
    Halted,
    /// Before this time, what comes instead could be admitted too early as well.
    Unsettled(Timestamp),
    /// A ceiling is reached.
    Ceiling(Ceiling),
}

/// Decides about every finding.
pub(super) fn plan(
    mut findings: Vec<Finding>,
    pods: &BTreeMap<String, usize>,
    evicted: usize,
    halted: Option<String>,
    settings: &Settings,
    now: Timestamp,
) -> Sweep {
    findings.sort_by(|a, b| a.rank().cmp(&b.rank()));
    let mut sweep = Sweep { pods: pods.values().sum(), halted, ..Sweep::default() };
    let mut wanted = Vec::new();
    for finding in findings {
        if sweep.halted.is_some() {
            // What is missing from the observation makes false alarms as well.
            sweep.held_back.push(HeldBack { finding, because: WhyHeldBack::Halted });
        } else if let Some(because) = report(&finding, settings) {
            sweep.reports.push(Reported { finding, because });
        } else if let Some(at) = finding.settles_at.filter(|at| now < *at) {
            sweep.again_at = Some(sweep.again_at.map_or(at, |first| first.min(at)));
            sweep.held_back.push(HeldBack { finding, because: WhyHeldBack::Unsettled(at) });
        } else {
            wanted.push(finding);
        }
    }
    // Those that a budget blocks come last: they would use up every sweep's evictions otherwise.
    wanted.sort_by_key(|finding| finding.blocked_since.is_some());
    let mut budget = Budget::new(settings.ceilings, pods, evicted, &wanted);
    for finding in wanted {
        match budget.take(&finding) {
            Ok(()) => sweep.evictions.push(finding),
            Err(ceiling) => {
                let because = WhyHeldBack::Ceiling(ceiling);
                sweep.held_back.push(HeldBack { finding, because });
            }
        }
    }
    sweep.ceilings = budget.hits();
    sweep
}

/// Why a finding is no more than reported, if it is.
fn report(finding: &Finding, settings: &Settings) -> Option<WhyReported> {
    let restarts =
        finding.owner.as_ref().is_some_and(|owner| settings.restarting.contains(&owner.kind));
    match settings.policy.of(finding) {
        _ if finding.doubt.is_some() => finding.doubt.map(WhyReported::Doubt),
        Action::Report => Some(WhyReported::Policy),
        Action::Restart if !restarts => Some(WhyReported::NothingRestartsIt),
        Action::Restart | Action::Evict => {
            let kept = finding.asks_to_be_kept && finding.case != Case::Revoked;
            kept.then_some(WhyReported::AsksToBeKept)
        }
    }
}
