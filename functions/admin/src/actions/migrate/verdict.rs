//! Whether what works on one cluster would work on another: decided from what was seen, for each
//! binding.

use std::collections::BTreeMap;

use pod_identity_core::plan::{Blocked, Bound, RoleState};
use pod_identity_core::trust::{TrustQuestion, required_policy};
use pod_identity_core::{Binding, ClusterArn, DominoName, RoleArn};
use pod_identity_engine::ledger::{BindingRecord, ConditionState};
use pod_identity_events::{Problem, Trust, TrustVerdict};

use super::findings::{listing, over_quota};
use super::look::BothClusters;
use super::reason::Reason;
use crate::actions::target::{Hop, evaluate};

/// Whether a binding will work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MigrationVerdict {
    Ready,
    Breaks(Reason),
    Unknown(Reason),
}

impl MigrationVerdict {
    /// Why, where it is not ready.
    pub(super) fn words(&self) -> Option<&Reason> {
        match self {
            Self::Ready => None,
            Self::Breaks(words) | Self::Unknown(words) => Some(words),
        }
    }
}

/// What reconcile would do on green for each binding.
struct GreenPlan<'a> {
    bound: BTreeMap<&'a DominoName, &'a Bound>,
    blocked: BTreeMap<&'a DominoName, &'a Blocked>,
}

/// A verdict for each binding that works on blue and is meant for green.
pub(super) fn verdicts(seen: &BothClusters) -> BTreeMap<DominoName, MigrationVerdict> {
    let mut planned = GreenPlan { bound: BTreeMap::new(), blocked: BTreeMap::new() };
    for place in seen.preview.iter().flat_map(|done| &done.plans).flat_map(|plan| &plan.places) {
        planned.bound.extend(place.bound.iter().map(|one| (&one.service_account, one)));
        planned.blocked.extend(place.blocked.iter().map(|one| (&one.service_account, one)));
    }
    let unplaced = listing(seen).map(|it| it.unplaced).unwrap_or_default();
    let over_quota = over_quota(seen);
    let of = |(name, record): (&DominoName, &BindingRecord)| {
        let binding = record.binding().filter(|binding| seen.moves(binding))?;
        let mut verdict = role_verdict(seen, &planned, name, record, binding);
        if verdict == MigrationVerdict::Ready && unplaced.contains(&binding.desired.role) {
            verdict = unlisted(seen, &binding.desired.role);
        }
        let inside = seen.inside.blocked.get(name).filter(|_| verdict == MigrationVerdict::Ready);
        if let Some(words) = inside {
            verdict = MigrationVerdict::Breaks(words.clone());
        }
        if let Some(words) = &seen.inside.breaks
            && !matches!(verdict, MigrationVerdict::Breaks(_))
        {
            verdict = MigrationVerdict::Breaks(words.clone());
        }
        let beyond = over_quota.as_ref().filter(|(names, _)| names.contains(name));
        if let Some((_, words)) = beyond.filter(|_| verdict == MigrationVerdict::Ready) {
            verdict = MigrationVerdict::Unknown(words.clone());
        }
        let target = target_verdict(seen, binding);
        let verdict = match (verdict, target) {
            (breaks @ MigrationVerdict::Breaks(_), _) => breaks,
            (_, breaks @ MigrationVerdict::Breaks(_)) => breaks,
            (unknown @ MigrationVerdict::Unknown(_), _) => unknown,
            (MigrationVerdict::Ready, MigrationVerdict::Ready) => seen
                .inside
                .unread
                .clone()
                .map_or(MigrationVerdict::Ready, MigrationVerdict::Unknown),
            (MigrationVerdict::Ready, target) => target,
        };
        Some((name.clone(), verdict))
    };
    seen.bindings.iter().filter_map(of).collect()
}

/// What becomes of a role that the node policies have no room for: outside of strict mode something
/// else may grant it.
fn unlisted(seen: &BothClusters, role: &RoleArn) -> MigrationVerdict {
    let policies = seen.node_policies.as_ref().ok().and_then(Option::as_ref);
    let is_broad = policies.map(|policies| policies.broad_grant.is_some());
    if !seen.strict && (seen.cluster_statement || is_broad == Some(true)) {
        return MigrationVerdict::Ready;
    }
    let why = format!("the node policies have no room for role {role}");
    let remediation = "raise IAM's quota of managed policies attached to a role and NODE_ROLE_POLICY_SLOTS with it";
    if seen.strict || is_broad.is_some() {
        return MigrationVerdict::Breaks(Reason::new(why, remediation));
    }
    let why = format!("{why}, and whether another policy of the node roles grants it is not known");
    let remediation = format!(
        "AWS's AmazonEKSWorkerNodePolicy on the node roles grants it; otherwise {remediation}"
    );
    MigrationVerdict::Unknown(Reason::new(why, remediation))
}

