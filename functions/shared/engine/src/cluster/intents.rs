//! What the ledger has to know before anything is made: the intent that accounts for a creation whose
//! run dies before it can record the id, the number of a claim that had no room before, and what the node
//! policies are to list.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use pod_identity_core::plan::{AssociationStep, Plan};
use pod_identity_core::{DominoName, HeldAssociation, ServiceAccountRef};

use super::places::Loaded;
use crate::apply::Target;
use crate::error::Error;
use crate::ledger::{
    NodePolicyRecord, WriteSet, account_key, binding_key, claims_key, condition_key,
    node_policy_key,
};
use crate::ports::{MAX_WRITE, WriteError};

/// Writes the intents that the plan needs and the ledger does not have:
/// for a cluster that was registered after the binding was accepted, and for what was changed by
/// hand. An accepted event has written its own already.
///
/// Where the ledger has changed meanwhile, or has no room, nothing is done at that place.
///
/// What the plan assigns to the node policies is written under the lease's fence.
pub(super) async fn record(
    target: &Target<'_>,
    loaded: &mut Loaded,
    plan: &mut Plan,
    assigned: Option<&NodePolicyRecord>,
) -> Result<(), Error> {
    let (context, cluster) = (target.cloud.context, &target.access.cluster);
    let deployment = context.settings.plan.deployment.clone();
    let mut work: Vec<(ServiceAccountRef, IntentWrite)> = confirmed(loaded, plan, &deployment);
    let queued = std::mem::take(&mut loaded.newly_queued);
    work.extend(queued.into_iter().map(|(place, names)| (place, IntentWrite::Number(names))));
    let intended = missing(loaded, plan, context.clock.now());
    work.extend(intended.into_iter().map(|(place, name)| (place, IntentWrite::Intent(name))));
    let revision = context.run.revision();
    let mut transactions: Vec<(Vec<ServiceAccountRef>, WriteSet)> = Vec::new();
    for (place, what) in work {
        if transactions.last().is_none_or(|(_, writes)| writes.len() + what.writes() > MAX_WRITE) {
            transactions.push((Vec::new(), WriteSet::default()));
        }
        let Some((places, writes)) = transactions.last_mut() else { continue };
        let view = &mut loaded.view;
        let written = match &what {
            IntentWrite::Held => {
                let key = account_key(cluster, &place);
                writes.put(view, key, &loaded.accounts[&place], &revision)
            }
            IntentWrite::Number(names) => {
                // Read apart from the claims: a binding that was removed since gets no number.
                for name in names {
                    writes.check_unchanged(view, binding_key(name));
                }
                writes.put(view, claims_key(&place), &loaded.claims[&place], &revision)
            }
            IntentWrite::Intent(name) => {
                let key = condition_key(name, cluster);
                writes.put(view, key, &loaded.conditions[name], &revision)
            }
        };
        written?;
        places.push(place);
    }
    let known = loaded.view.get::<NodePolicyRecord>(&node_policy_key(cluster))?;
    let known = known.map(|stored| stored.projection);
    let is_new = |record: &&NodePolicyRecord| known.as_ref() != Some(&record.projection);
    let assigned = assigned.filter(|_| !plan.policy_steps.is_empty()).filter(is_new);
    if let Some(record) = assigned {
        let mut writes = WriteSet::default();
        let key = node_policy_key(cluster);
        writes.put(&mut loaded.view, key, record, &revision)?;
        target.lease.fence(&mut writes);
        transactions.push((Vec::new(), writes));
    }
    // The others expect what was read, so they need no fence, and none waits for another.
    let written: Vec<_> = stream::iter(transactions)
        .map(async |(places, writes)| {
            (places, writes.commit(context.ledger, target.writers.ledger).await)
        })
        .buffered(context.settings.concurrency)
        .collect()
        .await;
    for (places, written) in written {
        match written {
            Ok(()) => {}
            Err(WriteError::Port(error)) => return Err(error.into()),
            Err(WriteError::Conflict) if places.is_empty() => {
                return Err(format!(
                    "the lease of cluster {} was lost before its node policies were assigned",
                    cluster.name()
                )
                .into());
            }
            Err(WriteError::Conflict) => {
                for place in places {
                    let why = "the ledger has changed meanwhile; the next delivery looks again";
                    doubt(loaded, plan, &place, why);
                }
            }
        }
    }
    Ok(())
}

/// What has to be written of a place.
enum IntentWrite {
    /// The id of an association that only an intent accounts for, before it is changed: the intent
    /// would not account for its new values.
    Held,
    /// The numbers of claims that had no room before.
    Number(BTreeSet<DominoName>),
    /// The intent to make something for a service account.
    Intent(DominoName),
}

impl IntentWrite {
    fn writes(&self) -> usize {
        match self {
            Self::Held | Self::Intent(_) => 1,
            Self::Number(names) => 1 + names.len(),
        }
    }
}

/// The places whose association is changed or adopted and has no recorded id; their accounts have it now.
fn confirmed(
    loaded: &mut Loaded,
    plan: &Plan,
    deployment: &str,
) -> Vec<(ServiceAccountRef, IntentWrite)> {
    let mut confirmed = Vec::new();
    for place in &plan.places {
        let Some(AssociationStep::UpdateAssociation { id, arn, desired, adopts, .. }) = &place.step
        else {
            continue;
        };
        let adopted = place.bound.as_ref().filter(|_| *adopts).map(|bound| HeldAssociation {
            id: id.clone(),
            arn: arn.clone(),
            service_account: bound.service_account.clone(),
            version: bound.version.clone(),
            desired: bound.desired.clone(),
        });
        let unconfirmed =
            || desired.as_ref().and_then(|_| loaded.unconfirmed(&place.kubernetes, deployment));
        let Some(held) = adopted.or_else(unconfirmed) else { continue };
        let account = loaded.accounts.entry(place.kubernetes.clone()).or_default();
        account.held = Some(held);
        confirmed.push((place.kubernetes.clone(), IntentWrite::Held));
    }
    confirmed
}

/// The places that get something new for which there is no intent, and the service accounts that it
/// is for; their conditions have the intent now.
fn missing(
    loaded: &mut Loaded,
    plan: &mut Plan,
    now: Timestamp,
) -> Vec<(ServiceAccountRef, DominoName)> {
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
        // One that a removal left ends by itself: it is renewed.
        let is_known = open.any(|intent| {
            intent.expires_at.is_none() && intent.allows(&place.kubernetes, &bound.desired)
        });
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

fn doubt(loaded: &mut Loaded, plan: &mut Plan, place: &ServiceAccountRef, why: &str) {
    tracing::info!(cluster = plan.cluster.name(), %place, "nothing is done: {why}");
    for planned in plan.places.iter_mut().filter(|planned| planned.kubernetes == *place) {
        loaded.visibility.set_aside(planned, why.into());
    }
}
