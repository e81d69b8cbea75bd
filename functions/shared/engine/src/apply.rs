//! Carries a plan out: node policies first, then associations.

mod policies;

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use pod_identity_core::node_policy::{self, AssignedPolicy, PolicyState};
use pod_identity_core::plan::{AssociationStep, PlacePlan, Plan};
use pod_identity_core::{
    Association, CLOCK_DIFFERENCE, ClusterArn, PolicyArn, RoleArn, ServiceAccountRef, fingerprint,
};
use pod_identity_events::{CallPurpose, Problem};

use crate::context::{Cloud, Context, Writers};
use crate::error::{Error, chain};
use crate::lease::Lease;
use crate::ledger::NodePolicyRecord;
use crate::observe::{self, problem_of};
use crate::ports::{AssociationUpdate, ClusterAccess, ErrorKind, NewAssociation, PortError};
use crate::settings::{Settings, later};

/// A policy that has a new version in force, or was deleted.
#[derive(Debug, Clone)]
pub(crate) struct PolicyChange {
    pub(crate) policy: PolicyArn,
    pub(crate) number: u32,
    pub(crate) version: String,
    pub(crate) added: Vec<RoleArn>,
    pub(crate) removed: Vec<RoleArn>,
    /// Whether the policy was given up, after that version.
    pub(crate) gone: bool,
}

/// The policies of which IAM has more, or less, than the bus was told.
pub(crate) fn unpublished(
    record: &NodePolicyRecord,
    cluster: &ClusterArn,
    settings: &Settings,
) -> Vec<PolicyChange> {
    let change = |(number, one): (&u32, &AssignedPolicy)| {
        Some(PolicyChange {
            policy: node_policy::policy_arn(&settings.plan.deployment, cluster, *number).ok()?,
            number: *number,
            version: one.version.clone()?,
            added: one.added.iter().cloned().collect(),
            removed: one.removed.iter().cloned().collect(),
            gone: false,
        })
    };
    let is_told = |one: &AssignedPolicy| one.state == PolicyState::Clean && one.is_unpublished();
    let policies = record.projection.policies.iter();
    policies.filter(|(_, one)| is_told(one)).filter_map(change).collect()
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Policies that were deleted.
    pub(crate) deleted: Vec<PolicyChange>,
    /// Why a policy step was not done, the first of them.
    pub(crate) undone: Option<Error>,
    /// Roles that are not granted to every node role, because a policy step was not done, and why.
    pub(crate) ungranted: BTreeMap<RoleArn, Error>,
    /// The outcome of each place that had a step.
    pub(crate) places: BTreeMap<ServiceAccountRef, Result<Option<Association>, Error>>,
    /// Steps that were done.
    pub(crate) steps: usize,
}

impl Applied {
    /// Grant before bind: why the role of a place is not granted, be it to be
    /// bound or standing already.
    pub(crate) fn ungranted(&self, place: &PlacePlan) -> Option<&Error> {
        self.ungranted.get(&place.bound.as_ref()?.desired.role)
    }
}

/// Where a plan is applied, and for how long steps may start.
pub(crate) struct Target<'a> {
    pub(crate) cloud: Cloud<'a>,
    pub(crate) writers: Writers<'a>,
    pub(crate) access: &'a ClusterAccess,
    pub(crate) lease: &'a Lease,
}

impl Target<'_> {
    /// Whether one more step may start.
    fn pass(&self) -> Result<(), Error> {
        let Context { clock, settings, .. } = *self.cloud;
        if self.cloud.deadline_reached() {
            return Err(self.cloud.deadline_error());
        }
        if !self.lease.covers(clock.now(), settings.longest_call) {
            return Err(Error::Retryable(format!(
                "the lease of cluster {} is nearly over, so no new step was started",
                self.access.cluster.name()
            )));
        }
        Ok(())
    }
}

