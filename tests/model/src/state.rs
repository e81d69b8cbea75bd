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
    /// How many deeds were done, and what was read for the next.
    pub(crate) deeds_done: u8,
    pub(crate) deed_read: Roles,
    pub(crate) history: History,
}

/// What nobody in the protocol can see; only promises look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// The latest removal that was ever the ledger's word.
    pub(crate) removed: [u8; 2],
    /// Roles that somebody listed and nobody trimmed.
    pub(crate) owed: Roles,
    /// Whether a role was ever trimmed.
    pub(crate) trimmed: bool,
    /// Broken promises, a bit each.
    pub(crate) breaches: u16,
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
    /// Whether it carries our tag.
    pub(crate) ours: bool,
    /// The version of the assignment that it was made or changed for; 0 if none of ours.
    pub(crate) version: u8,
}

/// DynamoDB.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    pub(crate) bindings: [Binding; 2],
    pub(crate) conditions: [Condition; 2],
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

/// `NodePolicyRecord`, and what a trimming run adds to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// The version that was written last, while IAM may show an older one; 0 when it need not.
    pub(crate) written: u8,
    /// The version that the bus was told of.
    pub(crate) announced: u8,
    /// Roles that an observation found unused; the grace period runs.
    pub(crate) unused: Roles,
    /// Roles that an observation a grace period ago found unused.
    pub(crate) unused_long: Roles,
    /// Roles that are being trimmed: a version that lists them may be an old one.
    pub(crate) trimming: Roles,
}

/// Who may change the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) holder: Holder,
    pub(crate) rest: Rest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Nobody,
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
    pub(crate) const FREE: Self = Self { holder: Holder::Nobody, rest: Rest::Over };

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
    /// Associations whose id is lower than `looked_at` were there when the run that trims looked.
    WriteVersion {
        roles: Roles,
        trims: Roles,
        looked_at: u8,
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
    Reconcile,
}

/// Where a run is: what it does next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    #[default]
    Idle,
    Take,
    Load,
    Look,
    ReadPolicy,
    Renew,
    Note,
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
    /// The ledger's word as it was read under the lease.
    pub(crate) binding: Option<Binding>,
    pub(crate) has_condition: bool,
    /// Whether the condition was written by somebody else since it was read.
    pub(crate) overtaken: bool,
    pub(crate) memory: Memory,
    /// The association that was seen.
    pub(crate) seen: Option<Association>,
    /// The version of the policy that IAM showed; or 0.
    pub(crate) shown: u8,
    /// The version that the next one is written over; 0 until the policy was read.
    pub(crate) base: u8,
    /// What the policy was seen to list, and then what it shall list.
    pub(crate) listed: Roles,
    /// Roles of versions that nobody was told of, which the one that was seen lacks.
    pub(crate) overwritten: Roles,
    /// Roles whose grant this run writes.
    pub(crate) adds: Roles,
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
    /// Of a trimming run: the first id that was not given away when it looked.
    pub(crate) looked_at: u8,
}
