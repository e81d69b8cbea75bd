//! What a sweep looks at besides pods.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Ceilings, Policy};
use crate::{Association, Desired, DominoName, Phase, Pod, ServiceAccountRef};

/// All Kubernetes service accounts of one cluster that have an association, or that the ledger
/// knows.
pub type Places = BTreeMap<ServiceAccountRef, SweepPlace>;

/// What is known of one Kubernetes service account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SweepPlace {
    /// Who is bound to it now, by the ledger.
    pub bound: Option<SweepBound>,
    /// Who lost it, as far as the ledger remembers, in any order. Somebody who lost it and is
    /// bound again may be left out or named here, it makes no difference.
    pub removals: Vec<Removal>,
    /// The association that EKS shows, whosever it is.
    pub association: Option<Association>,
    /// The role that its IRSA annotation names, when that was looked at.
    pub irsa_role: Option<String>,
}

/// A Domino service account that holds a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepBound {
    /// Its name.
    pub service_account: DominoName,
    /// What its pods work as, by the ledger.
    pub desired: Desired,
    /// When that last changed, as the ledger wrote it down (`credentials_changed_at`).
    pub changed_at: Option<Timestamp>,
    /// What its pods worked as before that; none when there was nothing, or it is not known.
    /// Without it nothing counts as changed.
    pub before: Option<Worked>,
    /// Whether the ledger remembers an association here.
    pub associated: bool,
    /// Since when domsed maps the name to this service account; none when it does not.
    pub mapped_since: Option<Timestamp>,
}

/// The ledger's memory of a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Who lost the place.
    pub service_account: DominoName,
    /// When the association was gone, as the ledger wrote it down.
    pub at: Timestamp,
    /// What pods worked as until then, if that is remembered.
    pub before: Option<Worked>,
}

/// What pods of a place worked as for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worked {
    /// As what.
    pub desired: Desired,
    /// Since when. When it is not known, nobody can say what an older pod holds.
    pub since: Option<Timestamp>,
}

/// Settings of a sweep.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Namespaces whose pods are looked at.
    pub namespaces: BTreeSet<String>,
    /// What is done about which pods.
    pub policy: Policy,
    /// How many evictions there are at most.
    pub ceilings: Ceilings,
    /// How long around a change a pod may have seen what was before or what came after. Default
    /// 30 s.
    pub grace: SignedDuration,
    /// How long credentials last at most. Default 6 h, as long as EKS gives any.
    pub credentials_last: SignedDuration,
    /// Containers that are the workload's own; where a pod has none of them, all of its containers are. Default
    /// `run`, as Domino calls the one of an execution.
    pub workload_containers: BTreeSet<String>,
    /// Kinds of controllers that start a pod again. Default `ReplicaSet`, `StatefulSet`,
    /// `DaemonSet`, `ReplicationController`. What a Job's pod had done is lost, and a kind that is
    /// not known here promises nothing.
    pub restarting: BTreeSet<String>,
    /// Label with the Domino workload type. Default `dominodatalab.com/workload-type`.
    pub workload_label: String,
    /// Label with the Domino name that started a pod. Default
    /// `dominodatalab.com/starting-user-username`.
    pub user_label: String,
    /// Annotation with which a pod, by `true`, asks not to be evicted. Default
    /// `domino-pod-identity/keep`.
    pub keep_annotation: String,
}

impl Settings {
    /// The defaults, for these namespaces.
    #[must_use]
    pub fn new(namespaces: impl IntoIterator<Item = String>) -> Self {
        let restarting = ["ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController"];
        Self {
            namespaces: namespaces.into_iter().collect(),
            policy: Policy::default(),
            ceilings: Ceilings::default(),
            grace: SignedDuration::from_secs(30),
            credentials_last: SignedDuration::from_hours(6),
            workload_containers: BTreeSet::from([crate::WORKLOAD_CONTAINER.to_owned()]),
            restarting: restarting.map(str::to_owned).into(),
            workload_label: "dominodatalab.com/workload-type".to_owned(),
            user_label: "dominodatalab.com/starting-user-username".to_owned(),
            keep_annotation: "domino-pod-identity/keep".to_owned(),
        }
    }

    /// From when on a pod that is admitted surely comes after a change.
    #[must_use]
    pub fn settled_at(&self, change: Timestamp) -> Timestamp {
        later(change, self.grace)
    }

    /// From when on nothing that was given before a change can be valid any more.
    #[must_use]
    pub fn forgotten_at(&self, change: Timestamp) -> Timestamp {
        later(self.settled_at(change), self.credentials_last)
    }

    /// Whether a pod is looked at: one that is pending or running, not terminating, and in one of
    /// the namespaces.
    #[must_use]
    pub fn looks_at(&self, pod: &Pod) -> bool {
        let over = pod.phase == Phase::Over || pod.terminating;
        !over && self.namespaces.contains(&pod.namespace)
    }
}

/// A time later by so much.
pub(super) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
