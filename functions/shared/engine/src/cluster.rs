//! One cluster's part of a batch: lease, ledger, observation, plan,
//! application, outcome events, conditions.

mod places;
mod recent;
mod settle;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_core::plan::{self, Blocked, Observation, Place, PlacePlan, Plan, Problem};
use pod_identity_core::{Association, ClusterArn, DominoName, RoleArn, node_policy};
use pod_identity_events::{BlockedCode, PolicyCapacity};

use crate::apply::{self, Applied, Failure, PolicyChange, Target, association_failure};
use crate::error::chain;
use crate::lease::Lease;
use crate::ledger::{ClusterRecord, Condition, NodePolicyRecord, View, WriteSet, node_policy_key};
use crate::observe::{self, FoundPolicies};
use crate::ports::{Clock, ClusterAccess, PortError, Reads, Writes};
use crate::run::Run;
use crate::settings::{Settings, later};
use places::Loaded;

/// How long IAM may show an older version of a policy. AWS names no bound; seconds are usual.
const IAM_SETTLES: Duration = Duration::from_secs(120);

/// Everything that work on a cluster needs.
pub(crate) struct Context<'a, R, W, C> {
    pub(crate) reader: &'a R,
    pub(crate) writer: &'a W,
    pub(crate) clock: &'a C,
    pub(crate) run: &'a Run,
    pub(crate) settings: &'a Settings,
    pub(crate) deadline: Timestamp,
}

// Not derived: what is referred to need not be `Copy`.
impl<R, W, C> Clone for Context<'_, R, W, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, W, C> Copy for Context<'_, R, W, C> {}

impl<R, W, C: Clock> Context<'_, R, W, C> {
    /// Whether a call that starts now might end after the deadline.
    pub(crate) fn is_over(&self) -> bool {
        later(self.clock.now(), self.settings.longest_call) >= self.deadline
    }

    /// Why nothing more is begun.
    pub(crate) fn over(&self) -> String {
        format!(
            "the invocation's time is nearly over, so nothing more was begun: one call may take {} s; \
             raise the function's time-out, or lower CALL_TIMEOUT_MS or CALL_ATTEMPTS",
            self.settings.longest_call.as_secs()
        )
    }
}

/// What became of a cluster's part of a batch.
#[derive(Debug, Default)]
pub struct ClusterReport {
    /// The plan, unless the work failed before there was one.
    pub plan: Option<Plan>,
    /// The conditions as they are now, of the batch's service accounts and of
    /// others that share a place with them.
    pub conditions: BTreeMap<DominoName, Condition>,
    /// Service accounts whose work failed for a passing reason, and why.
    pub failures: BTreeMap<DominoName, String>,
    /// Steps that were done.
    pub steps: usize,
    /// How full the node policies are, when they were looked at.
    pub capacity: Option<PolicyCapacity>,
}

/// Makes the ledger's word about some service accounts true on one cluster.
pub(crate) async fn work<R, W, C>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    record: &ClusterRecord,
    names: &BTreeSet<DominoName>,
    hint: &View,
) -> ClusterReport
where
    R: Reads,
    W: Writes,
    C: Clock,
{
    let all_failed = |why: String| ClusterReport {
        failures: names.iter().map(|name| (name.clone(), why.clone())).collect(),
        ..ClusterReport::default()
    };
    let Context { reader, writer, clock, run, settings, deadline } = *context;
    if context.is_over() {
        return all_failed(context.over());
    }
    let mut lease = match Lease::take(cluster, reader, writer, clock, run, settings, deadline).await
    {
        Ok(lease) => lease,
        Err(error) => return all_failed(chain(&error)),
    };
    match work_leased(context, cluster, record, names, hint, &mut lease).await {
        Ok(report) => report,
        Err(Broken { why, wrote }) => {
            // What was done and not written down shows to the next run as a lease that expired.
            let mut writes = WriteSet::default();
            lease.release(&mut writes);
            let known = !wrote && lease.abandoned_at.is_none();
            if known && writes.commit(reader, writer).await.is_err() {
                tracing::warn!(cluster = cluster.name(), "the lease could not be given back");
            }
            all_failed(why)
        }
    }
}

/// Why work broke off for a passing reason.
struct Broken {
    why: String,
    /// Whether something may have been changed that the ledger does not know.
    wrote: bool,
}

impl From<String> for Broken {
    fn from(why: String) -> Self {
        Self { why, wrote: false }
    }
}

