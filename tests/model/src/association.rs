//! A run of the association function for one event.

use crate::action::Name;
use crate::protocol::Protocol;
use crate::setup::{Event, Omission};
use crate::state::{
    Association, Binding, Call, Delivery, Is, Job, Known, NONE, Roles, Runner, Seen, State, Step,
    Verdict,
};

/// The version of the events that a repetition of all work adds.
pub(crate) const LAST: u8 = 100;

impl Protocol {
    /// An event by its number; beyond those of the setup, the desired state once more.
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
            let had = current.role.is_some() || before.wanted || before.leaving;
            let leaving = removes && had;
            let is = if removes && !leaving { Is::Removed } else { Is::Pending };
            state.ledger.bindings[account] = Binding { version: event.version, role: event.role };
            if removes {
                state.history.removed[account] = event.version;
            }
            let mut condition = before;
            (condition.version, condition.is, condition.leaving) = (event.version, is, leaving);
            condition.wanted = !removes;
            // The administrator looked at it for a binding that wants it without a break.
            if removes || current.role.is_none() {
                condition.adopts = 0;
            }
            if let Some(role) = event.role.filter(|_| !self.omits(Omission::Intent)) {
                condition.intents.intend(role, state.next_id);
            }
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
        self.work(state, run, Job::Event(number), account);
    }

    /// `cluster::work`, for an event or because `reconcile` found that it is needed.
    pub(crate) fn work(&self, state: &mut State, run: Name, job: Job, account: usize) {
        let observes_first =
            self.omits(Omission::LeaseBeforeObservation) || self.omits(Omission::Lease);
        state.runners[run] = Runner {
            job: Some(job),
            account,
            step: if observes_first { Step::Load } else { Step::Take },
            ..Runner::default()
        };
    }

    /// `Overview::compare`: it looks without the lease, so the work looks again.
    pub(crate) fn needs_repair(&self, state: &State, account: usize) -> bool {
        let binding = state.ledger.bindings[account];
        if binding.version == 0 {
            return false;
        }
        let condition = state.ledger.conditions[account];
        let held = state.ledger.held[account];
        let shown = state.associations[account];
        let known = Known { adopts: 0, ..state.known(account) };
        let verdict = self.verdict(shown, &known);
        !condition.is_finished(binding.version)
            || match binding.role {
                None => verdict == Verdict::Ours || held.is_some(),
                Some(role) => shown.is_none_or(|one| {
                    let recorded = held.is_some_and(|held| held.id == one.id);
                    let is_granted = state.policy.granted() & role != NONE;
                    let fits = one.role == role && one.tagged && recorded;
                    verdict != Verdict::Ours || !fits || !is_granted
                }),
            }
    }

    /// `Verdict::of`.
    pub(crate) fn verdict(&self, shown: Option<Association>, known: &Known) -> Verdict {
        let Some(Association { id, role, tagged, .. }) = shown else { return Verdict::Nothing };
        let is_held = known.held.is_some_and(|held| held.id == id);
        let is_intended = tagged && known.intents.account_for(id, role);
        let is_believed = tagged && self.omits(Omission::TagIsNoProof);
        if is_held || is_intended || is_believed || self.omits(Omission::Ownership) {
            Verdict::Ours
        } else if known.adopts == id {
            Verdict::Adoptable
        } else if tagged {
            Verdict::Orphan
        } else {
            Verdict::Foreign
        }
    }

    /// `Loaded::read`, the binding.
    pub(crate) fn load_binding(&self, state: &mut State, run: Name) {
        let account = state.runners[run].account;
        state.runners[run].binding = Some(state.ledger.bindings[account]);
        state.runners[run].is_loaded();
    }

    /// `Loaded::read`, the condition, the account and the memory.
    pub(crate) fn load_condition(&self, state: &mut State, run: Name) {
        let memory = state.ledger.memory;
        let known = state.known(state.runners[run].account);
        let runner = &mut state.runners[run];
        runner.known = known;
        runner.has_condition = true;
        runner.memory = memory;
        runner.is_loaded();
    }

    /// `observe::associations` for one place. Nothing is asked about the policy.
    pub(crate) fn look(&self, state: &mut State, run: Name) {
        if state.runners[run].job == Some(Job::Reconcile) {
            return self.look_at_all(state, run);
        }
        let runner = &mut state.runners[run];
        let shown = state.associations[runner.account];
        runner.verdict = self.verdict(shown, &runner.known);
        runner.seen = shown.map(Into::into);
        runner.looked_at = state.next_id;
        let role = runner.binding.and_then(|binding| binding.role);
        match role {
            Some(role) => Self::plan_binding(runner, role),
            None => Self::plan_removal(runner),
        }
        self.is_planned(state, run);
    }

    /// `resolve_owners`, and `plan` for a place that is exempt.
    fn plan_removal(runner: &mut Runner) {
        let held = runner.known.held.map_or(0, |held| held.id);
        let shown = runner.seen.map_or(0, |seen| seen.id);
        match runner.verdict {
            Verdict::Ours => {
                runner.known.leaving = true;
                runner.deletes = shown;
            }
            // What may be ours still gives its role: no removal is proven.
            Verdict::Orphan => {
                runner.known.leaving |= held != 0;
                runner.is_blocked = runner.known.leaving;
            }
            Verdict::Nothing | Verdict::Foreign | Verdict::Adoptable => {
                runner.known.leaving |= held != 0;
                runner.deletes = held;
            }
        }
        runner.places = runner.deletes != 0;
    }

    /// `plan` for a bound place. Where it grants nothing, it writes nothing that is unfinished either.
    fn plan_binding(runner: &mut Runner, role: Roles) {
        let memory = runner.memory;
        runner.base = memory.version;
        runner.listed = memory.assigned;
        runner.is_blocked = matches!(runner.verdict, Verdict::Orphan | Verdict::Foreign);
        if runner.is_blocked {
            return;
        }
        runner.places = runner.seen.is_none_or(|seen| {
            seen.role != role || !seen.tagged || runner.verdict == Verdict::Adoptable
        });
        runner.stands = runner.seen.map_or(0, |seen| seen.id);
        runner.adds = role & !memory.assigned;
        runner.finishes = memory.pending;
        runner.listed |= runner.adds;
    }

    fn is_planned(&self, state: &mut State, run: Name) {
        if self.omits(Omission::LeaseBeforeObservation) {
            state.runners[run].step = Step::Take;
        } else if self.lacks_intent(&state.runners[run]) || self.confirms(&state.runners[run]) {
            state.runners[run].step = Step::Intend;
        } else {
            self.plan_is_made(state, run);
        }
    }

    /// `intents::missing`.
    fn lacks_intent(&self, runner: &Runner) -> bool {
        let role = runner.binding.and_then(|binding| binding.role).filter(|_| runner.places);
        let changes = |role| runner.seen.is_none_or(|seen| seen.role != role);
        let intents = runner.known.intents;
        let is_known = |role| match self.omits(Omission::RenewedIntent) {
            true => intents.allows(role),
            false => intents.always_allows(role),
        };
        !self.omits(Omission::Intent) && role.is_some_and(|role| changes(role) && !is_known(role))
    }

    /// Whether it changes what is ours by an intent only: with other values it would be younger than
    /// no intent for them.
    fn confirms(&self, runner: &Runner) -> bool {
        let role = runner.binding.and_then(|binding| binding.role).filter(|_| runner.places);
        let held = runner.known.held.map_or(0, |held| held.id);
        let changes = |seen: Seen| seen.id != held && role.is_some_and(|role| seen.role != role);
        let is_ours = runner.verdict == Verdict::Ours;
        !self.omits(Omission::Confirmation) && is_ours && runner.seen.is_some_and(changes)
    }

    /// `intents::record`, under the lease's fence.
    pub(crate) fn intend(&self, state: &mut State, run: Name) {
        let held = state.ledger.lease.is_of(run) || self.omits(Omission::Lease);
        let confirms = self.confirms(&state.runners[run]);
        let runner = &mut state.runners[run];
        let account = runner.account;
        let confirmed = runner.seen.filter(|_| confirms);
        let role = runner.binding.and_then(|binding| binding.role).unwrap_or(NONE);
        if held && !runner.already_superseded {
            let mut condition = state.ledger.conditions[account];
            condition.intents.intend(role, state.next_id);
            let since = runner.looked_at;
            state.intends(account, role, since);
            state.write_condition(account, condition, Some(run));
            if let Some(seen) = confirmed {
                state.remember(account, seen.id, seen.role, self.omits(Omission::Held));
            }
        } else {
            // Nothing is done at that place; the policy's part of the plan is.
            runner.places = false;
            runner.has_failed = true;
        }
        self.plan_is_made(state, run);
    }

    /// `apply_place`.
    pub(crate) fn packer_call(&self, runner: &Runner) -> Option<Call> {
        let (place, binding) = (runner.account, runner.binding?);
        let version = binding.version;
        Some(match (binding.role, runner.seen) {
            (Some(role), None) => Call::Create { place, role, version },
            (Some(role), Some(seen)) => {
                let tags = !seen.tagged || runner.verdict == Verdict::Adoptable;
                Call::Update { place, id: seen.id, role, version, tags }
            }
            (None, _) => Call::Delete { place, id: runner.deletes },
        })
    }

    /// `create` in `apply`: only what is exactly as it was asked for counts as done.
    pub(crate) fn look_again(&self, state: &mut State, run: Name) {
        let State { runners, associations, .. } = state;
        let runner = &mut runners[run];
        let role = runner.binding.and_then(|binding| binding.role).unwrap_or(NONE);
        let found = associations[runner.account].filter(|one| one.tagged && one.role == role);
        if let Some(found) = found {
            runner.stands = found.id;
            runner.step = Step::Record;
        } else {
            runner.fail();
        }
    }
}

impl Runner {
    /// Whether a version is written.
    pub(crate) fn writes(&self) -> bool {
        self.adds != NONE || self.trims != NONE || self.finishes
    }

    fn is_loaded(&mut self) {
        if self.binding.is_some() && self.has_condition {
            self.step = Step::Look;
        }
    }
}
