//! What Domino's lists say about the bindings, as reconcile recorded it.

use jiff::Timestamp;
use pod_identity_engine::ledger::{
    DominoComparison, DominoFailure, DominoRecord, NameList, View, domino_key,
};
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, Refusal};
use crate::context::AdminContext;
use crate::request::{Action, Request};
use crate::table::Table;
use crate::times::age;

pub(super) const ACTION: Action = Action {
    name: "domino",
    what: "what reconcile found when it last asked Domino for its service accounts: bound and deactivated, bound and unknown, active and not bound",
    fields: &[],
    changes: false,
    example: include_str!("../../../../events/samples/admin/domino.json"),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DominoParams {}

pub(super) async fn answer(admin: &AdminContext<'_>, request: &Request) -> Result<Answer, Refusal> {
    let DominoParams {} = request.fields()?;
    admin.registry().await?;
    let mut view = View::default();
    view.read(admin.ledger, &[domino_key()]).await?;
    let stored = view.get::<DominoRecord>(&domino_key())?;
    let DominoRecord { comparison, failure } = stored.unwrap_or_default();
    let plans = admin.deployment.reconcile_plans;
    if comparison.is_none() && failure.is_none() {
        return Err(Refusal(not_asked(plans)));
    }
    let now = admin.clock.now();
    let mut text = match &comparison {
        Some(comparison) => lists(comparison, now) + &conclusion(comparison),
        None => "There is no complete comparison with Domino yet.\n".to_owned(),
    };
    if let Some(DominoFailure { asked_at, cause }) = &failure {
        text += &format!("\n! The last attempt, at {}, failed: {cause}\n", time(*asked_at, now));
    }
    if plans {
        text += "\n! Reconcile runs in plan mode, in which it does not ask Domino: set ReconcileMode=apply.\n";
    }
    Ok(Answer::of(text).with("comparison", json!(comparison)).with("failure", json!(failure)))
}

/// Why there is nothing to show, and the remediation.
fn not_asked(plans: bool) -> String {
    let mode = if plans {
        " Reconcile runs in plan mode, in which it does not ask Domino: set ReconcileMode=apply."
    } else {
        ""
    };
    format!(
        "domino: reconcile has recorded no comparison with Domino. Set the parameters DominoUrl and DominoKeyName (DOMINO_URL and DOMINO_TOKEN_SECRET of the reconcile function), then wait for its next schedule, or invoke it with {{}}.{mode}"
    )
}

fn lists(comparison: &DominoComparison, now: Timestamp) -> String {
    let DominoComparison { asked_at, bound, deactivated, gone, unassigned, .. } = comparison;
    let mut text = format!(
        "Reconcile asked Domino at {}. {bound} service accounts were bound; of those Domino has deactivated {} and does not know {}. {} are active in Domino and not bound.\n",
        time(*asked_at, now),
        deactivated.total,
        gone.total,
        unassigned.total
    );
    text += &table("bound, and deactivated in Domino", deactivated);
    text += &table("bound, and in no list of Domino (deleted, or a user)", gone);
    text += &table("active in Domino, and not bound", unassigned);
    text
}

/// One list as a table; nothing where it is empty.
fn table(header: &str, NameList { total, names }: &NameList) -> String {
    if names.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[header]);
    for name in names {
        table.row([name.clone()]);
    }
    let more = total - names.len();
    let rest = if more > 0 { format!("and {more} more\n") } else { String::new() };
    format!("\n{table}{rest}")
}

/// What reconcile did about the deactivated ones, or the remediation.
fn conclusion(comparison: &DominoComparison) -> String {
    let DominoComparison { deactivated, unbound, not_unbound, doubt, .. } = comparison;
    if let Some(doubt) = doubt {
        return format!("\n! {doubt}\n");
    }
    if deactivated.total == 0 {
        return "\nNo service account is to be unbound.\n".to_owned();
    }
    if unbound.total + not_unbound.total == 0 {
        return "\nReconcile only reports them (DominoUnbind=report). Unbind each with action unbind, or set DominoUnbind=unbind.\n".to_owned();
    }
    let mut text = format!("\nReconcile unbound {}.\n", unbound.total);
    if not_unbound.total > 0 {
        text += &format!(
            "! {} could not be unbound: {}. The log of reconcile has the causes; the next reconciliation of all clusters tries again.\n",
            not_unbound.total,
            not_unbound.names.join(", ")
        );
    }
    text
}

fn time(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", at.strftime("%Y-%m-%d %H:%M:%S UTC"), age(now, at))
}
