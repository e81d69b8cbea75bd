//! What the ledger's items say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_core::node_policy::{PolicyState, Projection};
use pod_identity_core::plan::PolicyStep;
use pod_identity_core::{
    Binding, ClusterArn, Desired, DominoName, HeldAssociation, Intent, MAX_INTENTS, RoleArn,
    ServiceAccountRef, Version,
};
use pod_identity_events::{PolicyCapacity, Problem, RemovalReason, Trust};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::settings::later;

const HOUR: Duration = Duration::from_secs(3600);

/// The current word on a service account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingRecord {
    /// The version of the change that made it so.
    pub version: Version,
    /// Bound, or a tombstone, which never expires.
    pub state: BindingState,
    /// Detail type of the event.
    pub detail_type: String,
    /// Who did it, as the event claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Request id of the invocation that accepted it.
    pub request_id: String,
    /// How often it was changed lately.
    pub pace: Pace,
    /// Since when it wants its Kubernetes service account, by the function's clock.
    pub claimed_at: Timestamp,
}

/// How often a binding was changed within an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// When the hour began: with the first change after the one before was over.
    pub since: Timestamp,
    /// Changes that were accepted since then.
    pub changes: usize,
}

impl Pace {
    /// With one more change.
    #[must_use]
    pub fn next(before: Option<Self>, now: Timestamp) -> Self {
        let running = before.filter(|pace| later(pace.since, HOUR) > now);
        let Self { since, changes } = running.unwrap_or(Self { since: now, changes: 0 });
        Self { since, changes: changes.saturating_add(1) }
    }
}

/// Bound or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum BindingState {
    /// The service account is bound to a role.
    Bound {
        /// As which, and where.
        binding: Box<Binding>,
    },
    /// The service account is bound to no role.
    Unbound {
        /// Why.
        reason: RemovalReason,
    },
}

impl BindingRecord {
    /// The binding, unless this is a tombstone.
    #[must_use]
    pub fn binding(&self) -> Option<&Binding> {
        match &self.state {
            BindingState::Bound { binding } => Some(binding),
            BindingState::Unbound { .. } => None,
        }
    }
}

/// The outcome of an event when it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HistoryOutcome {
    /// It was the newest and became the desired state.
    Accepted,
    /// A newer one was there already.
    Superseded,
    /// It is no event and changes nothing that stands: somebody was asked, or something permitted.
    Noted,
}

/// One change in the history of a service account or a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRecord {
    /// Its version.
    pub version: Version,
    /// Its outcome.
    pub outcome: HistoryOutcome,
    /// Detail type of the event.
    pub detail_type: String,
    /// What it asked for: a binding, a removal reason, or a registration.
    pub change: Value,
    /// Who did it, as the event claims. CloudTrail knows better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why, as the event says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Request id of the invocation that recorded it.
    pub request_id: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// How far a binding has come true on a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConditionState {
    /// Accepted, not yet carried out.
    Pending,
    /// The cluster is not registered yet.
    Waiting,
    /// The association exists as it should.
    Ready,
    /// There is no association any more, as it should be.
    Removed,
    /// Something stands in the way.
    Blocked,
}

/// The association that stands for a binding on a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssociationRecord {
    /// Its id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Where it is.
    pub kubernetes: ServiceAccountRef,
    /// What its pods work as.
    #[serde(flatten)]
    pub desired: Desired,
    /// What the target role's trust policy has to ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// Most places that a condition remembers to have lost.
pub(crate) const MAX_REMOVALS: usize = 10;

/// What the pods of a place worked as for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkedRecord {
    /// As what.
    #[serde(flatten)]
    pub desired: Desired,
    /// Since when, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// A place that was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemovalRecord {
    /// When its association was found gone.
    pub at: Timestamp,
    /// What its pods worked as until then, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<WorkedRecord>,
}

