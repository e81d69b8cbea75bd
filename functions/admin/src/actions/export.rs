//! All bindings as a file that `import` takes.

use std::ops::Bound;

use pod_identity_core::DominoName;
use pod_identity_engine::ports::{Clock, KubernetesReader};
use serde::Deserialize;
use serde_json::json;

use super::rows::{self, Location, Row};
use crate::answer::{Answer, MOST_BYTES, Refusal};
use crate::desk::{Desk, Looks};
use crate::request::{Action, Mode, Request};

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
        ("to", "not supported yet: { bucket, key } in S3; written with mode apply"),
    ],
    changes: true,
    example: include_str!("../../../../events/samples/admin/export.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    format: Format,
    limit: Option<usize>,
    after: Option<DominoName>,
    to: Option<Location>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Format {
    #[default]
    Json,
    Csv,
}

pub(super) async fn answer<R, K, C>(
    desk: &Desk<'_, R, K, C>,
    request: &Request,
) -> Result<Answer, Refusal>
where
    R: Looks,
    K: KubernetesReader,
    C: Clock,
{
    let asked: Asked = request.fields()?;
    let limit = asked.limit.unwrap_or(usize::MAX).max(1);
    let bindings = desk.bindings().await?;
    let from = asked.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = bindings
        .range::<DominoName, _>((from, Bound::Unbounded))
        .filter_map(|(name, record)| Some((name, record.binding()?)));
    let chosen: Vec<_> = rest.by_ref().take(limit).collect();
    let next = rest.next().and_then(|_| chosen.last()).map(|(name, _)| (*name).clone());
    let rows: Vec<Row> = chosen.iter().map(|(_, binding)| Row::of(binding)).collect();
    let body = match asked.format {
        Format::Csv => rows::to_csv(&rows)?,
        Format::Json => serde_json::to_string_pretty(&rows).map_err(|error| error.to_string())?,
    };
    let mut text = format!("{} bindings.\n", rows.len());
    if let Some(next) = &next {
        text += &format!("There are more: ask again with \"after\": \"{next}\".\n");
    }
    let answer = match (&asked.to, asked.format) {
        (Some(Location { bucket, key }), _) => {
            let (bytes, place) = (body.len(), format!("s3://{bucket}/{key}"));
            match request.mode {
                Mode::Plan => text += &format!("{bytes} bytes would be written to {place}.\n"),
                Mode::Apply => {
                    desk.objects.put(bucket, key, body.into_bytes()).await?;
                    text += &format!("{bytes} bytes were written to {place}.\n");
                }
            }
            Answer::of(text)
        }
        // Quotes are longer in an answer, which is JSON itself.
        (None, _) if json!(body).to_string().len() > MOST_BYTES => {
            return Err(Refusal(format!(
                "export: {} bindings are {} bytes, more than Lambda answers; ask for fewer with limit and after, or have them written with `to`",
                rows.len(),
                body.len()
            )));
        }
        (None, Format::Csv) => Answer::of(text).with("csv", json!(body)),
        (None, Format::Json) => Answer::of(text).with("rows", json!(rows)),
    };
    Ok(answer.with("bindings", json!(rows.len())).with("next", json!(next)))
}
