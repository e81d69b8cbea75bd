//! The second look, right before the first eviction of a Kubernetes service account.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{Association, DominoName, ServiceAccountRef};

use super::places::says_the_same;
use crate::error::Error;
use crate::inside::Inside;
use crate::inside::known::Remembered;
use crate::ledger::{ClaimsRecord, Condition, LedgerError, View, claims_key, condition_key};
use crate::observe;
use crate::ports::Key;

/// Whether a place is as it was when its pods were found stale. The ledger is read last: it knows
/// of whoever is bound before EKS does.
pub(super) async fn is_as_planned(
    context: &Inside<'_>,
    known: &Remembered,
    place: &ServiceAccountRef,
    planned: Option<&Association>,
    also: Option<&ServiceAccountRef>,
) -> Result<bool, Error> {
    let (eks, access, settings) = (context.eks, context.access, context.settings);
    let places = BTreeSet::from([place.clone()]);
    let found = observe::associations(eks, access, &places, settings.concurrency).await?;
    if !gives_the_same(planned, found.get(place)) {
        return Ok(false);
    }
    for place in [Some(place), also].into_iter().flatten() {
        let same = is_remembered_alike(context, known, place).await;
        if !same? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two looks at a place show the same credentials.
fn gives_the_same(one: Option<&Association>, other: Option<&Association>) -> bool {
    let gives = |association: &Association| {
        let Association { id, role_arn, target_role_arn, disable_session_tags, policy, .. } =
            association.clone();
        (id, role_arn, target_role_arn, disable_session_tags, policy, association.created_at)
    };
    one.map(gives) == other.map(gives)
}

/// Whether the ledger says of a place what it said before, and nobody else claims it.
async fn is_remembered_alike(
    context: &Inside<'_>,
    known: &Remembered,
    place: &ServiceAccountRef,
) -> Result<bool, LedgerError> {
    let cluster = &context.access.cluster;
    let concerned: BTreeMap<&DominoName, &Condition> =
        known.conditions.iter().filter(|(_, condition)| concerns(condition, place)).collect();
    let claims = claims_key(place);
    let mut keys: Vec<Key> = concerned.keys().map(|name| condition_key(name, cluster)).collect();
    keys.push(claims.clone());
    let mut view = View::default();
    view.read(context.ledger, &keys).await?;
    let claims = view.get::<ClaimsRecord>(&claims)?;
    let claimed = |name: &DominoName| {
        let binding = known.bindings.get(name).and_then(|record| record.binding());
        binding.is_some_and(|binding| binding.kubernetes == *place)
    };
    // Which binding gave it up shows in that binding's condition.
    if !claims.unwrap_or_default().queue.keys().all(claimed) {
        return Ok(false);
    }
    for (name, before) in concerned {
        let now = view.get::<Condition>(&condition_key(name, cluster))?;
        if !says_the_same(Some(before), now.as_ref()) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn concerns(condition: &Condition, place: &ServiceAccountRef) -> bool {
    let Condition { wanted, leaving, association, removals, .. } = condition;
    wanted.as_ref() == Some(place)
        || leaving.contains_key(place)
        || removals.contains_key(place)
        || association.as_ref().is_some_and(|association| association.kubernetes == *place)
}
