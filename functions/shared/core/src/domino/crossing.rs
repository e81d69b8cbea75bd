//! Accounts of one name in several namespaces, which a mapping cannot tell apart.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_events::Problem;

use super::input::Claim;
use crate::{DominoName, ServiceAccountRef};

/// The Kubernetes service accounts that bindings use, by their name without the namespace.
pub(super) struct Usage<'a>(BTreeMap<&'a str, BTreeSet<(&'a ServiceAccountRef, &'a DominoName)>>);

impl<'a> Usage<'a> {
    pub(super) fn of(claims: &'a BTreeMap<DominoName, Claim>) -> Self {
        let mut usage: BTreeMap<&str, BTreeSet<_>> = BTreeMap::new();
        for (name, claim) in claims {
            for account in &claim.uses {
                usage.entry(account.service_account()).or_default().insert((account, name));
            }
        }
        Self(usage)
    }

    /// Why a Domino name cannot be mapped to its account: another Domino name uses an account of
    /// the same name in another namespace. A mapping names no namespace, so a pod of the one that
    /// runs in the namespace of the other would get the role of the other.
    pub(super) fn crossing(
        &self,
        name: &DominoName,
        account: &ServiceAccountRef,
    ) -> Option<Problem> {
        let all = self.0.get(account.service_account())?;
        let mut others = all
            .iter()
            .filter(|(other, user)| *user != name && other.namespace() != account.namespace());
        let (other, user) = others.next()?;
        Some(Problem::AmbiguousMapping {
            service_account: name.to_string(),
            namespace: account.namespace().to_owned(),
            kubernetes_service_account: account.service_account().to_owned(),
            other_service_account: user.to_string(),
            other_namespace: other.namespace().to_owned(),
            more: others.count(),
        })
    }
}
