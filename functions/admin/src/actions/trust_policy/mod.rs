//! The exact trust policy for the owner of a role. Nothing is written.

mod document;
mod words;

use std::collections::BTreeSet;

use pod_identity_core::{Binding, ClusterArn, Clusters, DominoName, RoleArn};
use pod_identity_engine::chain;
use pod_identity_engine::ledger::Registry;
use pod_identity_engine::ports::{Clock, KubernetesReader};
use serde::Deserialize;

use crate::answer::{Answer, Refusal};
use crate::desk::{Desk, Looks};
use crate::request::{Action, Request};
use document::User;
use words::Told;

pub(super) const ACTION: Action = Action {
    name: "trust-policy",
    what: "the exact trust policy that a role needs for the bindings that name it, and what it lacks now; nothing is written",
    fields: &[("role", "ARN of the IAM role")],
    changes: false,
    example: include_str!("../../../../../events/samples/admin/trust-policy.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Asked {
    role: RoleArn,
}

pub(super) async fn answer(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    request: &Request,
) -> Result<Answer, Refusal> {
    let Asked { role } = request.fields()?;
    let registry = desk.registry().await?;
    let bindings = desk.bindings().await?;
    let bound: Vec<&Binding> = bindings.values().filter_map(|record| record.binding()).collect();
    let users: BTreeSet<User> = bound
        .iter()
        .filter(|binding| binding.desired.role == role)
        .flat_map(|binding| users(binding, &registry))
        .collect();
    let through = bound.iter().filter(|one| one.desired.target_role.as_ref() == Some(&role));
    let through: Vec<String> = through.flat_map(|one| chained(one, &registry)).collect();
    if users.is_empty() {
        return Err(nobody(&role, &bound, &through));
    }
    let present = present(desk, &registry, &role).await;
    let told = Told { role: &role, users: &users, through: &through, present };
    Ok(told.answer())
}

/// A binding on every cluster that it is meant for, registered or not. The statements name no
/// cluster, but they are held to each.
fn users(binding: &Binding, registry: &Registry) -> BTreeSet<User> {
    clusters(binding, registry)
        .into_iter()
        .map(|cluster| User {
            name: binding.service_account.clone(),
            kubernetes: binding.kubernetes.clone(),
            cluster,
            session_tags: !binding.desired.disable_session_tags,
        })
        .collect()
}

fn clusters(binding: &Binding, registry: &Registry) -> BTreeSet<ClusterArn> {
    let registered = registry.clusters.keys().filter(|one| binding.selects(one)).cloned();
    match &binding.clusters {
        Clusters::All => registered.collect(),
        Clusters::Named(named) => registered.chain(named.iter().cloned()).collect(),
    }
}

/// What EKS asks a target role for, of each cluster.
fn chained(binding: &Binding, registry: &Registry) -> Vec<String> {
    let id = |cluster: &ClusterArn| {
        let (region, account, name) = (cluster.region(), cluster.account(), cluster.name());
        format!(
            "{} as {}, with sts:ExternalId {region}/{account}/{name}/{}",
            binding.service_account, binding.desired.role, binding.kubernetes
        )
    };
    clusters(binding, registry).iter().map(id).collect()
}

fn nobody(role: &RoleArn, bound: &[&Binding], through: &[String]) -> Refusal {
    if !through.is_empty() {
        return Refusal(format!(
            "{role} is only a target role: not EKS assumes it, but the role of the binding. Its trust policy has to allow sts:AssumeRole (and sts:TagSession) to that role's ARN with these external ids, which name the cluster, one each:\n  {}\n",
            through.join("\n  ")
        ));
    }
    let names: BTreeSet<&DominoName> = bound
        .iter()
        .filter(|one| one.desired.role == *role)
        .map(|one| &one.service_account)
        .collect();
    match names.first() {
        Some(name) => Refusal(format!(
            "{name} is bound to role {role}, and no cluster is registered in account {}: register one (action clusters), then ask again",
            role.account()
        )),
        None => Refusal(format!(
            "no binding names role {role}: bind a service account to it (action bind), or ask {{\"action\": \"who\", \"role\": \"{role}\"}} who can act as it"
        )),
    }
}

/// The role's trust policy now: none when there is no such role, an error when nobody can say.
async fn present(
    desk: &Desk<'_, impl Looks, impl KubernetesReader, impl Clock>,
    registry: &Registry,
    role: &RoleArn,
) -> Result<Option<String>, String> {
    let of_account = |cluster: &&ClusterArn| cluster.account() == role.account();
    let Some(cluster) = registry.clusters.keys().find(of_account) else {
        return Err(format!("no cluster is registered in account {}", role.account()));
    };
    let access = desk.access(registry, cluster);
    let found = desk.reader.role(&access, role).await.map_err(|error| chain(&error))?;
    // Names are unique in an account, so GetRole finds a role by another path.
    Ok(found.filter(|found| found.arn == role.as_str()).map(|found| found.trust_policy))
}
