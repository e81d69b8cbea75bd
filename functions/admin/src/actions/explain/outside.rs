//! Links that EKS and IAM hold.

use std::collections::BTreeSet;

use pod_identity_core::trust::{TrustPolicy, TrustQuestion, required_policy};
use pod_identity_core::{Association, Binding, RoleArn, ServiceAccountRef};
use pod_identity_engine::is_broad_policy;
use pod_identity_engine::ledger::BindingRecord;
use pod_identity_engine::ports::AGENT_ADDON;
use pod_identity_events::{Trust, TrustVerdict};
use serde_json::json;

use super::evidence::{Agent, ExplainEvidence};
use super::line::{Link, LinkEffect};
use super::remediations::{LATER, MAY_LOOK, RECONCILE, UNBLOCK};
use crate::actions::target::{Hop, evaluate, statements};
use crate::node_policies::{AttachedPolicy, NodePolicyView};

pub(super) fn lines(evidence: &ExplainEvidence) -> Vec<Link> {
    let Some(binding) = evidence.wanted() else {
        return evidence.place.iter().map(|place| unwanted(evidence, place)).collect();
    };
    let mut lines = vec![association(evidence, binding)];
    lines.extend(role(evidence, binding));
    lines.extend(target_role(evidence, binding));
    lines.extend(node_policy(evidence, &binding.desired.role));
    lines.push(agent(evidence));
    lines
}

/// What puts right what is missing or different.
fn reconcile(evidence: &ExplainEvidence) -> &'static str {
    match evidence.lack() {
        LinkEffect::Follows => LATER,
        _ if evidence.is_blocked() => UNBLOCK,
        _ => RECONCILE,
    }
}

/// Where nobody is to have one.
fn unwanted(evidence: &ExplainEvidence, place: &ServiceAccountRef) -> Link {
    let check = "association";
    match &evidence.association {
        Err(why) => evidence.unread(check, why, MAY_LOOK),
        Ok(None) => Link::ok(check, format!("EKS has none for {place}, as it should be")),
        Ok(Some(one)) if evidence.holds(one) || evidence.may_hold(one) => Link::broken(
            check,
            LinkEffect::Left,
            format!("{} of {place} with {} is still there", one.id, one.role_arn),
            still_there(evidence),
        ),
        // What the ledger forgot, or an association with copied tags: no run deletes it.
        Ok(Some(one))
            if one.tagged_by(&evidence.deployment) == Some(Some(evidence.name.as_str())) =>
        {
            Link::broken(
                check,
                LinkEffect::Left,
                format!(
                    "{} of {place} with {} is tagged for it, and the ledger does not account for it",
                    one.id, one.role_arn
                ),
                format!(
                    "check that the ledger was not restored to an earlier time; then have {} deleted: reconcile keeps it",
                    one.id
                ),
            )
        }
        Ok(Some(one)) => {
            Link::ok(check, format!("{} of {place}, with {}, is not its own", one.id, one.role_arn))
        }
    }
}

/// What takes it away. Nobody who has to lose it is bound again for that.
fn still_there(evidence: &ExplainEvidence) -> String {
    let gone = "reconcile deletes it on its next run, unless something is in the way, which is in the line condition then";
    match evidence.record.as_ref().and_then(BindingRecord::binding) {
        Some(_) => gone.to_owned(),
        None => format!("{gone}; to have it run now, unbind it again (action unbind)"),
    }
}

