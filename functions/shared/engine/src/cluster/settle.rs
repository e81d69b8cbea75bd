//! After the plan was applied: outcome events first, then conditions, then
//! the lease goes back. A run that dies in between sends its events again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_core::plan::{AssociationStep, Blocked, Bound, PlacePlan, Plan};
use pod_identity_core::{
    Association, DominoName, HeldAssociation, INTENT_KEPT, Intent, MAX_INTENTS, ServiceAccountRef,
};
use pod_identity_events::{
    AssociationChange, Outgoing, PolicyCapacity, Problem, RemovalReason, TrustVerdict,
};

use super::ClusterReport;
use super::places::Loaded;
use super::visibility;
use super::write::{Memory, write};
use crate::apply::{Applied, Target, unpublished};
use crate::error::Error;
use crate::ledger::{
    AccountRecord, AssociationRecord, Condition, ConditionState, MAX_REMOVALS, NodePolicyRecord,
    RemovalRecord, WorkedRecord,
};
use crate::outcome::Outcomes;
use crate::publish::publish;
use crate::settings::{Settings, later};

/// What is known of the outcome while it is put together.
struct Results<'a> {
    loaded: &'a Loaded,
    outcomes: Outcomes<'a>,
    conditions: BTreeMap<DominoName, Condition>,
    /// What is remembered of each place now.
    accounts: BTreeMap<ServiceAccountRef, AccountRecord>,
    failures: BTreeMap<DominoName, Error>,
    /// Those whose failure IAM may end by itself.
    unsettled: BTreeSet<DominoName>,
    events: Vec<(EventTopic, Outgoing)>,
}

/// How long IAM takes at most to show a change, as a rule.
const IAM_SHOWS: Duration = Duration::from_secs(60);

/// What an outcome event is about, and so what stays unfinished without it.
enum EventTopic {
    Binding(DominoName),
    Policy(u32),
}

pub(super) async fn settle(
    target: &Target<'_>,
    loaded: Loaded,
    plan: &Plan,
    applied: &Applied,
    node_policy: Option<NodePolicyRecord>,
) -> Result<ClusterReport, Error> {
    let (context, cluster) = (target.cloud.context, &target.access.cluster);
    let now = context.clock.now();
    let outcomes = Outcomes { cluster, now, request_id: context.run.request_id() };
    let mut results = Results {
        loaded: &loaded,
        outcomes,
        conditions: BTreeMap::new(),
        accounts: loaded.accounts.clone(),
        failures: BTreeMap::new(),
        unsettled: BTreeSet::new(),
        events: Vec::new(),
    };
    results.policy_events(node_policy.as_ref(), applied, context.settings, &plan.capacity);
    for place in &plan.places {
        let ungranted = applied.ungranted(place).cloned().map(Err);
        if let Some(why) = loaded.visibility.doubts.get(&place.kubernetes) {
            results.fail(place, why);
            continue;
        }
        if let Some(Err(Error::Blocked(problem))) = &ungranted {
            results.ungranted(place, problem);
            continue;
        }
        let result = applied.places.get(&place.kubernetes).or(ungranted.as_ref());
        results.place(place, result);
    }
    results.finish();
    for (place, written) in visibility::written(plan, applied, now) {
        results.accounts.entry(place).or_default().last_write = Some(written);
    }
    let Results { mut conditions, mut accounts, mut failures, unsettled, events, .. } = results;

    let mut record = node_policy;
    let outgoing: Vec<Outgoing> = events.iter().map(|(_, event)| event.clone()).collect();
    for ((about, event), sent) in
        events.into_iter().zip(publish(target.writers.bus, context.clock, &outgoing).await)
    {
        match (about, sent) {
            (EventTopic::Binding(_), Ok(())) => {}
            (EventTopic::Policy(number), Ok(())) => {
                record.iter_mut().for_each(|record| record.is_published(number));
            }
            (about, Err(why)) => {
                let why =
                    why.worded(|why| format!("event {} was not sent: {why}", event.detail_type()));
                tracing::warn!(cluster = cluster.name(), "{why}");
                // Without its event the condition stays unfinished, so that it is sent again;
                // of a policy it stays unpublished until the next work on the cluster.
                if let EventTopic::Binding(name) = about {
                    failures.entry(name).or_insert(why);
                }
            }
        }
    }
    conditions.retain(|name, _| !failures.contains_key(name));
    // Nobody delivers anything again for those who only share a place with the
    // batch's service accounts: what failed for them fails for the batch.
    let shared = failures.iter().find(|(name, _)| !loaded.names.contains(*name));
    if let Some((_, why)) = shared.map(|(name, why)| (name.clone(), why.clone())) {
        for name in &loaded.names {
            failures.entry(name.clone()).or_insert_with(|| why.clone());
        }
    }
    for condition in conditions.values() {
        tracing::info!(
            event_id = condition.version.event_id(),
            service_account = condition.service_account.as_str(),
            cluster = cluster.name(),
            state = ?condition.state,
            reason = condition.blocked.as_ref().map(Problem::message),
            association = condition.association.as_ref().map(|one| one.id.as_str()),
            "condition"
        );
    }
    accounts.retain(|place, account| loaded.accounts.get(place) != Some(account));
    // The next in line was read apart from who leaves: had it changed since, no run would bind it.
    let left =
        plan.places.iter().filter(|place| place.bound.is_none() && !place.removed.is_empty());
    let left = left.map(|place| {
        let names = place.removed.iter().map(|removed| removed.service_account.clone());
        (place.kubernetes.clone(), names.collect())
    });
    let memory = Memory { node_policy: record.clone(), accounts, left: left.collect() };
    write(target, &loaded, &mut conditions, &mut failures, memory).await?;
    let node_policies = record;
    Ok(ClusterReport { conditions, failures, unsettled, node_policies, ..ClusterReport::default() })
}

