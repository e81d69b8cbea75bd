//! IAM through the ports.

use async_trait::async_trait;
use percent_encoding::percent_decode_str;
use pod_identity_core::{PolicyArn, RoleArn};
use pod_identity_engine::ports::{
    ClusterAccess, ErrorKind, IamReader, IamWriter, ManagedPolicy, NewPolicy, Page, PolicyVersion,
    PortError, Role,
};

use super::eks::found;
use super::{WorldPorts, port_error};
use crate::error::AwsError;
use crate::iam::PolicyOutput;

fn decoded(document: &str) -> String {
    percent_decode_str(document).decode_utf8_lossy().into_owned()
}

fn managed(output: PolicyOutput) -> Result<ManagedPolicy, PortError> {
    let arn: PolicyArn = output.arn.parse().map_err(|error| {
        let error = AwsError::new(200, "InvalidAnswer", format!("{error}"));
        port_error("read policy", output.arn.clone(), error)
    })?;
    Ok(ManagedPolicy { arn, default_version: output.default_version, tags: output.tags })
}

#[async_trait(?Send)]
impl IamReader for WorldPorts {
    async fn role(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
    ) -> Result<Option<Role>, PortError> {
        let outcome = self
            .call(("iam", "GetRole"), "get role", role.to_string(), |world| {
                world.get_role(&self.caller(access, world), role.name())
            })
            .await;
        Ok(found(outcome)?.map(|role| Role {
            trust_policy: decoded(&role.assume_role_policy_document),
            arn: role.arn,
        }))
    }

    async fn policy(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
    ) -> Result<Option<ManagedPolicy>, PortError> {
        let outcome = self
            .call(("iam", "GetPolicy"), "get policy", policy.to_string(), |world| {
                world.get_policy(&self.caller(access, world), policy.as_str())
            })
            .await;
        found(outcome)?.map(managed).transpose()
    }

    async fn policy_document(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        version: &str,
    ) -> Result<Option<String>, PortError> {
        let object = format!("{version} of {policy}");
        let outcome = self
            .call(("iam", "GetPolicyVersion"), "get policy version", object, |world| {
                let caller = self.caller(access, world);
                world.get_policy_version(&caller, policy.as_str(), version)
            })
            .await;
        Ok(found(outcome)?.and_then(|version| version.document).map(|text| decoded(&text)))
    }

    async fn policy_versions(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        page: Option<&str>,
    ) -> Result<Page<PolicyVersion>, PortError> {
        let object = policy.to_string();
        let answer = self
            .call(("iam", "ListPolicyVersions"), "list versions of", object, |world| {
                let caller = self.caller(access, world);
                world.list_policy_versions(&caller, policy.as_str(), None, page)
            })
            .await?;
        let version = |version: crate::PolicyVersionOutput| PolicyVersion {
            id: version.id,
            is_default: version.is_default,
        };
        Ok(Page { items: answer.items.into_iter().map(version).collect(), next: answer.next })
    }

    async fn attached_policies(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
        page: Option<&str>,
    ) -> Result<Page<String>, PortError> {
        let call = ("iam", "ListAttachedRolePolicies");
        let answer = self
            .call(call, "list policies attached to", role.to_string(), |world| {
                let caller = self.caller(access, world);
                world.list_attached_role_policies(&caller, role.name(), None, page)
            })
            .await?;
        Ok(Page {
            items: answer.items.into_iter().map(|policy| policy.arn).collect(),
            next: answer.next,
        })
    }
}

#[async_trait(?Send)]
impl IamWriter for WorldPorts {
    async fn create_policy(
        &self,
        access: &ClusterAccess,
        new: &NewPolicy,
    ) -> Result<ManagedPolicy, PortError> {
        let object = new.arn.to_string();
        let output = self
            .call(("iam", "CreatePolicy"), "create policy", object, |world| {
                let caller = self.caller(access, world);
                let name = new.arn.name();
                let path = new
                    .arn
                    .as_str()
                    .split_once(":policy")
                    .and_then(|(_, path_and_name)| path_and_name.strip_suffix(name))
                    .unwrap_or("/");
                let (text, document) = (&new.description, &new.document);
                world.create_policy(&caller, name, path, text, document, &new.tags)
            })
            .await?;
        managed(output)
    }

    async fn create_policy_version(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        document: &str,
    ) -> Result<String, PortError> {
        let call = ("iam", "CreatePolicyVersion");
        let version = self
            .call(call, "create version of policy", policy.to_string(), |world| {
                let caller = self.caller(access, world);
                world.create_policy_version(&caller, policy.as_str(), document, true)
            })
            .await?;
        Ok(version.id)
    }

    async fn delete_policy_version(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
        version: &str,
    ) -> Result<(), PortError> {
        let object = format!("{version} of {policy}");
        let outcome = self
            .call(("iam", "DeletePolicyVersion"), "delete policy version", object, |world| {
                let caller = self.caller(access, world);
                world.delete_policy_version(&caller, policy.as_str(), version)
            })
            .await;
        or_absent(outcome)
    }

    async fn attach_policy(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
        policy: &PolicyArn,
    ) -> Result<(), PortError> {
        let object = format!("{policy} to {role}");
        self.call(("iam", "AttachRolePolicy"), "attach policy", object, |world| {
            let caller = self.caller(access, world);
            world.attach_role_policy(&caller, role.name(), policy.as_str())
        })
        .await
    }

    async fn detach_policy(
        &self,
        access: &ClusterAccess,
        role: &RoleArn,
        policy: &PolicyArn,
    ) -> Result<(), PortError> {
        let object = format!("{policy} from {role}");
        let outcome = self
            .call(("iam", "DetachRolePolicy"), "detach policy", object, |world| {
                let caller = self.caller(access, world);
                world.detach_role_policy(&caller, role.name(), policy.as_str())
            })
            .await;
        or_absent(outcome)
    }

    async fn delete_policy(
        &self,
        access: &ClusterAccess,
        policy: &PolicyArn,
    ) -> Result<(), PortError> {
        let outcome = self
            .call(("iam", "DeletePolicy"), "delete policy", policy.to_string(), |world| {
                let caller = self.caller(access, world);
                world.delete_policy(&caller, policy.as_str())
            })
            .await;
        or_absent(outcome)
    }
}

/// What is gone already need not go.
fn or_absent(outcome: Result<(), PortError>) -> Result<(), PortError> {
    match outcome {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
