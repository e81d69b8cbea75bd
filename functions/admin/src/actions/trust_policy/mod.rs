//! The exact trust policy for the owner of a role. Nothing is written.

pub(super) mod document;
mod target;
mod words;

use std::collections::BTreeSet;

use pod_identity_core::{Binding, ClusterArn, Clusters, DominoName, RoleArn};
use pod_identity_engine::ledger::Registry;
use pod_identity_engine::ports::{Clock, KubernetesReader};
use serde::Deserialize;

use super::target::Hop;
use crate::answer::{Answer, Refusal};
use crate::desk::{Desk, Looks};
use crate::request::{Action, Request};
use document::User;
use words::Told;

pub(super) const ACTION: Action = Action {
    name: "trust-policy",
    what: "the exact trust policy that a role, or a target role, needs for the bindings that name it, and what it lacks now; nothing is written",
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
    let hops: BTreeSet<Hop> = bound
        .iter()
        .filter(|binding| binding.desired.target_role.as_ref() == Some(&role))
        .flat_map(|one| clusters(one, &registry).into_iter().map(|cluster| Hop::of(one, &cluster)))
        .collect();
    if users.is_empty() && hops.is_empty() {
        return Err(nobody(&role, &bound));
    }
    let present = desk.trust_policy(&registry, &role).await;
    Ok(match users.is_empty() {
        true => target::answer(&role, &hops, &present),
        false => Told { role: &role, users: &users, hops: &hops, present }.answer(),
    })
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

fn nobody(role: &RoleArn, bound: &[&Binding]) -> Refusal {
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
