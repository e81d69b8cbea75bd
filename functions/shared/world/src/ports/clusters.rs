//! What EKS tells of clusters, through the ports.

use async_trait::async_trait;
use pod_identity_engine::ports::{ClusterAccess, ClusterDescription, ClusterReader, PortError};

use super::WorldPorts;
use super::eks::{cluster, found};

#[async_trait(?Send)]
impl ClusterReader for WorldPorts {
    async fn cluster(
        &self,
        access: &ClusterAccess,
    ) -> Result<Option<ClusterDescription>, PortError> {
        let outcome = self
            .call(("eks", "DescribeCluster"), "describe", cluster(access), |world| {
                let caller = self.caller(access, world);
                world.describe_cluster(&caller, access.cluster.name())
            })
            .await;
        let filled = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(found(outcome)?.map(|found| ClusterDescription {
            created_at: Some(found.created_at),
            endpoint: filled(found.endpoint),
            certificate_authority: filled(found.certificate_authority),
            status: found.status,
            authentication_mode: filled(found.authentication_mode),
            public_endpoint: found.endpoint_public_access,
            private_endpoint: found.endpoint_private_access,
            auto_mode: found.auto_mode,
            node_role: filled(found.node_role),
            version: filled(found.version),
        }))
    }

    async fn addon(&self, access: &ClusterAccess, name: &str) -> Result<Option<String>, PortError> {
        let object = format!("{name} of {}", cluster(access));
        let outcome = self
            .call(("eks", "DescribeAddon"), "describe add-on", object, |world| {
                let caller = self.caller(access, world);
                world.describe_addon(&caller, access.cluster.name(), name)
            })
            .await;
        Ok(found(outcome)?.map(|addon| addon.status))
    }
}
