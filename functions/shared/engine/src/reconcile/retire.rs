//! The guarded retirement of a cluster: what the ledger asked for, done by
//! reconciliations, each a part.
//!
//! First nothing is taken away while somebody would be left without a role.
//! From the moment that the registry says that it has begun, no binding has
//! anything here; each association goes under the guard again. Then the node
//! policies go, and at last the cluster's place in the registry.

mod close;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pod_identity_core::plan::{AssociationStep, Plan};
use pod_identity_core::{ClusterArn, DominoName, ServiceAccountRef};
use pod_identity_events::{MAKE_READY_ELSEWHERE, Problem};

use super::Reconciled;
use super::drift::DriftCause;
use super::overview::{Found, Overview};
use crate::cluster::{self, CHUNK, ExtraScope, guard};
use crate::context::{Cloud, Writers};
use crate::error::Error;
use crate::ledger::{self, ConditionState, View, WriteSet, registry_key};
use crate::ports::LedgerWriter;

pub(super) use close::finish;

/// How far the retirement of a cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retirement {
    /// These would be left without a role, so theirs is kept; before it has begun, everybody's.
    RetirementBlocked(BTreeSet<DominoName>),
    /// Associations are being deleted.
    UnderWay {
        /// Whether the ceiling or the time ended the run, so that another is to go on at once.
        goes_on: bool,
    },
    /// All of ours are gone but the node policies: these associations, in words, may need them.
    NotAlone(Vec<String>),
    /// All of ours are gone but the node policies, and why, with the remediation.
    PoliciesStay(String),
    /// Nothing of ours is left.
    Drained,
    /// EKS does not know the cluster any more, and it has left the registry.
    Deregistered,
}

impl fmt::Display for Retirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RetirementBlocked(names) => {
                let names: Vec<&str> = names.iter().map(DominoName::as_str).collect();
                let (who, remediation) = (names.join(", "), MAKE_READY_ELSEWHERE);
                write!(
                    f,
                    "its retirement is held up by service accounts that are ready on no other cluster: {who}; {remediation}"
                )
            }
            Self::UnderWay { goes_on: true } => {
                f.write_str("its retirement goes on in another run")
            }
            Self::UnderWay { goes_on: false } => f.write_str("its retirement is under way"),
            Self::NotAlone(others) => write!(
                f,
                "its retirement has deleted all associations of this deployment; the node policies stay while others may need them: {}; delete those, or the cluster",
                others.join(", ")
            ),
            Self::PoliciesStay(why) => {
                write!(f, "its retirement has deleted all associations of this deployment; {why}")
            }
            Self::Drained => {
                f.write_str("it is retired, and nothing of this deployment is left there")
            }
            Self::Deregistered => f.write_str(
                "it is retired, EKS does not know it any more, and it has left the registry",
            ),
        }
    }
}

/// By what was read for the overview, whether the retirement may begin; if not, who holds it up.
async fn may_begin(
    cloud: &Cloud<'_>,
    overview: &Overview,
    done: &mut Reconciled,
) -> Result<bool, Error> {
    let Some(retirement) = overview.record.retired.as_ref().filter(|it| it.begun_at.is_none())
    else {
        return Ok(false);
    };
    // A cluster that is gone keeps no binding's association.
    if overview.gone.is_some() {
        return Ok(true);
    }
    let Overview { access, bindings, conditions, .. } = overview;
    let (registry, exemptions) = (overview.registry(cloud)?, &retirement.exemptions);
    let bindings = bindings.clone();
    let held =
        guard::holders(cloud.ledger, &registry, &access.cluster, exemptions, bindings, conditions)
            .await?;
    if held.is_empty() {
        return Ok(true);
    }
    block_retirement(&access.cluster, held, done);
    Ok(false)
}

fn block_retirement(cluster: &ClusterArn, names: BTreeSet<DominoName>, done: &mut Reconciled) {
    let retirement = Retirement::RetirementBlocked(names);
    tracing::warn!(cluster = cluster.name(), "{retirement}");
    done.retirement = Some(retirement);
}

