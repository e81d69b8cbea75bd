//! EKS through the ports.

use async_trait::async_trait;
use std::collections::BTreeMap;

use pod_identity_engine::ports::{
    Association, AssociationFilter, AssociationSummary, AssociationUpdate, ClusterAccess,
    EksReader, EksWriter, ErrorKind, NewAssociation, Page, PortError,
};

use super::WorldPorts;
use crate::{CreateAssociation, UpdateAssociation};

/// What is gone is none.
pub(super) fn found<T>(outcome: Result<T, PortError>) -> Result<Option<T>, PortError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn cluster(access: &ClusterAccess) -> String {
    format!("cluster {}", access.cluster.name())
}

#[async_trait(?Send)]
impl EksReader for WorldPorts {
    async fn associations(
        &self,
        access: &ClusterAccess,
        filter: &AssociationFilter,
        page: Option<&str>,
    ) -> Result<Page<AssociationSummary>, PortError> {
        let call = ("eks", "ListPodIdentityAssociations");
        self.call(call, "list associations of", cluster(access), |world| {
            let caller = self.caller(access, world);
            let name = access.cluster.name();
            world.list_pod_identity_associations(&caller, name, filter, None, page)
        })
        .await
    }

    async fn association(
        &self,
        access: &ClusterAccess,
        id: &str,
    ) -> Result<Option<Association>, PortError> {
        let call = ("eks", "DescribePodIdentityAssociation");
        let object = format!("{id} in {}", cluster(access));
        let outcome = self
            .call(call, "describe association", object, |world| {
                let caller = self.caller(access, world);
                world.describe_pod_identity_association(&caller, access.cluster.name(), id)
            })
            .await;
        found(outcome)
    }

    async fn node_groups(
        &self,
        access: &ClusterAccess,
        page: Option<&str>,
    ) -> Result<Page<String>, PortError> {
        let call = ("eks", "ListNodegroups");
        self.call(call, "list node groups of", cluster(access), |world| {
            let caller = self.caller(access, world);
            world.list_nodegroups(&caller, access.cluster.name(), None, page)
        })
        .await
    }

    async fn node_group_role(
        &self,
        access: &ClusterAccess,
        name: &str,
    ) -> Result<Option<String>, PortError> {
        let object = format!("{name} of {}", cluster(access));
        let outcome = self
            .call(("eks", "DescribeNodegroup"), "describe node group", object, |world| {
                let caller = self.caller(access, world);
                world.describe_nodegroup(&caller, access.cluster.name(), name)
            })
            .await;
        found(outcome)
    }
}

#[async_trait(?Send)]
impl EksWriter for WorldPorts {
    async fn create_association(
        &self,
        access: &ClusterAccess,
        new: &NewAssociation,
    ) -> Result<Association, PortError> {
        let call = ("eks", "CreatePodIdentityAssociation");
        let object = format!("{} in {}", new.kubernetes, cluster(access));
        self.call(call, "create association for", object, |world| {
            let caller = self.caller(access, world);
            let input = CreateAssociation {
                cluster: access.cluster.name().to_owned(),
                namespace: new.kubernetes.namespace().to_owned(),
                service_account: new.kubernetes.service_account().to_owned(),
                role_arn: new.desired.role.to_string(),
                target_role_arn: new.desired.target_role.as_ref().map(ToString::to_string),
                disable_session_tags: Some(new.desired.disable_session_tags),
                policy: new.desired.session_policy.clone(),
                tags: new.tags.clone(),
                client_request_token: Some(new.client_token.clone()),
            };
            world.create_pod_identity_association(&caller, input)
        })
        .await
    }

    async fn update_association(
        &self,
        access: &ClusterAccess,
        update: &AssociationUpdate,
    ) -> Result<Association, PortError> {
        let call = ("eks", "UpdatePodIdentityAssociation");
        let object = format!("{} in {}", update.kubernetes, cluster(access));
        self.call(call, "update association for", object, |world| {
            let caller = self.caller(access, world);
            let target = update.desired.target_role.as_ref();
            let input = UpdateAssociation {
                cluster: access.cluster.name().to_owned(),
                association_id: update.id.clone(),
                role_arn: Some(update.desired.role.to_string()),
                target_role_arn: Some(target.map(ToString::to_string).unwrap_or_default()),
                disable_session_tags: Some(update.desired.disable_session_tags),
                policy: Some(update.desired.session_policy.clone().unwrap_or_default()),
            };
            world.update_pod_identity_association(&caller, &input)
        })
        .await
    }

    async fn tag_association(
        &self,
        access: &ClusterAccess,
        arn: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), PortError> {
        let object = arn.to_owned();
        self.call(("eks", "TagResource"), "tag association", object, |world| {
            let caller = self.caller(access, world);
            world.tag_resource(&caller, arn, tags)
        })
        .await
    }

    async fn delete_association(&self, access: &ClusterAccess, id: &str) -> Result<(), PortError> {
        let call = ("eks", "DeletePodIdentityAssociation");
        let object = format!("{id} in {}", cluster(access));
        let outcome = self
            .call(call, "delete association", object, |world| {
                let caller = self.caller(access, world);
                world.delete_pod_identity_association(&caller, access.cluster.name(), id)
            })
            .await;
        found(outcome).map(drop)
    }
}
