//! What both kinds of runs do alike: the lease, the policy, and the end.

use crate::action::Name;
use crate::outside::Answer;
use crate::promise::Promise;
use crate::protocol::Protocol;
use crate::setup::Omission;
use crate::state::{
    Association, Binding, Call, Condition, Delivery, Held, Holder, Is, Job, Known, Lease, NONE,
    Origin, Rest, Runner, State, Step,
};

/// `policies::MERGES`.
const MERGES: u8 = 3;

impl Runner {
    /// A failure that passes: what is left is not done, and the record comes again.
    pub(crate) fn fail(&mut self) {
        self.has_failed = true;
        self.step = Step::Record;
    }
}

impl Protocol {
    /// `Lease::take`.
    pub(crate) fn take(&self, state: &mut State, run: Name) {
        let before = state.ledger.lease;
        let abandoned = before.abandoned || before.holder != Holder::Free;
        state.ledger.lease = Lease { holder: Holder::Runner(run), rest: Rest::Enough, abandoned };
        state.runners[run].abandoned = abandoned;
        let planned = self.omits(Omission::LeaseBeforeObservation)
            && state.runners[run].job != Some(Job::Reconcile);
        if planned {
            self.plan_is_made(state, run);
        } else {
            state.runners[run].step = Step::Load;
        }
    }

    /// `Lease::renew`, fenced like every write.
    pub(crate) fn renew(&self, state: &mut State, run: Name) {
        if state.ledger.lease.is_of(run) {
            state.ledger.lease.rest = Rest::Enough;
            self.go_on(state, run);
        } else {
            let runner = &mut state.runners[run];
            // An error before anything was applied: nothing is remembered.
            runner.base = 0;
            runner.fail();
        }
    }

    /// The first step of a plan.
    pub(crate) fn plan_is_made(&self, state: &mut State, run: Name) {
        let runner = &state.runners[run];
        let steps = usize::from(runner.writes()) + usize::from(runner.places);
        let little = state.ledger.lease.rest != Rest::Enough || !state.ledger.lease.is_of(run);
        if steps > 1 && little && !self.omits(Omission::Lease) {
            state.runners[run].step = Step::Renew;
        } else {
            self.go_on(state, run);
        }
    }

    fn go_on(&self, state: &mut State, run: Name) {
        let assigns = !self.omits(Omission::Assignment);
        let places_first = self.omits(Omission::GrantFirst);
        let runner = &mut state.runners[run];
        let is_new = runner.listed != runner.memory.assigned;
        runner.step = if runner.writes() && is_new && assigns && !places_first {
            Step::Assign
        } else if runner.places && (places_first || !runner.writes()) {
            Step::Place
        } else if runner.writes() {
            Step::Write
        } else {
            Step::Record
        };
    }

    /// `Target::pass` lets a call start.
    pub(crate) fn begin(&self, state: &mut State, run: Name) {
        let runner = &mut state.runners[run];
        runner.call = match runner.step {
            Step::Write => Some(Call::WriteVersion { roles: runner.listed }),
            _ => self.packer_call(runner),
        };
    }

    /// What an answer means for the run that waited for it.
    pub(crate) fn answered(&self, state: &mut State, run: Name, answer: Answer) {
        let places_first = self.omits(Omission::GrantFirst);
        let notices = !self.omits(Omission::SkippedVersion);
        let runner = &mut state.runners[run];
        match answer {
            Answer::Version(version) if notices && version > runner.base + 1 => {
                runner.skipping = version;
                runner.step = Step::ReadSkipped;
            }
            Answer::Version(version) => self.policy_is_written(runner, version),
            Answer::Created(_) | Answer::Done if places_first && runner.writes() => {
                if let Answer::Created(id) = answer {
                    runner.stands = id;
                }
                runner.places = false;
                runner.step = Step::Write;
            }
            Answer::Created(id) => {
                runner.stands = id;
                runner.step = Step::Record;
            }
            Answer::Done => runner.step = Step::Record,
            Answer::InUse => runner.step = Step::LookAgain,
            Answer::NotFound => runner.fail(),
        }
    }

    fn policy_is_written(&self, runner: &mut Runner, version: u8) {
        runner.written = version;
        runner.skipping = 0;
        runner.step = if runner.places { Step::Place } else { Step::Record };
    }

    /// `policies::rewrite` after a number that skips: theirs is kept.
    pub(crate) fn read_skipped(&self, state: &mut State, run: Name, shown: bool) {
        let State { runners, policy, .. } = state;
        let runner = &mut runners[run];
        if !shown {
            return runner.fail();
        }
        let written = runner.skipping;
        let first = if self.omits(Omission::EarlierSkippedVersions) {
            written - 1
        } else {
            runner.base + 1
        };
        let theirs = (first..written).fold(0, |all, skipped| all | policy.roles(skipped));
        let merges = runner.trims == 0 || !self.omits(Omission::TrimMerge);
        if theirs & !runner.listed == 0 || !merges {
            return self.policy_is_written(runner, written);
        }
        // A trim that meets another writer is taken back.
        runner.trims = 0;
        runner.listed |= theirs;
        runner.base = written;
        runner.skipping = 0;
        runner.merges += 1;
        if runner.merges > MERGES {
            runner.fail();
        } else {
            runner.step = Step::Write;
        }
    }

