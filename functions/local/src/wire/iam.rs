//! IAM: form parameters in, XML out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_world::{AwsError, Caller, PolicyOutput, PolicyVersionOutput, RoleOutput, World};
use serde_json::{Value, json};

use super::request::{Request, pairs};

pub(super) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

const OPERATIONS: [&str; 14] = [
    "AttachRolePolicy",
    "CreatePolicy",
    "CreatePolicyVersion",
    "CreateRole",
    "DeletePolicy",
    "DeletePolicyVersion",
    "DeleteRole",
    "DetachRolePolicy",
    "GetPolicy",
    "GetPolicyVersion",
    "GetRole",
    "ListAttachedRolePolicies",
    "ListPolicyVersions",
    "UpdateAssumeRolePolicy",
];

pub(super) struct Operation {
    name: &'static str,
    parameters: Parameters,
}

/// The parameters of a call.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn of(request: &Request) -> Self {
        let form = String::from_utf8_lossy(&request.body);
        Self(request.query.iter().cloned().chain(pairs(&form)).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, AwsError> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            AwsError::new(
                400,
                "ValidationError",
                format!(
                    "1 validation error detected: Value null at '{name}' failed to satisfy \
                     constraint: Member must not be null"
                ),
            )
        })
    }

    fn number(&self, name: &str) -> Result<Option<usize>, AwsError> {
        self.get(name)
            .map(str::parse)
            .transpose()
            .map_err(|_| AwsError::new(400, "ValidationError", format!("{name} must be a number")))
    }

    fn tags(&self) -> BTreeMap<String, String> {
        (1..)
            .map_while(|n| {
                let key = self.get(&format!("Tags.member.{n}.Key"))?.to_owned();
                let value = self.get(&format!("Tags.member.{n}.Value")).unwrap_or_default();
                Some((key, value.to_owned()))
            })
            .collect()
    }
}

impl Operation {
    pub(super) fn route(request: &Request) -> Result<Self, AwsError> {
        let parameters = Parameters::of(request);
        let action = parameters.required("Action")?;
        let name = OPERATIONS.iter().find(|name| **name == action).copied().ok_or_else(|| {
            AwsError::new(400, "InvalidAction", format!("Could not find operation {action}"))
        })?;
        Ok(Self { name, parameters })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn object(&self) -> String {
        let names = ["PolicyName", "PolicyArn", "VersionId", "RoleName"];
        let names: Vec<&str> = names.iter().filter_map(|name| self.parameters.get(name)).collect();
        names.join(" ")
    }

    /// Answers what is in the result element.
    pub(super) fn perform(&self, world: &mut World, caller: &Caller) -> Result<Value, AwsError> {
        let parameters = &self.parameters;
        let role_name = || parameters.required("RoleName");
        let arn = || parameters.required("PolicyArn");
        let version = || parameters.required("VersionId");
        let document = || parameters.required("PolicyDocument");
        let marker = parameters.get("Marker");
        match self.name {
            "GetRole" => {
                world.get_role(caller, role_name()?).map(|found| json!({ "Role": role(&found) }))
            }
            "GetPolicy" => {
                world.get_policy(caller, arn()?).map(|found| json!({ "Policy": policy(&found) }))
            }
            "GetPolicyVersion" => world
                .get_policy_version(caller, arn()?, version()?)
                .map(|found| json!({ "PolicyVersion": policy_version(&found) })),
            "ListPolicyVersions" => {
                let size = parameters.number("MaxItems")?;
                let page = world.list_policy_versions(caller, arn()?, size, marker)?;
                let members = page.items.iter().map(policy_version);
                Ok(list("Versions", members.collect(), page.next))
            }
            "ListAttachedRolePolicies" => {
                let size = parameters.number("MaxItems")?;
                let page = world.list_attached_role_policies(caller, role_name()?, size, marker)?;
                let member = |name, arn| json!({ "PolicyName": name, "PolicyArn": arn });
                let members = page.items.iter().map(|item| member(&item.name, &item.arn));
                Ok(list("AttachedPolicies", members.collect(), page.next))
            }
            "CreatePolicy" => {
                let name = parameters.required("PolicyName")?;
                let path = parameters.get("Path").unwrap_or_default();
                let text = parameters.get("Description").unwrap_or_default();
                let tags = parameters.tags();
                let made = world.create_policy(caller, name, path, text, document()?, &tags)?;
                Ok(json!({ "Policy": policy(&made) }))
            }
            "CreatePolicyVersion" => {
                let default = parameters.get("SetAsDefault") == Some("true");
                let made = world.create_policy_version(caller, arn()?, document()?, default)?;
                Ok(json!({ "PolicyVersion": policy_version(&made) }))
            }
            "DeletePolicyVersion" => {
                world.delete_policy_version(caller, arn()?, version()?).map(|()| json!({}))
            }
            "DeletePolicy" => world.delete_policy(caller, arn()?).map(|()| json!({})),
            "AttachRolePolicy" => {
                world.attach_role_policy(caller, role_name()?, arn()?).map(|()| json!({}))
            }
            "CreateRole" => {
                let path = parameters.get("Path").unwrap_or_default();
                let trust = parameters.required("AssumeRolePolicyDocument")?;
                let made = world.create_role(caller, role_name()?, path, trust)?;
                Ok(json!({ "Role": role(&made) }))
            }
            "UpdateAssumeRolePolicy" => world
                .update_assume_role_policy(caller, role_name()?, document()?)
                .map(|()| json!({})),
            "DeleteRole" => world.delete_role(caller, role_name()?).map(|()| json!({})),
            _ => world.detach_role_policy(caller, role_name()?, arn()?).map(|()| json!({})),
        }
    }
}

fn list(name: &str, members: Vec<Value>, marker: Option<String>) -> Value {
    let mut list = json!({ name: { "member": members }, "IsTruncated": marker.is_some() });
    if let Some(marker) = marker {
        list["Marker"] = json!(marker);
    }
    list
}

fn role(role: &RoleOutput) -> Value {
    json!({
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": time(role.created),
        "AssumeRolePolicyDocument": role.assume_role_policy_document,
        "MaxSessionDuration": 3600,
    })
}

fn policy(policy: &PolicyOutput) -> Value {
    let tags = policy.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
    json!({
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": policy.default_version,
        "AttachmentCount": policy.attachments,
        "IsAttachable": true,
        "Description": policy.description,
        "CreateDate": time(policy.created),
        "UpdateDate": time(policy.updated),
        "Tags": { "member": tags.collect::<Vec<_>>() },
    })
}

fn policy_version(version: &PolicyVersionOutput) -> Value {
    let mut found = json!({
        "VersionId": version.id,
        "IsDefaultVersion": version.is_default,
        "CreateDate": time(version.created),
    });
    if let Some(document) = &version.document {
        found["Document"] = json!(document);
    }
    found
}

/// ISO 8601, to the second.
pub(super) fn time(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
