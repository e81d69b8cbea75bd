//! The five operations on associations.

use std::collections::BTreeMap;

use pod_identity_core::ClusterArn;
use pod_identity_engine::ports::{Association, AssociationFilter, AssociationSummary, Page};

use super::check::check_values;
use super::{invalid_parameter, no_cluster};
use crate::error::AwsError;
use crate::paging::cut;
use crate::settling::{Settling, after};
use crate::world::{Caller, World};

/// Input of `CreatePodIdentityAssociation`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateAssociation {
    /// Name of the cluster.
    pub cluster: String,
    /// Namespace.
    pub namespace: String,
    /// Kubernetes service account.
    pub service_account: String,
    /// ARN of the role.
    pub role_arn: String,
    /// ARN of the target role; empty means none.
    pub target_role_arn: Option<String>,
    /// Whether session tags are left out; absent means they are not.
    pub disable_session_tags: Option<bool>,
    /// Session policy; empty means none.
    pub policy: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Idempotency token.
    pub client_request_token: Option<String>,
}

/// Input of `UpdatePodIdentityAssociation`. What is absent stays as it is; an
/// empty target role or policy removes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateAssociation {
    /// Name of the cluster.
    pub cluster: String,
    /// Id of the association.
    pub association_id: String,
    /// ARN of the role.
    pub role_arn: Option<String>,
    /// ARN of the target role.
    pub target_role_arn: Option<String>,
    /// Whether session tags are left out.
    pub disable_session_tags: Option<bool>,
    /// Session policy.
    pub policy: Option<String>,
}

impl World {
    /// `CreatePodIdentityAssociation`.
    ///
    /// # Errors
    /// `ResourceInUseException`, `ResourceNotFoundException`, `ResourceLimitExceededException`,
    /// `InvalidParameterException`, `InvalidRequestException`.
    pub fn create_pod_identity_association(
        &mut self,
        caller: &Caller,
        input: CreateAssociation,
    ) -> Result<Association, AwsError> {
        let arn = self.eks.resolve(caller, &input.cluster)?;
        if let Some(answer) = self.replay(&arn, &input)? {
            return Ok(answer);
        }
        let disable_session_tags = input.disable_session_tags.unwrap_or(false);
        self.check_role(&arn, &input.role_arn, disable_session_tags)?;
        self.insert_association(&arn, input, None)
    }

    /// The first answer to a token, or an error when the token came with other values.
    fn replay(
        &self,
        arn: &ClusterArn,
        input: &CreateAssociation,
    ) -> Result<Option<Association>, AwsError> {
        let Some(cluster) = self.eks.clusters.get(arn) else {
            return Ok(None);
        };
        let token = input.client_request_token.as_ref();
        let Some((first, answer)) = token.and_then(|token| cluster.tokens.get(token)) else {
            return Ok(None);
        };
        let current = cluster.associations.get(&answer.id).and_then(Settling::latest);
        if current.is_none() && !self.settings.tokens_outlive_associations {
            return Ok(None);
        }
        if first == input {
            return Ok(Some(current.unwrap_or(answer).clone()));
        }
        Err(invalid_parameter(
            "The clientRequestToken has already been used with different request parameters.",
        ))
    }

    /// Creates without asking IAM about the role, for an owner or none.
    pub(crate) fn insert_association(
        &mut self,
        arn: &ClusterArn,
        input: CreateAssociation,
        owner_arn: Option<String>,
    ) -> Result<Association, AwsError> {
        let (now, delay) = (self.now, self.settings.visible_after);
        if input.namespace.is_empty() || input.service_account.is_empty() {
            return Err(invalid_parameter("namespace and serviceAccount must not be empty."));
        }
        super::tags::check_tags(&input.tags).map_err(invalid_parameter)?;
        let id = self.random.association_id();
        let cluster = self.eks.clusters.get_mut(arn).ok_or_else(|| no_cluster(arn.name()))?;
        // Deletions settle too: for a while EKS still answers that the deleted one exists.
        let taken = cluster.associations.values().find_map(|association| {
            [association.latest(), association.visible(now)].into_iter().flatten().find(|a| {
                a.namespace == input.namespace && a.service_account == input.service_account
            })
        });
        if let Some(taken) = taken {
            return Err(AwsError::new(
                409,
                "ResourceInUseException",
                format!("Association already exists: {}", taken.id),
            ));
        }
        let count = cluster.associations.values().filter(|a| a.latest().is_some()).count();
        if count >= self.settings.associations_per_cluster {
            return Err(AwsError::new(
                400,
                "ResourceLimitExceededException",
                "The maximum number of pod identity associations for the cluster was reached.",
            ));
        }
        let mut association = Association {
            arn: format!(
                "arn:{}:eks:{}:{}:podidentityassociation/{}/{id}",
                arn.partition(),
                arn.region(),
                arn.account(),
                arn.name()
            ),
            id,
            namespace: input.namespace.clone(),
            service_account: input.service_account.clone(),
            role_arn: input.role_arn.clone(),
            target_role_arn: input.target_role_arn.clone().filter(|text| !text.is_empty()),
            disable_session_tags: input.disable_session_tags.unwrap_or(false),
            policy: input.policy.clone().filter(|text| !text.is_empty()),
            external_id: None,
            owner_arn,
            tags: input.tags.clone(),
            created_at: Some(now),
            modified_at: Some(now),
        };
        set_external_id(arn, &mut association);
        check_values(&association)?;
        if let Some(token) = input.client_request_token.clone() {
            cluster.tokens.insert(token, (input, association.clone()));
        }
        let settling = Settling::new(association.clone(), after(now, delay));
        cluster.associations.insert(association.id.clone(), settling);
        Ok(association)
    }

