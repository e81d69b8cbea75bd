//! Roles, and what is attached to them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pod_identity_core::RoleArn;
use pod_identity_engine::ports::Page;

use super::{Role, delete_conflict, encoded, invalid_input, limit, no_entity, own};
use crate::error::AwsError;
use crate::paging::cut;
use crate::settling::{Settling, after};
use crate::world::{Caller, World};

/// What `GetRole` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleOutput {
    /// ARN.
    pub arn: String,
    /// Name.
    pub name: String,
    /// Path, with slashes at both ends.
    pub path: String,
    /// Id, such as `AROA...`.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its trust policy, percent-encoded.
    pub assume_role_policy_document: String,
}

/// One entry of `ListAttachedRolePolicies`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedPolicy {
    /// ARN.
    pub arn: String,
    /// Name.
    pub name: String,
}

fn no_role(name: &str) -> AwsError {
    no_entity(format!("The role with name {name} cannot be found."))
}

/// AWS looks at more than that the document is one.
fn check_trust(document: &str) -> Result<(), AwsError> {
    let is_policy = serde_json::from_str::<serde_json::Value>(document).is_ok_and(|document| {
        document["Statement"].is_array() || document["Statement"].is_object()
    });
    if is_policy {
        return Ok(());
    }
    Err(AwsError::new(400, "MalformedPolicyDocument", "This policy contains invalid Json"))
}

fn output(role: &Role, trust: &str) -> RoleOutput {
    let (arn, name) = (role.arn.to_string(), role.arn.name());
    let (_, path_and_name) = arn.split_once(":role").unwrap_or_default();
    RoleOutput {
        path: path_and_name.strip_suffix(name).unwrap_or("/").to_owned(),
        name: name.to_owned(),
        id: role.id.clone(),
        created: role.created,
        assume_role_policy_document: encoded(trust),
        arn,
    }
}

impl World {
    fn role(&self, caller: &Caller, name: &str) -> Result<&Role, AwsError> {
        self.iam.roles.get(&(caller.account.clone(), name.to_owned())).ok_or_else(|| no_role(name))
    }

