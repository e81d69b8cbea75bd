//! The parts of a trust policy document.
//!
//! Whatever is not understood makes the whole document unreadable. An element that
//! is passed over could be the one that decides.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::operator::Operator;
use super::{POD_IDENTITY_PRINCIPAL, Tri};
use crate::malformed::Malformed;
use crate::parse_unique;
use crate::pattern::glob;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatementEffect {
    Allow,
    Deny,
}

#[derive(Debug, Clone)]
enum Principal {
    Everyone,
    /// By kind: `Service`, `AWS` and so on.
    Named(BTreeMap<String, Vec<String>>),
    Not,
}

#[derive(Debug, Clone)]
enum Actions {
    /// In lower case, since case does not count.
    Named(Vec<String>),
    Not,
}

/// What EKS does with a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StsAction {
    AssumeRole,
    TagSession,
}

impl StsAction {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AssumeRole => "sts:AssumeRole",
            Self::TagSession => "sts:TagSession",
        }
    }
}

/// One key under one operator.
#[derive(Debug, Clone)]
pub(super) struct PolicyCondition {
    pub(super) operator: String,
    /// What the operator says; none for one that is not evaluated.
    pub(super) meaning: Option<Operator>,
    pub(super) key: String,
    /// The key in lower case; none for letters of which IAM does not say how it folds them.
    pub(super) folded: Option<String>,
    pub(super) values: Vec<String>,
    /// Whether a value has `${...}` that the document's version makes a variable.
    pub(super) variables: bool,
}

/// One statement, understood completely.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    /// How people find it: its Sid, or its place.
    pub(super) label: String,
    pub(super) effect: StatementEffect,
    /// Whether it names the service that assumes roles for pods.
    pub(super) names_pod_identity: bool,
    /// Whether principal and action fit: the same for every question, so answered once.
    assume_role: Tri,
    tag_session: Tri,
    pub(super) conditions: Vec<PolicyCondition>,
}

pub(super) fn parse(document: &str) -> Result<Vec<Statement>, Malformed> {
    let document = parse_unique(document).map_err(|error| error.to_string())?;
    let fields = document.as_object().ok_or("it is not an object")?;
    only(fields, &["Version", "Id", "Statement"], "it")?;
    let variables = match fields.get("Version").map(Value::as_str) {
        None | Some(Some("2008-10-17")) => false,
        Some(Some("2012-10-17")) => true,
        Some(_) => return Err("it has a Version that is not known".into()),
    };
    let statements = match fields.get("Statement") {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => return Err("it has no Statement".into()),
    };
    let numbered = statements.iter().enumerate();
    numbered.map(|(at, value)| statement(at + 1, value, variables)).collect()
}

/// IAM's grammar has no other elements; their names are case-sensitive.
fn only(fields: &Map<String, Value>, known: &[&str], owner: &str) -> Result<(), Malformed> {
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("{owner} has the element `{name}`, which is not known").into()),
        None => Ok(()),
    }
}

fn statement(number: usize, value: &Value, variables: bool) -> Result<Statement, Malformed> {
    let fields = value.as_object().ok_or_else(|| format!("statement {number} is not an object"))?;
    let label = match fields.get("Sid").and_then(Value::as_str) {
        Some(sid) if !sid.is_empty() => format!("statement `{sid}`"),
        _ => format!("statement {number}"),
    };
    let elements =
        ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Condition"];
    only(fields, &elements, &label)?;
    let effect = match fields.get("Effect").and_then(Value::as_str) {
        Some("Allow") => StatementEffect::Allow,
        Some("Deny") => StatementEffect::Deny,
        _ => return Err(format!("{label} has no Effect").into()),
    };
    let principal = match (fields.get("Principal"), fields.get("NotPrincipal")) {
        (Some(value), None) => {
            principal(value).ok_or_else(|| format!("{label} has a Principal of no known form"))?
        }
        (None, Some(_)) => Principal::Not,
        _ => return Err(format!("{label} needs either Principal or NotPrincipal").into()),
    };
    let actions = match (fields.get("Action"), fields.get("NotAction")) {
        (Some(value), None) => {
            let named = strings(value);
            let named = named.ok_or_else(|| format!("{label} has an Action of no known form"))?;
            Actions::Named(named.iter().map(|pattern| pattern.to_ascii_lowercase()).collect())
        }
        (None, Some(_)) => Actions::Not,
        _ => return Err(format!("{label} needs either Action or NotAction").into()),
    };
    let conditions = conditions(&label, fields, variables)?;
    let covers = |action| principal.covers_pod_identity().and(|| actions.cover(action));
    Ok(Statement {
        label,
        effect,
        names_pod_identity: principal.names_pod_identity(),
        assume_role: covers(StsAction::AssumeRole),
        tag_session: covers(StsAction::TagSession),
        conditions,
    })
}

