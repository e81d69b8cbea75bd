//! STS: who am I, and credentials of another account's role. Nothing here is secret.

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::RoleArn;
use pod_identity_world::{AwsError, Caller};
use serde_json::{Value, json};

use super::iam::{Parameters, time};
use super::request::Request;
use super::{SECRET_ACCESS_KEY, SESSION_TOKEN, Shared, lock};

pub(super) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

pub(super) enum Operation {
    GetCallerIdentity,
    AssumeRole { role: RoleArn, session: String },
}

impl Operation {
    pub(super) fn route(request: &Request) -> Result<Self, AwsError> {
        let parameters = Parameters::of(request);
        match parameters.required("Action")? {
            "GetCallerIdentity" => Ok(Self::GetCallerIdentity),
            "AssumeRole" => {
                let role = parameters.required("RoleArn")?;
                let role = role.parse().map_err(|_| {
                    AwsError::new(400, "ValidationError", format!("{role} is invalid"))
                })?;
                let session = parameters.required("RoleSessionName")?.to_owned();
                Ok(Self::AssumeRole { role, session })
            }
            other => Err(AwsError::new(
                400,
                "InvalidAction",
                format!("Could not find operation {other}"),
            )),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::AssumeRole { .. } => "AssumeRole",
        }
    }

    pub(super) fn object(&self) -> String {
        match self {
            Self::GetCallerIdentity => String::new(),
            Self::AssumeRole { role, .. } => role.to_string(),
        }
    }

    pub(super) fn perform(&self, shared: &Shared, caller: &Caller) -> Result<Value, AwsError> {
        match self {
            Self::GetCallerIdentity => {
                let (account, name) = (&caller.account, &caller.name);
                let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{name}");
                let user = format!("AROA{name}:{name}");
                Ok(json!({ "Arn": arn, "UserId": user, "Account": account }))
            }
            Self::AssumeRole { role, session } => Ok(assume(shared, caller, role, session)),
        }
    }
}

/// Gives out a key that stands for the role's account, and remembers who asked.
fn assume(shared: &Shared, caller: &Caller, role: &RoleArn, session: &str) -> Value {
    let mut assumed = lock(&shared.assumed);
    let key = format!("ASIA{:016}", assumed.len() + 1);
    assumed.insert(key.clone(), (role.account().to_owned(), caller.name.clone()));
    let now = Timestamp::now();
    let expires = now.checked_add(SignedDuration::from_hours(1)).unwrap_or(now);
    let arn = format!("arn:aws:sts::{}:assumed-role/{}/{session}", role.account(), role.name());
    json!({
        "Credentials": {
            "AccessKeyId": key,
            "SecretAccessKey": SECRET_ACCESS_KEY,
            "SessionToken": SESSION_TOKEN,
            "Expiration": time(expires),
        },
        "AssumedRoleUser": { "AssumedRoleId": format!("AROA{key}:{session}"), "Arn": arn },
    })
}
