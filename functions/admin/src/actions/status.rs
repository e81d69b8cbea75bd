//! How things are: clusters at a glance, and bindings with their conditions.

mod glance;

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{Binding, ClusterArn, DominoName};
use pod_identity_engine::ledger::{
    BindingRecord, Condition, ConditionState, InsideBinding, Registry,
};
use pod_identity_engine::ports::{Clock, KubernetesReader};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Refusal};
use crate::desk::{Desk, Looks};
use crate::request::{Action, Request};
use crate::table::Table;
use glance::{AtAGlance, inside_bindings};

pub(crate) use glance::at_a_glance;

/// Rows of one answer.
const ROWS: usize = 100;
const MOST_ROWS: usize = 500;
/// Conditions that are read at once, as many as one call takes.
const CHUNK: usize = 100;
/// Most conditions of one answer, however rare what is looked for: the answer says where to go on.
const MOST_READ: usize = 500;

pub(super) const ACTION: Action = Action {
    name: "status",
    what: "clusters at a glance, and bindings with their condition on each cluster",
    fields: &[
        ("serviceAccount", "optional: only names that contain this"),
        ("role", "optional: only role ARNs that contain this"),
        ("cluster", "optional: only this cluster, by name or ARN"),
        ("state", "optional: only `ready`, `blocked`, `pending`, `waiting` or `removed`"),
        ("limit", "optional: most rows, 100 by default, 500 at most"),
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
struct Asked {
    service_account: Option<String>,
    role: Option<String>,
    cluster: Option<String>,
    state: Option<ConditionState>,
    limit: Option<usize>,
    after: Option<DominoName>,
}

/// One binding on one cluster.
struct Row<'a> {
    name: &'a DominoName,
    binding: Option<&'a Binding>,
    cluster: &'a ClusterArn,
    condition: Option<Condition>,
}

pub(super) async fn answer(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let asked: Asked = request.fields()?;
    let limit = asked.limit.unwrap_or(ROWS);
    if !(1..=MOST_ROWS).contains(&limit) {
        return Err(Refusal(format!("limit is 1 to {MOST_ROWS}, not {limit}")));
    }
    let registry = desk.registry().await?;
    let only = match &asked.cluster {
        Some(name) => Some(desk.named(&registry, name)?),
        None => None,
    };
    let clusters: BTreeSet<&ClusterArn> = registry
        .clusters
        .keys()
        .filter(|one| only.as_ref().is_none_or(|only| only == *one))
        .collect();
    let glance = at_a_glance(desk, &clusters).await?;
    let bindings = desk.bindings().await?;
    let found = find(desk, &registry, &clusters, &bindings, &asked, limit).await?;
    let mut inside = BTreeMap::new();
    for cluster in found.rows.iter().map(|row| row.cluster).collect::<BTreeSet<_>>() {
        inside.insert(cluster, inside_bindings(desk, cluster).await?);
    }
    Ok(told(&bindings, &clusters, &glance, &found, &inside))
}

struct Rows<'a> {
    rows: Vec<Row<'a>>,
    /// Behind which service account the next answer goes on.
    next: Option<DominoName>,
}