/// A binding on a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The service account.
    pub service_account: DominoName,
    /// The cluster.
    pub cluster: ClusterArn,
    /// The version of the binding that this is about.
    pub version: Version,
    /// The Kubernetes service account that the binding wants here; none when it wants none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<ServiceAccountRef>,
    /// Those that it gave up and whose association may still be there: the
    /// memory that a deletion needs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub leaving: BTreeMap<ServiceAccountRef, RemovalReason>,
    /// How far it has come.
    pub state: ConditionState,
    /// What stands in the way, when it is blocked or waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Problem>,
    /// The association, as last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub association: Option<AssociationRecord>,
    /// The foreign association, by id, that the binding may take over at the place that it wants, on
    /// an administrator's word. Nothing once the place has a managed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopts: Option<String>,
    /// When what its pods work as last changed: pods admitted earlier are stale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_changed_at: Option<Timestamp>,
    /// What its pods worked as, at the same place, before that; none when there was nothing, or
    /// it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<WorkedRecord>,
    /// What a creation may make here, each open until a run has seen its outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intents: Vec<Intent>,
    /// The places that it lost, the last [`MAX_REMOVALS`] of them: pods there that were admitted
    /// earlier hold what was revoked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removals: BTreeMap<ServiceAccountRef, RemovalRecord>,
    /// The verdict on the role's trust policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// What works but should be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// When this was written.
    pub updated_at: Timestamp,
    /// Request id of the invocation that wrote it.
    pub request_id: String,
}

impl Condition {
    /// Whether too many associations were gone for this one to be made again.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        matches!(self.blocked, Some(Problem::RecreationCeiling { .. }))
    }

    /// Whether nothing is left to do for a version of the binding.
    #[must_use]
    pub fn is_finished(&self, version: &Version) -> bool {
        let settled = matches!(self.state, ConditionState::Ready | ConditionState::Removed);
        settled && self.leaving.is_empty() && self.version == *version
    }

    /// The intents for a Kubernetes service account that are open.
    pub(crate) fn open_intents(
        &self,
        kubernetes: &ServiceAccountRef,
        now: Timestamp,
    ) -> impl Iterator<Item = &Intent> {
        self.intents.iter().filter(move |one| one.kubernetes == *kubernetes && one.is_open(now))
    }

    /// Records the intent to make what a binding asks for, unless there is one; says whether there
    /// is room for it.
    pub(crate) fn intend(&mut self, binding: &Binding, version: &Version, now: Timestamp) -> bool {
        let Binding { kubernetes, desired, .. } = binding;
        self.intents.retain(|one| one.is_open(now));
        if let Some(same) = self.intents.iter_mut().find(|one| one.allows(kubernetes, desired)) {
            same.expires_at = None;
            return true;
        }
        // What a removal left goes first, the oldest of it.
        while self.intents.len() >= MAX_INTENTS {
            let mut left = self.intents.iter().enumerate();
            let Some((at, _)) = left
                .by_ref()
                .filter(|(_, one)| one.expires_at.is_some())
                .min_by_key(|(_, one)| one.recorded_at)
            else {
                return false;
            };
            self.intents.remove(at);
        }
        self.intents.push(Intent {
            kubernetes: kubernetes.clone(),
            version: version.clone(),
            desired: desired.clone(),
            recorded_at: now,
            expires_at: None,
        });
        true
    }
}

/// Who may change a cluster now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseRecord {
    /// Request id of the invocation; absent when no invocation holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Until when; afterwards any invocation may take it.
    pub expires_at: Timestamp,
    /// Until when EKS may show a change of an invocation that died while it held the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abandoned_until: Option<Timestamp>,
}

/// How long IAM may show an older version of a policy. AWS names no bound; seconds are usual.
const IAM_SETTLES: Duration = Duration::from_secs(120);

/// What a cluster's node policies are to list, and how far IAM has that. It is written before IAM is, so
/// an event need not ask IAM for it; reconcile does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePolicyRecord {
    /// The registration of the cluster that the node roles are from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Version>,
    /// Whether the node role is only the name that Domino gives it: then it is asked for again.
    #[serde(default)]
    pub guessed: bool,
    /// The policies.
    pub projection: Projection,
    /// When something of them was last written: IAM may show what was before for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at: Option<Timestamp>,
    /// The node roles.
    pub node_roles: BTreeSet<RoleArn>,
    /// Which policies, by number, are attached to each node role.
    pub attached: BTreeMap<RoleArn, BTreeSet<u32>>,
    /// Most policies that the attachment slots admit.
    pub max_shards: u32,
    /// The managed policy of a node role that allows the action on everything, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broad_grant: Option<String>,
    /// By role that the policies list: since when every complete observation found that no binding names it and
    /// no association uses it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unused: BTreeMap<RoleArn, Timestamp>,
}

