//! Plans that take something away from the node policies: by the whole ledger and the whole cluster, read and
//! observed under the lease.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_core::plan::{self, NodePolicies, Plan};
use pod_identity_core::{Association, ClusterArn, DominoName, RoleArn, ServiceAccountRef};

use super::Job;
use super::places::Loaded;
use super::planned::{Planned, of_another_account};
use super::visibility::unseen;
use pod_identity_events::CallPurpose;

use crate::apply::Target;
use crate::context::Context;
use crate::error::{Error, chain};
use crate::ledger::{
    self, BindingRecord, Condition, ConditionState, LedgerError, NodePolicyRecord, Registry, View,
    account_prefix, bindings_partition, cluster_partition, node_policy_key,
};
use crate::observe;
use crate::ports::{AssociationFilter, ClusterAccess, ErrorKind, Key, LedgerReader, PortError};
use crate::settings::{Settings, later};

/// Most places that are looked at, and worked on, in one go.
pub(crate) const CHUNK: usize = 400;

/// What is removed from the node policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Roles that no binding uses any more, and policies that are not needed then.
    Unused,
    /// All policies, with a retirement that has deleted the associations.
    Everything {
        /// Whether EKS does not know the cluster any more.
        is_gone: bool,
    },
}

/// Reads and observes everything, and plans; keeps the lease meanwhile.
pub(super) async fn planned(
    target: &Target<'_>,
    job: Job<'_>,
    taking: Taking,
) -> Result<Planned, Error> {
    let (cloud, cluster) = (&target.cloud, job.cluster);
    let Context { ledger, clock, settings, .. } = cloud.context;
    let mut loaded = Loaded::read(cloud, job, &BTreeSet::new()).await?;
    let view = &mut loaded.view;
    view.query(ledger, &cluster_partition(cluster), account_prefix()).await?;
    view.query(ledger, bindings_partition(), "").await?;
    let (bindings, conditions) = ledger::on_cluster(view, ledger, cluster, &[]).await?;
    let mut here = loaded.record.clone();
    settings.rules.admits_registration(&here.registration).map_err(|reasons| reasons.join("; "))?;
    let mut remembered = loaded.view.get::<NodePolicyRecord>(&node_policy_key(cluster))?;
    let (known, access, looked_at) = (remembered.is_some(), &job.record.access(), clock.now());
    let mut needed = named(&bindings, &conditions);
    match taking {
        Taking::Unused if !known => {
            return Err(format!("the ledger knows no node policies of {}", cluster.name()).into());
        }
        Taking::Unused => needed.extend(used(target, &loaded).await?),
        Taking::Everything { is_gone } => {
            // A registration takes the retirement back at any time.
            if !here.is_retiring() || !conditions.values().all(is_done) {
                return Err(format!(
                    "the retirement of {} was taken back, or somebody wants something there again",
                    cluster.name()
                )
                .into());
            }
            let before = remembered.get_or_insert_default();
            let roles = &mut here.registration.node_roles;
            roles.extend(before.node_roles.iter().chain(before.attached.keys()).cloned());
            if roles.is_empty() && is_gone {
                roles.extend(observe::guessed_node_role(access));
            }
        }
    }
    let seen_at = clock.now();
    let found = observe::node_policies(cloud, access, &here, remembered, true).await;
    let mut found = found.map_err(|error| observation_failure(&error, access))?;
    let policies = &found.policies();
    if let Some(problem) = &policies.problem {
        return Err(Error::from(problem.clone()));
    }
    let plan = match taking {
        Taking::Everything { .. } => plan::empty(cluster, policies, &settings.plan),
        Taking::Unused => {
            let shared = shared(ledger, &loaded.registry, cluster, &policies.node_roles).await;
            if let Some(why) = shared? {
                return Err(why.into());
            }
            found.record.unused = unused(&found.record, policies, &needed, seen_at);
            trim(cluster, policies, &found.record.unused, looked_at, settings)
        }
    };
    Ok(Planned { plan, loaded, found: Some(found), known })
}

/// What a failed call for the node policies means.
fn observation_failure(error: &PortError, access: &ClusterAccess) -> Error {
    match error.kind {
        ErrorKind::Passing | ErrorKind::Expired | ErrorKind::Unreachable => {
            Error::Retryable(chain(error))
        }
        _ => Error::from(observe::problem_of(error, access, CallPurpose::RetiredNodePolicies)),
    }
}

/// Whether a retirement has nothing left to do for a binding.
fn is_done(condition: &Condition) -> bool {
    condition.leaving.is_empty()
        && (condition.wanted.is_none() || condition.state == ConditionState::Waiting)
}

