//! Who can act as a role, and every association of a cluster.

mod holders;
mod inventory;
mod role;

use std::collections::BTreeMap;

use pod_identity_core::{Association, ClusterArn, DominoName, RoleArn};
use pod_identity_engine::ledger::Condition;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Refusal};
use crate::context::AdminContext;
use crate::request::{Action, Request};

pub(super) const ACTION: Action = Action {
    name: "who",
    what: "who can act as a role through EKS Pod Identity or IRSA, on every registered cluster; or the inventory of a cluster: every association with owner and role",
    fields: &[
        ("role", "ARN of an IAM role, as role or as target role, or"),
        ("cluster", "a cluster by name or ARN: its inventory"),
        ("format", "optional, of an inventory: `table` (the default), `csv` or `json`"),
    ],
    changes: false,
    example: include_str!("../../../../../events/samples/admin/who.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WhoParams {
    role: Option<RoleArn>,
    cluster: Option<String>,
    format: Option<WhoFormat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum WhoFormat {
    #[default]
    Table,
    Csv,
    Json,
}

pub(super) async fn answer(admin: &AdminContext<'_>, request: &Request) -> Result<Answer, Refusal> {
    match request.fields()? {
        WhoParams { role: Some(role), cluster: None, format: None } => {
            role::answer(admin, &role).await
        }
        WhoParams { role: None, cluster: Some(cluster), format } => {
            inventory::answer(admin, &cluster, format.unwrap_or_default()).await
        }
        _ => Err(Refusal(
            "who is asked of either a role or a cluster: name one; `format` goes with a cluster"
                .to_owned(),
        )),
    }
}

/// Whose an association is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Whose {
    /// Ours, and the ledger knows it.
    Managed,
    /// It has our tag, and the ledger does not know it.
    Orphan,
    /// Without our tag.
    Foreign,
    /// An add-on's.
    AddOn,
}

impl Whose {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Managed => "managed",
            Self::Orphan => "orphan",
            Self::Foreign => "foreign",
            Self::AddOn => "add-on",
        }
    }
}

/// Whose an association is, by the ledger's memory of a cluster; and the Domino name that it serves or,
/// for an orphan, that its tag names.
pub(super) fn whose(
    association: &Association,
    cluster: &ClusterArn,
    deployment: &str,
    conditions: &BTreeMap<(DominoName, ClusterArn), Condition>,
) -> (Whose, Option<DominoName>) {
    if association.owner_arn.is_some() {
        return (Whose::AddOn, None);
    }
    let mut here = conditions.iter().filter(|((_, at), _)| at == cluster);
    let holds = |condition: &Condition| {
        condition.association.as_ref().is_some_and(|last| last.id == association.id)
    };
    if let Some(((name, _), _)) = here.find(|(_, condition)| holds(condition)) {
        return (Whose::Managed, Some(name.clone()));
    }
    match association.tagged_by(deployment) {
        Some(tag) => (Whose::Orphan, tag.and_then(|tag| tag.parse().ok())),
        None => (Whose::Foreign, None),
    }
}