fn principal(value: &Value) -> Option<Principal> {
    match value {
        Value::String(text) if text == "*" => Some(Principal::Everyone),
        Value::Object(kinds) => {
            let known =
                |kind: &str| ["AWS", "Service", "Federated", "CanonicalUser"].contains(&kind);
            let named = kinds.iter().map(|(kind, values)| {
                known(kind).then_some(())?;
                Some((kind.clone(), strings(values)?))
            });
            Some(Principal::Named(named.collect::<Option<_>>()?))
        }
        _ => None,
    }
}

fn conditions(
    label: &str,
    fields: &Map<String, Value>,
    variables: bool,
) -> Result<Vec<PolicyCondition>, Malformed> {
    let malformed = || format!("{label} has a Condition of no known form");
    let mut conditions = Vec::new();
    let Some(operators) = fields.get("Condition") else {
        return Ok(conditions);
    };
    for (operator, keys) in operators.as_object().ok_or_else(malformed)? {
        let mut seen = BTreeSet::new();
        for (key, values) in keys.as_object().ok_or_else(malformed)? {
            // Keys that differ in case only are one key.
            if !seen.insert(key.to_lowercase()) {
                return Err(format!("{label} has {operator} on {key} twice").into());
            }
            let values = strings(values).ok_or_else(malformed)?;
            conditions.push(PolicyCondition {
                operator: operator.clone(),
                meaning: Operator::parse(operator),
                key: key.clone(),
                folded: key.is_ascii().then(|| key.to_ascii_lowercase()),
                variables: variables && values.iter().any(|value| value.contains("${")),
                values,
            });
        }
    }
    Ok(conditions)
}

/// IAM takes a string or a list of strings; whole numbers and booleans stand for their text.
fn strings(value: &Value) -> Option<Vec<String>> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        single => one(single).map(|text| vec![text]),
    }
}

impl Statement {
    /// Whether it is about this action of EKS, its conditions aside.
    pub(super) fn covers(&self, action: StsAction) -> &Tri {
        match action {
            StsAction::AssumeRole => &self.assume_role,
            StsAction::TagSession => &self.tag_session,
        }
    }
}

impl Principal {
    fn names_pod_identity(&self) -> bool {
        let Self::Named(kinds) = self else {
            return false;
        };
        kinds.get("Service").into_iter().flatten().any(|service| service == POD_IDENTITY_PRINCIPAL)
    }

    fn covers_pod_identity(&self) -> Tri {
        let everyone = || Tri::Unknown("its principal is `*`".into());
        match self {
            Self::Not => Tri::Unknown("it uses NotPrincipal".into()),
            // AWS does not say whether a wildcard covers service principals.
            Self::Everyone => everyone(),
            Self::Named(_) if self.names_pod_identity() => Tri::Yes,
            Self::Named(kinds) if kinds.values().flatten().any(|text| text == "*") => everyone(),
            Self::Named(_) => Tri::No("its principal is another".into()),
        }
    }
}

impl Actions {
    fn cover(&self, action: StsAction) -> Tri {
        let Self::Named(patterns) = self else {
            return Tri::Unknown("it uses NotAction".into());
        };
        let wanted = action.name().to_ascii_lowercase();
        let matches =
            patterns.iter().any(|pattern| glob(pattern.as_bytes(), wanted.as_bytes(), b'?'));
        if matches {
            Tri::Yes
        } else {
            Tri::No(format!("its Action does not name {}", action.name()).into())
        }
    }
}
