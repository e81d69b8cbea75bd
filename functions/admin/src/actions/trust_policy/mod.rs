//! The exact trust policy for the owner of a role. Nothing is written.

pub(super) mod document;
mod target;
mod words;

use std::collections::BTreeSet;

use pod_identity_core::{Binding, ClusterArn, Clusters, RoleArn};
use pod_identity_engine::ledger::Registry;
use serde::Deserialize;

use super::target::Hop;
use crate::answer::{Answer, Refusal};
use crate::context::AdminContext;
use crate::request::{Action, Request};
use document::{Needs, User};
use words::Rendered;

pub(super) const ACTION: Action = Action {
    name: "trust-policy",
    what: "the exact trust policy that a role, or a target role, needs for the bindings that name it, and what it lacks now; nothing is written",
    fields: &[("role", "ARN of the IAM role")],
    changes: false,
    example: include_str!("../../../../../events/samples/admin/trust-policy.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TrustPolicyParams {
    role: RoleArn,
}

pub(super) async fn answer(admin: &AdminContext<'_>, request: &Request) -> Result<Answer, Refusal> {
    let TrustPolicyParams { role } = request.fields()?;
    let registry = admin.registry().await?;
    let bindings = admin.bindings().await?;
    let bound: Vec<&Binding> = bindings.values().filter_map(|record| record.binding()).collect();
    let users = bound.iter().filter(|binding| binding.desired.role == role);
    let users = users.flat_map(|binding| users_of(binding, &registry)).collect();
    let hops = bound.iter().filter(|one| one.desired.target_role.as_ref() == Some(&role));
    let hops = hops
        .flat_map(|one| clusters(one, &registry).into_iter().map(|cluster| Hop::of(one, &cluster)))
        .collect();
    let needs = Needs { users, hops };
    if needs == Needs::default() {
        return Err(nobody(&role, &bound));
    }
    let present = admin.trust_policy(&registry, &role).await;
    Ok(match needs.users.is_empty() {
        true => target::answer(&role, &needs.hops, &present),
        false => Rendered { role: &role, needs: &needs, present }.answer(),
    })
}

/// A binding on every cluster that it is meant for, registered or not. The statements name no
/// cluster, but they are held to each.
fn users_of(binding: &Binding, registry: &Registry) -> BTreeSet<User> {
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

/// Not those that are being retired, or are: what is said for them would stay for good.
fn clusters(binding: &Binding, registry: &Registry) -> BTreeSet<ClusterArn> {
    let known = &registry.clusters;
    let taken = known.iter().filter(|(_, record)| record.takes(binding)).map(|(one, _)| one);
    match &binding.clusters {
        Clusters::All => taken.cloned().collect(),
        Clusters::Named(named) => {
            let coming = named.iter().filter(|one| !known.contains_key(*one));
            taken.chain(coming).cloned().collect()
        }
    }
}

fn nobody(role: &RoleArn, bound: &[&Binding]) -> Refusal {
    let names = bound
        .iter()
        .find(|one| one.desired.role == *role || one.desired.target_role.as_ref() == Some(role));
    match names {
        Some(binding) => Refusal(format!(
            "{} is bound to role {role}, or goes on to it, and no cluster that takes it is registered in account {}: register one (action clusters), then ask again",
            binding.service_account,
            binding.desired.role.account()
        )),
        None => Refusal(format!(
            "no binding names role {role}: bind a service account to it (action bind), or ask {{\"action\": \"who\", \"role\": \"{role}\"}} who can act as it"
        )),
    }
}
