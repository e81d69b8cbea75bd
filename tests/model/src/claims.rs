//! Two bindings that want one Kubernetes service account, on two clusters: which of them holds it.
//! A model of its own, with the lease taken as kept: within it a call has its effect, or never will.

use stateright::{Checker, Model, Property};

/// Which of the two bindings.
pub type Name = usize;
/// A set of the two clusters, a bit each.
pub type Clusters = u8;

/// A change of a binding, as it comes from the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub name: Name,
    /// Greater is later.
    pub version: u8,
    /// When it was made, by its own word.
    pub date: u8,
    /// The clusters on which it wants the account; none takes the binding away.
    pub covers: Clusters,
}

/// A protective step, left out to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omission {
    /// The earliest date in an event holds instead of the first record.
    Sequence,
    /// A newer event gets new numbers for what it covered before.
    KeptNumbers,
    /// A newer event that covers a cluster no longer keeps the number.
    Exemptions,
    /// A number is given by the run and not by the accepting transaction.
    NumberAtAcceptance,
    /// A run gives a number whatever was accepted since it read the binding.
    BindingCheck,
    /// A run goes on with claims and bindings that it did not read as of one moment.
    Snapshot,
}

/// What has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// On each cluster the account belongs to the claim that was recorded first and not given up
    /// since.
    FirstRecordedHolds,
    /// No association is made for a binding, as it is, while another one holds the account.
    HolderKeepsIt,
    /// At rest the association serves the holder, and every condition says so.
    RightEnd,
    /// At rest a reconciliation changes nothing of that.
    ReconcileConverges,
}

impl Promise {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::FirstRecordedHolds, Self::HolderKeepsIt, Self::RightEnd, Self::ReconcileConverges];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstRecordedHolds => "first recorded holds",
            Self::HolderKeepsIt => "holder keeps it",
            Self::RightEnd => "right end of claims",
            Self::ReconcileConverges => "reconcile of claims converges",
        }
    }
}

/// The protocol of claims with some events.
#[derive(Debug, Clone)]
pub struct Claims {
    /// What comes from the bus, each at least once, in any order.
    pub events: Vec<Claim>,
    /// How many runs may die, and how many events come once more.
    pub mishaps: u8,
    /// What is left out.
    pub without: Option<Omission>,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A run takes a record, `accept` decides, and the run turns to a cluster that is not finished.
    Deliver {
        /// Which run.
        run: usize,
        /// Which event.
        event: usize,
        /// Which cluster, if any is left.
        cluster: usize,
    },
    /// The queue delivers a record once more.
    Redeliver(usize),
    /// `Lease::take`.
    Take(usize),
    /// `Loaded::read`: the binding of the run's event, which no snapshot reads with the claims.
    LoadBinding(usize),
    /// `Loaded::read`: claims and account.
    LoadClaims(usize),
    /// `Loaded::meet`: the holder, and the binding that has the association.
    LoadOther(usize),
    /// `intents::record`: a claim that has no number gets one.
    Enqueue(usize),
    /// The plan's call has its effect.
    Place(usize),
    /// `cluster::write`.
    Record(usize),
    /// The run dies.
    Crash(usize),
}

/// `BindingRecord`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Binding {
    version: u8,
    covers: Clusters,
}

/// `ClaimsRecord`: numbers by binding and cluster, 0 where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Queue {
    last: u8,
    numbers: [[u8; 2]; 2],
}

