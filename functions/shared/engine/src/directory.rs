//! Domino as a source: its lists of service accounts are read and compared with the ledger, and
//! what it has deactivated can be unbound.
//!
//! Domino puts nothing on the bus by itself. Where the automation that does was forgotten, a
//! deactivated service account would keep its role; here its deactivation is recorded as if the
//! event had come.

mod lists;
mod note;

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::DominoName;
use pod_identity_core::directory::{Ceilings, Comparison, compare};
use pod_identity_events::{Envelope, SCHEMA_VERSION, detail_type, source};
use serde_json::json;

use crate::batch::{Outcome, Record, record};
use crate::context::Context;
use crate::error::Error;
use crate::ledger::{BindingRecord, View, bindings, bindings_partition, registry, registry_key};
use crate::outcome::time;
use crate::ports::{Bus, DominoReader, LedgerReader, LedgerWriter};
use crate::reconcile::request_clusters;
use crate::settings::Settings;
use lists::Asking;

pub use note::record_domino_check;

/// Why it was done, as the history has it.
const DEACTIVATED_REASON: &str = "deactivated in Domino";

/// Who did it, as the history has it.
const ACTOR: &str = "domino-pod-identity, after Domino's list of service accounts";

/// Domino, and what may come of what it says.
#[derive(Clone, Copy)]
pub struct DominoSource<'a> {
    /// Asks Domino.
    pub reader: &'a dyn DominoReader,
    /// Whether schedules unbind what is deactivated, and do not only report it.
    pub unbinds: bool,
    /// How many are unbound at most.
    pub ceilings: Ceilings,
}

impl fmt::Debug for DominoSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reader: _, unbinds, ceilings } = self;
        f.debug_struct("DominoSource")
            .field("unbinds", unbinds)
            .field("ceilings", ceilings)
            .finish_non_exhaustive()
    }
}

/// What came of a look at Domino.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DominoCheck {
    /// What Domino says of the bindings.
    pub found: Comparison,
    /// Whose deactivation the ledger has now.
    pub unbound: Vec<DominoName>,
    /// Whose it has not, and why.
    pub failures: BTreeMap<DominoName, Error>,
}

/// A comparison, and what it was made of.
struct Compared {
    found: Comparison,
    bindings: BTreeMap<DominoName, BindingRecord>,
    /// When Domino had not been asked yet.
    at: Timestamp,
}

/// Looks at what Domino says of the bindings, and if its source is set to unbind, records the
/// deactivation of those that Domino has deactivated, within the ceilings.
///
/// # Errors
/// When Domino or the ledger cannot be read completely, in words with the remediation; then nothing
/// was written. No call starts that might end after `deadline`.
pub async fn check_domino(
    context: Context<'_>,
    writer: &dyn LedgerWriter,
    bus: &dyn Bus,
    domino: &DominoSource<'_>,
) -> Result<DominoCheck, Error> {
    let Context { clock, run, .. } = context;
    let Compared { found, bindings, at } = look(context, domino).await?;
    let mut done = DominoCheck { found, ..DominoCheck::default() };
    let names = if domino.unbinds { done.found.to_unbind() } else { &[] };
    if names.is_empty() {
        return Ok(done);
    }
    let mut records = Vec::new();
    for (number, name) in names.iter().enumerate() {
        let id = format!("domino-{}-{number}", run.request_id());
        let event = deactivated(name, bindings.get(name), at, id, clock.now());
        let text = serde_json::to_string(&event).map_err(|error| error.to_string())?;
        records.push(Record { id: name.to_string(), text, deliveries: 0 });
    }
    let recorded = record(context, writer, bus, &records).await;
    let why = "what service accounts work as was changed";
    for (cluster, why) in request_clusters(context, bus, &recorded.clusters, why).await {
        let cluster = cluster.name();
        tracing::warn!(
            cluster,
            %why,
            "its reconciliation was not asked for; the next scheduled one goes on"
        );
    }
    for (name, report) in names.iter().zip(recorded.records) {
        match report.outcome {
            Outcome::Applied | Outcome::Blocked | Outcome::Waiting | Outcome::Repeated => {
                done.unbound.push(name.clone());
            }
            outcome => {
                let why = format!("{outcome:?}: {}", report.lines.join("; "));
                done.failures.insert(name.clone(), why.into());
            }
        }
    }
    Ok(done)
}

async fn look(context: Context<'_>, domino: &DominoSource<'_>) -> Result<Compared, Error> {
    let Context { ledger, clock, settings, deadline, .. } = context;
    let at = clock.now();
    let bindings = bound(ledger, settings).await?;
    let asking = Asking { reader: domino.reader, clock, settings, deadline };
    let mut directory = asking.directory().await?;
    let mut found = compare(bindings.keys(), &directory, domino.ceilings);
    if !found.to_unbind().is_empty() {
        // A list that changes while it is read in parts can lose somebody between two parts. Who
        // is deactivated is so in two looks.
        directory.active.extend(asking.active().await?);
        found = compare(bindings.keys(), &directory, domino.ceilings);
    }
    Ok(Compared { found, bindings, at })
}

/// Whoever is bound, by this deployment's ledger.
async fn bound(
    reader: &dyn LedgerReader,
    settings: &Settings,
) -> Result<BTreeMap<DominoName, BindingRecord>, Error> {
    let mut view = View::default();
    view.read(reader, &[registry_key()]).await?;
    registry(&view, &settings.plan.deployment)?;
    view.query(reader, bindings_partition(), "").await?;
    let mut all = bindings(&view)?;
    all.retain(|_, record| record.binding().is_some());
    Ok(all)
}

/// The event that Domino's automation would have sent.
///
/// Its time is when Domino had not been asked yet, or right behind the binding that was read then:
/// a binding that is made meanwhile is newer and stays.
fn deactivated(
    name: &DominoName,
    binding: Option<&BindingRecord>,
    at: Timestamp,
    id: String,
    now: Timestamp,
) -> Envelope {
    let stands = binding.map(|record| record.version.occurred_at());
    let behind = stands.and_then(|at| at.checked_add(SignedDuration::from_millis(1)).ok());
    let occurred_at = behind.map_or(at, |behind| behind.max(at));
    Envelope {
        version: "0".to_owned(),
        id: id.clone(),
        detail_type: detail_type::DEACTIVATED.to_owned(),
        source: source::AUTOMATION.to_owned(),
        account: String::new(),
        time: time(now),
        region: String::new(),
        resources: Vec::new(),
        detail: json!({
            "schemaVersion": SCHEMA_VERSION,
            "eventId": id,
            "occurredAt": time(occurred_at),
            "serviceAccount": name,
            "actor": ACTOR,
            "reason": DEACTIVATED_REASON,
        }),
    }
}
