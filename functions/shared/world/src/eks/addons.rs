//! Add-ons, read only.

use pod_identity_engine::ports::Page;

use super::invalid_parameter;
use crate::error::AwsError;
use crate::paging::cut;
use crate::world::{Caller, World};

/// An add-on of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addon {
    /// Version, such as `v1.3.8-eksbuild.2`.
    pub version: String,
    /// `ACTIVE`, `DEGRADED`, `CREATE_FAILED`, ...
    pub status: String,
}

impl World {
    /// `ListAddons`.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, `InvalidParameterException`.
    pub fn list_addons(
        &self,
        caller: &Caller,
        cluster: &str,
        max_results: Option<usize>,
        next_token: Option<&str>,
    ) -> Result<Page<String>, AwsError> {
        let arn = self.eks.resolve(caller, cluster)?;
        let size = self.eks_page_size(max_results)?;
        let names = self.eks.clusters[&arn].addons.keys();
        let (items, next) = cut(names.map(|name| (name.clone(), name.clone())), next_token, size)
            .ok_or_else(|| invalid_parameter("Invalid nextToken provided."))?;
        Ok(Page { items, next })
    }

    /// `DescribeAddon`.
    ///
    /// # Errors
    /// `ResourceNotFoundException`.
    pub fn describe_addon(
        &self,
        caller: &Caller,
        cluster: &str,
        name: &str,
    ) -> Result<Addon, AwsError> {
        let arn = self.eks.resolve(caller, cluster)?;
        self.eks.clusters[&arn].addons.get(name).cloned().ok_or_else(|| {
            AwsError::new(
                404,
                "ResourceNotFoundException",
                format!("No addon: {name} found in cluster: {cluster}"),
            )
        })
    }
}
