//! Roles and customer managed policies of IAM.

use async_trait::async_trait;
use std::collections::BTreeMap;

use pod_identity_core::{PolicyArn, RoleArn};

use super::{ClusterAccess, Page, PortError};

/// A role, as far as trust is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// Its trust policy: the JSON document, already percent-decoded.
    pub trust_policy: String,
}

/// A customer managed policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedPolicy {
    /// Its ARN.
    pub arn: PolicyArn,
    /// The version in force, such as `v3`.
    pub default_version: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Its id, such as `v3`; the numbers grow by one and are never used again.
    pub id: String,
    /// Whether it is in force.
    pub is_default: bool,
}

/// A policy to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicy {
    /// Where and how it is called.
    pub arn: PolicyArn,
    /// What people read beside it.
    pub description: String,
    /// The JSON document.
    pub document: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// Reads IAM.
#[async_trait(?Send)]
pub trait IamReader {
    /// A role, or none when it does not exist (`GetRole`).
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn role(&self, access: &ClusterAccess, role: &RoleArn)
    -> Result<Option<Role>, PortError>;

    /// A policy, or none when it does not exist (`GetPolicy`).
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn policy(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
    ) -> Result<Option<ManagedPolicy>, PortError>;

    /// The JSON document of a policy's version, already percent-decoded, or
    /// none when there is no such version (`GetPolicyVersion`).
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn policy_document(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        version: &str,
    ) -> Result<Option<String>, PortError>;

    /// One page of a policy's versions (`ListPolicyVersions`).
    ///
    /// # Errors
    /// `NotFound` when the policy does not exist.
    async fn policy_versions(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        page: Option<&str>,
    ) -> Result<Page<PolicyVersion>, PortError>;

    /// One page of the ARNs of the managed policies attached to a role (`ListAttachedRolePolicies`).
    ///
    /// # Errors
    /// `NotFound` when the role does not exist.
    async fn attached_policies(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
        page: Option<&str>,
    ) -> Result<Page<String>, PortError>;
}

/// Changes IAM.
#[async_trait(?Send)]
pub trait IamWriter {
    /// Makes a policy (`CreatePolicy`).
    ///
    /// # Errors
    /// `InUse` when one of that name exists.
    async fn create_policy(
        &self,
        access: &ClusterAccess,
        new: &NewPolicy,
    ) -> Result<ManagedPolicy, PortError>;

    /// Makes a version and puts it in force (`CreatePolicyVersion`); answers its id.
    ///
    /// # Errors
    /// `LimitReached` when the policy has five versions.
    async fn create_policy_version(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        document: &str,
    ) -> Result<String, PortError>;

    /// Deletes a version that is not in force; one that is gone is no error (`DeletePolicyVersion`).
    ///
    /// # Errors
    /// `Invalid` for the version in force.
    async fn delete_policy_version(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        version: &str,
    ) -> Result<(), PortError>;

    /// Attaches a policy to a role; attached already is no error (`AttachRolePolicy`).
    ///
    /// # Errors
    /// `LimitReached` when the role has no free slot, `NotFound` when it does not exist.
    async fn attach_policy(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
        policy: &PolicyArn,
    ) -> Result<(), PortError>;

    /// Detaches a policy from a role; not attached, or no such role, is no error (`DetachRolePolicy`).
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn detach_policy(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
        policy: &PolicyArn,
    ) -> Result<(), PortError>;

    /// Deletes a policy with its version in force; one that is gone is no error (`DeletePolicy`).
    /// Whoever calls has detached it everywhere and deleted its other versions.
    ///
    /// # Errors
    /// `Invalid` while it is attached or has more than one version (IAM's `DeleteConflict`).
    async fn delete_policy(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
    ) -> Result<(), PortError>;
}
