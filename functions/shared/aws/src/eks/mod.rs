//! Pod Identity associations and node groups over EKS.

mod clusters;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use std::collections::BTreeMap;

use aws_sdk_eks::types::{PodIdentityAssociation, PodIdentityAssociationSummary};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use pod_identity_engine::ports::{
    Association, AssociationFilter, AssociationSummary, AssociationUpdate, ClusterAccess,
    EksReader, EksWriter, NewAssociation, Page, PortError,
};

use crate::clients::{AwsReader, AwsWriter};
use crate::errors::{absent, invalid, port_error};

/// EKS takes pages of 1 to 100.
const PAGE: i32 = 100;

const DESCRIBE: &str = "describe association";
const CREATE: &str = "create association for";
const UPDATE: &str = "update association of";

#[async_trait(?Send)]
impl EksReader for AwsReader {
    async fn associations(
        &self,
        access: &ClusterAccess,
        filter: &AssociationFilter,
        page: Option<&str>,
    ) -> Result<Page<AssociationSummary>, PortError> {
        let answer = self
            .aws
            .eks(access)
            .await
            .list_pod_identity_associations()
            .cluster_name(access.cluster.name())
            .set_namespace(filter.namespace.clone())
            .set_service_account(filter.service_account.clone())
            .set_next_token(page.map(str::to_owned))
            .max_results(PAGE)
            .send()
            .await
            .map_err(|error| port_error("list associations of", cluster(access), error))?;
        Ok(Page {
            items: answer.associations.unwrap_or_default().into_iter().map(summary).collect(),
            next: present(answer.next_token),
        })
    }

    async fn association(
        &self,
        access: &ClusterAccess,
        id: &str,
    ) -> Result<Option<Association>, PortError> {
        let object = || within(id, access);
        let answer = self
            .aws
            .eks(access)
            .await
            .describe_pod_identity_association()
            .cluster_name(access.cluster.name())
            .association_id(id)
            .send()
            .await
            .map_err(|error| port_error(DESCRIBE, object(), error));
        absent(answer)?.map(|answer| full(DESCRIBE, object(), answer.association)).transpose()
    }

    async fn node_groups(
        &self,
        access: &ClusterAccess,
        page: Option<&str>,
    ) -> Result<Page<String>, PortError> {
        let answer = self
            .aws
            .eks(access)
            .await
            .list_nodegroups()
            .cluster_name(access.cluster.name())
            .set_next_token(page.map(str::to_owned))
            .max_results(PAGE)
            .send()
            .await
            .map_err(|error| port_error("list node groups of", cluster(access), error))?;
        Ok(Page { items: answer.nodegroups.unwrap_or_default(), next: present(answer.next_token) })
    }

    async fn node_group_role(
        &self,
        access: &ClusterAccess,
        name: &str,
    ) -> Result<Option<String>, PortError> {
        let answer = self
            .aws
            .eks(access)
            .await
            .describe_nodegroup()
            .cluster_name(access.cluster.name())
            .nodegroup_name(name)
            .send()
            .await
            .map_err(|error| port_error("describe node group", within(name, access), error));
        Ok(absent(answer)?.and_then(|answer| present(answer.nodegroup?.node_role)))
    }
}

#[async_trait(?Send)]
impl EksWriter for AwsWriter {
    async fn create_association(
        &self,
        access: &ClusterAccess,
        new: &NewAssociation,
    ) -> Result<Association, PortError> {
        let object = || within(&new.kubernetes.to_string(), access);
        let desired = &new.desired;
        let answer = self
            .aws
            .eks(access)
            .await
            .create_pod_identity_association()
            .cluster_name(access.cluster.name())
            .namespace(new.kubernetes.namespace())
            .service_account(new.kubernetes.service_account())
            .role_arn(desired.role.as_str())
            .set_target_role_arn(desired.target_role.as_ref().map(ToString::to_string))
            .disable_session_tags(desired.disable_session_tags)
            .set_policy(desired.session_policy.clone())
            .set_tags(Some(new.tags.clone().into_iter().collect()))
            .client_request_token(&new.client_token)
            .send()
            .await
            .map_err(|error| port_error(CREATE, object(), error))?;
        full(CREATE, object(), answer.association)
    }