/// Rows that fit what was asked for, from where it was asked for.
async fn find<'a>(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    registry: &Registry,
    clusters: &BTreeSet<&'a ClusterArn>,
    bindings: &'a BTreeMap<DominoName, BindingRecord>,
    asked: &Asked,
    limit: usize,
) -> Result<Rows<'a>, String> {
    let fits = |(name, record): &(&DominoName, &BindingRecord)| {
        let contains = |text: &str, part: &Option<String>| {
            part.as_ref().is_none_or(|part| text.contains(part.as_str()))
        };
        let role = record.binding().map(|binding| binding.desired.role.as_str());
        asked.after.as_ref().is_none_or(|after| *name > after)
            && contains(name.as_str(), &asked.service_account)
            && contains(role.unwrap_or_default(), &asked.role)
            // Tombstones only where they are asked for.
            && (record.binding().is_some() || asked.state == Some(ConditionState::Removed))
    };
    let mut rows = Vec::new();
    let (mut read, mut last) = (0, None);
    let chosen: Vec<_> = bindings.iter().filter(fits).collect();
    let by_call = (CHUNK / clusters.len().max(1)).max(1);
    for names in chosen.chunks(by_call) {
        if rows.len() >= limit || read >= MOST_READ {
            return Ok(Rows { rows, next: last });
        }
        let pairs =
            names.iter().flat_map(|(name, _)| clusters.iter().map(move |one| (*name, *one)));
        let mut conditions = desk.conditions(pairs).await?;
        read += names.len() * clusters.len();
        for (name, record) in names {
            for cluster in clusters {
                let condition = conditions.remove(&((*name).clone(), (*cluster).clone()));
                let taken = registry.clusters.get(*cluster).zip(record.binding());
                let meant = taken.is_some_and(|(cluster, binding)| cluster.takes(binding));
                let state = condition.as_ref().map(|condition| condition.state);
                let shown = match asked.state {
                    Some(wanted) => state == Some(wanted),
                    None => meant || state.is_some_and(|state| state != ConditionState::Removed),
                };
                if shown {
                    rows.push(Row { name, binding: record.binding(), cluster, condition });
                }
            }
            last = Some((*name).clone());
        }
    }
    Ok(Rows { rows, next: None })
}

fn told(
    bindings: &BTreeMap<DominoName, BindingRecord>,
    clusters: &BTreeSet<&ClusterArn>,
    glance: &BTreeMap<&ClusterArn, AtAGlance>,
    found: &Rows<'_>,
    inside: &BTreeMap<&ClusterArn, BTreeMap<DominoName, InsideBinding>>,
) -> Answer {
    let bound = bindings.values().filter(|record| record.binding().is_some()).count();
    let mut text =
        format!("{bound} service accounts are bound, {} clusters shown.\n\n", clusters.len());
    text += &glance::table(glance).to_string();
    let mut table = Table::new(&[
        "service account",
        "cluster",
        "state",
        "role",
        "kubernetes",
        "since",
        "remark",
    ]);
    let mut data: Vec<Value> = Vec::new();
    for row in &found.rows {
        let seen = inside.get(row.cluster).and_then(|all| all.get(row.name));
        let state = state_word(row.condition.as_ref());
        let remark = remark(row.condition.as_ref(), seen);
        let role = row.binding.map(|binding| binding.desired.role.to_string()).unwrap_or_default();
        let place = row.binding.map(|binding| binding.kubernetes.to_string()).unwrap_or_default();
        let since = row.condition.as_ref().map(|condition| condition.updated_at.to_string());
        table.row([
            row.name.to_string(),
            row.cluster.name().to_owned(),
            state.to_owned(),
            role,
            place,
            since.unwrap_or_default(),
            remark,
        ]);
        data.push(json!({
            "serviceAccount": row.name,
            "clusterArn": row.cluster,
            "binding": row.binding,
            "condition": row.condition,
            "inside": seen,
        }));
    }
    if table.len() > 0 {
        text += &format!("\n{table}");
    } else {
        text += "\nNo binding fits.\n";
    }
    if let Some(next) = &found.next {
        text += &format!("\nThere is more: ask again with \"after\": \"{next}\".\n");
    }
    Answer::of(text)
        .with("clusters", json!(glance.iter().map(glance::data).collect::<Vec<_>>()))
        .with("bindings", json!(data))
        .with("next", json!(found.next))
}

pub(crate) fn state_word(condition: Option<&Condition>) -> &'static str {
    match condition.map(|condition| condition.state) {
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
        return format!("{}; {}", blocked.reason, blocked.way_out);
    }
    let lacks = inside.and_then(|inside| inside.blocked.as_ref().or(inside.shadowed.as_ref()));
    if let Some(missing) = lacks {
        return format!("{}; {}", missing.reason, missing.way_out);
    }
    match inside.and_then(|inside| inside.effective.as_ref()) {
        Some(effective) => format!("effective, seen at {}", effective.at),
        None => condition.map(|condition| condition.warnings.join("; ")).unwrap_or_default(),
    }
}
