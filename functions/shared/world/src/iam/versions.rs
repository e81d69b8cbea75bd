//! Versions of managed policies.

use jiff::Timestamp;
use pod_identity_engine::ports::Page;

use super::{Policy, Version, delete_conflict, document, encoded, invalid_input, limit, no_entity};
use crate::error::AwsError;
use crate::paging::cut;
use crate::world::{Caller, World};

/// Most versions of one policy; not adjustable.
const MAX_VERSIONS: usize = 5;

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersionOutput {
    /// Its id, such as `v3`.
    pub id: String,
    /// Whether it is in force.
    pub is_default: bool,
    /// When it was made.
    pub created: Timestamp,
    /// The document, percent-encoded; lists and `CreatePolicyVersion` leave it out.
    pub document: Option<String>,
}

impl World {
    /// `CreatePolicyVersion`.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded` for a sixth version or a document too long,
    /// `MalformedPolicyDocument`.
    pub fn create_policy_version(
        &mut self,
        caller: &Caller,
        arn: &str,
        policy_document: &str,
        set_as_default: bool,
    ) -> Result<PolicyVersionOutput, AwsError> {
        let mut policy = self.iam.writable(caller, arn)?.clone();
        document::check(policy_document)?;
        if policy.versions.len() >= MAX_VERSIONS {
            return Err(limit(
                "A managed policy can have up to 5 versions. Before you create a new version, you \
                 must delete an existing version.",
            ));
        }
        let number = policy.next;
        policy.next += 1;
        let version = Version { document: policy_document.to_owned(), created: self.now };
        policy.versions.insert(number, version);
        if set_as_default {
            policy.default = number;
            policy.updated = self.now;
        }
        let output = output(&policy, number, false);
        self.store_policy(arn, Some(policy));
        output.ok_or_else(|| missing(arn, &format!("v{number}")))
    }

    /// `GetPolicyVersion`, with its document.
    ///
    /// # Errors
    /// `NoSuchEntity`, `AccessDenied`, `InvalidInput`.
    pub fn get_policy_version(
        &self,
        caller: &Caller,
        arn: &str,
        version: &str,
    ) -> Result<PolicyVersionOutput, AwsError> {
        let policy = self.iam.readable(caller, arn, self.now)?;
        output(policy, number(version)?, true).ok_or_else(|| missing(arn, version))
    }

    /// `ListPolicyVersions`, newest first as IAM lists them.
    ///
    /// # Errors
    /// `NoSuchEntity`, `AccessDenied`, `InvalidInput`.
    pub fn list_policy_versions(
        &self,
        caller: &Caller,
        arn: &str,
        max_items: Option<usize>,
        marker: Option<&str>,
    ) -> Result<Page<PolicyVersionOutput>, AwsError> {
        let policy = self.iam.readable(caller, arn, self.now)?;
        let size = self.iam_page_size(max_items)?;
        let entries = policy.versions.keys().rev().filter_map(|number| {
            let key = format!("{:010}", u32::MAX - number);
            output(policy, *number, false).map(|version| (key, version))
        });
        let (items, next) =
            cut(entries, marker, size).ok_or_else(|| invalid_input("Invalid marker."))?;
        Ok(Page { items, next })
    }

    /// `DeletePolicyVersion`.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict` for the version in force.
    pub fn delete_policy_version(
        &mut self,
        caller: &Caller,
        arn: &str,
        version: &str,
    ) -> Result<(), AwsError> {
        let mut policy = self.iam.writable(caller, arn)?.clone();
        let number = number(version)?;
        if number == policy.default {
            return Err(delete_conflict("Cannot delete the default version of a policy."));
        }
        policy.versions.remove(&number).ok_or_else(|| missing(arn, version))?;
        self.store_policy(arn, Some(policy));
        Ok(())
    }
}

fn output(policy: &Policy, number: u32, with_document: bool) -> Option<PolicyVersionOutput> {
    policy.versions.get(&number).map(|version| PolicyVersionOutput {
        id: format!("v{number}"),
        is_default: number == policy.default,
        created: version.created,
        document: with_document.then(|| encoded(&version.document)),
    })
}

fn number(version: &str) -> Result<u32, AwsError> {
    version.strip_prefix('v').and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        AwsError::new(
            400,
            "ValidationError",
            format!("1 validation error detected: Value '{version}' at 'versionId' is not valid"),
        )
    })
}

fn missing(arn: &str, version: &str) -> AwsError {
    no_entity(format!("Policy {arn} version {version} does not exist or is not attachable."))
}
