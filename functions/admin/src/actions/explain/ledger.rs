//! Links that the ledger holds.

use pod_identity_core::{Clusters, DominoName};
use pod_identity_engine::ledger::{BindingRecord, BindingState, Condition, ConditionState};
use serde_json::json;

use super::evidence::ExplainEvidence;
use super::line::{Link, LinkEffect};
use super::remediations::GOES_ON;

pub(super) fn lines(evidence: &ExplainEvidence) -> Vec<Link> {
    let mut lines = vec![ledger(evidence)];
    lines.extend(cluster(evidence));
    // What is to go has one until it is gone.
    let stands = evidence.condition.as_ref().is_some_and(|it| it.state != ConditionState::Removed);
    let stands = stands && evidence.registered.is_some();
    lines.extend((evidence.wanted().is_some() || stands).then(|| condition(evidence)));
    lines
}

fn ledger(evidence: &ExplainEvidence) -> Link {
    let name = &evidence.name;
    let Some(record) = &evidence.record else {
        let why = format!("the ledger knows no binding of {name}");
        return Link::broken("ledger", LinkEffect::None, why, bind(name));
    };
    let by = by(record);
    match &record.state {
        BindingState::Bound { binding } => Link::ok(
            "ledger",
            format!("bound to {} at {} {by}", binding.desired.role, binding.kubernetes),
        ),
        BindingState::Unbound { reason } => {
            let reason = json!(reason);
            let reason = reason.as_str().unwrap_or_default();
            let why = format!("{name} is bound to no role ({reason}) {by}");
            Link::broken("ledger", LinkEffect::None, why, bind(name))
        }
    }
}

/// Since when, and by which event.
fn by(record: &BindingRecord) -> String {
    let actor = record.actor.as_ref().map(|actor| format!(" by {actor} (claimed)"));
    format!(
        "since {}, {} {}{}",
        record.version.occurred_at(),
        record.detail_type,
        record.version.event_id(),
        actor.unwrap_or_default()
    )
}

fn bind(name: &DominoName) -> String {
    let example = json!({ "action": "bind", "serviceAccount": name, "roleArn": "..." });
    format!("who lost it and when: action history; bind it: {example}")
}

fn cluster(evidence: &ExplainEvidence) -> Option<Link> {
    let name = evidence.cluster.name();
    let broken = |why: String, remediation: String| {
        Some(Link::broken("cluster", LinkEffect::None, why, remediation))
    };
    let binding = evidence.record.as_ref().and_then(BindingRecord::binding);
    let Some(record) = &evidence.registered else {
        return broken(
            format!("cluster {name} is not registered"),
            format!(
                "{{\"action\": \"clusters\", \"register\": {{\"clusterArn\": \"{}\"}}, \"mode\": \"apply\"}}",
                evidence.cluster
            ),
        );
    };
    if evidence.gone {
        return broken(
            format!(
                "EKS knows no cluster {name}: it was deleted, or it is registered by a wrong ARN"
            ),
            format!(
                "if it was deleted: {{\"action\": \"retire\", \"cluster\": \"{}\", \"mode\": \"apply\"}}; else register the right one (action clusters)",
                evidence.cluster
            ),
        );
    }
    let since = record.version.occurred_at();
    if record.is_retiring() {
        let begun = record.retired.as_ref().and_then(|retirement| retirement.begun_at);
        let begun = begun.map(|at| format!(" since {at}")).unwrap_or_default();
        return broken(
            format!("cluster {name} is being retired{begun}, so nothing is made there"),
            "use another cluster, or register this one again (action clusters)".to_owned(),
        );
    }
    let Some(binding) = binding else {
        return Some(Link::ok("cluster", format!("registered since {since}")));
    };
    if binding.selects(&evidence.cluster) {
        return Some(Link::ok(
            "cluster",
            format!("registered since {since}, and meant by the binding"),
        ));
    }
    let why = match &binding.clusters {
        Clusters::All => format!(
            "cluster {name} is in account {}, and the binding's role in {}",
            evidence.cluster.account(),
            binding.desired.role.account()
        ),
        Clusters::Named(named) => {
            let named: Vec<&str> = named.iter().map(|one| one.name()).collect();
            format!("the binding is for {} only, not for cluster {name}", named.join(", "))
        }
    };
    broken(why, "bind it again with `clusters` that has this one, or `all`".to_owned())
}

fn condition(evidence: &ExplainEvidence) -> Link {
    let check = "condition";
    let effect =
        if evidence.lack() == LinkEffect::Follows { LinkEffect::Waits } else { LinkEffect::Told };
    let shown = |why: String, remediation: &str| Link::broken(check, effect, why, remediation);
    let Some(condition) = &evidence.condition else {
        return shown("nothing was done for it here yet".to_owned(), GOES_ON);
    };
    let Condition { state, blocked, updated_at, warnings, .. } = condition;
    if let Some(blocked) = blocked {
        let code = &json!(blocked)["code"];
        let code = code.as_str().unwrap_or_default();
        let why = format!("blocked ({code}) since {updated_at}: {}", blocked.message());
        return shown(why, &blocked.remediation());
    }
    if evidence.record.as_ref().is_some_and(|record| record.version != condition.version) {
        return shown(format!("still of an older change, of {updated_at}"), GOES_ON);
    }
    let word = match state {
        ConditionState::Ready => {
            let warnings = warnings.join("; ");
            let warnings = if warnings.is_empty() { warnings } else { format!("; {warnings}") };
            return Link::ok(check, format!("ready since {updated_at}{warnings}"));
        }
        ConditionState::Pending => "accepted and not yet carried out",
        ConditionState::Waiting => "waiting for the cluster to be registered",
        ConditionState::Removed => "removed",
        ConditionState::Blocked => "blocked",
    };
    shown(format!("{word} since {updated_at}"), GOES_ON)
}
