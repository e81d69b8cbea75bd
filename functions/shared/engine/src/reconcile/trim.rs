//! Roles that nobody uses any more leave the node policies, a grace period after a complete
//! observation found them unused for the first time.
//!
//! What is found here only says since when; what is taken out is decided anew under the lease,
//! by the ledger and by an observation as they are then.

mod leased;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_core::plan::{self, NodePolicies, Plan, PolicyStep};
use pod_identity_core::{ClusterArn, RoleArn};

use super::overview::Overview;
use super::{Reconciled, Scope};
use crate::cluster::Context;
use crate::error::chain;
use crate::ledger::{
    LedgerError, NodePolicyRecord, Registry, TrimRecord, View, WriteSet, node_policy_key, registry,
    trim_key,
};
use crate::ports::{Clock, Key, LedgerReader, Reads, WriteError, Writes};
use crate::settings::{Settings, later};

/// What an observation of the whole cluster says of the node policies.
struct Survey {
    /// What the ledger remembered of earlier observations, and with this one.
    before: TrimRecord,
    after: TrimRecord,
    /// Roles that may be taken out.
    due: BTreeSet<RoleArn>,
}

impl Survey {
    fn of(
        before: TrimRecord,
        found: &NodePolicies,
        needed: &BTreeSet<RoleArn>,
        (began, ended): (Timestamp, Timestamp),
        grace: Duration,
    ) -> Self {
        let listed = found.listed();
        let unused = listed.difference(needed);
        let since = |role: &RoleArn| before.unused.get(role).copied().unwrap_or(ended);
        let unused: BTreeMap<_, _> = unused.map(|role| (role.clone(), since(role))).collect();
        let is_due = |since: Timestamp| later(since, grace) <= began;
        let due = unused.iter().filter(|(_, since)| is_due(**since));
        let due = due.map(|(role, _)| role.clone()).collect();
        Self { before, after: TrimRecord { unused }, due }
    }

    /// What has to be done so that no role is listed that may be taken out, and no policy is
    /// there that is not needed. What else could be written better is not worth a version.
    fn plan(&self, cluster: &ClusterArn, found: &NodePolicies, settings: &Settings) -> Plan {
        let keep = found.listed().difference(&self.due).cloned().collect();
        let mut plan = plan::trim(cluster, found, &keep, &settings.plan);
        let gives_up = |step: &PolicyStep| matches!(step, PolicyStep::GiveUpPolicy { .. });
        if self.due.is_empty() && !plan.policy_steps.iter().any(gives_up) {
            plan.policy_steps.clear();
            plan.warnings.clear();
        }
        plan
    }
}

/// Says what a trim would do, by one look.
pub(super) async fn preview<R: Reads, W, C: Clock>(
    context: &Context<'_, R, W, C>,
    scope: &Scope,
    overview: &Overview,
    used: BTreeSet<RoleArn>,
    done: &mut Reconciled,
) -> Result<(), String> {
    let planned = planned(context, scope, overview, used, done).await?;
    let plan = planned.map(|(_, plan)| plan).filter(|plan| !plan.is_empty());
    done.plans.extend(plan.filter(|_| done.untrimmed.is_none()));
    Ok(())
}

/// Takes out of the node policies what nobody uses any more. What keeps it from that is told,
/// and is no failure: the next reconciliation tries again.
pub(super) async fn trim<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    scope: &Scope,
    overview: &Overview,
    used: BTreeSet<RoleArn>,
    done: &mut Reconciled,
) {
    if let Err(why) = try_trim(context, scope, overview, used, done).await {
        done.untrimmed = Some(why);
    }
    if let Some(why) = &done.untrimmed {
        tracing::warn!(cluster = scope.cluster.name(), "not trimmed: {why}");
    }
}

async fn try_trim<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    scope: &Scope,
    overview: &Overview,
    used: BTreeSet<RoleArn>,
    done: &mut Reconciled,
) -> Result<(), String> {
    let planned = planned(context, scope, overview, used, done).await?;
    let Some((survey, plan)) = planned else { return Ok(()) };
    if plan.is_empty() || done.untrimmed.is_some() {
        return remember(context, scope, overview, &survey).await;
    }
    leased::trim(context, &scope.cluster, done).await
}