    /// `assign`: the desired state on the policy comes before IAM's, under the lease's fence. Whoever
    /// finds it unwritten writes it.
    pub(crate) fn assign(&self, state: &mut State, run: Name) {
        let held = state.ledger.lease.is_of(run) || self.omits(Omission::Lease);
        let runner = &mut state.runners[run];
        if !held {
            runner.base = 0;
            return runner.fail();
        }
        runner.memory.assigned = runner.listed;
        runner.memory.pending = !self.omits(Omission::Pending);
        let (trims, looked_at) = (runner.trims, runner.looked_at);
        runner.step = Step::Write;
        let memory = runner.memory;
        state.ledger.memory = memory;
        state.history.owed &= !trims;
        state.history.trims = (state.history.trims | trims) & !memory.assigned;
        if trims != NONE {
            state.history.looked_at = looked_at;
        }
    }

    /// `cluster::write`: everything in one transaction that ends the lease, if it is ours.
    pub(crate) fn record(&self, state: &mut State, run: Name) {
        let held = state.ledger.lease.is_of(run) || self.omits(Omission::Lease);
        if !held && !self.omits(Omission::Fence) {
            return state.end(run, Delivery::Waiting);
        }
        if !held {
            state.break_promise(Promise::Fenced);
        }
        let runner = state.runners[run].clone();
        self.remember_policy(state, &runner);
        let mut done = !runner.has_failed;
        let works = matches!(runner.job, Some(Job::Event(_) | Job::Repair));
        if let Some(binding) = runner.binding.filter(|_| works && done) {
            self.settle(state, run, &runner, binding);
            done = !runner.already_superseded;
        }
        if !self.omits(Omission::Lease) {
            // What a run that died may have done stays noted.
            let abandoned = state.ledger.lease.abandoned;
            state.ledger.lease = Lease { abandoned, ..Lease::FREE };
        }
        state.end(run, if done { Delivery::Done } else { Delivery::Waiting });
    }

    /// `settle` for a place that is done or blocked. The account is remembered also where a newer
    /// event has written the condition.
    fn settle(&self, state: &mut State, run: Name, runner: &Runner, binding: Binding) {
        let account = runner.account;
        let mut condition = state.ledger.conditions[account];
        condition.leaving = runner.known.leaving && binding.role.is_none();
        condition.is = match binding.role {
            _ if runner.is_blocked => Is::Blocked,
            Some(role) => {
                condition.adopts = 0;
                if runner.abandoned && !self.omits(Omission::AbandonedIntent) {
                    condition.intents.expire(None, 0);
                } else {
                    condition.intents = Default::default();
                }
                state.remember(account, runner.stands, role, self.omits(Omission::Held));
                Is::Ready
            }
            None => {
                if self.omits(Omission::IntentAfterRemoval) {
                    condition.intents = Default::default();
                } else if runner.known.leaving {
                    condition.intents.expire(runner.known.held, runner.looked_at);
                    if let Some(held) = runner.known.held {
                        state.intends(account, held.role, runner.looked_at);
                    }
                }
                condition.leaving = false;
                state.ledger.held[account] = None;
                Is::Removed
            }
        };
        if !runner.already_superseded {
            condition.version = binding.version;
            condition.wanted = binding.role.is_some();
            state.write_condition(account, condition, Some(run));
        }
    }

    /// What was written, and the marks of a trimming run.
    fn remember_policy(&self, state: &mut State, runner: &Runner) {
        let memory = &mut state.ledger.memory;
        if runner.base == 0 {
            return;
        }
        if runner.written != 0 {
            memory.assigned = runner.listed;
            memory.version = runner.written;
            memory.pending = false;
        }
        if runner.job == Some(Job::Reconcile) && !runner.has_failed {
            let trimmed = if runner.written == 0 { 0 } else { runner.trims };
            let unused = runner.unused & !trimmed;
            memory.unused_long &= unused;
            memory.unused = unused & !memory.unused_long;
        }
    }
}

impl State {
    /// What the ledger says of an account.
    pub(crate) fn known(&self, account: usize) -> Known {
        let Condition { intents, adopts, leaving, wanted, .. } = self.ledger.conditions[account];
        // `current_condition`, for a binding that is exempt.
        let leaving = leaving || wanted;
        Known { held: self.ledger.held[account], intents, adopts, leaving }
    }

    /// An intent is recorded. It accounts for what was made in the moments since the run looked, for
    /// clocks may differ: what a hand made then with the same values cannot be told from ours.
    pub(crate) fn intends(&mut self, account: usize, role: u8, since: u8) {
        let stands = self.associations[account].as_mut();
        let made = stands.filter(|one| one.role == role && one.id >= since);
        if let Some(one) = made.filter(|one| one.origin == Origin::Foreign) {
            one.origin = Origin::Imitation;
        }
    }

    /// `AccountRecord::held`: whatever its tags say from now on, it is ours.
    pub(crate) fn remember(&mut self, account: usize, id: u8, role: u8, omitted: bool) {
        if !omitted {
            self.ledger.held[account] = Some(Held { id, role });
        }
        let stands = self.associations[account].as_mut().filter(|one| one.id == id);
        if let Some(Association { origin, .. }) = stands
            && matches!(origin, Origin::Disowned | Origin::Adopted)
        {
            *origin = Origin::Made;
        }
    }

    /// Writes a condition; runs that have read the one before find a newer revision.
    pub(crate) fn write_condition(
        &mut self,
        account: usize,
        condition: Condition,
        by: Option<Name>,
    ) {
        self.ledger.conditions[account] = condition;
        for (run, runner) in self.runners.iter_mut().enumerate() {
            let reads_it = runner.has_condition && runner.account == account;
            if reads_it && by != Some(run) {
                runner.already_superseded = true;
            }
        }
    }
}
