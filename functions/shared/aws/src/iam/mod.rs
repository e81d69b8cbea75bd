//! Roles and customer managed policies over IAM.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use std::str::Utf8Error;

use aws_sdk_iam::types::{Policy, Tag};
use percent_encoding::percent_decode_str;
use pod_identity_core::{PolicyArn, RoleArn};
use pod_identity_engine::ports::{
    ClusterAccess, IamReader, IamWriter, ManagedPolicy, NewPolicy, Page, PolicyVersion, PortError,
    Role,
};

use crate::clients::{AwsReader, AwsWriter};
use crate::errors::{absent, invalid, port_error};

const GET_ROLE: &str = "get role";
const GET_POLICY: &str = "get policy";
const GET_DOCUMENT: &str = "get policy version";
const CREATE_POLICY: &str = "create policy";
const CREATE_VERSION: &str = "create a version of policy";

#[async_trait(?Send)]
impl IamReader for AwsReader {
    async fn role(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
    ) -> Result<Option<Role>, PortError> {
        let answer = self
            .aws
            .iam(access)
            .await
            .get_role()
            .role_name(role.name())
            .send()
            .await
            .map_err(|error| port_error(GET_ROLE, role.as_str(), error));
        let Some(found) = absent(answer)?.and_then(|answer| answer.role) else {
            return Ok(None);
        };
        let document = found.assume_role_policy_document.unwrap_or_default();
        let trust_policy =
            decode(&document).map_err(|error| invalid(GET_ROLE, role.as_str(), error))?;
        Ok(Some(Role { arn: found.arn, trust_policy }))
    }

    async fn policy(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
    ) -> Result<Option<ManagedPolicy>, PortError> {
        let answer = self
            .aws
            .iam(access)
            .await
            .get_policy()
            .policy_arn(policy.as_str())
            .send()
            .await
            .map_err(|error| port_error(GET_POLICY, policy.as_str(), error));
        let found = absent(answer)?.and_then(|answer| answer.policy);
        found.map(|found| managed(GET_POLICY, policy, found)).transpose()
    }

    async fn policy_document(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        version: &str,
    ) -> Result<Option<String>, PortError> {
        let object = || format!("{version} of {policy}");
        let answer = self
            .aws
            .iam(access)
            .await
            .get_policy_version()
            .policy_arn(policy.as_str())
            .version_id(version)
            .send()
            .await
            .map_err(|error| port_error(GET_DOCUMENT, object(), error));
        absent(answer)?
            .and_then(|answer| answer.policy_version?.document)
            .map(|document| decode(&document))
            .transpose()
            .map_err(|error| invalid(GET_DOCUMENT, object(), error))
    }

    async fn policy_versions(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        page: Option<&str>,
    ) -> Result<Page<PolicyVersion>, PortError> {
        let answer = self
            .aws
            .iam(access)
            .await
            .list_policy_versions()
            .policy_arn(policy.as_str())
            .set_marker(page.map(str::to_owned))
            .send()
            .await
            .map_err(|error| port_error("list versions of policy", policy.as_str(), error))?;
        let versions = answer.versions.unwrap_or_default().into_iter();
        let items = versions.filter_map(|version| {
            Some(PolicyVersion { id: version.version_id?, is_default: version.is_default_version })
        });
        Ok(Page { items: items.collect(), next: next(answer.is_truncated, answer.marker) })
    }

    async fn attached_policies(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
        page: Option<&str>,
    ) -> Result<Page<String>, PortError> {
        let answer = self
            .aws
            .iam(access)
            .await
            .list_attached_role_policies()
            .role_name(role.name())
            .set_marker(page.map(str::to_owned))
            .send()
            .await
            .map_err(|error| port_error("list policies attached to", role.as_str(), error))?;
        let attached = answer.attached_policies.unwrap_or_default().into_iter();
        Ok(Page {
            items: attached.filter_map(|policy| policy.policy_arn).collect(),
            next: next(answer.is_truncated, answer.marker),
        })
    }
}

