//! Whose an association is, by what the ledger remembers. A tag may say where to look, never whose
//! the association is: everybody who may tag can copy a tag or take it off.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Association, DEPLOYMENT_TAG, Desired, DominoName, SERVICE_ACCOUNT_TAG, ServiceAccountRef,
    Version,
};

/// How far EKS's clock and the function's may differ: an association that was made for an intent
/// was not made earlier than that before the intent.
pub const CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

/// How long an intent stays open after the association was removed: a creation that was under way
/// then may still take effect.
pub const INTENT_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Most open intents of a binding on one cluster.
pub const MAX_INTENTS: usize = 8;

/// The association of a Kubernetes service account that the ledger remembers to be ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldAssociation {
    /// Its id. EKS uses no id twice.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// The Domino service account that it serves.
    pub service_account: DominoName,
    /// Version of the binding that it was last made or changed for.
    pub version: Version,
    /// What it gives its pods.
    #[serde(flatten)]
    pub desired: Desired,
}

/// What the ledger allows a creation to make, written before the creation is asked for. A run that
/// dies before it learns the id leaves an association that an intent accounts for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// The Kubernetes service account.
    pub kubernetes: ServiceAccountRef,
    /// Version of the binding.
    pub version: Version,
    /// What the association gives its pods.
    #[serde(flatten)]
    pub desired: Desired,
    /// When the ledger recorded it, by the function's clock: no time that an event claims.
    pub recorded_at: Timestamp,
    /// Until when it is open, once the association was removed; absent while the binding stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl Intent {
    /// Whether this is an intent to make just that.
    #[must_use]
    pub fn allows(&self, kubernetes: &ServiceAccountRef, desired: &Desired) -> bool {
        self.kubernetes == *kubernetes && self.desired == *desired
    }

    /// Whether it still accounts for anything.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|until| until > now)
    }

    /// Whether an association can be what this intent made: it has both our tags for the name, just
    /// these values, and is not older than the intent.
    fn accounts_for(&self, name: &DominoName, association: &Association, deployment: &str) -> bool {
        let tagged = association.tagged_by(deployment) == Some(Some(name.as_str()));
        tagged && self.may_have_made(association)
    }

    /// Whether an association can be what it is by a change that this intent allows: it has both our tags for the
    /// name, just these values, and was changed since.
    fn accounts_for_change(
        &self,
        name: &DominoName,
        association: &Association,
        deployment: &str,
    ) -> bool {
        let tagged = association.tagged_by(deployment) == Some(Some(name.as_str()));
        tagged && self.describes(association) && self.is_before(association.modified_at)
    }

    /// Whether an association can be what this intent made, whatever its tags say: a hand may have taken them off.
    #[must_use]
    pub fn may_have_made(&self, association: &Association) -> bool {
        self.describes(association) && self.is_before(association.created_at)
    }

    fn describes(&self, association: &Association) -> bool {
        association.namespace == self.kubernetes.namespace()
            && association.service_account == self.kubernetes.service_account()
            && association.fits(&self.desired)
    }

    fn is_before(&self, at: Option<Timestamp>) -> bool {
        let earliest = self.recorded_at.checked_sub(CLOCK_DIFFERENCE).unwrap_or(Timestamp::MIN);
        at.is_some_and(|at| at >= earliest)
    }
}

/// What the ledger knows of one Kubernetes service account on a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Id of the deployment.
    pub deployment: &'a str,
    /// The association that is remembered there.
    pub held: Option<&'a HeldAssociation>,
    /// Intents to make one there, each with the Domino service account that it is for.
    pub intents: &'a [(DominoName, Intent)],
    /// The association, by id, that an administrator lets the binding that holds the account adopt.
    pub adopts: Option<&'a str>,
}

/// Whose an association is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// An EKS add-on owns it and alone may change it.
    AddOnOwned {
        /// ARN of the add-on.
        owner: &'a str,
        /// Whether the ledger remembers it as ours.
        held: bool,
    },
    /// The ledger remembers its id, and for whom, unless an open intent accounts for a change for another one.
    Managed(&'a DominoName),
    /// An open intent accounts for it; its id is not recorded yet.
    Unconfirmed(&'a DominoName),
    /// An administrator named its id.
    Adoptable,
    /// It has the tag of this deployment, and the ledger does not account for it: copied tags, a
    /// restored ledger, or a creation of long ago.
    Orphan {
        /// The Domino service account that its tag names.
        tag: Option<&'a str>,
    },
    /// Neither the ledger nor its tags make it ours.
    Foreign {
        /// Whether the ledger remembers another one here: ours was replaced.
        replaced: bool,
    },
}

impl<'a> Verdict<'a> {
    /// Whose the association is, the first that holds: its owner by EKS's word, the ledger's
    /// memory, an intent, an administrator's word, its tags.
    #[must_use]
    pub fn of(association: &'a Association, evidence: &Evidence<'a>) -> Self {
        let Evidence { deployment, held, intents, adopts } = *evidence;
        let known = held.filter(|held| held.id == association.id);
        if let Some(owner) = &association.owner_arn {
            return Self::AddOnOwned { owner, held: known.is_some() };
        }
        if let Some(held) = known {
            // A run that died may have passed it on without a word.
            let changed = |(name, intent): &&(DominoName, Intent)| {
                intent.accounts_for_change(name, association, deployment)
            };
            let next = intents.iter().find(changed).filter(|_| !association.fits(&held.desired));
            return Self::Managed(next.map_or(&held.service_account, |(name, _)| name));
        }
        let made = |(name, intent): &&(DominoName, Intent)| {
            intent.accounts_for(name, association, deployment)
        };
        if let Some((name, _)) = intents.iter().find(made) {
            return Self::Unconfirmed(name);
        }
        if adopts == Some(association.id.as_str()) {
            return Self::Adoptable;
        }
        match association.tagged_by(deployment) {
            Some(tag) => Self::Orphan { tag },
            None => Self::Foreign { replaced: held.is_some() },
        }
    }

    /// The Domino service account that it serves, if it is ours.
    #[must_use]
    pub fn owner(&self) -> Option<&'a DominoName> {
        match self {
            Self::Managed(name) | Self::Unconfirmed(name) => Some(name),
            _ => None,
        }
    }
}

impl Association {
    /// What its tags say, which proves nothing: none when it does not carry the deployment's tag;
    /// otherwise the Domino service account that its other tag names, if it has one.
    #[must_use]
    pub fn tagged_by(&self, deployment: &str) -> Option<Option<&str>> {
        let ours = self.tags.get(DEPLOYMENT_TAG).is_some_and(|tag| tag == deployment);
        ours.then(|| self.tags.get(SERVICE_ACCOUNT_TAG).map(String::as_str))
    }
}
