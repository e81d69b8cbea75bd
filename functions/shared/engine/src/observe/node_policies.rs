//! The policies of a cluster's node roles.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use pod_identity_core::node_policy::{self, Shard};
use pod_identity_core::plan::{NodePolicies, Problem};
use pod_identity_core::{ClusterArn, DEPLOYMENT_TAG, PolicyArn, RoleArn};
use pod_identity_events::BlockedCode;

use super::{describe, list, pages, problem_of};
use crate::apply::PolicyChange;
use crate::ledger::{ClusterRecord, NodePolicyRecord};
use crate::ports::{AssociationFilter, ClusterAccess, EksReader, ErrorKind, IamReader, PortError};
use crate::settings::Settings;

/// IAM keeps at most five versions of a policy, one of them in force.
pub(crate) const VERSIONS_KEPT: usize = 4;

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
    /// What planning looks at.
    pub(crate) policies: NodePolicies,
    /// What to remember of them.
    pub(crate) record: NodePolicyRecord,
    /// Whether the attachments were read just now, and not remembered.
    pub(crate) counted: bool,
    /// Whether all of it was understood.
    pub(crate) understood: bool,
    /// Versions that the bus has not been told of: their writer died, or
    /// somebody wrote them by hand.
    pub(crate) unannounced: Vec<PolicyChange>,
    /// Roles that versions which those were put over listed, and that no policy lists now.
    pub(crate) overwritten: BTreeSet<RoleArn>,
}

impl FoundPolicies {
    /// What may be remembered although the policies were not understood: which of them are
    /// attached, if that was read just now. Otherwise the next delivery would believe in an
    /// attachment that this one saw gone.
    pub(crate) fn not_understood(self, remembered: NodePolicyRecord) -> Option<Self> {
        let same = self.record.node_roles == remembered.node_roles;
        if !self.counted || !same {
            return None;
        }
        let NodePolicyRecord { attached, max_shards, broad_grant, .. } = self.record;
        let record = NodePolicyRecord { attached, max_shards, broad_grant, ..remembered };
        Some(Self {
            record,
            understood: false,
            unannounced: Vec::new(),
            overwritten: BTreeSet::new(),
            ..self
        })
    }
}

