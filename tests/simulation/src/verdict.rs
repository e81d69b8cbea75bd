//! What has to be true when all is quiet, worked out from the events alone,
//! whatever the order in which they came.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use pod_identity_core::{ClusterArn, DominoName, SERVICE_ACCOUNT_TAG, ServiceAccountRef};
use pod_identity_engine::ledger::{
    Condition, ConditionState, HistoryOutcome, HistoryRecord, MAX_SUPERSEDED, condition_key,
    history_partition,
};
use pod_identity_engine::ports::Association;
use pod_identity_events::{BlockedCode, Problem};
use pod_identity_world::World;
use serde_json::Value;

use crate::history::{Asks, NAMES};
use crate::play::{Play, Sent};
use crate::report::Violation;
use crate::stage;
use crate::watch::{self, is_ours, place_of};

/// The newest event about a service account.
pub(crate) fn latest<'a>(events: impl IntoIterator<Item = &'a Sent>, name: u8) -> Option<&'a Sent> {
    let about = |sent: &&Sent| match sent.event.asks {
        Asks::Assigned { name: of, .. }
        | Asks::Unassigned { name: of }
        | Asks::Deactivated { name: of } => of == name,
        _ => false,
    };
    events.into_iter().filter(about).max_by_key(|sent| sent.version())
}

/// How many conditions are blocked.
pub(crate) fn blocked(world: &World) -> usize {
    let is_blocked = |item: &&pod_identity_engine::ports::Item| {
        item.key.sort.starts_with("CONDITION#") && item.body["state"] == "blocked"
    };
    world.ledger.items().filter(is_blocked).count()
}

pub(crate) fn check(play: &Play<'_>) -> Result<(), Violation> {
    let world = play.world.lock().unwrap();
    for cluster in stage::clusters() {
        let Some(shared) = registration(&play.sent, &cluster) else {
            waits(play, &world, &cluster)?;
            continue;
        };
        let end = End { play, world: &world, cluster: &cluster, shared };
        for name in 0..NAMES {
            end.condition(name)?;
        }
        end.leftovers()?;
        end.listed_by_hand()?;
    }
    for name in 0..NAMES {
        bounded(play, &world, name)?;
    }
    published(play, &world)
}

/// Whether a service account has had so many superseded events that more are only counted.
pub(crate) fn is_only_counted(world: &World, name: &str) -> bool {
    let of = format!("{name}#");
    world.ledger.items().any(|item| {
        item.key.partition.starts_with("SUPERSEDED#")
            && item.key.partition.ends_with("#COUNTS")
            && item.key.sort.starts_with(&of)
            && item.body["count"].as_u64() > u64::try_from(MAX_SUPERSEDED).ok()
    })
}

/// Old events cost their sender nothing, so the ledger keeps no more of them than a day's limit. The count
/// is written without a condition: of two runs side by side the later one may write an older count.
fn bounded(play: &Play<'_>, world: &World, name: u8) -> Result<(), Violation> {
    let name = stage::name(name);
    let mut kept: BTreeMap<(String, String), usize> = BTreeMap::new();
    for item in world.ledger.items().filter(|i| i.key.partition == history_partition(&name)) {
        let record: HistoryRecord = serde_json::from_value(item.body.clone()).unwrap();
        if record.outcome == HistoryOutcome::Superseded {
            let day = record.recorded_at.strftime("%F").to_string();
            *kept.entry((record.detail_type, day)).or_default() += 1;
        }
    }
    let most = MAX_SUPERSEDED * (1 + play.side_by_side);
    match kept.into_iter().find(|(_, count)| *count > most) {
        Some((of, count)) => Err(Violation::new(
            "a flood is bounded",
            format!("the history of {name} keeps {count} superseded events of {of:?}"),
        )),
        None => Ok(()),
    }
}

/// Whether a cluster was registered, and then with a shared node role or without.
fn registration(sent: &[Sent], cluster: &ClusterArn) -> Option<bool> {
    sent.iter()
        .filter_map(|sent| match sent.event.asks {
            Asks::Registered { cluster: of, shared } if stage::cluster(of) == *cluster => {
                Some((sent.version(), shared))
            }
            _ => None,
        })
        .max()
        .map(|(_, shared)| shared)
}

/// Whether a cluster was registered with other node roles than before: what was bound already
/// is granted to the new ones when it is asked for again, or by reconcile.
pub(crate) fn node_roles_changed(sent: &[Sent]) -> bool {
    stage::clusters().any(|cluster| {
        let with = |wanted: bool| {
            sent.iter().any(|sent| {
                matches!(sent.event.asks, Asks::Registered { cluster: of, shared }
                    if stage::cluster(of) == cluster && shared == wanted)
            })
        };
        with(true) && with(false)
    })
}

