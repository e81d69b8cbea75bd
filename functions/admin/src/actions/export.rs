//! All bindings as a file that `import` takes.

use std::ops::Bound;

use pod_identity_core::DominoName;
use pod_identity_engine::chain;
use pod_identity_engine::ports::{Clock, KubernetesReader, MAX_OBJECT_BYTES, ObjectWriter};
use serde::Deserialize;
use serde_json::json;

use super::rows::{self, Row};
use crate::answer::{Answer, MOST_BYTES, Refusal};
use crate::desk::{Desk, Looks};
use crate::exchange::Location;
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
        (
            "to",
            "optional: { bucket, key }: a file in S3 instead of the answer, written with mode apply, over one that is there; bucket may be left out",
        ),
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

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
        }
    }
}

pub(super) async fn answer(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    hands: Option<&impl ObjectWriter>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let asked: Asked = request.fields()?;
    let refuse = |why: String| Refusal(format!("export: {why}"));
    let to = asked.to.as_ref().map(|to| to.reach(desk.exchange)).transpose().map_err(refuse)?;
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
    let answer = match (to, asked.format) {
        (Some((place, _)), format) => {
            let bytes = body.len();
            if bytes > MAX_OBJECT_BYTES {
                return Err(refuse(format!(
                    "{} bindings are {bytes} bytes, more than the {MAX_OBJECT_BYTES} that import reads from {place}; write parts of them with limit and after",
                    rows.len()
                )));
            }
            match hands {
                None => {
                    text += &format!(
                        "{bytes} bytes would be written to {place}; a file that is there is replaced.\n"
                    );
                }
                Some(hands) => {
                    desk.hurry().map_err(refuse)?;
                    let put = hands.put_object(&place, format.content_type(), body.into_bytes());
                    put.await.map_err(|error| refuse(chain(&error)))?;
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
    let answer = answer
        .with("mode", json!(request.mode.word()))
        .with("bindings", json!(rows.len()))
        .with("next", json!(next));
    Ok(if asked.to.is_some() { answer.applied_by(request, &[]) } else { answer })
}
