//! The policies of a cluster's node roles.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use futures::stream::{self, StreamExt, TryStreamExt};
use pod_identity_core::node_policy::{self, AssignedPolicy, PolicyState, Shard, version_number};
use pod_identity_core::plan::NodePolicies;
use pod_identity_core::{ClusterArn, DEPLOYMENT_TAG, PolicyArn, RoleArn};
use pod_identity_events::{CallPurpose, Problem};

use super::{describe, list, pages, problem_of};
use crate::context::{Cloud, Context};
use crate::error::Error;
use crate::ledger::{ClusterRecord, NodePolicyRecord};
use crate::ports::{
    AssociationFilter, ClusterAccess, ClusterReader, EksReader, ErrorKind, IamReader,
    PolicyVersion, PortError,
};
use crate::settings::Settings;

/// AWS's policies that allow every node to get credentials for every association.
const BROAD_POLICIES: [&str; 2] = ["AmazonEKSWorkerNodePolicy", "AmazonEKSWorkerNodeMinimalPolicy"];

/// Whether a managed policy, by its ARN, is one of AWS's own that allow every node to get
/// credentials for every association, so that a list of roles beside it restricts nothing.
#[must_use]
pub fn is_broad_policy(arn: &str) -> bool {
    BROAD_POLICIES.iter().any(|name| arn.ends_with(&format!(":iam::aws:policy/{name}")))
}

/// What was found of the node policies.
pub(crate) struct FoundPolicies {
    /// What to remember of them.
    pub(crate) record: NodePolicyRecord,
    /// Roles of associations that are not ours, which the list names as well.
    pub(crate) other_roles: BTreeSet<RoleArn>,
    /// What keeps them from being understood.
    pub(crate) problem: Option<Problem>,
    /// Whether the attachments were read just now, and not remembered.
    pub(crate) counted: bool,
}

impl FoundPolicies {
    /// What planning looks at.
    pub(crate) fn policies(&self) -> NodePolicies {
        let NodePolicyRecord { projection, node_roles, attached, max_shards, broad_grant, .. } =
            self.record.clone();
        NodePolicies {
            projection,
            node_roles,
            attached,
            max_shards,
            broad_grant: broad_grant.is_some(),
            other_roles: self.other_roles.clone(),
            problem: self.problem.clone(),
        }
    }
}

/// The node policies of a cluster, and what to remember of them.
///
/// The ledger says what they list, so an event reads none of them. A cluster that it does not know yet
/// is observed completely, foreign associations included, because the list is to be exhaustive; and a
/// reconciliation, with `refresh`, takes in what others have listed.
pub(crate) async fn node_policies(
    cloud: &Cloud<'_>,
    access: &ClusterAccess,
    cluster: &ClusterRecord,
    remembered: Option<NodePolicyRecord>,
    refresh: bool,
) -> Result<FoundPolicies, PortError> {
    let Cloud { eks, clusters, iam, .. } = *cloud;
    let Context { settings, clock, .. } = cloud.context;
    let known = remembered.is_some();
    let record = remembered.unwrap_or_default();
    let mut found =
        FoundPolicies { record, other_roles: BTreeSet::new(), problem: None, counted: false };
    let (record, registration) = (&mut found.record, &cluster.registration);
    if refresh || record.guessed || record.registration.as_ref() != Some(&cluster.version) {
        record.node_roles.clear();
        record.guessed = false;
    }
    record.registration = Some(cluster.version.clone());
    if !registration.node_roles.is_empty() {
        record.node_roles.clone_from(&registration.node_roles);
    } else if record.node_roles.is_empty() {
        match node_roles_of(eks, clusters, access, settings.concurrency).await? {
            Ok(roles) if roles.is_empty() => {
                record.node_roles.extend(guessed_node_role(access));
                record.guessed = true;
            }
            Ok(roles) => record.node_roles = roles,
            Err(problem) => found.problem = Some(problem),
        }
    }
    if let Some(problem) = refused_node_role(&record.node_roles, settings) {
        found.problem = Some(problem);
    }
    // Attachments of roles that are no longer node roles do not bound anything.
    record.attached.retain(|role, _| record.node_roles.contains(role));
    let unseen = record.node_roles.iter().any(|role| !record.attached.contains_key(role));
    if !known || refresh || unseen {
        attachments(iam, access, settings, &mut found).await?;
    }
    if !known || refresh {
        let record = &mut found.record;
        let attached = record.attached.values().flatten();
        let numbers: BTreeSet<u32> =
            attached.chain(record.projection.policies.keys()).copied().collect();
        let is_recent = record.is_recent(clock.now());
        for number in numbers {
            merge_in(iam, access, number, record, is_recent, settings).await?;
        }
    }
    // Thousands of calls perhaps: not for a plan that will only say what is wrong.
    if !known && found.problem.is_none() {
        found.other_roles.extend(other_roles(eks, access, settings).await?);
    }
    Ok(found)
}

