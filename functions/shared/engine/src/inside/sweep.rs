//! The sweep of stale pods: observe, plan with `core`, evict, tell. `docs/sweep.md` says why each
//! step is there.

mod effective;
mod evict;
mod look;
mod places;
mod pods;
mod prove;
mod tell;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::sweep::{Case, Finding, Places, Survey, Sweep};
use pod_identity_core::{Association, DominoName, ServiceAccountRef};

use super::known::Remembered;
use super::{Inside, InsideError, InsideReport, InsideScope, LeasedWriters};
use crate::error::chain;
use crate::ledger::{InsideBinding, IntendedEviction};
use crate::ports::PodId;
use crate::workload_settings::SweepSettings;
use effective::{SweepFacts, Unproven, judge};
use places::{AssociationList, Shown, place_of};
use pods::{Pods, Wanted};
use tell::Words;

/// The outcome of a sweep.
#[derive(Debug, Clone)]
pub struct SweepReport {
    /// What was planned.
    pub sweep: Sweep,
    /// When it began to look, if it saw all pods and associations of the cluster.
    pub looked_at: Option<Timestamp>,
    /// Stale pods by case; none when the observation cannot be trusted.
    pub stale: BTreeMap<Case, usize>,
    /// Namespaces into which nobody may look, why, and the remediation. Nobody is evicted there.
    pub closed: BTreeMap<String, String>,
    /// Pods that were evicted.
    pub evicted: Vec<PodId>,
    /// Pods that were deleted because a budget had blocked their eviction for too long.
    pub deleted: Vec<PodId>,
    /// Pods whose eviction a budget blocks, and Kubernetes' words.
    pub blocked: Vec<(PodId, String)>,
    /// Pods that were to be evicted and are not stale any more, or gone.
    pub spared: Vec<PodId>,
    /// What failed, by pod.
    pub failures: Vec<(PodId, String)>,
    /// How many events the bus took.
    pub published: usize,
    /// Evictions of which the bus could not be told: a later run tells.
    pub unpublished: Vec<IntendedEviction>,
    /// Whether the time was over before all was done: somebody has to go on.
    pub left: bool,
}

/// What is to be done about stale pods, and what it rests on.
pub(super) struct SweepPlan {
    report: SweepReport,
    /// What EKS showed of the service accounts of those that are to be evicted.
    given: BTreeMap<ServiceAccountRef, Option<Association>>,
    /// By uid of an unmapped pod: the service account that it should have.
    elsewhere: BTreeMap<String, ServiceAccountRef>,
    /// Bindings that a dry run may prove effective.
    unproven: Vec<Unproven>,
    /// What an earlier run was about to evict and has not told, and that runs no more.
    ended: Vec<IntendedEviction>,
}

impl SweepPlan {
    /// The plan as it is shown where nothing is written.
    pub(super) fn shown(self) -> SweepReport {
        self.report
    }
}

/// What was seen.
struct SweepObservation {
    places: Places,
    listed: AssociationList,
    pods: Pods,
    /// Places whose association went while somebody looked.
    moving: BTreeSet<ServiceAccountRef>,
    incomplete: Option<String>,
}

