//! Roles that no binding uses any more leave the node policies, a grace period after a complete
//! observation found them unused for the first time.
//!
//! What is found here only says since when; what is taken out is decided again under the lease,
//! by the ledger and by an observation as they are then.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::node_policy::PolicyState;
use pod_identity_core::plan::{NodePolicies, Plan, PolicyStep};
use pod_identity_core::{ClusterArn, RoleArn};

use super::overview::Overview;
use super::{Reconciled, Scope};
use crate::cluster::{self, ExtraScope, Taking};
use crate::context::{Cloud, Context, Writers};
use crate::error::Error;
use crate::ledger::{NodePolicyRecord, View, WriteSet, node_policy_key};
use crate::ports::LedgerWriter;

/// By role that the policies list: since when no binding uses it.
type Unused = BTreeMap<RoleArn, Timestamp>;

/// Says what a trim would do, by one look.
pub(super) async fn preview(
    cloud: &Cloud<'_>,
    scope: &Scope,
    overview: &Overview,
    used: BTreeSet<RoleArn>,
    done: &mut Reconciled,
) -> Result<(), Error> {
    let planned = planned(cloud, scope, overview, used, done).await?;
    let plan = planned.map(|(_, plan)| plan).filter(|plan| !plan.is_empty());
    done.plans.extend(plan.filter(|_| done.trim_skipped.is_none()));
    Ok(())
}

/// Takes out of the node policies what no binding uses any more. What keeps it from that is told,
/// and is no failure: the next reconciliation tries again.
pub(super) async fn trim(
    cloud: &Cloud<'_>,
    writers: Writers<'_>,
    scope: &Scope,
    overview: &Overview,
    used: BTreeSet<RoleArn>,
    done: &mut Reconciled,
) {
    if let Err(why) = try_trim(cloud, writers, scope, overview, used, done).await {
        done.trim_skipped = Some(why.to_string());
    }
    if let Some(why) = &done.trim_skipped {
        tracing::warn!(cluster = scope.cluster.name(), "not trimmed: {why}");
    }
}

async fn try_trim(
    cloud: &Cloud<'_>,
    writers: Writers<'_>,
    scope: &Scope,
    overview: &Overview,
    used: BTreeSet<RoleArn>,
    done: &mut Reconciled,
) -> Result<(), Error> {
    let planned = planned(cloud, scope, overview, used, done).await?;
    let Some((unused, plan)) = planned else { return Ok(()) };
    if plan.is_empty() || done.trim_skipped.is_some() {
        return remember(cloud, writers.ledger, scope, overview, &unused).await;
    }
    let (nobody, extra) =
        (BTreeSet::new(), ExtraScope { taking: Some(Taking::Unused), ..ExtraScope::default() });
    let worked = cluster::work_with(*cloud, writers, overview.job(&nobody, &extra), None).await;
    let report = worked.map_err(|failure| failure.to_string())?;
    let (Some(plan), Some(now)) = (report.plan, report.node_policies) else { return Ok(()) };
    let undone = report.undone.map(|failure| failure.to_string());
    done.trim_skipped = undone.or_else(|| plan.warnings.first().cloned());
    done.steps += report.steps;
    for step in &plan.policy_steps {
        if let PolicyStep::DeletePolicy { policy, number, .. } = step
            && !now.projection.policies.contains_key(number)
        {
            done.deleted_policies.insert(policy.clone());
        }
        let left = step.takes().iter().filter(|role| !may_list(&now, role));
        done.trimmed.extend(left.cloned());
    }
    done.plans.push(plan);
    Ok(())
}

/// Whether a policy lists a role, or IAM is not known to have that it does not.
fn may_list(record: &NodePolicyRecord, role: &RoleArn) -> bool {
    record.projection.policies.values().any(|one| {
        one.roles.contains(role) || (one.state != PolicyState::Clean && one.removed.contains(role))
    })
}

/// Since when roles are unused by the look at the cluster, what a trim would do by it, and in `done` why it may
/// not; none when the look was not complete, or is none of a trim's.
async fn planned(
    cloud: &Cloud<'_>,
    scope: &Scope,
    overview: &Overview,
    mut used: BTreeSet<RoleArn>,
    done: &mut Reconciled,
) -> Result<Option<(Unused, Plan)>, Error> {
    // What a retirement, or another run, has begun is finished, also where nothing is taken out.
    let begun = overview.policies().is_some_and(NodePolicies::are_being_removed);
    if cloud.settings.trim_after.is_none() && !begun {
        return Ok(None);
    }
    if scope.after.is_some() || done.left.is_some() {
        done.trim_skipped = Some(format!(
            "cluster {} was not looked at in one invocation; raise the function's time-out",
            scope.cluster.name()
        ));
        return Ok(None);
    }
    let Some(found) = overview.policies() else { return Ok(None) };
    let before = remembered(&overview.view, &scope.cluster)?;
    if let Some((name, why)) = done.failures.iter().next() {
        let why = || format!("something else failed first, for {name}: {why}");
        done.trim_skipped = (!before.unused.is_empty()).then(why);
        return Ok(None);
    }
    used.extend(overview.used_nowhere(cloud).await?);
    used.extend(overview.named());
    let (now, settings) = (cloud.clock.now(), cloud.settings);
    let unused = cluster::unused(&before, found, &used, now);
    let plan = cluster::trim(&scope.cluster, found, &unused, now, settings);
    done.trim_skipped = plan.warnings.first().cloned();
    if !plan.is_empty() {
        let registry = overview.registry(cloud)?;
        let shared = cluster::shared(cloud.ledger, &registry, &scope.cluster, &found.node_roles);
        done.trim_skipped = shared.await?;
    }
    Ok(Some((unused, plan)))
}

/// Writes down since when roles are unused, if that is new.
async fn remember(
    context: &Context<'_>,
    writer: &dyn LedgerWriter,
    scope: &Scope,
    overview: &Overview,
    unused: &Unused,
) -> Result<(), Error> {
    let cluster = &scope.cluster;
    if remembered(&overview.view, cluster)?.unused == *unused {
        return Ok(());
    }
    let write = async || {
        let (key, revision) = (node_policy_key(cluster), context.run.revision());
        let (mut view, mut writes) = (View::default(), WriteSet::default());
        view.read(context.ledger, std::slice::from_ref(&key)).await?;
        let mut record = remembered(&view, cluster)?;
        record.unused.clone_from(unused);
        record.forget_unlisted();
        writes.put(&mut view, key, &record, &revision)?;
        Ok(((), writes))
    };
    cluster::under_lease(context, writer, cluster, write).await
}

/// What a view has of the cluster's node policies.
fn remembered(view: &View, cluster: &ClusterArn) -> Result<NodePolicyRecord, Error> {
    let stored = view.get::<NodePolicyRecord>(&node_policy_key(cluster));
    Ok(stored?.unwrap_or_default())
}
