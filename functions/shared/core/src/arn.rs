//! The ARNs that this software handles, checked once and then trusted.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A string is not the ARN it should be. States the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not {expected}")]
pub struct ArnError {
    value: String,
    expected: &'static str,
}

macro_rules! arn_string {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl $name {
            /// The ARN as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.text
            }
        }

        impl TryFrom<String> for $name {
            type Error = ArnError;
            fn try_from(text: String) -> Result<Self, ArnError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(arn: $name) -> Self {
                arn.text
            }
        }
    };
}

/// Splits `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
fn split<'a>(text: &'a str, service: &str) -> Option<(&'a str, &'a str, &'a str, &'a str)> {
    let mut parts = text.splitn(6, ':');
    let (arn, partition, found) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let known = arn == "arn" && found == service && is_partition(partition);
    let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    (known && digits).then_some((partition, region, account, resource))
}

/// `aws`, `aws-cn`, `aws-us-gov` and those of other clouds of AWS.
fn is_partition(text: &str) -> bool {
    text == "aws"
        || text
            .strip_prefix("aws-")
            .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
}

/// IAM names: letters, digits and `+=,.@_-`.
fn is_iam_name(name: &str, longest: usize) -> bool {
    (1..=longest).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b))
}

/// IAM paths: `/`, or visible ASCII between slashes, at most 512 characters.
fn is_iam_path(path: &str) -> bool {
    path.len() <= 512
        && path.starts_with('/')
        && path.ends_with('/')
        && path.bytes().all(|b| (0x21..=0x7e).contains(&b))
}

/// ARN of an IAM role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleArn {
    text: String,
    account: (usize, usize),
    name: usize,
}

arn_string!(RoleArn);

impl RoleArn {
    /// The twelve digits of its account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.text[self.account.0..self.account.1]
    }

    /// Its name, without the path; what IAM's API wants.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.name..]
    }

    /// Its partition, such as `aws`.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.text.split(':').nth(1).unwrap_or_default()
    }
}

impl FromStr for RoleArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let error = || ArnError {
            value: text.to_owned(),
            expected: "the ARN of an IAM role, `arn:aws:iam::ACCOUNT:role/[PATH/]NAME`",
        };
        let (_, region, account, resource) = split(text, "iam").ok_or_else(error)?;
        let path_and_name = resource.strip_prefix("role").ok_or_else(error)?;
        let slash = path_and_name.rfind('/').ok_or_else(error)?;
        let (path, name) = path_and_name.split_at(slash + 1);
        if !region.is_empty() || !is_iam_path(path) || !is_iam_name(name, 64) {
            return Err(error());
        }
        if path.contains(['*', '?', '$', '"', '\\']) {
            return Err(ArnError {
                value: text.to_owned(),
                expected: "the ARN of one IAM role: without `*`, `?`, `$`, `\"` and `\\` in its path, which mean more in a policy",
            });
        }
        let account_end = text.len() - resource.len() - 1;
        Ok(Self {
            text: text.to_owned(),
            account: (account_end - account.len(), account_end),
            name: text.len() - name.len(),
        })
    }
}

/// ARN of an EKS cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterArn {
    text: String,
    account: (usize, usize),
}

arn_string!(ClusterArn);

impl ClusterArn {
    /// Joins the parts of the ARN.
    ///
    /// # Errors
    /// When a part does not fit.
    pub fn new(partition: &str, region: &str, account: &str, name: &str) -> Result<Self, ArnError> {
        format!("arn:{partition}:eks:{region}:{account}:cluster/{name}").parse()
    }

    fn part(&self, index: usize) -> &str {
        self.text.splitn(6, ':').nth(index).unwrap_or_default()
    }

    /// Its partition, such as `aws`.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.part(1)
    }

    /// Its region.
    #[must_use]
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// The twelve digits of its account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.text[self.account.0..self.account.1]
    }

    /// Its name, unique in its account and region only.
    #[must_use]
    pub fn name(&self) -> &str {
        self.part(5).strip_prefix("cluster/").unwrap_or_default()
    }
}

impl FromStr for ClusterArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let error = || ArnError {
            value: text.to_owned(),
            expected: "the ARN of an EKS cluster, `arn:aws:eks:REGION:ACCOUNT:cluster/NAME`",
        };
        let (_, region, account, resource) = split(text, "eks").ok_or_else(error)?;
        let name = resource.strip_prefix("cluster/").ok_or_else(error)?;
        if !is_region(region) || !is_cluster_name(name) {
            return Err(error());
        }
        let account_end = text.len() - resource.len() - 1;
        Ok(Self { text: text.to_owned(), account: (account_end - account.len(), account_end) })
    }
}

fn is_region(region: &str) -> bool {
    !region.is_empty()
        && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// EKS: `^[0-9A-Za-z][A-Za-z0-9\-_]*`, at most 100 characters.
pub(crate) fn is_cluster_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// ARN of a customer managed IAM policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PolicyArn {
    text: String,
}

arn_string!(PolicyArn);

impl PolicyArn {
    /// Its name, without the path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for PolicyArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let error = || ArnError {
            value: text.to_owned(),
            expected: "the ARN of a customer managed policy, `arn:aws:iam::ACCOUNT:policy/[PATH/]NAME`",
        };
        let (_, region, _, resource) = split(text, "iam").ok_or_else(error)?;
        let path_and_name = resource.strip_prefix("policy").ok_or_else(error)?;
        let slash = path_and_name.rfind('/').ok_or_else(error)?;
        let (path, name) = path_and_name.split_at(slash + 1);
        if !region.is_empty() || !is_iam_path(path) || !is_iam_name(name, 128) {
            return Err(error());
        }
        Ok(Self { text: text.to_owned() })
    }
}