/// Whether a cluster's retirement was asked for: reconciliations perform it.
pub(crate) fn retirement_asked(sent: &[Sent]) -> bool {
    sent.iter().any(|sent| matches!(sent.event.asks, Asks::Retired { .. }))
}

/// A binding that names a cluster which nobody registered waits for it.
fn waits(play: &Play<'_>, world: &World, cluster: &ClusterArn) -> Result<(), Violation> {
    if play.troubled {
        return Ok(());
    }
    for name in 0..NAMES {
        let Some(latest) = latest(&play.sent, name) else { continue };
        let named = match latest.event.asks {
            Asks::Assigned { clusters: Some(mask), .. } => stage::selects(Some(mask), cluster),
            _ => false,
        };
        let state = condition(world, name, cluster).map(|condition| condition.state);
        if named && state != Some(ConditionState::Waiting) {
            let what = format!("svc-{name} in {}: {state:?}", cluster.name());
            return Err(Violation::new("a binding waits for its cluster", what));
        }
    }
    let ours = world.eks.associations(cluster).into_iter().find(|one| is_ours(one));
    match ours {
        Some(one) => Err(Violation::new(
            "nothing is bound on a cluster that is not registered",
            format!("{} in {}", one.id, cluster.name()),
        )),
        None => Ok(()),
    }
}

fn condition(world: &World, name: u8, cluster: &ClusterArn) -> Option<Condition> {
    let name: DominoName = stage::name(name).parse().unwrap();
    let item = world.ledger.get(&condition_key(&name, cluster))?;
    Some(serde_json::from_value(item.body.clone()).unwrap())
}

/// One registered cluster in the end.
struct End<'a> {
    play: &'a Play<'a>,
    world: &'a World,
    cluster: &'a ClusterArn,
    shared: bool,
}

