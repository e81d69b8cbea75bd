//! Customer managed policies.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_core::Partition;

use super::{Policy, delete_conflict, document, invalid_input};
use crate::error::AwsError;
use crate::settling::{Settling, after};
use crate::world::{Caller, World};

/// What `GetPolicy` and `CreatePolicy` tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyOutput {
    /// ARN.
    pub arn: String,
    /// Name.
    pub name: String,
    /// Path, with slashes at both ends.
    pub path: String,
    /// Id, such as `ANPA...`.
    pub id: String,
    /// Description.
    pub description: String,
    /// The version in force, such as `v3`.
    pub default_version: String,
    /// How many roles have it.
    pub attachments: usize,
    /// When it was made.
    pub created: Timestamp,
    /// When its version in force last changed.
    pub updated: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl World {
    /// `CreatePolicy`, with an empty path for `/`.
    ///
    /// # Errors
    /// `EntityAlreadyExists`, `LimitExceeded`, `MalformedPolicyDocument`, `InvalidInput`.
    pub fn create_policy(
        &mut self,
        caller: &Caller,
        name: &str,
        path: &str,
        description: &str,
        policy_document: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<PolicyOutput, AwsError> {
        let path = if path.is_empty() { "/" } else { path };
        let fits = (1..=128).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b));
        if !fits || !path.starts_with('/') || !path.ends_with('/') || description.len() > 1_000 {
            return Err(invalid_input("The specified value for policyName or path is invalid."));
        }
        document::check(policy_document)?;
        // Names are unique in an account, whatever the path.
        let account = format!("::{}:policy/", caller.account);
        let taken = self.iam.policies.iter().any(|(arn, policy)| {
            policy.latest().is_some()
                && arn.contains(&account)
                && arn.rsplit('/').next() == Some(name)
        });
        if taken {
            return Err(AwsError::new(
                409,
                "EntityAlreadyExists",
                format!("A policy called {name} already exists. Duplicate names are not allowed."),
            ));
        }
        let partition = Partition::of_region(&caller.region).name;
        let arn = format!("arn:{partition}:iam::{}:policy{path}{name}", caller.account);
        let mut policy = Policy::new(self.random.iam_id("ANPA"), policy_document, self.now);
        description.clone_into(&mut policy.description);
        policy.tags.clone_from(tags);
        let output = self.policy_output(&arn, &policy);
        let (now, delay) = (self.now, self.settings.visible_after);
        match self.iam.policies.get_mut(&arn) {
            // Deleted, and its absence has not settled yet.
            Some(settling) => settling.set(Some(policy), now, delay),
            None => {
                self.iam.policies.insert(arn, Settling::new(policy, after(now, delay)));
            }
        }
        Ok(output)
    }

    /// `GetPolicy`.
    ///
    /// # Errors
    /// `NoSuchEntity`, `AccessDenied`, `InvalidInput`.
    pub fn get_policy(&self, caller: &Caller, arn: &str) -> Result<PolicyOutput, AwsError> {
        let policy = self.iam.readable(caller, arn, self.now)?;
        Ok(self.policy_output(arn, policy))
    }

    /// `DeletePolicy`.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict` while it is attached or has other versions.
    pub fn delete_policy(&mut self, caller: &Caller, arn: &str) -> Result<(), AwsError> {
        let policy = self.iam.writable(caller, arn)?;
        if self.attachments(arn) > 0 {
            return Err(delete_conflict("Cannot delete a policy attached to entities."));
        }
        if policy.versions.len() > 1 {
            return Err(delete_conflict(
                "This policy has more than one version. Before you delete a policy, you must \
                 delete the policy's versions. The default version is deleted with the policy.",
            ));
        }
        self.store_policy(arn, None);
        Ok(())
    }

    pub(super) fn store_policy(&mut self, arn: &str, value: Option<Policy>) {
        let (now, delay) = (self.now, self.settings.visible_after);
        if let Some(policy) = self.iam.policies.get_mut(arn) {
            policy.set(value, now, delay);
        }
        self.iam.policies.retain(|_, policy| !policy.is_gone(now));
    }

    fn attachments(&self, arn: &str) -> usize {
        self.iam
            .roles
            .values()
            .filter(|role| role.attached.latest().is_some_and(|attached| attached.contains(arn)))
            .count()
    }

    fn policy_output(&self, arn: &str, policy: &Policy) -> PolicyOutput {
        let (_, path_and_name) = arn.split_once(":policy").unwrap_or_default();
        let name = path_and_name.rsplit('/').next().unwrap_or_default();
        PolicyOutput {
            arn: arn.to_owned(),
            name: name.to_owned(),
            path: path_and_name.strip_suffix(name).unwrap_or("/").to_owned(),
            id: policy.id.clone(),
            description: policy.description.clone(),
            default_version: format!("v{}", policy.default),
            attachments: self.attachments(arn),
            created: policy.created,
            updated: policy.updated,
            tags: policy.tags.clone(),
        }
    }
}
