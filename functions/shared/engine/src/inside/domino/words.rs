//! What failed calls mean to the Domino side, and the remediation.

use pod_identity_core::ServiceAccountRef;
use pod_identity_core::domino::MANAGED_BY;
use pod_identity_events::{CallPurpose, Problem};

use super::super::{Inside, InsideError};
use crate::observe::{failed_call, lasting};
use crate::ports::{ErrorKind, PortError};

/// What Kubernetes' own refusal by RBAC is called. Any other denial came from somebody who does
/// not know the caller at all.
const FORBIDDEN: &str = "Forbidden";

/// Whether nobody can look inside the cluster, be it for another part.
pub(super) fn is_closed(error: &PortError) -> bool {
    match error.kind {
        ErrorKind::Unreachable => true,
        ErrorKind::Denied => error.code.as_deref() != Some(FORBIDDEN),
        _ => false,
    }
}

/// What a failed call means where no more is known of it.
fn otherwise(error: &PortError, purpose: CallPurpose) -> Problem {
    let call = failed_call(error, None);
    match error.kind {
        ErrorKind::Passing | ErrorKind::Expired => Problem::KubernetesUnavailable { call },
        kind => lasting(kind, purpose, call),
    }
}

/// The error where the inside of the cluster cannot be reached, so that no other part is tried.
fn open(context: &Inside<'_>, error: &PortError) -> Result<(), InsideError> {
    match is_closed(error) {
        true => Err(InsideError::of(error, &context.access.cluster)),
        false => Ok(()),
    }
}

pub(super) fn accounts_unread(
    context: &Inside<'_>,
    error: &PortError,
) -> Result<Problem, InsideError> {
    open(context, error)?;
    Ok(otherwise(error, CallPurpose::ServiceAccounts))
}

pub(super) fn mutations_unread(
    context: &Inside<'_>,
    error: &PortError,
) -> Result<Problem, InsideError> {
    open(context, error)?;
    Ok(match error.kind {
        ErrorKind::NotFound => {
            Problem::NoMutations { cluster_arn: context.access.cluster.to_string() }
        }
        _ => otherwise(error, CallPurpose::Mutations),
    })
}

pub(super) fn account_failed(place: &ServiceAccountRef, error: &PortError) -> Problem {
    let purpose = CallPurpose::ServiceAccounts;
    match error.kind {
        ErrorKind::NotFound => Problem::NamespaceNotFound {
            purpose,
            namespace: place.namespace().to_owned(),
            call: failed_call(error, None),
        },
        _ => otherwise(error, purpose),
    }
}

pub(super) fn mapping_failed(namespace: &str, name: &str, error: &PortError) -> Problem {
    let call = failed_call(error, None);
    match error.kind {
        // The definition of Mutations on the cluster, or an admission webhook, does not take ours.
        ErrorKind::Invalid => Problem::MutationRefused { call },
        ErrorKind::InUse => Problem::ForeignMutation {
            namespace: namespace.to_owned(),
            mutation: name.to_owned(),
            field_manager: MANAGED_BY.to_owned(),
            call,
        },
        ErrorKind::NotFound => Problem::NamespaceNotFound {
            purpose: CallPurpose::Mutations,
            namespace: namespace.to_owned(),
            call,
        },
        _ => otherwise(error, CallPurpose::Mutations),
    }
}

/// Whether it can work later without anything being done, so that no event tells of it.
pub(super) fn is_retryable(error: &PortError) -> bool {
    matches!(error.kind, ErrorKind::Passing | ErrorKind::Expired)
}
