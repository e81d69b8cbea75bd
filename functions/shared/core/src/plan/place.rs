//! What happens at one Kubernetes service account.

use std::collections::BTreeMap;

use pod_identity_events::{ClusterAccount, Problem, RemovalReason, Trust, TrustVerdict};

use super::existing::Existing;
use super::input::{Claim, Observation, Options, Place, RoleState, TrustMode};
use super::policy::PlannedPolicies;
use super::step::{AssociationStep, Blocked, Bound, PlacePlan, Removed, UnchangedAssociation};
use crate::trust::{self, TrustQuestion};
use crate::{Binding, DEPLOYMENT_TAG, Desired, DominoName, RoleArn, association_tags};

/// How much one run may still do.
pub(super) struct RemainingCeilings {
    pub(super) deletions: usize,
    pub(super) recreations: usize,
}

/// A place with its holder chosen and judged. The node policies still have
/// their say, and so has the ceiling of deletions.
pub(super) struct PlaceDecision<'a> {
    place: &'a Place,
    observation: &'a Observation,
    existing: Existing<'a>,
    holder: Option<(&'a Claim, Trust, Vec<String>)>,
    blocked: Vec<Blocked>,
}

pub(super) fn decide<'a>(
    place: &'a Place,
    observation: &'a Observation,
    options: &'a Options,
) -> PlaceDecision<'a> {
    let existing = Existing::of(place, observation, options);
    let mut decision =
        PlaceDecision { place, observation, existing, holder: None, blocked: Vec::new() };
    let holder = place.holder();
    for claim in &place.claims {
        if let Some(violations) = &claim.refused {
            decision.block(claim, Problem::NotAllowed { violations: violations.clone() });
        } else if let Some(holder) = holder.filter(|holder| std::ptr::eq(*holder, claim)) {
            decision.judge(holder, options);
        } else {
            let holder = holder.map(|holder| holder.binding.service_account.to_string());
            let problem = Problem::Conflict {
                service_account: claim.binding.service_account.to_string(),
                account: place.kubernetes.in_cluster(&observation.cluster),
                holder,
            };
            decision.block(claim, problem);
        }
    }
    decision
}

impl<'a> PlaceDecision<'a> {
    fn block(&mut self, claim: &Claim, problem: Problem) {
        let Binding { service_account, desired, .. } = &claim.binding;
        let (version, role) = (Some(&claim.version), Some(&desired.role));
        self.blocked.push(Blocked::by(problem, service_account, version, role));
    }

    fn account(&self) -> ClusterAccount {
        self.place.kubernetes.in_cluster(&self.observation.cluster)
    }

