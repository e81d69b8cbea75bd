//! What a client asks before it asks for anything: versions, groups, resources.

use pod_identity_core::ClusterArn;
use serde_json::{Value, json};

use super::{ApiStatus, KubernetesCluster, Resource};
use crate::world::World;

impl World {
    /// Answers `/version`, `/api`, `/apis` and what is below them down to lists of resources; none
    /// for every other path.
    ///
    /// # Errors
    /// As [`World::ask_kubernetes`], when the cluster is not there or does not know the user.
    pub fn discover_kubernetes(
        &self,
        cluster: &ClusterArn,
        user: &str,
        segments: &[String],
    ) -> Result<Option<Value>, ApiStatus> {
        let api = self.kubernetes.get(cluster).filter(|api| api.settings.reachable);
        let api = api.ok_or_else(|| ApiStatus::unreachable(cluster.name()))?;
        api.authenticate(user)?;
        let version = self.eks.version(cluster);
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        Ok(api.discovery(&segments, version))
    }
}

impl KubernetesCluster {
    fn discovery(&self, segments: &[&str], version: &str) -> Option<Value> {
        match segments {
            ["version"] => {
                let (major, minor) = version.split_once('.').unwrap_or((version, ""));
                Some(json!({
                    "major": major,
                    "minor": minor,
                    "gitVersion": format!("v{version}.0-eks-0000000"),
                    "platform": "linux/amd64",
                }))
            }
            ["api"] => Some(json!({ "kind": "APIVersions", "versions": ["v1"] })),
            ["apis"] => {
                let groups: Vec<Value> = self.groups().map(group).collect();
                Some(json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }))
            }
            ["apis", name] => {
                let found = self.groups().find(|one| one.group() == *name)?;
                let mut found = group(found);
                found["kind"] = json!("APIGroup");
                found["apiVersion"] = json!("v1");
                Some(found)
            }
            ["api", version] => self.resources("", version),
            ["apis", group, version] => self.resources(group, version),
            _ => None,
        }
    }

    fn served(&self) -> impl Iterator<Item = Resource> {
        let has_mutations = self.settings.has_mutations;
        Resource::ALL.into_iter().filter(move |one| has_mutations || *one != Resource::Mutations)
    }

    /// One resource of each named group; no group has two here.
    fn groups(&self) -> impl Iterator<Item = Resource> {
        self.served().filter(|one| !one.group().is_empty())
    }

    fn resources(&self, group: &str, version: &str) -> Option<Value> {
        let of_group = self.served().filter(|one| one.group() == group && one.version() == version);
        let mut list = Vec::new();
        for resource in of_group {
            list.push(json!({
                "name": resource.plural(),
                "singularName": resource.kind().to_ascii_lowercase(),
                "namespaced": resource.is_namespaced(),
                "kind": resource.kind(),
                "shortNames": resource.short_names(),
                "verbs": ["create", "delete", "get", "list", "patch"],
            }));
            if resource == Resource::Pods {
                list.push(json!({
                    "name": "pods/eviction",
                    "singularName": "",
                    "namespaced": true,
                    "group": "policy",
                    "version": "v1",
                    "kind": "Eviction",
                    "verbs": ["create"],
                }));
            }
        }
        if list.is_empty() {
            return None;
        }
        let group_version =
            if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        Some(json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": group_version,
            "resources": list,
        }))
    }
}

fn group(resource: Resource) -> Value {
    let version = json!({ "groupVersion": resource.api_version(), "version": resource.version() });
    json!({ "name": resource.group(), "versions": [version], "preferredVersion": version })
}
