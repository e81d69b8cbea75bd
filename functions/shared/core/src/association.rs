//! The association as EKS has it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::{Desired, DominoName, RoleArn};

/// Tag that carries the id of the deployment that made an association or a policy.
pub const DEPLOYMENT_TAG: &str = "domino-pod-identity:deployment";

/// Tag that carries the Domino service account that an association was made for.
pub const SERVICE_ACCOUNT_TAG: &str = "domino-pod-identity:service-account";

/// An association in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Association {
    /// Id, such as `a-abcdefghijklmnop1`.
    pub id: String,
    /// ARN.
    pub arn: String,
    /// Namespace.
    pub namespace: String,
    /// Kubernetes service account.
    pub service_account: String,
    /// ARN of its role.
    pub role_arn: String,
    /// ARN of its target role.
    pub target_role_arn: Option<String>,
    /// Whether EKS leaves out its session tags.
    pub disable_session_tags: bool,
    /// Session policy.
    pub policy: Option<String>,
    /// What the target role's trust policy has to ask for as `sts:ExternalId`.
    pub external_id: Option<String>,
    /// The add-on that owns it.
    pub owner_arn: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it was last changed, be it only a tag.
    pub modified_at: Option<Timestamp>,
}

impl Association {
    /// Whether its pods work as they should.
    #[must_use]
    pub fn fits(&self, desired: &Desired) -> bool {
        self.differences(desired).is_empty()
    }

    /// What of it is not as it should be.
    #[must_use]
    pub fn differences(&self, desired: &Desired) -> Vec<&'static str> {
        let Desired { role, target_role, disable_session_tags, session_policy } = desired;
        let target = target_role.as_ref().map(RoleArn::as_str);
        let same = [
            ("role", self.role_arn == role.as_str()),
            ("target role", present(self.target_role_arn.as_ref()) == target),
            ("session tags", self.disable_session_tags == *disable_session_tags),
            (
                "session policy",
                same_policy(present(self.policy.as_ref()), session_policy.as_deref()),
            ),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
    }
}

/// EKS may answer an absent value as an empty one.
fn present(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|value| !value.is_empty())
}

/// Policies are compared as JSON: EKS need not keep the white space.
fn same_policy(a: Option<&str>, b: Option<&str>) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (a, b) {
        (Some(a), Some(b)) => a == b || read(a).is_some_and(|value| Some(value) == read(b)),
        (a, b) => a == b,
    }
}

/// The tags of an association that this deployment makes.
#[must_use]
pub fn association_tags(
    deployment: &str,
    service_account: &DominoName,
) -> BTreeMap<String, String> {
    BTreeMap::from([
        (DEPLOYMENT_TAG.to_owned(), deployment.to_owned()),
        (SERVICE_ACCOUNT_TAG.to_owned(), service_account.to_string()),
    ])
}
