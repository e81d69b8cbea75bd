//! Bindings as rows: JSON objects, or lines of comma-separated values.

use std::collections::BTreeMap;

use pod_identity_core::{Binding, Clusters};
use pod_identity_events::detail_type::ROLE_ASSIGNED;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::answer::Refusal;
use crate::change::{ChangeRequest, ChangeTarget};
use crate::table;

/// The columns, in their order.
pub(super) const COLUMNS: [&str; 8] = [
    "serviceAccount",
    "roleArn",
    "namespace",
    "kubernetesServiceAccount",
    "clusters",
    "targetRoleArn",
    "disableSessionTags",
    "sessionPolicy",
];

/// Columns that are required.
const NEEDED: [&str; 2] = ["serviceAccount", "roleArn"];

/// One binding, as a whole: what a row leaves out has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Row {
    pub(super) service_account: String,
    role_arn: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubernetes_service_account: Option<String>,
    /// `all`, or names or ARNs: a list, or a text with spaces between.
    #[serde(default)]
    clusters: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_role_arn: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    disable_session_tags: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_policy: Option<String>,
}

/// A row with its line, or what is wrong with it.
pub(super) type Numbered = (u64, Result<Row, Refusal>);

impl Row {
    pub(super) fn of(binding: &Binding) -> Self {
        let desired = &binding.desired;
        let clusters = match &binding.clusters {
            Clusters::All => "all".to_owned(),
            Clusters::Named(named) => {
                named.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
        };
        Self {
            service_account: binding.service_account.to_string(),
            role_arn: desired.role.to_string(),
            namespace: Some(binding.kubernetes.namespace().to_owned()),
            kubernetes_service_account: Some(binding.kubernetes.service_account().to_owned()),
            clusters: json!(clusters),
            target_role_arn: desired.target_role.as_ref().map(ToString::to_string),
            disable_session_tags: desired.disable_session_tags,
            session_policy: desired.session_policy.clone(),
        }
    }

    /// The binding that it asks for.
    pub(super) fn change_request(&self) -> ChangeRequest {
        let mut detail = Map::new();
        let mut put = |name: &str, value: Value| _ = detail.insert(name.to_owned(), value);
        put("serviceAccount", json!(self.service_account));
        put("roleArn", json!(self.role_arn));
        let mut kubernetes = Map::new();
        let names =
            [("namespace", &self.namespace), ("serviceAccount", &self.kubernetes_service_account)];
        for (name, value) in names {
            kubernetes.extend(value.iter().map(|value| (name.to_owned(), json!(value))));
        }
        if !kubernetes.is_empty() {
            put("kubernetes", Value::Object(kubernetes));
        }
        match &self.clusters {
            Value::Null => {}
            Value::String(text) if text.trim().is_empty() || text.trim() == "all" => {}
            Value::String(text) => {
                put("clusters", json!(text.split_whitespace().collect::<Vec<_>>()));
            }
            other => put("clusters", other.clone()),
        }
        if let Some(target) = &self.target_role_arn {
            put("targetRoleArn", json!(target));
        }
        if self.disable_session_tags {
            put("disableSessionTags", json!(true));
        }
        if let Some(policy) = &self.session_policy {
            put("sessionPolicy", json!(policy));
        }
        let about = ChangeTarget::ServiceAccount(self.service_account.clone());
        ChangeRequest { about, detail_type: ROLE_ASSIGNED, detail }
    }
}

/// Rows of a JSON list, numbered from 1.
pub(super) fn of_json(list: &[Value]) -> Vec<Numbered> {
    (1..).zip(list.iter().map(read)).collect()
}

/// Reads a row. What is wrong is said by the rule and not by what stands there: a file that was meant for something
/// else may hold secrets.
fn read(value: &Value) -> Result<Row, Refusal> {
    Row::deserialize(value).map_err(|_| Refusal(misfit(value)))
}

/// Why a value is no row.
fn misfit(value: &Value) -> String {
    let Some(fields) = value.as_object() else {
        return format!("a row is an object with {}", COLUMNS.join(", "));
    };
    let unknown = fields.keys().filter(|name| !COLUMNS.contains(&name.as_str())).count();
    let missing: Vec<&str> =
        NEEDED.into_iter().filter(|name| !fields.contains_key(*name)).collect();
    match (unknown, missing.as_slice()) {
            (0, []) => "a value is of the wrong type: disableSessionTags is true or false, clusters a text or a list, all others are texts".to_owned(),
            (0, missing) => format!("it has no {}", missing.join(" and no ")),
            (unknown, _) => format!("{unknown} of its fields are none of {}", COLUMNS.join(", ")),
        }
}

/// Rows of comma-separated values (RFC 4180) under a header, each with the line where it begins.
/// Spreadsheets write columns that have neither a name nor a field: they count for nothing.
///
/// # Errors
/// When the header is not one, or does not name a column that has a field.
pub(super) fn of_csv(text: &str) -> Result<Vec<Numbered>, Refusal> {
    // Spreadsheets begin UTF-8 with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::Headers)
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| Refusal(format!("csv: {error}")))?.clone();
    let named = || header.iter().filter(|name| !name.is_empty());
    // Not said by name: a file that was meant for something else may hold secrets.
    let unknown = named().filter(|name| !COLUMNS.contains(name)).count();
    let missing: Vec<&str> =
        NEEDED.into_iter().filter(|name| !header.iter().any(|one| one == *name)).collect();
    if unknown > 0 || !missing.is_empty() {
        return Err(format!(
            "csv: the first line names the columns, of which there are {}; unknown: {unknown}, missing: [{}]",
            COLUMNS.join(", "),
            missing.join(", ")
        ).into());
    }
    let doubled: Option<&str> =
        named().find(|name| header.iter().filter(|one| one == name).count() > 1);
    if let Some(doubled) = doubled {
        return Err(format!("csv: column {doubled} is there twice").into());
    }
    let (mut rows, mut lines) = (Vec::new(), Lines { text, at: 0, line: 1 });
    for record in reader.records() {
        let record = record.map_err(|error| Refusal(format!("csv: {error}")))?;
        let begin = record.position().map_or(0, csv::Position::byte);
        let line = lines.of(begin);
        if let Some(column) = nameless(&header, &record) {
            return Err(format!(
                "csv: column {column} has no name in the first line, and a field in line {line}: name the column, or empty it"
            ).into());
        }
        rows.push((line, of_record(&header, &record)));
    }
    Ok(rows)
}