/// How far a binding has come on a cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Is {
    #[default]
    Pending,
    Ready,
    Blocked,
    Removed,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Condition {
    version: u8,
    is: Is,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    #[default]
    Idle,
    Take,
    Load,
    LoadOther,
    Enqueue,
    Place,
    Record,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Runner {
    step: Step,
    event: usize,
    name: Name,
    cluster: usize,
    bindings: [Option<Binding>; 2],
    queue: Option<Queue>,
    /// The same as it was read.
    read: Option<Queue>,
    /// Bindings that a newer event has changed since they were read.
    already_superseded: [bool; 2],
    failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Delivery {
    Waiting,
    Taken,
    Done,
}

/// A state of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    runners: [Runner; 2],
    bindings: [Binding; 2],
    queue: Queue,
    conditions: [[Condition; 2]; 2],
    /// By cluster: the binding that the association serves.
    serves: [Option<Name>; 2],
    leases: [Option<usize>; 2],
    deliveries: Vec<Delivery>,
    mishaps_left: u8,
    /// By cluster: bindings in the order in which the ledger recorded that they want the account.
    /// No run sees it.
    recorded: [Vec<Name>; 2],
    taken_away: bool,
}

fn bit(cluster: usize) -> Clusters {
    1 << cluster
}

impl Queue {
    /// `ClaimsRecord::holder`, among those that want the account.
    fn holder(&self, cluster: usize, wants: impl Fn(Name) -> bool) -> Option<Name> {
        let number = |name: Name| self.numbers[name][cluster];
        let queued = (0..2).filter(|name| number(*name) != 0 && wants(*name));
        queued.min_by_key(|name| number(*name))
    }
}

impl Runner {
    fn wants(&self, name: Name) -> bool {
        self.bindings[name].is_some_and(|binding| binding.covers & bit(self.cluster) != 0)
    }

    /// Whether a number is to be written.
    fn queues(&self) -> bool {
        self.read != self.queue
    }

    fn holder(&self) -> Option<Name> {
        self.queue?.holder(self.cluster, |name| self.wants(name))
    }
}

impl Claims {
    /// The same without a protective step.
    #[must_use]
    pub fn without(self, step: Omission) -> Self {
        Self { without: Some(step), ..self }
    }

    fn omits(&self, step: Omission) -> bool {
        self.without == Some(step)
    }

    /// How many states there are, and which promises some state breaks, each with the way to it.
    #[must_use]
    pub fn check(self, threads: usize) -> (usize, Vec<(Promise, Vec<Action>)>) {
        let checker = self.checker().threads(threads).spawn_bfs().join();
        let found = checker.discoveries();
        let way = |it: Promise| found.get(it.name()).cloned().map(stateright::Path::into_actions);
        let broken = Promise::ALL.into_iter().filter_map(|it| Some((it, way(it)?))).collect();
        (checker.unique_state_count(), broken)
    }

    /// `move_claim`, in the accepting transaction.
    fn claim(&self, queue: &mut Queue, event: Claim) {
        let numbers = &mut queue.numbers[event.name];
        for (cluster, number) in numbers.iter_mut().enumerate() {
            if event.covers & bit(cluster) == 0 {
                if !self.omits(Omission::Exemptions) {
                    *number = 0;
                }
            } else if self.omits(Omission::Sequence) {
                *number = event.date;
            } else if *number == 0 || self.omits(Omission::KeptNumbers) {
                queue.last += 1;
                *number = queue.last;
            }
        }
    }

    fn accept(&self, state: &mut State, event: Claim) {
        let Claim { name, version, covers, .. } = event;
        if version <= state.bindings[name].version {
            return;
        }
        state.bindings[name] = Binding { version, covers };
        if !self.omits(Omission::NumberAtAcceptance) || covers == 0 {
            self.claim(&mut state.queue, event);
        }
        for cluster in 0..2 {
            let is_wanted = covers & bit(cluster) != 0;
            let recorded = &mut state.recorded[cluster];
            if !is_wanted {
                recorded.retain(|other| *other != name);
            } else if !recorded.contains(&name) {
                recorded.push(name);
            }
            let condition = &mut state.conditions[name][cluster];
            let is_over = !is_wanted && matches!(condition.is, Is::Removed | Is::Pending);
            let is_over = is_over && condition.version == 0;
            let is = if is_over { Is::Removed } else { Is::Pending };
            *condition = Condition { version, is };
        }
        for runner in &mut state.runners {
            runner.already_superseded[name] |= runner.bindings[name].is_some();
        }
    }

    fn is_left(state: &State, name: Name, cluster: usize) -> bool {
        let Condition { version, is } = state.conditions[name][cluster];
        version != state.bindings[name].version || !matches!(is, Is::Ready | Is::Removed)
    }

    fn deliver(&self, state: &mut State, run: usize, number: usize, cluster: usize) {
        let event = self.events[number];
        self.accept(state, event);
        let is_latest = event.version == state.bindings[event.name].version;
        if !is_latest || !Self::is_left(state, event.name, cluster) {
            let other = is_latest && Self::is_left(state, event.name, 1 - cluster);
            state.deliveries[number] = if other { Delivery::Waiting } else { Delivery::Done };
            return;
        }
        state.deliveries[number] = Delivery::Taken;
        let (name, step) = (event.name, Step::Take);
        state.runners[run] = Runner { step, event: number, name, cluster, ..Runner::default() };
    }

    fn loaded(runner: &mut Runner, serves: Option<Name>) {
        let (Some(binding), Some(queue)) = (runner.bindings[runner.name], &mut runner.queue) else {
            return;
        };
        runner.read = Some(*queue);
        // `enqueue`: a claim that was not queued for want of room.
        if binding.covers != 0 && queue.numbers[runner.name] == [0, 0] {
            for cluster in (0..2).filter(|cluster| binding.covers & bit(*cluster) != 0) {
                queue.last += 1;
                queue.numbers[runner.name][cluster] = queue.last;
            }
        }
        let other = 1 - runner.name;
        let meets = serves == Some(other) || queue.holder(runner.cluster, |_| true) == Some(other);
        runner.step = match (meets, runner.queues()) {
            (true, _) => Step::LoadOther,
            (false, true) => Step::Enqueue,
            (false, false) => Step::Place,
        };
    }

    /// All was read; where the claims have changed meanwhile, the next delivery looks again.
    fn is_loaded(&self, state: &mut State, run: usize) {
        let runner = &mut state.runners[run];
        let is_over = matches!(runner.step, Step::Enqueue | Step::Place);
        if is_over && runner.read != Some(state.queue) && !self.omits(Omission::Snapshot) {
            runner.failed = true;
            runner.step = Step::Record;
        }
    }

    /// A transaction that checks that claims and binding are as they were read.
    fn enqueue(&self, state: &mut State, run: usize) {
        let runner = &state.runners[run];
        let stale = runner.already_superseded[runner.name] && !self.omits(Omission::BindingCheck);
        let is_same = runner.read == Some(state.queue) && !stale;
        if let Some(queue) = runner.queue.filter(|_| is_same) {
            state.queue = queue;
            state.runners[run].step = Step::Place;
        } else {
            state.runners[run].failed = true;
            state.runners[run].step = Step::Record;
        }
    }

    fn place(state: &mut State, run: usize) {
        let runner = &state.runners[run];
        let (cluster, stands) = (runner.cluster, state.serves[runner.cluster]);
        let next = match (runner.holder(), stands) {
            (Some(holder), _) => Some(holder),
            // What its binding still wants is kept, and what was not read is not touched.
            (None, Some(name)) if runner.bindings[name].is_none() || runner.wants(name) => stands,
            (None, _) => None,
        };
        if let Some(name) = next.filter(|_| next != stands) {
            let recorded = &state.recorded[cluster];
            let waits = recorded.contains(&name) && recorded.first() != Some(&name);
            let waits = waits && !runner.already_superseded[name];
            state.taken_away |= waits;
        }
        state.serves[cluster] = next;
        state.runners[run].step = Step::Record;
    }

    fn record(state: &mut State, run: usize) {
        let runner = std::mem::take(&mut state.runners[run]);
        let mut done = !runner.failed;
        state.leases[runner.cluster] = None;
        for name in (0..2).filter(|_| !runner.failed) {
            let Some(binding) = runner.bindings[name] else { continue };
            if runner.already_superseded[name] {
                done = false;
                continue;
            }
            let is = if runner.holder() == Some(name) {
                Is::Ready
            } else if runner.wants(name) {
                Is::Blocked
            } else {
                Is::Removed
            };
            let condition = &mut state.conditions[name][runner.cluster];
            // Of a binding outside the batch only this place was planned.
            if name == runner.name || binding.version == condition.version {
                *condition = Condition { version: binding.version, is };
            }
            if name == runner.name {
                done &= binding.version == state.bindings[name].version;
            }
        }
        let left = state.conditions[runner.name][1 - runner.cluster];
        let other = left.version != state.bindings[runner.name].version || left.is == Is::Pending;
        let over = done && !other;
        state.deliveries[runner.event] = if over { Delivery::Done } else { Delivery::Waiting };
    }

    /// `reconcile`: each binding that is not finished is worked on.
    fn reconciled(&self, state: &State) -> State {
        let mut state = state.clone();
        for (name, cluster) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let serves = state.serves[cluster] == Some(name);
            let is_ready = state.conditions[name][cluster].is == Is::Ready;
            let differs = Self::is_left(&state, name, cluster) || serves != is_ready;
            if state.bindings[name].version == 0 || !differs {
                continue;
            }
            let mut runner = Runner { name, cluster, step: Step::Load, ..Runner::default() };
            runner.bindings[name] = Some(state.bindings[name]);
            runner.queue = Some(state.queue);
            Self::loaded(&mut runner, state.serves[cluster]);
            if runner.step == Step::LoadOther {
                runner.bindings[1 - name] = Some(state.bindings[1 - name]);
            }
            let queues = runner.queues();
            state.runners[0] = runner;
            if queues {
                self.enqueue(&mut state, 0);
            }
            Self::place(&mut state, 0);
            Self::record(&mut state, 0);
        }
        state
    }

    fn is_at_rest(state: &State) -> bool {
        state.deliveries.iter().all(|delivery| *delivery == Delivery::Done)
    }

    fn is_right(state: &State) -> bool {
        (0..2).all(|cluster| {
            let first = state.recorded[cluster].first().copied();
            let says = |name: Name| match state.conditions[name][cluster].is {
                Is::Ready => first == Some(name),
                Is::Blocked => state.recorded[cluster].contains(&name) && first != Some(name),
                Is::Removed => !state.recorded[cluster].contains(&name),
                Is::Pending => state.bindings[name].version == 0,
            };
            state.serves[cluster] == first && (0..2).all(says)
        })
    }

    fn first_recorded_holds(state: &State) -> bool {
        (0..2).all(|cluster| {
            state.queue.holder(cluster, |_| true) == state.recorded[cluster].first().copied()
        })
    }
}

