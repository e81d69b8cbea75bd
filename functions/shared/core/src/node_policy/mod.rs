//! The policies of a cluster's node roles: which roles they list, how they
//! are written, and how the list is spread over several policies (shards).
//!
//! The list is the blueprint's. By AWS's service authorization reference the
//! resource of `eks-auth:AssumeRoleForPodIdentity` is the cluster, so the list
//! alone may admit nothing and, beside the cluster statement, it is a record
//! and no control. See docs/architecture.md.

mod compact;
mod document;
mod packing;
mod projection;
mod shards;
#[cfg(test)]
mod tests;

pub use compact::{Compaction, compact};
pub use document::{Shard, characters, document, parse};
pub use projection::{AssignedPolicy, PolicyState, Projection, version_number};
pub use shards::{Extension, capacity, extend, needs_new_shard};

use sha2::{Digest, Sha256};

use crate::{ArnError, ClusterArn, PolicyArn};

/// IAM's limit for a customer managed policy, in characters without white space.
pub const MAX_POLICY_CHARACTERS: usize = 6_144;

/// IAM's limit for the name of a policy.
const MAX_NAME: usize = 128;

/// Path of the policies that a deployment makes for the clusters of a region, so that a resource pattern names those
/// of one deployment and no other's, whose id may begin alike.
#[must_use]
pub fn policy_path(deployment: &str, cluster: &ClusterArn) -> String {
    format!("/domino-pod-identity/{deployment}/{}/", cluster.region())
}

/// The number of a node policy of a cluster by its ARN; none when it is none of the deployment's there.
#[must_use]
pub fn policy_number(deployment: &str, cluster: &ClusterArn, arn: &str) -> Option<u32> {
    let number = arn.rsplit_once('-')?.1.parse().ok()?;
    (policy_arn(deployment, cluster, number).ok()?.as_str() == arn).then_some(number)
}

/// ARN of a cluster's node policy by its number, counted from 1:
/// `DEPLOYMENT-REGION-CLUSTER-NUMBER` under [`policy_path`]. Names are unique in an account, whatever their path.
///
/// A cluster name that is too long for IAM is cut, and distinguished by a hash.
///
/// # Errors
/// When the deployment's id does not fit an IAM name.
pub fn policy_arn(
    deployment: &str,
    cluster: &ClusterArn,
    number: u32,
) -> Result<PolicyArn, ArnError> {
    let prefix = format!("{deployment}-{}-", cluster.region());
    let suffix = format!("-{number}");
    let room = MAX_NAME.saturating_sub(prefix.len() + suffix.len());
    let name = cluster.name();
    let name = if name.len() <= room {
        name.to_owned()
    } else {
        let hash = crate::hex(&Sha256::digest(cluster.as_str())[..5]);
        let kept = room.saturating_sub(hash.len() + 1);
        // Cluster names are ASCII, so any cut is a boundary.
        format!("{}-{hash}", &name[..kept.min(name.len())])
    };
    format!(
        "arn:{}:iam::{}:policy{}{prefix}{name}{suffix}",
        cluster.partition(),
        cluster.account(),
        policy_path(deployment, cluster),
    )
    .parse()
}
