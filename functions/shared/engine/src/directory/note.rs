//! The record of a comparison with Domino, for the admin function.

use jiff::Timestamp;

use super::DominoCheck;
use crate::context::Context;
use crate::error::Error;
use crate::ledger::{
    DominoComparison, DominoFailure, DominoRecord, NameList, View, WriteSet, domino_key, registry,
    registry_key,
};
use crate::ports::LedgerWriter;
use crate::run::Run;

/// Records in the ledger what a comparison with Domino found. After a failure the record keeps the
/// comparison before it. `asked_at` is when Domino was asked.
///
/// # Errors
/// When the ledger cannot be read or written, or belongs to another deployment.
pub async fn record_domino_check(
    context: Context<'_>,
    writer: &dyn LedgerWriter,
    check: &Result<DominoCheck, Error>,
    asked_at: Timestamp,
) -> Result<(), Error> {
    let Context { ledger, run, settings, .. } = context;
    let mut view = View::default();
    view.read(ledger, &[registry_key(), domino_key()]).await?;
    registry(&view, &settings.plan.deployment)?;
    let record = match check {
        Ok(check) => DominoRecord {
            comparison: Some(comparison(check, asked_at, run)),
            ..DominoRecord::default()
        },
        Err(cause) => {
            // A record that cannot be read is replaced.
            let before = view.get::<DominoRecord>(&domino_key()).ok().flatten();
            let comparison = before.and_then(|stored| stored.comparison);
            DominoRecord {
                comparison,
                failure: Some(DominoFailure::new(asked_at, &cause.to_string())),
            }
        }
    };
    let mut writes = WriteSet::default();
    writes.put_anyway(&mut view, domino_key(), &record, &run.revision(), None)?;
    writes.commit(ledger, writer).await.map_err(Error::from)
}

fn comparison(check: &DominoCheck, asked_at: Timestamp, run: &Run) -> DominoComparison {
    let DominoCheck { found, unbound, failures } = check;
    DominoComparison {
        asked_at,
        request_id: run.request_id().to_owned(),
        bound: found.bound,
        deactivated: NameList::of(found.deactivated.iter().map(|name| name.as_str())),
        gone: NameList::of(found.gone.iter().map(|name| name.as_str())),
        unassigned: NameList::of(found.unassigned.iter()),
        unbound: NameList::of(unbound.iter().map(|name| name.as_str())),
        not_unbound: NameList::of(failures.keys().map(|name| name.as_str())),
        doubt: found.doubt.clone(),
    }
}
