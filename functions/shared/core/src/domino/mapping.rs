//! Our one `Mutation`: who is mapped, and who cannot be because another Mutation maps the name or
//! another binding uses an account of the same name.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_events::{OtherMapping, Problem};

use super::crossing::Usage;
use super::input::{MappingSettings, Mutations, Observation, Options};
use super::own_labels;
use super::step::Plan;
use crate::{CloudWorkloadIdentity, DominoName, Mutation, MutationRule, ServiceAccountRef};

/// Most bytes of our Mutation's rules. etcd takes requests of 1.5 MiB by default, and there is
/// metadata beside the rules.
pub const MAX_MUTATION_BYTES: usize = 1_400_000;

/// Our `Mutation` as it should be, and as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    settings: MappingSettings,
    /// The labels of what is ours.
    labels: BTreeMap<String, String>,
    /// Who is mapped, and to which.
    pub(super) entries: BTreeMap<DominoName, ServiceAccountRef>,
    pub(super) before: Option<Mutation>,
}

impl Mapping {
    /// Namespace of the Mutation.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.settings.namespace
    }

    /// Name of the Mutation.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The Mutation to apply; none when it is so already. None is made for nobody.
    #[must_use]
    pub fn change(&self) -> Option<Mutation> {
        let mutation = self.mutation();
        match &self.before {
            Some(before) => (before.rules != mutation.rules || !self.is_ours()).then_some(mutation),
            None => (!self.entries.is_empty()).then_some(mutation),
        }
    }

    /// Whether what was seen has our labels: another field manager has it only because somebody applied a copy
    /// of it, as Domino's reinstallation of domsed does.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let has = |before: &Mutation| {
            self.labels.iter().all(|(name, value)| before.labels.get(name) == Some(value))
        };
        self.before.as_ref().is_some_and(has)
    }

    /// The same without those whose service account could not be made, except where they are
    /// mapped to it already.
    #[must_use]
    pub fn without(&self, failed: &BTreeSet<ServiceAccountRef>) -> Self {
        let mut mapping = self.clone();
        let in_force = self.in_force();
        mapping.entries.retain(|name, place| !failed.contains(place) || in_force.contains(name));
        mapping
    }

    /// Who was seen to be mapped as it should be.
    #[must_use]
    pub fn in_force(&self) -> BTreeSet<DominoName> {
        let rules = self.before.as_ref().map_or(&[][..], |before| &before.rules[..]);
        let (frame, here) = (self.rule(BTreeMap::new()), self.entries.iter());
        let [rule] = rules else { return BTreeSet::new() };
        let Some(identity) = &rule.cloud_workload_identity else { return BTreeSet::new() };
        let mut seen = rule.clone();
        seen.cloud_workload_identity.iter_mut().for_each(|one| one.user_mappings.clear());
        if seen != frame {
            return BTreeSet::new();
        }
        let is_mapped = |name: &DominoName, place: &ServiceAccountRef| {
            identity
                .user_mappings
                .get(name.as_str())
                .is_some_and(|to| to == place.service_account())
        };
        here.filter(|(name, place)| is_mapped(name, place)).map(|(name, _)| name.clone()).collect()
    }

    /// All who are mapped once it is applied.
    #[must_use]
    pub fn names(&self) -> BTreeSet<DominoName> {
        self.entries.keys().cloned().collect()
    }

    /// Whether our Mutation, as it was seen, leads to a service account.
    #[must_use]
    pub fn led_to(&self, place: &ServiceAccountRef) -> bool {
        self.before.as_ref().is_some_and(|before| leads_to(before, place.service_account()))
    }

    fn mutation(&self) -> Mutation {
        let entries = self.entries.iter();
        let entries = entries.map(|(name, to)| (name.to_string(), to.service_account().to_owned()));
        let (name, labels) = (self.settings.name.clone(), self.labels.clone());
        Mutation { name, labels, rules: vec![self.rule(entries.collect())] }
    }

    fn rule(&self, user_mappings: BTreeMap<String, String>) -> MutationRule {
        MutationRule {
            label_selectors: self.settings.label_selectors.clone(),
            enabled: true,
            cloud_workload_identity: Some(CloudWorkloadIdentity {
                cloud_type: "aws".to_owned(),
                default_sa: self.settings.default_service_account.clone(),
                assume_sa_mapping: false,
                user_mappings,
            }),
            variables: BTreeSet::new(),
        }
    }
}

