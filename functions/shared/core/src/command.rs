//! What an accepted event asks for.

use std::collections::BTreeSet;

use pod_identity_events::RemovalReason;
use serde::{Deserialize, Serialize};

use crate::{Binding, ClusterArn, DominoName, NameError, RoleArn, Version};

/// An incoming event that breaks no rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Decides between this and other changes of the same thing.
    pub version: Version,
    /// The envelope's `detail-type`.
    pub detail_type: String,
    /// Who did it, as the sender claims.
    pub actor: Option<String>,
    /// Why, in the sender's words.
    pub reason: Option<String>,
    /// What to do.
    pub change: Change,
}

/// A change of what should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A service account is bound to a role from now on.
    Bind(Binding),
    /// A service account is bound to no role any more.
    Unbind {
        /// The Domino service account.
        service_account: DominoName,
        /// What took its role away.
        reason: RemovalReason,
    },
    /// A cluster joins, or its registration changes.
    Register(Registration),
    /// A cluster's guarded retirement is asked for.
    Retire {
        /// The cluster.
        cluster: ClusterArn,
        /// Who may lose its association there without having one elsewhere.
        exemptions: Exemptions,
    },
}

/// The service accounts that a retirement gives up: they need not be ready on another cluster.
///
/// It serialises as the list of the event: names, or `*` alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub enum Exemptions {
    /// Every one.
    All,
    /// These; at most [`Exemptions::MOST`].
    Named(BTreeSet<DominoName>),
}

impl Exemptions {
    /// Most names in one list: the ledger keeps those of all clusters in one item.
    pub const MOST: usize = 100;

    /// Whether a service account is exempt.
    #[must_use]
    pub fn names(&self, service_account: &DominoName) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(service_account),
        }
    }

    /// Whether none is exempt.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        matches!(self, Self::Named(names) if names.is_empty())
    }
}

impl Default for Exemptions {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

/// A list gives up nobody that can be known. States the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExemptionsError {
    /// `*` has company.
    #[error("`*` gives up every service account, so it stands alone")]
    Company,
    /// There are more names than one list takes.
    #[error("{0} names are too many: at most {most} are taken, or `*` for all", most = Exemptions::MOST)]
    TooMany(usize),
    /// One is no name.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl TryFrom<Vec<String>> for Exemptions {
    type Error = ExemptionsError;

    fn try_from(list: Vec<String>) -> Result<Self, ExemptionsError> {
        if list.iter().any(|name| name == "*") {
            return if list.len() == 1 { Ok(Self::All) } else { Err(ExemptionsError::Company) };
        }
        if list.len() > Self::MOST {
            return Err(ExemptionsError::TooMany(list.len()));
        }
        Ok(Self::Named(list.iter().map(|name| name.parse()).collect::<Result<_, _>>()?))
    }
}

impl From<Exemptions> for Vec<String> {
    fn from(exemptions: Exemptions) -> Self {
        match exemptions {
            Exemptions::All => vec!["*".to_owned()],
            Exemptions::Named(names) => names.into_iter().map(String::from).collect(),
        }
    }
}

/// A cluster of the deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The cluster.
    pub cluster: ClusterArn,
    /// Its node roles; when empty, those of its node groups are meant.
    #[serde(default)]
    pub node_roles: BTreeSet<RoleArn>,
    /// The role to assume for a cluster of another account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role: Option<RoleArn>,
}
