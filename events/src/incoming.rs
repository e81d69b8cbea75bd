//! What Domino automation and administrators send.

use std::fmt;

use serde::de::{self, DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::envelope::{Envelope, MAX_DETAIL_BYTES, SCHEMA_VERSION, detail_type, source};

/// The clusters that a binding is meant for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClusterSelection {
    /// Every registered cluster in the role's account, now and later.
    #[default]
    All,
    /// These, by name (in the deployment's region) or by ARN.
    Named(Vec<String>),
}

impl ClusterSelection {
    fn is_all(&self) -> bool {
        *self == Self::All
    }
}

impl Serialize for ClusterSelection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Named(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClusterSelection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ClusterSelection;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"all\" or a list of cluster names or ARNs")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text == "all" {
                    Ok(ClusterSelection::All)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Ok(ClusterSelection::Named(names))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(feature = "schemas")]
impl schemars::JsonSchema for ClusterSelection {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClusterSelection".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The clusters that a binding is meant for: \"all\", or a list of names (in the deployment's region) or ARNs.",
            "anyOf": [
                { "type": "string", "enum": ["all"] },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 }
            ]
        })
    }
}

/// The Kubernetes service account that stands for a Domino service account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct KubernetesServiceAccount {
    /// Namespace (RFC 1123 label); the deployment's execution namespace when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name (RFC 1123 subdomain); by the deployment's naming rule when absent. Neither `default`
    /// nor one that Domino makes for one run (`run-` and 24 hexadecimal digits).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<String>,
}

/// An object or null. Derived code would take a list of the fields' values as well.
fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let object = Option::<Map<String, Value>>::deserialize(deserializer)?;
    object
        .map(|object| serde_json::from_value(object.into()))
        .transpose()
        .map_err(de::Error::custom)
}

/// A Domino service account is bound to a role from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ServiceAccountRoleAssigned {
    /// Version of the contract.
    pub schema_version: u32,
    /// The sender's id of this change, the same on every retry: 1 to 128 visible ASCII characters
    /// without `#`.
    pub event_id: String,
    /// When the change was made (RFC 3339, to the millisecond). With `eventId` it orders changes.
    pub occurred_at: String,
    /// Name of the Domino service account.
    pub service_account: String,
    /// The Kubernetes service account; by the deployment's defaults when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "object")]
    pub kubernetes: Option<KubernetesServiceAccount>,
    /// ARN of the IAM role to work as. It must be in the account of the clusters.
    pub role_arn: String,
    /// ARN of a role, often of another account, that EKS assumes from the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_role_arn: Option<String>,
    /// Whether EKS leaves out its session tags. A session policy needs that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_session_tags: bool,
    /// An IAM policy, as a JSON string of at most 2,048 characters, that narrows what the session
    /// may do. With a target role it narrows that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_policy: Option<String>,
    /// The clusters that this is for; `all` when absent.
    #[serde(default, skip_serializing_if = "ClusterSelection::is_all")]
    pub clusters: ClusterSelection,
    /// Who did it, as the sender claims; at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, in the sender's words; at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A Domino service account is bound to no role any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ServiceAccountRoleUnassigned {
    /// Version of the contract.
    pub schema_version: u32,
    /// The sender's id of this change, the same on every retry.
    pub event_id: String,
    /// When the change was made (RFC 3339, to the millisecond).
    pub occurred_at: String,
    /// Name of the Domino service account.
    pub service_account: String,
    /// Who did it, as the sender claims; at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, in the sender's words; at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A Domino service account was deactivated. It loses its role; a newer
/// `Service Account Role Assigned` binds it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ServiceAccountDeactivated {
    /// Version of the contract.
    pub schema_version: u32,
    /// The sender's id of this change, the same on every retry.
    pub event_id: String,
    /// When the change was made (RFC 3339, to the millisecond).
    pub occurred_at: String,
    /// Name of the Domino service account.
    pub service_account: String,
    /// Who did it, as the sender claims; at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, in the sender's words; at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A cluster joins the deployment, or its registration changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ClusterRegistered {
    /// Version of the contract.
    pub schema_version: u32,
    /// The sender's id of this change, the same on every retry.
    pub event_id: String,
    /// When the change was made (RFC 3339, to the millisecond).
    pub occurred_at: String,
    /// ARN of the EKS cluster.
    pub cluster_arn: String,
    /// ARNs of its node roles. When absent, those of its node groups are used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_role_arns: Vec<String>,
    /// ARN of the role to assume for a cluster of another account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role_arn: Option<String>,
    /// Who did it, as the sender claims; at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, in the sender's words; at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Somebody asks for the guarded retirement of a cluster. Reconciliation performs it, once every
/// service account that works there is ready on another cluster, or is exempt. A newer one
/// replaces an older one with its list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct ClusterRetired {
    /// Version of the contract.
    pub schema_version: u32,
    /// The sender's id of this change, the same on every retry.
    pub event_id: String,
    /// When the change was made (RFC 3339, to the millisecond).
    pub occurred_at: String,
    /// ARN of the EKS cluster.
    pub cluster_arn: String,
    /// Domino service accounts that may lose their association there although they are ready on no
    /// other cluster: at most 100, or `*` alone for all. None when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exempt_service_accounts: Vec<String>,
    /// Who did it, as the sender claims; at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, in the sender's words; at most 512 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An incoming event whose detail has the right shape. Its values are not yet checked.
