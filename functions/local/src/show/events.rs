//! Incoming events as headings, outcome events as lines of a plan.

#[cfg(test)]
mod tests;

use pod_identity_events::{
    AssociationChange, ClusterSelection, DriftCorrected, Envelope, Incoming, NodeRolePolicyChanged,
    PodIdentityAssociationBlocked, PodIdentityAssociationReady, PodIdentityAssociationRemoved,
    ReconciliationRequested, ServiceAccountEventRejected, ServiceAccountEventSuperseded,
    StalePodEvicted, StalePodReported, Subject, SweepRequested, TrustVerdict, detail_type,
};

use super::{read, removal_words, roles, short};

/// What an incoming event says, in one line.
pub(crate) fn heading(envelope: &Envelope) -> String {
    match Incoming::parse(envelope) {
        Ok(Incoming::Assigned(event)) => {
            let target = event.target_role_arn.as_deref();
            let target = target.map(|arn| format!(", then as {}", short(arn))).unwrap_or_default();
            let clusters = match &event.clusters {
                ClusterSelection::All => "every cluster".to_owned(),
                ClusterSelection::Named(names) => {
                    names.iter().map(|name| short(name)).collect::<Vec<_>>().join(", ")
                }
            };
            let clusters = if clusters.is_empty() { "no cluster" } else { clusters.as_str() };
            let role = short(&event.role_arn);
            format!("{} works as {role}{target} on {clusters}", event.service_account)
        }
        Ok(Incoming::Unassigned(event)) => format!("{} loses its role", event.service_account),
        Ok(Incoming::Deactivated(event)) => format!("{} is deactivated", event.service_account),
        Ok(Incoming::Registered(event)) => format!("cluster {} joins", short(&event.cluster_arn)),
        Ok(Incoming::Retired(event)) => {
            let exemptions = match event.exempt_service_accounts.join(", ") {
                names if names.is_empty() => String::new(),
                names => format!(", giving up {names}"),
            };
            format!(
                "the retirement of cluster {} is asked for{exemptions}",
                short(&event.cluster_arn)
            )
        }
        Err(_) => format!("\"{}\"", envelope.detail_type),
    }
}

/// What an outcome event says: a line that begins with its sign, and more below it.
///
/// `+` made, `~` changed, `-` taken away, `=` as it was, `!` blocked or set
/// aside, `x` refused, `*` asked of others.
pub(crate) fn outcome(envelope: &Envelope) -> Vec<String> {
    let lines = match envelope.detail_type.as_str() {
        detail_type::ASSOCIATION_READY => read(envelope).map(|event| ready(&event)),
        detail_type::ASSOCIATION_REMOVED => read(envelope).map(|event| removed(&event)),
        detail_type::ASSOCIATION_BLOCKED => read(envelope).map(|event| blocked(&event)),
        detail_type::NODE_ROLE_POLICY_CHANGED => read(envelope).map(|event| policy(&event)),
        detail_type::DRIFT_CORRECTED => read(envelope).map(|event| drift(&event)),
        detail_type::RECONCILIATION_REQUESTED => read(envelope).map(|event| reconciliation(&event)),
        detail_type::STALE_POD_EVICTED => read(envelope).map(|event| evicted(&event)),
        detail_type::STALE_POD_REPORTED => read(envelope).map(|event| reported(&event)),
        detail_type::SWEEP_REQUESTED => read(envelope).map(|event| sweep(&event)),
        detail_type::EVENT_REJECTED => read(envelope).map(|event| rejected(&event)),
        detail_type::EVENT_SUPERSEDED => read(envelope).map(|event| superseded(&event)),
        _ => None,
    };
    lines.unwrap_or_else(|| vec![format!("* {}: {}", envelope.detail_type, envelope.detail)])
}

fn drift(event: &DriftCorrected) -> Vec<String> {
    let cluster = short(&event.cluster_arn);
    vec![
        format!("~ drift       {cluster:<6} {}", event.found),
        format!("    now {}", event.corrected),
    ]
}

