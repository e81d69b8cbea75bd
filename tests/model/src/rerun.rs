//! All that is left, and the ledger's word once more, without a fault.

use stateright::Model;

use crate::action::Action;
use crate::promise::After;
use crate::protocol::Protocol;
use crate::state::{Delivery, Lease, State};

/// More steps than any number of runs takes here.
const STEPS: usize = 500;

impl Protocol {
    /// Whether everything that waits, and then a newer event with the same word for each
    /// service account, makes everything right.
    pub(crate) fn converges(&self, state: &State, after: After) -> bool {
        let mut state = state.clone();
        state.mishaps_left = 0;
        state.reconciles_left = 0;
        state.ledger.lease = Lease::FREE;
        let Some(mut state) = self.drive(state) else { return false };
        for binding in state.ledger.bindings {
            let is_known = binding.version > 0;
            state.deliveries.push(if is_known { Delivery::Waiting } else { Delivery::Done });
        }
        self.drive(state).is_some_and(|state| self.is_right(&state, after))
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
            | Action::GiveUp(_)
            | Action::MemoryAges
            | Action::GracePasses
            | Action::LeaseIsOver
            | Action::Reconcile { .. }
    )
}
