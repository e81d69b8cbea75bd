//! The note that a reconciliation of a whole cluster leaves for whoever asks how things are. Nothing
//! rests on it.

use super::overview::Overview;
use super::{Reconciled, Scope};
use crate::context::Context;
use crate::error::Error;
use crate::ledger::{CountRecord, ReconciledRecord, View, WriteSet, names_key, reconciled_key};
use crate::ports::LedgerWriter;

/// Leaves a note in the ledger of what the reconciliation of a whole cluster found so far, also
/// where it is continued.
///
/// # Errors
/// When the ledger cannot be written, or read where that is needed.
pub async fn note_reconciled(
    context: Context<'_>,
    writer: &dyn LedgerWriter,
    scope: &Scope,
    done: &Reconciled,
) -> Result<(), Error> {
    let Context { ledger, clock, run, .. } = context;
    if !scope.places.is_empty() {
        return Ok(());
    }
    let key = reconciled_key(&scope.cluster);
    let mut record = ReconciledRecord {
        at: clock.now(),
        request_id: run.request_id().to_owned(),
        skipped: done.skipped.clone(),
        halted: done.halted.clone(),
        ..ReconciledRecord::default()
    };
    if done.bindings.is_none() && done.skipped.is_some() {
        // Conditions stay as they were where nobody could look.
        let mut view = View::default();
        view.read(ledger, std::slice::from_ref(&key)).await?;
        let before = view.get::<ReconciledRecord>(&key).ok().flatten();
        if let Some(before) = before.filter(ReconciledRecord::is_counted) {
            record.counted_at = Some(before.counted_at.unwrap_or(before.at));
            record.states = before.states;
            record.bindings = before.bindings;
            record.capacity = before.capacity;
        }
    } else {
        let earlier = done.earlier(scope);
        let sum = |now: usize, part: fn(&ReconciledRecord) -> usize| {
            now + earlier.map(part).unwrap_or_default()
        };
        record.states = done.states.clone();
        record.bindings = done.bindings;
        let capacity = || earlier.and_then(|earlier| earlier.capacity.clone());
        record.capacity = done.capacity.clone().or_else(capacity);
        record.corrected = sum(done.corrected.len(), |earlier| earlier.corrected);
        record.orphans = sum(done.orphans.len(), |earlier| earlier.orphans);
        record.failures = sum(done.failures.len(), |earlier| earlier.failures);
        record.goes_on.clone_from(&done.left);
    }
    let mut writes = WriteSet::default();
    writes.put_anyway(&mut View::default(), key, &record, &run.revision(), None)?;
    // What acceptance counts may fall behind while several invocations count at once.
    if let Some(count) = done.names {
        let (names, record) = (names_key(), CountRecord { count });
        writes.put_anyway(&mut View::default(), names, &record, &run.revision(), None)?;
    }
    writes.commit(ledger, writer).await.map_err(Error::from)
}

/// The same while there is more to look at: an invocation that dies, or takes long, shows how far it
/// has come.
pub(super) async fn so_far(
    context: Context<'_>,
    writer: &dyn LedgerWriter,
    scope: &Scope,
    overview: &Overview,
    done: &mut Reconciled,
) {
    done.count(overview);
    if let Err(why) = note_reconciled(context, writer, scope, done).await {
        tracing::warn!(cluster = scope.cluster.name(), "not noted for status: {why}");
    }
}

impl Reconciled {
    /// What the earlier parts of a reconciliation came to that goes on where they stopped.
    fn earlier(&self, scope: &Scope) -> Option<&ReconciledRecord> {
        let noted = self.noted.as_ref().filter(|_| scope.after.is_some());
        noted.filter(|noted| noted.goes_on == scope.after)
    }

    /// Counts all bindings of the cluster by their conditions as they are now.
    pub(super) fn count(&mut self, overview: &Overview) {
        self.states.clear();
        let mut wanted = 0;
        for (name, record) in &overview.bindings {
            wanted += usize::from(overview.wanted(record).is_some());
            let condition = self.conditions.get(name).or_else(|| overview.conditions.get(name));
            if let Some(condition) = condition {
                *self.states.entry(condition.state).or_default() += 1;
            }
        }
        self.bindings = Some(wanted);
        self.names = Some(overview.bindings.len());
    }
}
