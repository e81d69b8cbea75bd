//! What EKS checks of the values of an association.

use pod_identity_core::{ClusterArn, RoleArn};
use pod_identity_engine::ports::Association;
use serde_json::Value;

use super::{invalid_parameter, invalid_request};
use crate::error::AwsError;
use crate::settling::after;
use crate::world::World;

impl World {
    /// The role must be in the cluster's account, exist, and trust EKS.
    pub(super) fn check_role(
        &self,
        cluster: &ClusterArn,
        role: &str,
        disable_session_tags: bool,
    ) -> Result<(), AwsError> {
        let arn: RoleArn = role
            .parse()
            .map_err(|_| invalid_parameter(format!("Invalid IAM role ARN provided: {role}")))?;
        if arn.account() != cluster.account() {
            return Err(invalid_request("Cross-account pass role is not allowed."));
        }
        let seen = after(self.now, -self.settings.eks_sees_roles_after);
        let trust = self
            .iam
            .trust_at(&arn, seen)
            .ok_or_else(|| invalid_parameter("Role provided in the request does not exist."))?;
        if self.settings.checks_trust && !trusts_eks(trust, disable_session_tags) {
            return Err(invalid_parameter(
                "Trust policy of the role provided is invalid. Follow the official documentation \
                 to resolve the issue.",
            ));
        }
        Ok(())
    }
}

/// What must hold among the values themselves.
pub(super) fn check_values(association: &Association) -> Result<(), AwsError> {
    if let Some(target) = &association.target_role_arn
        && target.parse::<RoleArn>().is_err()
    {
        return Err(invalid_parameter(format!("Invalid target IAM role ARN provided: {target}")));
    }
    if let Some(policy) = &association.policy {
        if !association.disable_session_tags {
            return Err(invalid_parameter(
                "disableSessionTags must be set to true when policy is specified.",
            ));
        }
        if !serde_json::from_str::<Value>(policy).is_ok_and(|policy| policy.is_object()) {
            return Err(invalid_parameter("The policy provided is not a valid IAM policy."));
        }
    }
    Ok(())
}

/// Statements that allow EKS what it needs, conditions aside. This is not how
/// the engine judges trust, on purpose: a model must not share the code it tests.
fn trusts_eks(document: &str, disable_session_tags: bool) -> bool {
    let Ok(document) = serde_json::from_str::<Value>(document) else {
        return false;
    };
    let allows = |action: &str| {
        list(&document["Statement"]).iter().any(|statement| {
            statement["Effect"] == "Allow"
                && names_eks(&statement["Principal"])
                && list(&statement["Action"]).iter().any(|found| {
                    let found = found.as_str().unwrap_or_default().to_ascii_lowercase();
                    match found.strip_suffix('*') {
                        Some(start) => action.to_ascii_lowercase().starts_with(start),
                        None => action.eq_ignore_ascii_case(&found),
                    }
                })
        })
    };
    allows("sts:AssumeRole") && (disable_session_tags || allows("sts:TagSession"))
}

fn names_eks(principal: &Value) -> bool {
    principal == "*"
        || list(&principal["Service"])
            .iter()
            .any(|service| *service == "pods.eks.amazonaws.com" || *service == "*")
}

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        one => vec![one],
    }
}
