//! What is there already, by what may be done with it.

use pod_identity_events::BlockedCode;

use super::input::{Observation, Options, Place, Problem};
use crate::{Association, DominoName, Verdict, plain};

/// The association that a Kubernetes service account has, by what may be done with it.
pub(super) enum Existing<'a> {
    Nothing,
    /// Ours, and the Domino service account that it serves.
    Ours(&'a Association, &'a DominoName),
    /// Not ours, but the holder of the account may adopt it on an administrator's word; and what it
    /// is until then, in words.
    Adoptable(&'a Association, String),
    /// In the way.
    Protected {
        problem: Problem,
        /// Whether it may be ours after all, so that no removal can be proven here.
        may_be_ours: bool,
    },
}

impl<'a> Existing<'a> {
    pub(super) fn of(place: &'a Place, observation: &Observation, options: &'a Options) -> Self {
        let (Some(association), Some(verdict)) =
            (&place.association, place.verdict(&options.deployment))
        else {
            return Self::Nothing;
        };
        let what = format!("{} in cluster {}", place.kubernetes, observation.cluster.name());
        let id = &association.id;
        let (code, reason, first) = match verdict {
            Verdict::Managed(of) | Verdict::Unconfirmed(of) => return Self::Ours(association, of),
            // Its owner would restore it.
            Verdict::AddOnOwned { owner, held } => {
                let problem = Problem {
                    code: BlockedCode::AddOnOwnedAssociation,
                    reason: format!("association {id} of {what} is owned by add-on {owner}"),
                    remediation: "name another Kubernetes service account; only the add-on may change its association"
                        .to_owned(),
                };
                return Self::Protected { problem, may_be_ours: held };
            }
            Verdict::Adoptable => {
                let reason = match association.tagged_by(&options.deployment) {
                    Some(tag) => orphan(association, &what, tag),
                    None => foreign(association, &what),
                };
                return Self::Adoptable(association, reason);
            }
            Verdict::Orphan { tag } => (
                BlockedCode::OrphanAssociation,
                orphan(association, &what, tag),
                "check that this is the right ledger; then ",
            ),
            Verdict::Foreign { replaced: false } => {
                (BlockedCode::ForeignAssociation, foreign(association, &what), "")
            }
            Verdict::Foreign { replaced: true } => {
                let held = place.held.as_ref().map(|held| held.id.as_str()).unwrap_or_default();
                let reason = format!(
                    "association {held} of {what}, which this deployment made, was replaced by association {id} with role {}, which it did not make: pods may get that role",
                    association.role_arn
                );
                (
                    BlockedCode::ReplacedAssociation,
                    reason,
                    "find out in CloudTrail who replaced it; then ",
                )
            }
        };
        let named = place.holder().and_then(|claim| claim.adopts.as_ref());
        let reason = match named {
            // Made again since, so no administrator has looked at this one.
            Some(named) if named != id => {
                format!("{reason}; what may be adopted is association {named}")
            }
            _ => reason,
        };
        let remediation = format!(
            "{first}delete association {id}, or adopt it by its id (action `adopt`); then send the event again"
        );
        let may_be_ours = code == BlockedCode::OrphanAssociation;
        Self::Protected { problem: Problem { code, reason, remediation }, may_be_ours }
    }
}

fn orphan(association: &Association, what: &str, tag: Option<&str>) -> String {
    let tag = tag.map_or_else(|| "no service account".to_owned(), plain);
    format!(
        "association {} of {what} carries this deployment's tag for {tag}, but the ledger does not account for it",
        association.id,
    )
}

fn foreign(association: &Association, what: &str) -> String {
    format!(
        "{what} already has association {} with role {}, which this deployment did not make",
        association.id, association.role_arn,
    )
}
