//! Outcome events, made from what was planned and done.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pod_identity_core::plan::{Blocked, Bound, Removed};
use pod_identity_core::{ClusterArn, DominoName, RoleArn, ServiceAccountRef, Version, fingerprint};
use pod_identity_events::{
    AssociationChange, Cause, NodeRolePolicyChanged, Outgoing, PodIdentityAssociationBlocked,
    PodIdentityAssociationReady, PodIdentityAssociationRemoved, PolicyCapacity,
    ReconciliationRequested, SCHEMA_VERSION, Subject, detail_type,
};

use crate::apply::PolicyChange;
use crate::ledger::AssociationRecord;

/// Makes the outcome events of one cluster.
pub(crate) struct Outcomes<'a> {
    pub(crate) cluster: &'a ClusterArn,
    pub(crate) now: Timestamp,
    pub(crate) request_id: &'a str,
}

/// A time as every outgoing event writes it.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

impl Outcomes<'_> {
    fn subject(&self, name: &DominoName, kubernetes: &ServiceAccountRef) -> Subject {
        Subject {
            service_account: name.to_string(),
            cluster_arn: self.cluster.to_string(),
            namespace: kubernetes.namespace().to_owned(),
            kubernetes_service_account: kubernetes.service_account().to_owned(),
        }
    }

    fn cause(&self, version: Option<&Version>) -> Cause {
        Cause {
            event_id: version.map(|version| version.event_id().to_owned()),
            request_id: self.request_id.to_owned(),
        }
    }

    /// The same outcome of the same change has the same id, however often it is sent.
    fn id(&self, detail_type: &str, parts: &[&str]) -> String {
        let own = [detail_type, self.cluster.as_str()];
        fingerprint(own.into_iter().chain(parts.iter().copied()))
    }

    pub(crate) fn ready(
        &self,
        kubernetes: &ServiceAccountRef,
        bound: &Bound,
        association: &AssociationRecord,
        change: AssociationChange,
    ) -> Outgoing {
        let name = &bound.service_account;
        let version = bound.version.to_string();
        PodIdentityAssociationReady {
            schema_version: SCHEMA_VERSION,
            event_id: self
                .id(detail_type::ASSOCIATION_READY, &[name.as_str(), &version, &association.id]),
            occurred_at: time(self.now),
            cause: self.cause(Some(&bound.version)),
            subject: self.subject(name, kubernetes),
            association_id: association.id.clone(),
            association_arn: association.arn.clone(),
            change,
            role_arn: bound.desired.role.to_string(),
            target_role_arn: bound.desired.target_role.as_ref().map(RoleArn::to_string),
            external_id: association.external_id.clone(),
            trust: bound.trust.clone(),
            warnings: bound.warnings.clone(),
        }
        .into()
    }

    pub(crate) fn removed(
        &self,
        kubernetes: &ServiceAccountRef,
        removed: &Removed,
        remembered: Option<&AssociationRecord>,
        version: &Version,
    ) -> Outgoing {
        let name = &removed.service_account;
        let id = remembered.map(|association| association.id.clone());
        let role = remembered.map(|association| association.desired.role.to_string());
        let place = kubernetes.to_string();
        PodIdentityAssociationRemoved {
            schema_version: SCHEMA_VERSION,
            event_id: self.id(
                detail_type::ASSOCIATION_REMOVED,
                &[name.as_str(), &version.to_string(), &place],
            ),
            occurred_at: time(self.now),
            cause: self.cause(Some(version)),
            subject: self.subject(name, kubernetes),
            association_id: removed.association_id.clone().or(id),
            role_arn: removed.role.clone().or(role),
            reason: removed.reason,
        }
        .into()
    }

    pub(crate) fn blocked(&self, kubernetes: &ServiceAccountRef, blocked: &Blocked) -> Outgoing {
        let name = &blocked.service_account;
        let version = blocked.version.as_ref().map(Version::to_string).unwrap_or_default();
        PodIdentityAssociationBlocked {
            schema_version: SCHEMA_VERSION,
            event_id: self.id(
                detail_type::ASSOCIATION_BLOCKED,
                &[name.as_str(), &version, &kubernetes.to_string(), &blocked.problem.identity()],
            ),
            occurred_at: time(self.now),
            cause: self.cause(blocked.version.as_ref()),
            subject: self.subject(name, kubernetes),
            message: blocked.problem.message(),
            remediation: blocked.problem.remediation(),
            problem: blocked.problem.clone(),
            role_arn: blocked.role.as_ref().map(RoleArn::to_string),
            trust: blocked.trust.clone(),
        }
        .into()
    }

    pub(crate) fn policy_changed(
        &self,
        change: &PolicyChange,
        node_roles: &BTreeSet<RoleArn>,
        capacity: &PolicyCapacity,
    ) -> Outgoing {
        // That version was told of already, when it came into force.
        let gone: &[&str] = if change.gone { &["gone"] } else { &[] };
        let parts = [[change.policy.as_str(), &change.version].as_slice(), gone].concat();
        let node_roles = node_roles.iter().filter(|_| !change.gone);
        NodeRolePolicyChanged {
            schema_version: SCHEMA_VERSION,
            event_id: self.id(detail_type::NODE_ROLE_POLICY_CHANGED, &parts),
            occurred_at: time(self.now),
            cause: self.cause(None),
            cluster_arn: self.cluster.to_string(),
            policy_arn: change.policy.to_string(),
            policy_version: change.version.clone(),
            added_role_arns: change.added.iter().map(RoleArn::to_string).collect(),
            removed_role_arns: change.removed.iter().map(RoleArn::to_string).collect(),
            node_role_arns: node_roles.map(RoleArn::to_string).collect(),
            capacity: capacity.clone(),
        }
        .into()
    }

    pub(crate) fn reconciliation_requested(&self, version: &Version, reason: String) -> Outgoing {
        ReconciliationRequested {
            schema_version: SCHEMA_VERSION,
            event_id: self.id(detail_type::RECONCILIATION_REQUESTED, &[&version.to_string()]),
            occurred_at: time(self.now),
            cause: self.cause(Some(version)),
            cluster_arn: Some(self.cluster.to_string()),
            reason,
            after: None,
            continuation: None,
        }
        .into()
    }
}
