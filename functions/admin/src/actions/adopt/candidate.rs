//! Which associations can be adopted, as whose, and why others cannot. Decides only.

use std::collections::BTreeMap;

use pod_identity_core::{
    Association, Binding, Change, ClusterArn, Desired, DominoName, RoleArn, ServiceAccountRef,
    fingerprint,
};
use pod_identity_engine::ledger::{BindingRecord, ClusterRecord};
use pod_identity_events::detail_type::ROLE_ASSIGNED;
use serde_json::{Map, Value, json};

use super::NamedAssociation;
use super::claims::Claims;
use super::doubles::refuse_doubles;
use crate::change::{ChangeRequest, ChangeTarget};

/// What becomes of an association.
pub(super) enum AdoptDecision {
    /// It is bound as it is, and taken over.
    Bind(Box<ChangeRequest>),
    /// Its binding stands, and takes it over: what changes of it, in words.
    Permit(Option<String>),
    Refused(String),
}

/// An association that was asked for.
pub(super) struct Candidate {
    /// Namespace and Kubernetes service account.
    pub(super) place: String,
    /// Name of the Domino service account.
    pub(super) name: String,
    pub(super) association: Option<Association>,
    pub(super) decision: AdoptDecision,
}

/// One that can be adopted.
pub(super) struct AcceptedAdoption {
    pub(super) name: DominoName,
    pub(super) place: ServiceAccountRef,
    pub(super) id: String,
}

/// Which associations were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Selection {
    /// This one, by its place and name.
    Named,
    /// All foreign ones, by the naming rule.
    Foreign,
    /// All orphans, by the name that their tag says.
    Orphans,
}

/// What there is.
pub(super) struct AdoptContext<'a> {
    pub(super) bindings: &'a BTreeMap<DominoName, BindingRecord>,
    /// Associations that no condition of the ledger names.
    pub(super) others: &'a [Association],
    pub(super) record: &'a ClusterRecord,
    pub(super) claims: Claims<'a>,
    pub(super) deployment: &'a str,
    /// Names a Kubernetes service account after a Domino one.
    pub(super) template: &'a str,
}

