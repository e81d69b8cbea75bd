//! The plan: what has to be done on one cluster so that it is as the ledger
//! says, decided once and carried out elsewhere.

mod display;
mod existing;
mod input;
mod place;
mod policy;
mod step;
#[cfg(test)]
mod tests;
mod trim;

pub use input::{
    Claim, NodePolicies, Observation, Options, Place, RestoreGuard, RoleState, TrustMode,
};
pub use step::{
    AssociationStep, Blocked, Bound, PlacePlan, Plan, PolicyStep, Removed, UnchangedAssociation,
};
pub use trim::{capacity, empty, trim};

use place::{PlaceDecision, RemainingCeilings};

/// Plans one cluster. The same input gives the same plan, and a plan made
/// after this one was applied is empty.
#[must_use]
pub fn plan(observation: &Observation, options: &Options) -> Plan {
    let decisions: Vec<PlaceDecision> =
        observation.places.iter().map(|place| place::decide(place, observation, options)).collect();
    // Many places want one role: none is copied twice.
    let wanted = decisions.iter().filter_map(PlaceDecision::role).collect();
    let policies = policy::extend(&wanted, observation, options);
    let mut left = RemainingCeilings {
        deletions: options.max_deletions,
        recreations: options.max_recreations,
    };
    let places = decisions
        .into_iter()
        .map(|decision| decision.finish(&policies, &mut left, options))
        .collect();
    Plan {
        cluster: observation.cluster.clone(),
        policy_steps: policies.steps,
        places,
        capacity: policies.capacity,
        warnings: policies.warnings,
    }
}
