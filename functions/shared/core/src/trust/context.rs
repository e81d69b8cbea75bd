//! What a condition key holds when EKS assumes a role: the request's context, as far
//! as AWS documents it.

use super::{POD_IDENTITY_PRINCIPAL, TrustQuestion};

/// What a condition key holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent<'a> {
    Value(&'a str),
    /// All values of a key that holds a list.
    Values(&'static [&'static str]),
    /// One value, which only the call shows.
    Hidden,
    Absent,
    /// Present or not, with values that only the call shows.
    Unknown,
}

/// EKS sends these as session tags, and makes all of them transitive.
/// <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html>
const SESSION_TAGS: [&str; 6] = [
    "eks-cluster-arn",
    "eks-cluster-name",
    "kubernetes-namespace",
    "kubernetes-service-account",
    "kubernetes-pod-name",
    "kubernetes-pod-uid",
];

/// Takes the key in lower case: condition keys are not case-sensitive, tag keys inside
/// them neither.
pub(super) fn sent<'a>(key: &str, question: TrustQuestion<'a>) -> Sent<'a> {
    match key {
        "aws:sourcearn" => Sent::Value(question.cluster.as_str()),
        "aws:sourceaccount" => Sent::Value(question.cluster.account()),
        // The service makes the call itself, with its service principal.
        "aws:principalisawsservice" => Sent::Value("true"),
        "aws:principalservicename" => Sent::Value(POD_IDENTITY_PRINCIPAL),
        "aws:tagkeys" | "sts:transitivetagkeys" if question.session_tags => {
            Sent::Values(&SESSION_TAGS)
        }
        "aws:tagkeys" | "sts:transitivetagkeys" => Sent::Absent,
        "sts:rolesessionname" => Sent::Hidden,
        // EKS sets an external id only when it goes on to a target role.
        "sts:externalid" => Sent::Absent,
        _ => match key.split_once('/') {
            Some((_, "")) | None => Sent::Unknown,
            Some(("aws:requesttag", tag)) => request_tag(tag, question),
            // Users and roles have tags, a service principal has none.
            Some(("aws:principaltag", _)) => Sent::Absent,
            Some(_) => Sent::Unknown,
        },
    }
}

fn request_tag<'a>(tag: &str, question: TrustQuestion<'a>) -> Sent<'a> {
    match tag {
        _ if !question.session_tags => Sent::Absent,
        "eks-cluster-arn" => Sent::Value(question.cluster.as_str()),
        "eks-cluster-name" => Sent::Value(question.cluster.name()),
        "kubernetes-namespace" => Sent::Value(question.kubernetes.namespace()),
        "kubernetes-service-account" => Sent::Value(question.kubernetes.service_account()),
        "kubernetes-pod-name" | "kubernetes-pod-uid" => Sent::Hidden,
        _ => Sent::Absent,
    }
}
