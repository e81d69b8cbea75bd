//! Binding and unbinding by hand: as the events do.

use pod_identity_engine::Outcome;
use pod_identity_events::detail_type::{ROLE_ASSIGNED, ROLE_UNASSIGNED};
use serde_json::json;

use crate::answer::{Answer, Refusal};
use crate::change::{ChangeRequest, ChangeTarget, Changed, make, undone};
use crate::context::{AdminContext, AdminWriter};
use crate::request::{Action, Mode, Request};

pub(super) const BIND: Action = Action {
    name: "bind",
    what: "a Domino service account works as a role from now on, as by the event",
    fields: &[
        ("serviceAccount", "name of the Domino service account"),
        ("roleArn", "the IAM role"),
        ("kubernetes", "optional: { namespace, serviceAccount }"),
        ("clusters", "optional: `all`, or a list of names or ARNs"),
        ("targetRoleArn, disableSessionTags, sessionPolicy", "optional, as in the event"),
    ],
    changes: true,
    example: include_str!("../../../../events/samples/admin/bind.json"),
};

pub(super) const UNBIND: Action = Action {
    name: "unbind",
    what: "a Domino service account works as no role any more, as by the event",
    fields: &[("serviceAccount", "name of the Domino service account")],
    changes: true,
    example: include_str!("../../../../events/samples/admin/unbind.json"),
};

pub(super) async fn bind(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    one(admin, writer, request, ROLE_ASSIGNED).await
}

pub(super) async fn unbind(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    one(admin, writer, request, ROLE_UNASSIGNED).await
}

async fn one(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
    detail_type: &'static str,
) -> Result<Answer, Refusal> {
    let detail = request.as_given().clone();
    let name = detail.get("serviceAccount").and_then(|name| name.as_str()).unwrap_or_default();
    let about = ChangeTarget::ServiceAccount(name.to_owned());
    let change_request = ChangeRequest { about, detail_type, detail };
    let changed = make(admin, writer, request, &[change_request]).await?;
    Ok(render(request, &changed)?.applied_by(request, &[]))
}

/// The outcome of one change.
pub(super) fn render(request: &Request, changed: &Changed) -> Result<Answer, Refusal> {
    let report = match changed.results.first() {
        Some(Ok(report)) => report,
        Some(Err(reasons)) => {
            return Err(request.wrong(format!(
                "it breaks these rules, and nothing was done:\n  {}",
                reasons.join("\n  ")
            )));
        }
        None => return Err(Refusal("nothing was asked for".to_owned())),
    };
    if let Some(why) = undone(report) {
        return Err(Refusal(format!("{}: {why}", request.action.name)));
    }
    let mut text = match request.mode {
        Mode::Plan => "What would be done (mode is plan, nothing was):\n".to_owned(),
        Mode::Apply => {
            let goes_on = match report.outcome {
                // Taken with the request for it, or told as failed.
                Outcome::Registered => "; reconcile was asked to go on there".to_owned(),
                // The line that follows says whether there is anything to go on with.
                Outcome::RetirementRequested => String::new(),
                _ => format!("; {}", changed.goes_on()),
            };
            format!("The ledger has it{goes_on}. How far it is: action status.\n")
        }
    };
    for line in &report.lines {
        text += &format!("  {line}\n");
    }
    text += &changed.words();
    Ok(Answer::of(text).with("mode", json!(request.mode.word())).with("changed", changed.data()))
}
