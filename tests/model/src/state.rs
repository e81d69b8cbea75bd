//! Everything that the runs, the ledger and AWS know at one moment.

/// A set of roles, a bit each.
pub type Roles = u8;

/// No role.
pub(crate) const NONE: Roles = 0;
/// A role.
pub const A: Roles = 1;
/// Another role.
pub const B: Roles = 2;
/// A third role, which others use.
pub const C: Roles = 4;

/// A state of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub(crate) runners: [Runner; 2],
    pub(crate) ledger: Ledger,
    /// EKS: the association at each place.
    pub(crate) associations: [Option<Association>; 2],
    pub(crate) next_id: u8,
    pub(crate) policy: Policy,
    /// Calls whose run has crashed or given them up, and which have not had their effect.
    pub(crate) adrift: Vec<Call>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) mishaps_left: u8,
    pub(crate) reconciles_left: u8,
    pub(crate) repairs_left: u8,
    /// How many more times a hand may change an association or its tags.
    pub(crate) hands_left: u8,
    /// How many deeds were done, and what was read for the next.
    pub(crate) deeds_done: u8,
    pub(crate) deed_read: Roles,
    pub(crate) history: History,
}

/// What nobody in the protocol can see; only promises look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// The latest removal that was ever the desired state.
    pub(crate) removed: [u8; 2],
    /// Roles that somebody listed and nobody trimmed.
    pub(crate) owed: Roles,
    /// Roles that the ledger has taken out of the policy, and nobody has listed since.
    pub(crate) trims: Roles,
    /// Associations whose id is lower were there when the run that trims looked.
    pub(crate) looked_at: u8,
    /// Whether a role was ever trimmed.
    pub(crate) trimmed: bool,
    /// Broken promises, a bit each.
    pub(crate) breaches: u32,
}

/// The policy in IAM. Versions are numbered from 1; the last is in force.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Policy {
    pub(crate) versions: Vec<Roles>,
    /// IAM may show any version from this one on.
    pub(crate) shown_from: u8,
}

impl Policy {
    pub(crate) fn newest(&self) -> u8 {
        u8::try_from(self.versions.len()).unwrap_or(u8::MAX)
    }

    /// What a version lists.
    pub(crate) fn roles(&self, version: u8) -> Roles {
        let at = usize::from(version).checked_sub(1);
        at.and_then(|at| self.versions.get(at)).copied().unwrap_or(NONE)
    }

    /// What is in force.
    pub(crate) fn granted(&self) -> Roles {
        self.roles(self.newest())
    }

    /// Writes a version and answers its number.
    pub(crate) fn write(&mut self, roles: Roles) -> u8 {
        self.versions.push(roles);
        self.newest()
    }
}

/// An association in EKS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Association {
    pub(crate) id: u8,
    pub(crate) role: Roles,
    /// Whether it carries our tags, which prove nothing.
    pub(crate) tagged: bool,
    /// Where it is from. No run can see this; only promises look at it.
    pub(crate) origin: Origin,
    /// The version of the assignment that it was made or changed for; 0 if none of ours. Only
    /// promises look at it.
    pub(crate) version: u8,
}

/// Where an association is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// A call of a run made it, or its adoption is recorded.
    Made,
    /// A call of a run made it, and a hand took our tags off before the ledger had its id.
    Disowned,
    /// An administrator named its id; its adoption is not recorded yet.
    Adopted,
    /// A hand made it with the values of an intent that was open: no run can tell it from ours.
    Imitation,
    /// A hand made it.
    Foreign,
}

impl Association {
    pub(crate) fn is_made(&self) -> bool {
        self.origin == Origin::Made
    }
}

/// DynamoDB.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    pub(crate) bindings: [Binding; 2],
    pub(crate) conditions: [Condition; 2],
    /// `AccountRecord::held`.
    pub(crate) held: [Option<Held>; 2],
    pub(crate) memory: Memory,
    pub(crate) lease: Lease,
}

/// The current word on a service account; version 0 when there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Binding {
    pub(crate) version: u8,
    pub(crate) role: Option<Roles>,
}

