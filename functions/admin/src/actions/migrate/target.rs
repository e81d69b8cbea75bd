//! Whether a target role's trust policy takes the external id that EKS sends.
//!
//! Only the condition on `sts:ExternalId` is looked at: it alone names the cluster, and so breaks
//! with the move to another one.

use pod_identity_core::{ClusterArn, KubernetesName, Pattern};
use serde_json::Value;

/// What a trust policy says of an external id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Takes {
    Yes,
    /// And which condition keeps it out.
    No(String),
    Unknown(String),
}

/// What EKS sends as `sts:ExternalId` when it goes on to a target role.
pub(super) fn external_id(cluster: &ClusterArn, place: &KubernetesName) -> String {
    let (region, account, name) = (cluster.region(), cluster.account(), cluster.name());
    format!("{region}/{account}/{name}/{}/{}", place.namespace(), place.service_account())
}

/// What a trust policy, a JSON document, says of an external id.
pub(super) fn takes(document: &str, external_id: &str) -> Takes {
    let document: Value = match serde_json::from_str(document) {
        Ok(document) => document,
        Err(error) => return Takes::Unknown(format!("its trust policy cannot be read: {error}")),
    };
    let mut nearest = None;
    let mut unknown = None;
    for statement in several(&document["Statement"]) {
        match (statement["Effect"].as_str(), of_statement(statement, external_id)) {
            // Rare, and not worth a guess.
            (Some("Deny"), _) if names_external_id(statement) => {
                unknown = Some("a Deny of its trust policy looks at sts:ExternalId".to_owned());
            }
            (Some("Allow"), Some(Takes::Yes)) => return unknown.map_or(Takes::Yes, Takes::Unknown),
            (Some("Allow"), Some(Takes::No(why))) => nearest = Some(why),
            (Some("Allow"), Some(Takes::Unknown(why))) => unknown = Some(why),
            _ => {}
        }
    }
    match (unknown, nearest) {
        (Some(why), _) => Takes::Unknown(why),
        (None, Some(why)) => Takes::No(why),
        (None, None) => {
            Takes::No("no statement of its trust policy allows sts:AssumeRole".to_owned())
        }
    }
}

/// One or a list.
fn several(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// None when the statement is about another action.
fn of_statement(statement: &Value, external_id: &str) -> Option<Takes> {
    if !statement["NotAction"].is_null() {
        return Some(Takes::Unknown("a statement of its trust policy has NotAction".to_owned()));
    }
    let assumes = |action: &Value| {
        let action = action.as_str().unwrap_or_default().to_ascii_lowercase();
        Pattern::new(action).matches("sts:assumerole")
    };
    if !several(&statement["Action"]).iter().any(assumes) {
        return None;
    }
    let mut result = Takes::Yes;
    for (operator, values) in conditions(statement) {
        match of_condition(operator, values, external_id) {
            Takes::Yes => {}
            Takes::No(why) => return Some(Takes::No(why)),
            unknown @ Takes::Unknown(_) => result = unknown,
        }
    }
    Some(result)
}

fn names_external_id(statement: &Value) -> bool {
    conditions(statement).next().is_some()
}

/// Operators and values of the conditions on `sts:ExternalId`; keys are not case-sensitive.
fn conditions(statement: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let operators = statement["Condition"].as_object().into_iter().flatten();
    operators.flat_map(|(operator, keys)| {
        let keys = keys.as_object().into_iter().flatten();
        keys.filter(|(key, _)| key.eq_ignore_ascii_case("sts:ExternalId"))
            .map(move |(_, values)| (operator.as_str(), values))
    })
}

fn of_condition(operator: &str, values: &Value, external_id: &str) -> Takes {
    let lower = operator.to_ascii_lowercase();
    let plain = lower.strip_suffix("ifexists").unwrap_or(&lower);
    let values = several(values).iter().map(|value| value.as_str().unwrap_or_default());
    let values: Vec<&str> = values.collect();
    let is_met = match plain {
        "stringequals" => values.contains(&external_id),
        "stringequalsignorecase" => {
            values.iter().any(|value| value.eq_ignore_ascii_case(external_id))
        }
        "stringlike" => values.iter().any(|value| Pattern::new(*value).matches(external_id)),
        _ => {
            let why = format!("its trust policy has {operator} on sts:ExternalId");
            return Takes::Unknown(why);
        }
    };
    if is_met {
        return Takes::Yes;
    }
    let asks = values.join("`, `");
    // A policy variable, or a wildcard for one character, may still fit.
    let is_open =
        |value: &&str| value.contains("${") || (plain == "stringlike" && value.contains('?'));
    if values.iter().any(is_open) {
        return Takes::Unknown(format!("{operator} on sts:ExternalId asks for `{asks}`"));
    }
    Takes::No(format!("{operator} on sts:ExternalId asks for `{asks}`"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(condition: &Value) -> String {
        json!({ "Statement": { "Effect": "Allow", "Action": ["sts:AssumeRole"], "Condition": condition } })
            .to_string()
    }

    #[test]
    fn an_external_id_is_held_to_the_condition_on_it_alone() {
        let id = "eu-west-1/111122223333/green/domino-compute/svc-etl-sa";
        let blue = "eu-west-1/111122223333/blue/domino-compute/svc-etl-sa";
        assert_eq!(takes(&policy(&json!({})), id), Takes::Yes);
        let equals =
            |values: Value| policy(&json!({ "StringEquals": { "STS:externalId": values } }));
        assert_eq!(takes(&equals(json!([blue, id])), id), Takes::Yes);
        let why = format!("StringEquals on sts:ExternalId asks for `{blue}`");
        assert_eq!(takes(&equals(json!(blue)), id), Takes::No(why));
        let like = |value: &str| policy(&json!({ "StringLike": { "sts:ExternalId": value } }));
        assert_eq!(takes(&like("eu-west-1/*/domino-compute/svc-etl-sa"), id), Takes::Yes);
        assert!(matches!(takes(&like("*/blu?/*"), id), Takes::Unknown(_)));
        let other = policy(&json!({ "ArnLike": { "sts:ExternalId": id } }));
        assert!(matches!(takes(&other, id), Takes::Unknown(_)));
        assert!(matches!(takes(r#"{"Statement": []}"#, id), Takes::No(_)));
        assert!(matches!(takes("nothing", id), Takes::Unknown(_)));
    }

    #[test]
    fn the_external_id_is_made_of_cluster_and_place() {
        let cluster = ClusterArn::new("aws", "eu-west-1", "111122223333", "green").unwrap();
        let place = KubernetesName::new("domino-compute", "svc-etl-sa").unwrap();
        let id = "eu-west-1/111122223333/green/domino-compute/svc-etl-sa";
        assert_eq!(external_id(&cluster, &place), id);
    }
}
