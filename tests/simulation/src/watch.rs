//! The invariants that hold after every step, by what changed in AWS since the
//! step before.

mod queue;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::node_policy::{self, AssignedPolicy, MAX_POLICY_CHARACTERS};
use pod_identity_core::{
    ClusterArn, DEPLOYMENT_TAG, HeldAssociation, RoleArn, SERVICE_ACCOUNT_TAG, ServiceAccountRef,
};
use pod_identity_engine::ledger::{
    AccountRecord, BindingRecord, Condition, HistoryOutcome, HistoryRecord, LeaseRecord,
    NodePolicyRecord, Registry, account_key, binding_key, bindings_partition, condition_key,
    history_partition, lease_key, node_policy_key, registry_key,
};
use pod_identity_engine::ports::Association;
use pod_identity_world::{Call, World};

use crate::report::Violation;
use crate::stage::{self, DEPLOYMENT, NAMESPACE};

/// Seconds of the shortest pause before a run asks again what IAM may not show yet.
const PAUSE: i64 = 5;

/// Who made a step, and what is to be held against it.
pub(crate) struct Step<'a> {
    /// Request id of the run.
    pub(crate) request: &'a str,
    /// Whether what it changed was under way for longer than a call may take.
    pub(crate) late: bool,
    /// Whether somebody else changed AWS or the ledger since the run began.
    pub(crate) disturbed: bool,
    /// Whether the ledger was exchanged for another since the run began.
    pub(crate) replaced: bool,
    /// Whether the ledger is another deployment's since the run began.
    pub(crate) elsewhere: bool,
    /// Whether a run was late before: from then on only convergence is promised.
    pub(crate) beyond: bool,
    /// Whether policies may be full, so that a role need not be listed.
    pub(crate) may_be_full: bool,
    /// Whether somebody changed policies by hand, or the ledger was replaced, which only reconcile finds.
    pub(crate) meddled: bool,
    /// The clusters as the ledger has known them since the run began.
    pub(crate) registries: &'a [Registry],
    /// Of a reconciliation, which may take out roles: those that bindings named when it began.
    pub(crate) named: Option<&'a BTreeSet<RoleArn>>,
    /// Most associations that a run may make again on a cluster.
    pub(crate) ceiling: usize,
}

/// AWS as it was after the last step.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    associations: BTreeMap<ClusterArn, BTreeMap<String, Association>>,
    policies: BTreeMap<String, String>,
    attached: BTreeMap<RoleArn, BTreeSet<String>>,
    calls: usize,
    /// Associations that runs have made, by id, and the service account that their tags named when a
    /// run last changed them.
    made: BTreeMap<String, String>,
    /// Associations that runs have made and somebody else deleted, on clusters that are still there.
    taken: BTreeSet<String>,
    /// Associations of another owner that had our tags and the values of an open intent.
    imitations: BTreeSet<String>,
    /// What each run made again on each cluster, by Kubernetes service account.
    made_again: BTreeMap<(String, ClusterArn), BTreeSet<ServiceAccountRef>>,
    /// How often each run wrote each policy.
    written: BTreeMap<(String, String), (Timestamp, usize)>,
    /// Who was recorded first.
    pub(crate) queues: queue::Queues,
}

impl Watch {
    pub(crate) fn new(world: &World) -> Self {
        let mut watch = Self::default();
        watch.merge_in(world);
        watch
    }

    /// Takes AWS as it is, because somebody else changed it.
    pub(crate) fn merge_in(&mut self, world: &World) {
        let before = std::mem::replace(&mut self.associations, associations(world));
        for (cluster, before) in before {
            // A cluster that is built again has no ceiling.
            if world.eks.cluster_arns().any(|known| *known == cluster) {
                let here = &self.associations[&cluster];
                let gone = before.into_keys().filter(|id| !here.contains_key(id));
                self.taken.extend(gone.filter(|id| self.made.contains_key(id)));
            } else {
                self.taken.retain(|id| !before.contains_key(id));
            }
        }
        self.policies = policies(world);
        self.attached = attached(world);
        self.calls = world.calls.len();
    }