/// Applies a plan. Steps that do not depend on a failed one are still done.
pub(crate) async fn apply(
    plan: &Plan,
    target: &Target<'_>,
    record: Option<&mut NodePolicyRecord>,
) -> Applied {
    let mut applied = Applied::default();
    if let Some(record) = record {
        policies::apply(plan, target, record, &mut applied).await;
    }
    let places: Vec<_> = stream::iter(plan.places.iter().filter(|place| place.step.is_some()))
        .map(|place| {
            let ungranted = applied.ungranted(place).cloned();
            async move {
                let result = match ungranted {
                    Some(failure) => Err(failure),
                    None => apply_place(place, target).await,
                };
                (place.kubernetes.clone(), result)
            }
        })
        .buffer_unordered(target.cloud.settings.concurrency)
        .collect()
        .await;
    applied.steps += places.iter().filter(|(_, result)| result.is_ok()).count();
    applied.places.extend(places);
    applied
}

async fn apply_place(place: &PlacePlan, target: &Target<'_>) -> Result<Option<Association>, Error> {
    target.pass()?;
    let (reader, writer, access) = (target.cloud.eks, target.writers.eks, target.access);
    match &place.step {
        None => Ok(None),
        Some(AssociationStep::DeleteAssociation { id, arn, tags, .. }) => {
            let tagged = tag(arn, tags.as_ref(), target).await?;
            match writer.delete_association(access, id).await {
                Ok(()) => Ok(None),
                // What is gone has no tag by which IAM could allow its deletion.
                Err(error)
                    if error.kind == ErrorKind::Denied
                        && matches!(reader.association(access, id).await, Ok(None)) =>
                {
                    Ok(None)
                }
                Err(error) => Err(after_tagging(tagged, &error, access)),
            }
        }
        Some(AssociationStep::CreateAssociation { desired, tags, client_token }) => {
            let new = NewAssociation {
                kubernetes: place.kubernetes.clone(),
                desired: desired.clone(),
                tags: tags.clone(),
                client_token: client_token.clone(),
            };
            create(&new, target).await.map(Some)
        }
        Some(AssociationStep::UpdateAssociation {
            id, arn, desired, tags, client_token, ..
        }) => {
            let update = desired.as_ref().map(|desired| AssociationUpdate {
                id: id.clone(),
                kubernetes: place.kubernetes.clone(),
                desired: desired.clone(),
                client_token: client_token.clone(),
            });
            update_association(id, arn, update, tags.as_ref(), target).await
        }
    }
}

/// Writes our tags before a change, and says whether there were any to write. IAM lets the functions
/// change only what carries their deployment's tag; what is gone needs none.
async fn tag(
    arn: &str,
    tags: Option<&BTreeMap<String, String>>,
    target: &Target<'_>,
) -> Result<bool, Error> {
    let Some(tags) = tags else { return Ok(false) };
    let access = target.access;
    match target.writers.eks.tag_association(access, arn, tags).await {
        Err(error) if error.kind != ErrorKind::NotFound => {
            return Err(association_failure(&error, access));
        }
        _ => {}
    }
    target.pass()?;
    Ok(true)
}

/// What a failed call means right after our tags were written: IAM may not know of them yet.
fn after_tagging(tagged: bool, error: &PortError, access: &ClusterAccess) -> Error {
    match error.kind {
        ErrorKind::Denied if tagged => Error::Retryable(chain(error)),
        _ => association_failure(error, access),
    }
}

async fn update_association(
    id: &str,
    arn: &str,
    update: Option<AssociationUpdate>,
    tags: Option<&BTreeMap<String, String>>,
    target: &Target<'_>,
) -> Result<Option<Association>, Error> {
    let (reader, writer, access) = (target.cloud.eks, target.writers.eks, target.access);
    let tagged = tag(arn, tags, target).await?;
    let failed = |error: PortError| match error.kind {
        // It vanished between list and change; the next attempt sees that.
        ErrorKind::NotFound => error.into(),
        _ => after_tagging(tagged, &error, access),
    };
    let Some(update) = update else {
        return reader.association(access, id).await.map_err(failed);
    };
    let found = writer.update_association(access, &update).await.map_err(failed)?;
    if !found.fits(&update.desired) {
        return replace(update, found, tags, target).await.map(Some);
    }
    Ok(Some(found))
}

/// Tags with this prefix are AWS's own, such as CloudFormation's: no caller may write them.
const RESERVED_TAGS: &str = "aws:";

