//! Clusters and add-ons over EKS.

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use aws_sdk_eks::types::Cluster;
use pod_identity_engine::ports::{ClusterAccess, ClusterDescription, ClusterReader, PortError};

use super::{cluster, present, timestamp, within};
use crate::clients::AwsReader;
use crate::errors::{absent, invalid, port_error};

const DESCRIBE: &str = "describe";

#[async_trait(?Send)]
impl ClusterReader for AwsReader {
    async fn cluster(
        &self,
        access: &ClusterAccess,
    ) -> Result<Option<ClusterDescription>, PortError> {
        let answer = self
            .aws
            .eks(access)
            .await
            .describe_cluster()
            .name(access.cluster.name())
            .send()
            .await
            .map_err(|error| port_error(DESCRIBE, cluster(access), error));
        let Some(answer) = absent(answer)? else {
            return Ok(None);
        };
        let Some(found) = answer.cluster else {
            return Err(invalid(DESCRIBE, cluster(access), "the answer has no cluster"));
        };
        Ok(Some(description(found)))
    }

    async fn addon(&self, access: &ClusterAccess, name: &str) -> Result<Option<String>, PortError> {
        let answer = self
            .aws
            .eks(access)
            .await
            .describe_addon()
            .cluster_name(access.cluster.name())
            .addon_name(name)
            .send()
            .await
            .map_err(|error| port_error("describe add-on", within(name, access), error));
        let addon = absent(answer)?.and_then(|answer| answer.addon);
        Ok(addon.and_then(|addon| addon.status).map(|status| status.as_str().to_owned()))
    }
}

fn description(cluster: Cluster) -> ClusterDescription {
    let network = cluster.resources_vpc_config;
    let mode = cluster.access_config.and_then(|config| config.authentication_mode);
    let compute = cluster.compute_config;
    let status = cluster.status.map(|status| status.as_str().to_owned());
    ClusterDescription {
        created_at: cluster.created_at.and_then(timestamp),
        endpoint: present(cluster.endpoint),
        certificate_authority: present(cluster.certificate_authority.and_then(|one| one.data)),
        status: status.unwrap_or_default(),
        authentication_mode: mode.map(|mode| mode.as_str().to_owned()),
        public_endpoint: network.as_ref().is_some_and(|network| network.endpoint_public_access),
        private_endpoint: network.as_ref().is_some_and(|network| network.endpoint_private_access),
        auto_mode: compute.as_ref().and_then(|one| one.enabled).unwrap_or_default(),
        node_role: present(compute.and_then(|one| one.node_role_arn)),
        version: present(cluster.version),
    }
}
