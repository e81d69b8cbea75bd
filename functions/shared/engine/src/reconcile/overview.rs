//! A cluster at a glance: what the ledger says of every service account, and
//! what EKS and IAM show. Read without the lease, so it only says who needs a
//! closer look.

mod owners;

use std::collections::{BTreeMap, BTreeSet};

use futures::join;
use jiff::Timestamp;
use pod_identity_core::plan::{self, NodePolicies};
use pod_identity_core::{Association, DominoName, Intent, RoleArn, ServiceAccountRef};
use pod_identity_events::{PolicyCapacity, Problem};

use super::drift::{Drift, DriftCause};
use super::{Orphan, Scope, skipped};
use crate::cluster::{self, ClusterReport, ExtraScope, Job};
use crate::context::{Cloud, Context};
use crate::error::{Error, chain};
use crate::ledger::{
    self, AccountRecord, BindingRecord, ClusterRecord, Condition, ConditionState, GuardRecord,
    LedgerError, NodePolicyRecord, ReconciledRecord, Registry, View, account_key, account_prefix,
    bindings_partition, cluster_partition, guard_key, node_policy_key, reconciled_key,
    registry_key,
};
use crate::observe::{self, SeenRoles};
use crate::ports::{
    AssociationFilter, AssociationSummary, ClusterAccess, ClusterReader, ErrorKind, PortError,
};
use crate::settings::Settings;

/// What there is to look at.
pub(super) struct Overview {
    pub(super) view: View,
    pub(super) record: ClusterRecord,
    pub(super) access: ClusterAccess,
    deployment: String,
    /// Associations that the ledger does not remember by their id, described at once.
    strangers: BTreeMap<String, Association>,
    pub(super) guard: GuardRecord,
    pub(super) bindings: BTreeMap<DominoName, BindingRecord>,
    pub(super) conditions: BTreeMap<DominoName, Condition>,
    /// What is remembered of Kubernetes service accounts.
    accounts: BTreeMap<ServiceAccountRef, AccountRecord>,
    /// What creations may have made, and for which binding.
    intents: BTreeMap<ServiceAccountRef, Vec<(DominoName, Intent)>>,
    /// Every Kubernetes service account that a binding has, wants or leaves.
    places: BTreeMap<ServiceAccountRef, Option<AssociationSummary>>,
    /// Associations whose names Kubernetes would not take.
    nowhere: Vec<AssociationSummary>,
    /// Those who have neither a place nor a finished condition.
    placeless: BTreeSet<DominoName>,
    policies: Policies,
    /// Why nothing more is looked at: EKS does not know the cluster.
    pub(super) gone: Option<String>,
    /// When the cluster was made; asked only where more is gone than one run may make again.
    created_at: Option<Timestamp>,
    seen_roles: SeenRoles,
}

/// What there is of a cluster.
pub(super) enum Look {
    /// Something to look at.
    Open(Box<Overview>),
    /// It is left alone, and why.
    LeftAlone(String),
    /// It is retired, and nothing of ours is left there.
    Drained {
        /// Whether EKS does not know it any more.
        is_gone: bool,
    },
}

/// What the node policies grant.
#[derive(Default)]
struct Policies {
    /// Roles that every node role has a policy for; none when they were not looked at.
    granted: Option<BTreeSet<RoleArn>>,
    /// Whether they are otherwise than the ledger remembers.
    changed: bool,
    found: Option<NodePolicies>,
}

/// What is found at some places.
#[derive(Default)]
pub(super) struct Found {
    /// Who needs work there, and what was put out of order behind the ledger's back.
    pub(super) needed: BTreeMap<DominoName, Option<DriftCause>>,
    pub(super) orphans: Vec<Orphan>,
    /// Associations that are not ours, in words.
    pub(super) others: Vec<String>,
    other_roles: BTreeSet<RoleArn>,
    /// The roles of all associations there.
    pub(super) used: BTreeSet<RoleArn>,
    /// Where somebody without a role has an association.
    places: BTreeSet<ServiceAccountRef>,
}

impl Found {
    pub(super) fn names(&self) -> BTreeSet<DominoName> {
        self.needed.keys().cloned().collect()
    }
}

