//! Evictions, in rounds: what is blocked or throttled waits, everything else goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};
use pod_identity_core::ServiceAccountRef;
use pod_identity_core::sweep::{Case, Finding};

use super::pods::words;
use super::tell::{BlockedByPdb, Word, Words, tell};
use super::{SweepPlan, SweepReport, look, place_of_finding, pod_id};
use crate::error::Error;
use crate::inside::known::Remembered;
use crate::inside::{Inside, LeasedWriters};
use crate::ledger::{Intended, IntendedEviction, View, WriteSet, intended_key};
use crate::ports::{ErrorKind, Eviction, PodQuery, PortError};
use crate::settings::later;

/// First pause before what was blocked or throttled is tried again; it doubles up to
/// [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Longest time for which budgets are waited for; no more than half of what remains.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(60);

/// How often a call that fails for a passing reason is made.
const ATTEMPTS: u32 = 4;

/// Most evictions that are noted at once: an item of the ledger holds 400 KB, and what is noted of
/// one may have 3 KB.
const NOTED: usize = 100;

/// A pod that is to be evicted.
struct EvictionTarget<'a> {
    finding: &'a Finding,
    attempts: u32,
    blocked_by_pdb: Option<BlockedByPdb>,
    /// Why the last attempt failed.
    failed: Option<String>,
    /// Whether an eviction was sent that may have had its effect.
    sent: bool,
}

/// The outcome of one attempt.
enum EvictionOutcome {
    Evicted,
    Deleted,
    Spared,
    Blocked,
    /// Throttled, or the like.
    Again,
    Failed(String),
    /// The time was over, or the lease's.
    NotTried,
}

/// A Kubernetes service account, and the one that its unmapped pods should have.
type Group = (ServiceAccountRef, Option<ServiceAccountRef>);

/// What every attempt needs.
struct Evicting<'a> {
    context: &'a Inside<'a>,
    writers: &'a LeasedWriters<'a>,
    known: &'a Remembered,
    plan: &'a SweepPlan,
}