/// Looks at pods and associations, and plans; notes which bindings are effective or shadowed.
pub(super) async fn plan(
    context: &Inside<'_>,
    known: &Remembered,
    scope: &InsideScope,
    report: &mut InsideReport,
) -> Result<Option<SweepPlan>, InsideError> {
    let Some(settings) = &context.inside.sweep else { return Ok(None) };
    let began = context.clock.now();
    let only = scope.service_account.as_ref().map(|name| places::of_binding(known, name));
    if only.as_ref().is_some_and(BTreeSet::is_empty) {
        // The ledger knows of no place where its pods could be.
        return Ok(None);
    }
    let annotated = report.annotated();
    let seen =
        observe(context, settings, known, only.as_ref(), &report.bindings, &annotated).await?;

    let now = context.clock.now();
    let survey = Survey::new(&seen.places, &settings.rules, now);
    let mut survey = survey.listed(seen.listed.count).evicted_before(scope.evicted);
    survey = survey.blocked_before(blocked(known)).injected_by(report.injected());
    for (namespace, pods) in &seen.pods.passed_over {
        survey.pass_over(namespace, *pods);
    }
    for pod in &seen.pods.kept {
        if place_of(pod).is_some_and(|place| seen.moving.contains(&place)) {
            survey.pass_over(&pod.namespace, 1);
        } else {
            survey.look_at(pod);
        }
    }
    let sweep = survey.plan(seen.incomplete.as_deref());
    log(context, &sweep, &seen.pods);

    let annotated = report.domino.as_ref().map(|_| &annotated);
    let summaries = seen.listed.summaries.iter();
    let observed = SweepFacts {
        sweep: &sweep,
        places: &seen.places,
        pods: &seen.pods.kept,
        listed: &summaries.map(|(place, one)| (place.clone(), one.id.clone())).collect(),
        namespaces: &seen.pods.seen,
        annotated,
        grace: settings.rules.grace,
        now,
    };
    let unproven = judge_all(known, scope, &observed, report);
    let (ended, unpublished) = unsettled(known, &seen.pods);
    let whole = sweep.halted.is_none() && only.is_none() && seen.pods.closed.is_empty();
    let mut plan = SweepPlan {
        report: SweepReport {
            looked_at: whole.then_some(began),
            stale: stale(&sweep),
            closed: seen.pods.closed,
            evicted: Vec::new(),
            deleted: Vec::new(),
            blocked: Vec::new(),
            spared: Vec::new(),
            failures: Vec::new(),
            published: 0,
            unpublished,
            left: false,
            sweep,
        },
        given: BTreeMap::new(),
        elsewhere: BTreeMap::new(),
        unproven,
        ended,
    };
    for finding in &plan.report.sweep.evictions {
        let Some(place) = place_of_finding(finding) else { continue };
        let given = seen.places.get(&place).and_then(|place| place.association.clone());
        plan.given.insert(place, given);
    }
    let unmapped = plan.report.sweep.evictions.iter().filter(|one| one.case == Case::Unmapped);
    let unmapped: BTreeSet<&str> = unmapped.map(|one| one.pod.uid.as_str()).collect();
    for pod in seen.pods.kept.iter().filter(|pod| unmapped.contains(pod.uid.as_str())) {
        let user = pod.labels.get(&settings.rules.user_label).map(String::as_str);
        let bound = |place: &pod_identity_core::sweep::SweepPlace| {
            place.bound.as_ref().map(|bound| bound.service_account.as_str()) == user
        };
        let mut of_user = seen.places.iter().filter(|(name, place)| {
            name.namespace() == pod.namespace && user.is_some() && bound(place)
        });
        if let Some((place, _)) = of_user.next() {
            plan.elsewhere.insert(pod.uid.clone(), place.clone());
        }
    }
    Ok(Some(plan))
}

/// Associations before pods: one that is made in between is looked for again, one that goes in
/// between makes its pods be passed over.
async fn observe(
    context: &Inside<'_>,
    settings: &SweepSettings,
    known: &Remembered,
    only: Option<&BTreeSet<ServiceAccountRef>>,
    inside: &BTreeMap<DominoName, InsideBinding>,
    annotated: &BTreeMap<ServiceAccountRef, String>,
) -> Result<SweepObservation, InsideError> {
    let mut places = places::of_ledger(known, inside);
    let of_eks = |why: String| format!("associations of EKS: {why}");
    let (mut listed, mut incomplete) = match places::list(context, only).await {
        Ok(listed) => (listed, None),
        Err(error) => (AssociationList::default(), Some(of_eks(chain(&error)))),
    };
    let mut pods = Pods::default();
    if incomplete.is_none() {
        let mapped = places.values().filter_map(|place| place.bound.as_ref());
        let mapped = mapped.filter(|bound| bound.mapped_since.is_some());
        let wanted = Wanted {
            settings,
            places: places.keys().chain(listed.summaries.keys()).cloned().collect(),
            mapped: mapped.map(|bound| bound.service_account.as_str()).collect(),
            only,
            sought: known.intended.evictions.iter().map(uid).collect(),
        };
        pods = pods::list(context, &wanted).await?;
        incomplete = pods.incomplete.take();
    }
    let mut shown = Shown::default();
    match places::describe(context, &mut listed, &pods.kept).await {
        Ok(found) => shown = found,
        Err(why) => incomplete = incomplete.or(Some(of_eks(why.to_string()))),
    }
    for (name, association) in shown.associations {
        places.entry(name).or_default().association = Some(association);
    }
    for (name, role) in annotated {
        if let Some(place) = places.get_mut(name) {
            place.irsa_role = Some(role.clone());
        }
    }
    Ok(SweepObservation { places, listed, pods, moving: shown.moving, incomplete })
}