/// The lease is given back only with success.
async fn work_leased<R, W, C>(
    context: &Context<'_, R, W, C>,
    cluster: &ClusterArn,
    record: &ClusterRecord,
    names: &BTreeSet<DominoName>,
    hint: &View,
    lease: &mut Lease,
) -> Result<ClusterReport, Broken>
where
    R: Reads,
    W: Writes,
    C: Clock,
{
    let Context { reader, writer, clock, run, settings, .. } = *context;
    let access = ClusterAccess {
        cluster: cluster.clone(),
        assume_role: record.registration.assume_role.clone(),
    };
    let mut loaded =
        Loaded::read(context, cluster, names, hint).await.map_err(|error| chain(&error))?;
    loaded.recent.was_abandoned(lease.abandoned_at.map(|at| later(at, settings.lease)));
    let remembered = loaded
        .view
        .get::<NodePolicyRecord>(&node_policy_key(cluster))
        .map_err(|error| chain(&error))?
        .map(|stored| settled(stored.record, clock.now()));

    // A first observation is complete, foreign associations included, and is not remembered
    // before what it found is listed.
    let known = remembered.is_some();

    // The allow-lists may have been narrowed since the cluster was registered. Node roles
    // are looked at where something is granted: a removal touches none.
    let mut reach = record.registration.clone();
    reach.node_roles.clear();
    let admitted = settings.rules.admits_registration(&reach);
    let looked_at = clock.now();
    let observed = match admitted {
        Err(reasons) => Err(Failure::Blocked(Problem {
            code: BlockedCode::NotAllowed,
            reason: reasons.join("; "),
            way_out: "admit it in the deployment's allow-lists, or register the cluster anew"
                .to_owned(),
        })),
        Ok(()) => Box::pin(observe_all(context, &access, record, &mut loaded, remembered)).await,
    };
    let (mut plan, found) = match observed {
        Ok((observation, found)) => (plan::plan(&observation, &settings.plan), found),
        Err(Failure::Passing(why)) => return Err(why.into()),
        Err(Failure::Blocked(problem)) => {
            (blocked_plan(cluster, &loaded.places()?, &problem), None)
        }
    };
    loaded.recent.judge(&mut plan, &loaded.associations, looked_at, settings.lease);
    tracing::info!(cluster = cluster.name(), steps = plan.steps(), plan = %plan, "planned");

    // Half the lease may be gone by now, and creating many associations takes time.
    if plan.steps() > 1 && !lease.covers(clock.now(), settings.lease / 2 + settings.longest_call) {
        lease.renew(reader, writer, clock, run, settings).await.map_err(|error| chain(&error))?;
    }
    let applied = if plan.is_empty() {
        Applied::default()
    } else {
        let access = &access;
        let target = Target { context, access, lease };
        Box::pin(apply::apply(&plan, &target)).await
    };
    // Where nothing is granted nothing is listed either.
    let listed = !plan.policy_steps.is_empty() || plan.places.iter().any(|p| p.bound.is_some());
    let found = found.filter(|_| known || (listed && !applied.failed_for_now()));
    let node_policy = found.map(|found| remember(found, &applied, clock.now()));
    let capacity = node_policy.is_some().then(|| plan.capacity.clone());
    let settled =
        settle::settle(context, cluster, lease, loaded, &plan, &applied, node_policy).await;
    let mut report = settled.map_err(|why| Broken { why, wrote: !plan.is_empty() })?;
    report.capacity = capacity;
    report.steps = applied.steps;
    report.plan = Some(plan);
    Ok(report)
}

/// What the ledger shall remember of the node policies, and what the bus shall be told.
fn remember(found: FoundPolicies, applied: &Applied, now: Timestamp) -> NodePolicyMemory {
    let FoundPolicies { mut record, unannounced, mut overwritten, .. } = found;
    record.shards = applied.created.iter().copied().fold(record.shards, u32::max);
    for change in &unannounced {
        // IAM may show the one before it for a while, whoever wrote it.
        record.versions.insert(change.number, change.version.clone());
        record.written_at = Some(now);
    }
    for role in applied.policy_changes.iter().flat_map(|change| &change.added) {
        overwritten.remove(role);
    }
    // Once the bus was told of a version, nobody looks again at those that it was put over.
    let is_merged = overwritten.is_empty();
    let mut changes: BTreeMap<u32, PolicyChange> = unannounced
        .into_iter()
        .filter(|_| is_merged)
        .map(|change| (change.number, change))
        .collect();
    for change in &applied.policy_changes {
        record.versions.insert(change.number, change.version.clone());
        record.written_at = Some(now);
        let told = changes.entry(change.number).or_insert_with(|| change.clone());
        told.version.clone_from(&change.version);
        told.added.extend(change.added.iter().cloned());
        told.added.sort();
        told.added.dedup();
    }
    for (role, number) in &applied.attached {
        record.attached.entry(role.clone()).or_default().insert(*number);
    }
    NodePolicyMemory { record, changes: changes.into_values().collect() }
}

