//! Kubernetes service accounts: which are made, and which go.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_events::Problem;

use super::input::{MappingSettings, Mutations, Observation, Options};
use super::step::{AccountDeletion, Plan};
use super::{DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, own_labels};
use crate::{DominoName, ServiceAccount, ServiceAccountRef};

/// The Kubernetes service accounts that were seen, by their names.
pub(super) struct Accounts<'a> {
    observation: &'a Observation,
    /// Those that pods can use: a terminating one is there no more.
    seen: BTreeMap<ServiceAccountRef, &'a ServiceAccount>,
    terminating: BTreeSet<ServiceAccountRef>,
    used: BTreeSet<&'a ServiceAccountRef>,
}

impl<'a> Accounts<'a> {
    pub(super) fn of(observation: &'a Observation) -> Self {
        let all = observation.service_accounts.values().flatten();
        let all = all
            .filter_map(|one| Some((ServiceAccountRef::new(&one.namespace, &one.name).ok()?, one)));
        let (going, seen): (BTreeMap<_, _>, _) = all.partition(|(_, one)| one.terminating);
        let used = observation.claims.values().flat_map(|claim| &claim.uses).collect();
        Self { observation, seen, terminating: going.into_keys().collect(), used }
    }

    /// Sees to it that whoever holds a place has its service account there, and answers who is to
    /// be mapped to which.
    pub(super) fn serve(
        &self,
        options: &Options,
        plan: &mut Plan,
    ) -> BTreeMap<DominoName, ServiceAccountRef> {
        let mut entries = BTreeMap::new();
        for (place, one) in &self.seen {
            if let (true, Some(role)) = (self.used.contains(place), one.irsa_role()) {
                plan.annotated.insert(place.clone(), role.to_owned());
            }
        }
        for (name, claim) in &self.observation.claims {
            let Some(place) = claim.wanted.as_ref().filter(|_| claim.holds) else { continue };
            let namespace = place.namespace();
            if !options.namespaces.iter().any(|one| one == namespace) {
                plan.kept.push(format!(
                    "{name} is bound at {place}, and {namespace} is not one of the namespaces in which executions run: no service account is made there, and the name is not mapped"
                ));
                continue;
            }
            let is_read = self.observation.service_accounts.contains_key(namespace);
            if !is_read {
                // Kubernetes refuses pods of a service account that does not exist, and whether this one does is
                // not known. Whoever is mapped to it already stays so.
                if options.mapping.as_ref().is_some_and(|one| self.is_mapped(name, place, one)) {
                    entries.insert(name.clone(), place.clone());
                }
                continue;
            }
            if self.terminating.contains(place) {
                plan.blocked.insert(name.clone(), self.terminates(name, place));
                continue;
            }
            if !self.seen.contains_key(place) {
                if options.service_accounts {
                    plan.creates.entry(place.clone()).or_default().insert(name.clone());
                } else if options.mapping.is_some() {
                    // Kubernetes refuses pods of a service account that does not exist.
                    plan.blocked.insert(name.clone(), self.missing(name, place));
                    continue;
                }
            }
            entries.insert(name.clone(), place.clone());
        }
        entries
    }

    /// Whether our Mutation, as it was seen, maps a name to an account.
    fn is_mapped(
        &self,
        name: &DominoName,
        place: &ServiceAccountRef,
        ours: &MappingSettings,
    ) -> bool {
        let Mutations::Seen(all) = &self.observation.mutations else { return false };
        let entries = all.iter().find(|one| one.name == ours.name).map(super::mapping::entries);
        entries.is_some_and(|all| all.get(name.as_str()) == Some(&place.service_account()))
    }

    fn terminates(&self, name: &DominoName, place: &ServiceAccountRef) -> Problem {
        Problem::ServiceAccountTerminating {
            service_account: name.to_string(),
            account: place.in_cluster(&self.observation.cluster),
        }
    }

    fn missing(&self, name: &DominoName, place: &ServiceAccountRef) -> Problem {
        Problem::ServiceAccountMissing {
            service_account: name.to_string(),
            account: place.in_cluster(&self.observation.cluster),
        }
    }

    /// Deletes those of ours that no binding uses any more, by the ledger's own memory.
    pub(super) fn clear(&self, options: &Options, plan: &mut Plan) {
        if !options.service_accounts {
            return;
        }
        let ours = self
            .seen
            .iter()
            .filter(|(place, one)| !self.used.contains(place) && is_ours(one, &options.deployment));
        let (mut unguarded, mut beyond) = (0_usize, 0_usize);
        for (place, one) in ours {
            if self.observation.ledger_is_empty {
                unguarded += 1;
            } else if let Some(why) = self.keep(place, one, options, plan) {
                plan.kept.push(format!("service account {place} is kept: {why}"));
            } else if plan.deletes.len() == options.max_deletions {
                beyond += 1;
            } else {
                plan.deletes
                    .push(AccountDeletion { kubernetes: place.clone(), uid: one.uid.clone() });
            }
        }
        if unguarded > 0 {
            plan.kept.push(format!(
                "the ledger knows no binding at all, so {unguarded} service accounts of ours are kept: is LEDGER_TABLE the right one?"
            ));
        }
        if beyond > 0 {
            plan.kept.push(format!(
                "{beyond} more service accounts that nobody uses are kept for now: one run deletes at most {} (MAX_DELETIONS)",
                options.max_deletions
            ));
        }
    }

    /// Why one of ours that no binding uses is not deleted.
    fn keep(
        &self,
        place: &ServiceAccountRef,
        one: &ServiceAccount,
        options: &Options,
        plan: &Plan,
    ) -> Option<String> {
        if !self.observation.lost.contains(place) {
            return Some(
                "the ledger does not remember that somebody worked as it; delete it by hand if nobody does"
                    .to_owned(),
            );
        }
        let added = added(one, &options.deployment);
        if !added.is_empty() {
            return Some(format!("somebody made it theirs ({})", added.join(", ")));
        }
        let Some(settings) = &options.mapping else { return None };
        match &self.observation.mutations {
            Mutations::Seen(all) => {
                let name = place.service_account();
                // Ours leads nowhere but where it should, unless it is left as it is.
                let left = plan.mapping.is_none();
                let mut others = all.iter().filter(|one| left || one.name != settings.name);
                let user = others.find(|one| super::mapping::leads_to(one, name))?;
                Some(format!("Mutation {}/{} leads to it", settings.namespace, user.name))
            }
            Mutations::NotInstalled => None,
            Mutations::Unseen => {
                Some("the Mutations were not read, and one may lead to it".to_owned())
            }
        }
    }
}

fn is_ours(one: &ServiceAccount, deployment: &str) -> bool {
    let has = |label: &str, value: &str| one.labels.get(label).is_some_and(|it| it == value);
    has(MANAGED_BY_LABEL, MANAGED_BY) && has(DEPLOYMENT_LABEL, deployment)
}

/// What is on a service account that we did not put there.
fn added(one: &ServiceAccount, deployment: &str) -> Vec<String> {
    let own = own_labels(deployment);
    let labels = one.labels.keys().filter(|label| !own.contains_key(*label));
    let labels = labels.map(|label| format!("label {label}"));
    let annotations = one.annotations.keys().map(|name| format!("annotation {name}"));
    let secrets = one.secrets.iter().map(|name| format!("secret {name}"));
    labels.chain(annotations).chain(secrets).collect()
}
