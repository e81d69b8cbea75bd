//! How things are: clusters at a glance, and bindings with their conditions.

mod counts;
mod find;
mod glance;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use pod_identity_core::{ClusterArn, DominoName};
use pod_identity_engine::ledger::{Condition, ConditionState, InsideBinding};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Refusal};
use crate::context::AdminContext;
use crate::request::{Action, Request};
use crate::table::Table;
use find::{Places, Rows, find};

pub(crate) use counts::Counts;
pub(crate) use glance::at_a_glance;

/// Rows of one answer.
const ROWS: usize = 100;
/// Of so many one answer takes no more than ten calls for a thousand bindings.
const MOST_ROWS: usize = 300;

pub(super) const ACTION: Action = Action {
    name: "status",
    what: "clusters at a glance, and bindings with their condition on each cluster",
    fields: &[
        ("serviceAccount", "optional: only names that contain this"),
        ("role", "optional: only role ARNs that contain this"),
        ("cluster", "optional: only this cluster, by name or ARN"),
        ("state", "optional: only `ready`, `blocked`, `pending`, `waiting` or `removed`"),
        (
            "limit",
            "optional: most rows, 100 by default, 300 at most; rows of one service account stay together, so that one on more clusters than that still has them all",
        ),
        (
            "after",
            "optional: goes on behind this service account, as `next` of the last answer says",
        ),
    ],
    changes: false,
    example: include_str!("../../../../events/samples/admin/status.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StatusParams {
    service_account: Option<String>,
    role: Option<String>,
    cluster: Option<String>,
    state: Option<ConditionState>,
    limit: Option<usize>,
    after: Option<DominoName>,
}

pub(super) async fn answer(admin: &AdminContext<'_>, request: &Request) -> Result<Answer, Refusal> {
    let params: StatusParams = request.fields()?;
    let limit = params.limit.unwrap_or(ROWS);
    if !(1..=MOST_ROWS).contains(&limit) {
        return Err(Refusal(format!("limit is 1 to {MOST_ROWS}, not {limit}")));
    }
    let registry = admin.registry().await?;
    let only = match &params.cluster {
        Some(name) => Some(admin.named(&registry, name)?),
        None => None,
    };
    let clusters: BTreeSet<&ClusterArn> = registry
        .clusters
        .keys()
        .filter(|one| only.as_ref().is_none_or(|only| only == *one))
        .collect();
    let mut glance = at_a_glance(admin, &clusters).await?;
    let bindings = admin.bindings().await?;
    let places = Places { registry: &registry, clusters: &clusters, only: only.as_ref() };
    let found = find(admin, &places, &bindings, &params, limit).await?;
    for (cluster, glance) in &mut glance {
        let Some(record) = registry.clusters.get(*cluster) else { continue };
        let live = found.counted.as_ref();
        let live = live.map(|all| all.get(*cluster).cloned().unwrap_or_default());
        glance.counts = match live {
            Some(states) => Some(Counts::live(record, &states, &bindings, admin.clock.now())),
            None => Counts::noted(record, glance.reconciled.as_ref(), &bindings),
        };
    }
    let bound = bindings.values().filter(|record| record.binding().is_some()).count();
    let mut text =
        format!("{bound} service accounts are bound, {} clusters shown.\n\n", clusters.len());
    text += &glance::words(&glance);
    text += &words(&found);
    Ok(Answer::of(text)
        .with("clusters", json!(glance.iter().map(glance::data).collect::<Vec<_>>()))
        .with("bindings", data(&found))
        .with("next", json!(found.next)))
}

fn words(found: &Rows<'_>) -> String {
    let mut table = Table::new(&[
        "service account",
        "cluster",
        "state",
        "role",
        "kubernetes",
        "since",
        "remark",
    ]);
    for row in &found.rows {
        let remark = match row.cluster {
            Some(_) => remark(row.condition.as_ref(), row.inside.as_ref()),
            None => "no registered cluster takes it; see action clusters, and register one that is in the account of its role, or bind it for another".to_owned(),
        };
        let role = row.binding.map(|binding| binding.desired.role.to_string()).unwrap_or_default();
        let place = row.binding.map(|binding| binding.kubernetes.to_string()).unwrap_or_default();
        let since = row.condition.as_ref().map(|condition| condition.updated_at.to_string());
        table.row([
            row.name.to_string(),
            row.cluster.map_or("none registered", ClusterArn::name).to_owned(),
            word(row.state()).to_owned(),
            role,
            place,
            since.unwrap_or_default(),
            remark,
        ]);
    }
    let mut text = match table.len() {
        0 => "\nNo binding fits.\n".to_owned(),
        _ => format!("\n{table}"),
    };
    if let Some(next) = &found.next {
        text += &format!("\nThere is more: ask again with \"after\": \"{next}\".\n");
    }
    text
}

fn data(found: &Rows<'_>) -> Value {
    let rows = found.rows.iter().map(|row| {
        json!({
            "serviceAccount": row.name,
            "clusterArn": row.cluster,
            "state": word(row.state()),
            "binding": row.binding,
            "condition": row.condition,
            "inside": row.inside,
        })
    });
    rows.collect()
}

pub(crate) fn state_word(condition: Option<&Condition>) -> &'static str {
    word(condition.map(|condition| condition.state))
}

fn word(state: Option<ConditionState>) -> &'static str {
    match state {
        None => "not begun",
        Some(ConditionState::Pending) => "pending",
        Some(ConditionState::Waiting) => "waiting",
        Some(ConditionState::Ready) => "ready",
        Some(ConditionState::Removed) => "removed",
        Some(ConditionState::Blocked) => "blocked",
    }
}

/// What stands in the way, or proves that it works.
fn remark(condition: Option<&Condition>, inside: Option<&InsideBinding>) -> String {
    if let Some(blocked) = condition.and_then(|condition| condition.blocked.as_ref()) {
        return blocked.to_string();
    }
    if let Some(blocked) = inside.and_then(|inside| inside.blocked.as_ref()) {
        return blocked.to_string();
    }
    if let Some(missing) = inside.and_then(|inside| inside.shadowed.as_ref()) {
        return format!("{}; {}", missing.reason, missing.remediation);
    }
    match inside.and_then(|inside| inside.effective.as_ref()) {
        Some(effective) => format!("effective, seen at {}", effective.at),
        None => condition.map(|condition| condition.warnings.join("; ")).unwrap_or_default(),
    }
}