impl Results<'_> {
    fn policy_events(
        &mut self,
        record: Option<&NodePolicyRecord>,
        applied: &Applied,
        settings: &Settings,
        capacity: &PolicyCapacity,
    ) {
        let Some(record) = record else { return };
        let written = unpublished(record, self.outcomes.cluster, settings);
        for change in written.iter().chain(&applied.deleted) {
            let event = self.outcomes.policy_changed(change, &record.node_roles, capacity);
            self.events.push((EventTopic::Policy(change.number), event));
        }
    }

    /// The condition of a service account, as far as it has been put together.
    /// It begins without a verdict: whatever was said before was seen again.
    fn condition(&mut self, name: &DominoName) -> Option<&mut Condition> {
        if !self.conditions.contains_key(name) {
            let mut condition = self.loaded.conditions.get(name)?.clone();
            condition.state = ConditionState::Pending;
            condition.blocked = None;
            self.conditions.insert(name.clone(), condition);
        }
        self.conditions.get_mut(name)
    }

    /// Everybody at a place is to be looked at again.
    fn fail(&mut self, place: &PlacePlan, why: &Error) {
        let here = place.bound.iter().map(|bound| &bound.service_account);
        let gone = place.removed.iter().map(|removed| &removed.service_account);
        let blocked = place.blocked.iter().map(|blocked| &blocked.service_account);
        for name in here.chain(gone).chain(blocked) {
            self.failures.entry(name.clone()).or_insert_with(|| why.clone());
        }
    }

    /// The role of whom a place would serve cannot be granted. What was given up is planned again, without
    /// him; who left nothing there has left.
    fn ungranted(&mut self, place: &PlacePlan, problem: &Problem) {
        if place.hands_on() {
            return self.fail(place, &problem.message().into());
        }
        self.bound_is_blocked(place, problem);
        for blocked in &place.blocked {
            self.blocked(&place.kubernetes, blocked);
        }
        self.removed(place);
    }

    /// Whom a place would serve is blocked after all.
    fn bound_is_blocked(&mut self, place: &PlacePlan, problem: &Problem) {
        let Some(bound) = &place.bound else { return };
        let (version, role) = (Some(&bound.version), Some(&bound.desired.role));
        let mut blocked = Blocked::by(problem.clone(), &bound.service_account, version, role);
        if let Problem::RefusedRole { trusted_role_arn, .. } = &mut blocked.problem
            && bound.trust.verdict == TrustVerdict::Trusted
        {
            *trusted_role_arn = Some(bound.desired.role.to_string());
            if self.may_settle(&blocked) {
                return;
            }
        }
        self.blocked(&place.kubernetes, &blocked);
    }

    /// Whether IAM may show by itself soon what a binding lacks, and its event comes back.
    fn may_settle(&mut self, blocked: &Blocked) -> bool {
        let name = &blocked.service_account;
        if !self.loaded.patient.contains(name) {
            return false;
        }
        let why = format!(
            "{}; IAM may not show yet what was changed just now, so it is looked at again",
            blocked.problem.message()
        );
        let until = later(self.outcomes.now, IAM_SHOWS);
        self.failures.entry(name.clone()).or_insert(Error::Waits { why, until });
        self.unsettled.insert(name.clone());
        true
    }

    fn place(&mut self, place: &PlacePlan, result: Option<&Result<Option<Association>, Error>>) {
        let kubernetes = &place.kubernetes;
        match result {
            Some(Err(Error::Blocked(problem))) => {
                self.bound_is_blocked(place, problem);
                for gone in &place.removed {
                    let blocked =
                        Blocked::by(Problem::clone(problem), &gone.service_account, None, None);
                    self.blocked(kubernetes, &blocked);
                }
            }
            Some(Err(why)) => {
                let here = place.bound.iter().map(|bound| &bound.service_account);
                let gone = place.removed.iter().map(|removed| &removed.service_account);
                for name in here.chain(gone) {
                    self.failures.entry(name.clone()).or_insert_with(|| why.clone());
                }
            }
            Some(Ok(association)) => self.done(place, association.as_ref()),
            None => self.done(place, None),
        }
        for blocked in &place.blocked {
            let is_missing = matches!(blocked.problem, Problem::RoleNotFound { .. });
            if !is_missing || !self.may_settle(blocked) {
                self.blocked(kubernetes, blocked);
            }
        }
    }

    fn done(&mut self, place: &PlacePlan, association: Option<&Association>) {
        self.bound(place, association);
        self.removed(place);
    }

    fn blocked(&mut self, kubernetes: &ServiceAccountRef, blocked: &Blocked) {
        let name = &blocked.service_account;
        let Some(condition) = self.condition(name) else { return };
        condition.state = ConditionState::Blocked;
        condition.blocked = Some(blocked.problem.clone());
        condition.trust.clone_from(&blocked.trust);
        if self.has_news(name) {
            let event = self.outcomes.blocked(kubernetes, blocked);
            self.events.push((EventTopic::Binding(name.clone()), event));
        }
    }

    fn bound(&mut self, place: &PlacePlan, association: Option<&Association>) {
        let Some(bound) = &place.bound else { return };
        let found = match (association, &bound.unchanged) {
            (Some(made), _) => (made.id.clone(), made.arn.clone(), made.external_id.clone()),
            (None, Some(there)) => (there.id.clone(), there.arn.clone(), there.external_id.clone()),
            (None, None) => {
                // Changed, and then gone when it was looked at again.
                let why = format!(
                    "the association of {} vanished; the next delivery looks again",
                    place.kubernetes
                );
                self.failures.entry(bound.service_account.clone()).or_insert(why.into());
                return;
            }
        };
        let (id, arn, external_id) = found;
        let change = match &place.step {
            None => AssociationChange::Unchanged,
            Some(AssociationStep::UpdateAssociation { id: of, .. }) if *of == id => {
                AssociationChange::Updated
            }
            // EKS kept a value that was to go, so it was made again.
            Some(_) => AssociationChange::Created,
        };
        let record = AssociationRecord {
            id,
            arn,
            kubernetes: place.kubernetes.clone(),
            desired: bound.desired.clone(),
            external_id,
        };
        self.ready(bound, &record);
        if self.has_news(&bound.service_account) {
            let event = self.outcomes.ready(&place.kubernetes, bound, &record, change);
            self.events.push((EventTopic::Binding(bound.service_account.clone()), event));
        }
    }

    fn ready(&mut self, bound: &Bound, association: &AssociationRecord) {
        let now = self.outcomes.now;
        let account = self.accounts.entry(association.kubernetes.clone()).or_default();
        account.held = Some(HeldAssociation {
            id: association.id.clone(),
            arn: association.arn.clone(),
            service_account: bound.service_account.clone(),
            version: bound.version.clone(),
            desired: association.desired.clone(),
        });
        account.last_id = None;
        // While a run that died may still have made something, its intents stay open.
        let settled = self.loaded.visibility.abandoned_until.is_none();
        let Some(condition) = self.condition(&bound.service_account) else { return };
        // An association made again with the same role gives the same credentials.
        let here = |was: &&AssociationRecord| was.kubernetes == association.kubernetes;
        let was = condition.association.as_ref().filter(here);
        if was.is_none_or(|was| was.desired != association.desired) {
            let since = condition.credentials_changed_at;
            condition.before = was.map(|was| WorkedRecord { desired: was.desired.clone(), since });
            condition.credentials_changed_at = Some(now);
        }
        // What could not be removed elsewhere counts more.
        if condition.state != ConditionState::Blocked {
            condition.state = ConditionState::Ready;
        }
        condition.association = Some(association.clone());
        if settled {
            condition.intents.retain(|one| one.kubernetes != association.kubernetes);
        } else {
            expire_intents(condition, &association.kubernetes, None, now, now);
        }
        condition.adopts = None;
        condition.trust = Some(bound.trust.clone());
        condition.warnings.clone_from(&bound.warnings);
    }

    fn removed(&mut self, place: &PlacePlan) {
        let (now, looked_at) = (self.outcomes.now, self.loaded.now);
        let account = self.accounts.entry(place.kubernetes.clone()).or_default();
        let leaves = |held: &HeldAssociation| {
            place.removed.iter().any(|removed| removed.service_account == held.service_account)
        };
        if place.bound.is_none() && account.held.as_ref().is_some_and(leaves) {
            account.last_id = account.held.take().map(|held| held.id);
        } else if account.held.is_none() {
            // Its id was never recorded: making it again has to ask with another token all the same.
            let id = place.removed.iter().find_map(|removed| removed.association_id.clone());
            account.last_id = id.or(account.last_id.take());
        }
        let held = self.loaded.accounts.get(&place.kubernetes).and_then(|one| one.held.clone());
        for removed in &place.removed {
            let name = &removed.service_account;
            // A run that died may have deleted it already; then only the ledger remembers it.
            let before = self.loaded.conditions.get(name);
            let remembered = before
                .and_then(|before| before.association.clone())
                .filter(|association| association.kubernetes == place.kubernetes);
            let Some(condition) = self.condition(name) else { continue };
            condition.leaving.remove(&place.kubernetes);
            let held = held.as_ref().filter(|held| held.service_account == *name);
            expire_intents(condition, &place.kubernetes, held, looked_at, now);
            // A run that died may have deleted what the ledger never knew; what comes back is new.
            let retired = removed.reason == RemovalReason::ClusterRetired;
            if removed.association_id.is_some() || remembered.is_some() || retired {
                // Of the place that it moved to, the condition may tell already.
                let since = before.and_then(|before| before.credentials_changed_at);
                let before = remembered
                    .as_ref()
                    .map(|last| WorkedRecord { desired: last.desired.clone(), since });
                remember(&mut condition.removals, place.kubernetes.clone(), now, before);
                if condition.wanted.is_none() {
                    condition.credentials_changed_at = Some(now);
                    condition.before = None;
                }
            }
            let here = |last: &AssociationRecord| last.kubernetes == place.kubernetes;
            if condition.association.as_ref().is_some_and(here) {
                condition.association = None;
            }
            let version = condition.version.clone();
            let mut removed = removed.clone();
            // An association that is passed on may have its next role by now.
            if let (Some(_), Some(remembered)) = (&place.bound, &remembered) {
                removed.role = Some(remembered.desired.role.to_string());
            }
            let event =
                self.outcomes.removed(&place.kubernetes, &removed, remembered.as_ref(), &version);
            self.events.push((EventTopic::Binding(name.clone()), event));
        }
    }

    /// Whether the condition says something else than the ledger's.
    fn has_news(&self, name: &DominoName) -> bool {
        let after = self.conditions.get(name).map(news);
        let before = self.loaded.conditions.get(name).map(news);
        after != before
    }

    /// Service accounts that have nothing left to remove and want nothing here are done.
    fn finish(&mut self) {
        let (now, request_id) = (self.outcomes.now, self.outcomes.request_id.to_owned());
        for name in self.loaded.names.clone() {
            // A condition that nothing was planned for, such as a tombstone without a place.
            self.condition(&name);
        }
        let settled = self.loaded.visibility.abandoned_until.is_none();
        for (name, condition) in &mut self.conditions {
            if settled && condition.state == ConditionState::Blocked {
                self.loaded.close_intents(name, condition);
            }
            // Of those outside the batch only the shared place was planned.
            if condition.state == ConditionState::Pending && !self.loaded.names.contains(name) {
                self.loaded.carry_over(name, condition);
            }
            if condition.wanted.is_none() && condition.leaving.is_empty() {
                condition.state = ConditionState::Removed;
                condition.blocked = None;
                condition.association = None;
                condition.trust = None;
                condition.warnings.clear();
            }
            condition.updated_at = now;
            condition.request_id.clone_from(&request_id);
        }
        let stored = &self.loaded.conditions;
        let names = &self.loaded.names;
        self.conditions.retain(|name, condition| {
            names.contains(name) || stored.get(name).map(said) != Some(said(condition))
        });
    }
}

