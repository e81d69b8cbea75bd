//! A ledger that was restored to an earlier state would bind again what was unassigned since. What
//! was made since shows as orphans that are younger than its newest write: then nothing is made again
//! or corrected on that cluster until an administrator resumes.

use std::collections::BTreeSet;

use pod_identity_core::{
    CLOCK_DIFFERENCE, ClusterArn, DominoName, RoleArn, ServiceAccountRef, fingerprint,
};
use serde::Serialize;

use super::overview::{Look, Overview};
use super::{Reconciled, Scope};
use crate::audit::AuditEntry;
use crate::cluster;
use crate::context::{Cloud, Context};
use crate::error::{Error, chain};
use crate::ledger::{GuardRecord, HaltRecord, LedgerError, View, WriteSet, guard_key};
use crate::ports::{LedgerWriter, WriteError};
use crate::settings::later;

/// How often a resumption is written when others got in between.
const ATTEMPTS: usize = 5;

/// The sign that the ledger is older than the cluster: an orphan that is younger than the ledger's
/// newest write there, or than the last reconciliation that it knows. None where it was dismissed, or
/// the ledger has no write there.
fn sign(overview: &Overview, now: jiff::Timestamp) -> Option<HaltRecord> {
    // An event that came after the restore has written since: what the last reconciliation saw, as
    // this ledger has it, is older. It was restored with the rest.
    let newest_write = overview.newest_write()?;
    let noted = overview.noted().filter(|noted| noted.skipped.is_none());
    let newest_write = noted.map_or(newest_write, |noted| noted.at.min(newest_write));
    let younger = later(newest_write, CLOCK_DIFFERENCE);
    let (kubernetes, orphan, created_at) = overview
        .orphans()
        .filter(|(_, one)| !overview.guard.dismissed.contains(&one.id))
        .filter_map(|(place, one)| Some((place, one, one.created_at.filter(|at| *at > younger)?)))
        .max_by_key(|(.., created_at)| *created_at)?;
    let association_id = orphan.id.clone();
    Some(HaltRecord { at: now, association_id, kubernetes, created_at, newest_write })
}

/// What is said of a halt.
fn halt(guard: &GuardRecord, cluster: &ClusterArn, done: &mut Reconciled) {
    let Some(halted) = &guard.halted else { return };
    let problem = halted.problem(cluster);
    let why = problem.to_string();
    tracing::warn!(cluster = cluster.name(), "halted: {why}");
    done.halted = Some(why);
}

/// For a look only: takes the sign for a halt. Says how many associations may be made again.
pub(super) async fn presume(
    cloud: &Cloud<'_>,
    scope: &Scope,
    overview: &mut Overview,
    done: &mut Reconciled,
) -> Result<usize, Error> {
    let Some(mut whole) = whole(cloud, scope, overview).await? else { return Ok(0) };
    let seen = whole.as_deref_mut().unwrap_or(&mut *overview);
    if seen.guard.halted.is_none() {
        seen.guard.halted = sign(seen, cloud.clock.now());
    }
    Ok(taken_over(cloud, overview, whole, done))
}

/// Looks for the sign, once more under the lease where it is seen, and stores it: from then on no run
/// makes anything again there. Says how many associations this run may make again.
pub(super) async fn judge(
    cloud: &Cloud<'_>,
    writer: &dyn LedgerWriter,
    scope: &Scope,
    overview: &mut Overview,
    done: &mut Reconciled,
) -> Result<usize, Error> {
    let Some(mut whole) = whole(cloud, scope, overview).await? else { return Ok(0) };
    let seen = whole.as_deref_mut().unwrap_or(&mut *overview);
    let cluster = &scope.cluster;
    if seen.guard.halted.is_none() && sign(seen, cloud.clock.now()).is_some() {
        let look = async || look_again(cloud, cluster).await;
        seen.guard.halted = cluster::under_lease(cloud, writer, cluster, look).await?;
    }
    Ok(taken_over(cloud, overview, whole, done))
}

/// The whole cluster, where a run that looks at a part of it would make something again: in a part
/// neither the sign of a restored ledger shows nor how much is gone. None inside where the part is the
/// whole, or makes nothing again; none at all where the cluster is left alone by now.
async fn whole(
    cloud: &Cloud<'_>,
    scope: &Scope,
    part: &Overview,
) -> Result<Option<Option<Box<Overview>>>, Error> {
    if scope.is_whole() || part.vanished().next().is_none() {
        return Ok(Some(None));
    }
    let look = Overview::read(cloud, &Scope::of(scope.cluster.clone())).await;
    Ok(look?.open().map(Some))
}

/// Takes what the whole cluster shows over to a part of it, and says how many associations may be
/// made again: none where some are held back, or a part is looked at and more are gone than the ceiling.
fn taken_over(
    context: &Context<'_>,
    overview: &mut Overview,
    whole: Option<Box<Overview>>,
    done: &mut Reconciled,
) -> usize {
    let ceiling = context.settings.plan.max_recreations;
    let mut left = if overview.holds_back() { 0 } else { ceiling };
    if let Some(whole) = whole {
        if whole.vanished().count() > ceiling {
            left = 0;
        }
        overview.take_over(*whole);
    }
    halt(&overview.guard, &overview.access.cluster, done);
    left
}

/// What a run that makes something may be under way with is seen under the lease only.
async fn look_again(
    cloud: &Cloud<'_>,
    cluster: &ClusterArn,
) -> Result<(Option<HaltRecord>, WriteSet), Error> {
    let mut writes = WriteSet::default();
    let look = Overview::read(cloud, &Scope::of(cluster.clone())).await?;
    let Look::Open(mut overview) = look else { return Ok((None, writes)) };
    if overview.guard.halted.is_none() {
        overview.guard.halted = sign(&overview, cloud.clock.now());
        let (key, revision) = (guard_key(cluster), cloud.run.revision());
        writes.put(&mut overview.view, key, &overview.guard, &revision)?;
    }
    Ok((overview.guard.halted, writes))
}

