//! The ledger's word about some service accounts on a cluster, arranged by
//! Kubernetes service account.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::plan::{Claim, Place, Problem};
use pod_identity_core::{
    Association, Binding, ClusterArn, Clusters, DominoName, KubernetesName, Ownership, Version,
};
use pod_identity_events::RemovalReason;

use super::recent::Recent;
use super::{Context, Job, guard};
use crate::ledger::{
    self, AssociationRecord, BindingRecord, BindingState, ClaimsRecord, ClusterRecord, Condition,
    ConditionState, HistoryOutcome, HistoryRecord, LedgerError, Registry, View, binding_key,
    claims_key, condition_key, history_partition, node_policy_key, recent_key, registry_key,
};
use crate::ports::{Clock, Key, LedgerReader};
use crate::settings::Settings;

/// What was read under the lease.
pub(super) struct Loaded {
    pub(super) view: View,
    /// The service accounts that the batch is about.
    pub(super) names: BTreeSet<DominoName>,
    /// Kubernetes service accounts to look at although none of them wants or leaves them.
    beyond: BTreeSet<KubernetesName>,
    /// By service account: those of the batch and those that share a place with them.
    pub(super) conditions: BTreeMap<DominoName, Condition>,
    bindings: BTreeMap<DominoName, BindingRecord>,
    /// By contested service account: since when it has had its place.
    since: BTreeMap<DominoName, Version>,
    refused: BTreeMap<DominoName, String>,
    /// The cluster as the ledger knows it now.
    pub(super) record: ClusterRecord,
    /// The clusters of the deployment.
    registry: Registry,
    /// Who keeps an association on a cluster that is being retired, and why.
    held: BTreeMap<DominoName, Problem>,
    /// Whether EKS does not know the cluster, which is being retired.
    pub(super) is_gone: bool,
    /// Until when IAM may show node policies that were deleted.
    pub(super) policies_linger: Option<Timestamp>,
    pub(super) associations: BTreeMap<KubernetesName, Association>,
    pub(super) recent: Recent,
}

impl Loaded {
    /// Reads the ledger anew: another run may have written it while this one
    /// waited for the lease. `hint` only says what is worth asking for in one go.
    pub(super) async fn read<R: LedgerReader, W, C: Clock>(
        context: &Context<'_, R, W, C>,
        job: Job<'_>,
    ) -> Result<Self, LedgerError> {
        let Job { cluster, names, hint, .. } = job;
        let mut loaded = Self {
            view: View::default(),
            names: names.clone(),
            beyond: job.beyond.places.clone(),
            conditions: BTreeMap::new(),
            bindings: BTreeMap::new(),
            since: BTreeMap::new(),
            refused: BTreeMap::new(),
            record: job.record.clone(),
            registry: Registry::default(),
            held: BTreeMap::new(),
            is_gone: false,
            policies_linger: None,
            associations: BTreeMap::new(),
            recent: Recent::default(),
        };
        let mut keys = vec![registry_key(), node_policy_key(cluster), recent_key(cluster)];
        let mut asked = BTreeSet::new();
        for name in names {
            keys.extend([binding_key(name), condition_key(name, cluster)]);
            let hinted = hint.get::<Condition>(&condition_key(name, cluster))?;
            let wanted = hint
                .get::<BindingRecord>(&binding_key(name))?
                .and_then(|stored| stored.record.binding().map(|b| b.kubernetes.clone()));
            asked.extend(wanted);
            asked.extend(hinted.into_iter().flat_map(|stored| stored.record.leaving.into_keys()));
        }
        keys.extend(asked.iter().map(claims_key));
        loaded.view.read(context.reader, &keys).await?;
        loaded.registry = ledger::registry(&loaded.view, &context.settings.plan.deployment)?;
        if !job.presumed {
            let record = loaded.registry.clusters.get(cluster).cloned();
            loaded.record = record.ok_or_else(|| LedgerError::Departed(cluster.clone()))?;
        }
        loaded.take_in(context, cluster, names.clone())?;
        loaded.recent = Recent::of(&loaded.view, cluster)?;

        let unread: Vec<Key> = loaded.kubernetes().difference(&asked).map(claims_key).collect();
        loaded.view.read(context.reader, &unread).await?;
        let mut others = BTreeSet::new();
        for kubernetes in loaded.kubernetes() {
            if let Some(claims) = loaded.view.get::<ClaimsRecord>(&claims_key(&kubernetes))? {
                others.extend(claims.record.claimants);
            }
        }
        others.retain(|name| !names.contains(name));
        loaded.meet(context, cluster, others).await?;
        Ok(loaded)
    }

