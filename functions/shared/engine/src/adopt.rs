//! An administrator's word that a binding may take over a foreign association.

use pod_identity_core::{ClusterArn, DominoName};

use crate::audit::AuditEntry;
use crate::context::Context;
use crate::error::{Error, chain};
use crate::ledger::{Condition, ConditionState, LedgerError, View, WriteSet, condition_key};
use crate::ports::{LedgerWriter, WriteError};

/// How often the word is written again when others got in between.
const ATTEMPTS: usize = 5;

/// An administrator's word.
#[derive(Debug, Clone)]
pub struct Adoption<'a> {
    /// Whose binding takes over.
    pub name: &'a DominoName,
    /// Where.
    pub cluster: &'a ClusterArn,
    /// Id of what is taken over.
    pub association_id: &'a str,
    /// What the history of the service account has of it.
    pub act: AuditEntry<'a>,
}

/// Lets a binding take over an association that this deployment did not make, by its id, on one
/// cluster. Only the ledger is written, the word and its history at once; the next work on the binding there adopts what has that id at
/// the place that the binding wants, if it holds the place and its role is trusted. A later word
/// replaces an earlier one.
///
/// Nothing is written where the word stands already, or the association is managed by now.
///
/// # Errors
/// When the ledger has no condition of the binding on the cluster, the binding wants no Kubernetes service
/// account there, or the ledger cannot be read or written.
pub async fn permit_adoption(
    context: Context<'_>,
    writer: &dyn LedgerWriter,
    adoption: &Adoption<'_>,
) -> Result<(), Error> {
    let Context { ledger, clock, run, .. } = context;
    let &Adoption { name, cluster, association_id, ref act } = adoption;
    let failed = |error: LedgerError| {
        Error::from(format!(
            "failed to let {name} adopt association {association_id} in cluster {}: {}",
            cluster.name(),
            chain(&error)
        ))
    };
    let key = condition_key(name, cluster);
    for _ in 0..ATTEMPTS {
        let mut view = View::default();
        view.read(ledger, std::slice::from_ref(&key)).await.map_err(failed)?;
        let Some(record) = view.get::<Condition>(&key).map_err(failed)? else {
            return Err(format!(
                "the ledger has no condition of {name} on cluster {cluster}: it was never bound there, or \
                 the cluster was not reconciled since it was registered"
            ).into());
        };
        let Some(word) = permitted(&record, association_id)? else { return Ok(()) };
        let now = clock.now();
        let word = Condition { updated_at: now, request_id: run.request_id().to_owned(), ..word };
        let mut writes = WriteSet::default();
        writes.put(&mut view, key.clone(), &word, &run.revision()).map_err(failed)?;
        act.note(name.as_str(), &mut view, &mut writes, now, run).map_err(failed)?;
        match writes.commit(ledger, writer).await {
            Ok(()) => return Ok(()),
            Err(WriteError::Conflict) => {}
            Err(WriteError::Port(error)) => return Err(failed(error.into())),
        }
    }
    Err(failed(LedgerError::Contended(format!("the condition of {name}"))))
}

/// The condition with the word; none when there is nothing to write.
fn permitted(condition: &Condition, id: &str) -> Result<Option<Condition>, Error> {
    if condition.wanted.is_none() {
        return Err(format!(
            "{} wants no Kubernetes service account in cluster {}, so it can adopt nothing there",
            condition.service_account,
            condition.cluster.name()
        )
        .into());
    }
    let has = condition.association.as_ref().is_some_and(|association| association.id == id);
    let managed = has && condition.state == ConditionState::Ready;
    if managed || condition.adopts.as_deref() == Some(id) {
        return Ok(None);
    }
    let mut condition = condition.clone();
    condition.adopts = Some(id.to_owned());
    // One that waits for its cluster waits on.
    if condition.state != ConditionState::Waiting {
        condition.state = ConditionState::Pending;
        condition.blocked = None;
    }
    Ok(Some(condition))
}
