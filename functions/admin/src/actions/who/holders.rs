//! Bindings and associations with one role, side by side.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::{
    Association, Binding, ClusterArn, Desired, DominoName, Pod, RoleArn, ServiceAccount,
    ServiceAccountRef, sweep,
};
use pod_identity_engine::ledger::{Condition, WorkedRecord};
use serde::Serialize;

use super::{Whose, whose};
use crate::lists::place;

/// One Kubernetes service account that can act as the role.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Holder {
    pub(super) cluster: ClusterArn,
    pub(super) namespace: String,
    pub(super) kubernetes_service_account: String,
    /// The Domino service account.
    pub(super) service_account: Option<DominoName>,
    /// `role`, `target role`, [`BEFORE`] or [`IRSA`].
    pub(super) through: &'static str,
    /// Until when what was given before it was revoked may be valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<Timestamp>,
    /// Only pods that were admitted before this hold it.
    #[serde(skip)]
    pub(super) admitted_before: Option<Timestamp>,
    /// Whose the association on EKS is; none when there is none with the role.
    pub(super) owner: Option<Whose>,
    pub(super) association: Option<String>,
    /// Where ledger and EKS differ.
    pub(super) differs: Option<String>,
    /// Pods that have credentials, by name; none when that is not known.
    pub(super) pods: Option<Vec<String>>,
    /// Why that is not known.
    pub(super) pods_unknown: Option<String>,
}

/// Not any more, but credentials that were handed out are valid for a while.
pub(super) const BEFORE: &str = "role, before";

/// By an annotation of the Kubernetes service account, not by an association.
pub(super) const IRSA: &str = "role by IRSA";

impl Holder {
    /// A Kubernetes service account, of which nothing else is known.
    fn at(
        cluster: &ClusterArn,
        namespace: &str,
        service_account: &str,
        through: &'static str,
    ) -> Self {
        Self {
            cluster: cluster.clone(),
            namespace: namespace.to_owned(),
            kubernetes_service_account: service_account.to_owned(),
            service_account: None,
            through,
            until: None,
            admitted_before: None,
            owner: None,
            association: None,
            differs: None,
            pods: None,
            pods_unknown: None,
        }
    }

    /// Whether a pod of its service account has what it gives.
    pub(super) fn gives(&self, pod: &Pod) -> bool {
        let is_of = pod.namespace == self.namespace
            && pod.service_account == self.kubernetes_service_account;
        let early = self.admitted_before.is_none_or(|at| pod.created_at < at);
        let has = match self.through {
            IRSA => pod.credentials.web_identity,
            _ => pod.credentials.can_get,
        };
        is_of && early && has
    }

    pub(super) fn by_irsa(cluster: &ClusterArn, account: &ServiceAccount) -> Self {
        Self {
            differs: Some("annotated for IRSA, outside of EKS Pod Identity".to_owned()),
            ..Self::at(cluster, &account.namespace, &account.name, IRSA)
        }
    }
}

pub(super) fn as_what(binding: &Binding, role: &RoleArn) -> Option<&'static str> {
    let desired = &binding.desired;
    match () {
        () if desired.role == *role => Some("role"),
        () if desired.target_role.as_ref() == Some(role) => Some("target role"),
        () => None,
    }
}

fn gives_what(association: &Association, role: &RoleArn) -> Option<&'static str> {
    match () {
        () if association.role_arn == role.as_str() => Some("role"),
        () if association.target_role_arn.as_deref() == Some(role.as_str()) => Some("target role"),
        () => None,
    }
}

/// What the ledger knows of a cluster.
pub(super) struct KnownHolders<'a> {
    pub(super) cluster: &'a ClusterArn,
    pub(super) deployment: &'a str,
    pub(super) conditions: BTreeMap<(DominoName, ClusterArn), Condition>,
}

