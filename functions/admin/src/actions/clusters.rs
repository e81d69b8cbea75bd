//! The registered clusters: listed, registered, changed, retired.

use pod_identity_engine::ledger::Registry;
use pod_identity_events::detail_type::{CLUSTER_REGISTERED, CLUSTER_RETIRED};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::bind::render;
use crate::answer::{Answer, Refusal};
use crate::change::{ChangeRequest, ChangeTarget, make};
use crate::context::{AdminContext, AdminWriter};
use crate::request::{Action, Request};
use crate::table::Table;

pub(super) const ACTION: Action = Action {
    name: "clusters",
    what: "lists the registered clusters; with `register` or `retire`, one joins, changes or leaves",
    fields: &[
        (
            "register",
            "optional: { clusterArn, nodeRoleArns, assumeRoleArn }: joins, or changes as a whole",
        ),
        (
            "retire",
            "optional: { cluster, exemptServiceAccounts }: reconcile empties it once every service account is ready elsewhere or in exemptServiceAccounts (names, or `*` alone)",
        ),
    ],
    changes: true,
    example: include_str!("../../../../events/samples/admin/clusters.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClustersParams {
    register: Option<Map<String, Value>>,
    retire: Option<Retire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Retire {
    cluster: String,
    #[serde(default)]
    exempt_service_accounts: Vec<String>,
}

pub(super) async fn answer(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let params: ClustersParams = request.fields()?;
    let change_request = match (params.register, params.retire) {
        (None, None) => return Ok(list(&admin.registry().await?)),
        (Some(_), Some(_)) => {
            return Err(request.wrong("either register or retire, not both at once"));
        }
        (Some(detail), None) => {
            let arn = detail.get("clusterArn").and_then(Value::as_str).unwrap_or_default();
            let about = ChangeTarget::Cluster(arn.to_owned());
            ChangeRequest { about, detail_type: CLUSTER_REGISTERED, detail }
        }
        (None, Some(Retire { cluster, exempt_service_accounts })) => {
            let cluster = admin.named(&admin.registry().await?, &cluster)?;
            retirement(cluster.as_str(), &exempt_service_accounts)
        }
    };
    let changed = make(admin, writer, request, &[change_request]).await?;
    Ok(render(request, &changed)?.applied_by(request, &[]))
}

/// The guarded retirement of a cluster.
pub(super) fn retirement(cluster: &str, exemptions: &[String]) -> ChangeRequest {
    let mut detail = Map::new();
    detail.insert("clusterArn".to_owned(), json!(cluster));
    if !exemptions.is_empty() {
        detail.insert("exemptServiceAccounts".to_owned(), json!(exemptions));
    }
    let about = ChangeTarget::Cluster(cluster.to_owned());
    ChangeRequest { about, detail_type: CLUSTER_RETIRED, detail }
}

fn list(registry: &Registry) -> Answer {
    let mut table =
        Table::new(&["cluster", "region", "account", "node roles", "reached through", "state"]);
    for (cluster, record) in &registry.clusters {
        let registration = &record.registration;
        let roles: Vec<&str> = registration.node_roles.iter().map(|role| role.as_str()).collect();
        let state = match &record.retired {
            None => "registered".to_owned(),
            Some(retirement) => match (retirement.begun_at, retirement.drained_at) {
                (_, Some(at)) => format!("emptied at {at}"),
                (Some(at), None) => format!("retiring since {at}"),
                (None, None) => "retirement asked for, held up".to_owned(),
            },
        };
        table.row([
            cluster.name().to_owned(),
            cluster.region().to_owned(),
            cluster.account().to_owned(),
            if roles.is_empty() { "of its node groups".to_owned() } else { roles.join(" ") },
            registration.assume_role.as_ref().map(ToString::to_string).unwrap_or_default(),
            state,
        ]);
    }
    let text = if registry.clusters.is_empty() {
        "No cluster is registered. Register one: {\"action\": \"clusters\", \"register\": {\"clusterArn\": \"...\"}, \"mode\": \"apply\"}\n".to_owned()
    } else {
        table.to_string()
    };
    Answer::of(text).with("clusters", json!(registry.clusters))
}