    async fn update_association(
        &self,
        access: &ClusterAccess,
        update: &AssociationUpdate,
    ) -> Result<Association, PortError> {
        let object = || within(&update.kubernetes.to_string(), access);
        let desired = &update.desired;
        // A field that is not sent stays as it is; an empty string clears it.
        let target_role = desired.target_role.as_ref().map(ToString::to_string);
        let answer = self
            .aws
            .eks(access)
            .await
            .update_pod_identity_association()
            .cluster_name(access.cluster.name())
            .association_id(&update.id)
            .role_arn(desired.role.as_str())
            .target_role_arn(target_role.unwrap_or_default())
            .disable_session_tags(desired.disable_session_tags)
            .policy(desired.session_policy.clone().unwrap_or_default())
            .client_request_token(&update.client_token)
            .send()
            .await
            .map_err(|error| port_error(UPDATE, object(), error))?;
        full(UPDATE, object(), answer.association)
    }

    async fn tag_association(
        &self,
        access: &ClusterAccess,
        arn: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), PortError> {
        self.aws
            .eks(access)
            .await
            .tag_resource()
            .resource_arn(arn)
            .set_tags(Some(tags.clone().into_iter().collect()))
            .send()
            .await
            .map_err(|error| port_error("tag association", arn, error))?;
        Ok(())
    }

    async fn delete_association(&self, access: &ClusterAccess, id: &str) -> Result<(), PortError> {
        let answer = self
            .aws
            .eks(access)
            .await
            .delete_pod_identity_association()
            .cluster_name(access.cluster.name())
            .association_id(id)
            .send()
            .await
            .map_err(|error| port_error("delete association", within(id, access), error));
        absent(answer)?;
        Ok(())
    }
}

fn cluster(access: &ClusterAccess) -> String {
    format!("cluster {}", access.cluster.name())
}

fn within(object: &str, access: &ClusterAccess) -> String {
    format!("{object} in cluster {}", access.cluster.name())
}

/// EKS answers a field that was cleared with an empty string or with none.
fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn summary(summary: PodIdentityAssociationSummary) -> AssociationSummary {
    AssociationSummary {
        id: summary.association_id.unwrap_or_default(),
        arn: summary.association_arn.unwrap_or_default(),
        namespace: summary.namespace.unwrap_or_default(),
        service_account: summary.service_account.unwrap_or_default(),
        owner_arn: present(summary.owner_arn),
    }
}

fn full(
    operation: &'static str,
    object: String,
    association: Option<PodIdentityAssociation>,
) -> Result<Association, PortError> {
    let required = |value: Option<String>, name: &str| match present(value) {
        Some(value) => Ok(value),
        None => Err(invalid(operation, object.clone(), format!("the answer has no {name}"))),
    };
    let Some(association) = association else {
        return Err(invalid(operation, object, "the answer has no association"));
    };
    Ok(Association {
        id: required(association.association_id, "associationId")?,
        arn: required(association.association_arn, "associationArn")?,
        namespace: required(association.namespace, "namespace")?,
        service_account: required(association.service_account, "serviceAccount")?,
        role_arn: required(association.role_arn, "roleArn")?,
        target_role_arn: present(association.target_role_arn),
        disable_session_tags: association.disable_session_tags.unwrap_or_default(),
        policy: present(association.policy),
        external_id: present(association.external_id),
        owner_arn: present(association.owner_arn),
        tags: association.tags.unwrap_or_default().into_iter().collect(),
        created_at: association.created_at.and_then(timestamp),
        modified_at: association.modified_at.and_then(timestamp),
    })
}

fn timestamp(time: DateTime) -> Option<Timestamp> {
    let nanos = i32::try_from(time.subsec_nanos()).ok()?;
    Timestamp::new(time.secs(), nanos).ok()
}