/// The node policies of a cluster, and what to remember of them.
///
/// What the ledger remembers is believed, so that an event costs two calls a
/// policy; a cluster that it does not know yet is observed completely, foreign
/// associations included, because the list is to be exhaustive.
pub(crate) async fn node_policies<A: EksReader + IamReader>(
    aws: &A,
    access: &ClusterAccess,
    cluster: &ClusterRecord,
    remembered: Option<NodePolicyRecord>,
    settings: &Settings,
) -> Result<FoundPolicies, PortError> {
    let known = remembered.is_some();
    let mut record = remembered.unwrap_or_default();
    let mut found = NodePolicies::default();
    let registration = &cluster.registration;
    if record.guessed || record.registration.as_ref() != Some(&cluster.version) {
        record.node_roles.clear();
        record.guessed = false;
    }
    record.registration = Some(cluster.version.clone());
    if !registration.node_roles.is_empty() {
        record.node_roles.clone_from(&registration.node_roles);
    } else if record.node_roles.is_empty() {
        match node_roles_of(aws, access, settings.concurrency).await? {
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
    let remembered = known.then_some(&record);
    let unannounced = shards(aws, access, remembered, settings, &mut found).await?;
    let mut overwritten = found.other_roles.clone();
    overwritten.retain(|role| found.shards.iter().all(|shard| !shard.roles.contains(role)));
    let highest = found.shards.iter().map(|shard| shard.number).max().unwrap_or_default();
    record.shards = record.shards.max(highest);
    // Attachments of roles that are no longer node roles do not bound anything.
    record.attached.retain(|role, _| record.node_roles.contains(role));
    forget_lost_attachments(&mut record, &found);
    let unseen = record.node_roles.iter().any(|role| !record.attached.contains_key(role));
    let counted = !known || unseen;
    if counted {
        attachments(aws, access, settings, &mut record, &mut found).await?;
    }
    // Thousands of calls perhaps: not for a plan that will only say what is wrong.
    if !known && found.problem.is_none() {
        found.other_roles.extend(other_roles(aws, access, settings).await?);
    }
    found.trimming = record.trimming.keys().cloned().collect();
    found.node_roles.clone_from(&record.node_roles);
    found.attached.clone_from(&record.attached);
    found.max_shards = record.max_shards;
    found.broad_grant = record.broad_grant.is_some();
    let understood = found.problem.is_none();
    Ok(FoundPolicies { policies: found, record, counted, understood, unannounced, overwritten })
}

/// A policy that was deleted was detached before, and one that was made anew
/// since, whose numbers begin again, is not attached by itself.
fn forget_lost_attachments(record: &mut NodePolicyRecord, found: &NodePolicies) {
    let announced = |number| record.announced.get(&number).and_then(|id| counter(id));
    let kept: BTreeSet<u32> = found
        .versions
        .iter()
        .filter(|(number, version)| counter(version) >= announced(**number))
        .map(|(number, _)| *number)
        .collect();
    for attached in record.attached.values_mut() {
        attached.retain(|number| kept.contains(number));
    }
}

/// Reads anew what is attached to the node roles, and so how many policies fit.
pub(crate) async fn attachments(
    aws: &impl IamReader,
    access: &ClusterAccess,
    settings: &Settings,
    record: &mut NodePolicyRecord,
    found: &mut NodePolicies,
) -> Result<(), PortError> {
    record.max_shards = u32::MAX;
    record.broad_grant = None;
    let ours: BTreeMap<String, u32> = (1..=settings.policy_slots)
        .filter_map(|number| {
            let arn = node_policy::policy_arn(&settings.plan.deployment, &access.cluster, number);
            Some((arn.ok()?.to_string(), number))
        })
        .collect();
    for role in &record.node_roles {
        let listed =
            pages(
                |token| async move { aws.attached_policies(access, role, token.as_deref()).await },
            )
            .await;
        let policies = match listed {
            Ok(policies) => policies,
            Err(error) if error.kind == ErrorKind::Passing => return Err(error),
            Err(error) => {
                found.problem = Some(problem_of(
                    &error,
                    access,
                    "register the cluster with its node roles, and let the function read them",
                ));
                continue;
            }
        };
        let attached: BTreeSet<u32> =
            policies.iter().filter_map(|arn| ours.get(arn)).copied().collect();
        let others = u32::try_from(policies.len() - attached.len()).unwrap_or(u32::MAX);
        record.max_shards = record.max_shards.min(settings.policy_slots.saturating_sub(others));
        let broad = || policies.iter().find(|arn| is_broad_policy(arn)).cloned();
        record.broad_grant = record.broad_grant.take().or_else(broad);
        record.attached.insert(role.clone(), attached);
    }
    if record.node_roles.is_empty() {
        record.max_shards = 0;
    }
    found.attached.clone_from(&record.attached);
    found.max_shards = record.max_shards;
    found.broad_grant = record.broad_grant.is_some();
    Ok(())
}

/// Node roles of the cluster's node groups.
pub(crate) async fn node_roles_of(
    aws: &impl EksReader,
    access: &ClusterAccess,
    concurrency: usize,
) -> Result<Result<BTreeSet<RoleArn>, Problem>, PortError> {
    let groups =
        pages(|token| async move { aws.node_groups(access, token.as_deref()).await }).await;
    let groups = match groups {
        Ok(groups) => groups,
        Err(error) if error.kind == ErrorKind::Denied => {
            return Ok(Err(problem_of(
                &error,
                access,
                "register the cluster with its node roles, or allow eks:ListNodegroups",
            )));
        }
        Err(error) => return Err(error),
    };
    let roles: Vec<String> = stream::iter(groups)
        .map(|group| async move { aws.node_group_role(access, &group).await })
        .buffer_unordered(concurrency)
        .try_filter_map(|role| async move { Ok(role) })
        .try_collect()
        .await?;
    Ok(Ok(roles.iter().filter_map(|role| role.parse().ok()).collect()))
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
    Some(Problem {
        code: BlockedCode::NotAllowed,
        reason: format!("node role {refused} is not admitted by NODE_ROLES"),
        way_out: "add it to NODE_ROLES, or register the cluster with the node roles that are meant"
            .to_owned(),
    })
}

/// Reads the policies by number until one is missing; of a cluster that the
/// ledger knows, only as many as it remembers.
async fn shards(
    aws: &impl IamReader,
    access: &ClusterAccess,
    remembered: Option<&NodePolicyRecord>,
    settings: &Settings,
    found: &mut NodePolicies,
) -> Result<Vec<PolicyChange>, PortError> {
    let options = &settings.plan;
    let mut unannounced = Vec::new();
    for number in 1..=remembered.map_or(settings.policy_slots, |record| record.shards) {
        let Ok(arn) = node_policy::policy_arn(&options.deployment, &access.cluster, number) else {
            break;
        };
        // It may be gone, or be attached no more, whatever IAM shows.
        if remembered.is_some_and(|record| record.giving_up.contains_key(&number)) {
            continue;
        }
        let Some(policy) = aws.policy(access, &arn).await? else {
            match remembered {
                // Somebody deleted it; those behind it are still there.
                Some(_) => continue,
                None => break,
            }
        };
        let written = remembered.and_then(|record| record.versions.get(&number));
        if written.and_then(|id| counter(id)) > counter(&policy.default_version) {
            return Err(stale(&arn, &policy.default_version));
        }
        let version = &policy.default_version;
        let Some(document) = aws.policy_document(access, &arn, version).await? else {
            return Err(stale(&arn, version));
        };
        let cluster = &access.cluster;
        let shard = match ours(&arn, &policy.tags, number, &document, cluster, settings) {
            Ok(shard) => shard,
            Err(problem) => {
                found.problem = Some(problem);
                break;
            }
        };
        let announced = remembered.and_then(|record| record.announced.get(&number));
        if announced != Some(&policy.default_version) {
            // None: it says more than roles; a version that is gone says nothing.
            let roles_of = async |version: &str| -> Result<Option<BTreeSet<RoleArn>>, PortError> {
                let Some(text) = aws.policy_document(access, &arn, version).await? else {
                    return Ok(Some(BTreeSet::new()));
                };
                Ok(node_policy::parse(number, &text, cluster, false).map(|shard| shard.roles))
            };
            let before = match announced {
                Some(version) => roles_of(version).await?.unwrap_or_default(),
                None => BTreeSet::new(),
            };
            // A writer that died before it could merge has put its version over somebody
            // else's. What that one listed is listed again.
            let last = announced.and_then(|version| counter(version));
            if let (Some(last), Some(now)) = (last, counter(&policy.default_version)) {
                for skipped in (last + 1..now).rev().take(VERSIONS_KEPT) {
                    let skipped = format!("v{skipped}");
                    match roles_of(&skipped).await? {
                        Some(roles) => found.other_roles.extend(roles),
                        None => found.problem = Some(says_more(&arn, &skipped)),
                    }
                }
            }
            unannounced.push(PolicyChange {
                number,
                policy: arn,
                version: policy.default_version.clone(),
                added: shard.roles.difference(&before).cloned().collect(),
                removed: before.difference(&shard.roles).cloned().collect(),
                gone: false,
            });
        }
        found.versions.insert(number, policy.default_version);
        found.shards.push(shard);
    }
    Ok(unannounced)
}

/// The number in `v12`.
pub(crate) fn counter(version: &str) -> Option<u64> {
    version.strip_prefix('v')?.parse().ok()
}

/// IAM shows an older version than the one that was written last. Writing on
/// top of that one would take away what the newer one grants.
fn stale(policy: &PolicyArn, version: &str) -> PortError {
    PortError {
        operation: "read policy",
        object: policy.to_string(),
        kind: ErrorKind::Passing,
        code: None,
        message: None,
        source: format!("IAM still shows version {version}, and a newer one was written").into(),
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
) -> Result<Shard, Problem> {
    let deployment = &settings.plan.deployment;
    let statement = settings.plan.cluster_statement && number == 1;
    let shard = node_policy::parse(number, document, cluster, statement);
    let tagged = tags.get(DEPLOYMENT_TAG).map(|tag| tag == deployment);
    let (reason, way_out) = match (shard, tagged) {
        (Some(shard), Some(true)) => return Ok(shard),
        (Some(shard), None) if shard.canonical => return Ok(shard),
        (None, Some(true)) => (
            format!("policy {policy} says more than this deployment writes, so it is left alone"),
            "set its default version back to one that only lists roles, or move what was added to a policy of its own",
        ),
        _ => (
            format!("policy {policy} exists and is not tagged {DEPLOYMENT_TAG}={deployment}"),
            "delete or rename that policy, or tag it if it is this deployment's",
        ),
    };
    Err(Problem { code: BlockedCode::ForeignPolicy, reason, way_out: way_out.to_owned() })
}

/// Another writer's version that was written over cannot be merged.
pub(crate) fn says_more(policy: &PolicyArn, version: &str) -> Problem {
    Problem {
        code: BlockedCode::ForeignPolicy,
        reason: format!(
            "version {version} of policy {policy}, which somebody else made and which is no longer in force, says more than roles"
        ),
        way_out: format!(
            "move what {version} adds to a policy of its own and delete that version; then send the event again"
        ),
    }
}

/// Roles of all associations of the cluster, whosever they are: a first observation lists them all.
async fn other_roles<A: EksReader>(
    aws: &A,
    access: &ClusterAccess,
    settings: &Settings,
) -> Result<BTreeSet<RoleArn>, PortError> {
    let all = list(aws, access, AssociationFilter::default()).await?;
    let all = describe(aws, access, all, settings.concurrency).await?;
    Ok(all.iter().filter_map(|one| one.role_arn.parse().ok()).collect())
}
