//! The ledger and the embedded AWS as tables.

use std::collections::BTreeMap;

use pod_identity_core::node_policy::{self, MAX_POLICY_CHARACTERS};
use pod_identity_core::{Association, ClusterArn, Clusters, Pod, RoleArn};
use pod_identity_engine::ledger::{
    BindingRecord, BindingState, Condition, ConditionState, Registry, bindings_partition,
    condition_prefix, registry_key,
};
use pod_identity_engine::ports::Item;
use pod_identity_world::{Resource, World};
use serde::de::DeserializeOwned;

use super::{removal_words, roles, short};
use crate::function::access_key;
use crate::scene::{CLUSTERS, DEPLOYMENT, cluster};
use crate::table::table;

/// Bindings, conditions and clusters, as the ledger has them.
pub(crate) fn ledger(items: &[Item]) -> String {
    format!(
        "Clusters\n{}\nBindings\n{}\nConditions\n{}",
        clusters(items),
        bindings(items),
        conditions(items)
    )
}

/// Associations and node role policies, as EKS and IAM have them.
pub(crate) fn aws(world: &World) -> String {
    format!(
        "Associations in EKS\n{}\nNode role policies in IAM\n{}",
        associations(world),
        policies(world)
    )
}

/// How often a function called each operation. A probe for what does not
/// exist yet is among those not found.
pub(crate) fn calls(world: &World, function: &str) -> String {
    let caller = access_key(function);
    let mut counts: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for call in world.calls.iter().filter(|call| call.caller == caller) {
        let count = counts.entry((&call.service, &call.operation)).or_default();
        count.0 += 1;
        count.1 += usize::from(call.error.is_some());
    }
    let rows: Vec<_> = counts
        .iter()
        .map(|((service, operation), (count, errors))| {
            let errors = if *errors == 0 { String::new() } else { errors.to_string() };
            [(*service).to_owned(), (*operation).to_owned(), count.to_string(), errors]
        })
        .collect();
    format!(
        "Calls to AWS by the {function} function\n{}",
        table(["service", "operation", "calls", "not found or refused"], &rows)
    )
}

/// Domino's pods on a cluster, and whether they were given credentials.
pub(crate) fn pods(world: &mut World, cluster: &ClusterArn) -> String {
    let Some(api) = world.kubernetes(cluster) else { return String::new() };
    let objects = api.all(Resource::Pods, "domino-compute");
    let pods = objects.filter_map(|pod| serde_json::from_value::<Pod>(pod.clone()).ok());
    let rows: Vec<_> = pods
        .map(|pod| {
            let label = |name: &str| pod.labels.get(&format!("dominodatalab.com/{name}")).cloned();
            let credentials = if pod.credentials.pod_identity { "Pod Identity" } else { "none" };
            let owner = pod.owner.map_or_else(|| "none".to_owned(), |owner| owner.kind);
            let state = if pod.terminating { "terminating" } else { "running" };
            [
                pod.name,
                label("starting-user-username").unwrap_or_default(),
                pod.service_account,
                label("workload-type").unwrap_or_default(),
                owner,
                credentials.to_owned(),
                state.to_owned(),
            ]
        })
        .collect();
    let columns =
        ["pod", "started by", "service account", "workload", "owner", "credentials", "state"];
    table(columns, &rows)
}

fn read<T: DeserializeOwned>(item: &Item) -> Option<T> {
    T::deserialize(&item.body).ok()
}

fn clusters(items: &[Item]) -> String {
    let registry = items.iter().find(|item| item.key == registry_key());
    let registry: Registry = registry.and_then(read).unwrap_or_default();
    let rows: Vec<_> = registry
        .clusters
        .iter()
        .map(|(arn, record)| {
            let roles = record.registration.node_roles.iter().map(RoleArn::name);
            let roles = roles.collect::<Vec<_>>().join(", ");
            let roles =
                if roles.is_empty() { "those of its node groups".to_owned() } else { roles };
            let state = match &record.retired {
                None => "registered",
                Some(retirement) if retirement.drained_at.is_some() => "retired",
                Some(retirement) if retirement.begun_at.is_some() => "being retired",
                Some(_) => "retirement asked for",
            };
            [arn.name().to_owned(), state.to_owned(), roles]
        })
        .collect();
    table(["cluster", "state", "node roles"], &rows)
}