/// EKS takes an empty value as "none", but does not promise to. When a value
/// that had to go is still there, only a new association is rid of it.
async fn replace(
    update: AssociationUpdate,
    found: Association,
    tags: Option<&BTreeMap<String, String>>,
    target: &Target<'_>,
) -> Result<Association, Error> {
    let (writer, access) = (target.writers.eks, target.access);
    target.pass()?;
    let deleted = writer.delete_association(access, &found.id).await;
    deleted.map_err(|error| association_failure(&error, access))?;
    target.pass()?;
    let mut all_tags = found.tags;
    all_tags.extend(tags.cloned().unwrap_or_default());
    all_tags.retain(|key, _| !key.to_lowercase().starts_with(RESERVED_TAGS));
    let new = NewAssociation {
        kubernetes: update.kubernetes,
        desired: update.desired,
        tags: all_tags,
        client_token: fingerprint([update.client_token.as_str(), "replaced"]),
    };
    // Pods get nothing meanwhile: whatever the reason, the next attempt makes it.
    create(&new, target).await.map_err(|failure| match failure {
        Error::Blocked(problem) => Error::Retryable(format!(
            "association {} of {} in cluster {} was deleted to be made again, and making it failed: {problem}",
            found.id,
            new.kubernetes,
            access.cluster.name(),
        )),
        passing => passing,
    })
}

async fn create(new: &NewAssociation, target: &Target<'_>) -> Result<Association, Error> {
    let (reader, writer, access) = (target.cloud.eks, target.writers.eks, target.access);
    let clock = target.cloud.clock;
    let failed = |error: PortError| association_failure(&error, access);
    let asked_at = clock.now();
    let mut answer = writer.create_association(access, new).await;
    if let Ok(remembered) = &answer
        && !is_fresh(remembered, asked_at)
        && reader.association(access, &remembered.id).await.map_err(failed)?.is_none()
    {
        // EKS answers a token that it knows with what it made for it, gone or not.
        target.pass()?;
        let client_token = fingerprint([new.client_token.as_str(), remembered.id.as_str()]);
        let again = NewAssociation { client_token, ..new.clone() };
        answer = writer.create_association(access, &again).await;
    }
    let error = match answer {
        Ok(created) => return Ok(created),
        Err(error) => error,
    };
    if error.kind != ErrorKind::InUse {
        return Err(failed(error));
    }
    // Either our own earlier attempt, whose answer was lost, or somebody was
    // faster. Only what is exactly as it was asked for counts as done.
    let places = BTreeSet::from([new.kubernetes.clone()]);
    let found = observe::associations(reader, access, &places, 1).await.map_err(failed)?;
    let same = |found: &Association| {
        found.owner_arn.is_none()
            && new.tags.iter().all(|(key, value)| found.tags.get(key) == Some(value))
            && found.fits(&new.desired)
    };
    match found.into_values().find(same) {
        Some(found) => Ok(found),
        None => Err(Error::Retryable(format!(
            "{} in cluster {} got another association meanwhile, which the next attempt looks at",
            new.kubernetes,
            access.cluster.name()
        ))),
    }
}

/// Whether a creation was answered with an association that was made for it just now.
fn is_fresh(created: &Association, asked_at: Timestamp) -> bool {
    created.created_at.is_some_and(|at| later(at, CLOCK_DIFFERENCE) > asked_at)
}

/// What a failed call means for the place that it was made for.
pub(crate) fn association_failure(error: &PortError, access: &ClusterAccess) -> Error {
    let said = chain(error).to_lowercase();
    match error.kind {
        ErrorKind::Passing | ErrorKind::Expired | ErrorKind::Unreachable => {
            Error::Retryable(chain(error))
        }
        ErrorKind::NotFound => {
            Error::from(Problem::ClusterNotFound { cluster_arn: access.cluster.to_string() })
        }
        // GetRole saw the role, so EKS will see it soon.
        ErrorKind::Invalid if said.contains("role") && said.contains("does not exist") => {
            Error::Retryable(chain(error))
        }
        // EKS looks at the principal and actions itself; no setting lets it pass.
        ErrorKind::Invalid if said.contains("trust policy") => Error::from(Problem::RefusedRole {
            call: observe::failed_call(error, Some(access)),
            trusted_role_arn: None,
        }),
        ErrorKind::Denied | ErrorKind::LimitReached | ErrorKind::Invalid | ErrorKind::InUse => {
            Error::from(problem_of(error, access, CallPurpose::Associations))
        }
    }
}
