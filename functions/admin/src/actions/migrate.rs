//! From one cluster to the next: a preflight, then the registration of the new cluster, which
//! reconcile fills.

mod agent;
mod findings;
mod inside;
mod look;
mod progress;
mod reason;
mod verdict;
mod words;

use pod_identity_core::{Change, ClusterArn};
use pod_identity_engine::ledger::Registry;
use pod_identity_engine::{DryRunLedger, record_audit, request_clusters};
use pod_identity_events::detail_type::{CLUSTER_REGISTERED, RECONCILIATION_REQUESTED};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Refusal};
use crate::change::{ChangeRequest, ChangeTarget, Changed, judge, take, undone};
use crate::context::{AdminContext, AdminWriter};
use crate::request::{Action, Request};

/// How a cluster is named that is to be registered.
const UNREGISTERED: &str = "{ clusterArn, nodeRoleArns, assumeRoleArn }";

pub(super) const ACTION: Action = Action {
    name: "migrate",
    what: "what works on one cluster shall work on another; plan says of every binding whether it will, apply registers the other cluster and asks reconcile to fill it",
    fields: &[
        ("from", "the cluster that is to be left, by name or ARN"),
        (
            "to",
            "the other one: { clusterArn, nodeRoleArns, assumeRoleArn } as in Cluster Registered, or the name or ARN of a registered cluster",
        ),
    ],
    changes: true,
    example: include_str!("../../../../events/samples/admin/migrate.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MigrateParams {
    from: String,
    to: To,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum To {
    Named(String),
    Registration(Map<String, Value>),
}

/// Where a migration goes.
struct Destination {
    green: ClusterArn,
    /// Its registration, unless it is registered like that already.
    registration: Option<ChangeRequest>,
}

pub(super) async fn answer(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let params: MigrateParams = request.fields()?;
    let registry = admin.registry().await?;
    let blue = admin.named(&registry, &params.from)?;
    if !registry.clusters.contains_key(&blue) {
        return Err(Refusal(format!(
            "migrate: cluster {blue} is not registered, so nothing works there; see the registered ones with {{\"action\": \"clusters\"}}"
        )));
    }
    let to = destination(admin, request, &registry, params.to)?;
    if to.green == blue {
        return Err(Refusal(format!("migrate: from and to are one cluster, {blue}")));
    }
    match writer {
        None => plan(admin, request, &blue, &to).await,
        Some(writer) => apply(admin, writer, request, &blue, &to).await,
    }
}

fn destination(
    admin: &AdminContext<'_>,
    request: &Request,
    registry: &Registry,
    to: To,
) -> Result<Destination, Refusal> {
    let detail = match to {
        To::Registration(detail) => detail,
        To::Named(name) => {
            // An ARN alone would not do either.
            let is_known = |name: &str| registry.clusters.keys().any(|one| one.name() == name);
            if !name.contains(':') && !is_known(&name) {
                return Err(Refusal(format!(
                    "migrate: no registered cluster is called `{name}`; give `to` as {UNREGISTERED}, or see the registered ones with {{\"action\": \"clusters\"}}"
                )));
            }
            let green = admin.named(registry, &name)?;
            return match registry.clusters.get(&green) {
                Some(record) if record.retired.is_none() => {
                    Ok(Destination { green, registration: None })
                }
                Some(_) => Err(Refusal(format!(
                    "migrate: the retirement of cluster {name} was asked for; to take that back, give `to` as {UNREGISTERED}"
                ))),
                None => Err(Refusal(format!(
                    "migrate: cluster {green} is not registered; give `to` as {UNREGISTERED}"
                ))),
            };
        }
    };
    let arn = detail.get("clusterArn").and_then(Value::as_str).unwrap_or_default();
    let about = ChangeTarget::Cluster(arn.to_owned());
    let change_request = ChangeRequest { about, detail_type: CLUSTER_REGISTERED, detail };
    let registration = match judge(admin, request, &change_request) {
        Ok(Change::Register(registration)) => registration,
        Ok(_) => return Err(Refusal("migrate: `to` is no registration".to_owned())),
        Err(reasons) => return Err(broken(request, &reasons)),
    };
    let green = registration.cluster.clone();
    // The same registration again would be an event that changes nothing.
    let stands = registry
        .clusters
        .get(&green)
        .is_some_and(|record| record.registration == registration && record.retired.is_none());
    Ok(Destination { green, registration: (!stands).then_some(change_request) })
}

fn broken(request: &Request, reasons: &[String]) -> Refusal {
    request.wrong(format!(
        "the registration breaks these rules, and nothing was done:\n  {}",
        reasons.join("\n  ")
    ))
}

/// Why a registration was not taken.
fn refused(request: &Request, changed: &Changed) -> Result<(), Refusal> {
    match changed.results.first() {
        Some(Err(reasons)) => Err(broken(request, reasons)),
        Some(Ok(report)) => match undone(report) {
            Some(why) => Err(Refusal(format!("migrate: {why}"))),
            None => Ok(()),
        },
        None => Ok(()),
    }
}

async fn plan(
    admin: &AdminContext<'_>,
    request: &Request,
    blue: &ClusterArn,
    to: &Destination,
) -> Result<Answer, Refusal> {
    let dry_run = DryRunLedger::of(admin.ledger);
    let ahead = admin.over(&dry_run);
    if let Some(change_request) = &to.registration {
        refused(
            request,
            &take(&ahead, &dry_run, request, std::slice::from_ref(change_request)).await?,
        )?;
    }
    let registry = ahead.registry().await?;
    let seen = look::look(&ahead, &dry_run, &registry, blue, &to.green).await?;
    let progress = progress::of(admin, blue, &to.green).await?;
    let preflight = words::Preflight {
        verdicts: verdict::verdicts(&seen),
        findings: findings::findings(&seen),
        staying: findings::staying(&seen),
        is_new: to.registration.is_some(),
        seen,
    };
    Ok(Answer::of(preflight.words(&progress))
        .with("mode", json!("plan"))
        .with("preflight", preflight.data())
        .with("progress", json!(progress))
        .applied_by(request, &[]))
}

async fn apply(
    admin: &AdminContext<'_>,
    writer: &dyn AdminWriter,
    request: &Request,
    blue: &ClusterArn,
    to: &Destination,
) -> Result<Answer, Refusal> {
    let green = to.green.name();
    let done = match &to.registration {
        Some(change_request) => {
            // Its registration asks for its reconciliation.
            refused(
                request,
                &take(admin, writer, request, std::slice::from_ref(change_request)).await?,
            )?;
            format!("Cluster {green} is registered, and reconcile was asked to fill it.\n")
        }
        None => {
            let change = json!({ "fill": to.green, "from": blue });
            let act = request.act(RECONCILIATION_REQUESTED, change);
            record_audit(admin.context, writer, &act, to.green.as_str()).await?;
            let reason = format!("what works on cluster {} shall work there", blue.name());
            let clusters = [to.green.clone()].into();
            let unasked = request_clusters(admin.context, writer, &clusters, &reason).await;
            if let Some(why) = unasked.get(&to.green) {
                return Err(Refusal(format!(
                    "migrate: reconciliation of cluster {green} could not be asked for: {why}; ask again, or wait for the scheduled one"
                )));
            }
            format!("Cluster {green} was registered already; reconcile was asked to go on.\n")
        }
    };
    // It is done by now, whatever cannot be read.
    let (progress, words) = match progress::of(admin, blue, &to.green).await {
        Ok(progress) => (json!(progress), progress.words(green)),
        Err(why) => (
            json!({ "unknown": why }),
            format!("The progress on cluster {green} could not be read: {why}.\n"),
        ),
    };
    let text = format!(
        "{done}{words}\nHow far it is: ask again with mode plan, which looks at everything again.\n"
    );
    Ok(Answer::of(text).with("mode", json!("apply")).with("progress", progress))
}
