//! What can happen next, and which function of the engine it stands for.

use std::fmt;

use crate::setup::Hand;

/// Which of the two runs.
pub type Name = usize;

/// How a call ends badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// It has no effect.
    Refused,
    /// It has its effect, and its answer is lost.
    AnswerLost,
    /// Its run gives it up, and it has its effect later or never.
    Exemptions,
}

/// One step of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `process` takes a record and `accept` decides about it, in one transaction.
    Deliver {
        /// Which run.
        run: Name,
        /// Which event.
        event: usize,
    },
    /// The queue delivers a record once more.
    Redeliver {
        /// Which event.
        event: usize,
    },
    /// `reconcile` finds that an account needs work.
    Repair {
        /// Which run.
        run: Name,
        /// Which account.
        account: usize,
    },
    /// A run begins to repair and trim the policy.
    Reconcile {
        /// Which run.
        run: Name,
    },
    /// `Lease::take`: a conditional write.
    Take(Name),
    /// `Lease::take` answers that somebody else holds it.
    DeletePolicy(Name),
    /// `Loaded::read`: the binding. `BatchGetItem` is no snapshot, so it is read by itself.
    LoadBinding(Name),
    /// `Loaded::read`: the condition and the node policy's memory.
    LoadCondition(Name),
    /// All bindings and the memory, of a trimming run.
    LoadAll(Name),
    /// `observe::associations`.
    Look(Name),
    /// `observe::node_policies`, of a trimming run: no other reads the policy.
    ReadPolicy {
        /// Which run.
        run: Name,
        /// The version that IAM shows.
        version: u8,
    },
    /// `intents::record`.
    Intend(Name),
    /// `Lease::renew`.
    Renew(Name),
    /// The ledger is told what the policy is to list, under the lease's fence.
    Assign(Name),
    /// `Target::pass`, and a call is sent.
    Begin(Name),
    /// `Target::pass` refuses: the lease is nearly over.
    Stop(Name),
    /// The call has its effect, and its run the answer.
    Land(Name),
    /// The call ends badly.
    Fail(Name, Error),
    /// `document_of` in `policies::rewrite`: the version that was skipped.
    ReadSkipped {
        /// Which run.
        run: Name,
        /// Whether IAM shows it in time.
        shown: bool,
    },
    /// `create` in `apply` finds the place taken and looks what is there.
    LookAgain(Name),
    /// `cluster::write`: conditions, memory and lease in one transaction; or its refusal.
    Record(Name),
    /// The run dies.
    Crash(Name),
    /// A call that nobody waits for has its effect.
    LandAdrift(usize),
    /// A call that nobody waits for never has its effect.
    LoseAdrift(usize),
    /// No call that starts now would end before the lease does.
    LeaseRunsOut,
    /// The lease's time is over.
    LeaseExpired,
    /// IAM shows the newest version everywhere.
    IamSettles,
    /// The intents that a removal left are nearly over. A call that was under way then has had its
    /// effect, and a reconciliation has looked since.
    IntentsAge,
    /// They are over.
    IntentsAreOver,
    /// `abandoned_until`: what a run that died may have done has had its effect.
    AbandonmentExpired,
    /// The grace period between two observations is over.
    GracePasses,
    /// Somebody else does what is next on their list.
    Deed,
    /// A hand changes the association of the first account, or its tags.
    Hand(Hand),
}

impl Action {
    /// Whether it counts as something that goes wrong.
    pub(crate) fn is_mishap(self, newest: u8) -> bool {
        match self {
            Self::ReadPolicy { version, .. } => version != newest,
            Self::ReadSkipped { shown, .. } => !shown,
            Self::Redeliver { .. } | Self::Fail(..) | Self::Crash(_) | Self::LeaseRunsOut => true,
            _ => false,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver { run, event } => write!(f, "run {run} accepts event {event}"),
            Self::Redeliver { event } => write!(f, "event {event} is delivered again"),
            Self::Reconcile { run } => write!(f, "run {run} begins to trim"),
            Self::Repair { run, account } => {
                write!(f, "run {run} begins to repair account {account}")
            }
            Self::Take(run) => write!(f, "run {run} takes the lease"),
            Self::DeletePolicy(run) => write!(f, "run {run} does not get the lease"),
            Self::LoadBinding(run) => write!(f, "run {run} reads the binding"),
            Self::LoadCondition(run) => write!(f, "run {run} reads condition and memory"),
            Self::LoadAll(run) => write!(f, "run {run} reads all bindings and the memory"),
            Self::Look(run) => write!(f, "run {run} observes associations"),
            Self::ReadPolicy { run, version } => write!(f, "run {run} is shown v{version}"),
            Self::Intend(run) => write!(f, "run {run} records its intent"),
            Self::Renew(run) => write!(f, "run {run} renews the lease"),
            Self::Assign(run) => write!(f, "run {run} writes down what the policy is to list"),
            Self::Begin(run) => write!(f, "run {run} sends its call"),
            Self::Stop(run) => write!(f, "run {run} starts no call, its lease is nearly over"),
            Self::Land(run) => write!(f, "the call of run {run} has its effect"),
            Self::Fail(run, Error::Refused) => write!(f, "the call of run {run} fails"),
            Self::Fail(run, Error::AnswerLost) => {
                write!(f, "the call of run {run} has its effect and its answer is lost")
            }
            Self::Fail(run, Error::Exemptions) => write!(f, "run {run} gives its call up"),
            Self::ReadSkipped { run, shown: true } => {
                write!(f, "run {run} reads the version that it skipped")
            }
            Self::ReadSkipped { run, shown: false } => {
                write!(f, "run {run} is not shown the version that it skipped")
            }
            Self::LookAgain(run) => write!(f, "run {run} looks what took the place"),
            Self::Record(run) => write!(f, "run {run} writes conditions and gives the lease back"),
            Self::Crash(run) => write!(f, "run {run} dies"),
            Self::LandAdrift(_) => write!(f, "a call that nobody waits for has its effect"),
            Self::LoseAdrift(_) => write!(f, "a call that nobody waits for is lost"),
            Self::LeaseRunsOut => write!(f, "the lease is nearly over"),
            Self::LeaseExpired => write!(f, "the lease is over"),
            Self::IamSettles => write!(f, "IAM shows the newest version"),
            Self::GracePasses => write!(f, "the grace period is over"),
            Self::IntentsAge => write!(f, "intents that a removal left are nearly over"),
            Self::IntentsAreOver => write!(f, "intents that a removal left are over"),
            Self::AbandonmentExpired => write!(f, "the abandonment of the lease is over"),
            Self::Hand(hand) => write!(f, "a hand: {hand:?}"),
            Self::Deed => write!(f, "somebody else does the next of their deeds"),
        }
    }
}
