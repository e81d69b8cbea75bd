//! Carries the plan out: service accounts, then our Mutation, then what no binding uses any more.

use pod_identity_events::Problem;
use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use pod_identity_core::domino::{AccountDeletion, Mapping, Plan, own_labels};
use pod_identity_core::plan::Blocked;
use pod_identity_core::{DominoName, ServiceAccountRef};

use super::super::{Inside, LeasedWriters};
use super::{DominoPlan, DominoReport, words};
use crate::error::Error;
use crate::ledger::InsideBinding;
use crate::outcome::Outcomes;
use crate::ports::{AssociationFilter, ErrorKind, KubernetesWriter, PortError};
use crate::publish::publish;

/// Does what was planned, and notes for each binding its outcome.
pub(in super::super) async fn apply(
    context: &Inside<'_>,
    writers: &LeasedWriters<'_>,
    mut plan: DominoPlan,
    bindings: &mut BTreeMap<DominoName, InsideBinding>,
) -> DominoReport {
    let hand = Hand { context, writer: writers.kubernetes, lease: writers.lease };
    let mut report = plan.report.clone();
    let failed = hand.create(&plan.plan, &mut report).await;
    plan.note_missing(&failed);
    let failed = failed.into_keys().collect();
    let mut mapped = plan.in_force();
    let (mut since, mut left_as_it_was) = (context.clock.now(), false);
    if let Some(mapping) = plan.plan.mapping.as_ref().map(|mapping| mapping.without(&failed)) {
        match hand.map(&mapping, &mut report).await {
            Mapped::At(at) => (mapped, since) = (Some(mapping.names()), at),
            Mapped::Left => left_as_it_was = true,
            Mapped::Failed(problem, passes) => {
                left_as_it_was = true;
                let in_force = mapping.in_force();
                for name in mapping.names().into_iter().filter(|name| !in_force.contains(name)) {
                    plan.note(name, &problem, passes);
                }
            }
        }
    }
    // While ours may still lead to one, pods of its name would be refused without it.
    let led_to = |one: &AccountDeletion| {
        let mapping = plan.plan.mapping.as_ref();
        left_as_it_was && mapping.is_some_and(|mapping| mapping.led_to(&one.kubernetes))
    };
    let deletes: Vec<_> = plan.plan.deletes.iter().filter(|one| !led_to(one)).collect();
    hand.delete(&deletes, &mut report).await;

    let before = bindings.clone();
    plan.remember(bindings, mapped, |_| Some(since));
    tell(context, writers, &plan, &before, bindings, &mut report).await;
    report
}

impl DominoPlan {
    /// Notes what stands in the way of a binding, and tells the bus unless it can end by itself.
    fn note(&mut self, name: DominoName, problem: &Problem, passes: bool) {
        let noted = if passes { &mut self.remarks } else { &mut self.plan.blocked };
        noted.entry(name).or_insert_with(|| problem.clone());
    }

    fn note_missing(&mut self, failed: &BTreeMap<ServiceAccountRef, Option<(Problem, bool)>>) {
        let of = self.subjects.iter().filter_map(|(name, subject)| {
            Some((name.clone(), failed.get(&subject.kubernetes)?.clone()?))
        });
        for (name, (problem, passes)) in of.collect::<Vec<_>>() {
            self.note(name, &problem, passes);
        }
    }
}

/// Tells the bus of names that are newly blocked. What could not be told is not remembered, so
/// that the next run tells it.
async fn tell(
    context: &Inside<'_>,
    writers: &LeasedWriters<'_>,
    plan: &DominoPlan,
    before: &BTreeMap<DominoName, InsideBinding>,
    bindings: &mut BTreeMap<DominoName, InsideBinding>,
    report: &mut DominoReport,
) {
    let outcomes = Outcomes {
        cluster: &context.access.cluster,
        now: context.clock.now(),
        request_id: context.run.request_id(),
    };
    let (mut names, mut events) = (Vec::new(), Vec::new());
    for (name, problem) in &plan.plan.blocked {
        let (Some(subject), Some(binding)) = (plan.subjects.get(name), bindings.get(name)) else {
            continue;
        };
        let was = before.get(name);
        let known = was.filter(|was| was.kubernetes == binding.kubernetes);
        if binding.blocked.is_none() || known.is_some_and(|was| is_same(was, binding)) {
            continue;
        }
        let blocked =
            Blocked::by(problem.clone(), name, Some(&subject.version), Some(&subject.role));
        names.push(name);
        events.push(outcomes.blocked(&subject.kubernetes, &blocked));
    }
    for (name, sent) in names.into_iter().zip(publish(writers.bus, context.clock, &events).await) {
        if let Err(why) = sent {
            report.failures.push(format!("it could not be told that {name} is blocked: {why}"));
            if let Some(binding) = bindings.get_mut(name) {
                binding.blocked = before.get(name).and_then(|was| was.blocked.clone());
            }
        }
    }
}

/// What changes the cluster, while there is time and the lease lasts.
struct Hand<'a> {
    context: &'a Inside<'a>,
    writer: &'a dyn KubernetesWriter,
    lease: &'a crate::lease::Lease,
}

