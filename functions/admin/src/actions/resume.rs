//! Has a cluster go on with what is held back after a restore of the ledger, or for a ceiling.

use pod_identity_engine::{Resumption, plan_resumption, request_clusters, resume};
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, Refusal};
use crate::context::{AdminContext, AdminWriter};
use crate::request::{Action, Mode, Request};
use crate::table::Table;

/// What the history calls it.
const RESUMED: &str = "Cluster Resumed";

/// Most rows of the text; all are in the data.
const MAX_ROWS: usize = 200;

pub(super) const ACTION: Action = Action {
    name: "resume",
    what: "has a cluster go on that is halted because its ledger is older than it, and makes again what is gone there, without a ceiling",
    fields: &[
        ("cluster", "name or ARN"),
        (
            "plan",
            "with mode apply: the digest that the plan showed; what has changed since is not resumed",
        ),
    ],
    changes: true,
    example: include_str!("../../../../events/samples/admin/resume.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResumeParams {
    cluster: String,
    plan: Option<String>,
}

pub(super) async fn answer(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let params: ResumeParams = request.fields()?;
    let cluster = admin.named(&admin.registry().await?, &params.cluster)?;
    let resumption = plan_resumption(admin.cloud, &cluster).await?;
    if params.plan.is_none() && request.mode == Mode::Apply {
        return Err(
            request.wrong("mode apply resumes what a plan has shown, and `plan` is not given")
        );
    }
    if let Some(planned) = params.plan.as_deref().filter(|plan| *plan != resumption.digest) {
        return Err(Refusal(format!(
            "resume: what is held back on cluster {} is not what plan {planned} has shown, so nothing was done. Plan again, and send the `apply` of its answer.\n\n{}",
            cluster.name(),
            render(&resumption)
        )));
    }
    let mut text = format!("Cluster {}:\n{}", cluster.name(), render(&resumption));
    if let Some(writer) = writer {
        let change = json!({ "clusterArn": cluster, "digest": resumption.digest });
        let act = request.act(RESUMED, change);
        resume(admin.context, writer, &cluster, &resumption, &act).await?;
        let why = "an administrator resumed it";
        let asked = [cluster.clone()].into();
        let failed = request_clusters(admin.context, writer, &asked, why).await;
        text += match failed.is_empty() {
            true => "\nIt goes on: reconcile was requested.\n",
            false => {
                "\nIt goes on with the next scheduled reconciliation; it could not be requested now.\n"
            }
        };
    }
    let digest = json!(resumption.digest);
    Ok(Answer::of(text)
        .with("mode", json!(request.mode.word()))
        .with("clusterArn", json!(cluster))
        .with("resumption", json!(resumption))
        .with("plan", digest.clone())
        .applied_by(request, &[("plan", digest)]))
}

fn render(resumption: &Resumption) -> String {
    let Resumption { halted, orphans, recreations, corrections, digest: _ } = resumption;
    let mut text = match halted {
        Some(why) => format!("Halted: {why}.\n"),
        None => "It is not halted.\n".to_owned(),
    };
    if !orphans.is_empty() {
        let ids: Vec<&str> = orphans.iter().take(MAX_ROWS).map(String::as_str).collect();
        text += &format!(
            "{} associations carry this deployment's tag and are not in the ledger; they are kept, and no sign of a restore any more: {}. To adopt them first: action adopt with `orphans`.\n",
            orphans.len(),
            ids.join(", ")
        );
    }
    if !corrections.is_empty() {
        text += &format!(
            "{} associations are otherwise than the ledger says and would be put back. A service account whose role was narrowed since the restore point gets the wider one back by that: replay its event first.\n\n",
            corrections.len()
        );
        let mut table =
            Table::new(&["kubernetes", "service account", "role now", "role then", "other"]);
        for one in corrections.iter().take(MAX_ROWS) {
            table.row([
                one.kubernetes.to_string(),
                one.service_account.to_string(),
                one.from_role.clone(),
                one.role.to_string(),
                one.changes.join(", "),
            ]);
        }
        text += &format!("{table}\n{}", more(corrections.len()));
    }
    if recreations.is_empty() {
        return text + "No association is gone that would be made again.\n";
    }
    text += &format!(
        "{} associations are gone and would be made again. A service account that lost its role since the restore point gets it back by that: replay its event first.\n\n",
        recreations.len()
    );
    let mut table = Table::new(&["kubernetes", "service account", "role", "association"]);
    for one in recreations.iter().take(MAX_ROWS) {
        table.row([
            one.kubernetes.to_string(),
            one.service_account.to_string(),
            one.role.name().to_owned(),
            one.association_id.clone(),
        ]);
    }
    text + &table.to_string() + &more(recreations.len())
}

/// How many rows the text leaves out, if it does.
fn more(rows: usize) -> String {
    match rows.saturating_sub(MAX_ROWS) {
        0 => String::new(),
        more => format!("and {more} more, which are in the data\n"),
    }
}
