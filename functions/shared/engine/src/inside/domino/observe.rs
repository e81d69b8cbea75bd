//! What the ledger says of a cluster's bindings, and what Kubernetes shows of their Domino side.

use pod_identity_events::Problem;
use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::domino::{Claim, DEPLOYMENT_LABEL, Mutations, Observation};
use pod_identity_core::{ClusterArn, DominoName, Mutation, ServiceAccount, ServiceAccountRef};

use super::super::known::Remembered;
use super::super::{Inside, InsideError};
use super::{BlockedSubject, words};
use crate::ledger::{BindingRecord, Condition};
use crate::ports::{ErrorKind, Page, PortError};

/// How often a list begins again whose page token became too old.
const LISTS: u32 = 3;

pub(super) struct DominoObservation {
    pub(super) observation: Observation,
    pub(super) subjects: BTreeMap<DominoName, BlockedSubject>,
    /// What could not be read: by namespace of service accounts.
    pub(super) unread: BTreeMap<String, Problem>,
    /// Why Mutations could not be read, or there are none.
    pub(super) unmapped: Option<Problem>,
}

/// Looks at what the settings ask for. What fails in one part keeps no other from being seen,
/// unless nobody can look inside at all.
pub(super) async fn observe(
    context: &Inside<'_>,
    known: &Remembered,
) -> Result<DominoObservation, InsideError> {
    let (access, inside) = (context.access, context.inside);
    let mut seen = of_ledger(known, &access.cluster);
    let claims = seen.observation.claims.values();
    let used: BTreeSet<ServiceAccountRef> = claims.flat_map(|claim| claim.uses.clone()).collect();
    for namespace in &inside.namespaces {
        // Without our own to look after, only what bindings use is looked at.
        let is_used = used.iter().any(|place| place.namespace() == namespace);
        if !inside.service_accounts && !is_used {
            continue;
        }
        match service_accounts(context, namespace, &used).await {
            Ok(found) => {
                seen.observation.service_accounts.insert(namespace.clone(), found);
            }
            Err(error) => {
                let problem = words::accounts_unread(context, &error)?;
                seen.unread.insert(namespace.clone(), problem);
            }
        }
    }
    if let Some(settings) = &inside.mapping {
        seen.observation.mutations = match mutations(context, &settings.namespace).await {
            Ok(found) => Mutations::Seen(found),
            Err(error) => {
                seen.unmapped = Some(words::mutations_unread(context, &error)?);
                match error.kind {
                    ErrorKind::NotFound => Mutations::NotInstalled,
                    _ => Mutations::Unseen,
                }
            }
        };
    }
    Ok(seen)
}

fn of_ledger(known: &Remembered, cluster: &ClusterArn) -> DominoObservation {
    let (mut claims, mut subjects) = (BTreeMap::new(), BTreeMap::new());
    for (name, record) in &known.bindings {
        let condition = known.conditions.get(name);
        let claim = claim(record, condition, cluster);
        if let (Some(binding), Some(kubernetes)) = (record.binding(), &claim.wanted) {
            let (version, role) = (record.version.clone(), binding.desired.role.clone());
            subjects.insert(
                name.clone(),
                BlockedSubject { kubernetes: kubernetes.clone(), version, role },
            );
        }
        claims.insert(name.clone(), claim);
    }
    let lost = known.conditions.values().flat_map(|condition| condition.removals.keys().cloned());
    let observation = Observation {
        cluster: cluster.clone(),
        lost: lost.collect(),
        ledger_is_empty: known.bindings.is_empty(),
        claims,
        service_accounts: BTreeMap::new(),
        mutations: Mutations::Unseen,
    };
    DominoObservation { observation, subjects, unread: BTreeMap::new(), unmapped: None }
}

fn claim(record: &BindingRecord, condition: Option<&Condition>, cluster: &ClusterArn) -> Claim {
    let bound = record.binding().filter(|binding| binding.selects(cluster));
    let bound = bound.map(|binding| &binding.kubernetes);
    // A condition of the same version says whether it is wanted here after all: on a cluster that
    // is retired nothing is.
    let judged = condition.filter(|condition| condition.version == record.version);
    let wanted = bound.filter(|place| judged.is_none_or(|it| it.wanted.as_ref() == Some(place)));
    let mut claim = Claim { wanted: wanted.cloned(), ..Claim::default() };
    claim.uses.extend(wanted.cloned());
    if let Some(condition) = condition {
        let at = condition.association.as_ref().map(|association| &association.kubernetes);
        claim.holds = at.is_some() && at == wanted && condition.wanted.as_ref() == wanted;
        claim.uses.extend(condition.wanted.iter().chain(condition.leaving.keys()).cloned());
        claim.uses.extend(at.cloned());
    }
    claim
}

/// The service accounts of a namespace that bindings use or that may be ours. Domino makes one for
/// each execution, and all others are forgotten page by page.
async fn service_accounts(
    context: &Inside<'_>,
    namespace: &str,
    used: &BTreeSet<ServiceAccountRef>,
) -> Result<Vec<ServiceAccount>, PortError> {
    let names: BTreeSet<&str> = used
        .iter()
        .filter(|place| place.namespace() == namespace)
        .map(ServiceAccountRef::service_account)
        .collect();
    let (kubernetes, access) = (context.kubernetes, context.access);
    let is_ours = |one: &ServiceAccount| one.labels.contains_key(DEPLOYMENT_LABEL);
    let keep = |one: &ServiceAccount| is_ours(one) || names.contains(one.name.as_str());
    let page = async |token: Option<String>| {
        kubernetes.service_accounts(access, namespace, "", token.as_deref()).await
    };
    list(context, &format!("service accounts of namespace {namespace}"), page, keep).await
}

async fn mutations(context: &Inside<'_>, namespace: &str) -> Result<Vec<Mutation>, PortError> {
    let (kubernetes, access) = (context.kubernetes, context.access);
    let page = async |token: Option<String>| {
        kubernetes.mutations(access, namespace, token.as_deref()).await
    };
    list(context, &format!("Mutations of namespace {namespace}"), page, |_| true).await
}

/// All pages of a list, from the beginning when a page token became too old on the way.
async fn list<T>(
    context: &Inside<'_>,
    what: &str,
    page: impl AsyncFn(Option<String>) -> Result<Page<T>, PortError>,
    keep: impl Fn(&T) -> bool,
) -> Result<Vec<T>, PortError> {
    let (mut found, mut token, mut lists) = (Vec::new(), None, 1);
    loop {
        if context.deadline_reached() {
            return Err(over(context, what));
        }
        match page(token.take()).await {
            Ok(Page { items, next }) => {
                found.extend(items.into_iter().filter(&keep));
                match next {
                    Some(next) => token = Some(next),
                    None => return Ok(found),
                }
            }
            Err(error) if error.kind == ErrorKind::Expired && lists < LISTS => {
                found.clear();
                lists += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Why nothing more is asked.
fn over(context: &Inside<'_>, what: &str) -> PortError {
    let why = "the invocation's time was nearly over";
    PortError {
        operation: "list",
        object: format!("{what} in cluster {}", context.access.cluster.name()),
        kind: ErrorKind::Passing,
        code: None,
        message: Some(why.to_owned()),
        source: why.into(),
    }
}