/// A creation that was under way may still take effect after a removal: it is accounted for a while.
fn expire_intents(
    condition: &mut Condition,
    place: &ServiceAccountRef,
    held: Option<&HeldAssociation>,
    looked_at: Timestamp,
    now: Timestamp,
) {
    let expires_at = Some(later(now, INTENT_KEPT));
    let mut here = condition.intents.iter_mut().filter(|one| one.kubernetes == *place);
    here.by_ref().for_each(|one| one.expires_at = one.expires_at.or(expires_at));
    let Some(HeldAssociation { version, desired, .. }) = held else { return };
    condition.intents.retain(|one| !one.allows(place, desired));
    condition.intents.push(Intent {
        kubernetes: place.clone(),
        version: version.clone(),
        desired: desired.clone(),
        recorded_at: looked_at,
        expires_at,
    });
    let surplus = condition.intents.len().saturating_sub(MAX_INTENTS);
    condition.intents.drain(..surplus);
}

/// Remembers that a place was lost.
fn remember(
    removals: &mut BTreeMap<ServiceAccountRef, RemovalRecord>,
    place: ServiceAccountRef,
    at: Timestamp,
    before: Option<WorkedRecord>,
) {
    removals.insert(place, RemovalRecord { at, before });
    while removals.len() > MAX_REMOVALS {
        let oldest = removals.iter().min_by_key(|(_, removal)| removal.at);
        let Some(oldest) = oldest.map(|(place, _)| place.clone()) else { break };
        removals.remove(&oldest);
    }
}

/// What a condition says, without when and by whom it was said.
fn said(condition: &Condition) -> Condition {
    let mut said = condition.clone();
    said.intents.clear();
    said.updated_at = Timestamp::UNIX_EPOCH;
    said.request_id.clear();
    said
}

/// What of a condition is worth an event: not in which words AWS or a rule says the same again.
fn news(condition: &Condition) -> impl PartialEq + use<> {
    let mut said = said(condition);
    let identity = said.blocked.take().map(|problem| problem.identity());
    if let Some(trust) = &mut said.trust {
        trust.reason.clear();
    }
    (said, identity)
}
