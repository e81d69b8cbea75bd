//! The desired state of some service accounts on a cluster, arranged by
//! Kubernetes service account.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::plan::{Claim, Place};
use pod_identity_core::{
    Association, Binding, ClusterArn, Clusters, DominoName, Evidence, HeldAssociation, Intent,
    RoleArn, ServiceAccountRef, Verdict,
};
use pod_identity_events::{Problem, RemovalReason};

use super::visibility::Visibility;
use super::{Job, guard};
use crate::context::Context;
use crate::ledger::{
    self, AccountRecord, AssociationRecord, BindingRecord, BindingState, ClaimsRecord,
    ClusterRecord, Condition, ConditionState, GuardRecord, LedgerError, Registry, View,
    account_key, binding_key, claims_key, condition_key, guard_key, node_policy_key, registry_key,
};
use crate::ports::{Key, LedgerReader};
use crate::settings::Settings;

/// What was read under the lease.
pub(super) struct Loaded {
    pub(super) view: View,
    /// The service accounts that the batch is about.
    pub(super) names: BTreeSet<DominoName>,
    /// Those of them whose events come back once.
    pub(super) patient: BTreeSet<DominoName>,
    /// Kubernetes service accounts to look at although none of them wants or leaves them.
    extra: BTreeSet<ServiceAccountRef>,
    /// By service account: those of the batch and those that share a place with them.
    pub(super) conditions: BTreeMap<DominoName, Condition>,
    bindings: BTreeMap<DominoName, BindingRecord>,
    /// What is remembered of each place.
    pub(super) accounts: BTreeMap<ServiceAccountRef, AccountRecord>,
    /// The claims on each place.
    pub(super) claims: BTreeMap<ServiceAccountRef, ClaimsRecord>,
    /// Places whose claims have got numbers that are not written yet, and for which names.
    pub(super) newly_queued: BTreeMap<ServiceAccountRef, BTreeSet<DominoName>>,
    refused: BTreeMap<DominoName, String>,
    /// What keeps associations from being made again.
    pub(super) guard: GuardRecord,
    /// The cluster as the ledger knows it now.
    pub(super) record: ClusterRecord,
    /// The clusters of the deployment.
    pub(super) registry: Registry,
    /// Service accounts that keep their association on a cluster that is being retired, and why.
    retirement_blocked: BTreeMap<DominoName, Problem>,
    /// Whether EKS does not know the cluster, which is being retired.
    pub(super) is_gone: bool,
    pub(super) associations: BTreeMap<ServiceAccountRef, Association>,
    pub(super) visibility: Visibility,
    /// When this was read.
    pub(super) now: Timestamp,
}