fn place(subject: &Subject) -> String {
    format!(
        "{:<6} {}/{}",
        short(&subject.cluster_arn),
        subject.namespace,
        subject.kubernetes_service_account
    )
}

fn ready(event: &PodIdentityAssociationReady) -> Vec<String> {
    let sign = match event.change {
        AssociationChange::Created => '+',
        AssociationChange::Updated => '~',
        AssociationChange::Unchanged => '=',
    };
    let role = roles(&event.role_arn, event.target_role_arn.as_deref());
    let id = &event.association_id;
    let mut lines = vec![format!("{sign} association {} as {role}  {id}", place(&event.subject))];
    if let Some(external_id) = &event.external_id {
        lines.push(format!("    external id for the target role: {external_id}"));
    }
    if event.trust.verdict != TrustVerdict::Trusted {
        lines.push(format!("    trust: {}", event.trust.reason));
    }
    lines.extend(event.warnings.iter().map(|warning| format!("    warning: {warning}")));
    lines
}

fn removed(event: &PodIdentityAssociationRemoved) -> Vec<String> {
    let why = removal_words(event.reason);
    let (sign, id) = match &event.association_id {
        Some(id) => ('-', format!("  {id}")),
        None => ('=', ", there was none".to_owned()),
    };
    vec![format!("{sign} association {} ({why}){id}", place(&event.subject))]
}

fn blocked(event: &PodIdentityAssociationBlocked) -> Vec<String> {
    vec![
        format!("! blocked     {}: {}", place(&event.subject), event.message),
        format!("    remediation: {}", event.remediation),
    ]
}

fn policy(event: &NodeRolePolicyChanged) -> Vec<String> {
    let name = event.policy_arn.rsplit('/').next().unwrap_or_default();
    let what =
        format!("node policy {:<6} {name} {}", short(&event.cluster_arn), event.policy_version);
    let line = |sign: char, roles: &[String]| {
        let roles: Vec<&str> = roles.iter().map(|role| short(role)).collect();
        (!roles.is_empty()).then(|| format!("{sign} {what}: {}", roles.join(", ")))
    };
    let lines = [line('+', &event.added_role_arns), line('-', &event.removed_role_arns)];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    if lines.is_empty() { vec![format!("~ {what}")] } else { lines }
}

fn reconciliation(event: &ReconciliationRequested) -> Vec<String> {
    let cluster = event.cluster_arn.as_deref().map_or("every cluster", short);
    vec![format!("* asked to reconcile {cluster}: {}", event.reason)]
}

fn evicted(event: &StalePodEvicted) -> Vec<String> {
    let cluster = short(&event.cluster_arn);
    let pod = &event.pod;
    vec![
        format!("- pod         {cluster:<6} {}/{} evicted", pod.namespace, pod.name),
        format!("    {}", event.reason),
    ]
}

fn reported(event: &StalePodReported) -> Vec<String> {
    let cluster = short(&event.cluster_arn);
    let pod = &event.pod;
    vec![
        format!("! pod         {cluster:<6} {}/{} left alone", pod.namespace, pod.name),
        format!("    {}", event.reason),
        format!("    remediation: {}", event.remediation),
    ]
}

fn sweep(event: &SweepRequested) -> Vec<String> {
    let cluster = event.cluster_arn.as_deref().map_or("every cluster", short);
    vec![format!("* asked to sweep {cluster}: {}", event.reason)]
}

fn rejected(event: &ServiceAccountEventRejected) -> Vec<String> {
    event.reasons.iter().map(|reason| format!("x refused: {reason}")).collect()
}

fn superseded(event: &ServiceAccountEventSuperseded) -> Vec<String> {
    vec![
        format!(
            "! superseded by `{}` of {} ({})",
            event.by.detail_type, event.by.occurred_at, event.by.event_id
        ),
        format!("    remediation: {}", event.remediation),
    ]
}
