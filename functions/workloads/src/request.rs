//! What the function is asked for.

use jiff::Timestamp;
use pod_identity_core::Malformed;
use pod_identity_core::{ClusterArn, DominoName, Json};
use pod_identity_engine::InsideScope;
use pod_identity_events::detail_type::{
    ASSOCIATION_READY, ASSOCIATION_REMOVED, CLUSTER_REGISTERED, SWEEP_REQUESTED,
};
use serde::Deserialize;
use serde_json::Value;

/// Most times that one sweep is continued by another invocation.
pub(crate) const MAX_CONTINUATIONS: u32 = 20;

/// What one record asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WorkloadsRequest {
    /// Every registered cluster: each gets a request of its own.
    All,
    /// One cluster.
    One(SweepRequest),
}

/// One cluster to look after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SweepRequest {
    pub(crate) scope: InsideScope,
    /// How often it was continued already.
    pub(crate) continuation: u32,
    /// Whether nothing is to be written, whatever the deployment says.
    pub(crate) plan_only: bool,
    /// When the reason to look came up. A run that began to look well after that has seen it.
    pub(crate) since: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    cluster_arn: Option<ClusterArn>,
    #[serde(default)]
    service_account: Option<DominoName>,
    #[serde(default)]
    continuation: u32,
    #[serde(default)]
    evicted: usize,
    #[serde(default)]
    plan_only: bool,
}

/// Reads one record; the error states what is expected.
pub(crate) fn read(text: &str) -> Result<WorkloadsRequest, Malformed> {
    let event = Json::parse(text)
        .map_err(|error| format!("the record is not JSON: {error}"))?
        .unique()
        .map_err(|key| key.to_string())?;
    let kind = event.get("detail-type").and_then(Value::as_str);
    let detail = event.get("detail").cloned().unwrap_or_default();
    match kind {
        Some("Scheduled Event") => Ok(WorkloadsRequest::All),
        Some(SWEEP_REQUESTED) => asked(detail),
        // What changed on one binding can concern everybody's mapping, and the sweep is one list
        // of pods either way.
        Some(ASSOCIATION_READY | ASSOCIATION_REMOVED | CLUSTER_REGISTERED) => changed(&detail),
        Some(other) => Err(format!(
            "`{other}` is no event for this function: it takes `{SWEEP_REQUESTED}`, `Scheduled Event`, \
             `{ASSOCIATION_READY}`, `{ASSOCIATION_REMOVED}` and `{CLUSTER_REGISTERED}`"
        ).into()),
        // Somebody in the console.
        None => asked(event),
    }
}

fn asked(detail: Value) -> Result<WorkloadsRequest, Malformed> {
    let Fields { cluster_arn, service_account, continuation, evicted, plan_only } =
        serde_json::from_value(detail).map_err(|error| {
            format!(
                "a request has clusterArn, or none for all clusters, and may have serviceAccount \
                 and planOnly: {error}"
            )
        })?;
    let Some(cluster) = cluster_arn else {
        return if service_account.is_none() {
            Ok(WorkloadsRequest::All)
        } else {
            Err("a request for one serviceAccount names its cluster as clusterArn".into())
        };
    };
    if continuation > MAX_CONTINUATIONS {
        return Err(format!(
            "the sweep of {cluster} was handed on {continuation} times, and {MAX_CONTINUATIONS} are the \
             most; the next scheduled sweep goes on, or raise the function's time-out"
        )
        .into());
    }
    let scope = InsideScope { cluster, service_account, evicted };
    Ok(WorkloadsRequest::One(SweepRequest { scope, continuation, plan_only, since: None }))
}

fn changed(detail: &Value) -> Result<WorkloadsRequest, Malformed> {
    let text = |name: &str| detail.get(name).and_then(Value::as_str);
    let cluster = text("clusterArn")
        .ok_or("the event names no clusterArn")?
        .parse()
        .map_err(|error| format!("clusterArn: {error}"))?;
    let since = text("occurredAt").and_then(|at| at.parse().ok());
    let scope = InsideScope { cluster, service_account: None, evicted: 0 };
    Ok(WorkloadsRequest::One(SweepRequest { scope, continuation: 0, plan_only: false, since }))
}
