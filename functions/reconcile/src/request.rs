//! What the function is asked for.

use pod_identity_core::Malformed;
use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use pod_identity_core::{ClusterArn, Json, Partition, Pattern, ServiceAccountRef};
use pod_identity_engine::Scope;
use pod_identity_events::detail_type::RECONCILIATION_REQUESTED;
use serde::Deserialize;
use serde_json::Value;

/// Most times that one reconciliation is continued by another invocation. Each looks at one
/// hundred places at least, and EKS takes 5,000 associations a cluster.
pub(crate) const MAX_CONTINUATIONS: u32 = 100;

/// Calls that change an association.
const CHANGES: [&str; 5] = [
    "CreatePodIdentityAssociation",
    "UpdatePodIdentityAssociation",
    "DeletePodIdentityAssociation",
    "TagResource",
    "UntagResource",
];

/// What one record asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReconcileRequest {
    /// Every registered cluster: each gets a request of its own.
    All,
    /// One cluster, or some places on it.
    One {
        scope: Scope,
        /// How often it was continued already.
        continuation: u32,
        /// Whether nothing is to be written, whatever the deployment says.
        plan_only: bool,
    },
    /// Nothing: somebody's call that changed nothing, or our own.
    Nothing(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReconcileFields {
    cluster_arn: Option<ClusterArn>,
    after: Option<ServiceAccountRef>,
    #[serde(default)]
    continuation: u32,
    #[serde(default)]
    plan_only: bool,
}

/// A CloudTrail record of an EKS call, as far as it is looked at.
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trail {
    #[serde(default)]
    event_source: String,
    event_name: String,
    aws_region: String,
    #[serde(default)]
    recipient_account_id: String,
    #[serde(default)]
    user_identity: Value,
    #[serde(default)]
    request_parameters: Value,
    #[serde(default)]
    response_elements: Value,
    #[serde(default)]
    error_code: Option<String>,
}

/// Reads one record; the error states what is expected.
pub(crate) fn read(text: &str, own_roles: &[Pattern]) -> Result<ReconcileRequest, Malformed> {
    let event = Json::parse(text)
        .map_err(|error| format!("the record is not JSON: {error}"))?
        .unique()
        .map_err(|key| key.to_string())?;
    let kind = event.get("detail-type").and_then(Value::as_str);
    let detail = event.get("detail").cloned().unwrap_or_default();
    match kind {
        Some(RECONCILIATION_REQUESTED) => asked(detail),
        Some("Scheduled Event") => Ok(ReconcileRequest::All),
        Some("AWS API Call via CloudTrail") => called(detail, own_roles),
        Some(other) => Err(format!(
            "`{other}` is no event for this function: it takes `{RECONCILIATION_REQUESTED}`, \
             `Scheduled Event` and `AWS API Call via CloudTrail`"
        )
        .into()),
        // Somebody in the console.
        None => asked(event),
    }
}

fn asked(detail: Value) -> Result<ReconcileRequest, Malformed> {
    let ReconcileFields { cluster_arn, after, continuation, plan_only } =
        serde_json::from_value(detail).map_err(|error| {
            format!("a request has clusterArn, or none for all clusters: {error}")
        })?;
    let Some(cluster) = cluster_arn else { return Ok(ReconcileRequest::All) };
    if continuation > MAX_CONTINUATIONS {
        return Err(format!(
            "the reconciliation of {cluster} was handed on {continuation} times, and {MAX_CONTINUATIONS} \
             are the most; raise the function's time-out, and ask again without `after`"
        )
        .into());
    }
    Ok(ReconcileRequest::One {
        scope: Scope { after, ..Scope::of(cluster) },
        continuation,
        plan_only,
    })
}

/// What somebody's call asks to look at.
fn called(detail: Value, own_roles: &[Pattern]) -> Result<ReconcileRequest, Malformed> {
    let trail: Trail = serde_json::from_value(detail)
        .map_err(|error| format!("the record is not one of CloudTrail: {error}"))?;
    let Trail { event_name, user_identity, request_parameters, response_elements, .. } = &trail;
    if trail.event_source != "eks.amazonaws.com" || !CHANGES.contains(&event_name.as_str()) {
        return Ok(ReconcileRequest::Nothing(format!("{event_name} changes no association")));
    }
    if let Some(code) = &trail.error_code {
        return Ok(ReconcileRequest::Nothing(format!("{event_name} failed with {code}")));
    }
    let text =
        |value: &Value, at: &str| value.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let issuer = text(user_identity, "/sessionContext/sessionIssuer/arn");
    if issuer.as_ref().is_some_and(|role| own_roles.iter().any(|own| own.matches(role))) {
        return Ok(ReconcileRequest::Nothing(format!("{event_name} is this deployment's own")));
    }
    let arn = text(user_identity, "/arn").or(issuer);
    let actor = arn.clone().or_else(|| unnamed(user_identity));
    let tagged = text(request_parameters, "/resourceArn").and_then(|arn| cluster_of(&plain(&arn)));
    // What stands in the path of a request is recorded by the path's own name.
    let named = text(request_parameters, "/clusterName")
        .or_else(|| text(request_parameters, "/name"))
        .map(|name| plain(&name))
        .or_else(|| text(response_elements, "/association/clusterName"))
        .or(tagged);
    let Some(name) = named else {
        return Ok(ReconcileRequest::Nothing(format!("{event_name} names no cluster")));
    };
    let (region, account) = (&trail.aws_region, &trail.recipient_account_id);
    // An AWS service that calls has no ARN.
    let arn = arn.or_else(|| text(response_elements, "/association/associationArn"));
    let partition = arn.as_deref().and_then(|arn| arn.split(':').nth(1));
    let cluster = ClusterArn::new(
        partition.unwrap_or(Partition::of_region(region).name),
        region,
        account,
        &name,
    )
    .map_err(|error| format!("{event_name} is on no cluster: {error}"))?;
    let place = ["/association/namespace", "/association/serviceAccount"]
        .map(|at| text(response_elements, at));
    let places = match place {
        [Some(namespace), Some(service_account)] => {
            ServiceAccountRef::new(&namespace, &service_account).ok().into_iter().collect()
        }
        _ => BTreeSet::new(),
    };
    let scope = Scope { places, actor, ..Scope::of(cluster) };
    Ok(ReconcileRequest::One { scope, continuation: 0, plan_only: false })
}

/// Who called, of the kinds of identity that have no ARN: a service of AWS, a user of IAM Identity Center, and one of a
/// web identity provider.
/// <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html>
fn unnamed(user_identity: &Value) -> Option<String> {
    let text = |at: &str| user_identity.pointer(at).and_then(Value::as_str);
    let name = ["/invokedBy", "/onBehalfOf/userId", "/userName", "/principalId"];
    let name = name.into_iter().find_map(text)?;
    Some(format!("{} {name}", text("/type").unwrap_or("unknown identity")))
}

/// A parameter of a request's path, which CloudTrail records as it was sent: percent-encoded.
fn plain(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The cluster in the ARN of an association,
/// `arn:aws:eks:REGION:ACCOUNT:podidentityassociation/CLUSTER/ID`; none for another resource.
fn cluster_of(arn: &str) -> Option<String> {
    let resource = arn.splitn(6, ':').nth(5)?.strip_prefix("podidentityassociation/")?;
    Some(resource.split_once('/')?.0.to_owned())
}
