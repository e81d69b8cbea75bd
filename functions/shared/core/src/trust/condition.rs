//! Conditions of a trust policy.

use super::{Answer, TrustQuestion};
use crate::pattern::glob;

/// What a condition key holds when EKS assumes the role.
enum Known {
    Value(String),
    Absent,
    /// Present or not, with a value that only the call shows.
    Unknowable,
}

/// All conditions of a statement must hold.
pub(super) fn holds(
    conditions: &[(String, String, Vec<String>)],
    question: TrustQuestion<'_>,
) -> Answer {
    conditions.iter().fold(Answer::Yes, |answer, (operator, key, values)| {
        answer.and(|| holds_one(operator, key, values, question))
    })
}

fn holds_one(operator: &str, key: &str, values: &[String], question: TrustQuestion<'_>) -> Answer {
    let unknown = |why: &str| Answer::Unknown(format!("condition {operator} on {key} {why}"));
    let matches: fn(&str, &str) -> bool = match operator {
        "StringEquals" => |pattern, text| pattern == text,
        "StringLike" => |pattern, text| glob(pattern.as_bytes(), text.as_bytes(), b'?'),
        _ => return unknown("is not evaluated"),
    };
    let found = match lookup(key, question) {
        Known::Value(found) => found,
        Known::Absent => {
            return Answer::No(format!(
                "condition {operator} on {key} cannot hold, EKS does not send that key here"
            ));
        }
        Known::Unknowable => return unknown("cannot be known beforehand"),
    };
    if values.iter().any(|value| matches(value, &found)) {
        return Answer::Yes;
    }
    // A policy variable could still become the value.
    if values.iter().any(|value| value.contains("${")) {
        return unknown("uses a policy variable");
    }
    Answer::No(format!(
        "condition {operator} on {key} wants `{}` but EKS sends `{found}`",
        values.join("`, `")
    ))
}

/// Condition keys are not case-sensitive, tag keys inside them neither.
fn lookup(key: &str, question: TrustQuestion<'_>) -> Known {
    let key = key.to_ascii_lowercase();
    let value = |text: &str| Known::Value(text.to_owned());
    match key.as_str() {
        "aws:sourcearn" => return value(question.cluster.as_str()),
        "aws:sourceaccount" => return value(question.cluster.account()),
        _ => {}
    }
    let Some(tag) = key.strip_prefix("aws:requesttag/") else {
        return Known::Unknowable;
    };
    if !question.session_tags {
        return Known::Absent;
    }
    match tag {
        "eks-cluster-arn" => value(question.cluster.as_str()),
        "eks-cluster-name" => value(question.cluster.name()),
        "kubernetes-namespace" => value(question.kubernetes.namespace()),
        "kubernetes-service-account" => value(question.kubernetes.service_account()),
        "kubernetes-pod-name" | "kubernetes-pod-uid" => Known::Unknowable,
        _ => Known::Absent,
    }
}
