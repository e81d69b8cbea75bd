//! Looks at pods, page by page, and keeps the stale ones.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::classify::{EvictionClock, classify};
use super::words::{Injected, words};
use super::{Case, Finding, Places, PodName, Settings, Sweep, SweepBound, SweepPlace, plan};
use crate::Pod;

/// Namespace and name, of a pod's service account.
type Account<'a> = (&'a str, &'a str);

/// The stale pods among those that were looked at. Takes pods in any order and keeps nothing of
/// those that are right, so that a page can be dropped once it was looked at.
#[derive(Debug)]
pub struct Survey<'a> {
    settings: &'a Settings,
    clock: EvictionClock,
    places: BTreeMap<Account<'a>, &'a SweepPlace>,
    /// By namespace and Domino name: who is bound, and to which service account.
    names: BTreeMap<Account<'a>, (&'a SweepBound, &'a str)>,
    pods: BTreeMap<String, usize>,
    findings: BTreeMap<String, Finding>,
    /// Associations that EKS listed, also at places that are not given.
    listed: usize,
    evicted: usize,
    blocked: BTreeMap<String, (Case, Timestamp)>,
    injected: Injected,
}

impl<'a> Survey<'a> {
    /// Begins a survey of one cluster. A list of pods that expires halfway needs a new one.
    #[must_use]
    pub fn new(places: &'a Places, settings: &'a Settings, now: Timestamp) -> Self {
        let by_account = places
            .iter()
            .map(|(name, place)| ((name.namespace(), name.service_account()), place))
            .collect();
        let names = places
            .iter()
            .filter_map(|(name, place)| {
                let bound = place.bound.as_ref()?;
                let key = (name.namespace(), bound.service_account.as_str());
                Some((key, (bound, name.service_account())))
            })
            .collect();
        Self {
            settings,
            clock: EvictionClock::new(settings, now),
            places: by_account,
            names,
            pods: BTreeMap::new(),
            findings: BTreeMap::new(),
            listed: 0,
            evicted: 0,
            blocked: BTreeMap::new(),
            injected: Injected::new(),
        }
    }

    /// Says how many associations EKS listed, where the places show only those that have pods.
    #[must_use]
    pub fn listed(self, associations: usize) -> Self {
        Self { listed: associations, ..self }
    }

    /// Says how many pods were evicted before for the same request: they count for the ceiling of
    /// the sweep.
    #[must_use]
    pub fn evicted_before(self, pods: usize) -> Self {
        Self { evicted: pods, ..self }
    }

    /// Names the pods, by uid, whose eviction a budget blocked before, for which case and since when.
    #[must_use]
    pub fn blocked_before(self, blocked: BTreeMap<String, (Case, Timestamp)>) -> Self {
        Self { blocked, ..self }
    }

    /// Names the Mutations that put variables into containers.
    #[must_use]
    pub fn injected_by(self, injected: Injected) -> Self {
        Self { injected, ..self }
    }

    /// Counts pods of a namespace that [`Settings::looks_at`] and that need no look, because they
    /// have no credentials, nor a place, nor a name that is bound. They are part of the share.
    pub fn pass_over(&mut self, namespace: &str, pods: usize) {
        match self.pods.get_mut(namespace) {
            Some(count) => *count += pods,
            None => _ = self.pods.insert(namespace.to_owned(), pods),
        }
    }

    /// Looks at one pod. One that is over, terminating or in another namespace does not count.
    pub fn look_at(&mut self, pod: &Pod) {
        if !self.settings.looks_at(pod) {
            return;
        }
        self.pass_over(&pod.namespace, 1);
        let place = self.places.get(&(&*pod.namespace, &*pod.service_account)).copied();
        let user = pod.labels.get(&self.settings.user_label);
        let bound_to = user.and_then(|user| self.names.get(&(&*pod.namespace, user)).copied());
        let Some(verdict) = classify(pod, place, bound_to, self.clock) else { return };
        let (reason, remediation) = words(pod, &verdict, self.settings, &self.injected);
        let keep = pod.annotations.get(&self.settings.keep_annotation);
        let blocked = self.blocked.get(&pod.uid).filter(|(case, _)| *case == verdict.case);
        let finding = Finding {
            pod: PodName::of(pod),
            owner: pod.owner.clone(),
            workload_type: pod.labels.get(&self.settings.workload_label).cloned(),
            case: verdict.case,
            since: verdict.since,
            remembered: verdict.remembered,
            doubt: verdict.doubt,
            asks_to_be_kept: keep.is_some_and(|keep| keep == "true"),
            blocked_since: blocked.map(|(_, since)| *since),
            settles_at: verdict.settles_at,
            reason,
            remediation,
        };
        self.findings.insert(finding.pod.uid.clone(), finding);
    }

    /// Decides what is done about the stale pods. `incomplete` says in words what could not be
    /// read: some pods, or some associations.
    #[must_use]
    pub fn plan(self, incomplete: Option<&str>) -> Sweep {
        let Self { settings, clock, places, pods, findings, listed, evicted, .. } = self;
        let halted = incomplete
            .map(|what| format!("the observation is incomplete: {what}"))
            .or_else(|| shows_none(listed, places.values().copied()));
        let findings = findings.into_values().collect();
        plan::plan(findings, &pods, evicted, halted, settings, clock.now)
    }
}

/// No association at all, where the ledger knows some, is more likely a mistake than the truth.
fn shows_none<'a>(listed: usize, places: impl Iterator<Item = &'a SweepPlace>) -> Option<String> {
    let mut known = 0;
    for place in places {
        if listed > 0 || place.association.is_some() {
            return None;
        }
        known += usize::from(place.bound.as_ref().is_some_and(|bound| bound.associated));
    }
    (known > 0).then(|| {
        format!("EKS shows no association at all, and the ledger knows {known}: look whether the cluster is the right one, then reconcile it")
    })
}
