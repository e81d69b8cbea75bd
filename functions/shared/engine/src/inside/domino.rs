//! The Domino side of bindings: Kubernetes service accounts and domsed's mapping.

mod apply;
mod observe;
mod words;

use pod_identity_events::Problem;
use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::domino::{self, Mapping};
use pod_identity_core::sweep::Injected;
use pod_identity_core::{DominoName, RoleArn, ServiceAccountRef, Version};

use super::known::Remembered;
use super::{Inside, InsideError};
use crate::ledger::InsideBinding;
pub(super) use apply::apply;

/// The outcome of the Domino side.
#[derive(Debug, Clone, Default)]
pub struct DominoReport {
    /// Roles that IRSA annotations of Kubernetes service accounts name, by service account that a
    /// binding uses.
    pub annotated: BTreeMap<ServiceAccountRef, String>,
    /// The Mutations that put variables into containers, by variable.
    pub injected: Injected,
    /// What was done, or would be, in words.
    pub steps: Vec<String>,
    /// What was left alone, and why.
    pub kept: Vec<String>,
    /// What failed, and why.
    pub failures: Vec<String>,
    /// Whether the time was over before all was done: the next run goes on.
    pub left: bool,
}

/// What is to be done about the Domino side.
pub(super) struct DominoPlan {
    plan: domino::Plan,
    /// The bindings of the cluster.
    subjects: BTreeMap<DominoName, BlockedSubject>,
    /// Whether no name can be mapped: the mapping is off, or domsed is not installed.
    unmapped: bool,
    /// What stands in the way of a binding and may end by itself, or stands in the way of all: no event tells of
    /// it.
    remarks: BTreeMap<DominoName, Problem>,
    report: DominoReport,
}

/// A current binding of the cluster.
struct BlockedSubject {
    kubernetes: ServiceAccountRef,
    version: Version,
    role: RoleArn,
}

impl DominoPlan {
    /// The plan as it is shown where nothing is written.
    pub(super) fn shown(
        mut self,
        bindings: &mut BTreeMap<DominoName, InsideBinding>,
    ) -> DominoReport {
        // Who only looks does not know what could not be read: it stands in the way of no binding.
        self.remarks.clear();
        let in_force = self.in_force();
        self.remember(bindings, in_force, |_| None);
        DominoReport { steps: self.plan.steps(), ..self.report }
    }

    /// Who is mapped as they should be, if that is known.
    fn in_force(&self) -> Option<BTreeSet<DominoName>> {
        if self.unmapped {
            return Some(BTreeSet::new());
        }
        self.plan.mapping.as_ref().map(Mapping::in_force)
    }

    /// Notes for each binding what is known of it now. `since` is when a name was mapped that is
    /// not known to have been mapped before.
    fn remember(
        &self,
        bindings: &mut BTreeMap<DominoName, InsideBinding>,
        mapped: Option<BTreeSet<DominoName>>,
        since: impl Fn(&DominoName) -> Option<jiff::Timestamp>,
    ) {
        bindings.retain(|name, _| self.subjects.contains_key(name));
        for (name, subject) in &self.subjects {
            let binding = bindings.entry(name.clone()).or_default();
            if binding.kubernetes.as_ref() != Some(&subject.kubernetes) {
                // Whatever was known is about another place.
                let kubernetes = Some(subject.kubernetes.clone());
                *binding = InsideBinding { kubernetes, ..InsideBinding::default() };
            }
            let problem = self.plan.blocked.get(name).or_else(|| self.remarks.get(name));
            let blocked = problem.cloned();
            // Where nothing is known of the mapping, what stood in its way may still do so.
            if mapped.is_some() || blocked.is_some() {
                binding.blocked = blocked;
            }
            let Some(mapped) = &mapped else { continue };
            binding.mapped_since = match mapped.contains(name) {
                true => binding.mapped_since.or_else(|| since(name)),
                false => None,
            };
        }
    }
}

/// Looks at service accounts and Mutations, and plans.
pub(super) async fn plan(
    context: &Inside<'_>,
    known: &Remembered,
) -> Result<DominoPlan, InsideError> {
    let inside = context.inside;
    let options = domino::Options {
        deployment: context.settings.plan.deployment.clone(),
        namespaces: inside.namespaces.clone(),
        service_accounts: inside.service_accounts,
        mapping: inside.mapping.clone(),
        max_deletions: context.settings.plan.max_deletions,
    };
    let seen = observe::observe(context, known).await?;
    let plan = domino::plan(&seen.observation, &options);
    let installed = seen.observation.mutations != domino::Mutations::NotInstalled;
    let mappings = inside.mapping.as_ref();
    let injected = mappings.map(|it| seen.observation.mutations.injected(&it.namespace));
    let injected = injected.unwrap_or_default();
    let unseen = seen.unread.values().chain(&seen.unmapped).map(Problem::to_string);
    let failures = unseen.chain(plan.failures.iter().cloned());
    let report = DominoReport {
        annotated: plan.annotated.clone(),
        injected,
        kept: plan.kept.clone(),
        failures: failures.collect(),
        ..DominoReport::default()
    };
    let unmapped = inside.mapping.is_none() || !installed;
    let remark = |(name, subject): (&DominoName, &BlockedSubject)| {
        let of_account = seen.unread.get(subject.kubernetes.namespace());
        Some((name.clone(), of_account.or(seen.unmapped.as_ref())?.clone()))
    };
    let remarks = seen.subjects.iter().filter_map(remark).collect();
    Ok(DominoPlan { plan, subjects: seen.subjects, unmapped, remarks, report })
}
