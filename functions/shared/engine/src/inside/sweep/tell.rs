//! What is published of stale pods: each of them once for each case.

use std::time::Duration;

use jiff::Timestamp;
use pod_identity_core::fingerprint;
use pod_identity_core::sweep::{Case, Finding, Reported, WhyReported};
use pod_identity_events::{
    Cause, Outgoing, Pod, SCHEMA_VERSION, StalePodEvicted, StalePodReported, detail_type,
};

use crate::error::Error;
use crate::inside::known::Remembered;
use crate::inside::{Inside, LeasedWriters};
use crate::ledger::{IntendedEviction, ReportedPod, View, WriteSet, reported_key};
use crate::outcome::time;
use crate::ports::MAX_WRITE;
use crate::publish::publish;

/// How long it is remembered what was published of a pod, in seconds: 30 days.
const REMEMBERED: i64 = 30 * 24 * 60 * 60;

/// Since when a budget has blocked an eviction, and Kubernetes' words.
#[derive(Debug, Clone)]
pub(super) struct BlockedByPdb {
    pub(super) since: Timestamp,
    pub(super) words: String,
}

/// Something to tell of one pod, and what is remembered of it then.
#[derive(Debug)]
pub(super) struct Word {
    /// None when the bus knows it, and only the memory is to last.
    event: Option<Outgoing>,
    uid: String,
    reported: ReportedPod,
    /// The eviction that it tells of, as the ledger notes it.
    eviction: Option<IntendedEviction>,
}

/// A pod that an earlier run was about to evict, and that runs no more.
pub(super) fn after_death(mut eviction: IntendedEviction) -> Word {
    let noted = eviction.clone();
    eviction.event.reason.push_str(
        "; told late: the run that was about to evict it could not tell, and the pod runs no more",
    );
    let reported =
        ReportedPod { case: noted.case, evicted: true, blocked_since: None, at: noted.at };
    let uid = noted.event.pod.uid.clone();
    Word { event: Some(eviction.event.into()), uid, reported, eviction: Some(noted) }
}

impl Word {
    /// The eviction that it tells of.
    pub(super) fn eviction(&self) -> Option<&IntendedEviction> {
        self.eviction.as_ref()
    }

    /// What it is about, for the log.
    pub(super) fn about(&self) -> String {
        let ReportedPod { case, evicted, .. } = &self.reported;
        let what = if *evicted { "evicted" } else { "reported" };
        format!("uid {}, {case}, {what}", self.uid)
    }
}

/// Makes the words of one run.
pub(super) struct Words<'a> {
    pub(super) cluster: &'a str,
    pub(super) request_id: &'a str,
    pub(super) now: Timestamp,
    pub(super) known: &'a Remembered,
    pub(super) delete_after: Option<Duration>,
}

impl Words<'_> {
    fn cause(&self) -> Cause {
        Cause { event_id: None, request_id: self.request_id.to_owned() }
    }

    /// The same word about the same pod has the same id, however often it is sent.
    fn id(&self, detail_type: &str, finding: &Finding, kind: &str) -> String {
        let Finding { pod, case, .. } = finding;
        fingerprint([detail_type, self.cluster, &pod.uid, case.as_str(), kind])
    }

    fn remembered(
        &self,
        finding: &Finding,
        evicted: bool,
        blocked_since: Option<Timestamp>,
    ) -> ReportedPod {
        ReportedPod { case: finding.case, evicted, blocked_since, at: self.now }
    }

    fn before(&self, finding: &Finding) -> Option<&ReportedPod> {
        self.known.reported.get(&finding.pod.uid).filter(|reported| reported.case == finding.case)
    }

    /// A pod that was evicted, or deleted in spite of a budget.
    pub(super) fn evicted(
        &self,
        finding: &Finding,
        deleted: Option<&BlockedByPdb>,
    ) -> Option<Word> {
        let noted = self.intended(finding)?;
        let reason = match deleted {
            None => finding.reason.clone(),
            Some(BlockedByPdb { since, words }) => format!(
                "{}; its eviction was blocked since {since} ({words}), so it was deleted",
                finding.reason
            ),
        };
        let event = StalePodEvicted { reason, ..noted.event.clone() };
        Some(Word {
            event: Some(event.into()),
            uid: finding.pod.uid.clone(),
            reported: self.remembered(finding, true, None),
            eviction: Some(noted),
        })
    }

    /// What is to be told of a pod once it is evicted, unless the bus knows it.
    pub(super) fn intended(&self, finding: &Finding) -> Option<IntendedEviction> {
        if self.before(finding).is_some_and(|reported| reported.evicted) {
            return None;
        }
        let event = StalePodEvicted {
            schema_version: SCHEMA_VERSION,
            event_id: self.id(detail_type::STALE_POD_EVICTED, finding, ""),
            occurred_at: time(self.now),
            cause: self.cause(),
            cluster_arn: self.cluster.to_owned(),
            pod: pod(finding),
            case: finding.case.into(),
            reason: finding.reason.clone(),
        };
        Some(IntendedEviction { case: finding.case, at: self.now, event })
    }

    /// A pod that is left alone.
    pub(super) fn reported(&self, reported: &Reported) -> Option<Word> {
        let Reported { finding, because } = reported;
        if self.before(finding).is_some() {
            return None;
        }
        let reason = match because {
            // A doubt is part of the reason already.
            WhyReported::Doubt(_) => finding.reason.clone(),
            because => format!("{}; {because}", finding.reason),
        };
        let event = self.report(finding, "", reason, finding.remediation.clone());
        Some(Word {
            event: Some(event),
            uid: finding.pod.uid.clone(),
            reported: self.remembered(finding, false, None),
            eviction: None,
        })
    }

    /// A pod whose eviction a budget blocks.
    pub(super) fn blocked(&self, finding: &Finding, blocked_by_pdb: &BlockedByPdb) -> Word {
        let BlockedByPdb { since, words } = blocked_by_pdb;
        let mut reported = self.remembered(finding, false, Some(*since));
        let before = self.before(finding).filter(|reported| reported.blocked_since.is_some());
        let event = match before {
            Some(before) => {
                reported.at = before.at;
                None
            }
            None => {
                let reason =
                    format!("{}; its eviction is blocked since {since}: {words}", finding.reason);
                let later = self.delete_after.filter(|_| finding.case == Case::Revoked);
                let later = later.map_or_else(String::new, |after| {
                    format!("; after {} s of that it is deleted", after.as_secs())
                });
                let remediation = format!(
                    "let the PodDisruptionBudget spare a pod, by another replica or less that it asks for, or {}{later}",
                    finding.remediation
                );
                Some(self.report(finding, "blocked", reason, remediation))
            }
        };
        Word { event, uid: finding.pod.uid.clone(), reported, eviction: None }
    }

    fn report(
        &self,
        finding: &Finding,
        kind: &str,
        reason: String,
        remediation: String,
    ) -> Outgoing {
        StalePodReported {
            schema_version: SCHEMA_VERSION,
            event_id: self.id(detail_type::STALE_POD_REPORTED, finding, kind),
            occurred_at: time(self.now),
            cause: self.cause(),
            cluster_arn: self.cluster.to_owned(),
            pod: pod(finding),
            case: finding.case.into(),
            reason,
            remediation,
        }
        .into()
    }
}