/// What the ledger shall remember of the node policies.
struct NodePolicyMemory {
    record: NodePolicyRecord,
    /// Versions that the bus has to be told of.
    changes: Vec<PolicyChange>,
}

/// What is remembered, without the versions that IAM has had time enough to show: by then
/// what it shows is right, be it that somebody set a version back.
fn settled(mut record: NodePolicyRecord, now: Timestamp) -> NodePolicyRecord {
    if record.written_at.is_none_or(|at| later(at, IAM_SETTLES) <= now) {
        record.versions.clear();
        record.written_at = None;
    }
    record
}

/// Observes what the plan looks at. What a removal does not need is not asked for.
async fn observe_all<R, W, C>(
    context: &Context<'_, R, W, C>,
    access: &ClusterAccess,
    record: &ClusterRecord,
    loaded: &mut Loaded,
    remembered: Option<NodePolicyRecord>,
) -> Result<(Observation, Option<FoundPolicies>), Failure>
where
    R: Reads,
    C: Clock,
{
    let Context { reader: aws, settings, .. } = *context;
    let failed = |error: PortError| association_failure(&error, access);
    let concurrency = settings.concurrency;
    let associations = observe::associations(aws, access, &loaded.kubernetes(), concurrency)
        .await
        .map_err(failed)?;
    if let Some(problem) = of_another_account(&access.cluster, associations.values()) {
        return Err(Failure::Blocked(problem));
    }
    loaded.associations = associations;
    loaded
        .know_owners(context, &access.cluster)
        .await
        .map_err(|error| Failure::Passing(chain(&error)))?;
    let places = loaded.places().map_err(Failure::Passing)?;
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
    };
    if wanted.is_empty() {
        return Ok((observation, None));
    }
    observation.roles =
        observe::roles(aws, access, wanted.clone(), concurrency).await.map_err(failed)?;
    let mut found =
        observe::node_policies(aws, access, record, remembered, settings).await.map_err(failed)?;
    let policies = &mut found.policies;
    policies.other_roles.extend(foreign_roles(&observation.places, settings));
    let statement = settings.plan.cluster_statement.then_some(&access.cluster);
    let listed = wanted.union(&policies.other_roles).cloned().collect();
    // Free slots only matter when a policy has to be attached, and then as they are now.
    let attaches = !policies.are_attached()
        || node_policy::needs_new_shard(&policies.shards, &listed, statement);
    if attaches && !found.counted {
        observe::attachments(aws, access, settings, &mut found.record, policies)
            .await
            .map_err(failed)?;
    }
    observation.policies = std::mem::take(policies);
    // What was not understood is not remembered.
    let understood = observation.policies.problem.is_none();
    Ok((observation, understood.then_some(found)))
}

/// EKS is asked for a cluster by its name. A cluster of another account that was registered
/// without a role to assume is then taken for one of our own that has the same name.
fn of_another_account<'a>(
    cluster: &ClusterArn,
    mut associations: impl Iterator<Item = &'a Association>,
) -> Option<Problem> {
    let (partition, region, account) = (cluster.partition(), cluster.region(), cluster.account());
    let prefix = format!("arn:{partition}:eks:{region}:{account}:");
    let other = associations.find(|association| !association.arn.starts_with(&prefix))?;
    Some(Problem {
        code: BlockedCode::InvalidRequest,
        reason: format!("EKS answers {} when asked for cluster {cluster}", other.arn),
        way_out: format!(
            "register the cluster again with assumeRoleArn, the role in account {account} to assume"
        ),
    })
}

/// Roles of associations in the way that are not ours: the list names them as well.
fn foreign_roles(places: &[Place], settings: &Settings) -> Vec<RoleArn> {
    use pod_identity_core::Ownership;
    places
        .iter()
        .filter_map(|place| place.association.as_ref())
        .filter(|one| !matches!(one.ownership(&settings.plan.deployment), Ownership::Ours(_)))
        .filter_map(|one| one.role_arn.parse().ok())
        .collect()
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
                Blocked::by(problem, &claim.binding.service_account, version, role)
            })
            .chain(place.leaving.keys().map(|name| Blocked::by(problem, name, None, None)))
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