    /// What a step changed, held against the invariants.
    pub(crate) fn look(&mut self, world: &World, step: &Step<'_>) -> Result<(), Violation> {
        self.queues.merge_in(world);
        self.note_imitations(world);
        if !world.calls[self.calls..].iter().any(|call| changes(&call.operation)) {
            self.calls = world.calls.len();
            return Ok(());
        }
        let changing = |call: &&Call| changes(&call.operation);
        if let Some(call) = world.calls[self.calls..].iter().find(changing)
            && step.elsewhere
        {
            let what = format!("{} of {}: {}", call.operation, step.request, call.object);
            return Err(Violation::new("another deployment's ledger changes nothing", what));
        }
        let mut before = std::mem::take(self);
        self.merge_in(world);
        self.written = std::mem::take(&mut before.written);
        self.made = std::mem::take(&mut before.made);
        self.queues = std::mem::take(&mut before.queues);
        self.taken = std::mem::take(&mut before.taken);
        self.made_again = std::mem::take(&mut before.made_again);
        self.imitations = std::mem::take(&mut before.imitations);
        self.compare_associations(&before, world, step)?;
        self.compare_policies(&before, world, step)
    }

    fn note_imitations(&mut self, world: &World) {
        for (cluster, all) in associations(world) {
            let strange = all.into_iter().filter(|(id, _)| !self.made.contains_key(id));
            let alike = strange.filter(|(_, one)| is_imitation(world, &cluster, one));
            self.imitations.extend(alike.map(|(id, _)| id));
        }
    }

    fn compare_associations(
        &mut self,
        before: &Self,
        world: &World,
        step: &Step<'_>,
    ) -> Result<(), Violation> {
        let none = BTreeMap::new();
        let Self { associations, made, taken, made_again, imitations, .. } = self;
        for cluster in stage::clusters() {
            let old = before.associations.get(&cluster).unwrap_or(&none);
            let new = associations.get(&cluster).unwrap_or(&none);
            for (id, was) in old.iter().filter(|(id, was)| new.get(*id) != Some(*was)) {
                // Whatever its tags say: they prove nothing.
                if !made.contains_key(id) && !imitations.contains(id) && !step.replaced {
                    return Err(Violation::new(
                        "foreign associations are never changed",
                        format!("{} of {} in {}", id, place_of(was), cluster.name()),
                    ));
                }
                holds_lease(world, &cluster, step)?;
                if !new.contains_key(id) {
                    let served =
                        held(world, &cluster, &place_of(was)).filter(|held| held.id == *id);
                    let served = served.map(|held| held.service_account.to_string());
                    let name = served.or_else(|| made.get(id).cloned());
                    let name = name.or_else(|| was.tags.get(SERVICE_ACCOUNT_TAG).cloned());
                    may_delete(world, &cluster, was, &name.unwrap_or_default(), step)?;
                }
            }
            for (id, is) in new.iter().filter(|(id, is)| old.get(*id) != Some(*is)) {
                holds_lease(world, &cluster, step)?;
                if !old.contains_key(id) {
                    may_make(&cluster, is, step)?;
                    let again = remembered(world, &cluster, &place_of(is));
                    if again.is_some_and(|id| taken.contains(&id)) {
                        let run = (step.request.to_owned(), cluster.clone());
                        let again = made_again.entry(run).or_default();
                        again.insert(place_of(is));
                        is_within_ceiling(&cluster, again.len(), step)?;
                    }
                }
                let name = is.tags.get(SERVICE_ACCOUNT_TAG).cloned().unwrap_or_default();
                if made.insert(id.clone(), name).is_none() || !step.disturbed {
                    is_admitted(is)?;
                }
                let same_role = old.get(id).is_some_and(|was| was.role_arn == is.role_arn);
                if !same_role {
                    is_granted(world, &cluster, is, step)?;
                }
            }
        }
        Ok(())
    }

