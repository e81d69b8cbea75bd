//! Links that Kubernetes and domsed hold.

use std::collections::BTreeSet;

use pod_identity_core::domino::{MappingSettings, Mutations};
use pod_identity_core::sweep::{Bound, Case, Finding, Place, Places, Removal, Survey, Worked};
use pod_identity_core::{Binding, CloudWorkloadIdentity, KubernetesName, Mutation, Pod};
use pod_identity_engine::ledger::{Proof, WorkedRecord};

use super::evidence::Evidence;
use super::line::{Effect, Line};
use super::ways_out::{LET_IN, MAPPED_NEXT};
use crate::lists::some;

/// Most stale pods that have a line of their own.
const MOST_PODS: usize = 20;
/// Most names in one line.
const NAMES: usize = 3;

pub(super) fn lines(evidence: &Evidence) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(binding) = evidence.wanted() {
        lines.extend(account(evidence, &binding.kubernetes));
        lines.push(mapping(evidence, binding));
    }
    if let Some(place) = &evidence.place {
        lines.extend(pods(evidence, place));
    }
    lines
}

/// Unknown, with what the ledger remembers of earlier looks.
fn unknown(evidence: &Evidence, check: &str, why: &str, remembered: Option<String>) -> Line {
    let looked = evidence.inside_cluster.as_ref();
    let last = match looked.and_then(|inside| inside.looked_at.as_ref().zip(Some(inside))) {
        None => "the ledger remembers no look inside".to_owned(),
        Some((at, inside)) => match &inside.unreachable {
            Some(_) => format!("nobody could look at {at} either"),
            None => format!("somebody looked at {at}"),
        },
    };
    let remembered = remembered.map(|words| format!(", and the ledger remembers: {words}"));
    Line::unknown(check, format!("{why}; {last}{}", remembered.unwrap_or_default()))
}

