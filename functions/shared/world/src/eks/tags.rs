//! Tags of associations. Their errors are other ones than the rest of EKS has.

use std::collections::BTreeMap;

use pod_identity_core::ClusterArn;
use pod_identity_engine::ports::Association;

use crate::error::AwsError;
use crate::settling::Settling;
use crate::world::{Caller, World};

impl World {
    /// `TagResource`. Moves the association's time of modification.
    ///
    /// # Errors
    /// `NotFoundException`, `BadRequestException`.
    pub fn tag_resource(
        &mut self,
        caller: &Caller,
        arn: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), AwsError> {
        let (cluster, mut association) = self.tagged(caller, arn)?;
        check_tags(tags).map_err(bad_request)?;
        association.tags.extend(tags.clone());
        if association.tags.len() > 50 {
            return Err(bad_request("A resource can have at most 50 tags."));
        }
        association.modified_at = Some(self.now);
        self.store_association(&cluster, &association.id.clone(), Some(association));
        Ok(())
    }

    /// `UntagResource`. Keys that are not there are no error.
    ///
    /// # Errors
    /// `NotFoundException`, `BadRequestException`.
    pub fn untag_resource(
        &mut self,
        caller: &Caller,
        arn: &str,
        keys: &[String],
    ) -> Result<(), AwsError> {
        let (cluster, mut association) = self.tagged(caller, arn)?;
        association.tags.retain(|key, _| !keys.contains(key));
        association.modified_at = Some(self.now);
        self.store_association(&cluster, &association.id.clone(), Some(association));
        Ok(())
    }

    /// `ListTagsForResource`.
    ///
    /// # Errors
    /// `NotFoundException`, `BadRequestException`.
    pub fn list_tags_for_resource(
        &self,
        caller: &Caller,
        arn: &str,
    ) -> Result<BTreeMap<String, String>, AwsError> {
        self.tagged(caller, arn).map(|(_, association)| association.tags)
    }

    fn tagged(&self, caller: &Caller, arn: &str) -> Result<(ClusterArn, Association), AwsError> {
        let not_found =
            || AwsError::new(404, "NotFoundException", format!("Resource {arn} was not found."));
        let (cluster, id) = arn
            .split_once(":podidentityassociation/")
            .and_then(|(_, name)| name.split_once('/'))
            .ok_or_else(|| bad_request(format!("Invalid resource ARN: {arn}")))?;
        let cluster = self.eks.resolve(caller, cluster).map_err(|_| not_found())?;
        self.eks.clusters[&cluster]
            .associations
            .get(id)
            .and_then(Settling::latest)
            .filter(|association| association.arn == arn)
            .map(|association| (cluster, association.clone()))
            .ok_or_else(not_found)
    }
}

fn bad_request(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "BadRequestException", message)
}

/// States the rule that tags break.
pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), String> {
    if tags.len() > 50 {
        return Err("A resource can have at most 50 tags.".to_owned());
    }
    let bad = tags.iter().find(|(key, value)| {
        !(1..=128).contains(&key.chars().count())
            || value.chars().count() > 256
            || key.to_ascii_lowercase().starts_with("aws:")
    });
    match bad {
        Some((key, _)) => Err(format!("Invalid tag with key {key}.")),
        None => Ok(()),
    }
}