    fn compare_policies(
        &mut self,
        before: &Self,
        world: &World,
        step: &Step<'_>,
    ) -> Result<(), Violation> {
        for (role, was) in &before.attached {
            let stays = |arn: &&String| !self.goes_with_its_cluster(arn, step);
            let lost = was
                .iter()
                .filter(stays)
                .find(|arn| !self.attached.get(role).is_some_and(|is| is.contains(*arn)));
            let Some(arn) = lost else { continue };
            if step.named.is_none() {
                return Err(Violation::new(
                    "only reconcile detaches",
                    format!("{arn} from {role}"),
                ));
            }
            let Some(cluster) = stage::clusters().find(|cluster| is_of(arn, cluster)) else {
                return Err(Violation::new("only our policies are detached", arn.clone()));
            };
            holds_lease(world, &cluster, step)?;
            let was = listed(&before.policies[arn]).unwrap_or_default();
            let is = granted(world, &cluster, role);
            self.leave(&cluster, was.difference(&is), world, step)?;
        }
        for (arn, document) in &before.policies {
            if !self.policies.contains_key(arn) && self.goes_with_its_cluster(arn, step) {
                continue;
            }
            if !self.policies.contains_key(arn) {
                // What it granted left when it was detached.
                let attached = before.attached.values().any(|attached| attached.contains(arn));
                if step.named.is_none() || attached || !stage::clusters().any(|c| is_of(arn, &c)) {
                    return Err(Violation::new("only reconcile deletes a policy", arn.clone()));
                }
                continue;
            }
            let (Some(was), Some(is)) = (listed(document), listed(&self.policies[arn])) else {
                continue;
            };
            // Whoever wrote over a version that the ledger does not know writes once more, to merge it.
            let merged = unknown(world, arn);
            let lost: Vec<_> = was.difference(&is).filter(|role| !merged.contains(*role)).collect();
            if step.named.is_some() && !lost.is_empty() {
                let Some(cluster) = stage::clusters().find(|cluster| is_of(arn, cluster)) else {
                    return Err(Violation::new("only our policies are written", arn.clone()));
                };
                // A role may be moved to another policy.
                let elsewhere = listed_anywhere(world, &cluster);
                self.leave(
                    &cluster,
                    lost.into_iter().filter(|role| !elsewhere.contains(*role)),
                    world,
                    step,
                )?;
                continue;
            }
            if !lost.is_empty() && !step.late && !step.beyond && !step.disturbed {
                return Err(Violation::new(
                    "no role leaves a node policy",
                    format!("{arn} lost {lost:?}"),
                ));
            }
        }
        for (arn, document) in &self.policies {
            if before.policies.get(arn) == Some(document) {
                continue;
            }
            let Some(cluster) = stage::clusters().find(|cluster| is_of(arn, cluster)) else {
                return Err(Violation::new("only our policies are written", arn.clone()));
            };
            holds_lease(world, &cluster, step)?;
            let size = node_policy::characters(document);
            if size > MAX_POLICY_CHARACTERS || listed(document).is_none() {
                return Err(Violation::new(
                    "a node policy is a list that fits",
                    format!("{arn} has {size} characters: {document}"),
                ));
            }
            if !unknown(world, arn).is_subset(&listed(document).unwrap_or_default()) {
                continue;
            }
            let by = (step.request.to_owned(), arn.clone());
            let (at, times) = self.written.entry(by).or_insert((world.now, 0));
            // After a pause the run looks again, and may find a role then that is to be listed too.
            if world.now.as_second() - at.as_second() >= PAUSE {
                *times = 0;
            }
            (*at, *times) = (world.now, *times + 1);
            // A reconciliation lists first, and trims afterwards.
            let most = if step.named.is_some() { 2 } else { 1 };
            if *times > most && !step.disturbed && !step.beyond && !step.late {
                return Err(Violation::new(
                    "a run writes a policy once",
                    format!("{} wrote {arn} {times} times", step.request),
                ));
            }
        }
        Ok(())
    }
}

