//! What happens at one Kubernetes service account.

use pod_identity_events::{BlockedCode, RemovalReason, Trust, TrustVerdict};

use super::input::{Claim, Observation, Options, Place, Problem, RoleState, TrustMode};
use super::policy::Policies;
use super::standing::Standing;
use super::step::{AssociationStep, Blocked, Bound, PlacePlan, Removed, UnchangedAssociation};
use crate::trust::{self, TrustQuestion};
use crate::{Binding, DominoName, RoleArn, association_tags};

/// A place with its holder chosen and judged. The node policies still have
/// their say, and so has the ceiling of deletions.
pub(super) struct Decision<'a> {
    place: &'a Place,
    observation: &'a Observation,
    standing: Standing<'a>,
    holder: Option<(&'a Claim, Trust, Vec<String>)>,
    blocked: Vec<Blocked>,
}

pub(super) fn decide<'a>(
    place: &'a Place,
    observation: &'a Observation,
    options: &Options,
) -> Decision<'a> {
    // One that is refused holds its place too: no allow-list hands an identity to somebody else.
    let oldest =
        place.claims.iter().min_by_key(|claim| (&claim.since, &claim.binding.service_account));
    let standing = Standing::of(place, oldest, observation, options);
    let mut decision = Decision { place, observation, standing, holder: None, blocked: Vec::new() };
    for claim in &place.claims {
        if let Some(reason) = &claim.refused {
            decision.block(
                claim,
                BlockedCode::NotAllowed,
                reason.clone(),
                "correct the deployment's allow-lists, or assign the role again with values that the rules admit"
                    .to_owned(),
            );
        } else if let Some(oldest) = oldest.filter(|oldest| !std::ptr::eq(*oldest, claim)) {
            let reason = format!(
                "{} wants {} in cluster {}, which {} has held since {}",
                claim.binding.service_account,
                place.kubernetes,
                observation.cluster.name(),
                oldest.binding.service_account,
                oldest.since.occurred_at(),
            );
            let way_out = format!(
                "name another Kubernetes service account for {}, or unassign {}",
                claim.binding.service_account, oldest.binding.service_account,
            );
            decision.block(claim, BlockedCode::Conflict, reason, way_out);
        } else {
            decision.judge(claim, options);
        }
    }
    decision
}

impl<'a> Decision<'a> {
    fn block(&mut self, claim: &Claim, code: BlockedCode, reason: String, way_out: String) {
        self.block_by(claim, &Problem { code, reason, way_out });
    }

    fn block_by(&mut self, claim: &Claim, problem: &Problem) {
        let Binding { service_account, desired, .. } = &claim.binding;
        let (version, role) = (Some(&claim.version), Some(&desired.role));
        self.blocked.push(Blocked::by(problem, service_account, version, role));
    }

    /// Whether the oldest claim can have the place.
    fn judge(&mut self, claim: &'a Claim, options: &Options) {
        let desired = &claim.binding.desired;
        if let Standing::Untouchable(problem) = &self.standing {
            let problem = problem.clone();
            return self.block_by(claim, &problem);
        }
        let question = TrustQuestion {
            cluster: &self.observation.cluster,
            kubernetes: &self.place.kubernetes,
            session_tags: !desired.disable_session_tags,
        };
        let unread =
            |because: &str| Trust { verdict: TrustVerdict::Unknown, because: because.to_owned() };
        let mut read = None;
        let trust = match self.observation.roles.get(&desired.role) {
            Some(RoleState::Found(policy)) => {
                read = Some(policy);
                policy.evaluate(question)
            }
            Some(RoleState::Missing { because }) => {
                let way_out = format!(
                    "have role {} made, or assign another; then send the event again",
                    desired.role
                );
                return self.block(claim, BlockedCode::RoleNotFound, because.clone(), way_out);
            }
            Some(RoleState::Unread { because }) => unread(because),
            None => unread("the role was not read"),
        };
        let mut warnings = Vec::new();
        match (trust.verdict, options.trust) {
            (TrustVerdict::Trusted, _) => {}
            (TrustVerdict::Untrusted, TrustMode::Enforce) => {
                let reason = format!(
                    "role {} does not trust EKS Pod Identity: {}",
                    desired.role, trust.because
                );
                let policy = trust::required_policy(question);
                // No statement that is added helps against a Deny.
                let denied = read.is_some_and(|policy| policy.is_denied(question));
                let first = if denied { "take that Deny out of its trust policy and " } else { "" };
                let way_out = format!(
                    "have the owner of role {} {first}add this statement to its trust policy: {}; then send the event again",
                    desired.role, policy["Statement"][0],
                );
                self.block(claim, BlockedCode::UntrustedRole, reason, way_out);
                if let Some(blocked) = self.blocked.last_mut() {
                    (blocked.trust, blocked.trust_policy) = (Some(trust), Some(policy));
                }
                return;
            }
            (TrustVerdict::Untrusted, TrustMode::Warn) => warnings.push(format!(
                "role {} does not trust EKS Pod Identity: {}",
                desired.role, trust.because
            )),
            (TrustVerdict::Unknown, _) => warnings.push(format!(
                "whether role {} trusts EKS Pod Identity cannot be known: {}",
                desired.role, trust.because
            )),
        }
        self.holder = Some((claim, trust, warnings));
    }

    /// The role that the node policy must list before this place is touched.
    pub(super) fn role(&self) -> Option<&RoleArn> {
        self.holder.as_ref().map(|(claim, _, _)| &claim.binding.desired.role)
    }