    /// Reads the bindings and conditions of more service accounts.
    async fn meet<R: LedgerReader, W, C: Clock>(
        &mut self,
        context: &Context<'_, R, W, C>,
        cluster: &ClusterArn,
        names: BTreeSet<DominoName>,
    ) -> Result<(), LedgerError> {
        let keys: Vec<Key> = names
            .iter()
            .flat_map(|name| [binding_key(name), condition_key(name, cluster)])
            .collect();
        self.view.read(context.reader, &keys).await?;
        self.take_in(context, cluster, names)
    }

    fn take_in<R, W, C: Clock>(
        &mut self,
        context: &Context<'_, R, W, C>,
        cluster: &ClusterArn,
        names: BTreeSet<DominoName>,
    ) -> Result<(), LedgerError> {
        for name in names {
            let Some(record) = self.view.get::<BindingRecord>(&binding_key(&name))? else {
                continue;
            };
            let before = self.view.get::<Condition>(&condition_key(&name, cluster))?;
            let condition = current_condition(
                &name,
                &self.record,
                &record.record,
                before.map(|stored| stored.record),
                context,
            );
            if let Some(binding) = record.record.binding() {
                self.refuse(&name, binding, cluster, context.settings);
            }
            self.conditions.insert(name.clone(), condition);
            self.bindings.insert(name, record.record);
        }
        Ok(())
    }

    /// An allow-list may have been narrowed since the binding was accepted.
    /// Only this cluster counts: that another one of the binding's is gone is no reason here.
    fn refuse(
        &mut self,
        name: &DominoName,
        binding: &Binding,
        cluster: &ClusterArn,
        settings: &Settings,
    ) {
        let mut here = binding.clone();
        here.clusters = Clusters::Named([cluster.clone()].into());
        if let Err(reasons) = settings.rules.admits(&here) {
            self.refused.insert(name.clone(), reasons.join("; "));
        }
    }

    /// The Kubernetes service accounts that the batch's service accounts want or leave.
    pub(super) fn kubernetes(&self) -> BTreeSet<KubernetesName> {
        self.names
            .iter()
            .filter_map(|name| self.conditions.get(name))
            .flat_map(|condition| condition.wanted.iter().chain(condition.leaving.keys()))
            .chain(&self.beyond)
            .cloned()
            .collect()
    }

    fn claimants(&self, kubernetes: &KubernetesName) -> Vec<&DominoName> {
        self.conditions
            .iter()
            .filter(|(_, condition)| condition.wanted.as_ref() == Some(kubernetes))
            .map(|(name, _)| name)
            .collect()
    }

    /// Who of several claimants was first is in their histories: superseded
    /// events count as well, so the order of arrival does not.
    async fn find_oldest(&mut self, ledger: &impl LedgerReader) -> Result<(), LedgerError> {
        for kubernetes in self.kubernetes() {
            let claimants: Vec<DominoName> =
                self.claimants(&kubernetes).into_iter().cloned().collect();
            if claimants.len() < 2 {
                continue;
            }
            for name in claimants {
                let mut view = View::default();
                let partition = history_partition(name.as_str());
                view.query(ledger, &partition, "").await?;
                let history = view.all::<HistoryRecord>(&partition, "")?;
                let since = history
                    .iter()
                    .rev()
                    .map(|stored| &stored.record)
                    .filter(|change| change.outcome != HistoryOutcome::Noted)
                    .take_while(|change| change.kubernetes.as_ref() == Some(&kubernetes))
                    .last()
                    .map(|change| change.version.clone());
                self.since.extend(since.map(|since| (name, since)));
            }
        }
        Ok(())
    }

