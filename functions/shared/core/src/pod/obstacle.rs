//! What can keep a pod from working as its association says although EKS injected into it.

use std::collections::BTreeSet;
use std::fmt;

use super::object::{Container, PodObject};

/// Label that EKS puts on pods that run on Fargate.
const FARGATE_LABEL: &str = "eks.amazonaws.com/fargate-profile";
/// Node labels, and what they are set to, by which pods choose Windows.
const OS_LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];
const WINDOWS: &str = "windows";
/// Variables that lead AWS SDKs to profiles, which come before what EKS gives.
const PROFILES: [&str; 4] =
    ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];
/// The agent's addresses; a proxy must not get what is for them.
const AGENT_HOSTS: [&str; 2] = ["169.254.170.23", "fd00:ec2::23"];

/// Something in a pod that can keep it from its credentials, or hide them.
/// <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html> and
/// <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-considerations.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// It runs on Fargate, where there is no agent.
    Fargate,
    /// It asks for a Windows node, where there is no agent.
    Windows,
    /// A container has `HTTP_PROXY`, and its `NO_PROXY` does not leave the agent out.
    Proxy,
    /// A container has a variable that names a profile or a file with profiles.
    Profile,
}

impl Obstacle {
    /// Whether a pod with it gets nothing for sure.
    #[must_use]
    pub fn is_sure(self) -> bool {
        matches!(self, Self::Fargate | Self::Windows)
    }

    /// What a person can do about it.
    #[must_use]
    pub fn remediation(self) -> &'static str {
        match self {
            Self::Fargate | Self::Windows => {
                "run it on a Linux node of EC2, or give its role by IRSA"
            }
            Self::Proxy => {
                "add 169.254.170.23 and [fd00:ec2::23] to NO_PROXY and no_proxy, and start it again"
            }
            Self::Profile => {
                "see in the pod whether that profile has credentials (aws sts get-caller-identity), and take the variable out if so"
            }
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fargate => "it runs on Fargate, where there is no EKS Pod Identity agent",
            Self::Windows => "it asks for a Windows node, where there is no EKS Pod Identity agent",
            Self::Proxy => {
                "a container has HTTP_PROXY, and NO_PROXY does not leave out the agent's address 169.254.170.23: its requests for credentials may go to the proxy"
            }
            Self::Profile => {
                "a container has a variable that names a profile of AWS, whose credentials SDKs may take first"
            }
        })
    }
}

impl PodObject {
    /// What is seen in it.
    pub(super) fn obstacles(&self) -> BTreeSet<Obstacle> {
        let Self { metadata, spec, .. } = self;
        let containers = || spec.init_containers.iter().chain(&spec.containers);
        let os = spec.os.as_ref().map(|os| os.name.as_str());
        let selected = OS_LABELS.iter().filter_map(|label| spec.node_selector.get(*label));
        let windows = selected.map(String::as_str).chain(os).any(|os| os == WINDOWS);
        let seen = [
            (Obstacle::Fargate, metadata.labels.contains_key(FARGATE_LABEL)),
            (Obstacle::Windows, windows),
            (Obstacle::Proxy, containers().any(proxied)),
            (Obstacle::Profile, containers().any(|one| PROFILES.iter().any(|it| one.has(it)))),
        ];
        seen.into_iter().filter(|(_, seen)| *seen).map(|(obstacle, _)| obstacle).collect()
    }
}

/// Whether a container's requests to the agent may go to a proxy. The agent is asked by `http`.
fn proxied(container: &Container) -> bool {
    let has = |names: [&str; 2]| names.iter().any(|name| container.has(name));
    // What comes from somewhere else may say anything.
    let unknown = |name: &&str| container.has(name) && container.value(name).is_none();
    let leaves_out = |text: &str| {
        let whole = text.split(',').any(|one| ["*", "169.254.0.0/16"].contains(&one.trim()));
        whole || AGENT_HOSTS.iter().any(|host| text.contains(host))
    };
    let exceptions = ["NO_PROXY", "no_proxy"];
    has(["HTTP_PROXY", "http_proxy"])
        && !exceptions.iter().any(unknown)
        && !exceptions.iter().filter_map(|name| container.value(name)).any(leaves_out)
}
