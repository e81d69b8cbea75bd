//! What a run found out, written into the ledger under its lease.

use pod_identity_core::DominoName;
use serde::Serialize;

use super::known::Remembered;
use super::{Inside, InsideReport, LeasedWriters};
use crate::error::{Error, chain};
use crate::ledger::{
    InsideBinding, InsideCluster, Intended, SweepCount, View, WriteSet, inside_binding_key,
    inside_key, intended_key, sweeps_key,
};
use crate::ports::{Clock, Key, MAX_WRITE};

/// Writes what is new, and gives the lease back with the last of it.
pub(super) async fn write(
    context: &Inside<'_>,
    writers: &LeasedWriters<'_>,
    known: &Remembered,
    report: &InsideReport,
) -> Result<(), Error> {
    let mut writing =
        Writing { context, writers, view: known.view.clone(), writes: WriteSet::default() };
    for (name, binding) in &report.bindings {
        if known.inside.get(name) != Some(binding) {
            writing.put(inside_binding_key(name, &context.access.cluster), binding).await?;
        }
    }
    let forgotten = known
        .inside
        .iter()
        .filter(|(name, remembered)| !remembered.is_empty() && !report.bindings.contains_key(name));
    let gone: Vec<&DominoName> = forgotten.map(|(name, _)| name).collect();
    for name in gone {
        let key = inside_binding_key(name, &context.access.cluster);
        writing.put(key, &InsideBinding::default()).await?;
    }
    let cluster = cluster(known, report, context.clock);
    writing.put(inside_key(&context.access.cluster), &cluster).await?;
    if let Some(sweep) = &report.sweep {
        if let Some(at) = sweep.looked_at {
            let mut sweeps = known.sweeps.clone();
            sweeps.add(SweepCount { at, stale: sweep.stale.clone() });
            writing.put(sweeps_key(&context.access.cluster), &sweeps).await?;
        }
        let evictions = sweep.unpublished.clone();
        // What was noted during the run is out of date now, and never was in the view.
        if !sweep.sweep.evictions.is_empty() || evictions != known.intended.evictions {
            writing
                .put_anyway(intended_key(&context.access.cluster), &Intended { evictions })
                .await?;
        }
    }
    writing.finish().await
}

/// What is known of the cluster now.
fn cluster(known: &Remembered, report: &InsideReport, clock: &dyn Clock) -> InsideCluster {
    let mut cluster = known.cluster.clone();
    cluster.looked_at = Some(clock.now());
    cluster.unreachable.clone_from(&report.skipped);
    cluster.missing.clone_from(&report.missing);
    cluster.note_failures(report.failed());
    if let Some(sweep) = &report.sweep
        && let Some(looked_at) = sweep.looked_at
    {
        cluster.swept_at = Some(looked_at);
        cluster.stale.clone_from(&sweep.stale);
    }
    cluster
}

struct Writing<'a> {
    context: &'a Inside<'a>,
    writers: &'a LeasedWriters<'a>,
    view: View,
    writes: WriteSet,
}

impl Writing<'_> {
    /// One write of each transaction is the lease's.
    async fn make_room(&mut self) -> Result<(), Error> {
        if self.writes.len() < MAX_WRITE - 1 {
            return Ok(());
        }
        let mut full = std::mem::take(&mut self.writes);
        self.writers.lease.fence(&mut full);
        self.commit(full).await
    }

    async fn put<T: Serialize>(&mut self, key: Key, record: &T) -> Result<(), Error> {
        self.make_room().await?;
        let revision = self.context.run.revision();
        self.writes.put(&mut self.view, key, record, &revision).map_err(Error::from)
    }

    async fn put_anyway<T: Serialize>(&mut self, key: Key, record: &T) -> Result<(), Error> {
        self.make_room().await?;
        let revision = self.context.run.revision();
        self.writes.put_anyway(&mut self.view, key, record, &revision, None).map_err(Error::from)
    }

    async fn finish(mut self) -> Result<(), Error> {
        let mut last = std::mem::take(&mut self.writes);
        self.writers.lease.release(self.context.run, &mut last);
        self.commit(last).await
    }

    async fn commit(&self, writes: WriteSet) -> Result<(), Error> {
        let access = self.context.access;
        writes.commit(self.context.ledger, self.writers.ledger).await.map_err(|error| {
            let cluster = access.cluster.name();
            Error::from(format!(
                "what was found inside cluster {cluster} could not be written down: {}",
                chain(&error)
            ))
        })
    }
}
