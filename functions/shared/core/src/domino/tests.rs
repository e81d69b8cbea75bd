#![allow(clippy::unwrap_used, clippy::panic)]

mod accounts;
mod mappings;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::*;

const NAMESPACE: &str = "domino-compute";

fn name(text: &str) -> DominoName {
    text.parse().unwrap()
}

fn place(text: &str) -> ServiceAccountRef {
    ServiceAccountRef::new(NAMESPACE, text).unwrap()
}

fn options() -> Options {
    Options {
        deployment: "acme".to_owned(),
        namespaces: vec![NAMESPACE.to_owned()],
        service_accounts: true,
        mapping: Some(MappingSettings {
            namespace: "domino-platform".to_owned(),
            name: "pod-identity".to_owned(),
            label_selectors: vec!["dominodatalab.com/workload-type in (Batch)".to_owned()],
            default_service_account: String::new(),
        }),
        max_deletions: 2,
    }
}

/// Bound at `NAME-sa`, with the association there.
fn holder(of: &str) -> (DominoName, Claim) {
    let at = place(&format!("{of}-sa"));
    let claim = Claim { wanted: Some(at.clone()), holds: true, uses: BTreeSet::from([at]) };
    (name(of), claim)
}

/// A name that was unassigned.
fn tombstone(of: &str) -> (DominoName, Claim) {
    (name(of), Claim::default())
}

fn observed(claims: impl IntoIterator<Item = (DominoName, Claim)>) -> Observation {
    let claims: BTreeMap<_, _> = claims.into_iter().collect();
    Observation {
        cluster: ClusterArn::new("aws", "eu-west-1", "111122223333", "blue").unwrap(),
        ledger_is_empty: claims.is_empty(),
        claims,
        lost: BTreeSet::new(),
        service_accounts: BTreeMap::from([(NAMESPACE.to_owned(), Vec::new())]),
        mutations: Mutations::Seen(Vec::new()),
    }
}

fn account(of: &str) -> ServiceAccount {
    ServiceAccount {
        namespace: NAMESPACE.to_owned(),
        name: of.to_owned(),
        uid: format!("uid-{of}"),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        terminating: false,
        secrets: BTreeSet::new(),
    }
}

fn ours(of: &str) -> ServiceAccount {
    ServiceAccount { labels: own_labels("acme"), ..account(of) }
}

fn mutation(of: &str, cloud_type: &str, entries: &[(&str, &str)]) -> Mutation {
    let entries = entries.iter().map(|(name, to)| ((*name).to_owned(), (*to).to_owned()));
    Mutation {
        name: of.to_owned(),
        labels: BTreeMap::new(),
        rules: vec![MutationRule {
            enabled: true,
            label_selectors: options().mapping.unwrap().label_selectors,
            cloud_workload_identity: Some(CloudWorkloadIdentity {
                cloud_type: cloud_type.to_owned(),
                default_sa: String::new(),
                assume_sa_mapping: false,
                user_mappings: entries.collect(),
            }),
            variables: BTreeSet::new(),
        }],
    }
}

fn our_mutation(entries: &[(&str, &str)]) -> Mutation {
    Mutation { labels: own_labels("acme"), ..mutation("pod-identity", "aws", entries) }
}

impl Observation {
    fn with_accounts(mut self, accounts: impl IntoIterator<Item = ServiceAccount>) -> Self {
        self.service_accounts.get_mut(NAMESPACE).unwrap().extend(accounts);
        self
    }

    fn with_mutations(mut self, mutations: impl IntoIterator<Item = Mutation>) -> Self {
        self.mutations = Mutations::Seen(mutations.into_iter().collect());
        self
    }

    fn with_lost(mut self, lost: &[&str]) -> Self {
        self.lost = lost.iter().map(|one| place(one)).collect();
        self
    }

    /// What is there once a plan is applied.
    fn after(mut self, plan: &Plan) -> Self {
        for made in plan.creates.keys() {
            let made = ours(made.service_account());
            self.service_accounts.get_mut(NAMESPACE).unwrap().push(made);
        }
        for gone in &plan.deletes {
            let all = self.service_accounts.get_mut(NAMESPACE).unwrap();
            all.retain(|one| one.uid != gone.uid);
        }
        if let Some(change) = plan.mapping.as_ref().and_then(Mapping::change) {
            let Mutations::Seen(all) = &mut self.mutations else { panic!("nothing was seen") };
            all.retain(|one| one.name != change.name);
            all.push(change);
        }
        self
    }
}

/// A plan; what is planned once it is applied is nothing, and keeps the same verdicts.
fn planned_with(observation: Observation, options: &Options) -> Plan {
    let first = plan(&observation, options);
    let second = plan(&observation.after(&first), options);
    assert!(second.is_empty() || first.deletes.len() == options.max_deletions, "{second}");
    assert_eq!(second.blocked, first.blocked);
    first
}

fn planned(observation: Observation) -> Plan {
    planned_with(observation, &options())
}