fn account(evidence: &Evidence, place: &KubernetesName) -> Vec<Line> {
    let check = "service account";
    let (namespace, name) = (place.namespace(), place.service_account());
    let found = match &evidence.account {
        Ok(Some(found)) => found,
        Ok(None) => {
            return vec![Line::broken(
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
            let remembered = blocked.map(|blocked| blocked.reason.clone());
            let irsa = unknown(evidence, "irsa annotation", why, None);
            return vec![unknown(evidence, check, why, remembered).way_out(LET_IN), irsa];
        }
    };
    let irsa = match found.irsa_role() {
        None => Line::ok("irsa annotation", "none"),
        Some(role) => Line::broken(
            "irsa annotation",
            Effect::Some,
            format!(
                "{place} is annotated with role {role}, by which pods work that get a web identity"
            ),
            format!(
                "kubectl -n {namespace} annotate serviceaccount {name} eks.amazonaws.com/role-arn-, then restart its pods"
            ),
        ),
    };
    vec![Line::ok(check, format!("{place} exists")), irsa]
}

fn mapping(evidence: &Evidence, binding: &Binding) -> Line {
    let check = "domsed mapping";
    let Some(settings) = &evidence.mapping else {
        return Line::ok(check, "this deployment maps no names");
    };
    let since = evidence.inside.as_ref().and_then(|inside| inside.mapped_since);
    let cluster = evidence.cluster.name();
    let all = match &evidence.mutations {
        Err(why) => {
            let remembered = since.map(|at| format!("mapped since {at}"));
            return unknown(evidence, check, why, remembered);
        }
        Ok(Mutations::Unseen) => return unknown(evidence, check, "nobody looked", None),
        Ok(Mutations::NotInstalled) => {
            return Line::broken(
                check,
                Effect::None,
                format!("cluster {cluster} does not know Mutations: domsed is not installed"),
                "install domsed there, or switch the mapping off",
            );
        }
        Ok(Mutations::Seen(all)) => all,
    };
    let since = since.map(|at| format!(" since {at}"));
    judge_mapping(binding, settings, all, since, evidence.lack())
}

fn judge_mapping(
    binding: &Binding,
    settings: &MappingSettings,
    all: &[Mutation],
    since: Option<String>,
    lack: Effect,
) -> Line {
    let check = "domsed mapping";
    let (name, to) = (&binding.service_account, binding.kubernetes.service_account());
    let MappingSettings { namespace, name: ours, .. } = settings;
    let targets = |mutation: &Mutation| -> BTreeSet<String> {
        let mapped = identities(mutation).filter_map(|one| one.user_mappings.get(name.as_str()));
        mapped.cloned().collect()
    };
    let others = || {
        let others = all.iter().filter(|one| one.name != *ours);
        others.flat_map(|one| targets(one).into_iter().map(move |to| (one, to)))
    };
    if let Some((other, there)) = others().find(|(_, there)| there != to) {
        return Line::broken(
            check,
            Effect::None,
            format!("Mutation {namespace}/{} maps {name} to {there}, not to {to}", other.name),
            format!("take {name} out of it, or bind it again with that Kubernetes service account"),
        );
    }
    let seen = all.iter().find(|one| one.name == *ours).map(targets).unwrap_or_default();
    if seen.contains(to) {
        let since = since.unwrap_or_default();
        return Line::ok(check, format!("Mutation {namespace}/{ours} maps {name} to {to}{since}"));
    }
    if !seen.is_empty() {
        let there = Vec::from_iter(seen).join(", ");
        let why = format!("Mutation {namespace}/{ours} maps {name} to {there}, not to {to}");
        return Line::broken(check, Effect::None, why, MAPPED_NEXT);
    }
    // Whatever others map it to by now is the right one.
    if let Some((other, _)) = others().next() {
        let other = &other.name;
        let why = format!("Mutation {namespace}/{other}, which is not ours, maps {name} to {to}");
        return Line::ok(check, why);
    }
    Line::broken(
        check,
        lack,
        format!(
            "Mutation {namespace}/{ours} does not map {name} to {to}: its pods run on service accounts of their runs"
        ),
        MAPPED_NEXT,
    )
}

/// The identities of a Mutation for AWS; one that does not say of which cloud it is counts.
fn identities(mutation: &Mutation) -> impl Iterator<Item = &CloudWorkloadIdentity> {
    let all = mutation.rules.iter().filter_map(|rule| rule.cloud_workload_identity.as_ref());
    all.filter(|one| one.cloud_type.is_empty() || one.cloud_type.eq_ignore_ascii_case("aws"))
}

fn pods(evidence: &Evidence, place: &KubernetesName) -> Vec<Line> {
    let check = "pods";
    let seen = match &evidence.pods {
        Ok(seen) => seen,
        Err(why) => return vec![unknown(evidence, check, why, memory(evidence))],
    };
    // What cannot be told from the pods alone cannot be told without the association.
    let association = match &evidence.association {
        Ok(association) => association.clone(),
        Err(why) => return vec![unknown(evidence, check, why, memory(evidence))],
    };
    let places =
        Places::from([(place.clone(), Place { association, ..place_of(evidence, place) })]);
    let mut rules = evidence.sweep.clone();
    rules.namespaces.extend(seen.found.iter().map(|pod| pod.namespace.clone()));
    let mut survey = Survey::new(&places, &rules, evidence.now);
    seen.found.iter().for_each(|pod| survey.look_at(pod));
    let sweep = survey.plan(None);
    let reported = sweep.reports.into_iter().map(|one| one.finding);
    let held = sweep.held_back.into_iter().map(|one| one.finding);
    let stale: Vec<Finding> = sweep.evictions.into_iter().chain(reported).chain(held).collect();
    let is_stale = |pod: &&Pod| stale.iter().any(|finding| finding.pod.uid == pod.uid);
    let (right, bare): (Vec<&Pod>, Vec<&Pod>) = seen
        .found
        .iter()
        .filter(|pod| !is_stale(pod))
        .partition(|pod| pod.credentials.pod_identity);
    let mut words = Vec::new();
    for (what, pods) in [("with credentials", right), ("without credentials of ours", bare)] {
        if !pods.is_empty() {
            let names = some(pods.iter().map(|pod| pod.name.as_str()), NAMES);
            words.push(format!("{} {what}: {names}", pods.len()));
        }
    }
    if !stale.is_empty() {
        words.push(format!("{} to look at, below", stale.len()));
    }
    if words.is_empty() {
        words.push(match &evidence.pod {
            Some(pod) => format!("pod {pod} runs no more"),
            None => format!("none runs as {place} now"),
        });
        words.extend(memory(evidence).map(|proof| format!("the ledger remembers: {proof}")));
    }
    if seen.cut {
        words.push("the namespace has more pods than were looked at".to_owned());
    }
    let mut lines = vec![Line::ok(check, words.join("; "))];
    lines.extend(stale.iter().take(MOST_PODS).map(|finding| stale_pod(finding, evidence)));
    lines
}

fn stale_pod(finding: &Finding, evidence: &Evidence) -> Line {
    let check = format!("pod {}", finding.pod.name);
    let why = format!("{}: {}", finding.case, finding.reason);
    if finding.doubt.is_some() {
        return Line::unknown(check, why).way_out(&finding.way_out);
    }
    // Of one pod that is asked for, all of it is told.
    let effect = match finding.case {
        _ if evidence.pod.is_none() => Effect::Some,
        Case::Missing | Case::Unmapped => Effect::None,
        Case::Revoked | Case::Changed | Case::Recreated | Case::Shadowed => Effect::Other,
    };
    Line::broken(check, effect, why, &finding.way_out)
}

/// What workloads runs saw last.
fn memory(evidence: &Evidence) -> Option<String> {
    let inside = evidence.inside.as_ref()?;
    let shadowed = inside.shadowed.as_ref().map(|shadowed| shadowed.reason.clone());
    let proof = inside.effective.as_ref().map(|effective| match &effective.proof {
        Proof::Pod { name, .. } => format!("pod {name} had credentials at {}", effective.at),
        Proof::DryRun => format!("a dry run showed credentials at {}", effective.at),
    });
    shadowed.or(proof)
}

/// What the ledger says of the place, as the sweep wants it.
fn place_of(evidence: &Evidence, place: &KubernetesName) -> Place {
    let Some(condition) = &evidence.condition else { return Place::default() };
    let removal = condition.removals.get(place).map(|removal| Removal {
        service_account: evidence.name.clone(),
        at: removal.at,
        before: removal.before.as_ref().map(worked),
    });
    let associated = condition.association.as_ref().is_some_and(|one| one.kubernetes == *place);
    let inside = evidence.inside.as_ref().filter(|one| one.kubernetes.as_ref() == Some(place));
    let bound = evidence.wanted().map(|binding| Bound {
        service_account: evidence.name.clone(),
        desired: binding.desired.clone(),
        // Without an association here, both are about the place before.
        changed_at: condition.credentials_changed_at.filter(|_| associated),
        before: condition.before.as_ref().filter(|_| associated).map(worked),
        associated,
        mapped_since: inside.and_then(|inside| inside.mapped_since),
    });
    Place { bound, removals: removal.into_iter().collect(), association: None, irsa_role: None }
}

fn worked(record: &WorkedRecord) -> Worked {
    Worked { desired: record.desired.clone(), since: record.since }
}
