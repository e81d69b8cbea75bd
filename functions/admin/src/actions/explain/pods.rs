//! What pods show: whether EKS's webhook injects, and who holds what.

use std::collections::BTreeMap;

use pod_identity_core::sweep::{
    Case, Finding, Places, Removal, Survey, SweepBound, SweepPlace, Worked,
};
use pod_identity_core::{Association, DominoName, Obstacle, Pod, ServiceAccountRef};
use pod_identity_engine::ledger::{Effective, Proof, WorkedRecord};

use super::evidence::ExplainEvidence;
use super::line::{Link, LinkEffect, LinkState};
use super::remediations::LET_IN;
use crate::lists::{place as place_at, some};
use pod_identity_engine::Error;

/// Most pods that have a line of their own.
const MOST_PODS: usize = 20;
/// Most names in one line.
const NAMES: usize = 3;

pub(super) fn lines(evidence: &ExplainEvidence, place: &ServiceAccountRef) -> Vec<Link> {
    let seen = match (&evidence.pods, &evidence.association) {
        (Ok(seen), Ok(_)) => seen,
        // What cannot be told from the pods alone cannot be told without the association.
        (Err(why), _) | (_, Err(why)) => {
            let remembered = memory(evidence);
            let line = evidence.unknown("pods", why, remembered, LET_IN);
            return webhook(evidence, &[]).into_iter().chain([line]).collect();
        }
    };
    let sorted = Sorted::of(evidence, place, &seen.found);
    let mut lines = Vec::from_iter(webhook(evidence, &sorted.here));
    lines.push(summary(evidence, place, &sorted, seen.cut));
    lines.extend(evidence.unseen.iter().map(|(namespace, why)| {
        let why = format!("those of namespace {namespace}, where it was before: {why}");
        Link::unknown("pods before", why).remediation(LET_IN)
    }));
    let mut own = sorted.lines(evidence, place);
    own.sort_by_key(|line| (line.verdict != LinkState::Broken, line.effect));
    let rest = own.split_off(own.len().min(MOST_PODS));
    lines.extend(own);
    if let Some(worst) = rest.first() {
        let why = format!("{} more are not as they should be, or nobody knows", rest.len());
        let (check, remediation) = ("pods, the others", "ask by the name of a pod".to_owned());
        let line = Link::unknown(check, why);
        lines.push(Link {
            remediation: Some(remediation),
            verdict: worst.verdict,
            effect: worst.effect,
            ..line
        });
    }
    lines
}

/// Pods, by what is to be said of them.
struct Sorted<'a> {
    /// All of the service account that the binding names.
    here: Vec<&'a Pod>,
    stale: Vec<(Finding, &'a Pod)>,
    /// Here, injected and not stale.
    right: Vec<&'a Pod>,
    /// Here, without injection and not stale.
    bare: Vec<&'a Pod>,
    /// Not stale, and of another service account.
    elsewhere: Vec<&'a Pod>,
    /// With what EKS injects, of another service account whose association could not be read.
    unread: Vec<(&'a Pod, &'a Error)>,
}