/// Counts lines. The parser's own count is one behind where lines end with CR LF: it takes the LF
/// for the beginning of the next record.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl Lines<'_> {
    /// The line of what begins at a byte, or behind the line ends there.
    fn of(&mut self, begin: u64) -> u64 {
        let bytes = self.text.as_bytes();
        let begin = usize::try_from(begin).unwrap_or(usize::MAX).min(bytes.len());
        let ends = bytes[begin..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let behind = begin + ends;
        let passed = bytes.get(self.at..behind).unwrap_or_default();
        self.line += passed.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        self.at = self.at.max(behind);
        self.line
    }
}

/// The first column, from 1, with a field and without a name.
fn nameless(header: &csv::StringRecord, record: &csv::StringRecord) -> Option<usize> {
    let mut columns = (1..).zip(header.iter().zip(record));
    columns
        .find(|(_, (name, text))| name.is_empty() && !text.trim().is_empty())
        .map(|(column, _)| column)
}

fn of_record(header: &csv::StringRecord, record: &csv::StringRecord) -> Result<Row, Refusal> {
    // Columns without a name at the end may be left out.
    let needed = header.len() - header.iter().rev().take_while(|name| name.is_empty()).count();
    if !(needed..=header.len()).contains(&record.len()) {
        return Err(
            format!("it has {} fields, and the header has {}", record.len(), header.len()).into()
        );
    }
    let mut fields: BTreeMap<&str, Value> = BTreeMap::new();
    for (name, text) in header.iter().zip(record) {
        // A policy is kept to the letter.
        let text = if name == "sessionPolicy" { text } else { text.trim() };
        let text = table::of_cell(text);
        let value = match (name, text) {
            (_, "") => continue,
            ("disableSessionTags", text) => match text.to_ascii_lowercase().as_str() {
                "true" => json!(true),
                "false" => json!(false),
                _ => return Err("disableSessionTags is `true` or `false`".into()),
            },
            (_, text) => json!(text),
        };
        fields.insert(name, value);
    }
    read(&json!(fields))
}

/// Rows as comma-separated values under a header.
///
/// # Errors
/// When they cannot be written, which memory does not do.
pub(super) fn to_csv(rows: &[Row]) -> Result<String, Refusal> {
    let header = COLUMNS.iter().map(|name| (*name).to_owned()).collect();
    let given = |value: &Option<String>| value.clone().unwrap_or_default();
    let cells = rows.iter().map(|row| {
        vec![
            row.service_account.clone(),
            row.role_arn.clone(),
            given(&row.namespace),
            given(&row.kubernetes_service_account),
            row.clusters.as_str().unwrap_or_default().to_owned(),
            given(&row.target_role_arn),
            row.disable_session_tags.to_string(),
            given(&row.session_policy),
        ]
    });
    table::csv(&std::iter::once(header).chain(cells).collect::<Vec<_>>())
}
