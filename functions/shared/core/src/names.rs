//! Names of Domino and Kubernetes service accounts.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use pod_identity_events::ClusterAccount;
use serde::{Deserialize, Serialize};

use crate::ClusterArn;

/// A string is not the name it should be. States the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {expected}")]
pub struct NameError {
    value: String,
    expected: &'static str,
}

macro_rules! name_string {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

/// Name of a Domino service account.
///
/// Domino does not document what a name may hold. What is taken here fits an
/// AWS tag value and a key of the ledger: letters, digits and `._@+=-`, at
/// most 128 of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DominoName(String);

name_string!(DominoName);

impl FromStr for DominoName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@+=-".contains(&b));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError {
                value: text.to_owned(),
                expected: "the name of a Domino service account: 1 to 128 letters, digits and `._@+=-`",
            })
        }
    }
}

fn is_label(text: &str, longest: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=longest).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A Kubernetes service account: namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceAccountRef {
    namespace: String,
    service_account: String,
}

impl ServiceAccountRef {
    /// Joins a namespace and a service account.
    ///
    /// # Errors
    /// When the namespace is not an RFC 1123 label (63 characters) or the
    /// service account not an RFC 1123 subdomain (253), as Kubernetes asks.
    pub fn new(namespace: &str, service_account: &str) -> Result<Self, NameError> {
        if !is_label(namespace, 63) {
            return Err(NameError {
                value: namespace.to_owned(),
                expected: "the name of a Kubernetes namespace: an RFC 1123 label, 1 to 63 lower case \
                           letters, digits and `-`, with a letter or digit at both ends",
            });
        }
        if service_account.len() > 253
            || !service_account.split('.').all(|label| is_label(label, 253))
        {
            return Err(NameError {
                value: service_account.to_owned(),
                expected: "the name of a Kubernetes service account: an RFC 1123 subdomain, 1 to 253 lower \
                           case letters, digits, `-` and `.`, with a letter or digit at both ends of each part",
            });
        }
        Ok(Self { namespace: namespace.to_owned(), service_account: service_account.to_owned() })
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// It and its cluster, as events and the ledger's problems name them.
    #[must_use]
    pub fn in_cluster(&self, cluster: &ClusterArn) -> ClusterAccount {
        ClusterAccount {
            cluster_arn: cluster.to_string(),
            namespace: self.namespace.clone(),
            kubernetes_service_account: self.service_account.clone(),
        }
    }

    /// The name of the service account.
    #[must_use]
    pub fn service_account(&self) -> &str {
        &self.service_account
    }

    /// Whether pods that name no service account run as it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.service_account == "default"
    }

    /// Whether Domino makes it for one run: `run-` and 24 hexadecimal digits.
    #[must_use]
    pub fn is_of_one_run(&self) -> bool {
        self.service_account
            .strip_prefix("run-")
            .is_some_and(|id| id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit()))
    }
}

impl fmt::Display for ServiceAccountRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.service_account)
    }
}

impl TryFrom<String> for ServiceAccountRef {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        let (namespace, service_account) = text.split_once('/').unwrap_or((&text, ""));
        Self::new(namespace, service_account)
    }
}

impl From<ServiceAccountRef> for String {
    fn from(name: ServiceAccountRef) -> Self {
        name.to_string()
    }
}
