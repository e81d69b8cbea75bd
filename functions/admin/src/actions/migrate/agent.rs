//! What takes credentials from every pod of green: a cluster that goes, or an agent that is broken.

use pod_identity_core::ClusterArn;
use pod_identity_engine::ports::{AGENT_ADDON, ClusterAccess};

use super::reason::Reason;
use crate::context::AdminContext;

/// What EKS tells for sure; two calls. What it does not tell keeps nobody from asking for the rest.
pub(super) async fn look(admin: &AdminContext<'_>, access: &ClusterAccess) -> Option<Reason> {
    let cluster = admin.before_deadline(admin.clusters.cluster(access)).await.ok().flatten();
    if cluster.as_ref().is_some_and(|cluster| cluster.auto_mode && cluster.status != "DELETING") {
        // Its nodes have the agent built in, whatever becomes of an add-on.
        return None;
    }
    let status = cluster.map(|cluster| cluster.status);
    let add_on = admin.before_deadline(admin.clusters.addon(access, AGENT_ADDON)).await;
    broken(&access.cluster, status.as_deref(), add_on.ok().flatten().as_deref())
}

/// Why no pod will get credentials, by the status of the cluster and of the agent's add-on. One that
/// is being made, or that failed, does not tell: another agent may run beside it.
fn broken(green: &ClusterArn, cluster: Option<&str>, add_on: Option<&str>) -> Option<Reason> {
    let name = green.name();
    match (cluster, add_on) {
        (Some("DELETING"), _) => Some(Reason::new(
            format!("cluster {name} is DELETING: nothing will work there"),
            "give another cluster as `to`",
        )),
        (_, Some(status @ "DELETING")) => Some(Reason::new(
            format!(
                "add-on {AGENT_ADDON} of cluster {name} is {status}: pods get no credentials without the agent"
            ),
            "look at the add-on's health issues in EKS, install it again, and ask again; associations may be made before it",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_a_cluster_that_goes_and_an_agent_that_cannot_run_break_everybody() {
        let green = ClusterArn::new("aws", "eu-west-1", "111122223333", "green").unwrap();
        for (cluster, add_on, named) in [
            (Some("ACTIVE"), Some("ACTIVE"), None),
            (Some("ACTIVE"), Some("DEGRADED"), None),
            (Some("ACTIVE"), Some("CREATING"), None),
            (Some("ACTIVE"), Some("UPDATE_FAILED"), None),
            (Some("CREATING"), None, None),
            (None, None, None),
            (Some("ACTIVE"), Some("CREATE_FAILED"), None),
            (None, Some("DELETING"), Some("add-on eks-pod-identity-agent of cluster green")),
            (Some("DELETING"), Some("ACTIVE"), Some("cluster green is DELETING")),
        ] {
            let words = broken(&green, cluster, add_on);
            assert_eq!(words.is_some(), named.is_some(), "{cluster:?} {add_on:?}");
            assert!(words.is_none_or(|words| words.why.contains(named.unwrap())));
        }
    }
}
