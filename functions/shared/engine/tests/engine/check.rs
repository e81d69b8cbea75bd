//! What has to hold after every scenario.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::{Association, ClusterArn, DEPLOYMENT_TAG, RoleArn};
use pod_identity_engine::Outcome;
use pod_identity_engine::ports::Item;
use pod_identity_world::World;
use serde_json::Value;

use crate::scenario::Scenario;

/// What AWS and the ledger hold in the end, without what differs from run to
/// run: ids, times, requests.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    /// By cluster and place.
    pub(crate) associations: BTreeMap<String, Value>,
    /// By ARN.
    pub(crate) policies: BTreeMap<String, String>,
    /// By node role.
    pub(crate) attached: BTreeMap<String, BTreeSet<String>>,
    pub(crate) bindings: BTreeMap<String, Value>,
    pub(crate) conditions: BTreeMap<String, Value>,
}

impl End {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let world = scenario.ports.world();
        let mut associations = BTreeMap::new();
        let mut attached = BTreeMap::new();
        for (cluster, node_roles) in &scenario.node_roles {
            for one in world.eks.associations(cluster) {
                let place = format!("{}/{}/{}", cluster.name(), one.namespace, one.service_account);
                let said = serde_json::json!([
                    one.role_arn,
                    one.target_role_arn,
                    one.policy,
                    one.tags,
                    one.owner_arn
                ]);
                assert!(
                    associations.insert(place, said).is_none(),
                    "two associations in one place"
                );
            }
            for role in node_roles {
                attached.insert(role.to_string(), world.iam.attached_to(role));
            }
        }
        let document = |arn: &str| world.iam.document_in_force(arn).unwrap().to_owned();
        let policies = world.iam.policy_arns().map(|arn| (arn.to_owned(), document(arn))).collect();
        let items = |begin: &str| -> BTreeMap<String, Value> {
            world
                .ledger
                .items()
                .filter(|item| item.key.sort.starts_with(begin) || item.key.partition == begin)
                .map(|item| {
                    (format!("{} {}", item.key.partition, item.key.sort), timeless(&item.body))
                })
                .collect()
        };
        let (bindings, conditions) = (items("BINDINGS"), items("CONDITION#"));
        Self { associations, policies, attached, bindings, conditions }
    }
}

fn timeless(item: &Value) -> Value {
    let mut item = item.clone();
    for field in
        ["/requestId", "/updatedAt", "/credentialsChangedAt", "/association/id", "/association/arn"]
    {
        if let Some(value) = item.pointer_mut(field) {
            *value = Value::Null;
        }
    }
    // What pods worked as on the way depends on the way.
    if let Some(item) = item.as_object_mut() {
        item.remove("before");
        item.remove("removals");
        item.remove("intents");
        item.remove("pace");
        item.remove("claimedAt");
    }
    item
}

fn managed<'a>(
    world: &'a World,
    cluster: &ClusterArn,
) -> impl Iterator<Item = Association> + use<'a> {
    let of_world: Vec<Association> = world.eks.associations(cluster).into_iter().cloned().collect();
    of_world.into_iter().filter(|one| one.tags.contains_key(DEPLOYMENT_TAG))
}

/// Looks whenever an association was made or changed since the last look.
pub(crate) fn nothing_is_bound_before_it_is_granted(
    world: &World,
    node_roles: &BTreeMap<ClusterArn, Vec<RoleArn>>,
    seen: usize,
) {
    let binds = |operation: &str| {
        ["CreatePodIdentityAssociation", "UpdatePodIdentityAssociation"].contains(&operation)
    };
    if !world.calls[seen..].iter().any(|call| binds(&call.operation)) {
        return;
    }
    for (cluster, node_roles) in node_roles {
        for node_role in node_roles {
            let listed = listed(world, node_role);
            for one in managed(world, cluster) {
                assert!(
                    listed.contains(&one.role_arn),
                    "{} is bound in cluster {} but not granted to {node_role}: {listed:?}",
                    one.role_arn,
                    cluster.name()
                );
            }
        }
    }
}