impl Model for Claims {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            runners: Default::default(),
            bindings: Default::default(),
            queue: Queue::default(),
            conditions: Default::default(),
            serves: [None; 2],
            leases: [None; 2],
            deliveries: vec![Delivery::Waiting; self.events.len()],
            mishaps_left: self.mishaps,
            recorded: Default::default(),
            taken_away: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (run, runner) in state.runners.iter().enumerate() {
            match runner.step {
                Step::Idle => {
                    if run == 1 && state.runners[0].step == Step::Idle {
                        continue;
                    }
                    for (event, delivery) in state.deliveries.iter().enumerate() {
                        if *delivery == Delivery::Waiting {
                            let on = |cluster| Action::Deliver { run, event, cluster };
                            actions.extend([0, 1].map(on));
                        }
                    }
                    continue;
                }
                Step::Take if state.leases[runner.cluster].is_none() => {
                    actions.push(Action::Take(run));
                }
                Step::Take => {}
                Step::Load => {
                    if runner.bindings[runner.name].is_none() {
                        actions.push(Action::LoadBinding(run));
                    }
                    if runner.queue.is_none() {
                        actions.push(Action::LoadClaims(run));
                    }
                }
                Step::LoadOther => actions.push(Action::LoadOther(run)),
                Step::Enqueue => actions.push(Action::Enqueue(run)),
                Step::Place => actions.push(Action::Place(run)),
                Step::Record => actions.push(Action::Record(run)),
            }
            if state.mishaps_left > 0 {
                actions.push(Action::Crash(run));
            }
        }
        for (event, delivery) in state.deliveries.iter().enumerate() {
            if *delivery == Delivery::Done && state.mishaps_left > 0 {
                actions.push(Action::Redeliver(event));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Deliver { run, event, cluster } => {
                self.deliver(&mut state, run, event, cluster);
            }
            Action::Redeliver(event) => {
                state.mishaps_left -= 1;
                state.deliveries[event] = Delivery::Waiting;
            }
            Action::Take(run) => {
                state.leases[state.runners[run].cluster] = Some(run);
                state.runners[run].step = Step::Load;
            }
            Action::LoadBinding(run) => {
                let runner = &mut state.runners[run];
                runner.bindings[runner.name] = Some(state.bindings[runner.name]);
                Self::loaded(runner, state.serves[runner.cluster]);
                self.is_loaded(&mut state, run);
            }
            Action::LoadClaims(run) => {
                let runner = &mut state.runners[run];
                runner.queue = Some(state.queue);
                Self::loaded(runner, state.serves[runner.cluster]);
                self.is_loaded(&mut state, run);
            }
            Action::LoadOther(run) => {
                let runner = &mut state.runners[run];
                let other = 1 - runner.name;
                runner.bindings[other] = Some(state.bindings[other]);
                runner.step = if runner.queues() { Step::Enqueue } else { Step::Place };
                self.is_loaded(&mut state, run);
            }
            Action::Enqueue(run) => {
                self.enqueue(&mut state, run);
            }
            Action::Place(run) => Self::place(&mut state, run),
            Action::Record(run) => Self::record(&mut state, run),
            Action::Crash(run) => {
                state.mishaps_left -= 1;
                let runner = std::mem::take(&mut state.runners[run]);
                if state.leases[runner.cluster] == Some(run) {
                    state.leases[runner.cluster] = None;
                }
                state.deliveries[runner.event] = Delivery::Waiting;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(Promise::FirstRecordedHolds.name(), |_, state| {
                Self::first_recorded_holds(state)
            }),
            Property::always(Promise::HolderKeepsIt.name(), |_, state: &State| !state.taken_away),
            Property::always(Promise::RightEnd.name(), |_, state| {
                !Self::is_at_rest(state) || Self::is_right(state)
            }),
            Property::always(Promise::ReconcileConverges.name(), |claims: &Self, state| {
                !Self::is_at_rest(state) || Self::is_right(&claims.reconciled(state))
            }),
        ]
    }
}

/// The setups of claims that are searched.
pub mod setups {
    use super::{Claim, Claims};