impl Loaded {
    /// Reads the ledger again: another run may have written it while this one
    /// waited for the lease. `expected` only says what is worth asking for in one go.
    pub(super) async fn read(
        context: &Context<'_>,
        job: Job<'_>,
        expected: &BTreeSet<ServiceAccountRef>,
    ) -> Result<Self, LedgerError> {
        let Job { cluster, names, .. } = job;
        let mut loaded = Self {
            view: View::default(),
            names: names.clone(),
            patient: names.intersection(&job.extra.patient).cloned().collect(),
            extra: job.extra.places.clone(),
            conditions: BTreeMap::new(),
            bindings: BTreeMap::new(),
            accounts: BTreeMap::new(),
            claims: BTreeMap::new(),
            newly_queued: BTreeMap::new(),
            refused: BTreeMap::new(),
            guard: GuardRecord::default(),
            record: job.record.clone(),
            registry: Registry::default(),
            retirement_blocked: BTreeMap::new(),
            is_gone: false,
            associations: BTreeMap::new(),
            visibility: Visibility::default(),
            now: context.clock.now(),
        };
        let mut keys = vec![registry_key(), node_policy_key(cluster), guard_key(cluster)];
        for name in names {
            keys.extend([binding_key(name), condition_key(name, cluster)]);
        }
        let of_place = |place: &ServiceAccountRef| [claims_key(place), account_key(cluster, place)];
        keys.extend(expected.iter().flat_map(of_place));
        loaded.view.read(context.ledger, &keys).await?;
        loaded.registry = ledger::registry(&loaded.view, &context.settings.plan.deployment)?;
        let guard = loaded.view.get::<GuardRecord>(&guard_key(cluster))?;
        loaded.guard = guard.unwrap_or_default();
        loaded.guard.halted = loaded.guard.halted.or_else(|| job.extra.halted.clone());
        loaded.guard.resumed.extend(job.extra.free.iter().cloned());
        if !job.presumed {
            let record = loaded.registry.clusters.get(cluster).cloned();
            loaded.record = record.ok_or_else(|| LedgerError::Deregistered(cluster.clone()))?;
        }
        loaded.merge_in(context, cluster, names.clone())?;

        let unread: Vec<Key> =
            loaded.kubernetes().difference(expected).flat_map(of_place).collect();
        loaded.view.read(context.ledger, &unread).await?;
        let mut others = BTreeSet::new();
        for place in loaded.kubernetes() {
            let account = loaded
                .view
                .get::<AccountRecord>(&account_key(cluster, &place))?
                .unwrap_or_default();
            others.extend(account.held.as_ref().map(|held| held.service_account.clone()));
            loaded.accounts.insert(place.clone(), account);
            let mut claims =
                loaded.view.get::<ClaimsRecord>(&claims_key(&place))?.unwrap_or_default();
            for name in loaded.waiting(&place, job) {
                let Some(binding) = loaded.binding(&name) else { continue };
                if claims.enqueue(binding) {
                    loaded.newly_queued.entry(place.clone()).or_default().insert(name);
                }
            }
            others.extend(claims.holder(cluster).cloned());
            loaded.claims.insert(place, claims);
        }
        others.retain(|name| !names.contains(name));
        loaded.load_claimants(context, cluster, others).await?;
        Ok(loaded)
    }

    /// Those of the batch that want a place, by how long they have wanted it. None where a run does
    /// not know all that want it.
    fn waiting(&self, place: &ServiceAccountRef, job: Job<'_>) -> Vec<DominoName> {
        let wants = |name: &&DominoName| self.binding(name).is_some_and(|b| b.kubernetes == *place);
        let names = self.names.iter().filter(|_| job.extra.knows_all).filter(wants);
        let mut names: Vec<DominoName> = names.cloned().collect();
        names.sort_by_key(|name| self.bindings[name].claimed_at);
        names
    }

    /// Reads the bindings and conditions of more service accounts.
    async fn load_claimants(
        &mut self,
        context: &Context<'_>,
        cluster: &ClusterArn,
        names: BTreeSet<DominoName>,
    ) -> Result<(), LedgerError> {
        let keys: Vec<Key> = names
            .iter()
            .flat_map(|name| [binding_key(name), condition_key(name, cluster)])
            .collect();
        self.view.read(context.ledger, &keys).await?;
        self.merge_in(context, cluster, names)
    }

    fn merge_in(
        &mut self,
        context: &Context<'_>,
        cluster: &ClusterArn,
        names: BTreeSet<DominoName>,
    ) -> Result<(), LedgerError> {
        for name in names {
            let Some(record) = self.view.get::<BindingRecord>(&binding_key(&name))? else {
                continue;
            };
            let before = self.view.get::<Condition>(&condition_key(&name, cluster))?;
            let condition = current_condition(&name, &self.record, &record, before, context);
            let refused = record.binding().and_then(|b| refused(b, cluster, context.settings));
            self.refused.extend(refused.map(|reasons| (name.clone(), reasons)));
            self.conditions.insert(name.clone(), condition);
            self.bindings.insert(name, record);
        }
        Ok(())
    }

    /// The Kubernetes service accounts that the batch's service accounts want or leave.
    pub(super) fn kubernetes(&self) -> BTreeSet<ServiceAccountRef> {
        self.names
            .iter()
            .filter_map(|name| self.conditions.get(name))
            .flat_map(|condition| condition.wanted.iter().chain(condition.leaving.keys()))
            .chain(&self.extra)
            .cloned()
            .collect()
    }

