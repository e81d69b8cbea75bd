//! What failed calls mean to the Domino side, and the way out.

use pod_identity_core::KubernetesName;
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

/// The error where nobody can look inside, so that no other part is tried.
fn open<A, K, C>(context: &Inside<'_, A, K, C>, error: &PortError) -> Result<(), InsideError> {
    match is_closed(error) {
        true => Err(InsideError::of(error, &context.access.cluster)),
        false => Ok(()),
    }
}

pub(super) fn accounts_unread<A, K, C>(
    context: &Inside<'_, A, K, C>,
    namespace: &str,
    error: &PortError,
) -> Result<String, InsideError> {
    open(context, error)?;
    Ok(match error.kind {
        ErrorKind::Denied => format!(
            "{}, so whatever concerns service accounts of namespace {namespace} was left: {BIND}",
            chain(error)
        ),
        _ => chain(error),
    })
}

pub(super) fn mutations_unread<A, K, C>(
    context: &Inside<'_, A, K, C>,
    settings: &MappingSettings,
    error: &PortError,
) -> Result<String, InsideError> {
    open(context, error)?;
    let cluster = context.access.cluster.name();
    Ok(match error.kind {
        ErrorKind::NotFound => format!(
            "cluster {cluster} does not know Mutations, so no name is mapped: install domsed there, or switch the mapping off"
        ),
        ErrorKind::Denied => format!(
            "{}, so the mapping was left as it is: {BIND} in namespace {}, or switch the mapping off",
            chain(error),
            settings.namespace
        ),
        _ => chain(error),
    })
}

pub(super) fn account_failed(place: &KubernetesName, error: &PortError) -> String {
    match error.kind {
        ErrorKind::NotFound => format!(
            "{}: there is no namespace {}; make it, or correct the namespaces of executions",
            chain(error),
            place.namespace()
        ),
        ErrorKind::Denied => format!("{}: {BIND}", chain(error)),
        _ => chain(error),
    }
}

/// The definition of Mutations on the cluster, or an admission webhook, does not take ours.
pub(super) fn mapping_refused(error: &PortError) -> Problem {
    let said = error.message.as_ref().map(|said| format!(": {said}"));
    Problem {
        code: BlockedCode::InvalidRequest,
        reason: format!("{error}{}", said.unwrap_or_default()),
        way_out: "install a version of domsed whose definition of Mutations has rules[].cloudWorkloadIdentity with cloud_type, default_sa and user_mappings, or switch the mapping off"
            .to_owned(),
    }
}

pub(super) fn mapping_failed(namespace: &str, name: &str, error: &PortError) -> String {
    match error.kind {
        ErrorKind::InUse => format!(
            "{}: Mutation {namespace}/{name} is somebody else's, at least in part, and was left alone; give ours another name, or have them give up its fields to the field manager {MANAGED_BY}",
            chain(error)
        ),
        ErrorKind::Denied => format!("{}: {BIND} in namespace {namespace}", chain(error)),
        ErrorKind::NotFound => format!(
            "{}: install domsed, correct the namespace of the Domino platform, or switch the mapping off",
            chain(error)
        ),
        _ => chain(error),
    }
}
