//! AWS IAM: roles and managed policies of all accounts.

mod document;
mod policies;
mod roles;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pod_identity_core::RoleArn;

pub use policies::PolicyOutput;
pub use roles::{AttachedPolicy, RoleOutput};
pub use versions::PolicyVersionOutput;

use crate::error::AwsError;
use crate::settling::Settling;
use crate::world::Caller;

/// Roles and policies.
#[derive(Debug, Clone)]
pub struct Iam {
    /// By account and name.
    roles: BTreeMap<(String, String), Role>,
    /// By ARN.
    policies: BTreeMap<String, Settling<Policy>>,
}

#[derive(Debug, Clone)]
struct Role {
    arn: RoleArn,
    id: String,
    created: Timestamp,
    trust: Settling<String>,
    attached: Settling<BTreeSet<String>>,
}

#[derive(Debug, Clone)]
struct Policy {
    id: String,
    description: String,
    created: Timestamp,
    updated: Timestamp,
    tags: BTreeMap<String, String>,
    default: u32,
    next: u32,
    versions: BTreeMap<u32, Version>,
}

#[derive(Debug, Clone)]
struct Version {
    document: String,
    created: Timestamp,
}

impl Iam {
    pub(crate) fn new(now: Timestamp) -> Self {
        let mut iam = Self { roles: BTreeMap::new(), policies: BTreeMap::new() };
        iam.add_aws_policy(
            "AmazonEKSWorkerNodePolicy",
            r#"{"Version":"2012-10-17","Statement":[{"Sid":"WorkerNodePermissions","Effect":"Allow","Action":["ec2:DescribeInstances","eks:DescribeCluster","eks-auth:AssumeRoleForPodIdentity"],"Resource":"*"}]}"#,
            now,
        );
        iam
    }

    /// Adds a policy of AWS's own, `arn:aws:iam::aws:policy/NAME`; the one that
    /// Domino attaches to node roles, `AmazonEKSWorkerNodePolicy`, is there already.
    fn add_aws_policy(&mut self, name: &str, document: &str, now: Timestamp) {
        let policy = Policy::new(format!("ANPAAWS{name}"), document, now);
        self.policies.insert(format!("arn:aws:iam::aws:policy/{name}"), Settling::new(policy, now));
    }

    /// Adds a role that reads see from a time on.
    pub(crate) fn put_role(
        &mut self,
        arn: &RoleArn,
        id: String,
        trust: &str,
        now: Timestamp,
        visible_from: Timestamp,
    ) {
        let role = Role {
            arn: arn.clone(),
            id,
            created: now,
            trust: Settling::new(trust.to_owned(), visible_from),
            attached: Settling::new(BTreeSet::new(), now),
        };
        self.roles.insert((arn.account().to_owned(), arn.name().to_owned()), role);
    }

    pub(crate) fn set_trust(
        &mut self,
        arn: &RoleArn,
        trust: &str,
        now: Timestamp,
        delay: SignedDuration,
    ) {
        if let Some(role) = self.role_mut(arn) {
            role.trust.set(Some(trust.to_owned()), now, delay);
        }
    }

    /// Attaches a policy, without limits and at once; the policy need not exist.
    pub fn attach(&mut self, role: &RoleArn, policy_arn: &str, now: Timestamp) {
        if let Some(role) = self.role_mut(role) {
            let mut attached = role.attached.latest().cloned().unwrap_or_default();
            attached.insert(policy_arn.to_owned());
            role.attached.set(Some(attached), now, SignedDuration::ZERO);
        }
    }

    fn role_mut(&mut self, arn: &RoleArn) -> Option<&mut Role> {
        self.roles.get_mut(&(arn.account().to_owned(), arn.name().to_owned()))
    }

    /// The trust policy of exactly this role: same account, path and name; seen or not yet.
    #[must_use]
    pub fn trust(&self, arn: &RoleArn) -> Option<&str> {
        self.exactly(arn)?.trust.latest().map(String::as_str)
    }

