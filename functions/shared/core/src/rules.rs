//! The rules that an incoming event, or a stored binding, has to keep.
//!
//! Every broken rule is named, not only the first, with the value that broke
//! it and the setting that would admit it.

mod account;
mod allow;
mod broken;
mod header;
mod session;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::Timestamp;
use pod_identity_events::{
    ClusterRegistered, ClusterRetired, ClusterSelection, Envelope, Incoming, RemovalReason,
    ServiceAccountRoleAssigned,
};

use crate::{
    Binding, Change, ClusterArn, Clusters, Command, Desired, DominoName, Pattern, Registration,
    RoleArn, ServiceAccountRef, plain,
};
use broken::BrokenRules;
pub use header::MAX_MINUTES_AHEAD;

/// What this deployment admits. The setting of each list is in upper case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Region of clusters that an event names without an ARN.
    pub region: String,
    /// `CLUSTERS`: ARNs of the clusters that may be registered and named.
    pub clusters: Vec<Pattern>,
    /// `ROLES`: ARNs of the roles that service accounts may work as.
    pub roles: Vec<Pattern>,
    /// `TARGET_ROLES`: ARNs of the roles that EKS may assume from there; empty for none.
    pub target_roles: Vec<Pattern>,
    /// `NAMESPACES`: Kubernetes namespaces; the first is meant when an event names none.
    pub namespaces: Vec<String>,
    /// `NODE_ROLES`: ARNs of the node roles that a cluster may be registered with.
    pub node_roles: Vec<Pattern>,
    /// `ASSUME_ROLES`: ARNs of the roles that a cluster may be registered to be reached through;
    /// empty for none.
    pub assume_roles: Vec<Pattern>,
    /// `SERVICE_ACCOUNT_NAME`: the Kubernetes service account when an event names none, with
    /// `{name}` for the Domino name.
    pub service_account_template: String,
}

impl Rules {
    /// Reads an incoming event and holds it to every rule.
    ///
    /// # Errors
    /// Every broken rule in words, one line each: the rule and the value that broke it.
    pub fn validate(&self, envelope: &Envelope, now: Timestamp) -> Result<Command, Vec<String>> {
        let mut broken = BrokenRules::default();
        let incoming = Incoming::parse(envelope)
            .map_err(|error| BrokenRules::only(&error.to_string()).into_lines())?;
        let version = header::version(&incoming, now, &mut broken);
        header::remark("actor", incoming.actor(), &mut broken);
        header::remark("reason", incoming.reason(), &mut broken);
        let change = match &incoming {
            Incoming::Assigned(event) => self.bind(event, &mut broken).map(Change::Bind),
            Incoming::Unassigned(event) => {
                unbind(&event.service_account, RemovalReason::Unassigned, &mut broken)
            }
            Incoming::Deactivated(event) => {
                unbind(&event.service_account, RemovalReason::Deactivated, &mut broken)
            }
            Incoming::Registered(event) => self.register(event, &mut broken).map(Change::Register),
            Incoming::Retired(event) => self.retire(event, &mut broken),
        };
        match (version, change) {
            (Some(version), Some(change)) if broken.is_empty() => Ok(Command {
                version,
                detail_type: envelope.detail_type.clone(),
                actor: incoming.actor().map(plain),
                reason: incoming.reason().map(plain),
                change,
            }),
            _ => Err(broken.into_lines()),
        }
    }

    /// Holds a stored binding to the rules. The allow-lists may have changed since it was accepted,
    /// and a rule may be new.
    ///
    /// # Errors
    /// Every broken rule in words, one line each.
    pub fn admits(&self, binding: &Binding) -> Result<(), Vec<String>> {
        let mut broken = BrokenRules::default();
        self.allow_namespace(binding.kubernetes.namespace(), &mut broken);
        account::dedicated(&binding.kubernetes, &mut broken);
        self.allow_role(&binding.desired.role, &mut broken);
        if let Some(target) = &binding.desired.target_role {
            self.allow_target_role(target, &mut broken);
        }
        if let Clusters::Named(clusters) = &binding.clusters {
            for cluster in clusters {
                self.allow_named_cluster(cluster, Some(&binding.desired.role), &mut broken);
            }
        }
        broken.none()
    }

    /// Holds a stored registration to the allow-lists, which may have changed since it was
    /// accepted.
    ///
    /// # Errors
    /// Every broken rule in words, one line each.
    pub fn admits_registration(&self, registration: &Registration) -> Result<(), Vec<String>> {
        let mut broken = BrokenRules::default();
        let cluster = &registration.cluster;
        self.allow_cluster(cluster, &mut broken);
        for role in &registration.node_roles {
            self.allow_node_role(role, Some(cluster), &mut broken);
        }
        if let Some(role) = &registration.assume_role {
            self.allow_assume_role(role, Some(cluster), &mut broken);
        }
        broken.none()
    }