impl<'a> Sorted<'a> {
    fn of(evidence: &'a ExplainEvidence, place: &ServiceAccountRef, pods: &'a [Pod]) -> Self {
        let mut places = Places::from([(place.clone(), place_of(evidence, place))]);
        for at in evidence.elsewhere.keys() {
            places.insert(at.clone(), place_of(evidence, at));
        }
        let mut rules = evidence.sweep.clone();
        rules.namespaces.extend(pods.iter().map(|pod| pod.namespace.clone()));
        let mapping = evidence.mapping.as_ref().zip(evidence.mutations.as_ref().ok());
        let injected = mapping.map(|(mapping, all)| all.injected(&mapping.namespace));
        let survey = Survey::new(&places, &rules, evidence.now);
        let mut survey = survey.injected_by(injected.unwrap_or_default());
        // What its association is, nobody can say of a pod whose place could not be read.
        let known = |pod: &&Pod| !matches!(of_pod(evidence, pod), Some(Err(_)));
        pods.iter().filter(known).for_each(|pod| survey.look_at(pod));
        let sweep = survey.plan(None);
        let reported = sweep.reports.into_iter().map(|one| one.finding);
        let held = sweep.held_back.into_iter().map(|one| one.finding);
        let findings = sweep.evictions.into_iter().chain(reported).chain(held);
        let mut stale: BTreeMap<String, Finding> =
            findings.map(|finding| (finding.pod.uid.clone(), finding)).collect();
        let mut sorted = Self {
            here: Vec::new(),
            stale: Vec::new(),
            right: Vec::new(),
            bare: Vec::new(),
            elsewhere: Vec::new(),
            unread: Vec::new(),
        };
        let wanted = evidence.wanted().is_some();
        let concerns = |pod: &Pod| wanted && (evidence.started(pod) || evidence.pod.is_some());
        for pod in pods {
            let here = at(pod).as_ref() == Some(place);
            if here {
                sorted.here.push(pod);
            }
            match (stale.remove(&pod.uid), here) {
                (Some(finding), _) => sorted.stale.push((finding, pod)),
                (None, false) => match of_pod(evidence, pod) {
                    Some(Err(why)) if pod.credentials.can_get => {
                        sorted.unread.push((pod, why));
                    }
                    _ if concerns(pod) => sorted.elsewhere.push(pod),
                    _ => {}
                },
                (None, true) if pod.works() => sorted.right.push(pod),
                (None, true) => sorted.bare.push(pod),
            }
        }
        sorted
    }

    /// The pods that are not as they should be.
    fn lines(&self, evidence: &ExplainEvidence, place: &ServiceAccountRef) -> Vec<Link> {
        let asked = evidence.pod.is_some();
        // Where none is right, that some are not is the whole truth.
        let all = asked || (self.right.is_empty() && !self.here.is_empty());
        let mut lines: Vec<Link> =
            self.stale.iter().map(|(finding, pod)| stale(finding, pod, evidence, all)).collect();
        lines.extend(self.unread.iter().map(|(pod, why)| {
            let Pod { namespace, service_account, .. } = pod;
            let why = format!(
                "it runs as {namespace}/{service_account}, and whether it holds what that one gave is not known: {why}"
            );
            Link::unknown(check(pod), why).remediation("ask by the name of the pod")
        }));
        let Some(binding) = evidence.wanted() else { return lines };
        if asked {
            let bare_ones = self.bare.iter().filter(|pod| !pod.credentials.pod_identity);
            lines.extend(bare_ones.map(|pod| bare(evidence, pod)));
        }
        lines.extend(self.elsewhere.iter().map(|pod| elsewhere(evidence, place, pod, asked)));
        let others = self.right.iter().filter_map(|pod| {
            let user = pod.labels.get(&evidence.sweep.user_label)?;
            let user = user.parse::<DominoName>().ok().filter(|user| *user != evidence.name)?;
            let why = format!(
                "it was started by {user}, and runs as {place}: it works as {}",
                binding.desired.role
            );
            Some(Link::broken(
                check(pod),
                LinkEffect::Some,
                why,
                format!("see what maps {user} to {place}: a Mutation, or another webhook"),
            ))
        });
        lines.extend(others);
        let here = self.right.iter().chain(&self.bare);
        let none_works = asked || self.right.is_empty();
        let obstacles =
            here.flat_map(|pod| pod.obstacles.iter().map(|one| obstacle(pod, *one, none_works)));
        lines.extend(obstacles);
        lines
    }
}

fn check(pod: &Pod) -> String {
    format!("pod {}", pod.name)
}

/// The service account of a pod.
fn at(pod: &Pod) -> Option<ServiceAccountRef> {
    place_at(&pod.namespace, &pod.service_account)
}

/// What is known of the association of a pod's service account; none when it was not asked for.
fn of_pod<'a>(
    evidence: &'a ExplainEvidence,
    pod: &Pod,
) -> Option<Result<Option<&'a Association>, &'a Error>> {
    let known = evidence.association_at(&at(pod)?)?;
    Some(known.as_ref().map(Option::as_ref))
}

