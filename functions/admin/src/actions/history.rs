//! Who bound what, when, by which event.

use pod_identity_core::{ClusterArn, DominoName};
use pod_identity_engine::ledger::{HistoryOutcome, HistoryRecord, View, history_partition};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Refusal};
use crate::context::AdminContext;
use crate::request::{Action, Request};
use crate::table::Table;

pub(super) const ACTION: Action = Action {
    name: "history",
    what: "who bound what, when, by which event; the newest first",
    fields: &[
        ("serviceAccount", "a Domino service account, or"),
        (
            "cluster",
            "a cluster by name or ARN: its registrations and retirements, and what was asked for there",
        ),
        ("limit", "optional: most entries, 50 by default"),
    ],
    changes: false,
    example: include_str!("../../../../events/samples/admin/history.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HistoryParams {
    service_account: Option<DominoName>,
    cluster: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn answer(admin: &AdminContext<'_>, request: &Request) -> Result<Answer, Refusal> {
    let params: HistoryParams = request.fields()?;
    let of = match (&params.service_account, &params.cluster) {
        (Some(name), None) => name.to_string(),
        (None, Some(cluster)) => admin.named(&admin.registry().await?, cluster)?.to_string(),
        _ => {
            return Err(request.wrong("it is of either serviceAccount or cluster: name one"));
        }
    };
    let partition = history_partition(&of);
    let mut view = View::default();
    view.query(admin.ledger, &partition, "").await?;
    let all = view.all::<HistoryRecord>(&partition, "")?;
    let known = all.len();
    let newest: Vec<HistoryRecord> =
        all.into_iter().rev().take(params.limit.unwrap_or(50)).collect();
    let mut table = Table::new(&[
        "when",
        "what",
        "outcome",
        "asked for",
        "actor (claimed)",
        "reason",
        "event",
        "request",
    ]);
    for entry in &newest {
        table.row([
            entry.version.occurred_at().to_string(),
            entry.detail_type.clone(),
            match entry.outcome {
                HistoryOutcome::Accepted => "accepted".to_owned(),
                HistoryOutcome::Superseded => "superseded".to_owned(),
                HistoryOutcome::Noted => "noted".to_owned(),
            },
            change(&entry.change),
            entry.actor.clone().unwrap_or_default(),
            entry.reason.clone().unwrap_or_default(),
            entry.version.event_id().to_owned(),
            entry.request_id.clone(),
        ]);
    }
    let text = if known == 0 {
        format!("The ledger knows no change of {of}.\n")
    } else {
        format!(
            "{of}: {} of {known} changes. Actors are as claimed: CloudTrail's data events prove who sent or invoked, by the request.\n\n{table}",
            newest.len()
        )
    };
    Ok(Answer::of(text).with("history", json!(newest)).with("known", json!(known)))
}

/// What a change asked for, in a few words.
fn change(change: &Value) -> String {
    let text = |at: &str| change.pointer(at).and_then(Value::as_str);
    if let Some(noted) = noted(change) {
        return noted;
    }
    if let Some(role) = text("/desired/role").or_else(|| text("/role")) {
        let place = text("/kubernetes").map(|place| format!(" at {place}")).unwrap_or_default();
        return format!("{role}{place}");
    }
    match (text("/removal"), text("/retire"), text("/cluster")) {
        (Some(reason), ..) => format!("no role ({reason})"),
        (_, Some(_), _) => "retire".to_owned(),
        (.., Some(_)) => "register".to_owned(),
        _ => change.to_string(),
    }
}

/// What was asked for or permitted and changes nothing that stands.
fn noted(change: &Value) -> Option<String> {
    let text = |at: &str| change.get(at).and_then(Value::as_str);
    let name = |arn: &str| {
        arn.parse::<ClusterArn>().map_or_else(|_| arn.to_owned(), |arn| arn.name().to_owned())
    };
    if let Some(id) = text("adopts") {
        let place = text("of").unwrap_or_default();
        let cluster = text("clusterArn").map(name).unwrap_or_default();
        let role = text("hadRole").unwrap_or_default();
        let changes = text("changes").map(|changes| format!("; {changes}")).unwrap_or_default();
        return Some(format!(
            "takes over association {id} of {place} on cluster {cluster}, with role {role}{changes}"
        ));
    }
    if let Some(clusters) = change.get("sweep").and_then(Value::as_array) {
        let clusters: Vec<String> = clusters.iter().filter_map(Value::as_str).map(name).collect();
        let whose = text("serviceAccount").map(|name| format!(" of {name}")).unwrap_or_default();
        return Some(format!("sweep pods{whose} on cluster {}", clusters.join(", ")));
    }
    let from = text("from").map(name)?;
    text("fill").map(|green| format!("fill {} with what works on {from}", name(green)))
}