    /// `ListPodIdentityAssociations`.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, `InvalidParameterException`.
    pub fn list_pod_identity_associations(
        &self,
        caller: &Caller,
        cluster: &str,
        filter: &AssociationFilter,
        max_results: Option<usize>,
        next_token: Option<&str>,
    ) -> Result<Page<AssociationSummary>, AwsError> {
        let arn = self.eks.resolve(caller, cluster)?;
        if filter.service_account.is_some() && filter.namespace.is_none() {
            return Err(invalid_parameter(
                "The namespace must be specified when filtering by serviceAccount.",
            ));
        }
        let size = self.eks_page_size(max_results)?;
        let fits = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == found)
        };
        let entries = self.eks.clusters[&arn]
            .associations
            .values()
            .filter_map(|association| association.visible(self.now))
            .filter(|a| {
                fits(&filter.namespace, &a.namespace)
                    && fits(&filter.service_account, &a.service_account)
            })
            .map(|a| (a.id.clone(), summary(a)));
        let (items, next) = cut(entries, next_token, size)
            .ok_or_else(|| invalid_parameter("Invalid nextToken provided."))?;
        Ok(Page { items, next })
    }

    pub(super) fn eks_page_size(&self, max_results: Option<usize>) -> Result<usize, AwsError> {
        match max_results.unwrap_or(100) {
            asked @ 1..=100 => Ok(asked.min(self.settings.page_size)),
            _ => Err(invalid_parameter("maxResults must be between 1 and 100.")),
        }
    }

    /// `DescribePodIdentityAssociation`.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, `InvalidParameterException`.
    pub fn describe_pod_identity_association(
        &self,
        caller: &Caller,
        cluster: &str,
        id: &str,
    ) -> Result<Association, AwsError> {
        let arn = self.eks.resolve(caller, cluster)?;
        check_id(id)?;
        self.eks.clusters[&arn]
            .associations
            .get(id)
            .and_then(|association| association.visible(self.now))
            .cloned()
            .ok_or_else(|| no_association(cluster, id))
    }

    /// `UpdatePodIdentityAssociation`.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, `InvalidParameterException`, `InvalidRequestException`.
    pub fn update_pod_identity_association(
        &mut self,
        caller: &Caller,
        input: &UpdateAssociation,
    ) -> Result<Association, AwsError> {
        let arn = self.eks.resolve(caller, &input.cluster)?;
        check_id(&input.association_id)?;
        let mut association = self.eks.clusters[&arn]
            .associations
            .get(&input.association_id)
            .and_then(Settling::latest)
            .cloned()
            .ok_or_else(|| no_association(&input.cluster, &input.association_id))?;
        let text = |value: &String| Some(value.clone()).filter(|text| !text.is_empty());
        if let Some(disable) = input.disable_session_tags {
            association.disable_session_tags = disable;
        }
        let kept = !self.settings.clears_empty_values;
        if let Some(target) = input.target_role_arn.as_ref().filter(|it| !(kept && it.is_empty())) {
            association.target_role_arn = text(target);
        }
        if let Some(policy) = &input.policy {
            association.policy = text(policy);
        }
        if let Some(role) = &input.role_arn {
            self.check_role(&arn, role, association.disable_session_tags)?;
            association.role_arn.clone_from(role);
        }
        check_values(&association)?;
        set_external_id(&arn, &mut association);
        association.modified_at = Some(self.now);
        self.store_association(&arn, &association.id.clone(), Some(association.clone()));
        Ok(association)
    }

    /// `DeletePodIdentityAssociation`. Answers what was deleted.
    ///
    /// # Errors
    /// `ResourceNotFoundException`, `InvalidParameterException`.
    pub fn delete_pod_identity_association(
        &mut self,
        caller: &Caller,
        cluster: &str,
        id: &str,
    ) -> Result<Association, AwsError> {
        let arn = self.eks.resolve(caller, cluster)?;
        check_id(id)?;
        let deleted = self.eks.clusters[&arn]
            .associations
            .get(id)
            .and_then(Settling::latest)
            .cloned()
            .ok_or_else(|| no_association(cluster, id))?;
        self.store_association(&arn, id, None);
        Ok(deleted)
    }

    pub(crate) fn store_association(
        &mut self,
        arn: &ClusterArn,
        id: &str,
        value: Option<Association>,
    ) {
        let (now, delay) = (self.now, self.settings.visible_after);
        if let Some(cluster) = self.eks.clusters.get_mut(arn) {
            if let Some(association) = cluster.associations.get_mut(id) {
                association.set(value, now, delay);
            }
            cluster.associations.retain(|_, association| !association.is_gone(now));
        }
    }
}

fn set_external_id(cluster: &ClusterArn, association: &mut Association) {
    association.external_id = association.target_role_arn.is_some().then(|| {
        format!(
            "{}/{}/{}/{}/{}",
            cluster.region(),
            cluster.account(),
            cluster.name(),
            association.namespace,
            association.service_account
        )
    });
}

fn summary(association: &Association) -> AssociationSummary {
    AssociationSummary {
        id: association.id.clone(),
        arn: association.arn.clone(),
        namespace: association.namespace.clone(),
        service_account: association.service_account.clone(),
        owner_arn: association.owner_arn.clone(),
    }
}

fn check_id(id: &str) -> Result<(), AwsError> {
    if id.len() == 19 {
        Ok(())
    } else {
        Err(invalid_parameter("The parameter associationId should be 19 characters long."))
    }
}

fn no_association(cluster: &str, id: &str) -> AwsError {
    AwsError::new(
        404,
        "ResourceNotFoundException",
        format!("No pod identity association found for id {id} in cluster {cluster}."),
    )
}
