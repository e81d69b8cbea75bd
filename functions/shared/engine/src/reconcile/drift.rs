//! What somebody changed behind the ledger's back, and the correction.

use std::fmt;

use pod_identity_core::plan::Plan;
use pod_identity_core::{
    Association, Binding, ClusterArn, DominoName, RoleArn, ServiceAccountRef, Verdict,
    association_tags, fingerprint,
};
use pod_identity_events::{Cause, DriftCorrected, Outgoing, SCHEMA_VERSION, detail_type};

use super::Scope;
use crate::context::Context;
use crate::ledger::Condition;
use crate::outcome::time;

/// What was found out of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DriftCause {
    object: String,
    found: String,
    /// The role that is not granted; none where it is about an association.
    ungranted: Option<RoleArn>,
}

/// What was found, and what it is again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Drift {
    what: DriftCause,
    corrected: String,
}

impl DriftCause {
    /// How the association of a finished binding differs from what the binding asks for.
    pub(super) fn of(
        name: &DominoName,
        binding: &Binding,
        condition: &Condition,
        shown: Option<(&Association, Verdict<'_>)>,
        deployment: &str,
    ) -> Option<Self> {
        let place = &binding.kubernetes;
        let last = condition.association.as_ref();
        let Some((shown, verdict)) = shown else {
            let object = last.map_or_else(|| place.to_string(), |last| last.arn.clone());
            return Some(Self::at(object, format!("the association of {place} is gone")));
        };
        let found = match verdict {
            Verdict::AddOnOwned { owner, .. } => format!("it is owned by add-on {owner}"),
            Verdict::Foreign { .. } | Verdict::Orphan { .. } | Verdict::Adoptable => {
                format!("association {} with role {} took its place", shown.id, shown.role_arn)
            }
            Verdict::Managed(of) | Verdict::Unconfirmed(of) if of != name => {
                format!("it serves {of}")
            }
            Verdict::Managed(_) | Verdict::Unconfirmed(_) => {
                let changes = shown.differences(&binding.desired);
                let tags = association_tags(deployment, name);
                let tagged = tags.iter().all(|(key, value)| shown.tags.get(key) == Some(value));
                if !changes.is_empty() {
                    format!("other {} (role {})", changes.join(", "), shown.role_arn)
                } else if !tagged {
                    "it does not carry this deployment's tags".to_owned()
                } else {
                    // Only the ledger has to learn its id.
                    (last.map(|last| &last.id) != Some(&shown.id))
                        .then(|| format!("it was made as {}", shown.id))?
                }
            }
        };
        Some(Self::at(shown.arn.clone(), format!("{place}: {found}")))
    }

    fn at(object: String, found: String) -> Self {
        Self { object, found, ungranted: None }
    }

    /// A role that no node policy lists any more, or that a node role does not have.
    pub(super) fn ungranted(role: &RoleArn, cluster: &ClusterArn) -> Self {
        Self {
            object: format!("node policies of cluster {}", cluster.name()),
            found: format!("role {role} is not granted to every node role"),
            ungranted: Some(role.clone()),
        }
    }

    /// An association for a service account that has no role.
    pub(super) fn unassigned(
        name: &DominoName,
        place: &ServiceAccountRef,
        association: &Association,
    ) -> Self {
        let found = format!("{place}: role {} for {name}, which has none", association.role_arn);
        Self::at(association.arn.clone(), found)
    }

    /// Whether a plan that was made under the lease has put it right for a service account: what was found by a
    /// look without it may have been an event's doing, or not shown yet.
    pub(super) fn is_changed_by(&self, plan: &Plan, name: &DominoName) -> bool {
        if let Some(role) = &self.ungranted {
            return plan.policy_steps.iter().any(|step| step.grants().contains(role));
        }
        plan.places.iter().filter(|place| place.step.is_some()).any(|place| {
            let bound = place.bound.iter().map(|bound| &bound.service_account);
            let left = place.removed.iter().map(|removed| &removed.service_account);
            bound.chain(left).any(|of| of == name)
        })
    }

    pub(super) fn corrected(&self, condition: &Condition) -> Drift {
        let corrected = match &condition.association {
            Some(association) => format!(
                "association {} of {} with role {}",
                association.id, association.kubernetes, association.desired.role
            ),
            None => "no association".to_owned(),
        };
        Drift { what: self.clone(), corrected }
    }
}

impl Drift {
    pub(super) fn event(&self, context: &Context<'_>, scope: &Scope) -> Outgoing {
        let Self { what: DriftCause { object, found, .. }, corrected } = self;
        let request_id = context.run.request_id();
        let cluster = scope.cluster.as_str();
        let by = scope.actor.as_ref().map(|actor| format!("; changed by {actor}"));
        DriftCorrected {
            schema_version: SCHEMA_VERSION,
            event_id: fingerprint([
                detail_type::DRIFT_CORRECTED,
                cluster,
                object,
                found,
                request_id,
            ]),
            occurred_at: time(context.clock.now()),
            cause: Cause { event_id: None, request_id: request_id.to_owned() },
            cluster_arn: cluster.to_owned(),
            object: object.clone(),
            found: format!("{found}{}", by.unwrap_or_default()),
            corrected: corrected.clone(),
        }
        .into()
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what: DriftCause { object, found, .. }, corrected } = self;
        write!(f, "{object}: {found}; now {corrected}")
    }
}