fn summary(
    evidence: &ExplainEvidence,
    place: &ServiceAccountRef,
    sorted: &Sorted<'_>,
    cut: bool,
) -> Link {
    let check = "pods";
    let mut words = Vec::new();
    for (what, pods) in [
        ("with what EKS injects", &sorted.right),
        ("without it, or where it is of no use", &sorted.bare),
    ] {
        if !pods.is_empty() {
            let names = some(pods.iter().map(|pod| pod.name.as_str()), NAMES);
            words.push(format!("{} {what}: {names}", pods.len()));
        }
    }
    let others = sorted.stale.len() + sorted.elsewhere.len() + sorted.unread.len();
    if others > 0 {
        words.push(format!("{others} to look at, below"));
    }
    match &evidence.pod {
        Some(pod) if pod.over => words.push(format!("{} has ended", pod.name)),
        None if words.is_empty() => {
            words.push(format!("none runs as {place} now"));
            let shadowed = evidence.inside.as_ref().and_then(|inside| inside.shadowed.as_ref());
            let remembered = shadowed.map(|one| format!("the ledger remembers: {}", one.reason));
            words.extend(remembered);
        }
        _ => {}
    }
    if cut {
        words.push("the namespace has more pods than were looked at".to_owned());
        return Link::unknown(check, words.join("; ")).remediation("ask by the name of the pod");
    }
    Link::ok(check, words.join("; "))
}

fn stale(finding: &Finding, pod: &Pod, evidence: &ExplainEvidence, all: bool) -> Link {
    let why = format!("{}: {}", finding.case, finding.reason);
    let over = evidence.pod.as_ref().is_some_and(|pod| pod.over);
    let remediation = match over {
        true => "it has ended: put the other lines right and start the run again",
        false => &finding.remediation,
    };
    // What it held is the same whenever it ended; what was changed may have been so after that.
    let settled =
        matches!(finding.case, Case::Excluded | Case::Shadowed | Case::Missing | Case::Unmapped);
    if over && !settled {
        let why = format!("it has ended, and whether before this or after it is not known: {why}");
        return Link::unknown(check(pod), why).remediation(
            "CloudTrail's sts:AssumeRole events of the role tell who worked as it and when",
        );
    }
    if finding.doubt.is_some() {
        return Link::unknown(check(pod), why).remediation(remediation);
    }
    let effect = match finding.case {
        Case::Revoked if evidence.wanted().is_none() => LinkEffect::Left,
        _ if !all => LinkEffect::Some,
        Case::Excluded | Case::Missing | Case::Unmapped => LinkEffect::None,
        Case::Revoked | Case::Changed | Case::Recreated | Case::Shadowed => LinkEffect::Other,
    };
    Link::broken(check(pod), effect, why, remediation)
}

/// The pod that was asked for, of the right service account, without credentials and by no case of
/// the sweep.
fn bare(evidence: &ExplainEvidence, pod: &Pod) -> Link {
    let why = format!(
        "EKS injected nothing when it was admitted at {}, and never does so later",
        pod.created_at
    );
    let remediation = "put the other lines right, then start it again";
    Link::broken(check(pod), evidence.lack(), why, remediation)
}

/// What can keep a pod from what EKS injected.
fn obstacle(pod: &Pod, obstacle: Obstacle, none_works: bool) -> Link {
    let (why, remediation) = (obstacle.to_string(), obstacle.remediation());
    match obstacle.is_sure() {
        true => {
            let effect = if none_works { LinkEffect::None } else { LinkEffect::Some };
            Link::broken(check(pod), effect, why, remediation)
        }
        false => Link::unknown(check(pod), why).remediation(remediation),
    }
}

/// A pod of somebody who is bound, on a service account which is not the binding's.
fn elsewhere(
    evidence: &ExplainEvidence,
    place: &ServiceAccountRef,
    pod: &Pod,
    asked: bool,
) -> Link {
    let Pod { namespace, service_account, .. } = pod;
    let runs = format!("it runs as {namespace}/{service_account}, not as {place}");
    let effect = |whole| if asked { whole } else { LinkEffect::Some };
    match of_pod(evidence, pod) {
        Some(Ok(Some(one))) if pod.credentials.can_get => {
            let why = format!("{runs}: it works as {} by {}", one.role_arn, one.id);
            Link::broken(check(pod), effect(LinkEffect::Other), why, mapped(evidence))
        }
        _ => Link::broken(check(pod), effect(LinkEffect::None), runs, mapped(evidence)),
    }
}