impl AdoptContext<'_> {
    /// Those that were named.
    pub(super) fn named(&self, selection: &[NamedAssociation]) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for NamedAssociation { namespace, service_account, name } in selection {
            let found = self
                .others
                .iter()
                .find(|one| one.namespace == *namespace && one.service_account == *service_account);
            let place = format!("{namespace}/{service_account}");
            let decision = match found {
                Some(found) => self.decide(found, name, Selection::Named),
                None => AdoptDecision::Refused(format!(
                    "cluster {} has no association of {place} that is not this deployment's already",
                    self.record.registration.cluster.name()
                )),
            };
            let (name, association) = (name.clone(), found.cloned());
            candidates.push(Candidate { place, name, association, decision });
        }
        refuse_doubles(&mut candidates);
        candidates
    }

    /// All foreign ones, by the naming rule. Those of add-ons and orphans are told.
    pub(super) fn all(&self) -> Vec<Candidate> {
        let of = |association: &Association| {
            let name = self.name_of(&association.service_account);
            Candidate {
                place: format!("{}/{}", association.namespace, association.service_account),
                decision: self.decide(association, &name, Selection::Foreign),
                association: Some(association.clone()),
                name,
            }
        };
        let mut candidates: Vec<Candidate> = self.others.iter().map(of).collect();
        candidates.sort_by(|a, b| a.place.cmp(&b.place));
        refuse_doubles(&mut candidates);
        candidates
    }

    /// All orphans, as those that their tags name: what a restored ledger does not account for. The
    /// administrator's word counts, not the tag.
    pub(super) fn orphans(&self) -> Vec<Candidate> {
        let of = |association: &Association| {
            let tag = association.tagged_by(self.deployment)?;
            let name = tag.unwrap_or_default().to_owned();
            Some(Candidate {
                place: format!("{}/{}", association.namespace, association.service_account),
                decision: self.decide(association, &name, Selection::Orphans),
                association: Some(association.clone()),
                name,
            })
        };
        let mut candidates: Vec<Candidate> = self.others.iter().filter_map(of).collect();
        candidates.sort_by(|a, b| a.place.cmp(&b.place));
        refuse_doubles(&mut candidates);
        candidates
    }

    /// The Domino service account after which the template would name a Kubernetes one, or its
    /// own name.
    fn name_of(&self, service_account: &str) -> String {
        let inner = self.template.split_once("{name}").and_then(|(before, behind)| {
            service_account.strip_prefix(before)?.strip_suffix(behind)
        });
        inner.filter(|name| !name.is_empty()).unwrap_or(service_account).to_owned()
    }

    fn decide(&self, association: &Association, name: &str, selection: Selection) -> AdoptDecision {
        let refused = |why: String| AdoptDecision::Refused(why);
        let Ok(place) =
            ServiceAccountRef::new(&association.namespace, &association.service_account)
        else {
            return refused("Kubernetes takes no such name".to_owned());
        };
        if let Some(owner) = &association.owner_arn {
            return refused(format!("add-on {owner} owns it, and alone may change it"));
        }
        if selection == Selection::Foreign && association.tagged_by(self.deployment).is_some() {
            return refused(
                "an orphan: ask with `orphans`, or name it in `associations`, to adopt it"
                    .to_owned(),
            );
        }
        let parsed: DominoName = match name.parse() {
            Ok(name) => name,
            Err(error) => return refused(format!("as: {error}")),
        };
        if let Some(other) = self.claims.before(&parsed, &place) {
            let what = match self.claims.wants(&parsed, &place) {
                true => format!("{other} holds {place} there, which {parsed} is bound to as well"),
                false => format!("{other} is bound to {place} there"),
            };
            return refused(format!("{what}; adopt it as {other}, or unbind {other} first"));
        }
        let record = self.bindings.get(&parsed);
        let tombstone = record.filter(|record| record.binding().is_none());
        if let Some(record) = tombstone.filter(|_| selection != Selection::Named) {
            return refused(format!(
                "{name} was unassigned at {}; delete association {}, or name it in `associations` to bind {name} again",
                record.version.occurred_at(),
                association.id
            ));
        }
        match record.and_then(BindingRecord::binding) {
            None => AdoptDecision::Bind(Box::new(self.change_request(association, name))),
            Some(binding) if self.claims.wants(&parsed, &place) => {
                let changes = association.differences(&binding.desired);
                if selection != Selection::Named && !changes.is_empty() {
                    return refused(format!(
                        "{name} is bound there already, with another {}; name it in `associations` to have it changed",
                        changes.join(", ")
                    ));
                }
                let from = (!changes.is_empty()).then(|| becomes(&changes, &binding.desired));
                AdoptDecision::Permit(from)
            }
            Some(Binding { kubernetes, desired, .. }) => refused(format!(
                "{name} is bound already, to role {} at {kubernetes}; adopt it as another, or unbind {name} first",
                desired.role
            )),
        }
    }

    /// The association as it is, for this cluster alone.
    fn change_request(&self, association: &Association, name: &str) -> ChangeRequest {
        let mut detail = Map::new();
        detail.insert("serviceAccount".to_owned(), json!(name));
        detail.insert("roleArn".to_owned(), json!(association.role_arn));
        detail.insert(
            "kubernetes".to_owned(),
            json!({
                "namespace": association.namespace, "serviceAccount": association.service_account,
            }),
        );
        detail.insert("clusters".to_owned(), json!([self.record.registration.cluster]));
        if association.disable_session_tags {
            detail.insert("disableSessionTags".to_owned(), json!(true));
        }
        // EKS may answer an absent value as an empty one.
        let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        if let Some(target) = given(&association.target_role_arn) {
            detail.insert("targetRoleArn".to_owned(), json!(target));
        }
        if let Some(policy) = given(&association.policy) {
            detail.insert("sessionPolicy".to_owned(), json!(policy));
        }
        let about = ChangeTarget::ServiceAccount(name.to_owned());
        ChangeRequest { about, detail_type: ROLE_ASSIGNED, detail }
    }
}

/// What an association changes to: all that the binding has, as a plan is held to these words.
fn becomes(changes: &[&str], desired: &Desired) -> String {
    let Desired { role, target_role, disable_session_tags, session_policy } = desired;
    let of = |what: &str, value: Option<String>| match value {
        Some(value) => Some(format!("{what} {value}")),
        None => changes.contains(&what).then(|| format!("no {what}")),
    };
    let mut parts = vec![format!("role {role}")];
    parts.extend(of("target role", target_role.as_ref().map(ToString::to_string)));
    match disable_session_tags {
        true => parts.push("no session tags".to_owned()),
        false => parts.extend(changes.contains(&"session tags").then(|| "session tags".to_owned())),
    }
    parts.extend(of("session policy", session_policy.clone()));
    format!("{} change, to {}", changes.join(", "), parts.join(", "))
}

