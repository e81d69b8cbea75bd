//! A run that repairs and trims the policy. The engine repairs by a run of its own, which comes
//! first, and marks what is unused without the lease, by the revision of what it read.

use crate::action::Name;
use crate::protocol::Protocol;
use crate::setup::Omission;
use crate::state::{Job, NONE, Runner, State, Step};

impl Protocol {
    /// A trimming run begins.
    pub(crate) fn reconcile(&self, state: &mut State, run: Name) {
        state.reconciles_left = state.reconciles_left.saturating_sub(1);
        state.runners[run] = Runner {
            job: Some(Job::Reconcile),
            step: if self.omits(Omission::Lease) { Step::Load } else { Step::Take },
            ..Runner::default()
        };
    }

    /// Which roles bindings name, and what is remembered of the policy.
    pub(crate) fn load_all(&self, state: &mut State, run: Name) {
        let bindings = state.ledger.bindings;
        let runner = &mut state.runners[run];
        runner.memory = state.ledger.memory;
        runner.named = bindings.iter().filter_map(|binding| binding.role).fold(NONE, |a, b| a | b);
        runner.step = Step::Look;
    }

    /// A complete observation: the roles of all associations, whosever they are.
    pub(crate) fn look_at_all(&self, state: &mut State, run: Name) {
        let used = state.associations.iter().flatten().fold(NONE, |used, one| used | one.role);
        let orphan = |place: usize| {
            state.associations[place]
                .filter(|one| one.tagged && state.ledger.bindings[place].version == 0)
        };
        let orphan = (0..state.associations.len()).find(|place| orphan(*place).is_some());
        let deletes = self.omits(Omission::Memory);
        let next_id = state.next_id;
        let seen = orphan.and_then(|place| state.associations[place]);
        let runner = &mut state.runners[run];
        runner.used = if self.omits(Omission::Observation) { NONE } else { used };
        runner.looked_at = next_id;
        runner.step = Step::ReadPolicy;
        if let Some(place) = orphan.filter(|_| deletes) {
            runner.deletes = seen.map_or(0, |seen| seen.id);
            (runner.account, runner.places) = (place, true);
            runner.binding = Some(Default::default());
        }
    }

    /// `observe::node_policies`: what others listed in versions that the ledger does not know is taken in.
    pub(crate) fn read_policy(&self, state: &mut State, run: Name, version: u8) {
        let State { runners, policy, .. } = state;
        let runner = &mut runners[run];
        let memory = runner.memory;
        if memory.version > version {
            // IAM still shows an older one. An error before the plan: nothing is remembered.
            return runner.fail();
        }
        let taken_in = if self.omits(Omission::TakenIn) { version + 1 } else { memory.version + 1 };
        let theirs = (taken_in..=version).fold(NONE, |all, skipped| all | policy.roles(skipped));
        runner.base = version;
        let listed = memory.assigned | theirs;
        let needed = runner.named | runner.used;
        runner.adds = (needed | theirs) & !memory.assigned;
        runner.finishes = memory.pending || listed & !policy.roles(version) != NONE;
        runner.unused = listed & !needed;
        let long = if self.omits(Omission::SecondObservation) { !NONE } else { memory.unused_long };
        // Repairs come first; a run that adds does not trim.
        if runner.adds == NONE {
            runner.trims = runner.unused & long;
        }
        runner.listed = (listed | runner.adds) & !runner.trims;
        if !runner.writes() {
            // All of it is there already.
            runner.written = version;
        }
        self.plan_is_made(state, run);
    }
}
