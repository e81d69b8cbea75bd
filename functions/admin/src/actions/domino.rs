//! What Domino itself says of the service accounts that are bound, and unbinding those that it has
//! deactivated.

use pod_identity_core::DominoName;
use pod_identity_core::roster::Comparison;
use pod_identity_engine::ports::{Clock, KubernetesReader};
use pod_identity_engine::{DEACTIVATED_REASON, compare_with_domino};
use pod_identity_events::detail_type::DEACTIVATED;
use serde::Deserialize;
use serde_json::{Map, json};

use crate::answer::{Answer, Refusal};
use crate::change::{About, Changed, Seen, Wish, make_as_of, undone};
use crate::desk::{Desk, Hands, Looks};
use crate::request::{Action, Mode, Request};
use crate::table::Table;

/// Most rows of one table; the data beside the text has all.
const ROWS: usize = 100;

pub(super) const ACTION: Action = Action {
    name: "domino",
    what: "what Domino itself says of the service accounts: bound and deactivated, bound and unknown, active and not bound; with mode apply, those that it has deactivated are unbound, within the ceilings",
    fields: &[],
    changes: true,
    example: include_str!("../../../../events/samples/admin/domino.json"),
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {}

pub(super) async fn answer(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    hands: Option<&impl Hands>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let Asked {} = request.fields()?;
    let Some(domino) = &desk.domino else {
        return Err(Refusal(
            "domino: this deployment does not ask Domino; set DOMINO_URL and DOMINO_TOKEN_SECRET of the function".to_owned(),
        ));
    };
    let (reader, clock, settings) = (desk.reader, desk.clock, desk.settings);
    let seen = Seen::now(desk).await?;
    let found = compare_with_domino(domino, reader, clock, settings, desk.deadline).await?;
    let names = found.to_unbind();
    let wishes: Vec<Wish> = names.iter().map(deactivated).collect();
    let changed = match wishes.as_slice() {
        [] => Changed::default(),
        wishes => make_as_of(desk, hands, request, wishes, Some(&seen)).await?,
    };
    let text = lists(&found) + &told(request, &found, &changed);
    let answer = Answer::of(text)
        .with("mode", json!(request.mode.word()))
        .with("found", json!(found))
        .with("changed", changed.data());
    Ok(if wishes.is_empty() { answer } else { answer.applied_by(request, &[]) })
}

/// The event that would unbind somebody. A reason that the request gives takes the place of ours.
fn deactivated(name: &DominoName) -> Wish {
    let detail = Map::from_iter([
        ("serviceAccount".to_owned(), json!(name)),
        ("reason".to_owned(), json!(DEACTIVATED_REASON)),
    ]);
    let about = About::ServiceAccount(name.to_string());
    Wish { about, detail_type: DEACTIVATED, detail }
}

fn lists(found: &Comparison) -> String {
    let Comparison { bound, gone, deactivated, unassigned, doubt: _ } = found;
    let mut text = format!(
        "{bound} are bound; of those Domino has deactivated {}, and does not know {}. {} are active in Domino and not bound.\n",
        deactivated.len(),
        gone.len(),
        unassigned.len()
    );
    let names = |names: &[DominoName]| names.iter().map(ToString::to_string).collect();
    text += &table("bound, and deactivated in Domino", names(deactivated));
    text +=
        &table("bound, and unknown to Domino's service accounts (deleted, or a user)", names(gone));
    text += &table("active in Domino, and not bound", unassigned.clone());
    text
}

/// One list as a table; nothing where there is nobody.
fn table(header: &str, names: Vec<String>) -> String {
    if names.is_empty() {
        return String::new();
    }
    let more = names.len().saturating_sub(ROWS);
    let mut table = Table::new(&[header]);
    for name in names.into_iter().take(ROWS) {
        table.row([name]);
    }
    let rest = if more > 0 { format!("and {more} more, in `found`\n") } else { String::new() };
    format!("\n{table}{rest}")
}

/// What is done about the deactivated ones, or why nothing is.
fn told(request: &Request, found: &Comparison, changed: &Changed) -> String {
    if let Some(doubt) = &found.doubt {
        return format!("\n! {doubt}\n");
    }
    if changed.results.is_empty() {
        return "\nNobody is to be unbound.\n".to_owned();
    }
    let mut text = match request.mode {
        Mode::Plan => "\nWhat would be done (mode is plan, nothing was):\n",
        Mode::Apply => "\nWhat was done:\n",
    }
    .to_owned();
    for (name, result) in found.to_unbind().iter().zip(&changed.results) {
        text += &match result {
            Ok(report) => match undone(report) {
                Some(why) => format!("! {name}: {why}\n"),
                None => format!("- {name}\n"),
            },
            Err(reasons) => format!("! {name}: {}\n", reasons.join("; ")),
        };
    }
    if request.mode == Mode::Apply && !changed.clusters.is_empty() {
        text += &format!("The ledger has it; {}.\n", changed.goes_on());
    }
    text + &changed.words()
}
