//! What a preflight looks at: the ledger, both clusters, the roles, and the inside of green.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use pod_identity_core::plan::RoleState;
use pod_identity_core::trust::TrustPolicy;
use pod_identity_core::{Association, Binding, ClusterArn, DominoName, RoleArn};
use pod_identity_engine::ledger::{BindingRecord, Condition, ConditionState, Registry};
use pod_identity_engine::ports::{ClusterAccess, LedgerWriter};
use pod_identity_engine::{Error, Reconciled, Scope, chain};

use super::agent;
use super::inside::{self, GreenWorkloads};
use crate::associations;
use crate::change::preview_scope;
use crate::context::AdminContext;
use crate::node_policies::{self, NodePolicyView};

/// What IAM says of a role.
pub(super) struct RoleLook {
    pub(super) state: RoleState,
    /// Its trust policy as it was read.
    pub(super) document: Option<String>,
}

/// An association on blue that is not this deployment's.
pub(super) struct Left {
    pub(super) place: String,
    pub(super) role: String,
    pub(super) whose: String,
}

/// What was seen.
pub(super) struct BothClusters {
    pub(super) blue: ClusterArn,
    pub(super) green: ClusterArn,
    pub(super) strict: bool,
    pub(super) cluster_statement: bool,
    pub(super) bindings: BTreeMap<DominoName, BindingRecord>,
    pub(super) on_green: BTreeMap<DominoName, Condition>,
    /// How many associations green has now.
    pub(super) on_green_now: Result<usize, Error>,
    /// None where green has none yet.
    pub(super) node_policies: Result<Option<NodePolicyView>, Error>,
    /// What reconcile would do on green.
    pub(super) preview: Result<Reconciled, Error>,
    pub(super) roles: BTreeMap<RoleArn, RoleLook>,
    pub(super) left_on_blue: Result<Vec<Left>, Error>,
    pub(super) inside: GreenWorkloads,
}

impl BothClusters {
    /// Whether a binding works on blue and is meant for green.
    pub(super) fn moves(&self, binding: &Binding) -> bool {
        binding.selects(&self.blue) && binding.selects(&self.green)
    }
}

/// Looks at everything over a ledger in which green is registered, and into which it may be written
/// that all is ready there.
pub(super) async fn look(
    ahead: &AdminContext<'_>,
    dry_run: &dyn LedgerWriter,
    registry: &Registry,
    blue: &ClusterArn,
    green: &ClusterArn,
) -> Result<BothClusters, Error> {
    let bindings = ahead.bindings().await?;
    let access = ahead.access(registry, green);
    let moving: Vec<(&DominoName, &Binding)> = bindings
        .iter()
        .filter_map(|(name, record)| Some((name, record.binding()?)))
        .filter(|(_, binding)| binding.selects(blue) && binding.selects(green))
        .collect();
    let conditions = ahead.conditions(moving.iter().map(|(name, _)| (*name, green))).await?;
    let roles = roles(ahead, &access, wanted_roles(&moving, green)).await;
    let preview = preview_scope(ahead, &Scope::of(green.clone())).await;
    let node_policies = node_policies::read(ahead, &access).await;
    let there = associations::count(ahead, &access).await;
    let left_on_blue = left_on(ahead, registry, blue, &bindings).await;
    // The last of all: it writes what the others must not see.
    let is_ready = |name: &DominoName| {
        let condition = conditions.get(&(name.clone(), green.clone()));
        condition.is_some_and(|condition| condition.state == ConditionState::Ready)
    };
    let coming: Vec<_> = moving.iter().copied().filter(|(name, _)| !is_ready(name)).collect();
    inside::presume(ahead, dry_run, green, &bindings, &coming).await?;
    let mut inside = inside::look(ahead, green, &moving).await;
    inside.breaks = agent::look(ahead, &access).await;
    Ok(BothClusters {
        strict: ahead.settings.plan.strict,
        cluster_statement: ahead.settings.plan.cluster_statement,
        on_green: conditions.into_iter().map(|((name, _), condition)| (name, condition)).collect(),
        on_green_now: there,
        node_policies,
        preview,
        roles,
        left_on_blue,
        inside,
        blue: blue.clone(),
        green: green.clone(),
        bindings,
    })
}

/// The roles, and the target roles that can be read.
fn wanted_roles(moving: &[(&DominoName, &Binding)], green: &ClusterArn) -> BTreeSet<RoleArn> {
    let desired = || moving.iter().map(|(_, binding)| &binding.desired);
    let targets = desired().filter_map(|desired| desired.target_role.as_ref());
    let readable = targets.filter(|target| target.account() == green.account());
    desired().map(|desired| &desired.role).chain(readable).cloned().collect()
}

async fn roles(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
    wanted: BTreeSet<RoleArn>,
) -> BTreeMap<RoleArn, RoleLook> {
    let read = |role: RoleArn| async move {
        if admin.deadline_reached() {
            return None;
        }
        let (state, document) = match admin.iam.role(access, &role).await {
            Ok(Some(found)) if found.arn == role.as_str() => {
                (RoleState::Found(TrustPolicy::read(&found.trust_policy)), Some(found.trust_policy))
            }
            Ok(found) => (RoleState::Missing { namesake: found.map(|found| found.arn) }, None),
            Err(error) => (RoleState::Unread { reason: chain(&error) }, None),
        };
        Some((role, RoleLook { state, document }))
    };
    stream::iter(wanted)
        .map(read)
        .buffer_unordered(admin.settings.concurrency)
        .filter_map(std::future::ready)
        .collect()
        .await
}

/// Associations on blue that the ledger does not know.
async fn left_on(
    admin: &AdminContext<'_>,
    registry: &Registry,
    blue: &ClusterArn,
    bindings: &BTreeMap<DominoName, BindingRecord>,
) -> Result<Vec<Left>, Error> {
    let others = associations::unknown(admin, registry, blue, bindings).await?;
    let deployment = &admin.settings.plan.deployment;
    let left = others.iter().filter_map(|one| {
        Some(Left {
            place: format!("{}/{}", one.namespace, one.service_account),
            role: one.role_arn.clone(),
            whose: whose(one, deployment)?,
        })
    });
    Ok(left.collect())
}

/// Whose an association is that a migration leaves behind; none for our own.
fn whose(association: &Association, deployment: &str) -> Option<String> {
    Some(match (&association.owner_arn, association.tagged_by(deployment)) {
        (Some(owner), _) => format!("add-on {owner}"),
        (None, Some(Some(tag))) => format!("an orphan: our tag for {tag}"),
        (None, Some(None)) => "an orphan: our tag".to_owned(),
        (None, None) => "foreign".to_owned(),
    })
}
