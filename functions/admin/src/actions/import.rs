//! Bindings from rows: those that stand as they are stay untouched.

use std::collections::BTreeMap;

use pod_identity_core::{Change, DominoName, JsonError, parse_unique};
use pod_identity_engine::ledger::BindingRecord;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rows::{self, Numbered};
use crate::answer::{Answer, Refusal};
use crate::change::{ChangeRequest, Changed, judge, make, undone};
use crate::context::{AdminContext, AdminWriter};
use crate::request::{Action, Mode, Request};
use crate::table::Table;

/// Most rows in the text; all are in the data.
const ROWS: usize = 200;
/// Most changes of one import: as many as EKS takes associations on a cluster. A plan for so many and
/// three clusters takes 300 MB.
const MOST_CHANGES: usize = 5_000;
/// Most lines that are named of those with one service account: each of them has them in its words.
const LINES: usize = 3;
/// Most lines of a plan in the text.
const PLAN_LINES: usize = 500;

pub(super) const ACTION: Action = Action {
    name: "import",
    what: "binds what the rows say; a row is a whole binding, and one that stands already changes nothing",
    fields: &[
        (
            "rows",
            "a list of { serviceAccount, roleArn, namespace, kubernetesServiceAccount, clusters, targetRoleArn, disableSessionTags, sessionPolicy }, or",
        ),
        ("json", "the same list, or as text, or"),
        ("csv", "comma-separated values as text, with these columns"),
        ("stopOnError", "optional: true: one bad row, and nothing is done"),
    ],
    changes: true,
    example: include_str!("../../../../events/samples/admin/import.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ImportParams {
    rows: Option<Vec<Value>>,
    csv: Option<String>,
    json: Option<Value>,
    #[serde(default)]
    stop_on_error: bool,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum RowOutcome {
    Unchanged,
    New,
    Changed,
    Refused,
    Failed,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImportLine {
    line: u64,
    service_account: String,
    fate: RowOutcome,
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(skip)]
    change_request: Option<ChangeRequest>,
}

pub(super) async fn answer(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let params: ImportParams = request.fields()?;
    let stops = params.stop_on_error;
    let rows = read(request, params)?;
    let (answer, changes) = imported(admin, writer, request, stops, rows).await?;
    Ok(if changes { answer.applied_by(request, &[]) } else { answer })
}

/// The answer, and whether there is something to do.
async fn imported(
    admin: &AdminContext<'_>,
    writer: Option<&dyn AdminWriter>,
    request: &Request,
    stops: bool,
    rows: Vec<Numbered>,
) -> Result<(Answer, bool), Refusal> {
    let bindings = admin.bindings().await?;
    let mut lines = judged(rows, &bindings, |change_request| judge(admin, request, change_request));
    let bad = lines.iter().filter(|line| line.fate == RowOutcome::Refused).count();
    if stops && bad > 0 {
        return match request.mode {
            Mode::Plan => {
                let text = format!(
                    "{}stopOnError is true, so nothing would be done.\n",
                    words(request, &lines, None)
                );
                Ok((with_data(Answer::of(text), request, &lines, None), false))
            }
            Mode::Apply => Err(Refusal(format!(
                "import: {bad} rows are bad and stopOnError is true, so nothing was done\n\n{}",
                table(lines.iter().filter(|line| line.fate == RowOutcome::Refused))
            ))),
        };
    }
    let at: Vec<usize> =
        (0..lines.len()).filter(|at| lines[*at].change_request.is_some()).collect();
    let change_requests: Vec<ChangeRequest> =
        lines.iter().filter_map(|line| line.change_request.clone()).collect();
    if change_requests.is_empty() {
        let text = words(request, &lines, None);
        return Ok((with_data(Answer::of(text), request, &lines, None), false));
    }
    if change_requests.len() > MOST_CHANGES {
        return Err(Refusal(format!(
            "import: {} rows would change something, and one import changes at most {MOST_CHANGES}, so nothing was done; import them in parts",
            change_requests.len()
        )));
    }
    let changed = make(admin, writer, request, &change_requests).await?;
    for (at, result) in at.into_iter().zip(&changed.results) {
        let (fate, reason) = match result {
            Err(reasons) => (RowOutcome::Refused, reasons.join("; ")),
            Ok(report) => match undone(report) {
                Some(why) => (RowOutcome::Failed, why),
                None => continue,
            },
        };
        lines[at].fate = fate;
        lines[at].reason = reason;
    }
    let text = words(request, &lines, Some(&changed));
    Ok((with_data(Answer::of(text), request, &lines, Some(&changed)), true))
}

/// The rows of the payload.
fn read(request: &Request, params: ImportParams) -> Result<Vec<Numbered>, Refusal> {
    let rows = match (params.rows, params.csv, params.json) {
        (Some(list), None, None) => Ok(rows::of_json(&list)),
        (None, Some(text), None) => rows::of_csv(&text),
        (None, None, Some(value)) => list(value).map(|list| rows::of_json(&list)),
        _ => return Err(request.wrong("give exactly one of rows, csv and json")),
    };
    rows.map_err(|Refusal(why)| Refusal(format!("import: {why}")))
}

/// A list, a text that is one, or an answer of `export` as it came.
fn list(value: Value) -> Result<Vec<Value>, Refusal> {
    match value {
        Value::Array(list) => Ok(list),
        Value::Object(mut answer) if answer.contains_key("rows") => {
            list(answer.remove("rows").unwrap_or_default())
        }
        Value::String(text) => {
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            match parse_unique(text) {
                Ok(Value::String(_)) => Err("json is a list of rows".into()),
                Ok(value) => list(value),
                Err(JsonError::Syntax(error)) => Err(format!(
                    "json: no JSON at line {}, column {}",
                    error.line(),
                    error.column()
                )
                .into()),
                Err(JsonError::Duplicate(_)) => {
                    Err("json: a key occurs twice in one object".into())
                }
            }
        }
        _ => Err("json is a list of rows".into()),
    }
}

/// What each row would change, before the ledger is asked.
fn judged(
    rows: Vec<Numbered>,
    bindings: &BTreeMap<DominoName, BindingRecord>,
    judge: impl Fn(&ChangeRequest) -> Result<Change, Vec<String>>,
) -> Vec<ImportLine> {
    let mut named: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (line, row) in &rows {
        if let Ok(row) = row {
            named.entry(row.service_account.clone()).or_default().push(*line);
        }
    }
    let of = |(line, row): Numbered| {
        let refused = |service_account: &str, reason: String| ImportLine {
            line,
            service_account: service_account.to_owned(),
            fate: RowOutcome::Refused,
            reason,
            change_request: None,
        };
        let row = match row {
            Ok(row) => row,
            Err(Refusal(why)) => return refused("", why),
        };
        let name = row.service_account.clone();
        if let Some(lines) = named.get(&name).filter(|lines| lines.len() > 1) {
            return refused(&name, doubled(&name, lines));
        }
        let change_request = row.change_request();
        let binding = match judge(&change_request) {
            Ok(Change::Bind(binding)) => binding,
            Ok(_) => return refused(&name, "it is no binding".to_owned()),
            Err(reasons) => return refused(&name, reasons.join("; ")),
        };
        let fate = match bindings.get(&binding.service_account).and_then(BindingRecord::binding) {
            Some(standing) if *standing == binding => RowOutcome::Unchanged,
            Some(_) => RowOutcome::Changed,
            None => RowOutcome::New,
        };
        let change_request = (fate != RowOutcome::Unchanged).then_some(change_request);
        ImportLine { line, service_account: name, fate, reason: String::new(), change_request }
    };
    rows.into_iter().map(of).collect()
}

/// Why none of the rows with one service account counts.
fn doubled(name: &str, lines: &[u64]) -> String {
    let shown: Vec<String> = lines.iter().take(LINES).map(ToString::to_string).collect();
    let more = match lines.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{name} is in lines {}{more}: one row a service account", shown.join(", "))
}

fn count(lines: &[ImportLine], fate: RowOutcome) -> usize {
    lines.iter().filter(|line| line.fate == fate).count()
}

fn words(request: &Request, lines: &[ImportLine], changed: Option<&Changed>) -> String {
    let count = |fate| count(lines, fate);
    let mut text = format!(
        "{} rows: {} unchanged, {} new, {} changed, {} refused, {} failed{}.\n",
        lines.len(),
        count(RowOutcome::Unchanged),
        count(RowOutcome::New),
        count(RowOutcome::Changed),
        count(RowOutcome::Refused),
        count(RowOutcome::Failed),
        if request.mode == Mode::Plan { " (mode is plan, nothing was done)" } else { "" },
    );
    if count(RowOutcome::Failed) > 0 {
        text += "What failed is made good by the same import again: what is done by then is unchanged.\n";
    }
    let shown = lines.iter().filter(|line| line.fate != RowOutcome::Unchanged);
    if shown.clone().next().is_some() {
        text += &format!("\n{}", table(shown));
    }
    let Some(changed) = changed else { return text };
    let plan = changed.words();
    if !plan.is_empty() {
        let shown: Vec<&str> = plan.lines().take(PLAN_LINES).collect();
        let more = plan.lines().count() - shown.len();
        text += &format!("\n{}\n", shown.join("\n"));
        if more > 0 {
            text += &format!("and {more} more lines\n");
        }
    }
    if request.mode == Mode::Apply {
        let goes_on = changed.goes_on();
        text += &format!("\nThe ledger has it; {goes_on}. How far it is: action status.\n");
    }
    text
}

fn table<'a>(lines: impl Iterator<Item = &'a ImportLine>) -> String {
    let mut table = Table::new(&["line", "service account", "is", "reason"]);
    let mut more = 0;
    for line in lines {
        if table.len() >= ROWS {
            more += 1;
            continue;
        }
        let fate = format!("{:?}", line.fate).to_lowercase();
        table.row([line.line.to_string(), line.service_account.clone(), fate, line.reason.clone()]);
    }
    if more > 0 {
        format!("{table}and {more} more, see the data of this answer\n")
    } else {
        table.to_string()
    }
}

fn with_data(
    answer: Answer,
    request: &Request,
    lines: &[ImportLine],
    changed: Option<&Changed>,
) -> Answer {
    let counts: BTreeMap<&str, usize> = [
        ("unchanged", RowOutcome::Unchanged),
        ("new", RowOutcome::New),
        ("changed", RowOutcome::Changed),
        ("refused", RowOutcome::Refused),
        ("failed", RowOutcome::Failed),
    ]
    .map(|(name, fate)| (name, count(lines, fate)))
    .into();
    let shown: Vec<&ImportLine> =
        lines.iter().filter(|line| line.fate != RowOutcome::Unchanged).collect();
    answer
        .with("mode", json!(request.mode.word()))
        .with("counts", json!(counts))
        .with("rows", json!(shown))
        .with("clusters", json!(changed.map(|changed| &changed.clusters)))
}
