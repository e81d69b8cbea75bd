//! How things are: clusters at a glance, and bindings with their conditions.

mod glance;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{Binding, ClusterArn, Clusters, DominoName};
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
        (
            "limit",
            "optional: most rows, 100 by default, 500 at most; rows of one service account stay together, so that one on more clusters than that still has them all",
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
    /// None where no registered cluster takes the binding, and it names none.
    cluster: Option<&'a ClusterArn>,
    condition: Option<Condition>,
    /// Whether it cannot begin before a cluster is registered.
    waits: bool,
}

impl Row<'_> {
    fn state(&self) -> Option<ConditionState> {
        let waiting = self.waits.then_some(ConditionState::Waiting);
        self.condition.as_ref().map(|condition| condition.state).or(waiting)
    }
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
    let places = Places { registry: &registry, clusters: &clusters, only: only.as_ref() };
    let found = find(desk, &places, &bindings, &asked, limit).await?;
    let mut inside = BTreeMap::new();
    // Nobody has looked inside a cluster that is not registered.
    let shown: BTreeSet<&ClusterArn> = found.rows.iter().filter_map(|row| row.cluster).collect();
    for cluster in shown.intersection(&clusters).copied() {
        inside.insert(cluster, inside_bindings(desk, cluster).await?);
    }
    Ok(told(&bindings, &clusters, &glance, &found, &inside))
}

struct Rows<'a> {
    rows: Vec<Row<'a>>,
    /// Behind which service account the next answer goes on.
    next: Option<DominoName>,
}

/// Where bindings are, or should be.
struct Places<'a> {
    registry: &'a Registry,
    /// The registered ones that are asked for.
    clusters: &'a BTreeSet<&'a ClusterArn>,
    /// The one that is asked for, registered or not.
    only: Option<&'a ClusterArn>,
}

impl<'a> Places<'a> {
    /// The clusters on which a binding may have something: the registered ones, and those that it
    /// names and waits for.
    fn of(&self, record: &'a BindingRecord) -> BTreeSet<&'a ClusterArn> {
        let named = match record.binding().map(|binding| &binding.clusters) {
            Some(Clusters::Named(named)) => Some(named),
            _ => None,
        };
        let named = named.into_iter().flatten();
        let named = named.filter(|one| self.only.is_none_or(|only| only == *one));
        self.clusters.iter().copied().chain(named).collect()
    }

    /// Its rows, one for each cluster on which there is something to show.
    fn rows(
        &self,
        name: &'a DominoName,
        record: &'a BindingRecord,
        conditions: &mut BTreeMap<(DominoName, ClusterArn), Condition>,
        wanted: Option<ConditionState>,
    ) -> Vec<Row<'a>> {
        let binding = record.binding();
        let row = |cluster, condition, waits| Row { name, binding, cluster, condition, waits };
        let mut rows = Vec::new();
        for cluster in self.of(record) {
            let condition = conditions.remove(&(name.clone(), cluster.clone()));
            let registered = self.registry.clusters.get(cluster);
            let taken = registered.zip(binding).is_some_and(|(one, binding)| one.takes(binding));
            let row = row(Some(cluster), condition, registered.is_none());
            let state = row.state();
            let shown = match wanted {
                Some(wanted) => state == Some(wanted),
                None => taken || state.is_some_and(|state| state != ConditionState::Removed),
            };
            rows.extend(shown.then_some(row));
        }
        let nowhere = binding.is_some_and(|binding| self.takes_nowhere(binding));
        if nowhere && wanted.is_none_or(|wanted| wanted == ConditionState::Waiting) {
            rows.push(row(None, None, true));
        }
        rows
    }

    /// Whether no cluster takes a binding, now or as soon as the one that it names is registered.
    fn takes_nowhere(&self, binding: &Binding) -> bool {
        let known = &self.registry.clusters;
        let waits = match &binding.clusters {
            Clusters::All => false,
            Clusters::Named(named) => named.iter().any(|one| !known.contains_key(one)),
        };
        self.only.is_none() && !waits && !known.values().any(|one| one.takes(binding))
    }
}

/// Rows that fit what was asked for, from where it was asked for.
async fn find<'a>(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    places: &Places<'a>,
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
    let mut rows: Vec<Row<'_>> = Vec::new();
    let (mut read, mut last) = (0, None);
    let chosen: Vec<_> = bindings.iter().filter(fits).collect();
    let mut rest = chosen.as_slice();
    while !rest.is_empty() {
        if rows.len() >= limit || read >= MOST_READ {
            return Ok(Rows { rows, next: last });
        }
        let mut keys = 0;
        let by_call = rest.iter().take_while(|(_, record)| {
            keys += places.of(record).len();
            keys <= CHUNK
        });
        let (names, others) = rest.split_at(by_call.count().max(1));
        rest = others;
        let pairs: Vec<_> = names
            .iter()
            .flat_map(|(name, record)| places.of(record).into_iter().map(move |at| (*name, at)))
            .collect();
        read += pairs.len();
        let mut conditions = desk.conditions(pairs).await?;
        for (name, record) in names {
            let own = places.rows(name, record, &mut conditions, asked.state);
            if !rows.is_empty() && rows.len() + own.len() > limit {
                return Ok(Rows { rows, next: last });
            }
            rows.extend(own);
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
        let seen = row.cluster.and_then(|at| inside.get(at)).and_then(|all| all.get(row.name));
        let state = word(row.state());
        let remark = match row.cluster {
            Some(_) => remark(row.condition.as_ref(), seen),
            None => "no registered cluster takes it; see action clusters, and register one that is in the account of its role, or bind it for another".to_owned(),
        };
        let role = row.binding.map(|binding| binding.desired.role.to_string()).unwrap_or_default();
        let place = row.binding.map(|binding| binding.kubernetes.to_string()).unwrap_or_default();
        let since = row.condition.as_ref().map(|condition| condition.updated_at.to_string());
        table.row([
            row.name.to_string(),
            row.cluster.map_or("none registered", ClusterArn::name).to_owned(),
            state.to_owned(),
            role,
            place,
            since.unwrap_or_default(),
            remark,
        ]);
        data.push(json!({
            "serviceAccount": row.name,
            "clusterArn": row.cluster,
            "state": state,
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
