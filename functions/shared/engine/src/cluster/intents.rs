//! What the ledger has to know before anything is made: the intent that accounts for a creation whose
//! run dies before it can record the id, and the number of a claim that had no room before.

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use pod_identity_core::plan::{AssociationStep, Plan};
use pod_identity_core::{ClusterArn, DominoName, KubernetesName};

use super::Context;
use super::places::Loaded;
use crate::error::chain;
use crate::ledger::{WriteSet, claims_key, condition_key};
use crate::ports::{Clock, LedgerReader, LedgerWriter, MAX_WRITE, WriteError};

/// Writes the intents that the plan needs and the ledger does not have:
/// for a cluster that was registered after the binding was accepted, and for what was changed by
/// hand. An accepted event has written its own already.
///
/// Where the ledger has changed meanwhile, or has no room, nothing is done at that place.
pub(super) async fn record<R: LedgerReader, W: LedgerWriter, C: Clock>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    loaded: &mut Loaded,
    plan: &mut Plan,
) -> Result<(), String> {
    let intended = missing(loaded, plan, context.clock.now());
    let queued = std::mem::take(&mut loaded.newly_queued);
    let queued = queued.into_iter().map(|place| (place, None));
    let work: Vec<(KubernetesName, Option<DominoName>)> =
        queued.chain(intended.into_iter().map(|(place, name)| (place, Some(name)))).collect();
    let revision = context.run.revision();
    let mut transactions = Vec::new();
    for chunk in work.chunks(MAX_WRITE) {
        let mut writes = WriteSet::default();
        for (place, name) in chunk {
            let view = &mut loaded.view;
            let written = match name {
                Some(name) => {
                    let key = condition_key(name, cluster);
                    writes.put(view, key, &loaded.conditions[name], &revision)
                }
                None => writes.put(view, claims_key(place), &loaded.claims[place], &revision),
            };
            written.map_err(|error| chain(&error))?;
        }
        transactions.push((chunk, writes));
    }
    // They expect what was read, so they need no fence, and none waits for another.
    let written: Vec<_> = stream::iter(transactions)
        .map(async |(chunk, writes)| (chunk, writes.commit(context.reader, context.writer).await))
        .buffered(context.settings.concurrency)
        .collect()
        .await;
    for (places, written) in written {
        match written {
            Ok(()) => {}
            Err(WriteError::Port(error)) => return Err(chain(&error)),
            Err(WriteError::Conflict) => {
                for (place, _) in places {
                    let why = "the ledger has changed meanwhile; the next delivery looks again";
                    doubt(loaded, plan, place, why);
                }
            }
        }
    }
    Ok(())
}

/// The places that get something new for which there is no intent, and the service accounts that it
/// is for; their conditions have the intent now.
fn missing(
    loaded: &mut Loaded,
    plan: &mut Plan,
    now: Timestamp,
) -> Vec<(KubernetesName, DominoName)> {
    let (mut intended, mut full) = (Vec::new(), Vec::new());
    for place in &plan.places {
        // An update whose value EKS keeps is made good by another association.
        let makes = matches!(
            place.step,
            Some(
                AssociationStep::CreateAssociation { .. }
                    | AssociationStep::UpdateAssociation { desired: Some(_), .. }
            )
        );
        let Some(bound) = place.bound.as_ref().filter(|_| makes) else { continue };
        let name = &bound.service_account;
        let Some(binding) = loaded.binding(name).cloned() else { continue };
        let Some(condition) = loaded.conditions.get_mut(name) else { continue };
        let mut open = condition.open_intents(&place.kubernetes, now);
        let is_known = open.any(|intent| intent.allows(&place.kubernetes, &bound.desired));
        drop(open);
        if is_known {
            continue;
        }
        if condition.intend(&binding, &bound.version, now) {
            intended.push((place.kubernetes.clone(), name.clone()));
        } else {
            full.push((place.kubernetes.clone(), name.clone()));
        }
    }
    for (place, name) in full {
        let why = format!(
            "{name} has too many changes whose outcome is not known yet; a reconciliation resolves them"
        );
        doubt(loaded, plan, &place, &why);
    }
    intended
}

fn doubt(loaded: &mut Loaded, plan: &mut Plan, place: &KubernetesName, why: &str) {
    let planned = plan.places.iter_mut().filter(|planned| planned.kubernetes == *place);
    planned.for_each(|planned| planned.step = None);
    loaded.visibility.doubts.insert(place.clone(), why.to_owned());
}
