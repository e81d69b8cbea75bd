//! What the ledger has to know before anything is made: the intent that accounts for a creation whose
//! run dies before it can record the id, and the number of a claim that had no room before.

use std::collections::BTreeSet;

use pod_identity_core::plan::{AssociationStep, Plan};
use pod_identity_core::{ClusterArn, DominoName, KubernetesName};

use super::Context;
use super::places::Loaded;
use crate::error::chain;
use crate::lease::Lease;
use crate::ledger::{LedgerError, WriteSet, claims_key, condition_key};
use crate::ports::{Clock, LedgerReader, LedgerWriter, MAX_WRITE, WriteError};

/// Writes, under the lease's fence, the intents that the plan needs and the ledger does not have:
/// for a cluster that was registered after the binding was accepted, and for what was changed by
/// hand. An accepted event has written its own already.
///
/// Where the ledger has changed meanwhile, or has no room, nothing is done at that place.
pub(super) async fn record<R: LedgerReader, W: LedgerWriter, C: Clock>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    lease: &Lease,
    loaded: &mut Loaded,
    plan: &mut Plan,
) -> Result<(), String> {
    let (places, names) = missing(loaded, plan, context.clock.now());
    let queued = std::mem::take(&mut loaded.newly_queued);
    let places: Vec<_> = places.into_iter().zip(names).collect();
    // One write is the fence; a place has at most two more.
    let work: BTreeSet<KubernetesName> =
        places.iter().map(|(place, _)| place.clone()).chain(queued.iter().cloned()).collect();
    let work: Vec<KubernetesName> = work.into_iter().collect();
    for chunk in work.chunks((MAX_WRITE - 1) / 2) {
        let revision = context.run.revision();
        let mut writes = WriteSet::default();
        let mut attempt = loaded.view.clone();
        let failed = |error: LedgerError| chain(&error);
        for place in chunk {
            if queued.contains(place) {
                let record = &loaded.claims[place];
                writes.put(&mut attempt, claims_key(place), record, &revision).map_err(failed)?;
            }
            if let Some((_, name)) = places.iter().find(|(of, _)| of == place) {
                let record = &loaded.conditions[name];
                let key = condition_key(name, cluster);
                writes.put(&mut attempt, key, record, &revision).map_err(failed)?;
            }
        }
        lease.fence(&mut writes);
        match writes.commit(context.reader, context.writer).await {
            Ok(()) => loaded.view = attempt,
            Err(WriteError::Port(error)) => return Err(chain(&error)),
            Err(WriteError::Conflict) => {
                for place in chunk {
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
    now: jiff::Timestamp,
) -> (Vec<KubernetesName>, Vec<DominoName>) {
    let (mut places, mut names, mut full) = (Vec::new(), Vec::new(), Vec::new());
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
            places.push(place.kubernetes.clone());
            names.push(name.clone());
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
    (places, names)
}

fn doubt(loaded: &mut Loaded, plan: &mut Plan, place: &KubernetesName, why: &str) {
    let planned = plan.places.iter_mut().filter(|planned| planned.kubernetes == *place);
    planned.for_each(|planned| planned.step = None);
    loaded.visibility.doubts.insert(place.clone(), why.to_owned());
}