/// How pods come to the service account of a binding.
fn mapped(evidence: &ExplainEvidence) -> String {
    let how = match &evidence.mapping {
        Some(_) => {
            "domsed maps only what the label selectors of the Mutation name, and lets a pod pass when it fails: see that and the line domsed mapping"
        }
        None => "have the workload name that service account: this deployment maps no names",
    };
    format!("{how}, then start it again")
}

/// Whether EKS's webhook injects into pods of the service account.
fn webhook(evidence: &ExplainEvidence, here: &[&Pod]) -> Option<Link> {
    let check = "webhook";
    evidence.wanted()?;
    let association = evidence.association.as_ref().ok()?.as_ref()?;
    // Right after it is made, the webhook does not know of it yet.
    let since = association.created_at.map(|at| evidence.sweep.settled_at(at));
    let after = here.iter().filter(|pod| since.is_none_or(|since| since <= pod.created_at));
    let newest = after
        .filter(|pod| pod.credentials.pod_identity || !pod.credentials.left_out)
        .max_by_key(|pod| (pod.created_at, &pod.uid));
    if let Some(pod) = newest {
        let admitted = format!("pod {} was admitted at {}", pod.name, pod.created_at);
        if pod.credentials.pod_identity {
            let why = format!("{admitted} with what EKS injects");
            return Some(Link::ok(check, why));
        }
        let why = format!("{admitted} under {}, and EKS injected nothing", association.id);
        let remediation = "start it again; if that one has nothing either, see that MutatingWebhookConfiguration pod-identity-webhook is there and not restricted to other pods, and ask AWS Support";
        return Some(Link::broken(check, LinkEffect::None, why, remediation));
    }
    if let Some(pod) = here.iter().find(|pod| pod.credentials.pod_identity) {
        return Some(Link::ok(check, format!("pod {} has what EKS injects", pod.name)));
    }
    let inside = evidence.inside.as_ref();
    let proof = inside.and_then(|inside| inside.effective.as_ref());
    Some(match proof.filter(|proof| proof.association == association.id) {
        Some(proof) => Link::ok(check, render(proof)),
        None => Link::unproven(
            check,
            "no pod is seen that was admitted since the association was made, so nobody has seen EKS inject anything",
        )
        .remediation("start a run and ask again; with DryRun=on the workloads function tries it without one"),
    })
}

/// What workloads runs saw last.
fn memory(evidence: &ExplainEvidence) -> Option<String> {
    let inside = evidence.inside.as_ref()?;
    let shadowed = inside.shadowed.as_ref().map(|shadowed| shadowed.reason.clone());
    shadowed.or(inside.effective.as_ref().map(render))
}

fn render(effective: &Effective) -> String {
    match &effective.proof {
        Proof::Pod { name, .. } => format!("pod {name} had what EKS injects at {}", effective.at),
        Proof::DryRun => format!("a dry run showed at {} what EKS injects", effective.at),
    }
}

/// What is known of a place, as the sweep wants it.
fn place_of(evidence: &ExplainEvidence, place: &ServiceAccountRef) -> SweepPlace {
    let shown =
        evidence.association_at(place).and_then(|known| known.as_ref().ok()).cloned().flatten();
    let Some(condition) = &evidence.condition else {
        return SweepPlace { association: shown, ..SweepPlace::default() };
    };
    let removal = condition.removals.get(place).map(|removal| Removal {
        service_account: evidence.name.clone(),
        at: removal.at,
        before: removal.before.as_ref().map(worked),
    });
    let associated = condition.association.as_ref().is_some_and(|one| one.kubernetes == *place);
    let inside = evidence.inside.as_ref().filter(|one| one.kubernetes.as_ref() == Some(place));
    let wanted = evidence.wanted().filter(|binding| binding.kubernetes == *place);
    let bound = wanted.map(|binding| SweepBound {
        service_account: evidence.name.clone(),
        desired: binding.desired.clone(),
        // Without an association here, both are about the place before.
        changed_at: condition.credentials_changed_at.filter(|_| associated),
        before: condition.before.as_ref().filter(|_| associated).map(worked),
        associated,
        mapped_since: inside.and_then(|inside| inside.mapped_since),
    });
    SweepPlace {
        bound,
        removals: removal.into_iter().collect(),
        association: shown,
        irsa_role: None,
    }
}

fn worked(record: &WorkedRecord) -> Worked {
    Worked { desired: record.desired.clone(), since: record.since }
}