fn pod(finding: &Finding) -> Pod {
    let pod = finding.pod.clone();
    Pod {
        namespace: pod.namespace,
        name: pod.name,
        uid: pod.uid,
        service_account: pod.service_account,
        workload_type: finding.workload_type.clone(),
    }
}

/// What a publication came to.
#[derive(Default)]
pub(super) struct Spoken {
    /// How many events the bus took.
    pub(super) published: usize,
    /// Words that the bus did not take, and why.
    pub(super) unpublished: Vec<(Word, String)>,
}

/// Tells the bus, and remembers what it took, a hundred pods at a time: ten thousand events at once would not fit
/// beside the pods.
pub(super) async fn tell(
    context: &Inside<'_>,
    writers: &LeasedWriters<'_>,
    words: impl IntoIterator<Item = Word>,
) -> Spoken {
    let (mut words, mut spoken) = (words.into_iter().peekable(), Spoken::default());
    while words.peek().is_some() {
        if context.deadline_reached() {
            let (evicted, rest): (Vec<_>, Vec<_>) =
                words.partition(|word| word.eviction().is_some());
            let (cluster, reports) = (context.access.cluster.name(), rest.len());
            tracing::warn!(
                cluster,
                reports,
                "the time was over: the next sweep sends the reports of stale pods"
            );
            let why = "the invocation's time was nearly over";
            spoken.unpublished.extend(evicted.into_iter().map(|word| (word, why.to_owned())));
            break;
        }
        let some = words.by_ref().take(MAX_WRITE).collect();
        let Spoken { published, unpublished } = tell_some(context, writers, some).await;
        spoken.published += published;
        spoken.unpublished.extend(unpublished);
    }
    spoken
}

async fn tell_some(context: &Inside<'_>, writers: &LeasedWriters<'_>, words: Vec<Word>) -> Spoken {
    let events: Vec<Outgoing> = words.iter().filter_map(|word| word.event.clone()).collect();
    let mut results = publish(writers.bus, context.clock, &events).await.into_iter();
    let (mut spoken, mut remembered) = (Spoken::default(), Vec::new());
    for word in words {
        match word.event.as_ref().and_then(|_| results.next()) {
            Some(Err(why)) => spoken.unpublished.push((word, why.to_string())),
            sent => {
                spoken.published += usize::from(sent.is_some());
                remembered.push(word);
            }
        }
    }
    if let Err(why) = remember(context, writers, &remembered).await {
        // It is told again then, with the same ids.
        let cluster = context.access.cluster.name();
        tracing::warn!(cluster, "what was told of pods could not be written down: {why}");
    }
    spoken
}

async fn remember(
    context: &Inside<'_>,
    writers: &LeasedWriters<'_>,
    words: &[Word],
) -> Result<(), Error> {
    let (clock, run, access) = (context.clock, context.run, context.access);
    let expires_at = clock.now().as_second().saturating_add(REMEMBERED);
    let (mut view, mut writes) = (View::default(), WriteSet::default());
    for Word { uid, reported, .. } in words {
        let (key, revision) = (reported_key(&access.cluster, uid), run.revision());
        writes.put_anyway(&mut view, key, reported, &revision, Some(expires_at))?;
    }
    writes.commit(context.ledger, writers.ledger).await.map_err(Error::from)
}
