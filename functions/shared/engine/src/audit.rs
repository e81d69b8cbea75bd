//! What an administrator does that is no change of what stands: it is in the history all the same,
//! with who asked, as claimed, and the request id.

use jiff::Timestamp;
use pod_identity_core::Version;
use serde_json::Value;

use crate::context::Context;
use crate::error::{Error, chain};
use crate::ledger::{HistoryOutcome, HistoryRecord, LedgerError, View, WriteSet, history_key};
use crate::ports::{LedgerWriter, WriteError};
use crate::run::Run;

/// Something that was asked for or permitted.
#[derive(Debug, Clone)]
pub struct AuditEntry<'a> {
    /// What, as the history calls it; the detail type of an event, where one goes out.
    pub what: &'a str,
    /// The same as data.
    pub change: Value,
    /// Who asked, as claimed.
    pub actor: Option<&'a str>,
    /// Why, as claimed.
    pub reason: Option<&'a str>,
}

impl AuditEntry<'_> {
    /// Adds what the history of a service account or, by ARN, of a cluster says of it.
    pub(crate) fn note(
        &self,
        of: &str,
        view: &mut View,
        writes: &mut WriteSet,
        now: Timestamp,
        run: &Run,
    ) -> Result<(), LedgerError> {
        let version = Version::new(now, format!("admin-{}-asked", run.request_id()));
        let key = history_key(of, &version);
        let record = HistoryRecord {
            version,
            outcome: HistoryOutcome::Noted,
            detail_type: self.what.to_owned(),
            change: self.change.clone(),
            actor: self.actor.map(str::to_owned),
            reason: self.reason.map(str::to_owned),
            request_id: run.request_id().to_owned(),
            recorded_at: now,
        };
        writes.put_anyway(view, key, &record, &run.revision(), None)
    }
}

/// Writes into the history of a service account or, by ARN, of a cluster what was asked for. Before
/// others are asked: nobody does what nobody is known to have asked for.
///
/// # Errors
/// When the ledger cannot be written.
pub async fn record_audit(
    context: Context<'_>,
    writer: &dyn LedgerWriter,
    act: &AuditEntry<'_>,
    of: &str,
) -> Result<(), Error> {
    let Context { ledger, clock, run, .. } = context;
    let failed = |why: &str| Error::from(format!("failed to write the history of {of}: {why}"));
    let mut writes = WriteSet::default();
    act.note(of, &mut View::default(), &mut writes, clock.now(), run)
        .map_err(|error| failed(&chain(&error)))?;
    match writes.commit(ledger, writer).await {
        Ok(()) => Ok(()),
        Err(WriteError::Conflict) => Err(failed("somebody else is writing it")),
        Err(WriteError::Port(error)) => Err(failed(&chain(&error))),
    }
}