impl End<'_> {
    fn wrong(&self, rule: &'static str, name: u8, what: impl std::fmt::Display) -> Violation {
        Violation::new(rule, format!("svc-{name} in {}: {what}", self.cluster.name()))
    }

    fn exists(&self) -> bool {
        self.world.eks.cluster_arns().any(|known| known == self.cluster)
    }

    fn at(&self, place: &ServiceAccountRef) -> Option<&Association> {
        self.world.eks.find(self.cluster, place.namespace(), place.service_account())
    }

    /// Whether the cluster's retirement has begun, or is over.
    fn is_retiring(&self) -> bool {
        let registry = watch::registry(self.world);
        let over = || registry.retirements.contains_key(self.cluster);
        registry.clusters.get(self.cluster).map_or_else(over, |record| record.is_retiring())
    }

    /// Whether a service account keeps what it has on a cluster that is being retired.
    fn keeps(&self, name: u8) -> bool {
        let blocked = condition(self.world, name, self.cluster).and_then(|found| found.blocked);
        let elsewhere = stage::clusters().filter(|other| other != self.cluster).any(|other| {
            let ready = condition(self.world, name, &other)
                .is_some_and(|found| found.state == ConditionState::Ready);
            let registry = watch::registry(self.world);
            let record = registry.clusters.get(&other);
            ready && record.is_some_and(|record| record.retired.is_none())
        });
        let is_held = |blocked: Problem| blocked.code() == BlockedCode::NotReadyElsewhere;
        self.is_retiring() && blocked.is_some_and(is_held) && !elsewhere
    }

    /// The place that a service account wants here.
    fn wants(&self, name: u8) -> Option<(ServiceAccountRef, &Sent)> {
        if self.is_retiring() {
            return None;
        }
        let latest = latest(&self.play.sent, name)?;
        match latest.event.asks {
            Asks::Assigned { name, place, clusters, .. }
                if stage::selects(clusters, self.cluster) =>
            {
                Some((stage::wanted_place(name, place), latest))
            }
            _ => None,
        }
    }

    /// Whether a service account may hold a place: its claim was recorded first.
    fn may_hold(&self, name: u8, wanted: &ServiceAccountRef) -> bool {
        let queues = &self.play.watch.queues;
        queues.lost || queues.holder(self.cluster, wanted) == Some(stage::name(name).as_str())
    }

    /// Whether another one may hold it.
    fn another_may_hold(&self, name: u8, wanted: &ServiceAccountRef) -> bool {
        let queues = &self.play.watch.queues;
        let holder = queues.holder(self.cluster, wanted);
        queues.lost || holder.is_some_and(|holder| holder != stage::name(name))
    }

    fn condition(&self, name: u8) -> Result<(), Violation> {
        if latest(&self.play.sent, name).is_none() {
            return Ok(());
        }
        let found = condition(self.world, name, self.cluster);
        let Some((place, sent)) = self.wants(name) else {
            return self.nothing(name, found);
        };
        let Some(found) = found else {
            return Err(self.wrong("every binding has a condition", name, "none"));
        };
        if found.version != sent.version() {
            let what = format!("{} instead of {}", found.version, sent.version());
            return Err(self.wrong("the latest version wins", name, what));
        }
        match (found.state, &found.blocked) {
            (ConditionState::Ready, _) => self.ready(name, &place, sent, &found),
            (ConditionState::Blocked, Some(blocked)) => self.blocked(name, &place, sent, blocked),
            (state, _) => {
                Err(self.wrong("what is asked for is ready or blocked", name, format!("{state:?}")))
            }
        }
    }

    fn nothing(&self, name: u8, found: Option<Condition>) -> Result<(), Violation> {
        let Some(found) = found else { return Ok(()) };
        let gone = found.blocked.as_ref().is_some_and(|blocked| {
            blocked.code() == BlockedCode::ClusterNotFound && !self.exists()
        });
        let unproven = found.blocked.as_ref().is_some_and(|blocked| {
            self.play.troubled && blocked.code() == BlockedCode::OrphanAssociation
        });
        if found.state == ConditionState::Removed || gone || unproven || self.keeps(name) {
            return Ok(());
        }
        let what = format!("{:?} {:?}", found.state, found.blocked);
        Err(self.wrong("what is given up is removed", name, what))
    }

    fn ready(
        &self,
        name: u8,
        place: &ServiceAccountRef,
        sent: &Sent,
        found: &Condition,
    ) -> Result<(), Violation> {
        let rule = "ready means that it is so";
        let Asks::Assigned { role, target, policy, .. } = sent.event.asks else {
            return Err(self.wrong(rule, name, "nobody asked for it"));
        };
        let Some(is) = self.at(place) else {
            return Err(self.wrong(rule, name, format!("no association at {place}")));
        };
        let arn = stage::role(role);
        let json = |text: &str| serde_json::from_str::<Value>(text).ok();
        let wanted_policy = policy.then(|| json(stage::session_policy())).flatten();
        let as_asked = is.role_arn == arn.as_str()
            && is.target_role_arn.as_deref() == target.then(stage::target)
            && is.policy.as_deref().and_then(json) == wanted_policy
            && is.disable_session_tags == policy;
        let whose = is.tags.get(SERVICE_ACCOUNT_TAG) == Some(&stage::name(name)) && is_ours(is);
        let known = found.association.as_ref().is_some_and(|known| known.id == is.id);
        if !(as_asked && whose && known) {
            return Err(self.wrong(
                rule,
                name,
                format!("{is:?}, remembered {:?}", found.association),
            ));
        }
        if !self.may_hold(name, place) {
            return Err(self.wrong("the first recorded holds", name, place));
        }
        // Somebody may change a trust policy after its role was bound: nobody looks then.
        if !self.play.troubled && !stage::is_trusting(self.world.iam.trust(&arn)) {
            return Err(self.wrong("an untrusted role is not bound", name, arn));
        }
        self.granted(name, &arn)
    }

    /// The role is on the list of every node role. Where hands detached policies, that is
    /// reconcile's to find; then the list alone counts.
    fn granted(&self, name: u8, role: &pod_identity_core::RoleArn) -> Result<(), Violation> {
        if self.may_be_full() {
            return Ok(());
        }
        let listed = if self.play.troubled {
            watch::listed_anywhere(self.world, self.cluster).contains(role)
        } else {
            stage::node_roles(self.cluster, self.shared)
                .iter()
                .all(|node_role| watch::granted(self.world, self.cluster, node_role).contains(role))
        };
        if listed {
            return Ok(());
        }
        Err(self.wrong("what is ready is granted", name, role))
    }

    fn may_be_full(&self) -> bool {
        !self.play.setup.strict && self.play.setup.slots < 10
    }

    /// Every reason to block has to be one.
    fn blocked(
        &self,
        name: u8,
        place: &ServiceAccountRef,
        sent: &Sent,
        blocked: &Problem,
    ) -> Result<(), Violation> {
        let Asks::Assigned { role, .. } = sent.event.asks else { return Ok(()) };
        let arn = stage::role(role);
        let there = self.at(place);
        let few_slots = self.play.setup.slots < 10 || self.play.setup.hands;
        let so = match blocked.code() {
            BlockedCode::UntrustedRole | BlockedCode::RefusedRole => {
                !stage::is_trusting(self.world.iam.trust(&arn))
            }
            BlockedCode::RoleNotFound => self.world.iam.trust(&arn).is_none(),
            BlockedCode::ForeignAssociation | BlockedCode::AddOnOwnedAssociation => {
                there.is_some_and(|one| !is_ours(one))
            }
            // Where it wants to be, or where it cannot be shown to have left.
            BlockedCode::OrphanAssociation => {
                let mut all = self.world.eks.associations(self.cluster).into_iter();
                all.any(|one| is_ours(one) && self.play.unknown.contains(&one.id))
            }
            BlockedCode::Conflict => self.another_may_hold(name, place),
            BlockedCode::ReplacedAssociation
            | BlockedCode::LedgerOlderThanCluster
            | BlockedCode::RecreationCeiling => self.play.troubled,
            BlockedCode::NodePolicyFull | BlockedCode::NodeRoleFull | BlockedCode::LimitReached => {
                few_slots
            }
            BlockedCode::ClusterNotFound => !self.exists(),
            _ => false,
        };
        if so {
            return Ok(());
        }
        Err(self.wrong("every reason to block is one", name, format!("{blocked:?} at {there:?}")))
    }

    /// What somebody listed while a run was writing is merged by the next run that grants.
    fn listed_by_hand(&self) -> Result<(), Violation> {
        let grants = (0..NAMES).any(|name| {
            condition(self.world, name, self.cluster)
                .is_some_and(|condition| condition.state == ConditionState::Ready)
        });
        let ours = format!("/{}-eu-west-1-{}-", stage::DEPLOYMENT, self.cluster.name());
        let mut policies = self.world.iam.policy_arns().filter(|arn| arn.contains(&ours));
        let readable = policies
            .all(|arn| self.world.iam.document_in_force(arn).and_then(watch::listed).is_some());
        if !grants || !readable || self.play.setup.ledger || self.play.setup.stalls {
            return Ok(());
        }
        let listed = watch::listed_anywhere(self.world, self.cluster);
        let associations = self.world.eks.associations(self.cluster);
        // What no binding uses may have been trimmed, or have gone with the cluster's retirement.
        let may_leave = self.play.setup.trims || retirement_asked(&self.play.sent);
        let stays = |role: &pod_identity_core::RoleArn| {
            !may_leave || associations.iter().any(|one| one.role_arn == role.as_str())
        };
        let lost = self.play.by_hand.iter().find(|(cluster, role)| {
            cluster == self.cluster && stays(role) && !listed.contains(role)
        });
        match lost {
            Some((_, role)) => Err(Violation::new(
                "what somebody listed stays listed",
                format!("{role} in {}", self.cluster.name()),
            )),
            None => Ok(()),
        }
    }

    /// What is there and nobody wants.
    fn leftovers(&self) -> Result<(), Violation> {
        for one in self.world.eks.associations(self.cluster) {
            if !is_ours(one) || self.play.unknown.contains(&one.id) {
                continue;
            }
            let place = place_of(one);
            let tag = one.tags.get(SERVICE_ACCOUNT_TAG);
            let wanted = (0..NAMES).any(|name| {
                tag == Some(&stage::name(name))
                    && self.wants(name).is_some_and(|(wanted, _)| wanted == place)
            });
            let kept = (0..NAMES).any(|name| tag == Some(&stage::name(name)) && self.keeps(name));
            if !wanted && !kept {
                return Err(Violation::new(
                    "what is given up is removed",
                    format!("{} at {place} in {} of {tag:?}", one.id, self.cluster.name()),
                ));
            }
        }
        Ok(())
    }
}