    pub(super) fn binding(&self, name: &DominoName) -> Option<&Binding> {
        self.bindings.get(name)?.binding()
    }

    fn claimants(&self, kubernetes: &ServiceAccountRef) -> Vec<&DominoName> {
        self.conditions
            .iter()
            .filter(|(_, condition)| condition.wanted.as_ref() == Some(kubernetes))
            .map(|(name, _)| name)
            .collect()
    }

    /// Whether the binding that holds a place by the claims does not want it by its own record: the
    /// two were read apart, and the next in line is not known.
    pub(super) fn holder_left(&self, place: &ServiceAccountRef) -> bool {
        let holder = self
            .claims
            .get(place)
            .and_then(|claims| claims.holder(&self.record.registration.cluster));
        let claimants = self.claimants(place);
        !claimants.is_empty() && holder.is_some_and(|holder| !claimants.contains(&holder))
    }

    /// What only an intent accounts for at a place: its id is to be recorded before it is changed.
    pub(super) fn unconfirmed(
        &self,
        place: &ServiceAccountRef,
        deployment: &str,
    ) -> Option<HeldAssociation> {
        let association = self.associations.get(place)?;
        let intents = self.intents(place);
        let evidence = self.evidence(place, deployment, &intents);
        let Verdict::Unconfirmed(name) = Verdict::of(association, &evidence) else { return None };
        let fits =
            |(of, intent): &&(DominoName, Intent)| of == name && association.fits(&intent.desired);
        let (_, intent) = intents.iter().find(fits)?;
        Some(HeldAssociation {
            id: association.id.clone(),
            arn: association.arn.clone(),
            service_account: name.clone(),
            version: intent.version.clone(),
            desired: intent.desired.clone(),
        })
    }

