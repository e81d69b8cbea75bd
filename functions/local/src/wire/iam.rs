//! IAM: form parameters in, XML out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_world::{AwsError, Caller, PolicyOutput, PolicyVersionOutput, RoleOutput, World};

use super::answer::element;
use super::request::{Request, pairs};

pub(super) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";

const OPERATIONS: [&str; 11] = [
    "AttachRolePolicy",
    "CreatePolicy",
    "CreatePolicyVersion",
    "DeletePolicy",
    "DeletePolicyVersion",
    "DetachRolePolicy",
    "GetPolicy",
    "GetPolicyVersion",
    "GetRole",
    "ListAttachedRolePolicies",
    "ListPolicyVersions",
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

    /// Answers the inside of the result element.
    pub(super) fn perform(&self, world: &mut World, caller: &Caller) -> Result<String, AwsError> {
        let parameters = &self.parameters;
        let role_name = || parameters.required("RoleName");
        let arn = || parameters.required("PolicyArn");
        let version = || parameters.required("VersionId");
        let document = || parameters.required("PolicyDocument");
        let marker = parameters.get("Marker");
        match self.name {
            "GetRole" => world.get_role(caller, role_name()?).map(|found| role(&found)),
            "GetPolicy" => world.get_policy(caller, arn()?).map(|found| policy(&found)),
            "GetPolicyVersion" => world
                .get_policy_version(caller, arn()?, version()?)
                .map(|found| policy_version("PolicyVersion", &found)),
            "ListPolicyVersions" => {
                let size = parameters.number("MaxItems")?;
                let page = world.list_policy_versions(caller, arn()?, size, marker)?;
                let members = page.items.iter().map(|item| policy_version("member", item));
                Ok(list("Versions", members.collect(), page.next))
            }
            "ListAttachedRolePolicies" => {
                let size = parameters.number("MaxItems")?;
                let page = world.list_attached_role_policies(caller, role_name()?, size, marker)?;
                let members = page.items.iter().map(|item| {
                    let name = element("PolicyName", &item.name);
                    format!("<member>{name}{}</member>", element("PolicyArn", &item.arn))
                });
                Ok(list("AttachedPolicies", members.collect(), page.next))
            }
            "CreatePolicy" => {
                let name = parameters.required("PolicyName")?;
                let path = parameters.get("Path").unwrap_or_default();
                let text = parameters.get("Description").unwrap_or_default();
                let tags = parameters.tags();
                let made = world.create_policy(caller, name, path, text, document()?, &tags)?;
                Ok(policy(&made))
            }
            "CreatePolicyVersion" => {
                let default = parameters.get("SetAsDefault") == Some("true");
                let made = world.create_policy_version(caller, arn()?, document()?, default)?;
                Ok(policy_version("PolicyVersion", &made))
            }
            "DeletePolicyVersion" => {
                world.delete_policy_version(caller, arn()?, version()?).map(|()| String::new())
            }
            "DeletePolicy" => world.delete_policy(caller, arn()?).map(|()| String::new()),
            "AttachRolePolicy" => {
                world.attach_role_policy(caller, role_name()?, arn()?).map(|()| String::new())
            }
            _ => world.detach_role_policy(caller, role_name()?, arn()?).map(|()| String::new()),
        }
    }
}

fn list(name: &str, members: String, marker: Option<String>) -> String {
    let truncated = element("IsTruncated", if marker.is_some() { "true" } else { "false" });
    let marker = marker.map(|marker| element("Marker", &marker)).unwrap_or_default();
    format!("<{name}>{members}</{name}>{truncated}{marker}")
}

fn role(role: &RoleOutput) -> String {
    let document = &role.assume_role_policy_document;
    format!(
        "<Role>{}{}{}{}{}{}{}</Role>",
        element("Path", &role.path),
        element("RoleName", &role.name),
        element("RoleId", &role.id),
        element("Arn", &role.arn),
        element("CreateDate", &time(role.created)),
        element("AssumeRolePolicyDocument", document),
        element("MaxSessionDuration", "3600"),
    )
}

fn policy(policy: &PolicyOutput) -> String {
    let tags: String = policy
        .tags
        .iter()
        .map(|(key, value)| {
            format!("<member>{}{}</member>", element("Key", key), element("Value", value))
        })
        .collect();
    format!(
        "<Policy>{}{}{}{}{}{}{}{}{}{}<Tags>{tags}</Tags></Policy>",
        element("PolicyName", &policy.name),
        element("PolicyId", &policy.id),
        element("Arn", &policy.arn),
        element("Path", &policy.path),
        element("DefaultVersionId", &policy.default_version),
        element("AttachmentCount", &policy.attachments.to_string()),
        element("IsAttachable", "true"),
        element("Description", &policy.description),
        element("CreateDate", &time(policy.created)),
        element("UpdateDate", &time(policy.updated)),
    )
}

fn policy_version(name: &str, version: &PolicyVersionOutput) -> String {
    let document = version.document.as_ref();
    format!(
        "<{name}>{}{}{}{}</{name}>",
        document.map(|document| element("Document", document)).unwrap_or_default(),
        element("VersionId", &version.id),
        element("IsDefaultVersion", if version.is_default { "true" } else { "false" }),
        element("CreateDate", &time(version.created)),
    )
}

/// ISO 8601, to the second.
pub(super) fn time(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}
