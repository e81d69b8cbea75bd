//! What planning the Domino side looks at.

use std::collections::{BTreeMap, BTreeSet};

use crate::sweep::Injected;
use crate::{ClusterArn, DominoName, Mutation, ServiceAccount, ServiceAccountRef};

/// The desired state of one Domino name on the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// The Kubernetes service account that its current binding wants here; none without one.
    pub wanted: Option<ServiceAccountRef>,
    /// Whether it has the association of the one that it wants.
    pub holds: bool,
    /// All those that it wants, is leaving, or still has an association at.
    pub uses: BTreeSet<ServiceAccountRef>,
}

/// What was seen of all Mutations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutations {
    /// All of the platform namespace.
    Seen(Vec<Mutation>),
    /// The cluster does not know the resource: domsed is not installed.
    NotInstalled,
    /// They could not be read, or were not asked for.
    Unseen,
}

/// Everything that planning looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The cluster.
    pub cluster: ClusterArn,
    /// By Domino name.
    pub claims: BTreeMap<DominoName, Claim>,
    /// Kubernetes service accounts that the ledger remembers somebody to have lost here.
    pub lost: BTreeSet<ServiceAccountRef>,
    /// Whether the whole ledger knows neither a binding nor a tombstone: it may be new, or the
    /// wrong one.
    pub ledger_is_empty: bool,
    /// By namespace; one that could not be read, or was not, is not here. Those that no claim
    /// names and that have no label of ours may be left out.
    pub service_accounts: BTreeMap<String, Vec<ServiceAccount>>,
    /// Everybody's Mutations, ours among them.
    pub mutations: Mutations,
}

impl Mutations {
    /// By variable: the Mutations of a namespace that put it into containers, as `namespace/name`.
    #[must_use]
    pub fn injected(&self, namespace: &str) -> Injected {
        let mut injected = Injected::new();
        let Self::Seen(all) = self else { return injected };
        for mutation in all {
            for variable in mutation.variables() {
                let of = injected.entry(variable.to_owned()).or_default();
                of.insert(format!("{namespace}/{}", mutation.name));
            }
        }
        injected
    }
}

/// Settings of the one `Mutation` that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingSettings {
    /// Namespace of the Domino platform, where `Mutation` objects are.
    pub namespace: String,
    /// Name of ours.
    pub name: String,
    /// Which execution pods it is for.
    pub label_selectors: Vec<String>,
    /// The Kubernetes service account of who is not mapped; empty for Domino's own.
    pub default_service_account: String,
}

/// Settings that planning needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Id of the deployment, the value of its label.
    pub deployment: String,
    /// Namespaces in which Domino's executions run.
    pub namespaces: Vec<String>,
    /// Whether Kubernetes service accounts are made and deleted.
    pub service_accounts: bool,
    /// How names are mapped; not at all when absent.
    pub mapping: Option<MappingSettings>,
    /// Most Kubernetes service accounts that one run deletes on one cluster.
    pub max_deletions: usize,
}