impl Overview {
    /// What there is, or why the cluster is left alone.
    pub(super) async fn read(cloud: &Cloud<'_>, scope: &Scope) -> Result<Look, Error> {
        let (ledger, settings) = (cloud.ledger, cloud.settings);
        let cluster = &scope.cluster;
        let mut view = View::default();
        let noted = reconciled_key(cluster);
        let guard = guard_key(cluster);
        let keys = [registry_key(), node_policy_key(cluster), noted, guard.clone()];
        view.read(ledger, &keys).await?;
        let registry = ledger::registry(&view, &settings.plan.deployment)?;
        let record = match registry.admitted(cluster, &settings.rules) {
            Ok(record) => record.clone(),
            Err(why) => return Ok(Look::LeftAlone(why.to_string())),
        };
        let access = record.access();
        if record.retired.as_ref().is_some_and(|retirement| retirement.drained_at.is_some()) {
            return is_gone(cloud, &access).await;
        }
        let mut remembered = View::default();
        let (listed, bindings, accounts) = join!(
            list(cloud, &access, scope),
            view.query(ledger, bindings_partition(), ""),
            read_accounts(&mut remembered, cloud, scope),
        );
        let (summaries, gone) = match listed {
            Ok(summaries) => (summaries, None),
            Err(error) => match (skipped(&error, cluster), error.kind) {
                // Its bindings are not ready any more, and their conditions have to say so.
                (why, ErrorKind::NotFound) => (Vec::new(), why),
                (Some(why), _) => return Ok(Look::LeftAlone(why)),
                (None, _) => return Err(error.into()),
            },
        };
        bindings?;
        accounts?;
        view.merge_in(&[], remembered);
        let (bindings, conditions) = ledger::on_cluster(&mut view, ledger, cluster, &[]).await?;
        let mut overview = Self {
            accounts: ledger::accounts(&view, cluster)?,
            intents: BTreeMap::new(),
            strangers: BTreeMap::new(),
            guard: view.get::<GuardRecord>(&guard)?.unwrap_or_default(),
            conditions,
            bindings,
            view,
            record,
            access,
            deployment: settings.plan.deployment.clone(),
            places: BTreeMap::new(),
            nowhere: Vec::new(),
            placeless: BTreeSet::new(),
            policies: Policies::default(),
            gone,
            created_at: None,
            seen_roles: SeenRoles::default(),
        };
        let strangers: Vec<AssociationSummary> = summaries
            .iter()
            .filter(|one| scope.is_whole() && !overview.remembers(one))
            .cloned()
            .collect();
        let strangers =
            observe::describe(cloud.eks, &overview.access, strangers, settings.concurrency);
        let strangers = strangers.await?.into_iter().map(|one| (one.id.clone(), one));
        overview.strangers = strangers.collect();
        overview.arrange(summaries, scope, cloud.clock.now());
        if overview.gone.is_none() && overview.vanished().count() > settings.plan.max_recreations {
            overview.created_at = created_at(cloud.clusters, &overview.access).await?;
        }
        let grants = overview.gone.is_none() && !overview.record.is_retiring();
        if scope.is_whole() && grants {
            overview.look_at_policies(cloud).await?;
        }
        Ok(Look::Open(Box::new(overview)))
    }

    /// Puts everything in the order of its place, so that another invocation can go on.
    fn arrange(&mut self, summaries: Vec<AssociationSummary>, scope: &Scope, now: Timestamp) {
        let held = self.accounts.iter().filter(|(_, account)| account.held.is_some());
        self.places.extend(held.map(|(place, _)| (place.clone(), None)));
        for (name, condition) in &self.conditions {
            for intent in condition.intents.iter().filter(|intent| intent.is_open(now)) {
                let here = self.intents.entry(intent.kubernetes.clone()).or_default();
                here.push((name.clone(), intent.clone()));
            }
        }
        for summary in summaries {
            // A name that Kubernetes would not take is nobody's place.
            match ServiceAccountRef::new(&summary.namespace, &summary.service_account) {
                Ok(place) => _ = self.places.insert(place, Some(summary)),
                Err(_) => self.nowhere.push(summary),
            }
        }
        for (name, binding) in &self.bindings {
            let wanted = self.wanted(binding);
            let condition = self.conditions.get(name);
            let had = condition.into_iter().flat_map(places_of);
            let places: Vec<_> = wanted.into_iter().chain(had).cloned().collect();
            if places.is_empty() && condition.is_some_and(|c| !c.is_finished(&binding.version)) {
                self.placeless.insert(name.clone());
            }
            for place in places {
                self.places.entry(place).or_default();
            }
        }
        if !scope.places.is_empty() {
            self.places.retain(|place, _| scope.places.contains(place));
            self.placeless.clear();
        }
    }