    /// The same as who reads sees it at a time.
    pub(crate) fn trust_at(&self, arn: &RoleArn, at: Timestamp) -> Option<&str> {
        self.exactly(arn)?.trust.visible(at).map(String::as_str)
    }

    fn exactly(&self, arn: &RoleArn) -> Option<&Role> {
        let role = self.roles.get(&(arn.account().to_owned(), arn.name().to_owned()));
        role.filter(|role| role.arn == *arn)
    }

    /// The document in force of a policy, decoded, seen or not yet.
    #[must_use]
    pub fn document_in_force(&self, policy_arn: &str) -> Option<&str> {
        let policy = self.policies.get(policy_arn)?.latest()?;
        policy.versions.get(&policy.default).map(|version| version.document.as_str())
    }

    /// The versions of a policy that there are, by number, with their documents.
    pub fn versions(&self, policy_arn: &str) -> impl Iterator<Item = (u32, &str)> {
        let policy = self.policies.get(policy_arn).and_then(|policy| policy.latest());
        let versions = policy.into_iter().flat_map(|policy| &policy.versions);
        versions.map(|(number, version)| (*number, version.document.as_str()))
    }

    /// The ARNs of the customer managed policies, seen or not yet.
    pub fn policy_arns(&self) -> impl Iterator<Item = &str> {
        self.policies
            .iter()
            .filter(|(arn, policy)| policy.latest().is_some() && !arn.contains("::aws:"))
            .map(|(arn, _)| arn.as_str())
    }

    /// The ARNs of the policies attached to a role, seen or not yet.
    #[must_use]
    pub fn attached_to(&self, role: &RoleArn) -> BTreeSet<String> {
        self.roles
            .get(&(role.account().to_owned(), role.name().to_owned()))
            .and_then(|role| role.attached.latest().cloned())
            .unwrap_or_default()
    }

    /// The policy that a write meets.
    fn writable(&self, caller: &Caller, arn: &str) -> Result<&Policy, AwsError> {
        own(caller, arn)?;
        self.policies
            .get(arn)
            .and_then(Settling::latest)
            .ok_or_else(|| no_entity(format!("Policy {arn} was not found.")))
    }

    /// The policy that a read meets.
    fn readable(&self, caller: &Caller, arn: &str, now: Timestamp) -> Result<&Policy, AwsError> {
        own(caller, arn)?;
        self.policies
            .get(arn)
            .and_then(|policy| policy.visible(now))
            .ok_or_else(|| no_entity(format!("Policy {arn} was not found.")))
    }
}

impl Policy {
    fn new(id: String, document: &str, now: Timestamp) -> Self {
        let version = Version { document: document.to_owned(), created: now };
        Self {
            id,
            description: String::new(),
            created: now,
            updated: now,
            tags: BTreeMap::new(),
            default: 1,
            next: 2,
            versions: BTreeMap::from([(1, version)]),
        }
    }
}

/// A policy can be used in its own account only, AWS's own in all.
fn own(caller: &Caller, arn: &str) -> Result<(), AwsError> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, "iam", "", account, resource] if resource.starts_with("policy/") => {
            if *account == "aws" || *account == caller.account {
                Ok(())
            } else {
                Err(AwsError::new(
                    403,
                    "AccessDenied",
                    format!("{} is not authorized to perform this on resource: {arn}", caller.name),
                ))
            }
        }
        _ => Err(invalid_input(format!("ARN {arn} is not valid."))),
    }
}

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Documents come percent-encoded out of IAM.
fn encoded(document: &str) -> String {
    utf8_percent_encode(document, RESERVED).to_string()
}

fn no_entity(message: impl Into<String>) -> AwsError {
    AwsError::new(404, "NoSuchEntity", message)
}

fn limit(message: impl Into<String>) -> AwsError {
    AwsError::new(409, "LimitExceeded", message)
}

fn delete_conflict(message: impl Into<String>) -> AwsError {
    AwsError::new(409, "DeleteConflict", message)
}

fn invalid_input(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "InvalidInput", message)
}
