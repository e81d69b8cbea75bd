//! What a run sees on a cluster, and what it plans to do about it. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use futures::join;
use jiff::Timestamp;
use pod_identity_core::plan::{self, Blocked, Observation, Place, PlacePlan, Plan, RoleState};
use pod_identity_core::{Association, ClusterArn, RoleArn, ServiceAccountRef, node_policy};
use pod_identity_events::Problem;

use super::Job;
use super::places::{Loaded, expected};
use crate::apply::association_failure;
use crate::context::{Cloud, Context};
use crate::error::Error;
use crate::ledger::{NodePolicyRecord, node_policy_key};
use crate::observe::{self, FoundPolicies};
use crate::ports::{ErrorKind, PortError};
use crate::settings::{Settings, later};

/// A plan and what it rests on.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) loaded: Loaded,
    /// What was found of the node policies; none when they were not asked for, or not understood
    /// at the first contact.
    pub(super) found: Option<FoundPolicies>,
    /// Whether the ledger knew the cluster's node policies before.
    pub(super) known: bool,
}

/// What was asked of EKS and IAM while the ledger was read: by what it said before, all that is needed.
struct Ahead {
    places: BTreeSet<ServiceAccountRef>,
    associations: Result<BTreeMap<ServiceAccountRef, Association>, PortError>,
    roles: Result<BTreeMap<RoleArn, RoleState>, PortError>,
}

/// Plans by the ledger, read again, and by what is on the cluster. EKS may show what a run that died has
/// changed until `abandoned_until`.
pub(super) async fn planned(
    cloud: &Cloud<'_>,
    job: Job<'_>,
    abandoned_until: Option<Timestamp>,
) -> Result<Planned, Error> {
    let Context { clock, settings, .. } = cloud.context;
    let (cluster, access, at_once) = (job.cluster, &job.record.access(), settings.concurrency);
    // The allow-lists may have been narrowed since the cluster was registered. Node roles
    // are looked at where something is granted: a removal touches none.
    let mut reach = job.record.registration.clone();
    reach.node_roles.clear();
    let admitted = settings.rules.admits_registration(&reach);
    let (mut places, mut roles) = expected(job, settings)?;
    if admitted.is_err() {
        (places, roles) = (BTreeSet::new(), BTreeSet::new());
    }
    let looked_at = clock.now();
    let (loaded, associations, roles) = join!(
        Loaded::read(cloud, job, &places),
        observe::associations(cloud.eks, access, &places, at_once),
        job.seen_roles.read(cloud.iam, access, &roles, at_once),
    );
    let mut loaded = loaded?;
    loaded.visibility.abandoned_until = abandoned_until;
    let ahead = Ahead { places, associations, roles };
    let stored = loaded.view.get::<NodePolicyRecord>(&node_policy_key(cluster))?;
    let known = stored.is_some();
    let observed = match admitted {
        Err(reasons) => {
            Err(Error::from(Problem::ClusterNotAllowed { violations: reasons.join("; ") }))
        }
        Ok(()) => Box::pin(observe_all(cloud, job, &mut loaded, stored, ahead)).await,
    };
    let (mut plan, found) = match observed {
        Ok((observation, found)) => (plan::plan(&observation, &settings.plan), found),
        Err(Error::Blocked(problem)) => (blocked_plan(cluster, &loaded.places(), &problem), None),
        Err(why) => return Err(why),
    };
    // What was written on a cluster that is gone will not come to show.
    if !loaded.is_gone {
        loaded.visibility.judge(
            &mut plan,
            &loaded.accounts,
            &loaded.associations,
            looked_at,
            settings.lease,
        );
    }
    for place in &mut plan.places {
        if loaded.holder_left(&place.kubernetes) {
            let why =
                "the binding that held it was removed meanwhile; the next delivery looks again";
            let until = later(looked_at, settings.lease);
            loaded.visibility.set_aside(place, Error::Waits { why: why.to_owned(), until });
        }
    }
    for (place, why) in &loaded.visibility.doubts {
        tracing::info!(cluster = cluster.name(), %place, "nothing is done: {why}");
    }
    Ok(Planned { plan, loaded, found, known })
}