    /// The Kubernetes service account that a binding wants here.
    pub(super) fn wanted<'a>(&self, record: &'a BindingRecord) -> Option<&'a ServiceAccountRef> {
        let binding = record.binding().filter(|binding| self.record.takes(binding))?;
        Some(&binding.kubernetes)
    }

    /// How full the node policies are, if they were looked at and are understood.
    pub(super) fn capacity(&self, settings: &Settings) -> Option<PolicyCapacity> {
        let found = self.policies.found.as_ref()?;
        Some(plan::capacity(found, &self.access.cluster, &settings.plan))
    }

    /// What the node policies grant, if the cluster was worked on before.
    async fn look_at_policies(&mut self, cloud: &Cloud<'_>) -> Result<(), Error> {
        let key = node_policy_key(&self.access.cluster);
        let Some(before) = self.view.get::<NodePolicyRecord>(&key)? else { return Ok(()) };
        let (access, record) = (&self.access, &self.record);
        let found =
            observe::node_policies(cloud, access, record, Some(before.clone()), true).await?;
        let policies = found.policies();
        self.policies.changed = found.record != before || !before.projection.is_settled();
        self.policies.granted = Some(policies.granted());
        self.policies.found = Some(policies).filter(|policies| policies.problem.is_none());
        Ok(())
    }

    /// Places in order, in chunks, from where the scope begins.
    pub(super) fn chunks(&self, scope: &Scope, size: usize) -> Vec<Vec<ServiceAccountRef>> {
        let all: Vec<&ServiceAccountRef> = self
            .places
            .keys()
            .filter(|place| scope.after.as_ref().is_none_or(|after| *place > after))
            .collect();
        // Those without a place are looked at with the first.
        let chunks: Vec<Vec<_>> =
            all.chunks(size).map(|chunk| chunk.iter().copied().cloned().collect()).collect();
        if chunks.is_empty() && scope.after.is_none() { vec![Vec::new()] } else { chunks }
    }

    /// All places in order, in chunks.
    pub(super) fn chunks_of_all(&self, size: usize) -> Vec<Vec<ServiceAccountRef>> {
        self.chunks(&Scope::of(self.access.cluster.clone()), size)
    }

    /// The clusters of the deployment, as they were read.
    pub(super) fn registry(&self, context: &Context<'_>) -> Result<Registry, LedgerError> {
        ledger::registry(&self.view, &context.settings.plan.deployment)
    }

    /// What was noted of the cluster before. A note that cannot be read holds nothing up.
    pub(super) fn noted(&self) -> Option<ReconciledRecord> {
        let noted = self.view.get::<ReconciledRecord>(&reconciled_key(&self.access.cluster));
        noted.ok().flatten()
    }

    pub(super) fn last(&self) -> Option<&ServiceAccountRef> {
        self.places.keys().next_back()
    }

    /// Who needs work at some places.
    pub(super) async fn compare(
        &self,
        cloud: &Cloud<'_>,
        chunk: &[ServiceAccountRef],
    ) -> Result<Found, PortError> {
        let (first, settings) = (self.places.keys().next() == chunk.first(), cloud.settings);
        let listed =
            chunk.iter().filter_map(|place| Some((place, self.places.get(place)?.as_ref()?)));
        let (known, unknown): (Vec<_>, Vec<_>) =
            listed.partition(|(_, summary)| self.strangers.contains_key(&summary.id));
        let unknown = unknown.into_iter().map(|(_, summary)| summary.clone()).collect();
        let described = observe::described(cloud.eks, &self.access, unknown, settings.concurrency);
        let mut associations = described.await?;
        associations.extend(
            known
                .into_iter()
                .map(|(place, summary)| (place.clone(), self.strangers[&summary.id].clone())),
        );
        let mut found = Found::default();
        if first {
            found.needed.extend(self.placeless.iter().map(|name| (name.clone(), None)));
        }
        for (name, binding) in &self.bindings {
            self.judge(name, binding, chunk, &associations, &mut found);
        }
        found.used = associations.values().filter_map(|one| one.role_arn.parse().ok()).collect();
        for place in chunk {
            self.judge_owner(place, associations.get(place), &mut found);
        }
        // A policy that is otherwise than it was, or has to list another's role, is looked
        // at with whoever is bound. Where nobody is, nothing is granted, and nothing listed.
        let granted = self.policies.granted.as_ref();
        let unlisted = granted.is_some_and(|granted| !found.other_roles.is_subset(granted));
        if unlisted || (first && self.policies.changed) {
            let bound = self.conditions.iter().find(|(_, c)| c.state == ConditionState::Ready);
            if let Some((name, _)) = bound {
                found.needed.entry(name.clone()).or_default();
            }
        }
        Ok(found)
    }

    fn judge(
        &self,
        name: &DominoName,
        record: &BindingRecord,
        chunk: &[ServiceAccountRef],
        associations: &BTreeMap<ServiceAccountRef, Association>,
        found: &mut Found,
    ) {
        let here = |place: &&ServiceAccountRef| chunk.binary_search(place).is_ok();
        let wanted = self.wanted(record);
        let condition = self.conditions.get(name);
        let said = condition.and_then(|condition| condition.blocked.as_ref());
        // With a cluster that is being retired its associations go too.
        let is_lost = self.gone.is_some() && !self.record.is_retiring();
        if is_lost && matches!(said, Some(Problem::ClusterNotFound { .. })) {
            return;
        }
        let leaves = condition.is_some_and(|condition| {
            places_of(condition).any(|place| here(&place) && Some(place) != wanted)
        });
        let Some(place) = wanted.filter(here) else {
            if leaves {
                found.needed.insert(name.clone(), None);
            }
            return;
        };
        let finished = condition.filter(|condition| {
            condition.is_finished(&record.version) && condition.wanted.as_ref() == Some(place)
        });
        let (Some(condition), Some(binding)) = (finished, record.binding()) else {
            found.needed.insert(name.clone(), None);
            return;
        };
        let shown = associations.get(place).map(|one| (one, self.verdict(place, one)));
        let what =
            DriftCause::of(name, binding, condition, shown, &self.deployment).or_else(|| {
                let granted = self.policies.granted.as_ref()?;
                let role = &binding.desired.role;
                (!granted.contains(role)).then(|| DriftCause::ungranted(role, &self.access.cluster))
            });
        if let Some(what) = what {
            found.needed.insert(name.clone(), Some(what));
        }
    }

    /// The node policies, if they were looked at and understood.
    pub(super) fn policies(&self) -> Option<&NodePolicies> {
        self.policies.found.as_ref()
    }

    /// The roles that bindings anywhere name, and that conditions here remember.
    pub(super) fn named(&self) -> BTreeSet<RoleArn> {
        cluster::named(&self.bindings, &self.conditions)
    }

    /// The roles of associations that are at no place.
    pub(super) async fn used_nowhere(
        &self,
        cloud: &Cloud<'_>,
    ) -> Result<BTreeSet<RoleArn>, PortError> {
        let (nowhere, most) = (self.nowhere.clone(), cloud.settings.concurrency);
        let found = observe::describe(cloud.eks, &self.access, nowhere, most).await?;
        Ok(found.iter().filter_map(|one| one.role_arn.parse().ok()).collect())
    }

    pub(super) fn extra(&self, found: &Found) -> ExtraScope {
        ExtraScope {
            other_roles: found.other_roles.clone(),
            places: found.places.clone(),
            refresh: self.policies.changed,
            halted: self.guard.halted.clone(),
            knows_all: true,
            free: self.built_before(),
            patient: BTreeSet::new(),
            taking: None,
        }
    }

    pub(super) fn job<'a>(
        &'a self,
        names: &'a BTreeSet<DominoName>,
        extra: &'a ExtraScope,
    ) -> Job<'a> {
        let (cluster, record) = (&self.access.cluster, &self.record);
        let (hint, seen_roles) = (&self.view, &self.seen_roles);
        Job { cluster, record, names, hint, presumed: false, extra, seen_roles }
    }

    /// The same, for a look at what a retirement that has not begun would do.
    pub(super) fn presumed_job<'a>(
        &'a self,
        names: &'a BTreeSet<DominoName>,
        extra: &'a ExtraScope,
    ) -> Job<'a> {
        Job { presumed: true, ..self.job(names, extra) }
    }

    /// What was corrected, by what was found, what the plan under the lease changed of it, and how the work
    /// ended. What an event has changed since is no drift.
    pub(super) fn corrected(&self, found: &Found, report: &ClusterReport) -> Vec<Drift> {
        let Some(plan) = &report.plan else { return Vec::new() };
        let done = |name: &DominoName| {
            let condition = report.conditions.get(name).filter(|condition| {
                let is_same =
                    self.bindings.get(name).is_some_and(|b| b.version == condition.version);
                is_same
                    && matches!(condition.state, ConditionState::Ready | ConditionState::Removed)
            });
            condition.filter(|_| !report.failures.contains_key(name))
        };
        let drift = |(name, what): (&DominoName, &Option<DriftCause>)| {
            let what = what.as_ref().filter(|what| what.is_changed_by(plan, name))?;
            Some(what.corrected(done(name)?))
        };
        found.needed.iter().filter_map(drift).collect()
    }
}

