//! What a cluster needs for Pod Identity, and for looking inside it.

#[cfg(test)]
mod tests;

use pod_identity_core::ClusterArn;

use super::Inside;
use crate::error::chain;
use crate::ledger::Missing;
use crate::ports::{AGENT_ADDON, ClusterDescription, ErrorKind, PortError};

/// Whether there was a way into the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ApiAccess {
    /// There was, or nobody tried.
    #[default]
    Open,
    /// It answered, and does not know the caller.
    Closed,
    /// No connection could be made.
    Unreachable,
}

/// What EKS tells of a cluster.
#[derive(Debug)]
pub(super) struct EksFacts {
    cluster: ClusterArn,
    description: Described<Option<ClusterDescription>>,
    /// Status of the agent's add-on.
    agent: Described<Option<String>>,
    /// What could not be asked for a passing reason.
    pub(super) failures: Vec<String>,
}

#[derive(Debug)]
enum Described<T> {
    Known(T),
    /// EKS refuses to tell, with its words.
    Denied(String),
    Unknown,
}

/// Asks EKS: two calls.
pub(super) async fn ask(context: &Inside<'_>) -> EksFacts {
    let (clusters, access) = (context.clusters, context.access);
    let mut failures = Vec::new();
    let description = answer(clusters.cluster(access).await, &mut failures);
    let agent = answer(clusters.addon(access, AGENT_ADDON).await, &mut failures);
    EksFacts { cluster: access.cluster.clone(), description, agent, failures }
}

fn answer<T>(result: Result<T, PortError>, failures: &mut Vec<String>) -> Described<T> {
    match result {
        Ok(known) => Described::Known(known),
        Err(error) if error.kind == ErrorKind::Denied => Described::Denied(chain(&error)),
        Err(error) => {
            failures.push(chain(&error));
            Described::Unknown
        }
    }
}

impl EksFacts {
    /// What the cluster lacks.
    pub(super) fn missing(&self, api_access: ApiAccess) -> Vec<Missing> {
        let name = self.cluster.name();
        let mut missing = Vec::new();
        match &self.description {
            Described::Known(None) => {
                // It has no add-ons either.
                return vec![lack(
                    format!("EKS does not know cluster {name}"),
                    "correct its registration, or retire it (Cluster Retired)",
                )];
            }
            Described::Known(Some(description)) => {
                missing.extend(status(name, description));
                missing.extend(entrance(name, description, api_access));
            }
            Described::Denied(why) => missing.push(denied(why, "eks:DescribeCluster")),
            Described::Unknown => {}
        }
        let built_in = matches!(&self.description, Described::Known(Some(one)) if one.auto_mode);
        match &self.agent {
            // What does not run on the nodes of Auto Mode needs the add-on still, which is rare.
            Described::Known(None) if built_in => {}
            Described::Known(status) => missing.extend(agent(name, status.as_deref())),
            Described::Denied(why) => missing.push(denied(why, "eks:DescribeAddon")),
            Described::Unknown => {}
        }
        missing
    }
}

fn lack(reason: String, remediation: &str) -> Missing {
    Missing { reason, remediation: remediation.to_owned() }
}

fn denied(why: &str, permission: &str) -> Missing {
    lack(
        format!("{why}, so it is not known whether something is missing there"),
        &format!(
            "allow the function's role {permission}, or the role that it assumes for this cluster"
        ),
    )
}

/// A cluster that is being updated works.
fn status(name: &str, description: &ClusterDescription) -> Option<Missing> {
    let status = description.status.as_str();
    let remediation = match status {
        "ACTIVE" | "UPDATING" => return None,
        "CREATING" | "PENDING" => "wait until it is ACTIVE; the next run looks again",
        "DELETING" => "retire it (Cluster Retired)",
        _ => "look at the cluster's health in EKS",
    };
    Some(lack(format!("cluster {name} is {status}"), remediation))
}

/// What explains that there was no way in. Where there was one, nothing is missing.
fn entrance(
    name: &str,
    description: &ClusterDescription,
    api_access: ApiAccess,
) -> Option<Missing> {
    let knows_no_entries = description.authentication_mode.as_deref() == Some("CONFIG_MAP");
    match api_access {
        ApiAccess::Unreachable if !description.public_endpoint => Some(lack(
            format!("the Kubernetes API of cluster {name} has a private endpoint only"),
            "put the function into the cluster's VPC, with a security group that the cluster's own admits on port 443, or into a network that leads there",
        )),
        ApiAccess::Closed if knows_no_entries => Some(lack(
            format!(
                "cluster {name} has the authentication mode CONFIG_MAP, in which access entries do not work"
            ),
            "list the function's role, or the one that it assumes, in the aws-auth ConfigMap of kube-system, or change the mode to API_AND_CONFIG_MAP, which EKS does not take back",
        )),
        _ => None,
    }
}

fn agent(name: &str, status: Option<&str>) -> Option<Missing> {
    match status {
        None => Some(lack(
            format!(
                "cluster {name} has no EKS add-on {AGENT_ADDON}: pods get no credentials without the agent"
            ),
            "install the add-on, unless the agent was installed there in another way",
        )),
        Some("ACTIVE" | "UPDATING") => None,
        Some(status) => Some(lack(
            format!(
                "add-on {AGENT_ADDON} of cluster {name} is {status}: pods may get no credentials"
            ),
            "look at the add-on's health issues in EKS, and update it or install it again",
        )),
    }
}
