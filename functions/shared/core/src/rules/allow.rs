//! The allow-lists of the deployment.

use super::Rules;
use super::broken::BrokenRules;
use crate::{ClusterArn, Pattern, RoleArn};

impl Rules {
    pub(super) fn allow_role(&self, role: &RoleArn, broken: &mut BrokenRules) {
        if !self.lists_account(role) {
            broken.rule(format!(
                "role `{role}` is in account {}, where CLUSTERS has no cluster; EKS takes only roles \
                 of the cluster's own account",
                role.account()
            ));
        }
        allow("role", role.as_str(), "ROLES", &self.roles, broken);
    }

    pub(super) fn allow_target_role(&self, role: &RoleArn, broken: &mut BrokenRules) {
        allow("target role", role.as_str(), "TARGET_ROLES", &self.target_roles, broken);
    }

    pub(super) fn allow_namespace(&self, namespace: &str, broken: &mut BrokenRules) -> bool {
        let known = self.namespaces.iter().any(|known| known == namespace);
        if !known {
            let admitted = quoted(self.namespaces.iter().map(String::as_str));
            broken.rule(format!(
                "namespace `{namespace}` is not in NAMESPACES, which admits {admitted}"
            ));
        }
        known
    }

    pub(super) fn allow_cluster(&self, cluster: &ClusterArn, broken: &mut BrokenRules) {
        allow("cluster", cluster.as_str(), "CLUSTERS", &self.clusters, broken);
    }

    /// A cluster that a binding names.
    pub(super) fn allow_named_cluster(
        &self,
        cluster: &ClusterArn,
        role: Option<&RoleArn>,
        broken: &mut BrokenRules,
    ) {
        self.allow_cluster(cluster, broken);
        if let Some(role) = role
            && role.account() != cluster.account()
        {
            broken.rule(format!(
                "cluster `{cluster}` is in account {} and role `{role}` in account {}; EKS takes \
                 only roles of the cluster's own account",
                cluster.account(),
                role.account()
            ));
        }
    }

    pub(super) fn allow_node_role(
        &self,
        role: &RoleArn,
        cluster: Option<&ClusterArn>,
        broken: &mut BrokenRules,
    ) {
        same_account("node role", role, cluster, broken);
        allow("node role", role.as_str(), "NODE_ROLES", &self.node_roles, broken);
    }

    pub(super) fn allow_assume_role(
        &self,
        role: &RoleArn,
        cluster: Option<&ClusterArn>,
        broken: &mut BrokenRules,
    ) {
        same_account("role to assume", role, cluster, broken);
        allow("role to assume", role.as_str(), "ASSUME_ROLES", &self.assume_roles, broken);
    }

    /// Whether some cluster that `CLUSTERS` lists can be in the account of a role.
    fn lists_account(&self, role: &RoleArn) -> bool {
        self.clusters.iter().any(|pattern| {
            let parts: Vec<_> = pattern.as_str().split(':').collect();
            match parts[..] {
                // As many colons as a cluster's ARN has: no `*` can stand for one.
                [_, partition, _, _, account, _] => {
                    Pattern::new(partition).matches(role.partition())
                        && Pattern::new(account).matches(role.account())
                }
                // A `*` stands for several parts. The cluster itself is held to the whole pattern.
                _ => parts.len() < 6,
            }
        })
    }
}

fn allow(what: &str, value: &str, setting: &str, patterns: &[Pattern], broken: &mut BrokenRules) {
    if !patterns.iter().any(|pattern| pattern.matches(value)) {
        let admitted = quoted(patterns.iter().map(Pattern::as_str));
        broken.rule(format!("{what} `{value}` is not in {setting}, which admits {admitted}"));
    }
}

fn same_account(
    what: &str,
    role: &RoleArn,
    cluster: Option<&ClusterArn>,
    broken: &mut BrokenRules,
) {
    if let Some(cluster) = cluster
        && role.account() != cluster.account()
    {
        broken.rule(format!(
            "{what} `{role}` is in account {}, but cluster `{cluster}` in account {}",
            role.account(),
            cluster.account()
        ));
    }
}

fn quoted<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let values: Vec<_> = values.map(|value| format!("`{value}`")).collect();
    if values.is_empty() { "nothing".to_owned() } else { values.join(", ") }
}