/// What every node role may use, to be held against what it may use later.
pub(crate) struct Grants(BTreeMap<(ClusterArn, RoleArn), BTreeSet<String>>);

impl Grants {
    pub(crate) fn of(world: &World, node_roles: &BTreeMap<ClusterArn, Vec<RoleArn>>) -> Self {
        let all =
            node_roles.iter().flat_map(|(cluster, roles)| roles.iter().map(move |r| (cluster, r)));
        Self(all.map(|(c, r)| ((c.clone(), r.clone()), listed(world, r))).collect())
    }

    /// Unbind before trim: what left since the last look is used by no association, whosever.
    pub(crate) fn look(&mut self, world: &World, node_roles: &BTreeMap<ClusterArn, Vec<RoleArn>>) {
        let now = Self::of(world, node_roles);
        for ((cluster, node_role), before) in &self.0 {
            let is = &now.0[&(cluster.clone(), node_role.clone())];
            for one in world.eks.associations(cluster) {
                let lost = before.contains(&one.role_arn) && !is.contains(&one.role_arn);
                assert!(!lost, "{node_role} lost {} of {}", one.role_arn, one.id);
            }
        }
        *self = now;
    }
}

/// The roles that the policies attached to a node role list.
pub(crate) fn listed(world: &World, node_role: &RoleArn) -> BTreeSet<String> {
    let mut listed = BTreeSet::new();
    for policy in world.iam.attached_to(node_role) {
        if !policy.contains(":policy/domino-pod-identity/") {
            continue;
        }
        let document: Value =
            serde_json::from_str(world.iam.document_in_force(&policy).unwrap()).unwrap();
        for statement in document["Statement"].as_array().unwrap() {
            if statement["Sid"] == "WorkerNodePermissions" {
                let roles = statement["Resource"].as_array().unwrap();
                listed.extend(roles.iter().map(|role| role.as_str().unwrap().to_owned()));
            }
        }
    }
    listed
}

/// Sending every event again, together, backwards and alone, changes nothing.
pub(crate) fn settled(scenario: &mut Scenario) {
    let before = End::of(scenario);
    let (calls, events) = {
        let world = scenario.ports.world();
        (world.calls.len(), world.bus.events.len())
    };
    let sent = scenario.sent.clone();
    let mut backwards = sent.clone();
    backwards.reverse();
    for batch in [sent.as_slice(), backwards.as_slice()].into_iter().chain(sent.chunks(1)) {
        for record in scenario.batch(batch).records {
            assert_ne!(record.outcome, Outcome::Failed, "{record:?}");
        }
    }
    assert_eq!(End::of(scenario), before);
    let world = scenario.ports.world();
    let changes = ["Create", "Update", "Delete", "Attach", "Tag"];
    let changing: Vec<_> = world.calls[calls..]
        .iter()
        .filter(|call| changes.iter().any(|verb| call.operation.starts_with(verb)))
        .filter(|call| call.error.is_none())
        .collect();
    assert!(changing.is_empty(), "{changing:?}");
    let (old, new) = world.bus.events.split_at(events);
    let known: BTreeSet<&str> =
        old.iter().map(|event| event.detail["eventId"].as_str().unwrap()).collect();
    for event in new {
        let repeated = match event.detail_type.as_str() {
            "Reconciliation Requested"
            | "Service Account Event Superseded"
            | "Service Account Event Rejected" => true,
            "Pod Identity Association Blocked" => event.detail["code"] == "clusterNotRegistered",
            _ => false,
        };
        assert!(repeated && known.contains(event.detail["eventId"].as_str().unwrap()), "{event:?}");
    }
    let is_held = |item: &Item| item.key.sort == "LEASE" && item.body.get("owner").is_some();
    assert!(!world.ledger.items().any(is_held), "a lease was left behind");
}