/// Evicts what was planned, and tells of it.
pub(super) async fn evict(
    context: &Inside<'_>,
    writers: &LeasedWriters<'_>,
    known: &Remembered,
    plan: &SweepPlan,
    evictions: &[Finding],
) -> SweepReport {
    let evicting = Evicting { context, writers, known, plan };
    let mut report = plan.report.clone();
    let new = |finding| EvictionTarget {
        finding,
        attempts: 0,
        blocked_by_pdb: None,
        failed: None,
        sent: false,
    };
    let mut waiting: Vec<EvictionTarget<'_>> = evictions.iter().map(new).collect();
    let wait_until = wait_until(context.clock.now(), context.deadline);
    let (mut pause, mut unpublished, mut over) = (FIRST_PAUSE, Vec::new(), false);
    let mut noted = BTreeSet::new();
    while !waiting.is_empty() {
        let (mut put_off, mut not_tried, mut throttled) = (Vec::new(), false, false);
        while !waiting.is_empty() {
            let now: Vec<EvictionTarget<'_>> = waiting.drain(..waiting.len().min(NOTED)).collect();
            let may_go_on = !context.deadline_reached() && evicting.is_leased().await;
            if !may_go_on || !evicting.note(&now, &unpublished, &mut noted).await {
                put_off.extend(now);
                over = true;
                break;
            }
            let (words, mut news) = (evicting.words(), Vec::new());
            for (target, fate) in evicting.round(now).await {
                let id = pod_id(target.finding);
                match fate {
                    EvictionOutcome::Evicted => {
                        news.extend(words.evicted(target.finding, None));
                        report.evicted.push(id);
                    }
                    EvictionOutcome::Deleted => {
                        news.extend(words.evicted(target.finding, target.blocked_by_pdb.as_ref()));
                        report.deleted.push(id);
                    }
                    EvictionOutcome::Spared => report.spared.push(id),
                    EvictionOutcome::Failed(why) => report.failures.push((id, why)),
                    EvictionOutcome::Again if target.attempts >= ATTEMPTS => {
                        let why = target.failed.unwrap_or_default();
                        report.failures.push((id, why));
                    }
                    EvictionOutcome::Again => {
                        throttled = true;
                        put_off.push(target);
                    }
                    EvictionOutcome::Blocked => put_off.push(target),
                    EvictionOutcome::NotTried => {
                        not_tried = true;
                        put_off.push(target);
                    }
                }
            }
            // At once: a run that dies later has told of what it did so far.
            evicting.tell(news, &mut report, &mut unpublished).await;
        }
        put_off.append(&mut waiting);
        waiting = put_off;
        if over {
            break;
        }
        if waiting.is_empty() || not_tried {
            continue;
        }
        let until = if throttled { context.deadline } else { wait_until };
        if later(later(context.clock.now(), pause), context.settings.longest_call) >= until {
            break;
        }
        context.clock.sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    let (words, mut news) = (evicting.words(), std::mem::take(&mut unpublished));
    for target in waiting {
        let id = pod_id(target.finding);
        match (target.blocked_by_pdb, target.failed) {
            (Some(blocked_by_pdb), _) => {
                news.push(words.blocked(target.finding, &blocked_by_pdb));
                report.blocked.push((id, blocked_by_pdb.words));
            }
            (None, Some(why)) => report.failures.push((id, why)),
            (None, None) => report.left |= over,
        }
    }
    evicting.tell(news, &mut report, &mut unpublished).await;
    for word in unpublished {
        tracing::warn!(
            cluster = context.access.cluster.name(),
            "the bus was not told of a pod: {}",
            word.about()
        );
        report.unpublished.extend(word.eviction().cloned());
    }
    report
}

/// Until when budgets are waited for.
fn wait_until(now: Timestamp, deadline: Timestamp) -> Timestamp {
    let half = deadline.duration_since(now) / 2;
    now.checked_add(half.min(LONGEST_WAIT)).unwrap_or(deadline)
}

impl<'a> Evicting<'a> {
    fn words(&self) -> Words<'a> {
        let Self { context, known, .. } = *self;
        Words {
            cluster: context.access.cluster.as_str(),
            request_id: context.run.request_id(),
            now: context.clock.now(),
            known,
            delete_after: self.delete_after(),
        }
    }

    fn delete_after(&self) -> Option<Duration> {
        self.context.inside.sweep.as_ref().and_then(|sweep| sweep.delete_after)
    }

    async fn tell(&self, news: Vec<Word>, report: &mut SweepReport, unpublished: &mut Vec<Word>) {
        let spoken = tell(self.context, self.writers, news).await;
        report.published += spoken.published;
        for (word, why) in spoken.unpublished {
            let cluster = self.context.access.cluster.name();
            tracing::warn!(cluster, "an event of a stale pod was not sent: {why}");
            unpublished.push(word);
        }
    }

    /// Notes what is about to be evicted, so that it is told of whatever becomes of this run.
    /// Answers whether that is written down: what is not is not evicted.
    async fn note(
        &self,
        targets: &[EvictionTarget<'_>],
        unpublished: &[Word],
        noted: &mut BTreeSet<String>,
    ) -> bool {
        let words = self.words();
        let mut evictions: Vec<IntendedEviction> =
            targets.iter().filter_map(|target| words.intended(target.finding)).collect();
        let uids: BTreeSet<String> =
            evictions.iter().map(|one| one.event.pod.uid.clone()).collect();
        if uids.is_subset(noted) {
            return true;
        }
        let cluster = self.context.access.cluster.name();
        evictions.extend(self.plan.report.unpublished.iter().cloned());
        evictions.extend(unpublished.iter().filter_map(|word| word.eviction().cloned()));
        if evictions.len() > NOTED * 2 {
            tracing::warn!(
                cluster,
                "nobody else is evicted before the bus takes news of evictions"
            );
            return false;
        }
        match self.write_down(&Intended { evictions }).await {
            Ok(()) => {
                *noted = uids;
                true
            }
            Err(why) => {
                tracing::warn!(cluster, "nobody else is evicted: it could not be noted ({why})");
                false
            }
        }
    }

    async fn write_down(&self, intended: &Intended) -> Result<(), Error> {
        let (ledger, run, access) = (self.context.ledger, self.context.run, self.context.access);
        let (mut view, mut writes) = (View::default(), WriteSet::default());
        let key = intended_key(&access.cluster);
        writes.put_anyway(&mut view, key, intended, &run.revision(), None)?;
        self.writers.lease.fence(&mut writes);
        writes.commit(ledger, self.writers.ledger).await.map_err(Error::from)
    }

    /// Whether the lease lasts; its time is begun again when it may not. Not to be asked by two at
    /// once.
    async fn is_leased(&self) -> bool {
        let (clock, settings, access) =
            (self.context.clock, self.context.settings, self.context.access);
        let lease = self.writers.lease;
        if lease.covers(clock.now(), settings.longest_call * 2) {
            return true;
        }
        match lease.renew(self.context, self.writers.ledger).await {
            Ok(()) => lease.covers(clock.now(), settings.longest_call),
            Err(error) => {
                let cluster = access.cluster.name();
                tracing::warn!(cluster, "nobody else is evicted: the lease was lost ({error})");
                false
            }
        }
    }

    fn deadline_reached(&self) -> bool {
        let (clock, settings) = (self.context.clock, self.context.settings);
        let covered = self.writers.lease.covers(clock.now(), settings.longest_call);
        self.context.deadline_reached() || !covered
    }

    /// Tries all that wait, side by side, but those of one service account one after the other.
    async fn round(
        &self,
        waiting: Vec<EvictionTarget<'a>>,
    ) -> Vec<(EvictionTarget<'a>, EvictionOutcome)> {
        let mut groups: Vec<(Option<Group>, Vec<EvictionTarget<'a>>)> = Vec::new();
        let mut at: BTreeMap<Option<Group>, usize> = BTreeMap::new();
        // In the order of the plan: what was taken away longest ago first.
        for target in waiting {
            let elsewhere = self.plan.elsewhere.get(&target.finding.pod.uid).cloned();
            let group = place_of_finding(target.finding).map(|place| (place, elsewhere));
            let index = *at.entry(group.clone()).or_insert(groups.len());
            match groups.get_mut(index) {
                Some((_, targets)) => targets.push(target),
                None => groups.push((group, vec![target])),
            }
        }
        let done: Vec<Vec<(EvictionTarget<'a>, EvictionOutcome)>> = stream::iter(groups)
            .map(|(group, targets)| self.group(group, targets))
            .buffer_unordered(self.context.settings.concurrency.max(1))
            .collect()
            .await;
        done.into_iter().flatten().collect()
    }

    async fn group(
        &self,
        group: Option<Group>,
        targets: Vec<EvictionTarget<'a>>,
    ) -> Vec<(EvictionTarget<'a>, EvictionOutcome)> {
        let mut done = Vec::with_capacity(targets.len());
        let looked = match group {
            _ if self.deadline_reached() => Err(None),
            Some((place, elsewhere)) => {
                let planned = self.plan.given.get(&place).and_then(Option::as_ref);
                let also = elsewhere.as_ref();
                let same = look::is_as_planned(self.context, self.known, &place, planned, also);
                same.await.map_err(Some)
            }
            // Nothing that the ledger could remember has such a name.
            None => Ok(false),
        };
        for mut target in targets {
            let fate = match &looked {
                Ok(true) if self.deadline_reached() => EvictionOutcome::NotTried,
                Ok(true) => self.one(&mut target).await,
                Ok(false) => EvictionOutcome::Spared,
                Err(None) => EvictionOutcome::NotTried,
                Err(Some(why)) => target.again(why.to_string()),
            };
            self.log(&target, &fate);
            done.push((target, fate));
        }
        done
    }

    async fn one(&self, target: &mut EvictionTarget<'a>) -> EvictionOutcome {
        let (access, clock) = (self.context.access, self.context.clock);
        let kubernetes = self.writers.kubernetes;
        let id = pod_id(target.finding);
        let grace = self.context.inside.sweep.as_ref().and_then(|sweep| sweep.grace_seconds);
        match kubernetes.evict(access, &id, grace).await {
            Ok(Eviction::Evicted) => EvictionOutcome::Evicted,
            Ok(Eviction::Gone) => target.gone(EvictionOutcome::Evicted),
            Ok(Eviction::Blocked(words)) => {
                let before =
                    target.blocked_by_pdb.as_ref().map(|blocked_by_pdb| blocked_by_pdb.since);
                let before = before.or(target.finding.blocked_since);
                let since = before.unwrap_or(clock.now());
                target.blocked_by_pdb = Some(BlockedByPdb { since, words });
                target.failed = None;
                if !self.may_delete(target.finding, since) {
                    return EvictionOutcome::Blocked;
                }
                match kubernetes.delete_pod(access, &id, grace).await {
                    Ok(true) => EvictionOutcome::Deleted,
                    Ok(false) => target.gone(EvictionOutcome::Deleted),
                    Err(error) => self.after(target, &error, EvictionOutcome::Deleted).await,
                }
            }
            Err(error) => self.after(target, &error, EvictionOutcome::Evicted).await,
        }
    }

    /// A budget must not keep for ever what was revoked. Nothing else is worth more than it.
    fn may_delete(&self, finding: &Finding, blocked_since: Timestamp) -> bool {
        let after = self.delete_after().filter(|_| finding.case == Case::Revoked);
        after.is_some_and(|after| later(blocked_since, after) <= self.context.clock.now())
    }

    fn failed(&self, target: &mut EvictionTarget<'a>, error: &PortError) -> EvictionOutcome {
        let why = words(error, &self.context.access.cluster);
        if error.kind != ErrorKind::Passing {
            return EvictionOutcome::Failed(why);
        }
        target.sent = true;
        target.again(why)
    }

    /// The outcome of a pod after a call that failed. Where there was no answer, the pod itself says it: the server
    /// holds the eviction of a pod for ten seconds while another one has its name, and would do so each time.
    async fn after(
        &self,
        target: &mut EvictionTarget<'a>,
        error: &PortError,
        sent: EvictionOutcome,
    ) -> EvictionOutcome {
        let failed = self.failed(target, error);
        if !matches!(failed, EvictionOutcome::Again)
            || error.is_answered()
            || self.deadline_reached()
        {
            return failed;
        }
        let (access, kubernetes) = (self.context.access, self.context.kubernetes);
        let id = pod_id(target.finding);
        let query = PodQuery::named(&id);
        match kubernetes.pods(access, &query, None).await {
            Ok(found) if !found.items.iter().any(|pod| pod.uid == id.uid && !pod.terminating) => {
                sent
            }
            _ => failed,
        }
    }

    fn log(&self, target: &EvictionTarget<'_>, fate: &EvictionOutcome) {
        let what = match fate {
            EvictionOutcome::Evicted => "evicted",
            EvictionOutcome::Deleted => {
                "deleted, because a budget blocked the eviction for too long"
            }
            EvictionOutcome::Spared => {
                "spared: it is gone, or what it was found stale by is not so any more"
            }
            EvictionOutcome::Blocked => "blocked by a budget",
            EvictionOutcome::Again => "failed, to be tried again",
            EvictionOutcome::Failed(_) => "failed",
            EvictionOutcome::NotTried => "not tried, the time is over",
        };
        let finding = target.finding;
        let why = match fate {
            EvictionOutcome::Failed(why) => Some(why.as_str()),
            EvictionOutcome::Again => target.failed.as_deref(),
            EvictionOutcome::Blocked => {
                target.blocked_by_pdb.as_ref().map(|blocked_by_pdb| blocked_by_pdb.words.as_str())
            }
            _ => None,
        };
        tracing::info!(
            cluster = self.context.access.cluster.name(),
            pod = %finding.pod,
            uid = finding.pod.uid,
            case = finding.case.as_str(),
            why,
            "stale pod: {what}"
        );
    }
}

impl EvictionTarget<'_> {
    /// A pod that is gone after a call whose answer was lost went because of it.
    fn gone(&self, sent: EvictionOutcome) -> EvictionOutcome {
        if self.sent { sent } else { EvictionOutcome::Spared }
    }

    fn again(&mut self, why: String) -> EvictionOutcome {
        self.attempts += 1;
        self.failed = Some(why);
        EvictionOutcome::Again
    }
}
