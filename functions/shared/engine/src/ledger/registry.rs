//! The clusters of a deployment, and how far their retirement is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_core::{
    Binding, ClusterArn, Exemptions, Registration, ServiceAccountRef, Version,
};
use serde::{Deserialize, Serialize};

use crate::ports::ClusterAccess;

/// The clusters of the deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registry {
    /// Format of the whole ledger, [`super::REGISTRY_FORMAT`].
    #[serde(default)]
    pub format: u32,
    /// Id of the deployment whose ledger this is; none before the first cluster is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// By ARN; at most [`super::MAX_CLUSTERS`].
    pub clusters: BTreeMap<ClusterArn, ClusterRecord>,
    /// Retirements of clusters that are not registered: asked for before they were, or done.
    /// At most [`super::MAX_CLUSTERS`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub retirements: BTreeMap<ClusterArn, RetirementRecord>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            format: super::REGISTRY_FORMAT,
            deployment: None,
            clusters: BTreeMap::new(),
            retirements: BTreeMap::new(),
        }
    }
}

impl Registry {
    /// Whether one more retirement of a cluster that is not registered can be noted. The oldest one
    /// that is finished makes room.
    pub(crate) fn has_room_for_retirement(&mut self) -> bool {
        if self.retirements.len() < super::MAX_CLUSTERS {
            return true;
        }
        let finished = self.retirements.iter().filter(|(_, note)| note.begun_at.is_some());
        let oldest = finished.min_by_key(|(_, note)| &note.version);
        let oldest = oldest.map(|(cluster, _)| cluster.clone());
        oldest.is_some_and(|oldest| self.retirements.remove(&oldest).is_some())
    }
}

/// One registered cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRecord {
    /// How to reach it and its node roles.
    pub registration: Registration,
    /// Version of the registration.
    pub version: Version,
    /// The request for its guarded retirement, if that is the newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<RetirementRecord>,
}

impl ClusterRecord {
    /// How its EKS and IAM are reached.
    #[must_use]
    pub fn access(&self) -> ClusterAccess {
        let Registration { cluster, assume_role, .. } = &self.registration;
        ClusterAccess { cluster: cluster.clone(), assume_role: assume_role.clone() }
    }

    /// Whether its retirement has begun: nothing is made there any more.
    #[must_use]
    pub fn is_retiring(&self) -> bool {
        self.retired.as_ref().is_some_and(|retirement| retirement.begun_at.is_some())
    }

    /// Whether a binding is to have an association here. Everything that asks whether asks this.
    #[must_use]
    pub fn takes(&self, binding: &Binding) -> bool {
        !self.is_retiring() && binding.selects(&self.registration.cluster)
    }

    /// Whether retirement takes away what a binding has, or would have, at a place here.
    #[must_use]
    pub fn takes_away(&self, binding: &Binding, place: &ServiceAccountRef) -> bool {
        let meant = binding.selects(&self.registration.cluster) && binding.kubernetes == *place;
        self.is_retiring() && meant
    }
}

/// The guarded retirement of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetirementRecord {
    /// Version of the latest request for it.
    pub version: Version,
    /// Who need not be ready on another cluster.
    #[serde(default, skip_serializing_if = "Exemptions::is_nobody")]
    pub exemptions: Exemptions,
    /// Since when its associations are deleted. Only a registration takes that back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Timestamp>,
    /// Since when nothing of this deployment is left there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained_at: Option<Timestamp>,
}