/// Takes in what IAM has of a policy beyond the desired state, and notes what it has not of it.
async fn merge_in(
    aws: &dyn IamReader,
    access: &ClusterAccess,
    number: u32,
    record: &mut NodePolicyRecord,
    is_recent: bool,
    settings: &Settings,
) -> Result<(), PortError> {
    let cluster = &access.cluster;
    let Ok(arn) = node_policy::policy_arn(&settings.plan.deployment, cluster, number) else {
        return Ok(());
    };
    let known = record.projection.policies.get(&number);
    if known.is_some_and(|one| one.state == PolicyState::Removing) {
        return Ok(());
    }
    let is_foreign = known.is_some_and(|one| one.state == PolicyState::Foreign);
    let base = known.map_or(0, AssignedPolicy::base);
    let Some(policy) = aws.policy(access, &arn).await? else {
        // One that is to be made is not there yet, and one that was written lately may not show.
        if known.is_none() || (base > 0 && !is_recent) {
            record.replace(number);
        }
        return Ok(());
    };
    let version = &policy.default_version;
    let shown = version_number(version).unwrap_or_default();
    if (shown == base && !is_foreign) || (shown < base && is_recent) {
        return Ok(());
    }
    let Some(document) = aws.policy_document(access, &arn, version).await? else {
        return Err(not_shown(&arn, version));
    };
    let projection = &mut record.projection;
    projection.next_number = projection.next_number.max(number + 1);
    let one = projection.policies.entry(number).or_default();
    let shard = match ours(&arn, &policy.tags, number, &document, cluster, settings) {
        Ok(shard) => shard,
        Err(why) => {
            tracing::warn!(cluster = cluster.name(), "{why}");
            one.state = PolicyState::Foreign;
            return Ok(());
        }
    };
    // A writer that died before it could merge has put its version over another's.
    let mut theirs = shard.roles.clone();
    if shown > base + 1 {
        let versions = versions(aws, access, &arn).await?;
        let listed = listed_between(aws, access, &arn, &versions, base..shown).await?;
        theirs.extend(listed.roles);
        if let Some(why) = listed.left_alone {
            tracing::warn!(cluster = cluster.name(), "{why}");
            // Another policy lists its roles.
            one.leave_alone(&theirs);
            return Ok(());
        }
    }
    let is_new = one.version.is_none() && one.roles.is_empty();
    one.merge_in(&theirs);
    one.added.extend(one.roles.difference(&shard.roles).cloned());
    if is_new {
        // The ledger that knew it was lost, and the bus was told.
        (one.statement, one.added) = (shard.statement, BTreeSet::new());
    }
    if shown >= base {
        one.version = Some(policy.default_version.clone());
    }
    let is_as_assigned = one.roles == shard.roles && one.statement == shard.statement;
    let is_written = is_as_assigned && shown >= base;
    one.state = if is_written { PolicyState::Clean } else { PolicyState::Pending };
    Ok(())
}

