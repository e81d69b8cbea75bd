//! Secrets Manager: `GetSecretValue` in JSON.

use std::collections::BTreeMap;

use pod_identity_world::{AwsError, Caller};
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::Request;

/// Asks for a secret by its name or ARN.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetSecretValue {
    secret_id: String,
}

impl GetSecretValue {
    pub(super) fn route(request: &Request) -> Result<Self, AwsError> {
        match request.target() {
            Some("GetSecretValue") => serde_json::from_slice(&request.body)
                .map_err(|error| AwsError::new(400, "SerializationException", error.to_string())),
            other => Err(AwsError::new(
                400,
                "UnknownOperationException",
                format!("{} is not part of this AWS", other.unwrap_or("no operation")),
            )),
        }
    }

    pub(super) fn object(&self) -> String {
        self.secret_id.clone()
    }

    pub(super) fn perform(
        &self,
        secrets: &BTreeMap<String, String>,
        caller: &Caller,
    ) -> Result<Value, AwsError> {
        let Caller { account, region, .. } = caller;
        let arn =
            |name: &str| format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}-AbCdEf");
        let asked = &self.secret_id;
        let found = secrets.iter().find(|(name, _)| *name == asked || arn(name) == *asked);
        let (name, text) = found.ok_or_else(|| {
            AwsError::new(
                400,
                "ResourceNotFoundException",
                "Secrets Manager can't find the specified secret.",
            )
        })?;
        Ok(json!({
            "ARN": arn(name),
            "Name": name,
            "VersionId": "00000000-0000-4000-8000-000000000001",
            "VersionStages": ["AWSCURRENT"],
            "SecretString": text,
        }))
    }
}