impl Watch {
    /// Invariant 2: no binding uses what leaves, and no binding named it all the time.
    fn leave<'r>(
        &self,
        cluster: &ClusterArn,
        mut lost: impl Iterator<Item = &'r RoleArn>,
        world: &World,
        step: &Step<'_>,
    ) -> Result<(), Violation> {
        if step.late || step.beyond || step.disturbed {
            return Ok(());
        }
        let now = named(world);
        let all = self.associations.get(cluster).into_iter().flat_map(BTreeMap::values);
        let used: BTreeSet<&str> = all.map(|one| one.role_arn.as_str()).collect();
        let is_named =
            |role| step.named.is_some_and(|then| then.contains(role) && now.contains(role));
        match lost.find(|role| used.contains(role.as_str()) || is_named(role)) {
            None => Ok(()),
            Some(role) => Err(Violation::new(
                "unbind before trim",
                format!("{role} left the node policies of {}", cluster.name()),
            )),
        }
    }

    /// Whether a policy is of a cluster that is being retired and on which nothing of ours is left.
    fn goes_with_its_cluster(&self, arn: &str, step: &Step<'_>) -> bool {
        stage::clusters().filter(|cluster| is_of(arn, cluster)).any(|cluster| {
            let left = self.associations.get(&cluster);
            let left = left.is_some_and(|all| !all.is_empty());
            is_retiring(&cluster, step) && (!left || step.disturbed || step.late || step.beyond)
        })
    }
}

/// The roles that bindings name.
pub(crate) fn named(world: &World) -> BTreeSet<RoleArn> {
    let items = world.ledger.items().filter(|item| item.key.partition == bindings_partition());
    let records = items.map(|item| serde_json::from_value(item.body.clone()).unwrap());
    records
        .filter_map(|record: BindingRecord| Some(record.binding()?.desired.role.clone()))
        .collect()
}

/// Whether the retirement of a cluster had begun, as far as the run could know.
fn is_retiring(cluster: &ClusterArn, step: &Step<'_>) -> bool {
    let records = step.registries.iter().filter_map(|registry| registry.clusters.get(cluster));
    records.into_iter().any(|record| record.is_retiring())
}

/// Whether the ledger knows an association of a service account on another cluster that stays.
fn works_elsewhere(world: &World, name: &str, cluster: &ClusterArn, step: &Step<'_>) -> bool {
    let Ok(name) = name.parse() else { return false };
    stage::clusters().filter(|other| other != cluster).any(|other| {
        let stays = step.registries.iter().any(|registry| {
            registry.clusters.get(&other).is_some_and(|record| record.retired.is_none())
        });
        let item = world.ledger.get(&condition_key(&name, &other));
        stays && item.is_some_and(|item| !item.body["association"].is_null())
    })
}

/// Whether a call of AWS may change something there.
pub(crate) fn changes(operation: &str) -> bool {
    ["Create", "Update", "Delete", "Tag", "Attach", "Detach"]
        .iter()
        .any(|verb| operation.starts_with(verb))
}

pub(crate) fn is_ours(association: &Association) -> bool {
    association.owner_arn.is_none()
        && association.tags.get(DEPLOYMENT_TAG).is_some_and(|tag| tag == DEPLOYMENT)
}

pub(crate) fn place_of(association: &Association) -> ServiceAccountRef {
    ServiceAccountRef::new(&association.namespace, &association.service_account).unwrap()
}

pub(crate) fn associations(world: &World) -> BTreeMap<ClusterArn, BTreeMap<String, Association>> {
    stage::clusters()
        .map(|cluster| {
            let all = world.eks.associations(&cluster);
            (cluster, all.into_iter().map(|one| (one.id.clone(), one.clone())).collect())
        })
        .collect()
}

fn policies(world: &World) -> BTreeMap<String, String> {
    let document = |arn: &str| world.iam.document_in_force(arn).unwrap().to_owned();
    world.iam.policy_arns().map(|arn| (arn.to_owned(), document(arn))).collect()
}

fn attached(world: &World) -> BTreeMap<RoleArn, BTreeSet<String>> {
    stage::clusters()
        .flat_map(|cluster| stage::node_roles(&cluster, true))
        .map(|role| (role.clone(), world.iam.attached_to(&role)))
        .collect()
}

