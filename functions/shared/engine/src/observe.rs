//! What is: associations, roles and node policies of a cluster. Reads only.

mod node_policies;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use pod_identity_core::plan::RoleState;
use pod_identity_core::trust::TrustPolicy;
use pod_identity_core::{Association, RoleArn, ServiceAccountRef, plain};
use pod_identity_events::{CallPurpose, FailedCall, Problem};

pub use node_policies::is_broad_policy;
pub(crate) use node_policies::{
    FoundPolicies, ListedBetween, attachments, guessed_node_role, listed_between, node_policies,
    not_shown, ours, versions,
};

use crate::error::chain;
use crate::ports::{
    AssociationFilter, AssociationSummary, ClusterAccess, EksReader, ErrorKind, IamReader, Page,
    PortError,
};

/// Up to so many places are asked for one by one; beyond, the namespace is listed.
const FILTERED_LISTS: usize = 10;

/// Follows the pages of a list.
pub(crate) async fn pages<T, F: Future<Output = Result<Page<T>, PortError>>>(
    mut page_of: impl FnMut(Option<String>) -> F,
) -> Result<Vec<T>, PortError> {
    let (mut all, mut token) = (Vec::new(), None);
    loop {
        let page = page_of(token).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => token = Some(next),
            None => return Ok(all),
        }
    }
}

pub(crate) async fn list(
    aws: &dyn EksReader,
    access: &ClusterAccess,
    filter: AssociationFilter,
) -> Result<Vec<AssociationSummary>, PortError> {
    let filter = &filter;
    pages(|token| async move { aws.associations(access, filter, token.as_deref()).await }).await
}

/// Describes associations; those that are gone meanwhile are left out.
pub(crate) async fn describe(
    aws: &dyn EksReader,
    access: &ClusterAccess,
    summaries: Vec<AssociationSummary>,
    concurrency: usize,
) -> Result<Vec<Association>, PortError> {
    stream::iter(summaries)
        .map(|summary| async move { aws.association(access, &summary.id).await })
        .buffer_unordered(concurrency)
        .try_filter_map(|found| async move { Ok(found) })
        .try_collect()
        .await
}

/// The associations of some places.
pub(crate) async fn associations(
    aws: &dyn EksReader,
    access: &ClusterAccess,
    places: &BTreeSet<ServiceAccountRef>,
    concurrency: usize,
) -> Result<BTreeMap<ServiceAccountRef, Association>, PortError> {
    let wanted = summaries(aws, access, places, concurrency).await?;
    described(aws, access, wanted, concurrency).await
}

/// Describes associations, and puts them at their places. One whose names Kubernetes would not
/// take is at none.
pub(crate) async fn described(
    aws: &dyn EksReader,
    access: &ClusterAccess,
    summaries: Vec<AssociationSummary>,
    concurrency: usize,
) -> Result<BTreeMap<ServiceAccountRef, Association>, PortError> {
    let found = describe(aws, access, summaries, concurrency).await?;
    let place_of = |one: &Association| ServiceAccountRef::new(&one.namespace, &one.service_account);
    Ok(found.into_iter().filter_map(|one| Some((place_of(&one).ok()?, one))).collect())
}

/// What a list tells of the associations of some places.
pub(crate) async fn summaries(
    aws: &dyn EksReader,
    access: &ClusterAccess,
    places: &BTreeSet<ServiceAccountRef>,
    concurrency: usize,
) -> Result<Vec<AssociationSummary>, PortError> {
    let filters: Vec<AssociationFilter> = if places.len() <= FILTERED_LISTS {
        let one = |place: &ServiceAccountRef| AssociationFilter {
            namespace: Some(place.namespace().to_owned()),
            service_account: Some(place.service_account().to_owned()),
        };
        places.iter().map(one).collect()
    } else {
        let namespaces: BTreeSet<&str> = places.iter().map(ServiceAccountRef::namespace).collect();
        let one = |namespace: &str| AssociationFilter {
            namespace: Some(namespace.to_owned()),
            service_account: None,
        };
        namespaces.into_iter().map(one).collect()
    };
    let lists: Vec<Vec<AssociationSummary>> = stream::iter(filters)
        .map(|filter| list(aws, access, filter))
        .buffer_unordered(concurrency)
        .try_collect()
        .await?;
    // Not every service honours the filter, so it is applied here again.
    let is_wanted = |found: &AssociationSummary| {
        ServiceAccountRef::new(&found.namespace, &found.service_account)
            .is_ok_and(|place| places.contains(&place))
    };
    Ok(lists.into_iter().flatten().filter(is_wanted).collect())
}