/// For a look only: takes the retirement for begun if it might begin, and says whether it has.
pub(super) async fn presume(
    cloud: &Cloud<'_>,
    overview: &mut Overview,
    done: &mut Reconciled,
) -> Result<bool, Error> {
    if may_begin(cloud, overview, done).await? {
        let now = cloud.clock.now();
        overview.record.retired.iter_mut().for_each(|retirement| retirement.begun_at = Some(now));
    }
    Ok(overview.record.is_retiring())
}

/// Begins the retirement when the guard is met, by the ledger as it is under the lease; says
/// whether it did.
pub(super) async fn begin(
    cloud: &Cloud<'_>,
    writer: &dyn LedgerWriter,
    overview: &Overview,
    done: &mut Reconciled,
) -> Result<bool, Error> {
    if !may_begin(cloud, overview, done).await? {
        return Ok(false);
    }
    let cluster = &overview.access.cluster;
    let began =
        cluster::under_lease(cloud, writer, cluster, async || decide(cloud, overview, done).await);
    let began = began.await?;
    if began {
        tracing::info!(cluster = cluster.name(), "its retirement has begun");
    }
    Ok(began)
}

/// What the guard says under the lease, and what is written then.
async fn decide(
    cloud: &Cloud<'_>,
    overview: &Overview,
    done: &mut Reconciled,
) -> Result<(bool, WriteSet), Error> {
    let cluster = &overview.access.cluster;
    let mut view = View::default();
    view.read(cloud.ledger, &[registry_key()]).await?;
    let mut registry = ledger::registry(&view, &cloud.settings.plan.deployment)?;
    let record = registry.clusters.get_mut(cluster);
    let Some(retirement) = record.and_then(|record| record.retired.as_mut()) else {
        return Ok((false, WriteSet::default()));
    };
    if overview.gone.is_none() {
        let exemptions = &retirement.exemptions;
        let held =
            guard::retirement_blockers(cloud.ledger, cloud.settings, cluster, exemptions).await?;
        if !held.is_empty() {
            block_retirement(cluster, held, done);
            return Ok((false, WriteSet::default()));
        }
    }
    retirement.begun_at.get_or_insert(cloud.clock.now());
    let (mut writes, revision) = (WriteSet::default(), cloud.run.revision());
    writes.put(&mut view, registry_key(), &registry, &revision)?;
    Ok((true, writes))
}

/// One run's part of taking everything away.
struct Draining {
    deletions_left: usize,
    deleted: usize,
    /// Whether somebody was left to another run.
    stopped: bool,
    /// Associations that are not ours, or that the ledger does not know.
    others: Vec<String>,
}

impl Draining {
    fn new(most: usize) -> Self {
        Self { deletions_left: most, deleted: 0, stopped: false, others: Vec::new() }
    }

    /// Looks at some places.
    async fn look(
        &mut self,
        cloud: &Cloud<'_>,
        overview: &Overview,
        chunk: &[ServiceAccountRef],
        done: &mut Reconciled,
    ) -> Result<Option<Found>, Error> {
        let mut found = overview.compare(cloud, chunk).await?;
        done.note(&overview.access.cluster, &found, chunk);
        self.others.append(&mut found.others);
        let orphans = found.orphans.iter();
        self.others.extend(
            orphans
                .map(|orphan| format!("association {} of {}, an orphan", orphan.id, orphan.place)),
        );
        Ok(Some(found).filter(|found| !found.needed.is_empty()))
    }

    /// Takes out as many as may be deleted yet. Those that are blocked use nothing up, so that the
    /// ones behind them have their turn; who is beyond the ceiling is left to another run.
    fn next(
        &mut self,
        overview: &Overview,
        needed: &mut BTreeMap<DominoName, Option<DriftCause>>,
    ) -> Option<BTreeSet<DominoName>> {
        if needed.is_empty() {
            return None;
        }
        // With the cluster its associations went too: there is nothing to delete.
        let is_gone = overview.gone.is_some();
        self.stopped |= !is_gone && self.deletions_left == 0;
        if self.stopped {
            return None;
        }
        let most = if is_gone { needed.len() } else { self.deletions_left };
        let rest = needed.keys().nth(most).cloned().map(|first| needed.split_off(&first));
        let taken = std::mem::replace(needed, rest.unwrap_or_default());
        Some(taken.into_keys().collect())
    }