/// Observes what the plan looks at. What a removal does not need is not asked for.
async fn observe_all(
    cloud: &Cloud<'_>,
    job: Job<'_>,
    loaded: &mut Loaded,
    remembered: Option<NodePolicyRecord>,
    ahead: Ahead,
) -> Result<(Observation, Option<FoundPolicies>), Error> {
    let Context { ledger, settings, .. } = cloud.context;
    let access = &job.record.access();
    let failed = |error: PortError| association_failure(&error, access);
    let concurrency = settings.concurrency;
    let Ahead { places, associations, roles } = ahead;
    let here = loaded.kubernetes();
    let unlooked: BTreeSet<_> = here.difference(&places).cloned().collect();
    let more = observe::associations(cloud.eks, access, &unlooked, concurrency).await;
    let mut associations =
        match associations.and_then(|found| Ok(found.into_iter().chain(more?).collect())) {
            // With a cluster that is being retired its associations go too.
            Err(error) if error.kind == ErrorKind::NotFound && loaded.record.is_retiring() => {
                loaded.is_gone = true;
                BTreeMap::new()
            }
            found => found.map_err(failed)?,
        };
    associations.retain(|place, _| here.contains(place));
    if let Some(problem) = of_another_account(&access.cluster, associations.values()) {
        return Err(problem.into());
    }
    loaded.associations = associations;
    loaded.resolve_owners(cloud, &access.cluster).await.map_err(Error::from)?;
    loaded.apply_retirement_guard(ledger).await.map_err(Error::from)?;
    let places = loaded.places();
    let wanted: BTreeSet<RoleArn> = places
        .iter()
        .flat_map(|place| &place.claims)
        .filter(|claim| claim.refused.is_none())
        .map(|claim| claim.binding.desired.role.clone())
        .collect();
    let mut observation = Observation {
        cluster: access.cluster.clone(),
        places,
        roles: BTreeMap::new(),
        policies: plan::NodePolicies::default(),
        guard: loaded.guard.for_plan(&access.cluster),
    };
    if wanted.is_empty() {
        return Ok((observation, None));
    }
    observation.roles = roles.map_err(failed)?;
    let unread = wanted.iter().filter(|role| !observation.roles.contains_key(*role)).cloned();
    let more = job.seen_roles.read(cloud.iam, access, &unread.collect(), concurrency).await;
    observation.roles.extend(more.map_err(failed)?);
    let (known, refresh) = (remembered.is_some(), job.extra.refresh);
    let found = observe::node_policies(cloud, access, job.record, remembered, refresh).await;
    let mut found = found.map_err(failed)?;
    found.other_roles.extend(job.extra.other_roles.iter().cloned());
    found.other_roles.extend(foreign_roles(&observation.places, settings));
    let statement = settings.plan.cluster_statement.then_some(&access.cluster);
    let listed = wanted.union(&found.other_roles).cloned().collect();
    let policies = found.policies();
    // Free slots only matter when a policy has to be attached, and then as they are now.
    let attaches = !policies.are_attached()
        || node_policy::needs_new_shard(&policies.projection.shards(), &listed, statement);
    if attaches && !found.counted {
        observe::attachments(cloud.iam, access, settings, &mut found).await.map_err(failed)?;
    }
    observation.policies = found.policies();
    let found = Some(found).filter(|found| known || found.problem.is_none());
    Ok((observation, found))
}

/// EKS is asked for a cluster by its name. A cluster of another account that was registered
/// without a role to assume is then taken for one of our own that has the same name.
pub(crate) fn of_another_account<'a>(
    cluster: &ClusterArn,
    mut associations: impl Iterator<Item = &'a Association>,
) -> Option<Problem> {
    let (partition, region, account) = (cluster.partition(), cluster.region(), cluster.account());
    let prefix = format!("arn:{partition}:eks:{region}:{account}:");
    let other = associations.find(|association| !association.arn.starts_with(&prefix))?;
    Some(Problem::ClusterOfAnotherAccount {
        cluster_arn: cluster.to_string(),
        association_arn: other.arn.clone(),
        account_id: account.to_owned(),
    })
}

/// Roles of associations in the way that the ledger does not account for: the list names them too.
fn foreign_roles(places: &[Place], settings: &Settings) -> Vec<RoleArn> {
    let foreign = |place: &&Place| {
        let verdict = place.verdict(&settings.plan.deployment);
        verdict.is_some_and(|verdict| verdict.owner().is_none())
    };
    let foreign = places.iter().filter(foreign).filter_map(|place| place.association.as_ref());
    foreign.filter_map(|one| one.role_arn.parse().ok()).collect()
}

/// The plan for a cluster that cannot be observed at all: nothing is done, and everyone is told.
fn blocked_plan(cluster: &ClusterArn, places: &[Place], problem: &Problem) -> Plan {
    let place_plan = |place: &Place| PlacePlan {
        kubernetes: place.kubernetes.clone(),
        step: None,
        bound: None,
        blocked: place
            .claims
            .iter()
            .map(|claim| {
                let (version, role) = (Some(&claim.version), Some(&claim.binding.desired.role));
                Blocked::by(problem.clone(), &claim.binding.service_account, version, role)
            })
            .chain(place.leaving.keys().map(|name| Blocked::by(problem.clone(), name, None, None)))
            .collect(),
        removed: Vec::new(),
        kept: None,
    };
    Plan {
        cluster: cluster.clone(),
        policy_steps: Vec::new(),
        places: places.iter().map(place_plan).collect(),
        capacity: node_policy::capacity(&[], None, 0),
        warnings: Vec::new(),
    }
}
