//! The state machine: what is possible in a state, and what it leads to.

use stateright::{Model, Property};

use crate::action::{Action, Error, Name};
use crate::promise::{Promise, Reached};
use crate::setup::{Margin, Omission, Setup};
use crate::state::{
    Association, Delivery, Holder, Job, Lease, Ledger, Memory, NONE, Open, Origin, Policy, Rest,
    Runner, State, Step, Verdict,
};

/// The protocol in one setup.
#[derive(Debug, Clone)]
pub struct Protocol {
    pub(crate) setup: Setup,
}

impl Protocol {
    /// The protocol in a setup.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self { setup }
    }

    pub(crate) fn omits(&self, step: Omission) -> bool {
        self.setup.omits(step)
    }

    fn beginning(&self) -> State {
        let setup = &self.setup;
        let association = |place: usize| {
            let (foreign, orphan) = (setup.foreign[place], setup.orphans[place]);
            let id = u8::try_from(place).unwrap_or_default() + 1;
            let origin = Origin::Foreign;
            let standing = |role, tagged| Association { id, role, tagged, origin, version: 0 };
            match (foreign, orphan) {
                (NONE, NONE) => None,
                (NONE, role) => Some(standing(role, true)),
                (role, _) => Some(standing(role, false)),
            }
        };
        State {
            runners: [Runner::default(), Runner::default()],
            ledger: Ledger {
                bindings: Default::default(),
                conditions: Default::default(),
                held: Default::default(),
                memory: self.memory(),
                lease: Lease::FREE,
            },
            associations: [association(0), association(1)],
            next_id: 3,
            policy: Policy { versions: vec![setup.listed], shown_from: 1 },
            adrift: Vec::new(),
            deliveries: vec![Delivery::Waiting; setup.events.len()],
            mishaps_left: setup.mishaps,
            reconciles_left: setup.reconciles,
            repairs_left: setup.repairs,
            hands_left: setup.hands,
            deeds_done: 0,
            deed_read: NONE,
            history: crate::state::History { owed: setup.listed, ..Default::default() },
        }
    }

    /// What the ledger says of the policy in the beginning.
    pub(crate) fn memory(&self) -> Memory {
        Memory { assigned: self.setup.listed, version: 1, ..Memory::default() }
    }

    /// Whether a call may start: `Lease::covers`.
    pub(crate) fn covers(&self, state: &State, run: Name) -> bool {
        self.omits(Omission::Lease)
            || self.omits(Omission::LeaseCheck)
            || (state.ledger.lease.is_of(run) && state.ledger.lease.rest == Rest::Enough)
    }

    fn run_actions(&self, state: &State, run: Name, actions: &mut Vec<Action>) {
        let runner = &state.runners[run];
        if runner.call.is_some() {
            actions.push(Action::Land(run));
            actions
                .extend([Error::Refused, Error::AnswerLost].map(|error| Action::Fail(run, error)));
            if self.setup.margin == Margin::Broken {
                actions.push(Action::Fail(run, Error::Exemptions));
            }
        } else {
            match runner.step {
                Step::Idle => {
                    // Runs that have not begun are alike.
                    if run == 0 || state.runners[0].step != Step::Idle {
                        self.begin_actions(state, run, actions);
                    }
                    return;
                }
                Step::Take => actions.push(match state.ledger.lease.rest {
                    Rest::Over => Action::Take(run),
                    Rest::Enough | Rest::Little => Action::DeletePolicy(run),
                }),
                Step::Load if runner.job == Some(Job::Reconcile) => {
                    actions.push(Action::LoadAll(run));
                }
                Step::Load => {
                    if runner.binding.is_none() {
                        actions.push(Action::LoadBinding(run));
                    }
                    if !runner.has_condition {
                        actions.push(Action::LoadCondition(run));
                    }
                }
                Step::Look => actions.push(Action::Look(run)),
                Step::ReadPolicy => {
                    let shown = state.policy.shown_from..=state.policy.newest();
                    actions.extend(shown.map(|version| Action::ReadPolicy { run, version }));
                }
                Step::Intend => actions.push(Action::Intend(run)),
                Step::Renew => actions.push(Action::Renew(run)),
                Step::Assign => actions.push(Action::Assign(run)),
                Step::Write | Step::Place if self.covers(state, run) => {
                    actions.push(Action::Begin(run));
                }
                Step::ReadSkipped if self.covers(state, run) => {
                    let read = |shown| Action::ReadSkipped { run, shown };
                    actions.extend([true, false].map(read));
                }
                Step::Write | Step::Place | Step::ReadSkipped => actions.push(Action::Stop(run)),
                Step::LookAgain => actions.push(Action::LookAgain(run)),
                Step::Record => actions.push(Action::Record(run)),
            }
        }
        actions.push(Action::Crash(run));
    }

    fn begin_actions(&self, state: &State, run: Name, actions: &mut Vec<Action>) {
        let waiting = state.deliveries.iter().enumerate();
        let waiting = waiting.filter(|(_, delivery)| **delivery == Delivery::Waiting);
        actions.extend(waiting.map(|(event, _)| Action::Deliver { run, event }));
        if state.reconciles_left > 0 {
            actions.push(Action::Reconcile { run });
        }
        if state.repairs_left > 0 {
            let needed = (0..2).filter(|account| self.needs_repair(state, *account));
            actions.extend(needed.map(|account| Action::Repair { run, account }));
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.beginning()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for run in 0..state.runners.len() {
            self.run_actions(state, run, actions);
        }
        for (event, delivery) in state.deliveries.iter().enumerate() {
            if *delivery == Delivery::Done {
                actions.push(Action::Redeliver { event });
            }
        }
        for call in 0..state.adrift.len() {
            actions.extend([Action::LandAdrift(call), Action::LoseAdrift(call)]);
        }
        self.time(state, actions);
        if self.deed_is_possible(state) {
            actions.push(Action::Deed);
        }
        self.hands(state, actions);
        if state.mishaps_left == 0 {
            let newest = state.policy.newest();
            actions.retain(|action| !action.is_mishap(newest));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        if action.is_mishap(state.policy.newest()) {
            state.mishaps_left = state.mishaps_left.checked_sub(1)?;
        }
        match action {
            Action::Deliver { run, event } => self.deliver(&mut state, run, event),
            Action::Redeliver { event } => state.deliveries[event] = Delivery::Waiting,
            Action::Reconcile { run } => self.reconcile(&mut state, run),
            Action::Repair { run, account } => {
                state.repairs_left = state.repairs_left.saturating_sub(1);
                self.work(&mut state, run, Job::Repair, account);
            }
            Action::Take(run) => self.take(&mut state, run),
            Action::DeletePolicy(run) => state.end(run, Delivery::Waiting),
            Action::LoadBinding(run) => self.load_binding(&mut state, run),
            Action::LoadCondition(run) => self.load_condition(&mut state, run),
            Action::LoadAll(run) => self.load_all(&mut state, run),
            Action::Look(run) => self.look(&mut state, run),
            Action::ReadPolicy { run, version } => self.read_policy(&mut state, run, version),
            Action::Intend(run) => self.intend(&mut state, run),
            Action::Renew(run) => self.renew(&mut state, run),
            Action::Assign(run) => self.assign(&mut state, run),
            Action::Begin(run) => self.begin(&mut state, run),
            Action::Stop(run) => state.runners[run].fail(),
            Action::Land(run) => {
                let call = state.runners[run].call.take()?;
                let answer = self.land(&mut state, call);
                self.answered(&mut state, run, answer);
            }
            Action::Fail(run, error) => {
                let call = state.runners[run].call.take()?;
                match error {
                    Error::Refused => {}
                    Error::AnswerLost => drop(self.land(&mut state, call)),
                    Error::Exemptions => state.adrift.push(call),
                }
                state.runners[run].fail();
            }
            Action::ReadSkipped { run, shown } => self.read_skipped(&mut state, run, shown),
            Action::LookAgain(run) => self.look_again(&mut state, run),
            Action::Record(run) => self.record(&mut state, run),
            Action::Crash(run) => {
                let call = state.runners[run].call.take();
                state.adrift.extend(call);
                if state.ledger.lease.is_of(run) {
                    state.ledger.lease.holder = Holder::Dead;
                }
                state.end(run, Delivery::Waiting);
            }
            Action::LandAdrift(call) => {
                let call = state.adrift.remove(call);
                self.land(&mut state, call);
            }
            Action::LoseAdrift(call) => drop(state.adrift.remove(call)),
            Action::LeaseRunsOut => state.ledger.lease.rest = Rest::Little,
            Action::LeaseExpired => state.ledger.lease.rest = Rest::Over,
            Action::IamSettles => state.policy.shown_from = state.policy.newest(),
            Action::GracePasses => {
                let memory = &mut state.ledger.memory;
                memory.unused_long |= std::mem::take(&mut memory.unused);
            }
            Action::IntentsAge => {
                state.ledger.conditions.iter_mut().for_each(|one| one.intents.age(Open::Long));
            }
            Action::IntentsAreOver => {
                state.ledger.conditions.iter_mut().for_each(|one| one.intents.age(Open::Little));
            }
            Action::AbandonmentExpired => state.ledger.lease.abandoned = false,
            Action::Deed => self.deed(&mut state),
            Action::Hand(hand) => self.hand(&mut state, hand),
        }
        state.drop_expired();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let promises = self.setup.promises.iter().copied().map(Promise::property);
        promises.chain(Reached::ALL.into_iter().map(Reached::property)).collect()
    }
}

impl State {
    /// A run is over; its record is where it says.
    pub(crate) fn end(&mut self, run: Name, delivery: Delivery) {
        let runner = std::mem::take(&mut self.runners[run]);
        if let Some(Job::Event(event)) = runner.job {
            self.deliveries[event] = delivery;
        }
    }

    /// Makes states alike that only differ in what nobody will look at again.
    fn drop_expired(&mut self) {
        if self.mishaps_left == 0 {
            // Nothing old is shown any more.
            self.policy.shown_from = self.policy.newest();
        }
        for runner in &mut self.runners {
            if runner.step == Step::Record {
                runner.seen = None;
                if runner.verdict != Verdict::Orphan {
                    runner.verdict = Default::default();
                }
                runner.known.intents = Default::default();
                runner.known.adopts = 0;
                runner.deletes = 0;
                if runner.written == 0 {
                    runner.listed = NONE;
                }
                runner.skipping = 0;
                runner.merges = 0;
                runner.places = false;
                runner.named = NONE;
                runner.used = NONE;
            }
        }
        self.adrift.sort_unstable();
        let accounts = self.ledger.conditions.iter_mut().zip(&self.associations);
        accounts.for_each(|(condition, stands)| condition.intents.normalize(*stands));
        for runner in &mut self.runners {
            // `look` was the last to compare with what stands there.
            let stands = self.associations[runner.account].filter(|_| runner.step <= Step::Look);
            runner.known.intents.normalize(stands);
        }
    }

    /// Whether no run is under way and no call either.
    pub(crate) fn is_quiet(&self) -> bool {
        self.runners.iter().all(|runner| runner.step == Step::Idle) && self.adrift.is_empty()
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_quiet() && self.deliveries.iter().all(|delivery| *delivery == Delivery::Done)
    }
}
