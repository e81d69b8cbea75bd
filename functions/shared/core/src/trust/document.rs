//! The parts of a trust policy document.

use serde_json::{Map, Value};

use super::Answer;
use crate::pattern::glob;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// One statement, as far as it was understood.
#[derive(Debug)]
pub(super) struct Statement {
    /// How people find it: its Sid, or its place.
    pub(super) label: String,
    pub(super) effect: Effect,
    principal: Option<Value>,
    not_principal: bool,
    actions: Option<Vec<String>>,
    not_action: bool,
    /// Operator, key, values; in the document's order of keys.
    pub(super) conditions: Vec<(String, String, Vec<String>)>,
}

pub(super) fn parse(document: &str) -> Result<Vec<Statement>, String> {
    let document: Value = serde_json::from_str(document).map_err(|error| error.to_string())?;
    let statements = match document.get("Statement") {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => return Err("it has no Statement".to_owned()),
    };
    statements.iter().enumerate().map(|(at, value)| statement(at + 1, value)).collect()
}

fn statement(number: usize, value: &Value) -> Result<Statement, String> {
    let fields = value.as_object().ok_or_else(|| format!("statement {number} is not an object"))?;
    let label = match fields.get("Sid").and_then(Value::as_str) {
        Some(sid) if !sid.is_empty() => format!("statement `{sid}`"),
        _ => format!("statement {number}"),
    };
    let effect = match fields.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(format!("{label} has no Effect")),
    };
    let actions = match fields.get("Action") {
        None => None,
        Some(value) => {
            Some(strings(value).ok_or_else(|| format!("{label} has an Action of no known form"))?)
        }
    };
    Ok(Statement {
        effect,
        principal: fields.get("Principal").cloned(),
        not_principal: fields.contains_key("NotPrincipal"),
        actions,
        not_action: fields.contains_key("NotAction"),
        conditions: conditions(&label, fields)?,
        label,
    })
}

fn conditions(
    label: &str,
    fields: &Map<String, Value>,
) -> Result<Vec<(String, String, Vec<String>)>, String> {
    let malformed = || format!("{label} has a Condition of no known form");
    let mut conditions = Vec::new();
    let Some(operators) = fields.get("Condition") else {
        return Ok(conditions);
    };
    for (operator, keys) in operators.as_object().ok_or_else(malformed)? {
        for (key, values) in keys.as_object().ok_or_else(malformed)? {
            let values = strings(values).ok_or_else(malformed)?;
            conditions.push((operator.clone(), key.clone(), values));
        }
    }
    Ok(conditions)
}

/// IAM takes a string or a list of strings; numbers and booleans stand for their text.
fn strings(value: &Value) -> Option<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        single => one(single).map(|text| vec![text]),
    }
}

impl Statement {
    /// The service principals that the statement names.
    fn services(&self) -> Vec<String> {
        self.principal
            .as_ref()
            .and_then(|principal| principal.get("Service"))
            .and_then(strings)
            .unwrap_or_default()
    }

    pub(super) fn names_principal(&self, principal: &str) -> bool {
        self.services().iter().any(|service| service == principal)
    }

    pub(super) fn matches_principal(&self, principal: &str) -> Answer {
        if self.not_principal {
            return Answer::Unknown("it uses NotPrincipal".to_owned());
        }
        if self.names_principal(principal) {
            return Answer::Yes;
        }
        // AWS does not say whether a wildcard covers service principals.
        let everyone = match &self.principal {
            Some(Value::String(text)) => text == "*",
            Some(Value::Object(kinds)) => {
                kinds.values().filter_map(strings).flatten().any(|text| text == "*")
            }
            _ => false,
        };
        if everyone {
            Answer::Unknown("its principal is `*`".to_owned())
        } else {
            Answer::No(format!("its principal is not {principal}"))
        }
    }

    pub(super) fn matches_action(&self, action: &str) -> Answer {
        if self.not_action {
            return Answer::Unknown("it uses NotAction".to_owned());
        }
        let wanted = action.to_ascii_lowercase();
        let matches =
            self.actions.iter().flatten().any(|pattern| {
                glob(pattern.to_ascii_lowercase().as_bytes(), wanted.as_bytes(), b'?')
            });
        if matches { Answer::Yes } else { Answer::No(format!("its Action does not name {action}")) }
    }
}
