//! All that is left, and the desired state once more, without a fault.

use stateright::Model;

use crate::action::Action;
use crate::promise::After;
use crate::protocol::Protocol;
use crate::state::{Delivery, Job, Lease, State};

/// More steps than any number of runs takes here.
const STEPS: usize = 500;

impl Protocol {
    /// Whether everything that waits, and then what `after` says, makes everything right: a newer
    /// event with the same word for each service account, or a complete reconciliation.
    pub(crate) fn converges(&self, state: &State, after: After) -> bool {
        let mut state = state.clone();
        state.mishaps_left = 0;
        state.reconciles_left = 0;
        state.repairs_left = 0;
        state.hands_left = 0;
        state.ledger.lease = Lease { abandoned: state.ledger.lease.abandoned, ..Lease::FREE };
        let Some(mut state) = self.drive(state) else { return false };
        if after == After::Reconciliation {
            return self.reconciled(state).is_some_and(|state| self.is_right(&state, after));
        }
        if after != After::Repetition {
            // What a late call took out of the policy is a reconciliation's to find.
            self.reconcile(&mut state, 0);
            let Some(reconciled) = self.drive(state) else { return false };
            state = reconciled;
        }
        for binding in state.ledger.bindings {
            let is_known = binding.version > 0;
            state.deliveries.push(if is_known { Delivery::Waiting } else { Delivery::Done });
        }
        self.drive(state).is_some_and(|state| self.is_right(&state, after))
    }

    /// Looks at the policy, and repairs each account that needs it.
    fn reconciled(&self, mut state: State) -> Option<State> {
        self.reconcile(&mut state, 0);
        state = self.drive(state)?;
        for account in 0..state.associations.len() {
            if self.needs_repair(&state, account) {
                self.work(&mut state, 0, Job::Repair, account);
                state = self.drive(state)?;
            }
        }
        Some(state)
    }

    /// One run after the other until nothing waits.
    fn drive(&self, mut state: State) -> Option<State> {
        let mut actions = Vec::new();
        for _ in 0..STEPS {
            if state.is_at_rest() {
                return Some(state);
            }
            actions.clear();
            self.actions(&state, &mut actions);
            let next = actions.iter().find(|action| is_progress(**action));
            state = self.next_state(&state, *next?)?;
        }
        None
    }
}

fn is_progress(action: Action) -> bool {
    !matches!(
        action,
        Action::Deed
            | Action::Hand(_)
            | Action::DeletePolicy(_)
            | Action::GracePasses
            | Action::LeaseExpired
            | Action::IntentsAge
            | Action::IntentsAreOver
            | Action::AbandonmentExpired
            | Action::Repair { .. }
            | Action::Reconcile { .. }
    )
}