/// Where a service account has, or may have, an association.
fn places_of(condition: &Condition) -> impl Iterator<Item = &ServiceAccountRef> {
    condition.wanted.iter().chain(condition.leaving.keys())
}

/// Whether EKS still knows a cluster on which nothing of ours is left.
async fn is_gone(cloud: &Cloud<'_>, access: &ClusterAccess) -> Result<Look, Error> {
    match cloud.eks.associations(access, &AssociationFilter::default(), None).await {
        Ok(_) => Ok(Look::Drained { is_gone: false }),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Look::Drained { is_gone: true }),
        Err(error) => match skipped(&error, &access.cluster) {
            Some(why) => Ok(Look::LeftAlone(why)),
            None => Err(error.into()),
        },
    }
}

/// When a cluster was made. Not to know it allows nothing, so a refusal is no failure.
async fn created_at(
    reader: &dyn ClusterReader,
    access: &ClusterAccess,
) -> Result<Option<Timestamp>, PortError> {
    match reader.cluster(access).await {
        Ok(found) => Ok(found.and_then(|found| found.created_at)),
        Err(error) if error.kind == ErrorKind::Denied => {
            tracing::warn!(
                cluster = access.cluster.name(),
                "whether it was built again is not known: {}; allow the function's role eks:DescribeCluster",
                chain(&error),
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Reads what is remembered of the Kubernetes service accounts that are looked at.
async fn read_accounts(
    view: &mut View,
    cloud: &Cloud<'_>,
    scope: &Scope,
) -> Result<(), LedgerError> {
    let cluster = &scope.cluster;
    if scope.places.is_empty() {
        return view.query(cloud.ledger, &cluster_partition(cluster), account_prefix()).await;
    }
    let keys: Vec<_> = scope.places.iter().map(|place| account_key(cluster, place)).collect();
    view.read(cloud.ledger, &keys).await
}

async fn list(
    cloud: &Cloud<'_>,
    access: &ClusterAccess,
    scope: &Scope,
) -> Result<Vec<AssociationSummary>, PortError> {
    if scope.places.is_empty() {
        return observe::list(cloud.eks, access, AssociationFilter::default()).await;
    }
    observe::summaries(cloud.eks, access, &scope.places, cloud.settings.concurrency).await
}