    /// What the ledger knows of a place, without the word of an administrator.
    fn evidence<'a>(
        &'a self,
        place: &ServiceAccountRef,
        deployment: &'a str,
        intents: &'a [(DominoName, Intent)],
    ) -> Evidence<'a> {
        let held = self.accounts.get(place).and_then(|account| account.held.as_ref());
        Evidence { deployment, held, intents, adopts: None }
    }

    /// What a creation may have made at a place, with the name that it was for.
    fn intents(&self, place: &ServiceAccountRef) -> Vec<(DominoName, Intent)> {
        let of = |(name, condition): (&DominoName, &Condition)| {
            let open = condition.open_intents(place, self.now);
            open.map(|intent| (name.clone(), intent.clone())).collect::<Vec<_>>()
        };
        self.conditions.iter().flat_map(of).collect()
    }

    /// Finds out which service accounts the associations serve by what the ledger remembers, and
    /// that one whose place this is no longer is leaving it. A tag only says whose intents to read.
    pub(super) async fn resolve_owners(
        &mut self,
        context: &Context<'_>,
        cluster: &ClusterArn,
    ) -> Result<(), LedgerError> {
        let deployment = &context.settings.plan.deployment;
        let tagged = |one: &Association| one.tagged_by(deployment).flatten()?.parse().ok();
        let tagged: BTreeSet<DominoName> = self.associations.values().filter_map(tagged).collect();
        let unmet = tagged.into_iter().filter(|name| !self.conditions.contains_key(name)).collect();
        self.load_claimants(context, cluster, unmet).await?;
        let mut owners = Vec::new();
        for (place, account) in &self.accounts {
            let intents = self.intents(place);
            let evidence = self.evidence(place, deployment, &intents);
            let shown = self.associations.get(place);
            let shown = shown.and_then(|one| Verdict::of(one, &evidence).owner().cloned());
            let held = || account.held.as_ref().map(|held| held.service_account.clone());
            let owner = shown.or_else(held);
            owners.extend(owner.map(|name| (place.clone(), name)));
        }
        for (place, name) in owners {
            let (Some(condition), Some(record)) =
                (self.conditions.get_mut(&name), self.bindings.get(&name))
            else {
                continue;
            };
            if condition.wanted.as_ref() == Some(&place) {
                continue;
            }
            let reason = match &record.state {
                BindingState::Unbound { reason } => *reason,
                BindingState::Bound { binding } if self.record.takes_away(binding, &place) => {
                    RemovalReason::ClusterRetired
                }
                BindingState::Bound { .. } => RemovalReason::Moved,
            };
            condition.leaving.entry(place).or_insert(reason);
        }
        Ok(())
    }

    /// Looks for those who would lose their last association with this cluster's: they keep it.
    pub(super) async fn apply_retirement_guard(
        &mut self,
        ledger: &dyn LedgerReader,
    ) -> Result<(), LedgerError> {
        let retires = |condition: &Condition| {
            condition.leaving.values().any(|reason| *reason == RemovalReason::ClusterRetired)
        };
        let mut leaving = self.bindings.clone();
        leaving.retain(|name, _| self.conditions.get(name).is_some_and(retires));
        let Some(retirement) = self.record.retired.as_ref().filter(|_| !leaving.is_empty()) else {
            return Ok(());
        };
        let cluster = &self.record.registration.cluster;
        let left_behind =
            guard::left_behind(ledger, &self.registry, cluster, &retirement.exemptions, &leaving)
                .await?;
        self.retirement_blocked =
            left_behind.into_iter().map(|name| (name, guard::problem(cluster))).collect();
        Ok(())
    }

    /// Ends the condition of a service account outside the batch, of which only
    /// a place that it shares with the batch was planned: it is ready if its
    /// own place was as its binding says, or else as it was.
    pub(super) fn carry_over(&self, name: &DominoName, condition: &mut Condition) {
        let Some(before) = self.conditions.get(name) else { return };
        let binding = self.bindings.get(name).and_then(BindingRecord::binding);
        let stands = |association: &AssociationRecord| {
            binding.is_some_and(|binding| {
                association.desired == binding.desired
                    && association.kubernetes == binding.kubernetes
            })
        };
        if condition.leaving.is_empty() && condition.association.as_ref().is_some_and(stands) {
            condition.state = ConditionState::Ready;
        } else {
            condition.state = before.state;
            condition.blocked.clone_from(&before.blocked);
        }
    }

    /// Closes the intents of a blocked binding whose values it no longer asks for, where nothing was
    /// written lately and nothing is there that they might account for.
    pub(super) fn close_intents(&self, name: &DominoName, condition: &mut Condition) {
        let Some(binding) = self.binding(name) else { return };
        let (place, desired) = (&binding.kubernetes, &binding.desired);
        let account = self.accounts.get(place);
        let written = account.is_some_and(|account| account.last_write.is_some());
        let held = account.and_then(|account| account.held.as_ref());
        let shown = self.associations.get(place);
        let unknown = shown.is_some_and(|shown| held.is_none_or(|held| held.id != shown.id));
        let made = unknown
            && shown.is_some_and(|shown| {
                self.intents(place).iter().any(|(_, i)| i.may_have_made(shown))
            });
        if condition.wanted.as_ref() != Some(place) || (written && held.is_none()) || made {
            return;
        }
        condition.intents.retain(|intent| {
            intent.kubernetes != *place
                || intent.expires_at.is_some()
                || intent.allows(place, desired)
        });
    }

    /// The places as planning takes them.
    pub(super) fn places(&self) -> Vec<Place> {
        self.kubernetes().into_iter().map(|kubernetes| self.place(kubernetes)).collect()
    }

    fn place(&self, kubernetes: ServiceAccountRef) -> Place {
        let cluster = &self.record.registration.cluster;
        let queue = self.claims.get(&kubernetes);
        let claim = |name: &DominoName| {
            let record = &self.bindings[name];
            Some(Claim {
                binding: record.binding()?.clone(),
                version: record.version.clone(),
                number: queue.and_then(|claims| claims.number(name, cluster)),
                refused: self.refused.get(name).cloned(),
                adopts: self.conditions[name].adopts.clone(),
                held_back: self.conditions[name].is_held_back(),
            })
        };
        let leaving = |(name, condition): (&DominoName, &Condition)| {
            Some((name.clone(), *condition.leaving.get(&kubernetes)?))
        };
        let account = self.accounts.get(&kubernetes).cloned().unwrap_or_default();
        Place {
            claims: self.claimants(&kubernetes).into_iter().filter_map(claim).collect(),
            leaving: self.conditions.iter().filter_map(leaving).collect(),
            retirement_blocked: self.retirement_blocked.clone(),
            association: self.associations.get(&kubernetes).cloned(),
            // With a cluster that is being retired its associations go too.
            held: account.held.filter(|_| !self.is_gone),
            last_id: account.last_id,
            intents: self.intents(&kubernetes),
            kubernetes,
        }
    }
}

