//! The guarded retirement of a cluster, with who holds it up.

use std::collections::BTreeSet;

use pod_identity_core::{DominoName, Exemptions};
use pod_identity_engine::{chain, retirement_blockers};
use serde::Deserialize;
use serde_json::json;

use super::bind::render;
use super::clusters::retirement;
use crate::answer::{Answer, Refusal};
use crate::change::make;
use crate::context::{AdminContext, AdminWriter};
use crate::request::{Action, Request};

/// Most names in one sentence; all are in the data.
const NAMES: usize = 50;

pub(super) const ACTION: Action = Action {
    name: "retire",
    what: "asks for a cluster's guarded retirement, and says who holds it up; reconcile empties the cluster once nobody does",
    fields: &[
        ("cluster", "name or ARN"),
        (
            "exemptServiceAccounts",
            "optional: service accounts that need not be ready on another cluster, and lose their role with it, or `*` alone",
        ),
    ],
    changes: true,
    example: include_str!("../../../../events/samples/admin/retire.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RetireParams {
    cluster: String,
    #[serde(default)]
    exempt_service_accounts: Vec<String>,
}

pub(super) async fn answer(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let params: RetireParams = request.fields()?;
    let exemptions = Exemptions::try_from(params.exempt_service_accounts.clone())
        .map_err(|error| request.wrong(format!("exemptServiceAccounts: {error}")))?;
    let cluster = admin.named(&admin.registry().await?, &params.cluster)?;
    let guard = async |exemptions: &Exemptions| {
        retirement_blockers(admin.ledger, admin.settings, &cluster, exemptions)
            .await
            .map_err(|e| chain(&e))
    };
    let nobody = Exemptions::default();
    let before = guard(&nobody).await?;
    let change_request = retirement(cluster.as_str(), &params.exempt_service_accounts);
    let changed = make(admin, writer, request, &[change_request]).await?;
    let mut answer = render(request, &changed)?;
    let after = match (guard(&exemptions).await, writer) {
        (Ok(after), _) => after,
        // The ledger has it by now, whatever cannot be read.
        (Err(why), Some(_)) => {
            answer.text += &unread(cluster.name(), &why);
            return Ok(answer
                .with("retirementBlockedByUnknown", json!(why))
                .applied_by(request, &[]));
        }
        (Err(why), None) => return Err(Refusal(why)),
    };
    let lose: BTreeSet<DominoName> = before.difference(&after).cloned().collect();
    answer.text += &words(cluster.name(), &lose, &after);
    Ok(answer
        .with("lose", json!(lose))
        .with("retirementBlockedBy", json!(after))
        .applied_by(request, &[]))
}

fn unread(cluster: &str, why: &str) -> String {
    format!(
        "Who holds the retirement of cluster {cluster} up could not be read: {why}; ask again with mode plan.\n"
    )
}

fn words(cluster: &str, lose: &BTreeSet<DominoName>, held: &BTreeSet<DominoName>) -> String {
    let mut text = String::new();
    if !lose.is_empty() {
        text += &format!(
            "Given up, and ready on no other cluster: {} lose their role with cluster {cluster}: {}.\n",
            lose.len(),
            names(lose)
        );
    }
    if held.is_empty() {
        text += &format!("Nobody holds the retirement of cluster {cluster} up.\n");
    } else {
        text += &format!(
            "Held up by {}, ready on no other cluster: {}. Nothing is deleted on cluster {cluster} before each is ready elsewhere (action migrate, action status) or named in exemptServiceAccounts.\n",
            held.len(),
            names(held)
        );
    }
    text
}

fn names(all: &BTreeSet<DominoName>) -> String {
    let some: Vec<&str> = all.iter().take(NAMES).map(DominoName::as_str).collect();
    let more = if all.len() > NAMES { ", ..." } else { "" };
    format!("{}{more}", some.join(", "))
}
