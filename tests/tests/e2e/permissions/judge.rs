//! What a role allows: the statements of its policies, read from a template, and IAM's judgement.

use std::collections::BTreeMap;

use serde_json::Value;

use super::demands::{Demand, PARTITIONS};
use crate::template::Template;

#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) actions: Vec<String>,
    resources: Vec<String>,
    /// Operator, key, values.
    conditions: Vec<(String, String, Vec<String>)>,
}

/// A role's policies: their statements, by the policy's logical name.
pub(super) type Role = BTreeMap<String, Vec<Statement>>;

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Null => Vec::new(),
        other => panic!("no text: {other}"),
    }
}

fn statements(document: &Value) -> Vec<Statement> {
    let statement = |one: &Value| {
        assert_eq!(one["Effect"], "Allow");
        let mut conditions = Vec::new();
        for (operator, keys) in one["Condition"].as_object().into_iter().flatten() {
            for (key, values) in keys.as_object().unwrap() {
                conditions.push((operator.clone(), key.clone(), texts(values)));
            }
        }
        let (actions, resources) = (texts(&one["Action"]), texts(&one["Resource"]));
        Statement { actions, resources, conditions }
    };
    document["Statement"].as_array().unwrap().iter().map(statement).collect()
}

pub(super) fn role(template: &Template, name: &str) -> Role {
    let resources = &template.document["Resources"];
    let role = template.evaluate(&resources[name]["Properties"]).unwrap();
    let mut policies = Role::new();
    for policy in texts(&role["ManagedPolicyArns"]) {
        let document = template.evaluate(&resources[&policy]["Properties"]["PolicyDocument"]);
        policies.insert(policy, statements(&document.unwrap()));
    }
    for policy in role["Policies"].as_array().into_iter().flatten() {
        policies.insert(name.to_owned(), statements(&policy["PolicyDocument"]));
    }
    policies
}

/// Whether a text fits an IAM pattern: `*` for any text, `?` for one character.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            (0..=text.len()).any(|at| text.is_char_boundary(at) && fits(rest, &text[at..]))
        }
        Some(wanted) => {
            let mut chars = text.chars();
            chars.next().is_some_and(|found| wanted == '?' || wanted == found)
                && fits(pattern_chars.as_str(), chars.as_str())
        }
    }
}

impl Statement {
    /// The values that its conditions have for a key.
    pub(super) fn values(&self, key: &str) -> impl Iterator<Item = &String> {
        let conditions = self
            .conditions
            .iter()
            .filter(move |(operator, found, _)| operator != "Null" && found == key);
        conditions.flat_map(|(_, _, values)| values)
    }

    fn allows(&self, demand: &Demand) -> bool {
        let none = Vec::new();
        let holds = |(operator, key, values): &(String, String, Vec<String>)| {
            let found = demand.context.get(key.as_str()).unwrap_or(&none);
            let equal = |found: &String| values.contains(found);
            let like = |found: &String| values.iter().any(|value| fits(value, found));
            match operator.as_str() {
                "StringEquals" => !found.is_empty() && found.iter().all(equal),
                "ArnLike" => !found.is_empty() && found.iter().all(like),
                // They hold for a key that is not there.
                "ForAllValues:StringEquals" => found.iter().all(equal),
                "ForAllValues:StringLike" => found.iter().all(like),
                "Null" => values.iter().all(|value| (value == "true") == found.is_empty()),
                other => panic!("{other} is not read here"),
            }
        };
        self.actions.iter().any(|action| action == demand.action)
            && self.resources.iter().any(|resource| fits(resource, &demand.resource))
            && self.conditions.iter().all(holds)
    }
}

pub(super) fn allowed(role: &Role, demand: &Demand) -> bool {
    role.values().flatten().any(|statement| statement.allows(demand))
}

/// A role with other partitions of the ledger in place of its own.
pub(super) fn with_partitions(role: &Role, other: impl Fn(&str) -> String) -> Role {
    let mut role = role.clone();
    for statement in role.values_mut().flatten() {
        for (operator, key, values) in &mut statement.conditions {
            if operator != "Null" && key == PARTITIONS {
                *values = values.iter().map(|one| other(one)).collect();
            }
        }
    }
    role
}
