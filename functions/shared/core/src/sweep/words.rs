//! What a verdict means, and what to do about it, in words.

use std::collections::{BTreeMap, BTreeSet};

use super::classify::{Because, CaseVerdict};
use super::{Case, Settings};
use crate::{Association, Desired, Pod, SKIP_CONTAINERS_ANNOTATION, SKIP_LABEL};

/// By variable: the Mutations whose rules put it into containers, as `namespace/name`.
pub type Injected = BTreeMap<String, BTreeSet<String>>;

/// A reason and a remediation.
pub(super) fn words(
    pod: &Pod,
    verdict: &CaseVerdict<'_>,
    settings: &Settings,
    injected: &Injected,
) -> (String, String) {
    let mut reason = reason(pod, verdict, settings);
    if let Some(doubt) = verdict.doubt {
        reason = format!("{reason}; {doubt}");
    }
    (reason, remediation(pod, verdict, settings, injected))
}

fn reason(pod: &Pod, verdict: &CaseVerdict<'_>, settings: &Settings) -> String {
    let Pod { namespace, name, service_account, created_at, .. } = pod;
    let pod_of = format!("pod {namespace}/{name} of service account {service_account}");
    let since = verdict.since.map(|at| format!(" since {at:.3}")).unwrap_or_default();
    let last = settings.credentials_last;
    match &verdict.because {
        Because::Removed(removal) => {
            let role =
                removal.before.as_ref().map(|before| format!(" ({})", works_as(&before.desired)));
            format!(
                "{pod_of} holds credentials that {} lost at {:.3}{}; they stay valid for up to {last:#} after that",
                removal.service_account,
                removal.at,
                role.unwrap_or_default(),
            )
        }
        Because::Gone(bound) => {
            let bound = bound.map_or_else(String::new, |bound| {
                format!(
                    " (the ledger has {} bound as {})",
                    bound.service_account,
                    works_as(&bound.desired)
                )
            });
            format!("{pod_of} holds credentials, and there is no association{bound}")
        }
        Because::Other(before, association) => {
            let held = before.map_or_else(|| "earlier credentials".to_owned(), works_as);
            let how =
                if verdict.case == Case::Recreated { "was made again and gives" } else { "gives" };
            let now = gives(association);
            format!(
                "{pod_of} was admitted at {created_at} with {held}; its association {how} {now}{since}"
            )
        }
        Because::Hidden(association) => {
            let others = others(pod, settings);
            format!("{pod_of} has another identity by {others}, which hides {}", gives(association))
        }
        Because::LeftOut(association) => {
            format!("{pod_of} is left out of {}: {}", gives(association), left_out(pod, settings))
        }
        Because::Annotated(role, association) => format!(
            "{pod_of}, which is annotated with role {role}: a pod that is admitted while EKS does not show the association gets that instead of {}",
            gives(association)
        ),
        Because::Never(association) => {
            let late = association.created_at.filter(|made| pod.created_at < *made);
            let when = late.map_or_else(
                || format!("was admitted at {created_at} without credentials although its association gives"),
                |made| format!("was admitted at {created_at}, before its association was made at {made:.3}, and never gets"),
            );
            format!("{pod_of} {when} {}", gives(association))
        }
        Because::Elsewhere(bound, kubernetes) => format!(
            "{pod_of} was started by {}, whose pods belong to service account {kubernetes} and work as {}",
            bound.service_account,
            works_as(&bound.desired)
        ),
    }
}

fn remediation(
    pod: &Pod,
    verdict: &CaseVerdict<'_>,
    settings: &Settings,
    injected: &Injected,
) -> String {
    let owner = pod.owner.as_ref().filter(|owner| settings.restarting.contains(&owner.kind));
    let restart = match owner {
        Some(owner) => format!("delete the pod; {} {} starts another", owner.kind, owner.name),
        None => "stop the run in Domino and start it again".to_owned(),
    };
    match verdict.because {
        Because::Removed(_) | Because::Gone(_) => {
            let end = match owner {
                Some(_) => "delete the pod",
                None => "stop the run in Domino",
            };
            format!(
                "{end}, or bind the service account again; against what was copied out of the pod, deny the role's older sessions (aws:TokenIssueTime)"
            )
        }
        Because::Other(..) | Because::Never(_) => restart,
        Because::Hidden(_) => format!(
            "take out {}: {}; or bind it to no role",
            others(pod, settings),
            put_there_by(pod, settings, injected)
        ),
        Because::LeftOut(_) => {
            format!("if the workload is to work as that role, take that off; then {restart}")
        }
        Because::Annotated(..) => {
            format!("take the annotation {} off the service account", crate::IRSA_ANNOTATION)
        }
        Because::Elsewhere(..) => {
            format!("check that domsed is up and its label selectors admit the pod; then {restart}")
        }
    }
}

/// What gives the workload another identity, and where it stands.
fn others(pod: &Pod, settings: &Settings) -> String {
    let own = pod.own_containers(&settings.workload_containers);
    let of = own.iter().flat_map(|one| {
        one.others.iter().map(|variable| format!("{variable} of container {}", one.name))
    });
    of.collect::<Vec<_>>().join(" and ")
}

/// Where the variables that give the workload another identity come from, as far as the Mutations say.
fn put_there_by(pod: &Pod, settings: &Settings, injected: &Injected) -> String {
    let own = pod.own_containers(&settings.workload_containers);
    let variables: BTreeSet<&str> = own.iter().flat_map(|one| one.others.iter().copied()).collect();
    let of = variables.into_iter().filter_map(|variable| {
        let all: Vec<&str> = injected.get(variable)?.iter().map(String::as_str).collect();
        Some(format!("modifyEnv of Mutation {} puts {variable} there", all.join(" and ")))
    });
    let of: Vec<String> = of.collect();
    if of.is_empty() {
        return "see the workload and its environment in Domino".to_owned();
    }
    of.join(", and ")
}

/// What keeps the association from a workload that opted out.
fn left_out(pod: &Pod, settings: &Settings) -> String {
    if pod.labels.contains_key(SKIP_LABEL) {
        return format!("label {SKIP_LABEL} has EKS's webhook pass over it");
    }
    let own = pod.own_containers(&settings.workload_containers);
    match own.iter().find(|one| one.is_skipped) {
        Some(one) => {
            format!("annotation {SKIP_CONTAINERS_ANNOTATION} leaves container {} out", one.name)
        }
        None => "its containers set the variables of AWS's SDKs themselves".to_owned(),
    }
}

fn works_as(desired: &Desired) -> String {
    let Desired { role, target_role, disable_session_tags: _, session_policy } = desired;
    words_of(
        role.as_str(),
        target_role.as_ref().map(crate::RoleArn::as_str),
        session_policy.is_some(),
    )
}

fn gives(association: &Association) -> String {
    let Association { role_arn, target_role_arn, policy, .. } = association;
    let narrowed = policy.as_deref().is_some_and(|policy| !policy.is_empty());
    let target = target_role_arn.as_deref().filter(|target| !target.is_empty());
    words_of(role_arn, target, narrowed)
}

fn words_of(role: &str, target: Option<&str>, narrowed: bool) -> String {
    let target = target.map(|target| format!(" and target role {target}")).unwrap_or_default();
    let narrowed = if narrowed { " under a session policy" } else { "" };
    format!("role {role}{target}{narrowed}")
}