#[async_trait(?Send)]
impl IamWriter for AwsWriter {
    async fn create_policy(
        &self,
        access: &ClusterAccess,
        new: &NewPolicy,
    ) -> Result<ManagedPolicy, PortError> {
        let object = || new.arn.as_str();
        let tags = new.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags = tags
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| invalid(CREATE_POLICY, object(), error))?;
        let answer = self
            .aws
            .iam(access)
            .await
            .create_policy()
            .policy_name(new.arn.name())
            .path(path(&new.arn))
            .description(&new.description)
            .policy_document(&new.document)
            .set_tags(Some(tags))
            .send()
            .await
            .map_err(|error| port_error(CREATE_POLICY, object(), error))?;
        let Some(policy) = answer.policy else {
            return Err(invalid(CREATE_POLICY, object(), "the answer has no policy"));
        };
        let mut made = managed(CREATE_POLICY, &new.arn, policy)?;
        made.tags.clone_from(&new.tags);
        Ok(made)
    }

    async fn create_policy_version(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        document: &str,
    ) -> Result<String, PortError> {
        let answer = self
            .aws
            .iam(access)
            .await
            .create_policy_version()
            .policy_arn(policy.as_str())
            .policy_document(document)
            .set_as_default(true)
            .send()
            .await
            .map_err(|error| port_error(CREATE_VERSION, policy.as_str(), error))?;
        answer
            .policy_version
            .and_then(|version| version.version_id)
            .ok_or_else(|| invalid(CREATE_VERSION, policy.as_str(), "the answer has no version id"))
    }

    async fn delete_policy_version(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        version: &str,
    ) -> Result<(), PortError> {
        let object = || format!("{version} of {policy}");
        let answer = self
            .aws
            .iam(access)
            .await
            .delete_policy_version()
            .policy_arn(policy.as_str())
            .version_id(version)
            .send()
            .await
            .map_err(|error| port_error("delete policy version", object(), error));
        absent(answer)?;
        Ok(())
    }

    async fn attach_policy(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
        policy: &PolicyArn,
    ) -> Result<(), PortError> {
        let object = || format!("{policy} to {role}");
        self.aws
            .iam(access)
            .await
            .attach_role_policy()
            .role_name(role.name())
            .policy_arn(policy.as_str())
            .send()
            .await
            .map_err(|error| port_error("attach policy", object(), error))?;
        Ok(())
    }

    async fn detach_policy(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
        policy: &PolicyArn,
    ) -> Result<(), PortError> {
        let object = || format!("{policy} from {role}");
        let answer = self
            .aws
            .iam(access)
            .await
            .detach_role_policy()
            .role_name(role.name())
            .policy_arn(policy.as_str())
            .send()
            .await
            .map_err(|error| port_error("detach policy", object(), error));
        absent(answer)?;
        Ok(())
    }

    async fn delete_policy(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
    ) -> Result<(), PortError> {
        let answer = self
            .aws
            .iam(access)
            .await
            .delete_policy()
            .policy_arn(policy.as_str())
            .send()
            .await
            .map_err(|error| port_error("delete policy", policy.as_str(), error));
        absent(answer)?;
        Ok(())
    }
}

/// IAM percent-encodes documents in its answers (RFC 3986). A JSON document
/// that is not encoded stays as it is: a `%` in it stands for itself.
fn decode(document: &str) -> Result<String, Utf8Error> {
    if document.trim_start().starts_with('{') {
        return Ok(document.to_owned());
    }
    Ok(percent_decode_str(document).decode_utf8()?.into_owned())
}

/// A marker counts only while there is more.
fn next(is_truncated: bool, marker: Option<String>) -> Option<String> {
    marker.filter(|marker| is_truncated && !marker.is_empty())
}

/// The path of a policy's ARN, with a slash at both ends.
fn path(policy: &PolicyArn) -> &str {
    let text = policy.as_str();
    let resource = text.splitn(6, ':').nth(5).unwrap_or_default();
    let path_and_name = resource.strip_prefix("policy").unwrap_or_default();
    path_and_name.strip_suffix(policy.name()).unwrap_or_default()
}

fn managed(
    operation: &'static str,
    arn: &PolicyArn,
    policy: Policy,
) -> Result<ManagedPolicy, PortError> {
    let Some(default_version) = policy.default_version_id else {
        return Err(invalid(operation, arn.as_str(), "the answer has no default version"));
    };
    let tags = policy.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value));
    Ok(ManagedPolicy { arn: arn.clone(), default_version, tags: tags.collect() })
}