fn judge_all(
    known: &Remembered,
    scope: &InsideScope,
    seen: &SweepFacts<'_>,
    report: &mut InsideReport,
) -> Vec<Unproven> {
    let mut unproven = Vec::new();
    for (name, record) in &known.bindings {
        let Some(binding) = record.binding() else { continue };
        if scope.service_account.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let Some(condition) = known.conditions.get(name) else { continue };
        let mut inside = report.bindings.get(name).cloned().unwrap_or_default();
        unproven.extend(judge(binding, condition, &mut inside, seen));
        if !inside.is_empty() || report.bindings.contains_key(name) {
            report.bindings.insert(name.clone(), inside);
        }
    }
    unproven
}

/// Evicts and tells, and proves what a dry run can prove.
pub(super) async fn apply(
    context: &Inside<'_>,
    writers: &LeasedWriters<'_>,
    known: &Remembered,
    mut plan: SweepPlan,
    bindings: &mut BTreeMap<DominoName, InsideBinding>,
) -> SweepReport {
    let words = Words {
        cluster: context.access.cluster.as_str(),
        request_id: context.run.request_id(),
        now: context.clock.now(),
        known,
        delete_after: context.inside.sweep.as_ref().and_then(|sweep| sweep.delete_after),
    };
    let ended = std::mem::take(&mut plan.ended).into_iter().map(tell::after_death);
    let reports = plan.report.sweep.reports.iter().filter_map(|one| words.reported(one));
    let spoken = tell::tell(context, writers, ended.chain(reports)).await;
    let unpublished = spoken.unpublished.iter().filter_map(|(word, _)| word.eviction().cloned());
    plan.report.unpublished.extend(unpublished);
    let sweep = std::mem::take(&mut plan.report.sweep);
    let mut report = evict::evict(context, writers, known, &plan, &sweep.evictions).await;
    report.sweep = sweep;
    report.published += spoken.published;
    for (_, why) in spoken.unpublished {
        tracing::warn!(
            cluster = context.access.cluster.name(),
            "a report of a stale pod was not sent, the next sweep sends it: {why}"
        );
    }
    if context.inside.dry_run {
        prove::prove(context, writers, &plan.unproven, bindings).await;
    }
    report
}

/// The pods whose eviction a budget blocked, as it was published.
fn blocked(known: &Remembered) -> BTreeMap<String, (Case, Timestamp)> {
    let reported = known.reported.iter();
    reported
        .filter_map(|(uid, reported)| Some((uid.clone(), (reported.case, reported.blocked_since?))))
        .collect()
}

fn uid(intended: &IntendedEviction) -> &str {
    &intended.event.pod.uid
}

/// What an earlier run was about to evict and has not told: what runs no more, and what could not
/// be looked at. A pod that still runs is judged like any other.
fn unsettled(known: &Remembered, pods: &Pods) -> (Vec<IntendedEviction>, Vec<IntendedEviction>) {
    let unpublished = known.intended.evictions.iter().filter(|one| {
        let reported = known.reported.get(uid(one));
        !reported.is_some_and(|reported| reported.evicted && reported.case == one.case)
    });
    unpublished
        .filter(|one| !pods.standing.contains(uid(one)))
        .cloned()
        .partition(|one| pods.seen.contains(&one.event.pod.namespace))
}

fn stale(sweep: &Sweep) -> BTreeMap<Case, usize> {
    let mut stale = BTreeMap::new();
    if sweep.halted.is_some() {
        return stale;
    }
    let findings = sweep.evictions.iter();
    let findings = findings.chain(sweep.reports.iter().map(|one| &one.finding));
    for finding in findings.chain(sweep.held_back.iter().map(|one| &one.finding)) {
        *stale.entry(finding.case).or_default() += 1;
    }
    stale
}

fn log(context: &Inside<'_>, sweep: &Sweep, pods: &Pods) {
    let cluster = context.access.cluster.name();
    tracing::info!(
        cluster,
        pods = sweep.pods,
        kept = pods.kept.len(),
        evictions = sweep.evictions.len(),
        reports = sweep.reports.len(),
        held_back = sweep.held_back.len(),
        "looked at pods"
    );
    if let Some(why) = &sweep.halted {
        tracing::warn!(cluster, "nobody is evicted: {why}");
    }
    for hit in &sweep.ceilings {
        tracing::warn!(cluster, "a ceiling is reached: {hit}");
    }
    for (namespace, why) in &pods.closed {
        tracing::warn!(cluster, namespace, "nobody is evicted in the namespace: {why}");
    }
}

fn pod_id(finding: &Finding) -> PodId {
    let pod = &finding.pod;
    PodId { namespace: pod.namespace.clone(), name: pod.name.clone(), uid: pod.uid.clone() }
}

fn place_of_finding(finding: &Finding) -> Option<ServiceAccountRef> {
    ServiceAccountRef::new(&finding.pod.namespace, &finding.pod.service_account).ok()
}
