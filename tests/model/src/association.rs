//! A run of the association function for one event.

use crate::action::Name;
use crate::protocol::Protocol;
use crate::setup::{Event, Omission};
use crate::state::{Binding, Call, Condition, Delivery, Is, Job, NONE, Runner, State, Step};

/// The version of the events that a repetition of all work adds.
pub(crate) const LAST: u8 = 100;

impl Protocol {
    /// An event by its number; beyond those of the setup, the ledger's word once more.
    pub(crate) fn event(&self, state: &State, number: usize) -> Event {
        let events = &self.setup.events;
        events.get(number).copied().unwrap_or_else(|| {
            let account = number - events.len();
            Event { account, version: LAST, role: state.ledger.bindings[account].role }
        })
    }

    /// `accept`: reads and writes are one transaction, so they are one step.
    pub(crate) fn deliver(&self, state: &mut State, run: Name, number: usize) {
        let event = self.event(state, number);
        let account = event.account;
        let current = state.ledger.bindings[account];
        let accepted = event.version > current.version
            || (self.omits(Omission::VersionOrder) && event.version != current.version);
        if accepted {
            let before = state.ledger.conditions[account];
            let removes = event.role.is_none();
            let leaving = removes && (current.role.is_some() || before.leaving);
            let is = if removes && !leaving { Is::Removed } else { Is::Pending };
            state.ledger.bindings[account] = Binding { version: event.version, role: event.role };
            if removes {
                state.history.removed[account] = event.version;
            }
            let condition = Condition { version: event.version, is, leaving };
            state.write_condition(account, condition, None);
        }
        // `unfinished`: a superseded event has no work, nor has one that is done.
        let condition = state.ledger.conditions[account];
        let current = state.ledger.bindings[account];
        if event.version != current.version || condition.is_finished(current.version) {
            state.deliveries[number] = Delivery::Done;
            return;
        }
        state.deliveries[number] = Delivery::Taken;
        let observes_first =
            self.omits(Omission::LeaseBeforeObservation) || self.omits(Omission::Lease);
        state.runners[run] = Runner {
            job: Some(Job::Event(number)),
            account,
            step: if observes_first { Step::Load } else { Step::Take },
            ..Runner::default()
        };
    }

    /// `Loaded::read`, the binding.
    pub(crate) fn load_binding(&self, state: &mut State, run: Name) {
        let account = state.runners[run].account;
        state.runners[run].binding = Some(state.ledger.bindings[account]);
        state.runners[run].is_loaded();
    }

    /// `Loaded::read`, the condition and the memory.
    pub(crate) fn load_condition(&self, state: &mut State, run: Name) {
        let memory = state.ledger.memory;
        let runner = &mut state.runners[run];
        runner.has_condition = true;
        runner.memory = memory;
        runner.is_loaded();
    }

    /// `observe::associations` for one place; a removal looks at no policy.
    pub(crate) fn look(&self, state: &mut State, run: Name) {
        if state.runners[run].job == Some(Job::Reconcile) {
            return self.look_at_all(state, run);
        }
        let runner = &mut state.runners[run];
        runner.seen = state.associations[runner.account];
        let role = runner.binding.and_then(|binding| binding.role);
        if role.is_some() {
            runner.step = Step::ReadPolicy;
        } else {
            runner.places = runner.seen.is_some_and(|seen| self.is_ours(seen.ours));
            self.is_planned(state, run);
        }
    }

    fn is_ours(&self, ours: bool) -> bool {
        ours || self.omits(Omission::Ownership)
    }

    /// `plan` for a bound place.
    pub(crate) fn plan_binding(&self, state: &mut State, run: Name, unannounced: u8) {
        let runner = &mut state.runners[run];
        let Some(role) = runner.binding.and_then(|binding| binding.role) else { return };
        runner.is_blocked = runner.seen.is_some_and(|seen| !self.is_ours(seen.ours));
        if !runner.is_blocked {
            runner.places = runner.seen.is_none_or(|seen| seen.role != role);
            runner.adds = (role | unannounced) & !(runner.listed & !runner.memory.trimming);
        }
        runner.listed |= runner.adds;
        self.is_planned(state, run);
    }

    fn is_planned(&self, state: &mut State, run: Name) {
        if self.omits(Omission::LeaseBeforeObservation) {
            state.runners[run].step = Step::Take;
        } else {
            self.plan_is_made(state, run);
        }
    }

    /// `apply_place`.
    pub(crate) fn placing_call(&self, runner: &Runner) -> Option<Call> {
        let (place, binding) = (runner.account, runner.binding?);
        let version = binding.version;
        Some(match (binding.role, runner.seen) {
            (Some(role), None) => Call::Create { place, role, version },
            (Some(role), Some(seen)) => Call::Update { place, id: seen.id, role, version },
            (None, seen) => Call::Delete { place, id: seen?.id },
        })
    }

    /// `create` in `apply`: only what is exactly as it was asked for counts as done.
    pub(crate) fn look_again(&self, state: &mut State, run: Name) {
        let State { runners, associations, .. } = state;
        let runner = &mut runners[run];
        let role = runner.binding.and_then(|binding| binding.role).unwrap_or(NONE);
        let found = associations[runner.account];
        if found.is_some_and(|found| found.ours && found.role == role) {
            runner.step = Step::Record;
        } else {
            runner.fail();
        }
    }
}

impl Runner {
    /// Whether a version is written.
    pub(crate) fn writes(&self) -> bool {
        self.adds != NONE || self.trims != NONE
    }

    fn is_loaded(&mut self) {
        if self.binding.is_some() && self.has_condition {
            self.step = Step::Look;
        }
    }
}
