//! The sweep: which pods hold an identity that they should not hold, or lack the one that they
//! should, and what is done about them. It looks at pods, at associations and at the ledger's
//! memory, and evicts nobody by itself.
//!
//! # Cases
//!
//! A pod is looked at while it is pending or running, not terminating, and in one of the
//! namespaces. *Injected* means that EKS's webhook gave it the credentials endpoint and the token.
//! Where several cases fit, the first of these counts:
//!
//! | case | what is seen | by default |
//! |---|---|---|
//! | revoked | injected, and its service account has no association | evict |
//! | changed | injected, and what the association gives changed after it was admitted | restart |
//! | recreated | as changed, and the association itself was made again since then | restart |
//! | shadowed | there is an association, and web identity or access keys in the pod | report |
//! | missing | there is an association, and the pod has no credentials at all | report |
//! | unmapped | a mapped Domino name started it, and it runs on a `run-` service account | report |
//!
//! What was taken away comes before what hides the identity, and that before what is lacking: a
//! pod that is evicted for the first comes back and is judged again.
//!
//! # Doubt
//!
//! A finding about a pod that may be right carries its [`Doubt`], and is never more than reported,
//! whatever the policy says. Times are compared with the pod's admission:
//!
//! - Kubernetes cuts admission to whole seconds, so a pod was admitted up to a second later than
//!   it says.
//! - A change takes effect some seconds after the call, and a pod asks for its first credentials
//!   some seconds after its admission. Within the grace period around a change, on either side,
//!   it can hold what was before or what came after.
//! - The ledger writes a change down after it was made, much later if the run died in between.
//!   The association's `modifiedAt` may tell better, but a tag moves it as well: the earlier of the
//!   two counts, and `modifiedAt` alone never makes a pod stale.
//! - Credentials last at most six hours. A pod that was admitted before a change longer ago has
//!   fetched new ones since then, of the new role: it is not stale any more.
//! - An association that was made again with what the pod had before is harmless. What it had
//!   before is what the ledger remembers of the time of its admission; of a pod that is older than
//!   that memory, and has not outlived its first credentials since, nobody can say.
//! - A start later than admission does not count: it does not tell when a container asked first.
//!
//! *Revoked* is sure when the ledger remembers a removal that came after the pod's admission (or
//! within the grace period before it, while nobody else is bound), and does not say in the same
//! breath that the same name is bound there, or that there is an association. It stays so after
//! six hours: whoever is bound to the service account next would hand his role to that pod.
//!
//! # Holding back
//!
//! An eviction waits where the pod that comes instead could be admitted too early as well, for an
//! observation that cannot be trusted, and beyond a ceiling.

mod case;
mod ceilings;
mod classify;
mod display;
mod finding;
mod input;
mod plan;
mod policy;
mod survey;
#[cfg(test)]
mod tests;
mod words;

pub use case::{Case, CaseError};
pub use ceilings::{Ceiling, CeilingHit, Ceilings};
pub use finding::{Doubt, Finding, PodName};
pub use input::{Places, Removal, Settings, SweepBound, SweepPlace, Worked};
pub use plan::{HeldBack, Omitted, Reported, Sweep, WhyHeldBack, WhyReported};
pub use policy::{Action, Policy, PolicyError};
pub use survey::Survey;
pub use words::Injected;
