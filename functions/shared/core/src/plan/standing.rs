//! Whose the association of a place is, and so what may be done with it.

use pod_identity_events::BlockedCode;

use super::input::{Claim, Observation, Options, Place, Problem};
use crate::{Association, DominoName, Ownership};

/// What is there already, by what may be done with it.
pub(super) enum Standing<'a> {
    Nothing,
    /// Ours, and the ledger knows whom it was made for.
    Managed(&'a Association, &'a DominoName),
    /// Somebody else's or an orphan, which an administrator lets the holder of the place take over,
    /// and what it is until then, in words.
    Adoptable(&'a Association, String),
    /// In the way.
    Untouchable(Problem),
}

impl<'a> Standing<'a> {
    /// `oldest` is the claim that holds the place: an administrator's word for another one gives it
    /// nothing.
    pub(super) fn of(
        place: &'a Place,
        oldest: Option<&Claim>,
        observation: &Observation,
        options: &Options,
    ) -> Self {
        let Some(association) = &place.association else {
            return Self::Nothing;
        };
        let what = || format!("{} in cluster {}", place.kubernetes, observation.cluster.name());
        let (code, reason, first) = match association.ownership(&options.deployment) {
            Ownership::Ours(tag) => {
                let claiming = place.claims.iter().map(|claim| &claim.binding.service_account);
                let mut known = claiming.chain(place.leaving.keys());
                if let Some(name) = known.find(|name| Some(name.as_str()) == tag) {
                    return Self::Managed(association, name);
                }
                let reason = format!(
                    "association {} of {} carries this deployment's tag for {}, but the ledger does not know it",
                    association.id,
                    what(),
                    tag.unwrap_or("nobody"),
                );
                (
                    BlockedCode::OrphanAssociation,
                    reason,
                    "check that this is the right ledger; then ",
                )
            }
            Ownership::Foreign => {
                let reason = format!(
                    "{} already has association {} with role {}, which this deployment did not make",
                    what(),
                    association.id,
                    association.role_arn,
                );
                (BlockedCode::ForeignAssociation, reason, "")
            }
            // Its owner would put it back.
            Ownership::AddOn(owner) => {
                return Self::Untouchable(Problem {
                    code: BlockedCode::AddOnOwnedAssociation,
                    reason: format!(
                        "association {} of {} is owned by add-on {owner}",
                        association.id,
                        what()
                    ),
                    way_out: "name another Kubernetes service account; only the add-on may change its association"
                        .to_owned(),
                });
            }
        };
        let word = oldest.filter(|claim| claim.refused.is_none());
        let reason = match word.and_then(|claim| claim.adopts.as_ref()) {
            Some(named) if *named == association.id => return Self::Adoptable(association, reason),
            // Made anew since, so nobody has looked at this one.
            Some(named) => format!("{reason}; what may be adopted is association {named}"),
            None => reason,
        };
        let way_out = format!("{first}{}", adoption(association, options));
        Self::Untouchable(Problem { code, reason, way_out })
    }
}

fn adoption(association: &Association, options: &Options) -> String {
    format!(
        "delete association {}, or have an administrator adopt it (action `adopt`, or tag {} with {}={} and {}=NAME of the Domino service account); then send the event again",
        association.id,
        association.arn,
        crate::DEPLOYMENT_TAG,
        options.deployment,
        crate::SERVICE_ACCOUNT_TAG,
    )
}