    pub(super) fn finish(
        mut self,
        policies: &Policies,
        deletions_left: &mut usize,
        options: &Options,
    ) -> PlacePlan {
        if let Some((claim, _, _)) = &self.holder
            && let Some(problem) = policies.refusal(&claim.binding.desired.role)
        {
            let (claim, problem) = (*claim, problem.clone());
            self.holder = None;
            self.block_by(claim, &problem);
        }
        let kubernetes = self.place.kubernetes.clone();
        let mut plan = PlacePlan {
            kubernetes,
            step: None,
            bound: None,
            blocked: Vec::new(),
            removed: Vec::new(),
            kept: None,
        };
        match self.holder.take() {
            Some((claim, trust, warnings)) => self.bind(claim, trust, warnings, options, &mut plan),
            None => self.unbind(deletions_left, options, &mut plan),
        }
        plan.kept = match &self.standing {
            Standing::Untouchable(problem) => Some(problem.reason.clone()),
            // Whoever might adopt it is blocked.
            Standing::Adoptable(_, reason) if plan.bound.is_none() => Some(reason.clone()),
            _ => None,
        };
        // Whoever keeps the association for now has not left.
        let stays = !plan.blocked.is_empty();
        if !stays {
            plan.removed = self.removed();
        }
        plan.blocked.append(&mut self.blocked);
        plan
    }

    fn bind(
        &self,
        claim: &Claim,
        trust: Trust,
        warnings: Vec<String>,
        options: &Options,
        plan: &mut PlacePlan,
    ) {
        let desired = &claim.binding.desired;
        let name = &claim.binding.service_account;
        let mut unchanged = None;
        let (there, stays_his) = match &self.standing {
            Standing::Managed(association, of) => (Some(*association), *of == name),
            Standing::Adoptable(association, _) => (Some(*association), false),
            _ => (None, false),
        };
        plan.step = match there {
            Some(association) => {
                let changes = association.differences(desired);
                let fits = changes.is_empty();
                let tags = (!stays_his).then(|| association_tags(&options.deployment, name));
                if fits && tags.is_none() {
                    unchanged = Some(UnchangedAssociation {
                        id: association.id.clone(),
                        arn: association.arn.clone(),
                        external_id: association.external_id.clone(),
                    });
                    None
                } else {
                    let modified =
                        association.modified_at.map(|at| at.as_microsecond().to_string());
                    Some(AssociationStep::UpdateAssociation {
                        id: association.id.clone(),
                        arn: association.arn.clone(),
                        from_role: association.role_arn.clone(),
                        changes,
                        desired: (!fits).then(|| desired.clone()),
                        tags,
                        adopts: matches!(self.standing, Standing::Adoptable(..)),
                        client_token: self.client_token(
                            claim,
                            &[&association.id, modified.as_deref().unwrap_or_default()],
                        ),
                    })
                }
            }
            None => Some(AssociationStep::CreateAssociation {
                desired: desired.clone(),
                tags: association_tags(&options.deployment, name),
                client_token: self
                    .client_token(claim, &[claim.last_association.as_deref().unwrap_or_default()]),
            }),
        };
        plan.bound = Some(Bound {
            service_account: name.clone(),
            version: claim.version.clone(),
            desired: desired.clone(),
            trust,
            unchanged,
            warnings,
        });
    }

    /// Takes away what nobody holds any more. Whoever still claims the place
    /// keeps what is there, even while the claim is blocked.
    fn unbind(&self, deletions_left: &mut usize, options: &Options, plan: &mut PlacePlan) {
        let Standing::Managed(association, of) = &self.standing else {
            return;
        };
        if self.place.claims.iter().any(|claim| claim.binding.service_account == **of) {
            return;
        }
        let role = association.role_arn.parse().ok();
        if let Some(problem) = self.place.held.get(*of) {
            plan.blocked.push(Blocked::by(problem, of, None, role.as_ref()));
            return;
        }
        if *deletions_left == 0 {
            let problem = Problem {
                code: BlockedCode::DeletionCeiling,
                reason: format!(
                    "association {} of {} in cluster {} is kept for now: one run deletes at most {} associations (MAX_DELETIONS)",
                    association.id,
                    self.place.kubernetes,
                    self.observation.cluster.name(),
                    options.max_deletions,
                ),
                way_out: "check that so many service accounts were meant to lose their role; then send the event again, or raise MAX_DELETIONS".to_owned(),
            };
            plan.blocked.push(Blocked::by(&problem, of, None, role.as_ref()));
            return;
        }
        *deletions_left -= 1;
        plan.step = Some(AssociationStep::DeleteAssociation {
            id: association.id.clone(),
            arn: association.arn.clone(),
            role: association.role_arn.clone(),
        });
    }

    fn removed(&self) -> Vec<Removed> {
        let of_place = |name: &DominoName| match &self.standing {
            Standing::Managed(association, of) if *of == name => Some(*association),
            _ => None,
        };
        self.place
            .leaving
            .iter()
            .map(|(name, reason): (&DominoName, &RemovalReason)| Removed {
                service_account: name.clone(),
                reason: *reason,
                association_id: of_place(name).map(|association| association.id.clone()),
                role: of_place(name).map(|association| association.role_arn.clone()),
            })
            .collect()
    }

    /// The same work asks with the same token; work on a newer version, or
    /// after the association was lost again, asks with another.
    fn client_token(&self, claim: &Claim, parts: &[&str]) -> String {
        let version = claim.version.to_string();
        let own = [
            version.as_str(),
            claim.binding.service_account.as_str(),
            self.observation.cluster.as_str(),
        ];
        crate::fingerprint(own.iter().chain(parts).copied())
    }
}