/// How far a binding has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Condition {
    pub(crate) version: u8,
    pub(crate) is: Is,
    /// Whether the association may still be there although it was given up.
    pub(crate) leaving: bool,
    /// Whether the binding that it was written for wants the account.
    pub(crate) wanted: bool,
    /// Id of the association that an administrator lets the binding adopt; or 0.
    pub(crate) adopts: u8,
    pub(crate) intents: Intents,
}

impl Condition {
    pub(crate) fn is_finished(&self, version: u8) -> bool {
        matches!(self.is, Is::Ready | Is::Removed) && !self.leaving && self.version == version
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Is {
    #[default]
    Pending,
    Ready,
    Removed,
    Blocked,
}

/// The association that the ledger remembers to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) id: u8,
    pub(crate) role: Roles,
}

/// What the ledger lets a creation make, by role.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Intents([Option<Intent>; 3]);

/// `Intent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Intent {
    /// Associations whose id is lower were made before it was recorded.
    pub(crate) since: u8,
    /// How long it stays open.
    pub(crate) open: Open,
}

/// How long an intent stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Open {
    /// While the binding stands.
    Always,
    /// Longer than a late call or the next reconciliation takes.
    Long,
    /// It may be over at any moment.
    Little,
}

impl Intents {
    fn at(role: Roles) -> usize {
        usize::try_from(role.trailing_zeros()).unwrap_or_default().min(2)
    }

    /// Whether there is an open intent to make just that.
    pub(crate) fn allows(&self, role: Roles) -> bool {
        self.0[Self::at(role)].is_some()
    }

    /// Whether there is one that does not expire.
    pub(crate) fn always_allows(&self, role: Roles) -> bool {
        self.0[Self::at(role)].is_some_and(|intent| intent.open == Open::Always)
    }

    /// `Intent::accounts_for`, but for the tags.
    pub(crate) fn account_for(&self, id: u8, role: Roles) -> bool {
        self.0[Self::at(role)].is_some_and(|intent| id >= intent.since)
    }

    /// `Condition::intend`.
    pub(crate) fn intend(&mut self, role: Roles, next_id: u8) {
        let intent = &mut self.0[Self::at(role)];
        let since = intent.map_or(next_id, |intent| intent.since);
        *intent = Some(Intent { since, open: Open::Always });
    }

    /// `expire_intents`: those that there are, and one for what was held.
    pub(crate) fn expire(&mut self, held: Option<Held>, since: u8) {
        let stand = |intent: &&mut Intent| intent.open == Open::Always;
        self.0.iter_mut().flatten().filter(stand).for_each(|intent| intent.open = Open::Long);
        if let Some(held) = held {
            self.0[Self::at(held.role)] = Some(Intent { since, open: Open::Long });
        }
    }

    /// The time for which they stay open after a removal is nearly over, or over.
    pub(crate) fn age(&mut self, from: Open) {
        for one in &mut self.0 {
            match one {
                Some(intent) if intent.open == from && from == Open::Long => {
                    intent.open = Open::Little;
                }
                Some(intent) if intent.open == from => *one = None,
                _ => {}
            }
        }
    }

    pub(crate) fn can_age(&self, from: Open) -> bool {
        self.0.iter().flatten().any(|intent| intent.open == from)
    }

    /// Makes intents alike that account for the same of what stands there and of what may come.
    pub(crate) fn normalize(&mut self, stands: Option<Association>) {
        for intent in self.0.iter_mut().flatten() {
            let older = stands.filter(|one| one.id < intent.since);
            intent.since = older.map_or(1, |one| one.id + 1);
        }
    }
}

/// What a run was told of its account by the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Known {
    pub(crate) held: Option<Held>,
    pub(crate) intents: Intents,
    pub(crate) adopts: u8,
    pub(crate) leaving: bool,
}

/// The association that a run was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) id: u8,
    pub(crate) role: Roles,
    pub(crate) tagged: bool,
}

impl From<Association> for Seen {
    fn from(Association { id, role, tagged, .. }: Association) -> Self {
        Self { id, role, tagged }
    }
}

/// `Verdict`, or that there is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    #[default]
    Nothing,
    /// Managed, or not confirmed yet.
    Ours,
    Adoptable,
    Orphan,
    Foreign,
}

