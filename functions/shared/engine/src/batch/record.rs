//! Changes that are only taken into the ledger: reconciliation, which is asked for, makes them true.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::ClusterArn;

use super::report::RecordReport;
use super::{Record, Taken, accept, announce, report, take};
use crate::context::Context;
use crate::ports::{Bus, LedgerWriter};

/// The outcome of changes that were only taken into the ledger.
#[derive(Debug)]
pub struct Recorded {
    /// One report a record, in their order. *Applied* says that the ledger has it.
    pub records: Vec<RecordReport>,
    /// Clusters on which something is left to do for them: whose reconciliation is to be asked for.
    /// The next scheduled one carries out all the same what the ledger has.
    pub clusters: BTreeSet<ClusterArn>,
}

/// Takes events into the ledger. Who calls asks for the reconciliation of the clusters that they
/// concern, see [`crate::request_clusters`]. It is given nothing that could change AWS.
///
/// Rules, versions and rejections are those of [`super::process`].
pub async fn record(
    context: Context<'_>,
    writer: &dyn LedgerWriter,
    bus: &dyn Bus,
    records: &[Record],
) -> Recorded {
    let Taken { accepted, decided, view, mut reports, .. } =
        take(&context, writer, bus, records, false).await;
    let clusters: BTreeSet<ClusterArn> =
        accept::jobs(&accepted, &decided, &view).into_keys().collect();
    let published = announce::announce(&context, bus, &accepted, &decided, &view).await;
    for ((event, decision), published) in accepted.iter().zip(decided).zip(published) {
        let report = &mut reports[event.at];
        if report.is_none() {
            let nothing_done = BTreeMap::new();
            let record = &records[event.at];
            let of = report::of(record, &event.command, decision, published, &nothing_done, &view);
            *report = Some(of);
        }
    }
    Recorded { records: reports.into_iter().flatten().collect(), clusters }
}