fn association(evidence: &ExplainEvidence, binding: &Binding) -> Link {
    let check = "association";
    let place = &binding.kubernetes;
    let one = match &evidence.association {
        Err(why) => return evidence.unread(check, why, MAY_LOOK),
        Ok(None) => {
            let why = format!("EKS has no association for {place}");
            return Link::broken(check, evidence.lack(), why, reconcile(evidence));
        }
        Ok(Some(one)) => one,
    };
    let differences = one.differences(&binding.desired);
    let gives = gives(one);
    if evidence.holds(one) {
        if differences.is_empty() {
            return Link::ok(check, format!("{} (managed) gives {gives}", one.id));
        }
        let drift = differences.join(", ");
        let why = format!("{} (managed) gives {gives}: other {drift} than bound", one.id);
        return Link::broken(check, LinkEffect::Other, why, reconcile(evidence));
    }
    let tag = one.tagged_by(&evidence.deployment);
    let (owner, remediation) = match (&one.owner_arn, evidence.owner(one), tag) {
        (Some(owner), ..) => (
            format!("owned by add-on {owner}"),
            "name another Kubernetes service account: only the add-on may change it".to_owned(),
        ),
        (None, Some(other), _) => (
            format!("made for {other}"),
            "unbind that one, or give one of them another Kubernetes service account".to_owned(),
        ),
        (None, None, Some(Some(tag))) => (
            format!("an orphan: tagged for {tag}, and the ledger does not account for it"),
            adopt(evidence, one),
        ),
        (None, None, Some(None)) => ("an orphan".to_owned(), adopt(evidence, one)),
        (None, None, None) => ("foreign, without our tag".to_owned(), adopt(evidence, one)),
    };
    let effect = match evidence.lack() {
        // Of two that want one place, the condition tells which holds it.
        LinkEffect::Follows if evidence.owner(one).is_some() => LinkEffect::Follows,
        // It gives what is wanted, as long as its owner likes.
        _ if differences.is_empty() => LinkEffect::Some,
        _ => LinkEffect::Other,
    };
    let why = format!("{} of {place} is {owner}, and gives {gives}", one.id);
    Link::broken(check, effect, why, remediation)
}

fn adopt(evidence: &ExplainEvidence, one: &Association) -> String {
    let named = json!({
        "namespace": one.namespace, "serviceAccount": one.service_account, "as": evidence.name,
    });
    let cluster = evidence.cluster.as_str();
    let ask = json!({ "action": "adopt", "cluster": cluster, "associations": [named] });
    format!("have its owner delete {}, or adopt it: {ask}", one.id)
}

fn gives(one: &Association) -> String {
    let target = one.target_role_arn.as_ref().map(|target| format!(" and target role {target}"));
    let policy = if one.policy.is_some() { " under a session policy" } else { "" };
    format!("{}{}{policy}", one.role_arn, target.unwrap_or_default())
}

/// Whether the role exists, and whom it trusts.
fn role(evidence: &ExplainEvidence, binding: &Binding) -> Vec<Link> {
    let role = &binding.desired.role;
    let missing = |why: String| {
        let remediation = "have the role made, or bind another";
        vec![Link::broken("role", LinkEffect::None, why, remediation)]
    };
    let found = match &evidence.role {
        Err(why) => {
            let trust = Link::unknown("trust policy", format!("role {role} was not read"));
            return vec![evidence.unread("role", why, MAY_LOOK), trust];
        }
        Ok(None) => return missing(format!("role {role} does not exist")),
        // Names are unique in an account, so GetRole finds a role by another path.
        Ok(Some(found)) if found.arn != role.as_str() => {
            return missing(format!(
                "role {role} does not exist; its name belongs to {}",
                found.arn
            ));
        }
        Ok(Some(found)) => found,
    };
    vec![Link::ok("role", format!("{role} exists")), trust(evidence, binding, &found.trust_policy)]
}

