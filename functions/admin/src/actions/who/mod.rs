//! Who can act as a role, and every association of a cluster.

mod holders;
mod inventory;
mod role;

use std::collections::BTreeMap;

use pod_identity_core::{Association, ClusterArn, DominoName, KubernetesName, Ownership, RoleArn};
use pod_identity_engine::ledger::{BindingRecord, Condition};
use pod_identity_engine::ports::{Clock, KubernetesReader};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Refusal};
use crate::desk::{Desk, Looks};
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
struct Asked {
    role: Option<RoleArn>,
    cluster: Option<String>,
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Format {
    #[default]
    Table,
    Csv,
    Json,
}

pub(super) async fn answer(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    request: &Request,
) -> Result<Answer, Refusal> {
    match request.fields()? {
        Asked { role: Some(role), cluster: None, format: None } => role::answer(desk, &role).await,
        Asked { role: None, cluster: Some(cluster), format } => {
            inventory::answer(desk, &cluster, format.unwrap_or_default()).await
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

/// Whose an association is, by its own marks and the ledger's memory of a cluster; and for which
/// Domino name it was made.
pub(super) fn whose(
    association: &Association,
    place: Option<&KubernetesName>,
    cluster: &ClusterArn,
    deployment: &str,
    bindings: &BTreeMap<DominoName, BindingRecord>,
    conditions: &BTreeMap<(DominoName, ClusterArn), Condition>,
) -> (Whose, Option<DominoName>) {
    let tag = match association.ownership(deployment) {
        Ownership::AddOn(_) => return (Whose::AddOn, None),
        Ownership::Foreign => return (Whose::Foreign, None),
        Ownership::Ours(tag) => tag,
    };
    let Some(name) = tag.and_then(|tag| tag.parse::<DominoName>().ok()) else {
        return (Whose::Orphan, None);
    };
    let wanted = bindings.get(&name).and_then(BindingRecord::binding);
    let wanted = wanted.is_some_and(|one| one.selects(cluster) && Some(&one.kubernetes) == place);
    let remembered = conditions.get(&(name.clone(), cluster.clone()));
    let remembered = remembered.zip(place).is_some_and(|(it, place)| remembers(it, place));
    let whose = if wanted || remembered { Whose::Managed } else { Whose::Orphan };
    (whose, Some(name))
}

/// Whether a condition explains an association at a place.
fn remembers(condition: &Condition, place: &KubernetesName) -> bool {
    condition.wanted.as_ref() == Some(place)
        || condition.leaving.contains_key(place)
        || condition.association.as_ref().is_some_and(|it| it.kubernetes == *place)
}