    /// `GetRole`. IAM finds roles by name in the caller's account.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub fn get_role(&self, caller: &Caller, name: &str) -> Result<RoleOutput, AwsError> {
        let role = self.role(caller, name)?;
        let trust = role.trust.visible(self.now);
        let trust = trust.ok_or_else(|| no_role(name))?;
        Ok(output(role, trust))
    }

    /// `CreateRole`. Reads see it after a while.
    ///
    /// # Errors
    /// `EntityAlreadyExists`, `InvalidInput`, `MalformedPolicyDocument`.
    pub fn create_role(
        &mut self,
        caller: &Caller,
        name: &str,
        path: &str,
        trust: &str,
    ) -> Result<RoleOutput, AwsError> {
        let path = if path.is_empty() { "/" } else { path };
        let arn = format!("arn:aws:iam::{}:role{path}{name}", caller.account);
        let arn: RoleArn = arn
            .parse()
            .map_err(|_| invalid_input(format!("The path {path} or name {name} is not valid.")))?;
        check_trust(trust)?;
        let taken = self.role(caller, name).is_ok_and(|role| role.trust.latest().is_some());
        if taken {
            let words = format!("Role with name {name} already exists.");
            return Err(AwsError::new(409, "EntityAlreadyExists", words));
        }
        let (id, now) = (self.random.iam_id("AROA"), self.now);
        let visible_from = after(now, self.settings.visible_after);
        self.iam.put_role(&arn, id, trust, now, visible_from);
        Ok(output(self.role(caller, name)?, trust))
    }

    /// `UpdateAssumeRolePolicy`. Reads see it after a while.
    ///
    /// # Errors
    /// `NoSuchEntity`, `MalformedPolicyDocument`.
    pub fn update_assume_role_policy(
        &mut self,
        caller: &Caller,
        name: &str,
        trust: &str,
    ) -> Result<(), AwsError> {
        check_trust(trust)?;
        let arn = self.role(caller, name)?.arn.clone();
        self.iam.set_trust(&arn, trust, self.now, self.settings.visible_after);
        Ok(())
    }

    /// `DeleteRole`.
    ///
    /// # Errors
    /// `NoSuchEntity`; `DeleteConflict` while policies are attached.
    pub fn delete_role(&mut self, caller: &Caller, name: &str) -> Result<(), AwsError> {
        if !self.attached(caller, name)?.is_empty() {
            return Err(delete_conflict("Cannot delete entity, must detach all policies first."));
        }
        self.iam.roles.remove(&(caller.account.clone(), name.to_owned()));
        Ok(())
    }

    /// `AttachRolePolicy`. Attached already is no error.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`, `AccessDenied`, `InvalidInput`.
    pub fn attach_role_policy(
        &mut self,
        caller: &Caller,
        role_name: &str,
        policy_arn: &str,
    ) -> Result<(), AwsError> {
        let mut attached = self.attached(caller, role_name)?;
        own(caller, policy_arn)?;
        if self.iam.policies.get(policy_arn).and_then(Settling::latest).is_none() {
            return Err(no_entity(format!(
                "Policy {policy_arn} does not exist or is not attachable."
            )));
        }
        if attached.contains(policy_arn) {
            return Ok(());
        }
        let most = self.settings.policies_per_role;
        if attached.len() >= most {
            return Err(limit(format!("Cannot exceed quota for PoliciesPerRole: {most}")));
        }
        attached.insert(policy_arn.to_owned());
        self.set_attached(caller, role_name, attached);
        Ok(())
    }

    /// `DetachRolePolicy`.
    ///
    /// # Errors
    /// `NoSuchEntity`, also when the policy is not attached.
    pub fn detach_role_policy(
        &mut self,
        caller: &Caller,
        role_name: &str,
        policy_arn: &str,
    ) -> Result<(), AwsError> {
        let mut attached = self.attached(caller, role_name)?;
        if !attached.remove(policy_arn) {
            return Err(no_entity(format!("Policy {policy_arn} was not found.")));
        }
        self.set_attached(caller, role_name, attached);
        Ok(())
    }

    fn attached(&self, caller: &Caller, role: &str) -> Result<BTreeSet<String>, AwsError> {
        Ok(self.role(caller, role)?.attached.latest().cloned().unwrap_or_default())
    }

    fn set_attached(&mut self, caller: &Caller, role: &str, attached: BTreeSet<String>) {
        let (now, delay) = (self.now, self.settings.visible_after);
        if let Some(role) = self.iam.roles.get_mut(&(caller.account.clone(), role.to_owned())) {
            role.attached.set(Some(attached), now, delay);
        }
    }

    /// `ListAttachedRolePolicies`.
    ///
    /// # Errors
    /// `NoSuchEntity`, `InvalidInput`.
    pub fn list_attached_role_policies(
        &self,
        caller: &Caller,
        role_name: &str,
        max_items: Option<usize>,
        marker: Option<&str>,
    ) -> Result<Page<AttachedPolicy>, AwsError> {
        let role = self.role(caller, role_name)?;
        let size = self.iam_page_size(max_items)?;
        let entries = role.attached.visible(self.now).into_iter().flatten().map(|arn| {
            let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
            (arn.clone(), AttachedPolicy { arn: arn.clone(), name })
        });
        let (items, next) =
            cut(entries, marker, size).ok_or_else(|| invalid_input("Invalid marker."))?;
        Ok(Page { items, next })
    }

    pub(super) fn iam_page_size(&self, max_items: Option<usize>) -> Result<usize, AwsError> {
        match max_items.unwrap_or(100) {
            asked @ 1..=1000 => Ok(asked.min(self.settings.page_size)),
            _ => Err(AwsError::new(
                400,
                "ValidationError",
                "1 validation error detected: Value at 'maxItems' failed to satisfy constraint: \
                 Member must have value between 1 and 1000",
            )),
        }
    }
}