    const fn claim(name: usize, version: u8, date: u8, covers: u8) -> Claim {
        Claim { name, version, date, covers }
    }

    fn claims(events: &[Claim]) -> Claims {
        Claims { events: events.to_vec(), mishaps: 1, without: None }
    }

    /// One binding comes and goes, the other comes and changes its role.
    #[must_use]
    pub fn continuation() -> Claims {
        claims(&[claim(0, 1, 3, 1), claim(0, 2, 4, 0), claim(1, 1, 1, 1), claim(1, 2, 2, 1)])
    }

    /// One binding gives up a cluster, the other wants both.
    #[must_use]
    pub fn narrowed() -> Claims {
        claims(&[claim(0, 1, 2, 3), claim(0, 2, 3, 1), claim(1, 1, 1, 3)])
    }

    /// Both bindings want one cluster, and then both.
    #[must_use]
    pub fn widened() -> Claims {
        claims(&[claim(0, 1, 3, 1), claim(0, 2, 4, 3), claim(1, 1, 1, 2), claim(1, 2, 2, 3)])
    }

    /// One binding comes, goes and comes again, while the other wants the account too.
    #[must_use]
    pub fn claimed_again() -> Claims {
        claims(&[claim(0, 1, 2, 1), claim(0, 2, 3, 0), claim(0, 3, 4, 1), claim(1, 1, 1, 1)])
    }

    /// Every setup.
    #[must_use]
    pub fn all() -> [(&'static str, Claims); 4] {
        [
            ("claims handed on", continuation()),
            ("claimed again", claimed_again()),
            ("claims narrowed", narrowed()),
            ("claims widened", widened()),
        ]
    }
}