/// A digest of all that would be adopted, as it is: what a plan has shown has the same one. Whether
/// the binding is made by then does not matter, as an adoption that broke off is asked for again.
pub(super) fn digest(cluster: &ClusterArn, candidates: &[Candidate]) -> String {
    let mut all: Vec<[String; 7]> = candidates.iter().filter_map(Candidate::fixed).collect();
    all.sort();
    let parts = all.iter().flatten().map(String::as_str);
    fingerprint(std::iter::once(cluster.as_str()).chain(parts))
}

impl Candidate {
    /// Whether it is not refused.
    pub(super) fn is_meant(&self) -> bool {
        !matches!(self.decision, AdoptDecision::Refused(_))
    }

    pub(super) fn refuse(&mut self, why: String) {
        self.decision = AdoptDecision::Refused(why);
    }

    /// Refuses what breaks a rule of the deployment.
    pub(super) fn hold_to(
        &mut self,
        judge: impl Fn(&ChangeRequest) -> Result<Change, Vec<String>>,
    ) {
        if let AdoptDecision::Bind(change_request) = &self.decision
            && let Err(reasons) = judge(change_request)
        {
            self.refuse(reasons.join("; "));
        }
    }

    /// What a plan fixes of it; none where it is refused.
    fn fixed(&self) -> Option<[String; 7]> {
        let association = self.association.as_ref()?;
        let changes = match &self.decision {
            AdoptDecision::Bind(_) => None,
            AdoptDecision::Permit(changes) => changes.clone(),
            AdoptDecision::Refused(_) => return None,
        };
        // They say how much of the role it hands out.
        let limits = json!([association.policy, association.disable_session_tags]);
        Some([
            self.place.clone(),
            association.id.clone(),
            association.role_arn.clone(),
            association.target_role_arn.clone().unwrap_or_default(),
            limits.to_string(),
            self.name.clone(),
            changes.unwrap_or_default(),
        ])
    }

    pub(super) fn accepted(&self) -> Option<AcceptedAdoption> {
        let association = self.association.as_ref()?;
        if let AdoptDecision::Refused(_) = self.decision {
            return None;
        }
        let place = ServiceAccountRef::new(&association.namespace, &association.service_account);
        Some(AcceptedAdoption {
            name: self.name.parse().ok()?,
            place: place.ok()?,
            id: association.id.clone(),
        })
    }

    /// What the history has of its adoption.
    pub(super) fn change(&self, cluster: &ClusterArn) -> Value {
        let association = self.association.as_ref();
        let changes = match &self.decision {
            AdoptDecision::Permit(changes) => changes.as_deref(),
            AdoptDecision::Bind(_) | AdoptDecision::Refused(_) => None,
        };
        json!({
            "adopts": association.map(|one| &one.id),
            "of": self.place,
            "clusterArn": cluster,
            "hadRole": association.map(|one| &one.role_arn),
            "changes": changes,
        })
    }

    /// The words, with what else looks after the association.
    pub(super) fn words(&self, would: &str) -> String {
        let manager = self.association.as_ref().filter(|_| self.is_meant()).and_then(manager);
        let manager = manager.map(|manager| {
            format!("; {manager} looks after it by its tags, and may change it back or delete it: take it out there first")
        });
        format!("{}{}", self.verdict(would), manager.unwrap_or_default())
    }

    fn verdict(&self, would: &str) -> String {
        let role = self.association.as_ref().map(|one| one.role_arn.as_str()).unwrap_or_default();
        let shown = role.parse::<RoleArn>().map_or(role.to_owned(), |role| role.name().to_owned());
        match &self.decision {
            AdoptDecision::Bind(_) => format!("{would} bound as {} with role {shown}", self.name),
            AdoptDecision::Permit(None) => {
                format!("{} is bound to it; {would} taken over", self.name)
            }
            AdoptDecision::Permit(Some(changes)) => {
                format!("{} is bound to it; {would} taken over, {changes}", self.name)
            }
            AdoptDecision::Refused(why) => format!("refused: {why}"),
        }
    }
}

/// What else manages an association, as far as its tags say.
fn manager(association: &Association) -> Option<String> {
    let tag = |key: &str| association.tags.get(key);
    if let Some(stack) = tag("aws:cloudformation:stack-name") {
        return Some(format!("CloudFormation stack {stack}"));
    }
    if tag("services.k8s.aws/controller-version").is_some() {
        return Some("an AWS controller for Kubernetes (ACK)".to_owned());
    }
    if association.tags.keys().any(|key| key.starts_with("crossplane-")) {
        return Some("Crossplane".to_owned());
    }
    let managed = ["managed-by", "managedby", "managed_by"];
    let by =
        association.tags.iter().find(|(key, _)| managed.contains(&key.to_lowercase().as_str()));
    by.map(|(_, manager)| manager.clone())
}