fn role_verdict(
    seen: &BothClusters,
    planned: &GreenPlan<'_>,
    name: &DominoName,
    record: &BindingRecord,
    binding: &Binding,
) -> MigrationVerdict {
    let done = match &seen.preview {
        Ok(done) => done,
        Err(why) => return MigrationVerdict::Unknown(Reason::new(why.to_string(), "ask again")),
    };
    if let Some(blocked) = planned.blocked.get(name) {
        let mut why = blocked.problem.message();
        if let Some(trust) =
            blocked.trust.as_ref().filter(|_| trusted_on(seen, binding, &seen.blue))
        {
            why = narrowed(seen, binding, trust);
        }
        let words = Reason::new(why, blocked.problem.remediation());
        let may_pass = matches!(blocked.problem, Problem::AccessDenied { .. });
        return if may_pass {
            MigrationVerdict::Unknown(words)
        } else {
            MigrationVerdict::Breaks(words)
        };
    }
    if let Some(bound) = planned.bound.get(name) {
        return of_trust(seen, binding, &bound.trust);
    }
    let condition = seen.on_green.get(name).filter(|one| one.version == record.version);
    if condition.is_some_and(|condition| condition.state == ConditionState::Ready) {
        // Reconcile does not look again at the trust of what is bound already.
        return match trust_on(seen, binding, &seen.green) {
            Some(trust) => of_trust(seen, binding, &trust),
            None => MigrationVerdict::Ready,
        };
    }
    if let Some(why) = &done.skipped {
        return MigrationVerdict::Unknown(Reason::new(why.to_string(), "ask again"));
    }
    MigrationVerdict::Unknown(Reason::new(
        "the invocation's time was over before it was looked at",
        "raise the function's time-out and ask again",
    ))
}

fn of_trust(seen: &BothClusters, binding: &Binding, trust: &Trust) -> MigrationVerdict {
    let role = &binding.desired.role;
    match trust.verdict {
        TrustVerdict::Trusted => MigrationVerdict::Ready,
        TrustVerdict::Untrusted => {
            let why = if trusted_on(seen, binding, &seen.blue) {
                narrowed(seen, binding, trust)
            } else {
                format!("role {role} does not trust EKS Pod Identity: {}", trust.reason)
            };
            let statement = required_policy(question(binding, &seen.green));
            let remediation = format!(
                "have the owner of role {role} add this statement to its trust policy: {}",
                statement["Statement"][0]
            );
            MigrationVerdict::Breaks(Reason::new(why, remediation))
        }
        TrustVerdict::Unknown => {
            let why = format!(
                "whether role {role} trusts EKS Pod Identity cannot be known: {}",
                trust.reason
            );
            MigrationVerdict::Unknown(Reason::new(why, "look at the role's trust policy"))
        }
    }
}

/// A role whose trust policy admits one cluster and not the other.
fn narrowed(seen: &BothClusters, binding: &Binding, trust: &Trust) -> String {
    format!(
        "role {} trusts EKS Pod Identity on cluster {}, and not on {}: {}",
        binding.desired.role,
        seen.blue.name(),
        seen.green.name(),
        trust.reason
    )
}

fn question<'a>(binding: &'a Binding, cluster: &'a ClusterArn) -> TrustQuestion<'a> {
    let session_tags = !binding.desired.disable_session_tags;
    TrustQuestion { cluster, kubernetes: &binding.kubernetes, session_tags }
}

fn trust_on(seen: &BothClusters, binding: &Binding, cluster: &ClusterArn) -> Option<Trust> {
    match &seen.roles.get(&binding.desired.role)?.state {
        RoleState::Found(policy) => Some(policy.evaluate(question(binding, cluster))),
        RoleState::Missing { .. } => {
            let reason = format!("role {} does not exist", binding.desired.role);
            Some(Trust { verdict: TrustVerdict::Untrusted, reason })
        }
        RoleState::Unread { reason } => {
            Some(Trust { verdict: TrustVerdict::Unknown, reason: reason.clone() })
        }
    }
}

fn trusted_on(seen: &BothClusters, binding: &Binding, cluster: &ClusterArn) -> bool {
    trust_on(seen, binding, cluster).is_some_and(|trust| trust.verdict == TrustVerdict::Trusted)
}

fn target_verdict(seen: &BothClusters, binding: &Binding) -> MigrationVerdict {
    let Some(target) = &binding.desired.target_role else { return MigrationVerdict::Ready };
    let hop = Hop::of(binding, &seen.green);
    let remediation = format!(
        "have the owner of role {target} let it in as on cluster {} (action trust-policy); where it asks for sts:ExternalId, {}",
        seen.blue.name(),
        hop.sends()
    );
    if target.account() != seen.green.account() {
        let why = format!("target role {target} is in another account and cannot be read");
        return MigrationVerdict::Unknown(Reason::new(why, remediation));
    }
    let look = seen.roles.get(target);
    let document = look.and_then(|look| look.document.as_deref());
    match (document, look.map(|look| &look.state)) {
        (Some(document), _) => {
            let Trust { verdict, reason } = evaluate(document, &hop);
            let words = Reason::new(format!("target role {target}: {reason}"), remediation);
            match verdict {
                TrustVerdict::Trusted => MigrationVerdict::Ready,
                TrustVerdict::Untrusted => MigrationVerdict::Breaks(words),
                TrustVerdict::Unknown => MigrationVerdict::Unknown(words),
            }
        }
        (None, Some(RoleState::Missing { .. })) => {
            let why = format!("target role {target} does not exist");
            MigrationVerdict::Breaks(Reason::new(why, "create it"))
        }
        (None, Some(RoleState::Unread { reason })) => MigrationVerdict::Unknown(Reason::new(
            format!("target role {target}: {reason}"),
            remediation,
        )),
        _ => {
            let why = format!("target role {target} was not read");
            MigrationVerdict::Unknown(Reason::new(why, remediation))
        }
    }
}
