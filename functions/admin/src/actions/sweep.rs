//! What a sweep would do now, or a request to do it.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{ClusterArn, DominoName};
use pod_identity_engine::ledger::{BindingRecord, Registry};
use pod_identity_engine::{
    Error, InsideReport, InsideScope, preview_workloads, record_audit, request_sweep,
};
use pod_identity_events::detail_type::SWEEP_REQUESTED;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Refusal};
use crate::context::{AdminContext, AdminWriter};
use crate::request::{Action, Request};

pub(super) const ACTION: Action = Action {
    name: "sweep",
    what: "what a sweep of stale pods would do now; with mode apply, the workloads function is asked to do it",
    fields: &[
        ("cluster", "name or ARN; optional with serviceAccount, for every cluster that has it"),
        ("clusters", "several clusters instead of one"),
        ("serviceAccount", "optional with cluster: only pods of this Domino service account"),
    ],
    changes: true,
    example: include_str!("../../../../events/samples/admin/sweep.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SweepParams {
    cluster: Option<String>,
    clusters: Option<BTreeSet<String>>,
    service_account: Option<DominoName>,
}

/// What was seen inside a cluster, or why it could not be looked at.
type Seen = Result<InsideReport, Error>;

/// Where stale pods are not looked for at all.
const OFF: &str = "the sweep is switched off (parameter Sweep, SWEEP of the functions), so the workloads function looks for no stale pods";

pub(super) async fn answer(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let params: SweepParams = request.fields()?;
    let registry = admin.registry().await?;
    let only = params.service_account.as_ref();
    let clusters = match (&params.cluster, &params.clusters, only) {
        (Some(cluster), None, _) => vec![one(admin, &registry, cluster)?],
        (None, Some(clusters), _) if !clusters.is_empty() => clusters
            .iter()
            .map(|cluster| one(admin, &registry, cluster))
            .collect::<Result<_, _>>()?,
        (None, None, Some(name)) => having(admin, &registry, name).await?,
        _ => {
            let why = "name a cluster or some `clusters`, a serviceAccount, or both";
            return Err(request.wrong(why));
        }
    };
    match writer {
        None => plan(admin, request, &clusters, only).await,
        Some(writer) => apply(admin, writer, request, &clusters, only).await,
    }
}

/// The registered cluster that was named.
fn one(admin: &AdminContext<'_>, registry: &Registry, name: &str) -> Result<ClusterArn, Refusal> {
    let cluster = admin.named(registry, name)?;
    if registry.clusters.contains_key(&cluster) {
        return Ok(cluster);
    }
    Err(Refusal(format!(
        "sweep: cluster {cluster} is not registered, so no pods are swept there; see the registered ones with {{\"action\": \"clusters\"}}"
    )))
}

/// The registered clusters that have a service account's binding, or had one: there its pods may
/// hold what was revoked.
async fn having(
    admin: &AdminContext<'_>,
    registry: &Registry,
    name: &DominoName,
) -> Result<Vec<ClusterArn>, Refusal> {
    let bindings = admin.bindings().await?;
    let binding = bindings.get(name).and_then(BindingRecord::binding);
    let known = admin.conditions(registry.clusters.keys().map(|cluster| (name, cluster))).await?;
    let had: BTreeSet<&ClusterArn> = known.keys().map(|(_, cluster)| cluster).collect();
    let clusters: Vec<ClusterArn> = registry
        .clusters
        .iter()
        .filter(|(cluster, record)| {
            had.contains(cluster) || binding.is_some_and(|binding| record.takes(binding))
        })
        .map(|(cluster, _)| cluster.clone())
        .collect();
    if clusters.is_empty() {
        return Err(Refusal(format!(
            "sweep: the ledger knows {name} on no registered cluster, so no pods can be its own; see the bindings with {{\"action\": \"status\", \"serviceAccount\": \"{name}\"}}"
        )));
    }
    Ok(clusters)
}

fn scope(cluster: &ClusterArn, only: Option<&DominoName>) -> InsideScope {
    InsideScope { service_account: only.cloned(), ..InsideScope::of(cluster.clone()) }
}

async fn plan(
    admin: &AdminContext<'_>,
    request: &Request,
    clusters: &[ClusterArn],
    only: Option<&DominoName>,
) -> Result<Answer, Refusal> {
    let is_off = admin.inside.sweep.is_none();
    let (mut text, mut data, mut to_do) = (String::new(), Vec::new(), false);
    let mut unseen = Vec::new();
    for cluster in clusters {
        let scope = scope(cluster, only);
        let look = preview_workloads(admin.workloads(), &scope);
        let seen: Seen = match admin.check_deadline() {
            Ok(()) => look.await,
            Err(why) => Err(why),
        };
        text += &words(cluster.name(), &seen, is_off);
        data.push(of_cluster(cluster, &seen));
        to_do |= is_to_do(&seen);
        unseen.extend(seen.err().map(|why| why.to_string()));
    }
    if unseen.len() == clusters.len() {
        return Err(Refusal(format!("sweep: {}", unseen.join("; "))));
    }
    let answer = |text| {
        Answer::of(text)
            .with("mode", json!("plan"))
            .with("sweep", json!(if is_off { "off" } else { "on" }))
            .with("clusters", json!(data))
    };
    if is_off {
        return Ok(answer(format!("{}{text}", sentence(OFF))));
    }
    let answer = answer(text);
    // Those that were looked at, and none that comes later.
    let named = request.as_given().keys().any(|field| field.starts_with("cluster"));
    let pins = [("clusters", json!(clusters))];
    let pins = if named { &[][..] } else { &pins[..] };
    Ok(if to_do { answer.applied_by(request, pins) } else { answer })
}

async fn apply(
    admin: &AdminContext<'_>,
    writer: &dyn AdminWriter,
    request: &Request,
    clusters: &[ClusterArn],
    only: Option<&DominoName>,
) -> Result<Answer, Refusal> {
    if admin.inside.sweep.is_none() {
        return Err(Refusal(format!(
            "sweep: {OFF}, and it was not asked to; switch it on, or restart pods that hold what they should not by hand (action who names them)"
        )));
    }
    let act = request.act(SWEEP_REQUESTED, json!({ "sweep": clusters, "serviceAccount": only }));
    let mut of: Vec<String> = clusters.iter().map(ToString::to_string).collect();
    of.extend(only.map(ToString::to_string));
    for of in &of {
        admin.check_deadline()?;
        record_audit(admin.context, writer, &act, of).await?;
    }
    let reason = request.reason.as_deref().unwrap_or("an administrator asked for it");
    let mut unasked: BTreeMap<&str, Error> = BTreeMap::new();
    for cluster in clusters {
        let sent = request_sweep(admin.context, writer, &scope(cluster, only), reason).await;
        unasked.extend(sent.err().map(|why| (cluster.name(), why)));
    }
    let params: Vec<&str> = clusters
        .iter()
        .map(ClusterArn::name)
        .filter(|cluster| !unasked.contains_key(cluster))
        .collect();
    let not: Vec<String> = unasked
        .iter()
        .map(|(cluster, why)| format!("a sweep of cluster {cluster} could not be asked for: {why}"))
        .collect();
    if params.is_empty() {
        return Err(Refusal(format!("sweep: {}; ask again", not.join("; "))));
    }
    let whose = only.map(|name| format!(" of {name}")).unwrap_or_default();
    let mut text = format!(
        "The workloads function was asked to sweep pods{whose} on cluster {}. What it finds and evicts is told on the bus; when it looked last: action status.\n",
        params.join(", ")
    );
    for why in &not {
        text += &format!("! {why}; ask again\n");
    }
    Ok(Answer::of(text).with("mode", json!("apply")).with("asked", json!(params)))
}

/// Whether a sweep has something to do, or nobody knows: the workloads function may see more.
fn is_to_do(seen: &Seen) -> bool {
    let Ok(report) = seen else { return true };
    let found = report.sweep.as_ref().map(|found| &found.sweep);
    let unseen = report.sweep.as_ref().is_some_and(|found| !found.closed.is_empty());
    let unread = unseen || report.skipped.is_some() || !report.failures.is_empty();
    unread || found.is_some_and(|sweep| !sweep.is_empty())
}

/// What would be done inside a cluster.
fn words(cluster: &str, seen: &Seen, is_off: bool) -> String {
    let report = match seen {
        Ok(report) => report,
        Err(why) => return format!("Cluster {cluster} could not be looked at: {why}\n"),
    };
    if let Some(why) = &report.skipped {
        return format!("Nobody looked inside cluster {cluster}: {why}\n");
    }
    let mut text = match &report.sweep {
        Some(found) => format!("Cluster {cluster}: {}", found.sweep),
        None if is_off => String::new(),
        None => format!("Cluster {cluster}: the ledger knows no place where such pods could be.\n"),
    };
    let closed = report.sweep.iter().flat_map(|found| &found.closed);
    for (namespace, why) in closed {
        text += &format!("  ! namespace {namespace}: {why}\n");
    }
    for missing in &report.missing {
        text += &format!("  ! {}: {}\n", missing.reason, missing.remediation);
    }
    for failure in &report.failures {
        text += &format!("  ! {failure}\n");
    }
    text
}

/// The same as data: pods with their cases, why, and the ceilings that held some back.
fn of_cluster(cluster: &ClusterArn, seen: &Seen) -> Value {
    let report = match seen {
        Ok(report) => report,
        Err(why) => return json!({ "clusterArn": cluster, "skipped": why }),
    };
    let found = report.sweep.as_ref();
    json!({
        "clusterArn": cluster,
        "skipped": report.skipped,
        "stale": found.map(|found| &found.stale),
        "sweep": found.map(|found| &found.sweep),
        "closed": found.map(|found| &found.closed),
        "missing": report.missing,
        "failures": report.failures,
    })
}

fn sentence(words: &str) -> String {
    let mut chars = words.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(".\n".chars()).collect()
}
