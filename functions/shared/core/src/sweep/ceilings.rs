//! How many pods one sweep evicts at most.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Finding;

/// How many pods one sweep of a cluster evicts at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    /// Most evictions. Default 50.
    pub per_sweep: usize,
    /// Most evictions in a namespace. Default 50.
    pub per_namespace: usize,
    /// Largest share of a namespace's pods that were looked at, in percent. Default 50. Removals that the ledger
    /// remembers are no part of it, nor is what a budget blocked before.
    pub share_percent: u8,
    /// So many pods are no large share, however few there are. Default 5.
    pub share_from: usize,
}

impl Default for Ceilings {
    fn default() -> Self {
        Self { per_sweep: 50, per_namespace: 50, share_percent: 50, share_from: 5 }
    }
}

/// One ceiling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", tag = "ceiling", content = "namespace")]
pub enum Ceiling {
    /// Of the whole sweep.
    Sweep,
    /// Of this namespace.
    Namespace(String),
    /// Of the share of this namespace's pods.
    Share(String),
}

/// A ceiling that held evictions back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CeilingHit {
    /// Which.
    #[serde(flatten)]
    pub ceiling: Ceiling,
    /// How many pods it admits.
    pub limit: usize,
    /// How many pods it held back.
    pub waiting: usize,
}

impl fmt::Display for CeilingHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ceiling, limit, waiting } = self;
        let go_on = "the next sweep goes on; raise the ceiling to go faster";
        match ceiling {
            Ceiling::Sweep => {
                write!(f, "{waiting} wait: one sweep evicts at most {limit} pods; {go_on}")
            }
            Ceiling::Namespace(name) => write!(
                f,
                "{waiting} wait: one sweep evicts at most {limit} pods of namespace {name}; {go_on}"
            ),
            Ceiling::Share(name) => write!(
                f,
                "{waiting} pods of namespace {name} would be evicted, those aside whose removal the ledger remembers: more than the {limit} that are a plausible share, so none of them is; check that so many were meant, then raise the share, or end them in Domino"
            ),
        }
    }
}

/// Counts evictions against the ceilings.
#[derive(Debug)]
pub(super) struct Budget<'a> {
    ceilings: Ceilings,
    /// Pods that were looked at, by namespace.
    pods: &'a BTreeMap<String, usize>,
    /// Evictions that are wanted and rest on this observation alone, by namespace.
    wanted: BTreeMap<String, usize>,
    granted: BTreeMap<String, usize>,
    total: usize,
    hits: BTreeMap<Ceiling, CeilingHit>,
}

impl<'a> Budget<'a> {
    pub(super) fn new<'f>(
        ceilings: Ceilings,
        pods: &'a BTreeMap<String, usize>,
        evicted: usize,
        wanted: impl IntoIterator<Item = &'f Finding>,
    ) -> Self {
        let mut by_namespace = BTreeMap::new();
        for finding in wanted.into_iter().filter(|finding| !finding.is_plausible()) {
            *by_namespace.entry(finding.pod.namespace.clone()).or_default() += 1;
        }
        let (granted, hits) = (BTreeMap::new(), BTreeMap::new());
        Self { ceilings, pods, wanted: by_namespace, granted, total: evicted, hits }
    }

    /// Takes one eviction, or says which ceiling forbids it.
    pub(super) fn take(&mut self, finding: &Finding) -> Result<(), Ceiling> {
        let namespace = finding.pod.namespace.as_str();
        let count = |of: &BTreeMap<String, usize>| of.get(namespace).copied().unwrap_or(0);
        let Ceilings { per_sweep, per_namespace, share_percent, share_from } = self.ceilings;
        let share = count(self.pods).saturating_mul(share_percent.into()) / 100;
        let share = share.max(share_from);
        // An observation that makes most pods stale is more likely wrong than right: then the
        // first few would be as wrong as the others.
        let (ceiling, limit) = if !finding.is_plausible() && count(&self.wanted) > share {
            (Ceiling::Share(namespace.to_owned()), share)
        } else if count(&self.granted) >= per_namespace {
            (Ceiling::Namespace(namespace.to_owned()), per_namespace)
        } else if self.total >= per_sweep {
            (Ceiling::Sweep, per_sweep)
        } else {
            self.total += 1;
            *self.granted.entry(namespace.to_owned()).or_default() += 1;
            return Ok(());
        };
        let new = || CeilingHit { ceiling: ceiling.clone(), limit, waiting: 0 };
        self.hits.entry(ceiling.clone()).or_insert_with(new).waiting += 1;
        Err(ceiling)
    }

    pub(super) fn hits(self) -> Vec<CeilingHit> {
        self.hits.into_values().collect()
    }
}