impl KnownHolders<'_> {
    fn holder(&self, binding: &Binding, through: &'static str) -> Holder {
        let place = &binding.kubernetes;
        let (namespace, name) = (place.namespace(), place.service_account());
        Holder {
            service_account: Some(binding.service_account.clone()),
            ..Holder::at(self.cluster, namespace, name, through)
        }
    }

    /// Bindings alone, where EKS does not answer.
    pub(super) fn by_ledger(&self, wanted: &[&Binding], role: &RoleArn, why: &str) -> Vec<Holder> {
        let holder = |binding: &&Binding| {
            let holder = self.holder(binding, as_what(binding, role)?);
            Some(Holder { differs: Some(why.to_owned()), ..holder })
        };
        wanted.iter().filter_map(holder).collect()
    }

    /// Bindings and associations, and where they differ.
    pub(super) fn join(
        &self,
        wanted: &[&Binding],
        seen: &[Association],
        role: &RoleArn,
    ) -> Vec<Holder> {
        let mut holders = Vec::new();
        let mut explained: BTreeSet<&str> = BTreeSet::new();
        for binding in wanted {
            let Some(through) = as_what(binding, role) else { continue };
            let mut holder = self.holder(binding, through);
            let there = seen.iter().find(|one| at(one).as_ref() == Some(&binding.kubernetes));
            holder.differs = match there {
                None => Some("the ledger has it bound, EKS has no association".to_owned()),
                Some(one) if gives_what(one, role).is_none() => {
                    let (owner, _) = self.whose(one);
                    let word = owner.word();
                    let (id, gives) = (&one.id, &one.role_arn);
                    Some(format!("EKS has association {id} ({word}) with {gives}"))
                }
                Some(one) => {
                    explained.insert(&one.id);
                    let (owner, name) = self.whose(one);
                    holder.owner = Some(owner);
                    holder.association = Some(one.id.clone());
                    self.differs(binding, one, owner, name.as_ref())
                }
            };
            holders.push(holder);
        }
        for one in seen.iter().filter(|one| !explained.contains(one.id.as_str())) {
            let Some(through) = gives_what(one, role) else { continue };
            let (owner, name) = self.whose(one);
            let differs = match owner {
                Whose::Managed => "EKS has it, the ledger means another role or none",
                Whose::Orphan => "EKS has it with our tag, the ledger does not know it",
                Whose::Foreign | Whose::AddOn => "EKS has it, it is not the ledger's",
            };
            holders.push(Holder {
                service_account: name,
                owner: Some(owner),
                association: Some(one.id.clone()),
                differs: Some(differs.to_owned()),
                ..Holder::at(self.cluster, &one.namespace, &one.service_account, through)
            });
        }
        holders
    }

    /// Who had the role and lost it, where credentials of it may be valid still.
    pub(super) fn had(
        &self,
        role: &RoleArn,
        now: Timestamp,
        rules: &sweep::Settings,
    ) -> Vec<Holder> {
        let is_it =
            |desired: &Desired| desired.role == *role || desired.target_role.as_ref() == Some(role);
        let gave = |worked: Option<&WorkedRecord>| worked.is_some_and(|it| is_it(&it.desired));
        let holder = |condition: &Condition, place: &ServiceAccountRef, at: Timestamp| {
            let until = rules.forgotten_at(at);
            let (namespace, name) = (place.namespace(), place.service_account());
            (now < until).then(|| Holder {
                service_account: Some(condition.service_account.clone()),
                until: Some(until),
                admitted_before: Some(rules.settled_at(at)),
                differs: Some(format!("taken away at {at}, valid until {until} at the latest")),
                ..Holder::at(self.cluster, namespace, name, BEFORE)
            })
        };
        let mut had = Vec::new();
        for condition in self.conditions.values() {
            for (place, removal) in &condition.removals {
                if gave(removal.before.as_ref()) {
                    had.extend(holder(condition, place, removal.at));
                }
            }
            let changed = condition.association.as_ref().zip(condition.credentials_changed_at);
            if let Some((one, at)) = changed
                && gave(condition.before.as_ref())
                && !is_it(&one.desired)
            {
                had.extend(holder(condition, &one.kubernetes, at));
            }
        }
        had
    }

    fn differs(
        &self,
        binding: &Binding,
        one: &Association,
        owner: Whose,
        name: Option<&DominoName>,
    ) -> Option<String> {
        if owner != Whose::Managed {
            return Some(format!("the association is {}, not the binding's", owner.word()));
        }
        if let Some(name) = name.filter(|name| **name != binding.service_account) {
            return Some(format!("the association was made for {name}"));
        }
        let differences = one.differences(&binding.desired);
        (!differences.is_empty()).then(|| format!("other {}", differences.join(", ")))
    }

    fn whose(&self, one: &Association) -> (Whose, Option<DominoName>) {
        let Self { cluster, deployment, conditions, .. } = self;
        whose(one, cluster, deployment, conditions)
    }
}

fn at(one: &Association) -> Option<ServiceAccountRef> {
    place(&one.namespace, &one.service_account)
}