/// The Kubernetes service accounts that a job's service accounts have, want or leave, and the roles
/// that they want, by what the ledger said before the lease was had.
pub(super) fn expected(
    job: Job<'_>,
    settings: &Settings,
) -> Result<(BTreeSet<ServiceAccountRef>, BTreeSet<RoleArn>), LedgerError> {
    let (mut places, mut roles) = (job.extra.places.clone(), BTreeSet::new());
    for name in job.names {
        if let Some(stored) = job.hint.get::<Condition>(&condition_key(name, job.cluster))? {
            let Condition { wanted, leaving, .. } = stored;
            places.extend(wanted.into_iter().chain(leaving.into_keys()));
        }
        let binding = job.hint.get::<BindingRecord>(&binding_key(name))?;
        let binding = binding.as_ref().and_then(|stored| stored.binding());
        let Some(binding) = binding.filter(|binding| job.record.takes(binding)) else { continue };
        places.insert(binding.kubernetes.clone());
        if refused(binding, job.cluster, settings).is_none() {
            roles.insert(binding.desired.role.clone());
        }
    }
    Ok((places, roles))
}

/// Why a binding is refused: an allow-list may have been narrowed since it was accepted.
/// Only this cluster counts: that another one of the binding's is gone is no reason here.
fn refused(binding: &Binding, cluster: &ClusterArn, settings: &Settings) -> Option<String> {
    let mut here = binding.clone();
    here.clusters = Clusters::Named([cluster.clone()].into());
    settings.rules.admits(&here).err().map(|reasons| reasons.join("; "))
}

/// The condition that fits the binding as it is now. One that was written for
/// an older version, or none because the cluster was registered later, is
/// brought up to date; what it remembers to be removed stays remembered.
fn current_condition(
    name: &DominoName,
    here: &ClusterRecord,
    record: &BindingRecord,
    before: Option<Condition>,
    context: &Context<'_>,
) -> Condition {
    let cluster = &here.registration.cluster;
    let wanted = record.binding().filter(|b| here.takes(b)).map(|b| b.kubernetes.clone());
    let meant = record.binding().filter(|b| b.selects(cluster));
    let reason = match &record.state {
        BindingState::Unbound { reason } => *reason,
        BindingState::Bound { .. } if meant.is_some() && wanted.is_none() => {
            RemovalReason::ClusterRetired
        }
        BindingState::Bound { .. } => RemovalReason::Moved,
    };
    let mut condition = before.unwrap_or_else(|| Condition {
        service_account: name.clone(),
        cluster: cluster.clone(),
        version: record.version.clone(),
        wanted: wanted.clone(),
        leaving: BTreeMap::new(),
        state: ConditionState::Pending,
        blocked: None,
        association: None,
        adopts: None,
        credentials_changed_at: None,
        before: None,
        intents: Vec::new(),
        removals: BTreeMap::new(),
        trust: None,
        warnings: Vec::new(),
        updated_at: context.clock.now(),
        request_id: context.run.request_id().to_owned(),
    });
    if condition.wanted != wanted {
        condition.adopts = None;
        condition.leaving.extend(condition.wanted.take().map(|had| (had, reason)));
    }
    // What a retirement gave up stays so for the reason that counts by now.
    for left_for in condition.leaving.values_mut() {
        if *left_for == RemovalReason::ClusterRetired {
            *left_for = reason;
        }
    }
    if let Some(wanted) = &wanted {
        condition.leaving.remove(wanted);
    }
    condition.wanted = wanted;
    if condition.version != record.version {
        condition.version = record.version.clone();
        condition.state = ConditionState::Pending;
    }
    condition
}