    fn count(&mut self, plan: &Plan) {
        let deletes =
            |step: &AssociationStep| matches!(step, AssociationStep::DeleteAssociation { .. });
        let count = plan.places.iter().filter(|p| p.step.as_ref().is_some_and(deletes)).count();
        self.deleted += count;
        self.deletions_left = self.deletions_left.saturating_sub(count);
    }
}

/// Shows what a run would take away: at least a part, and whether there is more. Where the time was
/// over, what was not looked at is behind [`Reconciled::left`].
pub(super) async fn preview(
    cloud: &Cloud<'_>,
    overview: &Overview,
    done: &mut Reconciled,
) -> Result<(), Error> {
    let mut taking = Draining::new(cloud.settings.plan.max_deletions);
    let mut cut = false;
    for chunk in overview.chunks_of_all(CHUNK) {
        cut = done.left.is_some() && cloud.deadline_reached();
        if cut || taking.stopped {
            break;
        }
        let Some(mut found) = taking.look(cloud, overview, &chunk, done).await? else { continue };
        // Each part of it has some of those who want a place.
        let extra = ExtraScope { knows_all: false, ..overview.extra(&found) };
        while let Some(names) = taking.next(overview, &mut found.needed) {
            let plan = cluster::preview(cloud, overview.presumed_job(&names, &extra)).await?;
            taking.count(&plan);
            done.plans.push(plan);
            taking.stopped |= !found.needed.is_empty() && cloud.deadline_reached();
        }
    }
    done.left = done.left.take().filter(|_| cut);
    done.retirement = Some(Retirement::UnderWay { goes_on: cut || taking.stopped });
    Ok(())
}

/// Takes away what the retirement gives up, as far as one run may.
pub(super) async fn retire(
    cloud: &Cloud<'_>,
    writers: Writers<'_>,
    overview: &Overview,
    done: &mut Reconciled,
) -> Result<(), Error> {
    let mut taking = Draining::new(cloud.settings.plan.max_deletions);
    for chunk in overview.chunks_of_all(CHUNK) {
        taking.stopped |= cloud.deadline_reached();
        if taking.stopped {
            break;
        }
        let Some(mut found) = taking.look(cloud, overview, &chunk, done).await? else { continue };
        // Each part of it has some of those who want a place.
        let extra = ExtraScope { knows_all: false, ..overview.extra(&found) };
        while let Some(names) = taking.next(overview, &mut found.needed) {
            // The run's ceiling, not one for each of its parts.
            let mut settings = cloud.settings.clone();
            settings.plan.max_deletions = taking.deletions_left;
            let bounded = cloud.with_settings(&settings);
            let report = cluster::work(bounded, writers, overview.job(&names, &extra)).await;
            if let Some(plan) = &report.plan {
                taking.count(plan);
            }
            done.merge_in(report);
            taking.stopped |= !found.needed.is_empty() && cloud.deadline_reached();
        }
    }
    done.left = None;
    done.count(overview);
    let held = done.conditions.iter().filter(|(_, condition)| {
        let blocked = condition.blocked.as_ref();
        matches!(blocked, Some(Problem::NotReadyElsewhere { .. }))
    });
    let held: BTreeSet<DominoName> = held.map(|(name, _)| name.clone()).collect();
    let is_removed = |state: ConditionState| state == ConditionState::Removed;
    let all_removed = done.conditions.values().all(|condition| is_removed(condition.state));
    if !held.is_empty() {
        block_retirement(&overview.access.cluster, held, done);
    } else if taking.stopped || !done.failures.is_empty() || !all_removed {
        let goes_on = taking.stopped && taking.deleted > 0 && done.failures.is_empty();
        done.retirement = Some(Retirement::UnderWay { goes_on });
    } else if !taking.others.is_empty() {
        done.retirement = Some(Retirement::NotAlone(taking.others));
    } else if cloud.deadline_reached() {
        done.retirement = Some(Retirement::UnderWay { goes_on: true });
    } else {
        done.retirement = Some(close::close(cloud, writers, overview).await?);
    }
    if let Some(retirement) = &done.retirement {
        tracing::info!(cluster = overview.access.cluster.name(), "{retirement}");
    }
    Ok(())
}
