//! The Domino side of bindings on one cluster: the Kubernetes service accounts that they need, and
//! the one `Mutation` by which domsed sends the pods of a Domino name to them.
//!
//! A name is mapped while its association is at the place that its binding wants. Two Domino names
//! may want one Kubernetes service account; the association is one of them's alone, and mapping
//! the other would hand it that role. A mapping names no namespace: Domino names that use accounts of
//! one name in several namespaces are not mapped, since each could get the role of the other.

mod accounts;
mod crossing;
mod display;
mod input;
mod mapping;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use input::{Claim, MappingSettings, Mutations, Observation, Options};
pub use mapping::{MAX_MUTATION_BYTES, Mapping};
pub use step::{AccountDeletion, Plan};

use accounts::Accounts;

/// Label of everything that is managed by something, as Kubernetes recommends it.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Value of [`MANAGED_BY_LABEL`] on what we make.
pub const MANAGED_BY: &str = "domino-pod-identity";

/// Label that carries the id of the deployment that made an object. An id is
/// at most 32 lower case letters, digits and `-` with a letter or digit at both ends, which a
/// label takes.
pub const DEPLOYMENT_LABEL: &str = "domino-pod-identity/deployment";

/// The labels of what this deployment makes inside a cluster: Kubernetes service accounts and its Mutation.
#[must_use]
pub fn own_labels(deployment: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
        (DEPLOYMENT_LABEL.to_owned(), deployment.to_owned()),
    ])
}

/// Plans the Domino side of one cluster. The same input gives the same plan, and a plan made after
/// this one was applied is empty.
#[must_use]
pub fn plan(observation: &Observation, options: &Options) -> Plan {
    let mut plan = Plan::of(&observation.cluster);
    let accounts = Accounts::of(observation);
    let entries = accounts.serve(options, &mut plan);
    mapping::map(entries, observation, options, &mut plan);
    accounts.clear(options, &mut plan);
    plan
}
