//! What IAM checks of a managed policy's document.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::limit;
use crate::error::AwsError;

/// IAM's limit for a managed policy; white space does not count.
const MAX_CHARACTERS: usize = 6_144;

pub(super) fn check(document: &str) -> Result<(), AwsError> {
    let Ok(Value::Object(policy)) = serde_json::from_str(document) else {
        return Err(malformed("Syntax errors in policy."));
    };
    if policy.keys().any(|key| !matches!(key.as_str(), "Version" | "Id" | "Statement")) {
        return Err(malformed("Syntax errors in policy."));
    }
    let known = [None, Some("2008-10-17"), Some("2012-10-17")];
    if !known.contains(&policy.get("Version").map(|version| version.as_str().unwrap_or_default())) {
        return Err(malformed("The policy must contain a valid version string."));
    }
    let statements: Vec<&Value> = match policy.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => return Err(malformed("Syntax errors in policy.")),
    };
    let mut sids = BTreeSet::new();
    for statement in statements {
        let Value::Object(statement) = statement else {
            return Err(malformed("Syntax errors in policy."));
        };
        check_statement(statement)?;
        if let Some(sid) = statement.get("Sid")
            && !sids.insert(sid.as_str().unwrap_or_default().to_owned())
        {
            return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
        }
    }
    let characters = document.chars().filter(|c| !c.is_whitespace()).count();
    if characters > MAX_CHARACTERS {
        return Err(limit(format!("Cannot exceed quota for PolicySize: {MAX_CHARACTERS}")));
    }
    Ok(())
}

fn check_statement(statement: &Map<String, Value>) -> Result<(), AwsError> {
    if let Some(sid) = statement.get("Sid")
        && !sid.as_str().is_some_and(|sid| sid.bytes().all(|b| b.is_ascii_alphanumeric()))
    {
        return Err(malformed("Statement IDs (SID) must be alpha-numeric."));
    }
    if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
        return Err(malformed("Syntax errors in policy."));
    }
    if statement.contains_key("Principal") || statement.contains_key("NotPrincipal") {
        return Err(malformed("Policy document should not specify a principal."));
    }
    let actions = texts(statement, "Action", "NotAction")
        .ok_or_else(|| malformed("Policy statement must contain actions."))?;
    if let Some(bad) = actions.iter().find(|action| **action != "*" && !action.contains(':')) {
        return Err(malformed(&format!(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. ({bad})"
        )));
    }
    let resources = texts(statement, "Resource", "NotResource")
        .ok_or_else(|| malformed("Policy statement must contain resources."))?;
    let is_arn = |resource: &str| resource == "*" || resource.splitn(6, ':').count() == 6;
    if let Some(bad) = resources.iter().find(|resource| !is_arn(resource)) {
        return Err(malformed(&format!("Resource {bad} must be in ARN format or \"*\".")));
    }
    Ok(())
}

/// The strings under exactly one of two keys; none when there is not one.
fn texts<'a>(statement: &'a Map<String, Value>, key: &str, not: &str) -> Option<Vec<&'a str>> {
    let value = match (statement.get(key), statement.get(not)) {
        (Some(value), None) | (None, Some(value)) => value,
        _ => return None,
    };
    let texts: Vec<&str> = match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().map(Value::as_str).collect::<Option<_>>()?,
        _ => return None,
    };
    (!texts.is_empty()).then_some(texts)
}

fn malformed(message: &str) -> AwsError {
    AwsError::new(400, "MalformedPolicyDocument", message)
}