fn trust(evidence: &ExplainEvidence, binding: &Binding, document: &str) -> Link {
    let check = "trust policy";
    let role = &binding.desired.role;
    let question = TrustQuestion {
        cluster: &evidence.cluster,
        kubernetes: &binding.kubernetes,
        session_tags: !binding.desired.disable_session_tags,
    };
    let policy = TrustPolicy::read(document);
    let trust = policy.evaluate(question);
    let statement = &required_policy(question)["Statement"][0];
    let first = if policy.is_denied(question) { "take that Deny out and " } else { "" };
    let remediation = format!(
        "have the owner of {role} {first}add this statement: {statement}; all at once: action trust-policy"
    );
    let reason = trust.reason;
    match trust.verdict {
        TrustVerdict::Trusted => Link::ok(check, reason),
        TrustVerdict::Untrusted => {
            let why = format!("the trust policy of role {role} does not admit it: {reason}");
            Link::broken(check, LinkEffect::None, why, remediation)
        }
        TrustVerdict::Unknown => {
            let why =
                format!("whether the trust policy of role {role} admits it is not known: {reason}");
            // No further statement helps against a Deny.
            let remediation = match policy.may_be_denied(question) {
                true => format!(
                    "have the owner of {role} see whether that Deny is about this, and narrow it if so"
                ),
                false => remediation,
            };
            Link::unknown(check, why).remediation(remediation)
        }
    }
}

/// Whether EKS may go on to the target role, which is mostly of another account, where nobody here
/// may look.
fn target_role(evidence: &ExplainEvidence, binding: &Binding) -> Option<Link> {
    let check = "target role";
    let target = binding.desired.target_role.as_ref()?;
    let hop = Hop::of(binding, &evidence.cluster);
    let statement =
        statements(&BTreeSet::from([hop.clone()]), &BTreeSet::new()).into_iter().next()?;
    let document = match &evidence.target {
        Ok(Some(document)) => document,
        Ok(None) => {
            let why = format!("target role {target} does not exist");
            let remediation =
                "have it made (action trust-policy says how it has to trust), or bind another";
            return Some(Link::broken(check, LinkEffect::None, why, remediation));
        }
        Err(why) => {
            let why = format!("the trust policy of target role {target} is not read: {why}");
            let remediation = format!(
                "have its owner see that it says what this statement does: {statement}; where it asks for sts:ExternalId, {}",
                hop.sends()
            );
            return Some(Link::unknown(check, why).remediation(remediation));
        }
    };
    let Trust { verdict, reason } = evaluate(document, &hop);
    let remediation = format!(
        "have the owner of {target} let it in by this statement: {statement}; all at once: action trust-policy"
    );
    Some(match verdict {
        TrustVerdict::Trusted => Link::ok(
            check,
            format!(
                "{target}: {reason}; whether that role has a policy which allows it is not looked at"
            ),
        ),
        TrustVerdict::Untrusted => {
            let why =
                format!("the trust policy of target role {target} does not admit it: {reason}");
            Link::broken(check, LinkEffect::None, why, remediation)
        }
        TrustVerdict::Unknown => {
            let why = format!(
                "whether the trust policy of target role {target} admits it is not known: {reason}"
            );
            Link::unknown(check, why).remediation(remediation)
        }
    })
}