/// What the look at the cluster says and what a trim would do by it, with why it may not be done;
/// none as for [`survey`].
async fn planned<R: Reads, W, C: Clock>(
    context: &Context<'_, R, W, C>,
    scope: &Scope,
    overview: &Overview,
    used: BTreeSet<RoleArn>,
    done: &mut Reconciled,
) -> Result<Option<(Survey, Plan)>, String> {
    let found = survey(context, scope, overview, used, done).await?;
    let Some((survey, found)) = found else { return Ok(None) };
    let plan = survey.plan(&scope.cluster, found, context.settings);
    done.untrimmed = if plan.is_empty() {
        plan.warnings.first().cloned()
    } else {
        shares(context, scope, overview, found).await?
    };
    Ok(Some((survey, plan)))
}

/// What the look at the cluster says; none when it was not complete, or is none of a trim's.
async fn survey<'o, R: Reads, W, C: Clock>(
    context: &Context<'_, R, W, C>,
    scope: &Scope,
    overview: &'o Overview,
    mut used: BTreeSet<RoleArn>,
    done: &mut Reconciled,
) -> Result<Option<(Survey, &'o NodePolicies)>, String> {
    // What a retirement, or another run, has begun is finished, also where nothing is taken out.
    let begun = overview.policies().is_some_and(NodePolicies::are_being_removed);
    let Some(grace) = context.settings.trim_after.or(begun.then_some(Duration::MAX)) else {
        return Ok(None);
    };
    if scope.after.is_some() || done.left.is_some() {
        done.untrimmed = Some(format!(
            "cluster {} was not looked at in one invocation; raise the function's time-out",
            scope.cluster.name()
        ));
        return Ok(None);
    }
    let Some(found) = overview.policies() else { return Ok(None) };
    let stored = overview.view.get::<TrimRecord>(&trim_key(&scope.cluster));
    let before = stored.map_err(|error| chain(&error))?.map(|stored| stored.record);
    let before = before.unwrap_or_default();
    if let Some((name, why)) = done.failures.iter().next() {
        if !before.unused.is_empty() {
            done.untrimmed = Some(format!("something else failed first, for {name}: {why}"));
        }
        return Ok(None);
    }
    used.extend(overview.used_nowhere(context).await.map_err(|error| chain(&error))?);
    used.extend(overview.named());
    let now = context.clock.now();
    Ok(Some((Survey::of(before, found, &used, (now, now), grace), found)))
}

/// Writes down since when roles are unused, if that is new. Whoever wrote meanwhile has looked
/// as well, so then nothing is written.
async fn remember<R: Reads, W: Writes, C: Clock>(
    context: &Context<'_, R, W, C>,
    scope: &Scope,
    overview: &Overview,
    survey: &Survey,
) -> Result<(), String> {
    if survey.after == survey.before {
        return Ok(());
    }
    if context.is_over() {
        return Err(context.over());
    }
    let (mut writes, mut view) = (WriteSet::default(), overview.view.clone());
    let (key, revision) = (trim_key(&scope.cluster), context.run.revision());
    writes.put(&mut view, key, &survey.after, &revision).map_err(|error| chain(&error))?;
    match writes.commit(context.reader, context.writer).await {
        Ok(()) | Err(WriteError::Conflict) => Ok(()),
        Err(WriteError::Port(error)) => Err(chain(&error)),
    }
}

async fn shares<R: Reads, W, C: Clock>(
    context: &Context<'_, R, W, C>,
    scope: &Scope,
    overview: &Overview,
    found: &NodePolicies,
) -> Result<Option<String>, String> {
    let registry = registry(&overview.view, &context.settings.plan.deployment);
    let registry = registry.map_err(|error| chain(&error))?;
    let shared = shared(context.reader, &registry, &scope.cluster, &found.node_roles).await;
    shared.map_err(|error| chain(&error))
}

/// Why no role may be taken from these node roles: another registered cluster has one of them,
/// and what its pods use is not looked at here.
///
/// The node roles of a cluster are those of its registration, or those that were found when
/// something was bound there.
async fn shared(
    reader: &impl LedgerReader,
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
        let found = found.map(|stored| stored.record.node_roles).unwrap_or_default();
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