impl Hand<'_> {
    /// Whether one more step may start.
    fn may_start(&self) -> bool {
        let (clock, settings) = (self.context.clock, self.context.settings);
        !self.context.deadline_reached() && self.lease.covers(clock.now(), settings.longest_call)
    }

    /// Makes service accounts, and answers which are not there: with why, and whether it may end by itself, or
    /// without where the time was over.
    async fn create(
        &self,
        plan: &Plan,
        report: &mut DominoReport,
    ) -> BTreeMap<ServiceAccountRef, Option<(Problem, bool)>> {
        let (access, settings) = (self.context.access, self.context.settings);
        let labels = &own_labels(&settings.plan.deployment);
        let results: Vec<_> = stream::iter(&plan.creates)
            .map(|(place, of)| async move {
                if !self.may_start() {
                    return (place, of, None);
                }
                (place, of, Some(self.writer.create_service_account(access, place, labels).await))
            })
            .buffered(settings.concurrency.max(1))
            .collect()
            .await;
        let mut failed = BTreeMap::new();
        for (place, of, result) in results {
            match result {
                Some(Ok(_)) => report.steps.push(Plan::creation(place, of)),
                // Somebody else was faster, and it is there.
                Some(Err(error)) if error.kind == ErrorKind::InUse => {}
                Some(Err(error)) => {
                    let problem = words::account_failed(place, &error);
                    report.failures.push(problem.to_string());
                    failed.insert(place.clone(), Some((problem, words::is_retryable(&error))));
                }
                None => {
                    report.left = true;
                    failed.insert(place.clone(), None);
                }
            }
        }
        failed
    }

    /// Applies our Mutation.
    async fn map(&self, mapping: &Mapping, report: &mut DominoReport) -> Mapped {
        let (access, clock) = (self.context.access, self.context.clock);
        let Some(mutation) = mapping.change() else { return Mapped::At(clock.now()) };
        if !self.may_start() {
            report.left = true;
            return Mapped::Left;
        }
        let (namespace, name) = (mapping.namespace(), mapping.name());
        let mut applied = self.writer.apply_mutation(access, namespace, &mutation, false).await;
        let is_taken = |error: &PortError| error.kind == ErrorKind::InUse && mapping.is_ours();
        if applied.as_ref().is_err_and(is_taken) && self.may_start() {
            applied = self.writer.apply_mutation(access, namespace, &mutation, true).await;
            if applied.is_ok() {
                report.steps.push(format!(
                    "~ Mutation {namespace}/{name}, which has our labels, taken back from another field manager"
                ));
            }
        }
        match applied {
            Ok(()) => {
                report.steps.extend(mapping.steps());
                Mapped::At(clock.now())
            }
            Err(error) => {
                let problem = words::mapping_failed(namespace, name, &error);
                report.failures.push(problem.to_string());
                Mapped::Failed(problem, words::is_retryable(&error))
            }
        }
    }

    /// Deletes service accounts that have no association, whosever it may be.
    async fn delete(&self, deletes: &[&AccountDeletion], report: &mut DominoReport) {
        let concurrency = self.context.settings.concurrency.max(1);
        let results: Vec<_> = stream::iter(deletes)
            .map(|one| async move { (*one, self.delete_one(one).await) })
            .buffered(concurrency)
            .collect()
            .await;
        for (one, result) in results {
            match result {
                Ok(Deleted::Done) => report.steps.push(one.to_string()),
                Ok(Deleted::Used) => report.kept.push(format!(
                    "service account {} is kept: there is an association for it",
                    one.kubernetes
                )),
                Ok(Deleted::Replaced) => report.kept.push(format!(
                    "service account {} is kept: it is another one than was seen",
                    one.kubernetes
                )),
                Ok(Deleted::Left) => report.left = true,
                Err(why) => report.failures.push(why.to_string()),
            }
        }
    }

    async fn delete_one(&self, one: &AccountDeletion) -> Result<Deleted, Error> {
        let access = self.context.access;
        if !self.may_start() {
            return Ok(Deleted::Left);
        }
        if self.has_association(&one.kubernetes).await? {
            return Ok(Deleted::Used);
        }
        if !self.may_start() {
            return Ok(Deleted::Left);
        }
        match self.writer.delete_service_account(access, &one.kubernetes, &one.uid).await {
            Ok(()) => Ok(Deleted::Done),
            Err(error) if error.kind == ErrorKind::InUse => Ok(Deleted::Replaced),
            Err(error) => Err(words::account_failed(&one.kubernetes, &error).to_string().into()),
        }
    }

    async fn has_association(&self, place: &ServiceAccountRef) -> Result<bool, Error> {
        let (eks, access) = (self.context.eks, self.context.access);
        let filter = AssociationFilter {
            namespace: Some(place.namespace().to_owned()),
            service_account: Some(place.service_account().to_owned()),
        };
        let mut page: Option<String> = None;
        loop {
            let found = eks.associations(access, &filter, page.as_deref()).await;
            match found {
                Ok(found) if !found.items.is_empty() => return Ok(true),
                Ok(found) => match found.next {
                    Some(next) => page = Some(next),
                    None => return Ok(false),
                },
                // A cluster that EKS does not know has none.
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The outcome of our Mutation.
enum Mapped {
    /// It is as it should be, since this time at the latest.
    At(Timestamp),
    /// The time was over.
    Left,
    /// Why it was left as it was, and whether that may end by itself.
    Failed(Problem, bool),
}

enum Deleted {
    Done,
    Used,
    Replaced,
    Left,
}

/// Whether the same stands in the way, whatever words a failed call had for it.
fn is_same(before: &InsideBinding, now: &InsideBinding) -> bool {
    let identity = |one: &InsideBinding| one.blocked.as_ref().map(Problem::identity);
    identity(before) == identity(now)
}
