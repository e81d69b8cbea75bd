//! What is to be said of a migration as a whole, beside the verdicts on bindings.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::plan::AssociationStep;
use pod_identity_core::{ClusterArn, Clusters, DominoName, RoleArn, node_policy};
use pod_identity_engine::ledger::BindingRecord;

use super::look::BothClusters;
use super::reason::Reason;
use crate::node_policies::NodePolicyView;

/// EKS's quota, which is not adjustable.
const ASSOCIATIONS_PER_CLUSTER: usize = 5_000;

/// What the node policies of green would have to list.
pub(super) struct Listing {
    /// How many roles they do not list yet.
    needed: usize,
    /// Those for which they have no room.
    pub(super) unplaced: BTreeSet<RoleArn>,
}

/// The sum over all parts of the preview, each of which is planned from the policies as they are now.
/// None when it is not known.
pub(super) fn listing(seen: &BothClusters) -> Option<Listing> {
    let (done, policies) = (seen.preview.as_ref().ok()?, seen.node_policies.as_ref().ok()?);
    let shards = policies.iter().flat_map(NodePolicyView::shards).collect::<Vec<_>>();
    let most = done.plans.iter().map(|plan| plan.capacity.max_policies).max()?;
    let bound = done.plans.iter().flat_map(|plan| &plan.places).flat_map(|place| &place.bound);
    let binding = |name| seen.bindings.get(name).and_then(BindingRecord::binding);
    let listed: BTreeSet<&RoleArn> = shards.iter().flat_map(|shard| &shard.roles).collect();
    let wanted: BTreeSet<RoleArn> = bound
        .filter_map(|one| binding(&one.service_account))
        .map(|binding| &binding.desired.role)
        .filter(|role| !listed.contains(role))
        .cloned()
        .collect();
    let statement = seen.cluster_statement.then_some(&seen.green);
    let unplaced = node_policy::extend(&shards, &wanted, statement, most, 1).unplaced;
    Some(Listing { needed: wanted.len(), unplaced })
}

/// Who would be made an association beyond those that EKS takes, and what is to be said of it. They
/// are made in the order of the plans.
pub(super) fn over_quota(seen: &BothClusters) -> Option<(BTreeSet<&DominoName>, Reason)> {
    let (done, there) = (seen.preview.as_ref().ok()?, *seen.on_green_now.as_ref().ok()?);
    let places = done.plans.iter().flat_map(|plan| &plan.places);
    let made: Vec<_> =
        places.filter(|place| place.step.as_ref().is_some_and(step_creates)).collect();
    let all = there + made.len();
    if all <= ASSOCIATIONS_PER_CLUSTER {
        return None;
    }
    let room = ASSOCIATIONS_PER_CLUSTER.saturating_sub(there);
    let beyond = made.iter().skip(room).filter_map(|place| place.bound.as_ref());
    let words = Reason::new(
        format!(
            "cluster {} would have {all} associations: {there} are there and {} would be made, and EKS takes {ASSOCIATIONS_PER_CLUSTER}",
            seen.green.name(),
            made.len()
        ),
        "the quota is not adjustable: take associations that nobody needs off that cluster, or bind fewer service accounts there",
    );
    Some((beyond.map(|bound| &bound.service_account).collect(), words))
}

/// What stands in the way of green as a whole, or should be looked at.
pub(super) fn findings(seen: &BothClusters) -> Vec<Reason> {
    let mut findings = Vec::new();
    let green = seen.green.name();
    if let Ok(done) = &seen.preview {
        findings.extend(quota(seen, done.skipped.as_deref()));
        if let Some(Listing { needed, unplaced }) =
            listing(seen).filter(|it| !it.unplaced.is_empty())
        {
            findings.push(Reason::new(
                format!(
                    "the node policies of cluster {green} would have to list {needed} more roles, and have no room for {} of them",
                    unplaced.len()
                ),
                "raise IAM's quota of managed policies attached to a role and NODE_ROLE_POLICY_SLOTS with it, or detach policies from the node roles",
            ));
        }
        if let Err(why) = &seen.node_policies {
            let why = format!("the node policies of cluster {green} are not known: {why}");
            findings.push(Reason::new(why, "ask again"));
        }
        let warnings: BTreeSet<&String> =
            done.plans.iter().flat_map(|plan| &plan.warnings).collect();
        findings.extend(warnings.into_iter().map(|warning| Reason::new(warning, "")));
        if done.left.is_some() {
            findings.push(Reason::new(
                "the invocation's time was over before all of it was looked at",
                "raise the function's time-out and ask again",
            ));
        }
    }
    findings.extend(seen.inside.words.iter().cloned());
    findings
}

/// Whether EKS would take so many more associations.
fn quota(seen: &BothClusters, skipped: Option<&str>) -> Option<Reason> {
    match &seen.on_green_now {
        Ok(_) => over_quota(seen).map(|(_, words)| words),
        // A cluster that nobody can list says so in each verdict.
        Err(_) if skipped.is_some() => None,
        Err(why) => Some(Reason::new(
            format!("how many associations cluster {} has is not known: {why}", seen.green.name()),
            "ask again",
        )),
    }
}

fn step_creates(step: &AssociationStep) -> bool {
    matches!(step, AssociationStep::CreateAssociation { .. })
}

/// Bindings that work on blue and are not meant for green.
pub(super) fn staying(seen: &BothClusters) -> BTreeMap<DominoName, Reason> {
    let (blue, green) = (&seen.blue, &seen.green);
    let of = |(name, record): (&DominoName, &BindingRecord)| {
        let binding = record.binding()?;
        if !binding.selects(blue) || binding.selects(green) {
            return None;
        }
        let words = match &binding.clusters {
            Clusters::Named(named) => {
                let all: Vec<&str> = named.iter().chain([green]).map(ClusterArn::as_str).collect();
                let names: Vec<&str> = named.iter().map(ClusterArn::name).collect();
                Reason::new(
                    format!("is bound for {} by name", names.join(", ")),
                    format!("bind it with clusters [{}], or `all`", all.join(", ")),
                )
            }
            Clusters::All => Reason::new(
                format!(
                    "works as a role of account {}, and cluster {} is in {}",
                    binding.desired.role.account(),
                    green.name(),
                    green.account()
                ),
                "bind it to a role of that account",
            ),
        };
        Some((name.clone(), words))
    };
    seen.bindings.iter().filter_map(of).collect()
}