///
/// It serialises as its detail.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Incoming {
    /// See [`ServiceAccountRoleAssigned`].
    Assigned(ServiceAccountRoleAssigned),
    /// See [`ServiceAccountRoleUnassigned`].
    Unassigned(ServiceAccountRoleUnassigned),
    /// See [`ServiceAccountDeactivated`].
    Deactivated(ServiceAccountDeactivated),
    /// See [`ClusterRegistered`].
    Registered(ClusterRegistered),
    /// See [`ClusterRetired`].
    Retired(ClusterRetired),
}

/// Why an envelope is not an event of this contract. States the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError(pub(crate) String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

macro_rules! of_every_incoming {
    ($event:ident, $detail:ident => $value:expr) => {
        match $event {
            Self::Assigned($detail) => $value,
            Self::Unassigned($detail) => $value,
            Self::Deactivated($detail) => $value,
            Self::Registered($detail) => $value,
            Self::Retired($detail) => $value,
        }
    };
}

impl Incoming {
    /// The sender's id of the change, as it came.
    #[must_use]
    pub fn event_id(&self) -> &str {
        of_every_incoming!(self, detail => &detail.event_id)
    }

    /// When the change was made, as it came.
    #[must_use]
    pub fn occurred_at(&self) -> &str {
        of_every_incoming!(self, detail => &detail.occurred_at)
    }

    /// Who did it, as the sender claims.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        of_every_incoming!(self, detail => detail.actor.as_deref())
    }

    /// Why, in the sender's words.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        of_every_incoming!(self, detail => detail.reason.as_deref())
    }

    /// Reads the detail of an envelope by its source and detail type.
    ///
    /// Unknown fields are refused: a misspelt `targetRoleArn` that was silently
    /// dropped would hand out another identity than the sender meant.
    ///
    /// # Errors
    /// When source and detail type do not belong together, the detail is
    /// larger than [`MAX_DETAIL_BYTES`], its schema version is unknown, or a
    /// field is missing, unknown or of the wrong type.
    pub fn parse(envelope: &Envelope) -> Result<Self, ParseError> {
        let kind = envelope.detail_type.as_str();
        let expected_source = match kind {
            detail_type::ROLE_ASSIGNED
            | detail_type::ROLE_UNASSIGNED
            | detail_type::DEACTIVATED => source::AUTOMATION,
            detail_type::CLUSTER_REGISTERED | detail_type::CLUSTER_RETIRED => {
                source::ADMINISTRATION
            }
            other => {
                return Err(ParseError(format!(
                    "detail-type `{other}` is not taken; it must be one of `{}`, `{}`, `{}`, `{}`, `{}`",
                    detail_type::ROLE_ASSIGNED,
                    detail_type::ROLE_UNASSIGNED,
                    detail_type::DEACTIVATED,
                    detail_type::CLUSTER_REGISTERED,
                    detail_type::CLUSTER_RETIRED,
                )));
            }
        };
        if envelope.source != expected_source {
            return Err(ParseError(format!(
                "source `{}` does not send `{kind}`; it must come from `{expected_source}`",
                envelope.source
            )));
        }
        let bytes = envelope.detail.to_string().len();
        if bytes > MAX_DETAIL_BYTES {
            return Err(ParseError(format!(
                "detail has {bytes} bytes; at most {MAX_DETAIL_BYTES} are taken"
            )));
        }
        check_version(kind, &envelope.detail)?;
        match kind {
            detail_type::ROLE_ASSIGNED => read(kind, &envelope.detail).map(Self::Assigned),
            detail_type::ROLE_UNASSIGNED => read(kind, &envelope.detail).map(Self::Unassigned),
            detail_type::DEACTIVATED => read(kind, &envelope.detail).map(Self::Deactivated),
            detail_type::CLUSTER_REGISTERED => read(kind, &envelope.detail).map(Self::Registered),
            _ => read(kind, &envelope.detail).map(Self::Retired),
        }
    }
}

fn check_version(kind: &str, detail: &Value) -> Result<(), ParseError> {
    match detail.get("schemaVersion") {
        None => Err(ParseError(format!(
            "`{kind}` without detail.schemaVersion; it must be {SCHEMA_VERSION}"
        ))),
        Some(version) if version.as_u64() == Some(u64::from(SCHEMA_VERSION)) => Ok(()),
        Some(version) => Err(ParseError(format!(
            "detail.schemaVersion is {version}; this deployment reads version {SCHEMA_VERSION}"
        ))),
    }
}

pub(crate) fn read<T: DeserializeOwned>(kind: &str, detail: &Value) -> Result<T, ParseError> {
    T::deserialize(detail).map_err(|error| {
        ParseError(format!(
            "detail does not fit `{kind}`, schema version {SCHEMA_VERSION}: {error}"
        ))
    })
}
