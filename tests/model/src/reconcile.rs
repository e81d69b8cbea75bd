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

    /// `observe::node_policies`, for both kinds of runs.
    pub(crate) fn read_policy(&self, state: &mut State, run: Name, version: u8) {
        let State { runners, policy, .. } = state;
        let runner = &mut runners[run];
        let memory = runner.memory;
        if memory.written > version {
            // IAM still shows an older one. An error before the plan: nothing is remembered.
            return runner.fail();
        }
        runner.shown = version;
        runner.base = version;
        runner.listed = policy.roles(version);
        // Versions that a writer who died put his own over.
        let skipped = memory.announced.saturating_add(1)..version;
        let unannounced = skipped.fold(NONE, |roles, skipped| roles | policy.roles(skipped));
        let unannounced =
            if self.omits(Omission::UnannouncedVersions) { NONE } else { unannounced };
        runner.overwritten = unannounced & !runner.listed;
        if runner.job == Some(Job::Reconcile) {
            self.plan_trim(state, run, unannounced);
        } else {
            self.plan_binding(state, run, unannounced);
        }
    }

    /// Repairs come first; a run that adds does not trim.
    fn plan_trim(&self, state: &mut State, run: Name, unannounced: u8) {
        let runner = &mut state.runners[run];
        let memory = runner.memory;
        let needed = runner.named | runner.used;
        runner.adds = (needed | unannounced) & !(runner.listed & !memory.trimming);
        runner.unused = runner.listed & !needed;
        let long = if self.omits(Omission::SecondObservation) { !NONE } else { memory.unused_long };
        if runner.adds == NONE {
            runner.trims = runner.unused & long;
        }
        runner.listed = (runner.listed | runner.adds) & !runner.trims;
        self.plan_is_made(state, run);
    }

    /// The ledger has to know of a trim before it is done: a run that is shown the version
    /// before it would take the role for granted.
    pub(crate) fn note(&self, state: &mut State, run: Name) {
        let held = state.ledger.lease.is_of(run) || self.omits(Omission::Lease);
        let runner = &mut state.runners[run];
        if held {
            runner.memory.trimming |= runner.trims;
            state.ledger.memory.trimming = runner.memory.trimming;
            runner.step = Step::Write;
        } else {
            runner.base = 0;
            runner.fail();
        }
    }
}