/// The roles that associations use, whosever they are.
async fn used(target: &Target<'_>, loaded: &Loaded) -> Result<BTreeSet<RoleArn>, Error> {
    let &Target { ref cloud, writers, access, lease } = target;
    let Context { clock, settings, .. } = cloud.context;
    let accounts = ledger::accounts(&loaded.view, &access.cluster)?;
    let looked_at = clock.now();
    let all = observe::list(cloud.eks, access, AssociationFilter::default()).await?;
    let mut associations: Vec<Association> = Vec::new();
    for chunk in all.chunks(CHUNK) {
        if cloud.deadline_reached() {
            return Err(cloud.deadline_error());
        }
        lease.keep(cloud, writers.ledger).await?;
        let described = observe::describe(cloud.eks, access, chunk.to_vec(), settings.concurrency);
        associations.extend(described.await?);
    }
    if let Some(problem) = of_another_account(&access.cluster, associations.iter()) {
        return Err(problem.to_string().into());
    }
    let place_of = |one: &Association| ServiceAccountRef::new(&one.namespace, &one.service_account);
    let shown = associations.iter().filter_map(|one| Some((place_of(one).ok()?, one))).collect();
    let abandoned = lease.abandoned_until;
    match unseen(&accounts, abandoned, &shown, looked_at, settings.lease) {
        Some(why) => Err(why.into()),
        None => Ok(associations.iter().filter_map(|one| one.role_arn.parse().ok()).collect()),
    }
}

/// The roles that bindings name, wherever they are for, and that conditions remember.
pub(crate) fn named(
    bindings: &BTreeMap<DominoName, BindingRecord>,
    conditions: &BTreeMap<DominoName, Condition>,
) -> BTreeSet<RoleArn> {
    let bound = bindings.values().filter_map(BindingRecord::binding).map(|one| &one.desired.role);
    let made = conditions.values().filter_map(|condition| condition.association.as_ref());
    bound.chain(made.map(|association| &association.desired.role)).cloned().collect()
}

/// Since when roles are unused that the policies list, by an observation of the whole cluster that ended at a
/// time, and by what was remembered of earlier ones.
pub(crate) fn unused(
    remembered: &NodePolicyRecord,
    found: &NodePolicies,
    needed: &BTreeSet<RoleArn>,
    ended: Timestamp,
) -> BTreeMap<RoleArn, Timestamp> {
    let since = |role: &RoleArn| remembered.unused.get(role).copied().unwrap_or(ended);
    let listed = found.listed();
    listed.difference(needed).map(|role| (role.clone(), since(role))).collect()
}

/// What has to be done so that no role is listed that was unused for the grace period when the observation
/// began, and no policy is there that is not needed.
pub(crate) fn trim(
    cluster: &ClusterArn,
    found: &NodePolicies,
    unused: &BTreeMap<RoleArn, Timestamp>,
    began: Timestamp,
    settings: &Settings,
) -> Plan {
    let grace = settings.trim_after.unwrap_or(Duration::MAX);
    let is_due = |role: &RoleArn| unused.get(role).is_some_and(|at| later(*at, grace) <= began);
    let keep = found.listed().into_iter().filter(|role| !is_due(role)).collect();
    plan::trim(cluster, found, &keep, &settings.plan)
}

/// Why no role may be taken from these node roles: another registered cluster has one of them,
/// and what its pods use is not looked at here.
///
/// The node roles of a cluster are those of its registration, or those that were found when
/// something was bound there.
pub(crate) async fn shared(
    reader: &dyn LedgerReader,
    registry: &Registry,
    cluster: &ClusterArn,
    node_roles: &BTreeSet<RoleArn>,
) -> Result<Option<String>, LedgerError> {
    let others = || registry.clusters.iter().filter(|(other, _)| *other != cluster);
    let mut view = View::default();
    let silent = others().filter(|(_, record)| record.registration.node_roles.is_empty());
    let keys: Vec<Key> = silent.map(|(other, _)| node_policy_key(other)).collect();
    view.read(reader, &keys).await?;
    for (other, record) in others() {
        let found = view.get::<NodePolicyRecord>(&node_policy_key(other))?;
        let found = found.map(|stored| stored.node_roles).unwrap_or_default();
        let both = record.registration.node_roles.union(&found).find(|r| node_roles.contains(*r));
        if let Some(role) = both {
            return Ok(Some(format!(
                "cluster {} has node role {role} too, and roles are taken only from policies whose node roles no other cluster has",
                other.name()
            )));
        }
    }
    Ok(None)
}