fn bindings(items: &[Item]) -> String {
    let of = |item: &Item| {
        let name = Some(&item.key.sort).filter(|_| item.key.partition == bindings_partition())?;
        let record: BindingRecord = read(item)?;
        let since = record.version.occurred_at().to_string();
        Some(match record.state {
            BindingState::Bound { binding } => {
                let desired = &binding.desired;
                let target = desired.target_role.as_ref().map(RoleArn::as_str);
                let role = roles(desired.role.as_str(), target);
                let clusters = match &binding.clusters {
                    Clusters::All => "all".to_owned(),
                    Clusters::Named(named) => {
                        named.iter().map(|arn| arn.name()).collect::<Vec<_>>().join(", ")
                    }
                };
                [name.clone(), binding.kubernetes.to_string(), role, clusters, since]
            }
            BindingState::Unbound { reason } => {
                let none = format!("none, {}", removal_words(reason));
                [name.clone(), String::new(), none, String::new(), since]
            }
        })
    };
    let rows: Vec<_> = items.iter().filter_map(of).collect();
    table(["service account", "Kubernetes", "role", "clusters", "since"], &rows)
}

fn conditions(items: &[Item]) -> String {
    let of = |item: &Item| {
        item.key.sort.strip_prefix(condition_prefix())?;
        let condition: Condition = read(item)?;
        let state = match condition.state {
            ConditionState::Pending => "pending",
            ConditionState::Waiting => "waiting",
            ConditionState::Ready => "ready",
            ConditionState::Removed => "removed",
            ConditionState::Blocked => "blocked",
        };
        let why = match (&condition.blocked, condition.warnings.first()) {
            (Some(blocked), _) => blocked.message(),
            (None, Some(warning)) => format!("warning: {warning}"),
            (None, None) => String::new(),
        };
        Some([
            condition.service_account.to_string(),
            condition.cluster.name().to_owned(),
            state.to_owned(),
            condition.association.map(|association| association.id).unwrap_or_default(),
            why,
        ])
    };
    let rows: Vec<_> = items.iter().filter_map(of).collect();
    table(["service account", "cluster", "condition", "association", "why"], &rows)
}

fn associations(world: &World) -> String {
    let mut rows = Vec::new();
    for cluster in world.eks.cluster_arns() {
        let mut associations = world.eks.associations(cluster);
        associations.sort_by_key(|a| (&a.namespace, &a.service_account));
        rows.extend(associations.into_iter().map(|association| {
            [
                cluster.name().to_owned(),
                format!("{}/{}", association.namespace, association.service_account),
                short(&association.role_arn).to_owned(),
                association.id.clone(),
                whose(association).to_owned(),
            ]
        }));
    }
    table(["cluster", "Kubernetes", "role", "association", "whose"], &rows)
}

fn whose(association: &Association) -> &'static str {
    match (&association.owner_arn, association.tagged_by(DEPLOYMENT)) {
        (Some(_), _) => "an add-on's",
        (None, Some(_)) => "ours",
        (None, None) => "foreign",
    }
}

/// The cluster of the scene whose node policy this is.
fn cluster_of(policy: &str) -> Option<ClusterArn> {
    let clusters = CLUSTERS.iter().filter_map(|name| cluster(name).ok());
    let mut numbered = clusters.flat_map(|cluster| (1..=9).map(move |n| (cluster.clone(), n)));
    let is_its = |(cluster, number): &(ClusterArn, u32)| {
        node_policy::policy_arn(DEPLOYMENT, cluster, *number)
            .is_ok_and(|arn| arn.as_str() == policy)
    };
    numbered.find(is_its).map(|(cluster, _)| cluster)
}

fn policies(world: &World) -> String {
    let row = |arn: &str| {
        let document = world.iam.document_in_force(arn)?;
        let shard = cluster_of(arn).and_then(|cluster| node_policy::parse(1, document, &cluster));
        let (count, which) = match shard {
            Some(shard) => {
                let roles = shard.roles.iter().map(|role| short(role.as_str()));
                (shard.roles.len().to_string(), roles.collect::<Vec<_>>().join(", "))
            }
            None => (String::new(), "not this deployment's words".to_owned()),
        };
        Some([
            arn.rsplit('/').next().unwrap_or(arn).to_owned(),
            count,
            format!("{} of {MAX_POLICY_CHARACTERS}", node_policy::characters(document)),
            which,
        ])
    };
    let rows: Vec<_> = world.iam.policy_arns().filter_map(row).collect();
    table(["policy", "roles", "characters", "which"], &rows)
}