/// The clusters as the ledger knows them.
pub(crate) fn registry(world: &World) -> Registry {
    let item = world.ledger.get(&registry_key());
    item.map(|item| serde_json::from_value(item.body.clone()).unwrap()).unwrap_or_default()
}

/// The roles of the versions of a policy that are newer than what the ledger knows of it: whoever writes
/// it next, or a reconciliation, lists them again.
fn unknown(world: &World, arn: &str) -> BTreeSet<RoleArn> {
    let Some(cluster) = stage::clusters().find(|cluster| is_of(arn, cluster)) else {
        return BTreeSet::new();
    };
    let record = world.ledger.get(&node_policy_key(&cluster));
    let record = record.map(|item| serde_json::from_value(item.body.clone()).unwrap());
    let record: NodePolicyRecord = record.unwrap_or_default();
    let number = node_policy::policy_number(DEPLOYMENT, &cluster, arn);
    let known = number.and_then(|number| record.projection.policies.get(&number));
    let base = known.map_or(0, AssignedPolicy::base);
    let newer = world.iam.versions(arn).filter(|(version, _)| u64::from(*version) > base);
    newer.filter_map(|(_, document)| listed(document)).flatten().collect()
}

/// Whether a policy is one of ours for a cluster.
fn is_of(arn: &str, cluster: &ClusterArn) -> bool {
    arn.contains(&format!("/{DEPLOYMENT}-eu-west-1-{}-", cluster.name()))
}

/// The roles of a node policy; none when it says anything else.
pub(crate) fn listed(document: &str) -> Option<BTreeSet<RoleArn>> {
    stage::clusters()
        .find_map(|cluster| node_policy::parse(1, document, &cluster))
        .map(|shard| shard.roles)
}

/// The roles that a node role's policies list for a cluster.
pub(crate) fn granted(
    world: &World,
    cluster: &ClusterArn,
    node_role: &RoleArn,
) -> BTreeSet<RoleArn> {
    world
        .iam
        .attached_to(node_role)
        .iter()
        .filter(|arn| is_of(arn, cluster))
        .filter_map(|arn| listed(world.iam.document_in_force(arn)?))
        .flatten()
        .collect()
}

/// The roles that any of a cluster's policies lists, attached or not.
pub(crate) fn listed_anywhere(world: &World, cluster: &ClusterArn) -> BTreeSet<RoleArn> {
    let documents = world.iam.policy_arns().filter(|arn| is_of(arn, cluster));
    documents.filter_map(|arn| listed(world.iam.document_in_force(arn)?)).flatten().collect()
}

/// Invariant 11.
fn holds_lease(world: &World, cluster: &ClusterArn, step: &Step<'_>) -> Result<(), Violation> {
    let lease = world.ledger.get(&lease_key(cluster)).map(|item| item.body.clone());
    let lease: Option<LeaseRecord> = lease.map(|body| serde_json::from_value(body).unwrap());
    let holds = |lease: &LeaseRecord, now: Timestamp| {
        lease.owner.as_deref() == Some(step.request) && lease.expires_at > now
    };
    if step.late || step.disturbed || lease.as_ref().is_some_and(|lease| holds(lease, world.now)) {
        return Ok(());
    }
    Err(Violation::new(
        "one writer per cluster",
        format!("{} changed {} under {lease:?}", step.request, cluster.name()),
    ))
}

/// Invariant 4: the ledger has accepted that the place was given up.
fn may_delete(
    world: &World,
    cluster: &ClusterArn,
    was: &Association,
    name: &str,
    step: &Step<'_>,
) -> Result<(), Violation> {
    let partition = history_partition(name);
    let gave_up = world.ledger.items().filter(|item| item.key.partition == partition).any(|item| {
        let change: HistoryRecord = serde_json::from_value(item.body.clone()).unwrap();
        let elsewhere = change.change["kubernetes"] != place_of(was).to_string().as_str();
        let not_here = change.change["clusters"]["named"]
            .as_array()
            .is_some_and(|named| !named.iter().any(|one| one == cluster.as_str()));
        change.outcome == HistoryOutcome::Accepted && (elsewhere || not_here)
    });
    let retires = is_retiring(cluster, step) && works_elsewhere(world, name, cluster, step);
    if gave_up || retires || step.disturbed {
        return Ok(());
    }
    Err(Violation::new(
        "only what was given up is deleted",
        format!("{} of {name} at {} in {}", was.id, place_of(was), cluster.name()),
    ))
}

