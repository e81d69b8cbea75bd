//! AWS, time and other people.

use crate::action::Action;
use crate::promise::Promise;
use crate::protocol::Protocol;
use crate::setup::{Deed, Margin};
use crate::state::{Association, Call, Holder, NONE, Rest, State};

/// What AWS answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// The number of the version that was written.
    Version(u8),
    InUse,
    NotFound,
}

impl Protocol {
    /// A call has its effect.
    pub(crate) fn land(&self, state: &mut State, call: Call) -> Answer {
        match call {
            Call::WriteVersion { roles, trims, looked_at } => {
                state.history.owed = (state.history.owed | roles) & !trims;
                state.history.trimmed |= trims != NONE;
                for association in state.associations.into_iter().flatten() {
                    if association.role & trims == NONE {
                        continue;
                    }
                    if association.ours && association.version > 0 {
                        state.break_promise(Promise::UnbindBeforeTrim);
                    } else {
                        state.break_promise(Promise::NobodyBindsBeforeTheTrim);
                    }
                    if association.id < looked_at {
                        state.break_promise(Promise::SeenBeforeTrim);
                    }
                }
                Answer::Version(state.policy.write(roles))
            }
            Call::Create { place, role, version } => {
                if state.associations[place].is_some() {
                    return Answer::InUse;
                }
                state.bind(place, role, version);
                Answer::Done
            }
            Call::Update { place, id, role, version } => {
                let Some(found) = state.associations[place].filter(|found| found.id == id) else {
                    return Answer::NotFound;
                };
                if !found.ours {
                    state.break_promise(Promise::ForeignUntouched);
                }
                state.check_grant(role);
                state.associations[place] = Some(Association { role, version, ..found });
                Answer::Done
            }
            Call::Delete { place, id } => {
                // One that is gone already is no error.
                if let Some(found) = state.associations[place].filter(|found| found.id == id) {
                    if !found.ours {
                        state.break_promise(Promise::ForeignUntouched);
                    }
                    if state.history.removed[place] <= found.version {
                        state.break_promise(Promise::DeleteWhatWasRemoved);
                    }
                    if state.ledger.bindings[place].role.is_some() {
                        state.break_promise(Promise::DeleteWhileRemoved);
                    }
                    state.associations[place] = None;
                }
                Answer::Done
            }
        }
    }

    /// What time alone can do.
    pub(crate) fn time(&self, state: &State, actions: &mut Vec<Action>) {
        let calls = state.runners.iter().filter_map(|runner| runner.call);
        let under_way: Vec<Call> = calls.chain(state.adrift.iter().copied()).collect();
        let lease = state.ledger.lease;
        match (lease.holder, lease.rest) {
            (Holder::Nobody, _) | (_, Rest::Over) => {}
            // A run that is dead starts nothing anyhow.
            (Holder::Dead, Rest::Enough) => actions.push(Action::LeaseIsOver),
            (_, Rest::Enough) => actions.push(Action::LeaseRunsOut),
            (_, Rest::Little) => actions.push(Action::LeaseIsOver),
        }
        if self.setup.margin == Margin::Kept && !under_way.is_empty() {
            actions.retain(|action| *action != Action::LeaseIsOver);
        }
        let settled = state.policy.shown_from == state.policy.newest();
        if !settled {
            actions.push(Action::IamSettles);
        }
        let memory = state.ledger.memory;
        let writes = under_way.iter().any(|call| matches!(call, Call::WriteVersion { .. }));
        // What a trim notes outlives the lease under which it was noted.
        let trims = state.runners.iter().any(|runner| runner.trims != NONE);
        let has_settled = (settled && !writes && !trims) || !self.setup.iam_settles;
        if (memory.written != 0 || memory.trimming != NONE) && has_settled {
            actions.push(Action::MemoryAges);
        }
        let replacing = matches!(self.next_deed(state), Some(Deed::Recreates { .. }));
        if memory.unused != NONE && !replacing {
            actions.push(Action::GracePasses);
        }
    }

    fn next_deed(&self, state: &State) -> Option<Deed> {
        self.setup.deeds.get(usize::from(state.deeds_done)).copied()
    }

    pub(crate) fn deed_is_possible(&self, state: &State) -> bool {
        self.next_deed(state).is_some_and(|deed| match deed {
            Deed::Creates { place, .. } | Deed::Recreates { place, .. } => {
                state.associations[place].is_none()
            }
            Deed::Removes { place } => state.associations[place].is_some_and(|one| !one.ours),
            Deed::Lists { .. } | Deed::Reads | Deed::Writes { .. } => true,
        })
    }

    /// Others keep to no lease.
    pub(crate) fn deed(&self, state: &mut State) {
        let Some(deed) = self.next_deed(state) else { return };
        state.deeds_done += 1;
        match deed {
            Deed::Creates { place, role } => state.appear(place, role),
            Deed::Recreates { place, role } => {
                if state.policy.granted() & role == NONE {
                    state.break_promise(Promise::ReplacementKeepsItsGrant);
                }
                state.appear(place, role);
            }
            Deed::Removes { place } => state.associations[place] = None,
            Deed::Lists { role } => {
                state.history.owed |= role;
                state.policy.write(state.policy.granted() | role);
            }
            Deed::Reads => state.deed_read = state.policy.granted(),
            Deed::Writes { role } => {
                state.history.owed |= role;
                state.policy.write(state.deed_read | role);
            }
        }
    }
}

impl State {
    fn bind(&mut self, place: usize, role: u8, version: u8) {
        self.check_grant(role);
        self.associations[place] =
            Some(Association { id: self.next_id, role, ours: true, version });
        self.next_id += 1;
    }

    /// A foreign association appears.
    fn appear(&mut self, place: usize, role: u8) {
        let one = Association { id: self.next_id, role, ours: false, version: 0 };
        self.associations[place] = Some(one);
        self.next_id += 1;
    }

    fn check_grant(&mut self, role: u8) {
        if self.policy.granted() & role == NONE {
            self.break_promise(Promise::GrantBeforeBind);
        }
    }

    pub(crate) fn break_promise(&mut self, promise: Promise) {
        self.history.breaches |= promise.bit();
    }
}