/// The versions of a policy that there are.
pub(crate) async fn versions(
    aws: &dyn IamReader,
    access: &ClusterAccess,
    policy: &PolicyArn,
) -> Result<Vec<PolicyVersion>, PortError> {
    pages(|token| async move { aws.policy_versions(access, policy, token.as_deref()).await }).await
}

/// What the versions of a policy between two numbers say.
pub(crate) struct ListedBetween {
    /// The roles that they list.
    pub(crate) roles: BTreeSet<RoleArn>,
    /// Why the policy is left alone, where one of them says more than roles.
    pub(crate) left_alone: Option<Error>,
}

/// What the versions of a policy between two numbers say. One that says more than roles takes nothing from
/// what the others list.
pub(crate) async fn listed_between(
    aws: &dyn IamReader,
    access: &ClusterAccess,
    policy: &PolicyArn,
    versions: &[PolicyVersion],
    Range { start, end }: Range<u64>,
) -> Result<ListedBetween, PortError> {
    let mut listed = ListedBetween { roles: BTreeSet::new(), left_alone: None };
    for PolicyVersion { id, .. } in versions {
        if version_number(id).is_none_or(|number| number <= start || number >= end) {
            continue;
        }
        let text = aws.policy_document(access, policy, id).await?;
        let text = text.ok_or_else(|| not_shown(policy, id))?;
        let Some(shard) = node_policy::parse(0, &text, &access.cluster) else {
            let why = format!(
                "version {id} of policy {policy}, which somebody else made and which is no longer in force, says more than roles, so the policy is left alone; move what {id} adds to a policy of its own and delete that version"
            );
            listed.left_alone = Some(why.into());
            continue;
        };
        listed.roles.extend(shard.roles);
    }
    Ok(listed)
}

/// Reads again what is attached to the node roles, and so how many policies fit.
pub(crate) async fn attachments(
    aws: &dyn IamReader,
    access: &ClusterAccess,
    settings: &Settings,
    found: &mut FoundPolicies,
) -> Result<(), PortError> {
    found.counted = true;
    let record = &mut found.record;
    record.max_shards = u32::MAX;
    record.broad_grant = None;
    let number =
        |arn: &String| node_policy::policy_number(&settings.plan.deployment, &access.cluster, arn);
    for role in &record.node_roles {
        let listed =
            pages(
                |token| async move { aws.attached_policies(access, role, token.as_deref()).await },
            )
            .await;
        let policies = match listed {
            Ok(policies) => policies,
            Err(error) if error.kind == ErrorKind::Passing => return Err(error),
            Err(error) if error.kind == ErrorKind::NotFound => {
                found.problem = Some(no_node_role(role, access, record.guessed));
                continue;
            }
            Err(error) => {
                found.problem = Some(problem_of(&error, access, CallPurpose::NodeRole));
                continue;
            }
        };
        let attached: BTreeSet<u32> = policies.iter().filter_map(number).collect();
        let others = u32::try_from(policies.len() - attached.len()).unwrap_or(u32::MAX);
        record.max_shards = record.max_shards.min(settings.policy_slots.saturating_sub(others));
        let broad = || policies.iter().find(|arn| is_broad_policy(arn)).cloned();
        record.broad_grant = record.broad_grant.take().or_else(broad);
        record.attached.insert(role.clone(), attached);
    }
    if record.node_roles.is_empty() {
        record.max_shards = 0;
    }
    Ok(())
}

/// A node role that IAM does not know.
fn no_node_role(role: &RoleArn, access: &ClusterAccess, guessed: bool) -> Problem {
    Problem::NodeRoleNotFound {
        cluster_arn: access.cluster.to_string(),
        node_role_arn: role.to_string(),
        guessed,
    }
}