/// Whether somebody's association has our tags and the values of an intent that is open: no run can tell
/// it from what a run that died has made.
fn is_imitation(world: &World, cluster: &ClusterArn, was: &Association) -> bool {
    let Some(Some(name)) = was.tagged_by(DEPLOYMENT) else { return false };
    let condition = name.parse().ok().and_then(|name| {
        let item = world.ledger.get(&condition_key(&name, cluster))?;
        serde_json::from_value::<Condition>(item.body.clone()).ok()
    });
    condition.is_some_and(|found| found.intents.iter().any(|intent| intent.may_have_made(was)))
}

/// Invariant 4: nothing is made where a retirement had begun before the run did.
fn may_make(cluster: &ClusterArn, is: &Association, step: &Step<'_>) -> Result<(), Violation> {
    let mut records = step.registries.iter().map(|registry| registry.clusters.get(cluster));
    let always = records.all(|record| record.is_some_and(|record| record.is_retiring()));
    if !always || step.late || step.disturbed {
        return Ok(());
    }
    Err(Violation::new(
        "nothing is made on a cluster that is being retired",
        format!("{} at {} in {}", is.id, place_of(is), cluster.name()),
    ))
}

/// Invariant 14: without a person's word a run makes no more again than its ceiling.
fn is_within_ceiling(cluster: &ClusterArn, made: usize, step: &Step<'_>) -> Result<(), Violation> {
    if made <= step.ceiling {
        return Ok(());
    }
    Err(Violation::new(
        "no run makes more again than its ceiling",
        format!("{} made {made} associations again in {}", step.request, cluster.name()),
    ))
}

/// The association that the ledger remembers at a place.
fn held(world: &World, cluster: &ClusterArn, place: &ServiceAccountRef) -> Option<HeldAssociation> {
    let item = world.ledger.get(&account_key(cluster, place))?;
    serde_json::from_value::<AccountRecord>(item.body.clone()).unwrap().held
}

/// The one that it remembers for a binding that nobody has changed since.
fn remembered(world: &World, cluster: &ClusterArn, place: &ServiceAccountRef) -> Option<String> {
    let held = held(world, cluster, place)?;
    let item = world.ledger.get(&binding_key(&held.service_account))?;
    let binding: BindingRecord = serde_json::from_value(item.body.clone()).unwrap();
    (binding.version == held.version).then_some(held.id)
}

/// Invariant 12, and that it carries our marks.
fn is_admitted(association: &Association) -> Result<(), Violation> {
    let role = association.role_arn.starts_with("arn:aws:iam::111122223333:role/domino/");
    let target = association.target_role_arn.as_deref().is_none_or(|arn| arn == stage::target());
    let named = association.tags.contains_key(SERVICE_ACCOUNT_TAG);
    if role && target && named && is_ours(association) && association.namespace == NAMESPACE {
        return Ok(());
    }
    Err(Violation::new("nothing is bound that is not admitted", format!("{association:?}")))
}

/// Invariant 1.
fn is_granted(
    world: &World,
    cluster: &ClusterArn,
    association: &Association,
    step: &Step<'_>,
) -> Result<(), Violation> {
    let role: RoleArn = association.role_arn.parse().unwrap();
    if step.late || step.beyond || step.disturbed || step.may_be_full || step.meddled {
        return Ok(());
    }
    // A registration that changes meanwhile is the next run's.
    let by = |registry: &Registry| {
        registry.clusters.get(cluster).is_some_and(|record| {
            record
                .registration
                .node_roles
                .iter()
                .all(|node_role| granted(world, cluster, node_role).contains(&role))
        })
    };
    if step.registries.iter().any(by) {
        return Ok(());
    }
    Err(Violation::new(
        "grant before bind",
        format!("{role} is bound in {} and not granted", cluster.name()),
    ))
}