/// `NodePolicyRecord`: what the policy is to list, of which IAM has the projection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// What the policy is to list, written down before IAM is told.
    pub(crate) assigned: Roles,
    /// The version that listed it: what others had listed up to that one is in it.
    pub(crate) version: u8,
    /// Whether IAM may not have it.
    pub(crate) pending: bool,
    /// Roles that an observation found unused; the grace period runs.
    pub(crate) unused: Roles,
    /// Roles that an observation a grace period ago found unused.
    pub(crate) unused_long: Roles,
}

/// Who may change the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) holder: Holder,
    pub(crate) rest: Rest,
    /// `abandoned_until`: whether a run that lost it may still have an effect that no run knows.
    pub(crate) abandoned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Free,
    Runner(usize),
    /// A run that has crashed.
    Dead,
}

/// How much is left of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rest {
    /// Longer than the longest call.
    Enough,
    /// Calls that were made may still end.
    Little,
    /// Anybody may take it.
    Over,
}

impl Lease {
    pub(crate) const FREE: Self = Self { holder: Holder::Free, rest: Rest::Over, abandoned: false };

    pub(crate) fn is_of(&self, runner: usize) -> bool {
        self.holder == Holder::Runner(runner)
    }
}

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Delivery {
    Waiting,
    Taken,
    Done,
}

/// A call that changes something, on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Call {
    WriteVersion {
        roles: Roles,
    },
    Create {
        place: usize,
        role: Roles,
        version: u8,
    },
    Update {
        place: usize,
        id: u8,
        role: Roles,
        version: u8,
        /// Whether our tags are put back first.
        tags: bool,
    },
    Delete {
        place: usize,
        id: u8,
    },
}

/// What a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Job {
    Event(usize),
    /// `reconcile` found that an account needs work.
    Repair,
    /// A trimming run.
    Reconcile,
}

/// Where a run is: what it does next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    #[default]
    Idle,
    Take,
    Load,
    Look,
    ReadPolicy,
    Intend,
    Renew,
    Assign,
    Write,
    ReadSkipped,
    Place,
    LookAgain,
    Record,
}

/// A run, or the place of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Runner {
    pub(crate) job: Option<Job>,
    pub(crate) account: usize,
    pub(crate) step: Step,
    pub(crate) call: Option<Call>,
    /// The desired state as it was read under the lease.
    pub(crate) binding: Option<Binding>,
    pub(crate) has_condition: bool,
    /// Whether the condition was written by somebody else since it was read.
    pub(crate) already_superseded: bool,
    pub(crate) memory: Memory,
    /// Whether the lease's last holder ended without saying what it did.
    pub(crate) abandoned: bool,
    pub(crate) known: Known,
    /// The association that was seen, and whose it is.
    pub(crate) seen: Option<Seen>,
    pub(crate) verdict: Verdict,
    /// Id of the association that a removal deletes; or 0.
    pub(crate) deletes: u8,
    /// Id of the association that stands for the binding; or 0.
    pub(crate) stands: u8,
    /// The version up to which everything is in what shall be listed; 0 until that was worked out.
    pub(crate) base: u8,
    /// What the policy shall list.
    pub(crate) listed: Roles,
    /// Roles whose grant this run assigns.
    pub(crate) adds: Roles,
    /// Whether it writes what was assigned before.
    pub(crate) finishes: bool,
    pub(crate) trims: Roles,
    /// The version that skipped another one.
    pub(crate) skipping: u8,
    /// The version that was written and is known to have lost nothing; or 0.
    pub(crate) written: u8,
    pub(crate) merges: u8,
    /// Whether the association is to be made, changed or deleted.
    pub(crate) places: bool,
    pub(crate) is_blocked: bool,
    pub(crate) has_failed: bool,
    /// Of a trimming run: roles that bindings name, and that associations use.
    pub(crate) named: Roles,
    pub(crate) used: Roles,
    /// Of a trimming run: roles that it found unused.
    pub(crate) unused: Roles,
    /// The first id that was not given away when it looked.
    pub(crate) looked_at: u8,
}