/// Roles that one run has read: a cluster is worked on piece by piece, and many of its service
/// accounts share a role. What is not as it should be is read again with the next piece.
#[derive(Debug, Default)]
pub(crate) struct SeenRoles(RefCell<BTreeMap<RoleArn, RoleState>>);

impl SeenRoles {
    /// What IAM says of roles, or has said.
    pub(crate) async fn read(
        &self,
        aws: &dyn IamReader,
        access: &ClusterAccess,
        wanted: &BTreeSet<RoleArn>,
        concurrency: usize,
    ) -> Result<BTreeMap<RoleArn, RoleState>, PortError> {
        let unseen = |role: &&RoleArn| !self.0.borrow().contains_key(*role);
        let unseen = wanted.iter().filter(unseen).cloned().collect();
        let mut all = roles(aws, access, unseen, concurrency).await?;
        let found = all.iter().filter(|(_, state)| matches!(state, RoleState::Found(_)));
        let found: Vec<_> = found.map(|(role, state)| (role.clone(), state.clone())).collect();
        let mut seen = self.0.borrow_mut();
        seen.extend(found);
        let seen = seen.iter().filter(|(role, _)| wanted.contains(*role));
        all.extend(seen.map(|(role, state)| (role.clone(), state.clone())));
        Ok(all)
    }
}

/// What IAM says of roles. A role that may not be read is no reason to stop.
async fn roles(
    aws: &dyn IamReader,
    access: &ClusterAccess,
    roles: BTreeSet<RoleArn>,
    concurrency: usize,
) -> Result<BTreeMap<RoleArn, RoleState>, PortError> {
    stream::iter(roles)
        .map(|role| async move {
            let state = match aws.role(access, &role).await {
                Ok(Some(found)) if found.arn == role.as_str() => {
                    RoleState::Found(TrustPolicy::read(&found.trust_policy))
                }
                // Names are unique in an account, so GetRole finds a role by another path.
                Ok(Some(found)) => RoleState::Missing { namesake: Some(found.arn) },
                Ok(None) => RoleState::Missing { namesake: None },
                Err(error) if error.kind == ErrorKind::Passing => return Err(error),
                Err(error) => RoleState::Unread {
                    reason: format!("{error} ({})", error.code.as_deref().unwrap_or("no code")),
                },
            };
            Ok((role, state))
        })
        .buffer_unordered(concurrency)
        .try_collect()
        .await
}

/// What a lasting error of AWS means for bindings.
pub(crate) fn problem_of(
    error: &PortError,
    access: &ClusterAccess,
    purpose: CallPurpose,
) -> Problem {
    lasting(error.kind, purpose, failed_call(error, Some(access)))
}

/// What a call that will fail again means for bindings.
pub(crate) fn lasting(kind: ErrorKind, purpose: CallPurpose, call: FailedCall) -> Problem {
    match kind {
        ErrorKind::Denied => Problem::AccessDenied { purpose, call },
        ErrorKind::LimitReached => Problem::LimitReached { purpose, call },
        _ => Problem::InvalidRequest { purpose, call },
    }
}

/// A failed call as data. It has the service's own words, in one line, but no request id, which would make
/// each delivery's error new.
pub(crate) fn failed_call(error: &PortError, access: Option<&ClusterAccess>) -> FailedCall {
    let said = match (&error.code, &error.message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.clone(),
        (None, _) => chain(error.source.as_ref()),
    };
    let assumed = access.and_then(|access| access.assume_role.as_ref());
    FailedCall {
        operation: error.operation.to_owned(),
        object: error.object.clone(),
        assumed_role_arn: assumed.map(RoleArn::to_string),
        error: plain(&said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_says_of_a_failed_call_stays_one_plain_line() {
        let error = PortError {
            operation: "create",
            object: "service account a/b".to_owned(),
            kind: ErrorKind::Denied,
            code: Some("Forbidden".to_owned()),
            message: Some("no\nok  domsed mapping\u{202e}".to_owned()),
            source: "refused".into(),
        };
        let call = failed_call(&error, None);
        assert_eq!(call.error, "Forbidden: no\u{fffd}ok  domsed mapping\u{fffd}");
        let unanswered = PortError { code: None, message: None, ..error };
        assert_eq!(failed_call(&unanswered, None).error, "refused");
    }
}
