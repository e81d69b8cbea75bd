//! What is there already, by what may be done with it.

use pod_identity_events::Problem;

use super::input::{Observation, Options, Place};
use crate::{Association, DominoName, Verdict, plain};

/// The association that a Kubernetes service account has, by what may be done with it.
pub(super) enum Existing<'a> {
    Nothing,
    /// Ours, and the Domino service account that it serves.
    Ours(&'a Association, &'a DominoName),
    /// Not ours, but the holder of the account may adopt it on an administrator's word; and what it
    /// is until then.
    Adoptable(&'a Association, Problem),
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
        let account = place.kubernetes.in_cluster(&observation.cluster);
        let (association_id, role_arn) = (association.id.clone(), association.role_arn.clone());
        let adoptable_id = place.holder().and_then(|claim| claim.adopts.clone());
        // Made again since, so no administrator has looked at this one.
        let adoptable_id = adoptable_id.filter(|named| *named != association.id);
        let (problem, may_be_ours) = match verdict {
            Verdict::Managed(of) | Verdict::Unconfirmed(of) => return Self::Ours(association, of),
            // Its owner would restore it.
            Verdict::AddOnOwned { owner, held } => {
                let add_on = owner.to_owned();
                (Problem::AddOnOwnedAssociation { account, association_id, add_on }, held)
            }
            Verdict::Foreign { replaced: true } => {
                let replaced_id =
                    place.held.as_ref().map(|held| held.id.clone()).unwrap_or_default();
                let problem = Problem::ReplacedAssociation {
                    account,
                    replaced_id,
                    association_id,
                    role_arn,
                    adoptable_id,
                };
                (problem, false)
            }
            Verdict::Adoptable | Verdict::Orphan { .. } | Verdict::Foreign { replaced: false } => {
                let tag = match verdict {
                    Verdict::Orphan { tag } => Some(tag),
                    Verdict::Adoptable => association.tagged_by(&options.deployment),
                    _ => None,
                };
                let problem = match tag {
                    Some(tag) => Problem::OrphanAssociation {
                        account,
                        association_id,
                        tagged_for: tag.map(plain),
                        adoptable_id,
                    },
                    None => Problem::ForeignAssociation {
                        account,
                        association_id,
                        role_arn,
                        adoptable_id,
                    },
                };
                if verdict == Verdict::Adoptable {
                    return Self::Adoptable(association, problem);
                }
                (problem, tag.is_some())
            }
        };
        Self::Protected { problem, may_be_ours }
    }
}
