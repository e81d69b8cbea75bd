//! Domino's `Mutation` objects, by which domsed maps Domino names to Kubernetes service accounts.
//!
//! Not documented by Domino; what is known comes from its tutorials and its custom resource
//! definition. `rules` stand at the top level, there is no `spec`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::plain;

/// API version of a `Mutation`.
pub const MUTATION_API_VERSION: &str = "apps.dominodatalab.com/v1alpha1";

/// A `Mutation`, as far as identities are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutation {
    /// Name.
    pub name: String,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its rules; those of other kinds have no `cloud_workload_identity`.
    pub rules: Vec<MutationRule>,
}

impl Mutation {
    /// Names of the variables that its rules put into containers.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let on = self.rules.iter().filter(|rule| rule.enabled);
        on.flat_map(|rule| &rule.variables).map(String::as_str)
    }

    /// The identities of its rules for AWS, except of those that are switched off. A rule that does
    /// not say of which cloud it is counts.
    pub fn identities(&self) -> impl Iterator<Item = &CloudWorkloadIdentity> {
        let on = self.rules.iter().filter(|rule| rule.enabled);
        let all = on.filter_map(|rule| rule.cloud_workload_identity.as_ref());
        all.filter(|one| one.cloud_type.is_empty() || one.cloud_type.eq_ignore_ascii_case("aws"))
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MutationRule {
    /// Which pods it changes, such as `dominodatalab.com/workload-type in (Batch,Scheduled)`.
    #[serde(default)]
    pub label_selectors: Vec<String>,
    /// Whether it does anything. Not written, because rules are on by default.
    #[serde(default = "on", skip_serializing_if = "is_on")]
    pub enabled: bool,
    /// The identity that they get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_workload_identity: Option<CloudWorkloadIdentity>,
    /// Names of the variables that it puts into containers (`modifyEnv`). Never written.
    #[serde(default, rename = "modifyEnv", deserialize_with = "variables", skip_serializing)]
    pub variables: BTreeSet<String>,
}

/// Maps Domino names to Kubernetes service accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudWorkloadIdentity {
    /// `aws`; another's rule may not say.
    #[serde(default)]
    pub cloud_type: String,
    /// The Kubernetes service account of everybody else; empty for Domino's own.
    #[serde(default)]
    pub default_sa: String,
    /// What it does is not documented. Domino's tutorials map names with `false`, and none sets it. Not written
    /// where it is the default of domsed's definition: an older one does not know it, and refuses the whole
    /// object under strict validation.
    #[serde(default, skip_serializing_if = "is_off")]
    pub assume_sa_mapping: bool,
    /// Domino name to Kubernetes service account. The definition of domsed lets any value stand here: one that is
    /// no text reads as words that no service account is called.
    #[serde(default, deserialize_with = "texts")]
    pub user_mappings: BTreeMap<String, String>,
}

/// The names under `modifyEnv.env`; anything else that may stand there is passed over.
fn variables<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<String>, D::Error> {
    let all = Value::deserialize(from)?;
    let names = all["env"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let all = Option::<BTreeMap<String, Value>>::deserialize(from)?.unwrap_or_default();
    let text = |value: Value| match value {
        Value::String(text) => plain(&text),
        other => format!("{other}, which is no text"),
    };
    Ok(all.into_iter().map(|(name, value)| (plain(&name), text(value))).collect())
}

fn on() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_on(enabled: &bool) -> bool {
    *enabled
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_off(set: &bool) -> bool {
    !*set
}