    /// Whether the claim that holds the place can have it.
    fn judge(&mut self, claim: &'a Claim, options: &Options) {
        let desired = &claim.binding.desired;
        if let Existing::Protected { problem, .. } = &self.existing {
            let problem = problem.clone();
            return self.block(claim, problem);
        }
        let question = TrustQuestion {
            cluster: &self.observation.cluster,
            kubernetes: &self.place.kubernetes,
            session_tags: !desired.disable_session_tags,
        };
        let unread =
            |reason: &str| Trust { verdict: TrustVerdict::Unknown, reason: reason.to_owned() };
        let mut read = None;
        let trust = match self.observation.roles.get(&desired.role) {
            Some(RoleState::Found(policy)) => {
                read = Some(policy);
                policy.evaluate(question)
            }
            Some(RoleState::Missing { namesake }) => {
                let (role_arn, namesake_arn) = (desired.role.to_string(), namesake.clone());
                return self.block(claim, Problem::RoleNotFound { role_arn, namesake_arn });
            }
            Some(RoleState::Unread { reason }) => unread(reason),
            None => unread("the role was not read"),
        };
        let mut warnings = Vec::new();
        match (trust.verdict, options.trust) {
            (TrustVerdict::Trusted, _) => {}
            (TrustVerdict::Untrusted, TrustMode::Enforce) => {
                let problem = Problem::UntrustedRole {
                    role_arn: desired.role.to_string(),
                    reason: trust.reason.clone(),
                    // No statement that is added helps against a Deny.
                    denied: read.is_some_and(|policy| policy.is_denied(question)),
                    trust_policy: trust::required_policy(question),
                };
                self.block(claim, problem);
                if let Some(blocked) = self.blocked.last_mut() {
                    blocked.trust = Some(trust);
                }
                return;
            }
            (TrustVerdict::Untrusted, TrustMode::Warn) => warnings.push(format!(
                "role {} does not trust EKS Pod Identity: {}",
                desired.role, trust.reason
            )),
            (TrustVerdict::Unknown, _) => warnings.push(format!(
                "whether role {} trusts EKS Pod Identity cannot be known: {}",
                desired.role, trust.reason
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
        policies: &PlannedPolicies,
        left: &mut RemainingCeilings,
        options: &Options,
    ) -> PlacePlan {
        if let Some((claim, _, _)) = &self.holder
            && let Some(problem) = policies.refusal(&claim.binding.desired.role)
        {
            let (claim, problem) = (*claim, problem.clone());
            self.holder = None;
            self.block(claim, problem);
        }
        if let Some((claim, _, _)) = &self.holder
            && let Some(problem) = self.withheld(claim, left)
        {
            let claim = *claim;
            self.holder = None;
            self.block(claim, problem);
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
            None => self.unbind(&mut left.deletions, options, &mut plan),
        }
        plan.kept = match &self.existing {
            Existing::Protected { problem, .. } => Some(problem.message()),
            // The claim that might adopt it is blocked.
            Existing::Adoptable(_, problem) if plan.bound.is_none() => Some(problem.message()),
            _ => None,
        };
        if let Existing::Protected { problem, may_be_ours: true } = &self.existing {
            // What may be ours still gives its role: no removal is proven.
            let leaving = self.place.leaving.keys();
            plan.blocked.extend(leaving.map(|name| Blocked::by(problem.clone(), name, None, None)));
        } else {
            // A service account that keeps the association for now has not left; one that only shared the
            // place has.
            plan.removed = self.removed();
            plan.removed.retain(|removed| {
                plan.blocked.iter().all(|kept| kept.service_account != removed.service_account)
            });
        }
        plan.blocked.append(&mut self.blocked);
        plan
    }

    /// Why nothing is made or changed for a binding that the ledger says to be ready: it may be the
    /// word of a ledger that was restored. What a newer event asks for is done.
    fn withheld(&self, claim: &Claim, left: &mut RemainingCeilings) -> Option<Problem> {
        let held = self.place.held.as_ref()?;
        let name = &claim.binding.service_account;
        if held.service_account != *name || held.version != claim.version {
            return None;
        }
        let guard = &self.observation.guard;
        let is_gone = match &self.existing {
            Existing::Nothing => true,
            Existing::Ours(association, _) => {
                let fits = association.fits(&claim.binding.desired);
                return guard.halted.clone().filter(|_| !fits);
            }
            Existing::Adoptable(..) | Existing::Protected { .. } => false,
        };
        if !is_gone || guard.resumed.contains(&held.id) {
            return None;
        }
        if let Some(problem) = &guard.halted {
            return Some(problem.clone());
        }
        if left.recreations == 0 || claim.held_back {
            return Some(Problem::RecreationCeiling {
                account: self.account(),
                association_id: held.id.clone(),
            });
        }
        left.recreations -= 1;
        None
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
        let (there, adopts) = match &self.existing {
            Existing::Ours(association, _) => (Some(*association), false),
            Existing::Adoptable(association, _) => (Some(*association), true),
            _ => (None, false),
        };
        let own_tags = association_tags(&options.deployment, name);
        plan.step = match there {
            Some(association) => {
                let changes = association.differences(desired);
                let fits = changes.is_empty();
                // What is passed on is tagged whatever is shown: EKS may show tags that it had before.
                let held = self.place.held.as_ref();
                let tagged = held.is_none_or(|held| held.service_account == *name)
                    && own_tags.iter().all(|(key, value)| association.tags.get(key) == Some(value));
                if fits && tagged && !adopts {
                    unchanged = Some(UnchangedAssociation {
                        id: association.id.clone(),
                        arn: association.arn.clone(),
                        external_id: association.external_id.clone(),
                    });
                    None
                } else {
                    let modified =
                        association.modified_at.map(|at| at.as_microsecond().to_string());
                    let asked_of = [&association.id, modified.as_deref().unwrap_or_default()];
                    Some(AssociationStep::UpdateAssociation {
                        id: association.id.clone(),
                        arn: association.arn.clone(),
                        from_role: association.role_arn.clone(),
                        changes,
                        desired: (!fits).then(|| desired.clone()),
                        tags: (!tagged || adopts).then_some(own_tags),
                        adopts,
                        client_token: self.client_token(claim, options, &asked_of),
                    })
                }
            }
            None => {
                let held = self.place.held.as_ref().map(|held| &held.id);
                let last = held.or(self.place.last_id.as_ref());
                let last = last.map(String::as_str).unwrap_or_default();
                Some(AssociationStep::CreateAssociation {
                    desired: desired.clone(),
                    tags: own_tags,
                    client_token: self.client_token(claim, options, &[last]),
                })
            }
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

    /// Deletes what no binding wants any more. A claim keeps what is there, even while it is blocked.
    ///
    /// What the ledger remembers and EKS does not show is deleted by its id all the same: the answer
    /// proves that it is gone, which a list that may be old does not.
    fn unbind(&self, deletions_left: &mut usize, options: &Options, plan: &mut PlacePlan) {
        let Some(doomed) = self.deletable(options) else { return };
        let Doomed { id, arn, role, of, tags } = doomed;
        if self.place.claims.iter().any(|claim| claim.binding.service_account == *of)
            || !self.place.leaving.contains_key(of)
        {
            return;
        }
        let role_arn = role.parse().ok();
        if let Some(problem) = self.place.retirement_blocked.get(of) {
            plan.blocked.push(Blocked::by(problem.clone(), of, None, role_arn.as_ref()));
            return;
        }
        if *deletions_left == 0 {
            let problem = Problem::DeletionCeiling {
                account: self.account(),
                association_id: id,
                max_deletions: options.max_deletions,
            };
            plan.blocked.push(Blocked::by(problem, of, None, role_arn.as_ref()));
            return;
        }
        *deletions_left -= 1;
        plan.step = Some(AssociationStep::DeleteAssociation { id, arn, role, tags });
    }

    /// The association that a removal deletes here: ours, or what the ledger remembers where
    /// nothing is shown or another one has come.
    fn deletable(&self, options: &Options) -> Option<Doomed<'_>> {
        match &self.existing {
            Existing::Ours(association, of) => {
                // IAM lets the functions delete only what carries their deployment's tag.
                let tagged = association.tags.get(DEPLOYMENT_TAG) == Some(&options.deployment);
                Some(Doomed {
                    id: association.id.clone(),
                    arn: association.arn.clone(),
                    role: association.role_arn.clone(),
                    of,
                    tags: (!tagged).then(|| association_tags(&options.deployment, of)),
                })
            }
            Existing::Protected { may_be_ours: true, .. } => None,
            _ => {
                let held = self.place.held.as_ref()?;
                Some(Doomed {
                    id: held.id.clone(),
                    arn: held.arn.clone(),
                    role: held.desired.role.to_string(),
                    of: &held.service_account,
                    tags: None,
                })
            }
        }
    }

    fn removed(&self) -> Vec<Removed> {
        let last = match &self.existing {
            Existing::Ours(association, of) => {
                Some((*of, association.id.clone(), association.role_arn.clone()))
            }
            _ => self.place.held.as_ref().map(|held| {
                (&held.service_account, held.id.clone(), held.desired.role.to_string())
            }),
        };
        let removed = |(name, reason): (&DominoName, &RemovalReason)| {
            let last = last.clone().filter(|(of, ..)| *of == name);
            Removed {
                service_account: name.clone(),
                reason: *reason,
                association_id: last.as_ref().map(|(_, id, _)| id.clone()),
                role: last.map(|(.., role)| role),
            }
        };
        self.place.leaving.iter().map(removed).collect()
    }

    /// The same work asks with the same token; another deployment, work on a newer version or other
    /// values, or after the association was lost again, asks with another.
    fn client_token(&self, claim: &Claim, options: &Options, parts: &[&str]) -> String {
        let version = claim.version.to_string();
        let Desired { role, target_role, disable_session_tags, session_policy } =
            &claim.binding.desired;
        let own = [
            options.deployment.as_str(),
            self.observation.cluster.as_str(),
            self.place.kubernetes.namespace(),
            self.place.kubernetes.service_account(),
            claim.binding.service_account.as_str(),
            version.as_str(),
            role.as_str(),
            target_role.as_ref().map(RoleArn::as_str).unwrap_or_default(),
            if *disable_session_tags { "untagged" } else { "tagged" },
            session_policy.as_deref().unwrap_or_default(),
        ];
        crate::fingerprint(own.iter().chain(parts).copied())
    }
}

/// An association that a removal deletes.
struct Doomed<'a> {
    id: String,
    arn: String,
    role: String,
    /// The Domino service account that it serves.
    of: &'a DominoName,
    /// Tags to restore first.
    tags: Option<BTreeMap<String, String>>,
}
