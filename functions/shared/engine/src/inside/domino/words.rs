//! What failed calls mean to the Domino side, and the remediation.

use pod_identity_core::ServiceAccountRef;
use pod_identity_core::domino::{MANAGED_BY, MappingSettings};
use pod_identity_core::plan::Problem;
use pod_identity_events::BlockedCode;

use super::super::{Inside, InsideError};
use crate::error::chain;
use crate::ports::{ErrorKind, PortError};

/// What Kubernetes' own refusal by RBAC is called. Any other denial came from somebody who does
/// not know the caller at all.
const FORBIDDEN: &str = "Forbidden";

const BIND: &str = "bind the Kubernetes role of the manifest to the function (docs/kubernetes.md)";

/// Whether nobody can look inside the cluster, be it for another part.
pub(super) fn is_closed(error: &PortError) -> bool {
    match error.kind {
        ErrorKind::Unreachable => true,
        ErrorKind::Denied => error.code.as_deref() != Some(FORBIDDEN),
        _ => false,
    }
}

/// A failed call, in Kubernetes' words, and what to do about it.
fn problem(code: BlockedCode, error: &PortError, remediation: String) -> Problem {
    Problem { code, reason: chain(error), remediation }
}

/// What else can be done about a failure that has no remediation of its own.
fn otherwise(error: &PortError) -> String {
    match error.kind {
        ErrorKind::Passing | ErrorKind::Expired => {
            "the next sweep tries again; if it goes on failing, look at the cluster's API server and admission webhooks".to_owned()
        }
        _ => "do what Kubernetes says: a quota, an admission policy or a webhook of the cluster refuses it".to_owned(),
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
    let (code, remediation) = match error.kind {
        ErrorKind::Denied => (BlockedCode::AccessDenied, BIND.to_owned()),
        _ => (BlockedCode::ServiceAccountMissing, otherwise(error)),
    };
    Ok(problem(code, error, remediation))
}

pub(super) fn mutations_unread(
    context: &Inside<'_>,
    settings: &MappingSettings,
    error: &PortError,
) -> Result<Problem, InsideError> {
    open(context, error)?;
    let cluster = context.access.cluster.name();
    Ok(match error.kind {
        ErrorKind::NotFound => Problem {
            code: BlockedCode::InvalidRequest,
            reason: format!("cluster {cluster} does not know Mutations, so no name is mapped"),
            remediation: "install domsed there, or switch the mapping off".to_owned(),
        },
        ErrorKind::Denied => problem(
            BlockedCode::AccessDenied,
            error,
            format!("{BIND} in namespace {}, or switch the mapping off", settings.namespace),
        ),
        _ => problem(BlockedCode::InvalidRequest, error, otherwise(error)),
    })
}

pub(super) fn account_failed(place: &ServiceAccountRef, error: &PortError) -> Problem {
    let remediation = match error.kind {
        ErrorKind::NotFound => format!(
            "there is no namespace {}; make it, or correct the namespaces of executions",
            place.namespace()
        ),
        ErrorKind::Denied => BIND.to_owned(),
        _ => otherwise(error),
    };
    problem(BlockedCode::ServiceAccountMissing, error, remediation)
}

pub(super) fn mapping_failed(namespace: &str, name: &str, error: &PortError) -> Problem {
    let (code, remediation) = match error.kind {
        // The definition of Mutations on the cluster, or an admission webhook, does not take ours.
        ErrorKind::Invalid => (
            BlockedCode::InvalidRequest,
            "install a version of domsed whose definition of Mutations has rules[].cloudWorkloadIdentity with cloud_type, default_sa and user_mappings, or switch the mapping off".to_owned(),
        ),
        ErrorKind::InUse => (
            BlockedCode::MappingConflict,
            format!(
                "Mutation {namespace}/{name} has another owner, at least in part, and was left alone; give ours another name, or have its owner give up its fields to the field manager {MANAGED_BY}"
            ),
        ),
        ErrorKind::Denied => {
            (BlockedCode::AccessDenied, format!("{BIND} in namespace {namespace}"))
        }
        ErrorKind::NotFound => (
            BlockedCode::InvalidRequest,
            "install domsed, correct the namespace of the Domino platform, or switch the mapping off".to_owned(),
        ),
        _ => (BlockedCode::InvalidRequest, otherwise(error)),
    };
    problem(code, error, remediation)
}

/// Whether it can work later without anything being done, so that no event tells of it.
pub(super) fn is_retryable(error: &PortError) -> bool {
    matches!(error.kind, ErrorKind::Passing | ErrorKind::Expired)
}