/// An association that is gone, and would be made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recreation {
    /// The Kubernetes service account.
    pub kubernetes: ServiceAccountRef,
    /// Id of the association that the ledger remembers.
    pub association_id: String,
    /// The Domino service account that it serves.
    pub service_account: DominoName,
    /// Its role.
    pub role: RoleArn,
}

/// An association that is otherwise than the ledger says, and would be corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Correction {
    /// The Kubernetes service account.
    pub kubernetes: ServiceAccountRef,
    /// Id of the association.
    pub association_id: String,
    /// The Domino service account that it serves.
    pub service_account: DominoName,
    /// Its role now.
    pub from_role: String,
    /// The role that it would get.
    pub role: RoleArn,
    /// What would be changed.
    pub changes: Vec<&'static str>,
}

/// What is held back on a cluster, and would go on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resumption {
    /// Why everything is halted, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<String>,
    /// Associations with this deployment's tag that the ledger does not account for, by id.
    pub orphans: BTreeSet<String>,
    /// What would be made again, without a ceiling.
    pub recreations: Vec<Recreation>,
    /// What was changed since and would be corrected.
    pub corrections: Vec<Correction>,
    /// A digest of all of it: what was shown is what is resumed.
    pub digest: String,
}

/// What a cluster would go on with. Reads only.
///
/// # Errors
/// When a call fails, or the cluster is not registered or cannot be looked at.
pub async fn plan_resumption(cloud: Cloud<'_>, cluster: &ClusterArn) -> Result<Resumption, Error> {
    let scope = Scope::of(cluster.clone());
    let overview = match Overview::read(&cloud, &scope).await? {
        Look::Open(overview) => overview,
        Look::LeftAlone(why) => return Err(why.into()),
        Look::Drained { .. } => return Err(format!("cluster {cluster} is retired").into()),
    };
    if let Some(why) = overview.gone {
        return Err(why.into());
    }
    let stored = overview.guard.halted.clone();
    let halted_at = stored.as_ref().map(|halted| halted.at.to_string()).unwrap_or_default();
    let halted = stored.or_else(|| sign(&overview, cloud.clock.now()));
    // Where nothing is halted reconcile corrects what was changed, without anybody's word.
    let corrections = match &halted {
        Some(_) => overview.corrections(&cloud).await?,
        None => Vec::new(),
    };
    let sign = halted.as_ref().map(|halted| format!("{halted_at} {}", halted.association_id));
    let recreations = overview.vanished().map(|(kubernetes, held)| Recreation {
        kubernetes: kubernetes.clone(),
        association_id: held.id.clone(),
        service_account: held.service_account.clone(),
        role: held.desired.role.clone(),
    });
    let mut resumption = Resumption {
        halted: halted.map(|halted| halted.problem(cluster).message()),
        orphans: overview.orphans().map(|(_, one)| one.id.clone()).collect(),
        recreations: recreations.collect(),
        corrections,
        digest: String::new(),
    };
    let orphans = resumption.orphans.iter().map(String::as_str);
    let recreations = resumption.recreations.iter().flat_map(|one| {
        [
            one.kubernetes.namespace(),
            one.kubernetes.service_account(),
            &one.association_id,
            one.service_account.as_str(),
            one.role.as_str(),
        ]
    });
    let corrections = resumption.corrections.iter().flat_map(|one| {
        let own = [one.association_id.as_str(), &one.from_role, one.role.as_str()];
        own.into_iter().chain(one.changes.iter().copied())
    });
    let parts = [cluster.as_str(), sign.as_deref().unwrap_or_default()].into_iter();
    let parts = parts.chain(orphans).chain(["again"]).chain(recreations);
    resumption.digest = fingerprint(parts.chain(["back"]).chain(corrections));
    Ok(resumption)
}

/// Has a cluster go on with what was shown. Only the ledger is written, with the word in the history
/// of the cluster.
///
/// # Errors
/// When the ledger cannot be read or written.
pub async fn resume(
    context: Context<'_>,
    writer: &dyn LedgerWriter,
    cluster: &ClusterArn,
    resumption: &Resumption,
    act: &AuditEntry<'_>,
) -> Result<(), Error> {
    let Context { ledger, clock, run, .. } = context;
    let failed = |error: LedgerError| {
        Error::from(format!("failed to resume cluster {cluster}: {}", chain(&error)))
    };
    let key = guard_key(cluster);
    for _ in 0..ATTEMPTS {
        let mut view = View::default();
        view.read(ledger, std::slice::from_ref(&key)).await.map_err(failed)?;
        let stored = view.get::<GuardRecord>(&key).map_err(failed)?;
        let mut guard = stored.unwrap_or_default();
        guard.halted = None;
        // What was resumed before has been made by now, or is among these.
        guard.resumed =
            resumption.recreations.iter().map(|one| one.association_id.clone()).collect();
        guard.dismissed.clone_from(&resumption.orphans);
        let mut writes = WriteSet::default();
        writes.put(&mut view, key.clone(), &guard, &run.revision()).map_err(failed)?;
        act.note(cluster.as_str(), &mut view, &mut writes, clock.now(), run).map_err(failed)?;
        match writes.commit(ledger, writer).await {
            Ok(()) => return Ok(()),
            Err(WriteError::Conflict) => {}
            Err(WriteError::Port(error)) => return Err(failed(error.into())),
        }
    }
    Err(failed(LedgerError::Contended(format!("the guard of {cluster}"))))
}