/// The bus was told of whatever is ready, and no outcome's id stands for two.
fn published(play: &Play<'_>, world: &World) -> Result<(), Violation> {
    let mut outcomes: BTreeMap<&str, Value> = BTreeMap::new();
    for event in &world.bus.events {
        let fields = match event.detail_type.as_str() {
            "Pod Identity Association Ready" => {
                ["serviceAccount", "clusterArn", "associationId", "roleArn"]
            }
            "Pod Identity Association Blocked" => {
                ["serviceAccount", "clusterArn", "code", "reason"]
            }
            _ => continue,
        };
        let said: Value = fields.iter().map(|field| event.detail[*field].clone()).collect();
        let id = event.detail["eventId"].as_str().unwrap();
        if outcomes.insert(id, said.clone()).is_some_and(|before| before != said) {
            return Err(Violation::new("an outcome's id stands for one outcome", said.to_string()));
        }
    }
    if play.setup.ledger {
        return Ok(());
    }
    for cluster in stage::clusters() {
        for name in 0..NAMES {
            let Some(found) = condition(world, name, &cluster) else { continue };
            let (ConditionState::Ready, Some(association)) = (found.state, &found.association)
            else {
                continue;
            };
            let published = world.bus.events.iter().any(|event| {
                event.detail_type == "Pod Identity Association Ready"
                    && event.detail["associationId"] == association.id.as_str()
                    && event.detail["cause"]["eventId"] == found.version.event_id()
                    && event.detail["clusterArn"] == cluster.as_str()
            });
            if !published {
                let what = format!("svc-{name} in {}: {}", cluster.name(), found.version);
                return Err(Violation::new("the bus is told of what is ready", what));
            }
        }
    }
    Ok(())
}
