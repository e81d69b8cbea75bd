//! Links that Kubernetes and domsed hold.

use std::collections::BTreeSet;

use pod_identity_core::domino::{MappingSettings, Mutations};
use pod_identity_core::{Binding, Mutation, ServiceAccountRef};
use pod_identity_events::Problem;

use super::evidence::ExplainEvidence;
use super::line::{Link, LinkEffect};
use super::pods;
use super::remediations::{LET_IN, MAPPED_NEXT, UNBLOCK};

pub(super) fn lines(evidence: &ExplainEvidence) -> Vec<Link> {
    let mut lines = Vec::new();
    if let Some(binding) = evidence.wanted() {
        lines.extend(account(evidence, &binding.kubernetes));
        lines.push(mapping(evidence, binding));
    }
    if let Some(place) = &evidence.place {
        lines.extend(pods::lines(evidence, place));
    }
    lines
}

fn account(evidence: &ExplainEvidence, place: &ServiceAccountRef) -> Vec<Link> {
    let check = "service account";
    let (namespace, name) = (place.namespace(), place.service_account());
    let found = match &evidence.account {
        Ok(Some(found)) => found,
        Ok(None) => {
            return vec![Link::broken(
                check,
                evidence.lack(),
                format!("there is no Kubernetes service account {place}"),
                format!(
                    "kubectl -n {namespace} create serviceaccount {name}, or have this deployment make service accounts; the workloads function makes it on its next run then"
                ),
            )];
        }
        Err(why) => {
            let blocked = evidence.inside.as_ref().and_then(|inside| inside.blocked.as_ref());
            let remembered = blocked.map(Problem::message);
            let irsa = evidence.unknown("irsa annotation", why, None, "");
            return vec![evidence.unknown(check, why, remembered, LET_IN), irsa];
        }
    };
    let irsa = match found.irsa_role() {
        None => Link::ok("irsa annotation", "none"),
        Some(role) => Link::broken(
            "irsa annotation",
            LinkEffect::Some,
            format!(
                "{place} is annotated with role {role}: a pod that is admitted while EKS does not show the association gets that role instead"
            ),
            format!(
                "kubectl -n {namespace} annotate serviceaccount {name} eks.amazonaws.com/role-arn-, then restart its pods"
            ),
        ),
    };
    vec![Link::ok(check, format!("{place} exists")), irsa]
}

fn mapping(evidence: &ExplainEvidence, binding: &Binding) -> Link {
    let check = "domsed mapping";
    let Some(settings) = &evidence.mapping else {
        return Link::ok(check, "this deployment maps no names");
    };
    let since = evidence.inside.as_ref().and_then(|inside| inside.mapped_since);
    let cluster = evidence.cluster.name();
    let all = match &evidence.mutations {
        Err(why) => {
            let remembered = since.map(|at| format!("mapped since {at}"));
            return evidence.unknown(check, why, remembered, "");
        }
        Ok(Mutations::Unseen) => return evidence.unknown(check, "nobody looked", None, ""),
        Ok(Mutations::NotInstalled) => {
            return Link::broken(
                check,
                LinkEffect::None,
                format!("cluster {cluster} does not know Mutations: domsed is not installed"),
                "install domsed there, or switch the mapping off",
            );
        }
        Ok(Mutations::Seen(all)) => all,
    };
    let since = since.map(|at| format!(" since {at}"));
    judge_mapping(binding, settings, all, since, (evidence.lack(), &mapped_next(evidence)))
}

/// What has to happen before it is mapped.
fn mapped_next(evidence: &ExplainEvidence) -> String {
    let blocked = evidence.inside.as_ref().and_then(|inside| inside.blocked.as_ref());
    match blocked {
        _ if evidence.is_blocked() => UNBLOCK.to_owned(),
        Some(blocked) => blocked.to_string(),
        None => MAPPED_NEXT.to_owned(),
    }
}

fn judge_mapping(
    binding: &Binding,
    settings: &MappingSettings,
    all: &[Mutation],
    since: Option<String>,
    (lack, next): (LinkEffect, &str),
) -> Link {
    let check = "domsed mapping";
    let (name, to) = (&binding.service_account, binding.kubernetes.service_account());
    let MappingSettings { namespace, name: ours, .. } = settings;
    let targets = |mutation: &Mutation| -> BTreeSet<String> {
        let mapped = mutation.identities().filter_map(|one| one.user_mappings.get(name.as_str()));
        mapped.cloned().collect()
    };
    let others = || {
        let others = all.iter().filter(|one| one.name != *ours);
        others.flat_map(|one| targets(one).into_iter().map(move |to| (one, to)))
    };
    if let Some((other, there)) = others().find(|(_, there)| there != to) {
        return Link::broken(
            check,
            LinkEffect::None,
            format!("Mutation {namespace}/{} maps {name} to {there}, not to {to}", other.name),
            format!("take {name} out of it, or bind it again with that Kubernetes service account"),
        );
    }
    let seen = all.iter().find(|one| one.name == *ours).map(targets).unwrap_or_default();
    if seen.contains(to) {
        let since = since.unwrap_or_default();
        return Link::ok(check, format!("Mutation {namespace}/{ours} maps {name} to {to}{since}"));
    }
    if !seen.is_empty() {
        let there = Vec::from_iter(seen).join(", ");
        let why = format!("Mutation {namespace}/{ours} maps {name} to {there}, not to {to}");
        return Link::broken(check, LinkEffect::None, why, next);
    }
    // Whatever others map it to by now is the right one.
    if let Some((other, _)) = others().next() {
        let other = &other.name;
        let why = format!("Mutation {namespace}/{other}, which is not ours, maps {name} to {to}");
        return Link::ok(check, why);
    }
    Link::broken(
        check,
        lack,
        format!(
            "Mutation {namespace}/{ours} does not map {name} to {to}: its pods run on service accounts of their runs"
        ),
        next,
    )
}