/// Whether the nodes may, and whether the list decides it.
fn node_policy(evidence: &ExplainEvidence, role: &RoleArn) -> Vec<Link> {
    let check = "node policy";
    let cluster = evidence.cluster.name();
    let found = match &evidence.node_policies {
        Err(why) => return vec![evidence.unread(check, why, MAY_LOOK)],
        Ok(None) => {
            let why = format!("the ledger remembers no node policy of cluster {cluster}");
            return vec![Link::broken(check, evidence.lack(), why, reconcile(evidence))];
        }
        Ok(Some(found)) => found,
    };
    // By AWS's reference the cluster is what the action is allowed on, so that either admits all.
    let named = found.policies.iter().find(|one| one.cluster_statement);
    let named = named.filter(|one| found.without(&[*one]).is_empty());
    let broad: Vec<(&RoleArn, &str)> = broad(found).collect();
    let anyway = named.is_some() || (!broad.is_empty() && broad.len() == found.attached.len());
    let effect = match evidence.lack() {
        LinkEffect::None if anyway => LinkEffect::Some,
        lack => lack,
    };
    let listing: Vec<&AttachedPolicy> = found.listing(role).collect();
    let names = |policies: &[&AttachedPolicy]| {
        let names: Vec<String> =
            policies.iter().map(|one| format!("{} ({})", one.arn.name(), one.version)).collect();
        names.join(", ")
    };
    let without = found.without(&listing);
    let mut lines = Vec::new();
    lines.push(if found.attached.is_empty() {
        let why = format!("no node role of cluster {cluster} is known");
        Link::broken(
            check,
            effect,
            why,
            "register the cluster with its node roles (action clusters)",
        )
    } else if listing.is_empty() {
        let why = format!("no node policy of cluster {cluster} lists role {role}");
        Link::broken(check, effect, why, reconcile(evidence))
    } else if let Some(node_role) = without.first() {
        let why =
            format!("{} lists it, and is not attached to node role {node_role}", names(&listing));
        Link::broken(check, effect, why, reconcile(evidence))
    } else {
        Link::ok(check, format!("{} lists it, attached to every node role", names(&listing)))
    });
    let check = "broad grant";
    lines.push(match (broad.first(), named) {
        (Some((node_role, grant)), _) => {
            let why = format!(
                "{grant} of node role {node_role} allows the action on everything, so the list restricts nothing"
            );
            let remediation = "where the list is to be a control, replace that policy by one without eks-auth:AssumeRoleForPodIdentity";
            match evidence.strict {
                true => Link::broken(check, LinkEffect::Some, why, remediation),
                false => Link::ok(check, why),
            }
        }
        (None, Some(policy)) => Link::ok(
            check,
            format!("{} names the cluster, which admits every association there by AWS's reference: the list is a record", policy.arn.name()),
        ),
        // Who is not known cannot be asked what they have.
        (None, None) if found.attached.is_empty() => {
            let why = format!("no node role of cluster {cluster} is known");
            Link::unknown(check, why)
                .remediation("register the cluster with its node roles (action clusters)")
        }
        (None, None) => Link::ok(
            check,
            "no node role that is known has one of AWS's policies that allow everything; inline policies, other policies and boundaries are not looked at",
        ),
    });
    lines
}

/// Node roles with a policy that allows everything, as they are now, whatever the last
/// reconciliation saw.
fn broad(found: &NodePolicyView) -> impl Iterator<Item = (&RoleArn, &str)> {
    let remembered = found.broad_grant.as_deref();
    let is_broad = move |arn: &&String| is_broad_policy(arn) || remembered == Some(arn.as_str());
    let attached = found.attached.iter();
    attached.filter_map(move |(role, all)| Some((role, all.iter().find(is_broad)?.as_str())))
}

fn agent(evidence: &ExplainEvidence) -> Link {
    let check = "agent";
    let cluster = evidence.cluster.name();
    let ill = |status: &str, effect, what: &str| {
        Link::broken(
            check,
            effect,
            format!("add-on {AGENT_ADDON} of cluster {cluster} is {status}: {what}"),
            "look at the add-on's health issues in EKS and at DaemonSet eks-pod-identity-agent in kube-system, and update the add-on or install it again",
        )
    };
    match &evidence.agent {
        Err(why) => evidence.unread(check, why, MAY_LOOK),
        Ok(Agent::BuiltIn) => Link::ok(
            check,
            format!("cluster {cluster} runs in EKS Auto Mode, whose nodes have it built in"),
        ),
        Ok(Agent::AddOn(status)) => match status.as_str() {
            "ACTIVE" | "UPDATING" => Link::ok(check, format!("add-on {AGENT_ADDON} is {status}")),
            // The agent that was there goes on running on the nodes that have it.
            "DEGRADED" | "CREATE_FAILED" | "UPDATE_FAILED" | "DELETE_FAILED" => {
                ill(status, LinkEffect::Some, "pods of some nodes may get no credentials")
            }
            _ => ill(status, LinkEffect::None, "pods get no credentials without the agent"),
        },
        // There is a Helm chart. That pods have what EKS injects into them tells nothing of it.
        Ok(Agent::Unseen) => Link::unknown(
            check,
            format!("cluster {cluster} has no EKS add-on {AGENT_ADDON}, and whether the agent runs there in another way is not seen"),
        )
        .remediation("install the add-on, unless the agent was installed there in another way"),
    }
}
