//! All bindings as text that `import` takes.

use std::ops::Bound;

use pod_identity_core::DominoName;
use serde::Deserialize;
use serde_json::json;

use super::rows::{self, Row};
use crate::answer::{Answer, MOST_BYTES, Refusal};
use crate::context::AdminContext;
use crate::request::{Action, Request};

pub(super) const ACTION: Action = Action {
    name: "export",
    what: "every binding, as JSON (`rows`) or comma-separated values (`csv`) that `import` takes",
    fields: &[
        ("format", "`json` (the default) or `csv`"),
        ("limit", "optional: most bindings"),
        (
            "after",
            "optional: goes on behind this service account, as `next` of the last answer says",
        ),
    ],
    changes: false,
    example: include_str!("../../../../events/samples/admin/export.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExportParams {
    #[serde(default)]
    format: ExportFormat,
    limit: Option<usize>,
    after: Option<DominoName>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ExportFormat {
    #[default]
    Json,
    Csv,
}

pub(super) async fn answer(admin: &AdminContext<'_>, request: &Request) -> Result<Answer, Refusal> {
    let params: ExportParams = request.fields()?;
    let limit = params.limit.unwrap_or(usize::MAX).max(1);
    let bindings = admin.bindings().await?;
    let from = params.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = bindings
        .range::<DominoName, _>((from, Bound::Unbounded))
        .filter_map(|(name, record)| Some((name, record.binding()?)));
    let chosen: Vec<_> = rest.by_ref().take(limit).collect();
    let next = rest.next().and_then(|_| chosen.last()).map(|(name, _)| (*name).clone());
    let rows: Vec<Row> = chosen.iter().map(|(_, binding)| Row::of(binding)).collect();
    let body = match params.format {
        ExportFormat::Csv => rows::to_csv(&rows)?,
        ExportFormat::Json => {
            serde_json::to_string_pretty(&rows).map_err(|error| error.to_string())?
        }
    };
    let mut text = format!("{} bindings.\n", rows.len());
    if let Some(next) = &next {
        text += &format!("There are more: ask again with \"after\": \"{next}\".\n");
    }
    // Quotes are longer in an answer, which is JSON itself.
    let bytes = json!(body).to_string().len();
    if bytes > MOST_BYTES {
        return Err(Refusal(too_long(rows.len(), bytes)));
    }
    let answer = match params.format {
        ExportFormat::Csv => Answer::of(text).with("csv", json!(body)),
        ExportFormat::Json => Answer::of(text).with("rows", json!(rows)),
    };
    Ok(answer.with("bindings", json!(rows.len())).with("next", json!(next)))
}

/// Why so many bindings are not answered, and how to get them in parts.
fn too_long(bindings: usize, bytes: usize) -> String {
    // Half of what fits on average: session policies make some bindings much longer than others.
    let limit = (bindings * MOST_BYTES / bytes / 2).max(1);
    format!(
        "export: {bindings} bindings are {bytes} bytes, more than the {MOST_BYTES} of one answer; export them in parts: send \"limit\": {limit}, then the same with \"after\" as `next` of each answer says, until `next` is null"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_that_is_too_long_names_a_limit_that_fits() {
        let why = too_long(30_000, 9_000_000);
        assert!(why.contains("30000 bindings are 9000000 bytes"), "{why}");
        assert!(why.contains("\"limit\": 9166, then the same with \"after\""), "{why}");
    }
}