    /// An association of ours can carry the tag of a service account that is
    /// not in the batch. Whether the ledger knows that one decides between
    /// managed and orphan.
    pub(super) async fn know_owners<R: LedgerReader, W, C: Clock>(
        &mut self,
        context: &Context<'_, R, W, C>,
        cluster: &ClusterArn,
    ) -> Result<(), LedgerError> {
        let deployment = &context.settings.plan.deployment;
        let owners: BTreeMap<KubernetesName, DominoName> = self
            .associations
            .iter()
            .filter_map(|(kubernetes, association)| match association.ownership(deployment) {
                Ownership::Ours(Some(tag)) => Some((kubernetes.clone(), tag.parse().ok()?)),
                _ => None,
            })
            .collect();
        let unmet: BTreeSet<DominoName> =
            owners.values().filter(|name| !self.conditions.contains_key(name)).cloned().collect();
        self.meet(context, cluster, unmet).await?;
        for (kubernetes, name) in owners {
            let Some(condition) = self.conditions.get_mut(&name) else { continue };
            if condition.wanted.as_ref() == Some(&kubernetes) {
                continue;
            }
            // Its tombstone says that it has no place, or the cluster gives it up for whom it was
            // made. One that is bound elsewhere has given up only what its condition remembers;
            // the rest is an orphan.
            let reason = match self.bindings.get(&name).map(|record| &record.state) {
                Some(BindingState::Unbound { reason }) => *reason,
                Some(BindingState::Bound { binding })
                    if self.record.gives_up(binding, &kubernetes) =>
                {
                    RemovalReason::ClusterRetired
                }
                _ => continue,
            };
            condition.leaving.entry(kubernetes).or_insert(reason);
        }
        self.find_oldest(context.reader).await
    }

    /// Looks for those who would lose their last association with this cluster's: they keep it.
    pub(super) async fn hold_back(
        &mut self,
        ledger: &impl LedgerReader,
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
            guard::left_behind(ledger, &self.registry, cluster, &retirement.given_up, &leaving)
                .await?;
        self.held = left_behind.into_iter().map(|name| (name, guard::problem(cluster))).collect();
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

    /// The places as planning takes them.
    pub(super) fn places(&self) -> Result<Vec<Place>, String> {
        self.kubernetes().into_iter().map(|kubernetes| self.place(kubernetes)).collect()
    }

    fn place(&self, kubernetes: KubernetesName) -> Result<Place, String> {
        let mut claims = Vec::new();
        for name in self.claimants(&kubernetes) {
            let record = &self.bindings[name];
            let Some(binding) = record.binding() else { continue };
            claims.push(Claim {
                binding: binding.clone(),
                version: record.version.clone(),
                since: self.since.get(name).unwrap_or(&record.version).clone(),
                refused: self.refused.get(name).cloned(),
                last_association: last_association(&self.conditions[name]),
                adopts: self.conditions[name].adopts.clone(),
            });
        }
        let leaving = self
            .conditions
            .iter()
            .filter_map(|(name, condition)| {
                Some((name.clone(), *condition.leaving.get(&kubernetes)?))
            })
            .collect();
        let association = self.associations.get(&kubernetes).cloned();
        let held = self.held.clone();
        Ok(Place { kubernetes, claims, leaving, held, association })
    }
}

/// What tells making an association from making it anew. A cluster that comes back from its
/// retirement makes it for the same version, and EKS answers a known token with what is gone.
fn last_association(condition: &Condition) -> Option<String> {
    let id = condition.association.as_ref().map(|association| association.id.clone());
    id.or_else(|| condition.credentials_changed_at.map(|at| at.to_string()))
}

/// The condition that fits the binding as it is now. One that was written for
/// an older version, or none because the cluster was registered later, is
/// brought up to date; what it remembers to be removed stays remembered.
fn current_condition<R, W, C: Clock>(
    name: &DominoName,
    here: &ClusterRecord,
    record: &BindingRecord,
    before: Option<Condition>,
    context: &Context<'_, R, W, C>,
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
    for given_up in condition.leaving.values_mut() {
        if *given_up == RemovalReason::ClusterRetired {
            *given_up = reason;
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