/// Decides who is mapped.
pub(super) fn map(
    mut entries: BTreeMap<DominoName, ServiceAccountRef>,
    observation: &Observation,
    options: &Options,
    plan: &mut Plan,
) {
    let Some(settings) = &options.mapping else { return };
    let Mutations::Seen(all) = &observation.mutations else { return };
    let usage = Usage::of(&observation.claims);
    entries.retain(|name, place| {
        let problem = conflict(name, place, all, settings).or_else(|| usage.crossing(name, place));
        let is_mapped = problem.is_none();
        plan.blocked.extend(problem.map(|problem| (name.clone(), problem)));
        is_mapped
    });
    let before = all.iter().find(|one| one.name == settings.name).cloned();
    let labels = own_labels(&options.deployment);
    let mapping = Mapping { settings: settings.clone(), labels, entries, before };
    let (namespace, name) = (mapping.namespace(), mapping.name());
    let Some(change) = mapping.change() else {
        plan.mapping = Some(mapping);
        return;
    };
    let mapped = mapping.before.as_ref().map_or(0, count);
    if observation.ledger_is_empty && mapped > 0 {
        plan.kept.push(format!(
            "the ledger knows no binding at all, so Mutation {namespace}/{name} keeps its {mapped} entries: is LEDGER_TABLE the right one?"
        ));
        return;
    }
    let bytes = serde_json::to_string(&change.rules).map_or(usize::MAX, |text| text.len());
    if bytes > MAX_MUTATION_BYTES {
        plan.failures.push(format!(
            "Mutation {namespace}/{name} would have {} entries and {bytes} bytes, and Kubernetes stores no more than {MAX_MUTATION_BYTES}: it is left as it is; unassign service accounts that nobody uses, or give their Kubernetes service accounts shorter names",
            mapping.entries.len()
        ));
        return;
    }
    plan.mapping = Some(mapping);
}

/// What another Mutation says of the same name.
fn conflict(
    name: &DominoName,
    place: &ServiceAccountRef,
    all: &[Mutation],
    settings: &MappingSettings,
) -> Option<Problem> {
    let others = all.iter().filter(|one| one.name != settings.name);
    let elsewhere: BTreeSet<(&str, &str)> = others
        .flat_map(|one| one.identities().map(|identity| (one.name.as_str(), identity)))
        .filter_map(|(of, identity)| {
            Some((of, identity.user_mappings.get(name.as_str())?.as_str()))
        })
        .filter(|(_, to)| *to != place.service_account())
        .collect();
    if elsewhere.is_empty() {
        return None;
    }
    let mappings = elsewhere.into_iter().map(|(mutation, to)| OtherMapping {
        mutation: mutation.to_owned(),
        kubernetes_service_account: to.to_owned(),
    });
    Some(Problem::MappingConflict {
        service_account: name.to_string(),
        kubernetes_service_account: place.service_account().to_owned(),
        namespace: settings.namespace.clone(),
        mappings: mappings.collect(),
    })
}

/// Whether a Mutation sends anybody to a service account.
pub(super) fn leads_to(mutation: &Mutation, service_account: &str) -> bool {
    mutation.identities().any(|one| {
        one.default_sa == service_account
            || one.user_mappings.values().any(|to| to == service_account)
    })
}

/// Entries of a Mutation.
pub(super) fn count(mutation: &Mutation) -> usize {
    mutation.identities().map(|one| one.user_mappings.len()).sum()
}

/// Entries of a Mutation, the last word on each name.
pub(super) fn entries(mutation: &Mutation) -> BTreeMap<&str, &str> {
    mutation
        .identities()
        .flat_map(|one| &one.user_mappings)
        .map(|(name, to)| (name.as_str(), to.as_str()))
        .collect()
}
