//! What a sweep would do now, or a request to do it.

use pod_identity_core::DominoName;
use pod_identity_engine::ports::{Clock, KubernetesReader};
use pod_identity_engine::{InsideReport, InsideScope, preview_inside, request_sweep};
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, Refusal};
use crate::desk::{Desk, Hands, Looks};
use crate::request::{Action, Request};

pub(super) const ACTION: Action = Action {
    name: "sweep",
    what: "what a sweep of stale pods would do now; with mode apply, the workloads function is asked to do it",
    fields: &[
        ("cluster", "name or ARN"),
        ("serviceAccount", "optional: only pods of this Domino service account"),
    ],
    changes: true,
    example: include_str!("../../../../events/samples/admin/sweep.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    cluster: String,
    service_account: Option<DominoName>,
}

pub(super) async fn answer(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    hands: Option<&impl Hands>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let asked: Asked = request.fields()?;
    let registry = desk.registry().await?;
    let cluster = desk.named(&registry, &asked.cluster)?;
    if !registry.clusters.contains_key(&cluster) {
        return Err(Refusal(format!(
            "sweep: cluster {cluster} is not registered, so no pods are swept there; see the registered ones with {{\"action\": \"clusters\"}}"
        )));
    }
    let scope = InsideScope {
        service_account: asked.service_account.clone(),
        ..InsideScope::of(cluster.clone())
    };
    let Some(hands) = hands else {
        let report = preview_inside(
            &scope,
            desk.reader,
            desk.kubernetes,
            desk.clock,
            desk.run,
            desk.settings,
            desk.inside,
            desk.deadline,
        )
        .await?;
        return Ok(Answer::of(words(cluster.name(), &report)).with("mode", json!("plan")));
    };
    let reason = request.reason.as_deref().unwrap_or("an administrator asked for it");
    request_sweep(&scope, reason, hands, desk.clock, desk.run).await?;
    let whose = asked.service_account.map(|name| format!(" of {name}")).unwrap_or_default();
    let text = format!(
        "The workloads function was asked to sweep pods{whose} on cluster {}. What it finds and evicts is told on the bus; when it looked last: action status.\n",
        cluster.name()
    );
    Ok(Answer::of(text).with("mode", json!("apply")))
}

/// What would be done inside a cluster.
fn words(cluster: &str, report: &InsideReport) -> String {
    if let Some(why) = &report.skipped {
        return format!("Nobody looked inside cluster {cluster}: {why}\n");
    }
    let mut text = match &report.sweep {
        Some(found) => found.sweep.to_string(),
        None => {
            "The sweep is switched off, or the ledger knows no place where such pods could be.\n"
                .to_owned()
        }
    };
    for missing in &report.missing {
        text += &format!("! {}: {}\n", missing.reason, missing.way_out);
    }
    for failure in &report.failures {
        text += &format!("! {failure}\n");
    }
    text
}
