//! What is to be done about the Domino side of one cluster.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_events::Problem;

use super::mapping::Mapping;
use crate::{ClusterArn, DominoName, ServiceAccountRef};

/// A Kubernetes service account of ours that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDeletion {
    /// Its name.
    pub kubernetes: ServiceAccountRef,
    /// Its uid: another one of the same name stays.
    pub uid: String,
}

/// What is to be done, in the order of the fields: nobody is mapped to a service account that
/// does not exist yet, or not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The cluster.
    pub cluster: ClusterArn,
    /// Service accounts to make, and for whom.
    pub creates: BTreeMap<ServiceAccountRef, BTreeSet<DominoName>>,
    /// Our Mutation; none when it is left alone.
    pub mapping: Option<Mapping>,
    /// Service accounts to delete.
    pub deletes: Vec<AccountDeletion>,
    /// What keeps names from being mapped.
    pub blocked: BTreeMap<DominoName, Problem>,
    /// The roles that IRSA annotations name, by service account that a claim uses.
    pub annotated: BTreeMap<ServiceAccountRef, String>,
    /// What was left alone, and why.
    pub kept: Vec<String>,
    /// What should be done and cannot be.
    pub failures: Vec<String>,
}

impl Plan {
    pub(super) fn of(cluster: &ClusterArn) -> Self {
        Self {
            cluster: cluster.clone(),
            creates: BTreeMap::new(),
            mapping: None,
            deletes: Vec::new(),
            blocked: BTreeMap::new(),
            annotated: BTreeMap::new(),
            kept: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Whether nothing has to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        // A new field does not compile until somebody has decided about it.
        let Self {
            cluster: _,
            creates,
            mapping,
            deletes,
            blocked: _,
            annotated: _,
            kept: _,
            failures: _,
        } = self;
        let changes = mapping.as_ref().is_some_and(|mapping| mapping.change().is_some());
        creates.is_empty() && deletes.is_empty() && !changes
    }

    /// The changes in words, in order.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        let creates = self.creates.iter().map(|(place, of)| Self::creation(place, of));
        let mapping = self.mapping.iter().flat_map(Mapping::steps);
        let deletes = self.deletes.iter().map(ToString::to_string);
        creates.chain(mapping).chain(deletes).collect()
    }

    /// A creation in words.
    #[must_use]
    pub fn creation(place: &ServiceAccountRef, of: &BTreeSet<DominoName>) -> String {
        let of: Vec<&str> = of.iter().map(DominoName::as_str).collect();
        format!("+ service account {place} for {}", of.join(", "))
    }
}