impl NodePolicyRecord {
    /// Whether IAM may still show the policies as they were before they were last written.
    #[must_use]
    pub fn is_recent(&self, now: Timestamp) -> bool {
        self.written_at.is_some_and(|at| later(at, IAM_SETTLES) > now)
    }

    /// The bus was told what a policy lists, or that it is gone.
    pub(crate) fn is_published(&mut self, number: u32) {
        match self.projection.policies.get_mut(&number) {
            Some(one) if one.state == PolicyState::Removing => self.replace(number),
            Some(one) => (one.added, one.removed) = (BTreeSet::new(), BTreeSet::new()),
            None => {}
        }
    }

    /// A policy is gone: another is to list what it listed, where that is still wanted.
    pub fn replace(&mut self, number: u32) {
        self.projection.replace(number);
        self.attached.values_mut().for_each(|on| _ = on.remove(&number));
    }

    /// Remembers only of roles that the policies list that they are unused.
    pub(crate) fn forget_unlisted(&mut self) {
        let policies = &self.projection.policies;
        self.unused.retain(|role, _| policies.values().any(|one| one.roles.contains(role)));
    }

    /// Writes down what steps of a plan are about to make of the policies.
    pub fn assign(&mut self, steps: &[PolicyStep]) {
        steps.iter().for_each(|step| step.assign(&mut self.projection));
    }
}

/// What the last reconciliation of a whole cluster found so far, for whoever asks how things are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReconciledRecord {
    /// When it ended, or was continued, or had looked at a part.
    pub at: Timestamp,
    /// Request id of the invocation.
    pub request_id: String,
    /// Behind which place it goes on, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goes_on: Option<ServiceAccountRef>,
    /// Why the cluster was left alone, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Why nothing was made again or corrected there, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted: Option<String>,
    /// Bindings by the state of their condition on the cluster, those too that were not looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<ConditionState, usize>,
    /// Bindings that the cluster was to have then; none where no run counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bindings: Option<usize>,
    /// When they were counted, if not at the end: a cluster that was left alone was not counted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_at: Option<Timestamp>,
    /// How full the node policies were, if they were looked at and understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<PolicyCapacity>,
    /// What was corrected, in all parts of a reconciliation that was continued.
    #[serde(default)]
    pub corrected: usize,
    /// Associations with our tag that the ledger does not know.
    #[serde(default)]
    pub orphans: usize,
    /// Service accounts for whom it failed for a passing reason.
    #[serde(default)]
    pub failures: usize,
}

impl ReconciledRecord {
    /// Whether anybody ever counted the bindings: who leaves a cluster alone does not.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.bindings.is_some() || self.counted_at.is_some() || self.skipped.is_none()
    }
}

/// What is remembered of a Kubernetes service account on a cluster. Only the holder of the cluster's
/// lease writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountRecord {
    /// The association that is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldAssociation>,
    /// Id of the association that was last ours, also after it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_id: Option<String>,
    /// The last write. Until EKS shows it, nothing may be concluded from what EKS shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_write: Option<WrittenRecord>,
}

/// The last write at one Kubernetes service account, whether it is known to have worked or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WrittenRecord {
    /// When.
    pub at: Timestamp,
    /// Fingerprint of the association as it should be since; none when it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// Two kinds of events that changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NoticeKind {
    /// It broke a rule.
    Rejected,
    /// It was older than the desired state.
    Superseded,
}

/// An event that changed nothing, with its original.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeRecord {
    /// Which kind.
    pub kind: NoticeKind,
    /// Why.
    pub reasons: Vec<String>,
    /// The original as it came: JSON text, other text, or its beginning when it had to be
    /// cut. Text, because DynamoDB's maps nest less deep and its numbers are smaller than
    /// what JSON allows.
    pub original: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Request id of the invocation.
    pub request_id: String,
}

/// A number that bounds what senders can fill. Written whatever is there, so it may fall behind while
/// several invocations count at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CountRecord {
    /// How many.
    pub count: usize,
}
