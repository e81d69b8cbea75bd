//! What EKS tells of clusters, through the ports.

use pod_identity_engine::ports::{ClusterAccess, ClusterDescription, ClusterReader, PortError};

use super::WorldPorts;
use super::eks::{cluster, found};

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
        Ok(found(outcome)?.map(|found| ClusterDescription {
            endpoint: Some(format!("https://{}.invalid", found.name)),
            certificate_authority: None,
            status: "ACTIVE".to_owned(),
            authentication_mode: None,
            public_endpoint: true,
            private_endpoint: false,
            version: None,
        }))
    }

    /// The world has no add-ons.
    async fn addon(&self, access: &ClusterAccess, name: &str) -> Result<Option<String>, PortError> {
        let object = format!("{name} of {}", cluster(access));
        let outcome = self
            .call(("eks", "DescribeAddon"), "describe add-on", object, |world| {
                let caller = self.caller(access, world);
                world.describe_cluster(&caller, access.cluster.name())
            })
            .await;
        found(outcome).map(|_| None)
    }
}