/// Node roles of the cluster's node groups, and that of the nodes of EKS Auto Mode, which are of none.
pub(crate) async fn node_roles_of(
    eks: &dyn EksReader,
    clusters: &dyn ClusterReader,
    access: &ClusterAccess,
    concurrency: usize,
) -> Result<Result<BTreeSet<RoleArn>, Problem>, PortError> {
    let groups =
        pages(|token| async move { eks.node_groups(access, token.as_deref()).await }).await;
    let groups = match groups {
        Ok(groups) => groups,
        Err(error) if error.kind == ErrorKind::Denied => {
            return Ok(Err(problem_of(&error, access, CallPurpose::NodeGroups)));
        }
        Err(error) => return Err(error),
    };
    let auto = match clusters.cluster(access).await {
        Ok(cluster) => cluster.and_then(|cluster| cluster.node_role),
        Err(error) if error.kind == ErrorKind::Denied => {
            return Ok(Err(problem_of(&error, access, CallPurpose::Cluster)));
        }
        Err(error) => return Err(error),
    };
    let roles: Vec<String> = stream::iter(groups)
        .map(|group| async move { eks.node_group_role(access, &group).await })
        .buffer_unordered(concurrency)
        .try_filter_map(|role| async move { Ok(role) })
        .try_collect()
        .await?;
    Ok(Ok(roles.iter().chain(&auto).filter_map(|role| role.parse().ok()).collect()))
}

/// The name that Domino's module for EKS gives a cluster's node role.
pub(crate) fn guessed_node_role(access: &ClusterAccess) -> Option<RoleArn> {
    let cluster = &access.cluster;
    let (partition, account, name) = (cluster.partition(), cluster.account(), cluster.name());
    format!("arn:{partition}:iam::{account}:role/{name}-eks-nodes").parse().ok()
}

pub(crate) fn refused_node_role(roles: &BTreeSet<RoleArn>, settings: &Settings) -> Option<Problem> {
    let listed = &settings.rules.node_roles;
    let refused = roles.iter().find(|role| !listed.iter().any(|p| p.matches(role.as_str())))?;
    Some(Problem::NodeRoleNotAllowed { node_role_arn: refused.to_string() })
}

/// IAM does not show yet what the ledger knows to be there.
pub(crate) fn not_shown(policy: &PolicyArn, version: &str) -> PortError {
    PortError {
        operation: "read policy",
        object: policy.to_string(),
        kind: ErrorKind::Passing,
        code: None,
        message: None,
        source: format!("IAM does not show version {version} yet").into(),
    }
}

/// A policy of this deployment, read back; or why it is none that may be written.
/// One whose tag was lost is still recognised by what it says.
pub(crate) fn ours(
    policy: &PolicyArn,
    tags: &BTreeMap<String, String>,
    number: u32,
    document: &str,
    cluster: &ClusterArn,
    settings: &Settings,
) -> Result<Shard, Error> {
    let deployment = &settings.plan.deployment;
    let shard = node_policy::parse(number, document, cluster);
    let tagged = tags.get(DEPLOYMENT_TAG).map(|tag| tag == deployment);
    match (shard, tagged) {
        (Some(shard), Some(true) | None) => Ok(shard),
        (None, Some(true)) => Err(format!(
            "policy {policy} says more than this deployment writes, so it is left alone; set its default version back to one that only lists roles, or move what was added to a policy of its own"
        ).into()),
        _ => Err(format!(
            "policy {policy} exists and is not tagged {DEPLOYMENT_TAG}={deployment}, so it is left alone; delete or rename that policy, or tag it if it is this deployment's"
        ).into()),
    }
}

/// Roles of all associations of the cluster, whosever they are: a first observation lists them all.
async fn other_roles(
    aws: &dyn EksReader,
    access: &ClusterAccess,
    settings: &Settings,
) -> Result<BTreeSet<RoleArn>, PortError> {
    let all = list(aws, access, AssociationFilter::default()).await?;
    let all = describe(aws, access, all, settings.concurrency).await?;
    Ok(all.iter().filter_map(|one| one.role_arn.parse().ok()).collect())
}