    fn bind(
        &self,
        event: &ServiceAccountRoleAssigned,
        broken: &mut BrokenRules,
    ) -> Option<Binding> {
        let service_account = broken.keep("detail.serviceAccount", event.service_account.parse());
        let kubernetes = self.kubernetes(event, service_account.as_ref(), broken);
        if let Some(account) = &kubernetes {
            account::dedicated(account, broken);
        }
        let role: Option<RoleArn> = broken.keep("detail.roleArn", event.role_arn.parse());
        if let Some(role) = &role {
            self.allow_role(role, broken);
        }
        let target_role = event
            .target_role_arn
            .as_deref()
            .and_then(|target| broken.keep("detail.targetRoleArn", target.parse()));
        if let Some(target) = &target_role {
            self.allow_target_role(target, broken);
        }
        session::policy(event, broken);
        let clusters = self.selection(&event.clusters, role.as_ref(), broken);
        Some(Binding {
            service_account: service_account?,
            kubernetes: kubernetes?,
            desired: Desired {
                role: role?,
                target_role,
                disable_session_tags: event.disable_session_tags,
                session_policy: event.session_policy.clone(),
            },
            clusters,
        })
    }

    /// The Kubernetes service account that a service account has by the deployment's defaults.
    #[must_use]
    pub fn place_of(&self, name: &DominoName) -> Option<ServiceAccountRef> {
        ServiceAccountRef::new(self.namespaces.first()?, &self.service_account_of(name)).ok()
    }

    /// What the deployment calls the Kubernetes service account of a Domino one.
    fn service_account_of(&self, name: &DominoName) -> String {
        self.service_account_template.replace("{name}", name.as_str())
    }

    fn kubernetes(
        &self,
        event: &ServiceAccountRoleAssigned,
        domino: Option<&DominoName>,
        broken: &mut BrokenRules,
    ) -> Option<ServiceAccountRef> {
        let given = event.kubernetes.clone().unwrap_or_default();
        let namespace =
            given.namespace.or_else(|| self.namespaces.first().cloned()).unwrap_or_default();
        // The name is judged even beside a namespace that is refused.
        let place = if self.allow_namespace(&namespace, broken) { &namespace } else { "default" };
        if let Some(name) = given.service_account {
            return broken
                .keep("detail.kubernetes.serviceAccount", ServiceAccountRef::new(place, &name));
        }
        let domino = domino?;
        let template = &self.service_account_template;
        match ServiceAccountRef::new(place, &self.service_account_of(domino)) {
            Ok(name) => Some(name),
            Err(error) => {
                broken.rule(format!(
                    "detail.serviceAccount `{domino}` gives no Kubernetes service account by SERVICE_ACCOUNT_NAME \
                     `{template}`: {error}; name one in detail.kubernetes.serviceAccount"
                ));
                None
            }
        }
    }

    fn selection(
        &self,
        selection: &ClusterSelection,
        role: Option<&RoleArn>,
        broken: &mut BrokenRules,
    ) -> Clusters {
        let ClusterSelection::Named(names) = selection else {
            return Clusters::All;
        };
        if names.is_empty() {
            broken.rule("detail.clusters is an empty list; it must be `all` or name a cluster");
        }
        let mut clusters = BTreeSet::new();
        for name in names {
            let cluster = match role {
                _ if name.contains(':') => name.parse(),
                Some(role) => ClusterArn::new(role.partition(), &self.region, role.account(), name),
                // A bare name means nothing without the role, which is refused already.
                None => continue,
            };
            if let Some(cluster) = broken.keep("detail.clusters", cluster) {
                self.allow_named_cluster(&cluster, role, broken);
                clusters.insert(cluster);
            }
        }
        Clusters::Named(clusters)
    }

    fn register(
        &self,
        event: &ClusterRegistered,
        broken: &mut BrokenRules,
    ) -> Option<Registration> {
        let cluster = broken.keep("detail.clusterArn", event.cluster_arn.parse::<ClusterArn>());
        if let Some(cluster) = &cluster {
            self.allow_cluster(cluster, broken);
        }
        let mut node_roles = BTreeSet::new();
        for role in &event.node_role_arns {
            if let Some(role) = broken.keep("detail.nodeRoleArns", role.parse()) {
                self.allow_node_role(&role, cluster.as_ref(), broken);
                node_roles.insert(role);
            }
        }
        let assume_role = event
            .assume_role_arn
            .as_deref()
            .and_then(|role| broken.keep("detail.assumeRoleArn", role.parse()));
        if let Some(role) = &assume_role {
            self.allow_assume_role(role, cluster.as_ref(), broken);
        }
        Some(Registration { cluster: cluster?, node_roles, assume_role })
    }

    fn retire(&self, event: &ClusterRetired, broken: &mut BrokenRules) -> Option<Change> {
        let cluster = broken.keep("detail.clusterArn", event.cluster_arn.parse::<ClusterArn>());
        if let Some(cluster) = &cluster {
            self.allow_cluster(cluster, broken);
        }
        let exemptions = broken
            .keep("detail.exemptServiceAccounts", event.exempt_service_accounts.clone().try_into());
        Some(Change::Retire { cluster: cluster?, exemptions: exemptions? })
    }
}

/// Taking a role away is held to no allow-list: it must work whatever the lists say by now.
fn unbind(
    service_account: &str,
    reason: RemovalReason,
    broken: &mut BrokenRules,
) -> Option<Change> {
    let service_account = broken.keep("detail.serviceAccount", service_account.parse())?;
    Some(Change::Unbind { service_account, reason })
}
