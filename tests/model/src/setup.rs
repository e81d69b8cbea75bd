//! What a search starts from, what may go wrong in it, and what is left out.

use crate::promise::Promise;
use crate::state::{A, B, C, NONE, Roles};

/// A change of a service account's binding, as it comes from the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The service account, 0 or 1; each has a place of its own.
    pub account: usize,
    /// Greater is later.
    pub version: u8,
    /// The role that is assigned; none takes it away.
    pub role: Option<Roles>,
}

/// What somebody who is not ours does, at any time but in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Makes an association at a place that is free.
    Creates {
        /// Where.
        place: usize,
        /// With which role.
        role: Roles,
    },
    /// Deletes their own association.
    Removes {
        /// Where.
        place: usize,
    },
    /// Makes their association again, before a grace period is over.
    Recreates {
        /// Where.
        place: usize,
        /// With which role.
        role: Roles,
    },
    /// Lets the binding that wants a place adopt the association that stands there.
    Adopts {
        /// Where.
        place: usize,
    },
    /// Adds a role to the policy, in one go.
    Lists {
        /// Which.
        role: Roles,
    },
    /// Takes a role out of the policy.
    Unlists {
        /// Which.
        role: Roles,
    },
    /// Puts the desired state on the policy back to what it was in the beginning.
    Restores,
    /// Reads the newest version of the policy, to write it later.
    Reads,
    /// Writes what was read, and a role more.
    Writes {
        /// Which.
        role: Roles,
    },
}

/// What a hand that is not ours does to the association of the first account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hand {
    /// Makes one where there is none.
    Creates {
        /// With which role.
        role: Roles,
        /// Whether with our tags.
        tagged: bool,
    },
    /// Deletes what is there.
    Deletes,
    /// Puts our tags on what is there.
    Tags,
    /// Takes our tags off what is there.
    Untags,
}

/// Whether the time that a lease keeps in hand is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Margin {
    /// Every call has had its effect, or never will, before the lease is over,
    /// and before the run that made it goes on.
    Kept,
    /// A call of a run that was halted, or died, can have its effect after the lease.
    Late,
    /// So can a call that its run gave up on.
    Broken,
}

/// A protective step, left out to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omission {
    /// An older event replaces a newer one.
    VersionOrder,
    /// A call starts whatever is left of the lease.
    LeaseCheck,
    /// No lease is waited for.
    Lease,
    /// The ledger is read and the cluster observed before the lease is had.
    LeaseBeforeObservation,
    /// A number that skips another version is not looked at.
    SkippedVersion,
    /// Of several versions that a number skips only the last is looked at.
    EarlierSkippedVersions,
    /// IAM is written before the ledger says what the policy is to list.
    Assignment,
    /// What was assigned by a run that died counts as written.
    Pending,
    /// What others listed in versions that a reconciliation finds is not taken in.
    TakenIn,
    /// The association comes before its grant.
    GrantFirst,
    /// The ledger is written, and the lease given back, whosever it is.
    Fence,
    /// What the ledger does not know is deleted as if it remembered its removal.
    Memory,
    /// A foreign association is taken for one of ours.
    Ownership,
    /// No intent is written before an association is made.
    Intent,
    /// The id of the association that stands for a binding is not recorded.
    Held,
    /// A removal closes the intents at once.
    IntentAfterRemoval,
    /// A bound account closes its intents although a run that died may still make something.
    AbandonedIntent,
    /// An intent that expires is not renewed before an association is made.
    RenewedIntent,
    /// The id of an association that an intent accounts for is not recorded before it is changed.
    Confirmation,
    /// What carries our tags is taken for ours.
    TagIsNoProof,
    /// A role is trimmed after one observation.
    SecondObservation,
    /// A role is trimmed without a look at the associations.
    Observation,
    /// A version that a trim wrote over is not merged.
    TrimMerge,
}

/// Where a search starts and how far it goes.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What it is called.
    pub name: &'static str,
    /// What comes from the bus, each at least once, in any order.
    pub events: Vec<Event>,
    /// How many things may go wrong: a crash, a call that fails before or after its effect, a
    /// lease that runs out, an old version that IAM shows, a second delivery.
    pub mishaps: u8,
    /// How many runs trim and repair the policy.
    pub reconciles: u8,
    /// How many runs of `reconcile` repair an account.
    pub repairs: u8,
    /// What others do.
    pub deeds: Vec<Deed>,
    /// How often a hand does something at any time: makes or deletes an association, tags or
    /// untags one.
    pub hands: u8,
    /// The roles of what a hand makes.
    pub hand_roles: Roles,
    /// Roles that the first version of the policy lists.
    pub listed: Roles,
    /// The role of a foreign association that stands at each place from the beginning.
    pub foreign: [Roles; 2],
    /// The role of an association with our tag, of which the ledger knows nothing.
    pub orphans: [Roles; 2],
    /// Whether calls keep to their time.
    pub margin: Margin,
    /// What is left out.
    pub without: Option<Omission>,
    /// What has to hold.
    pub promises: Vec<Promise>,
}

const fn assigned(account: usize, version: u8, role: Roles) -> Event {
    Event { account, version, role: Some(role) }
}

const fn unassigned(account: usize, version: u8) -> Event {
    Event { account, version, role: None }
}

impl Setup {
    fn new(name: &'static str, events: &[Event], mishaps: u8) -> Self {
        Self {
            name,
            events: events.to_vec(),
            mishaps,
            reconciles: 0,
            repairs: 0,
            deeds: Vec::new(),
            hands: 0,
            hand_roles: C,
            listed: NONE,
            foreign: [NONE; 2],
            orphans: [NONE; 2],
            margin: Margin::Kept,
            without: None,
            promises: Promise::WITHIN_THE_MARGIN.to_vec(),
        }
    }

    /// The same with another number of mishaps.
    #[must_use]
    pub fn mishaps(self, mishaps: u8) -> Self {
        Self { mishaps, ..self }
    }

    /// The same without a protective step.
    #[must_use]
    pub fn without(self, step: Omission) -> Self {
        Self { without: Some(step), ..self }
    }

    /// The same with calls that may have their effect too late.
    #[must_use]
    pub fn beyond_the_margin(self) -> Self {
        Self { margin: Margin::Broken, promises: Promise::BEYOND_THE_MARGIN.to_vec(), ..self }
    }

    /// The same with calls of halted and dead runs that have their effect too late.
    #[must_use]
    pub fn with_late_calls(self) -> Self {
        Self { margin: Margin::Late, promises: Promise::WITH_LATE_CALLS.to_vec(), ..self }
    }

    /// The same with other promises.
    #[must_use]
    pub fn promising(self, promises: &[Promise]) -> Self {
        Self { promises: promises.to_vec(), ..self }
    }

    /// The same with what others do.
    #[must_use]
    pub fn beside(self, deeds: &[Deed]) -> Self {
        Self { deeds: deeds.to_vec(), ..self }
    }

    pub(crate) fn omits(&self, step: Omission) -> bool {
        self.without == Some(step)
    }
}

/// The setups that are searched, by name.
pub mod setups {
    use super::{A, B, C, Deed, NONE, Promise, Setup, assigned, unassigned};

    /// One service account: a role, another, none.
    #[must_use]
    pub fn one_account() -> Setup {
        Setup::new("one account", &[assigned(0, 1, A), assigned(0, 2, B), unassigned(0, 3)], 1)
    }

    /// One service account: a role, none, a role again.
    #[must_use]
    pub fn assigned_again() -> Setup {
        Setup::new("assigned again", &[assigned(0, 1, A), unassigned(0, 2), assigned(0, 3, B)], 1)
    }

    /// Two service accounts whose roles go into one policy.
    #[must_use]
    pub fn two_accounts() -> Setup {
        Setup::new("two accounts", &[assigned(0, 1, A), assigned(1, 1, B)], 2)
    }

    /// Two service accounts and somebody who writes the policy too.
    #[must_use]
    pub fn foreign_policy_writer() -> Setup {
        let promises: Vec<Promise> = Promise::WITHIN_THE_MARGIN.to_vec();
        Setup::new("foreign policy writer", &[assigned(0, 1, A), assigned(1, 1, B)], 1)
            .beside(&[Deed::Lists { role: C }])
            .promising(&promises)
    }

    /// The desired state on the policy is lost to an older one.
    #[must_use]
    pub fn restored_policy() -> Setup {
        Setup {
            reconciles: 1,
            ..Setup::new("restored policy", &[assigned(0, 1, A), assigned(1, 1, B)], 1)
        }
        .beside(&[Deed::Restores])
        .promising(&Promise::AFTER_A_RESTORE)
    }

    /// A hand takes a role out of the policy, and a reconciliation puts it back.
    #[must_use]
    pub fn unlisting_hand() -> Setup {
        Setup {
            reconciles: 1,
            ..Setup::new("unlisting hand", &[assigned(0, 1, A), assigned(1, 1, B)], 1)
        }
        .beside(&[Deed::Unlists { role: A }])
        .promising(&Promise::WITH_AN_UNLISTING_HAND)
    }

    /// Somebody makes an association where one of ours shall be, and takes it away again.
    #[must_use]
    pub fn foreign_creator() -> Setup {
        Setup::new("foreign creator", &[assigned(0, 1, A), assigned(0, 2, B)], 1)
            .beside(&[Deed::Creates { place: 0, role: C }, Deed::Removes { place: 0 }])
    }

    /// A role that no binding uses any more is trimmed while others are bound.
    #[must_use]
    pub fn trim() -> Setup {
        Setup {
            reconciles: 2,
            listed: B,
            ..Setup::new("trim", &[assigned(0, 1, A), assigned(0, 2, B)], 1)
        }
    }

    /// A role is given up, trimmed and assigned again.
    #[must_use]
    pub fn trim_and_return() -> Setup {
        Setup {
            reconciles: 2,
            ..Setup::new(
                "trim and return",
                &[assigned(0, 1, A), unassigned(0, 2), assigned(0, 3, A)],
                1,
            )
        }
    }

    /// A foreign association is replaced while roles are trimmed.
    #[must_use]
    pub fn foreign_replacement() -> Setup {
        Setup {
            reconciles: 3,
            listed: C,
            foreign: [NONE, C],
            ..Setup::new("foreign replacement", &[assigned(0, 1, A)], 1)
                .beside(&[Deed::Removes { place: 1 }, Deed::Recreates { place: 1, role: C }])
        }
    }

    /// Somebody binds a role, and another lists one, while roles are trimmed.
    #[must_use]
    pub fn foreign_hands_at_a_trim() -> Setup {
        Setup {
            reconciles: 3,
            listed: C,
            ..Setup::new("foreign hands at a trim", &[assigned(0, 1, A)], 0)
                .beside(&[Deed::Creates { place: 1, role: C }])
                .promising(&Promise::WITH_A_FOREIGN_CREATOR)
        }
    }

    /// Somebody else writes the policy while a role is trimmed.
    #[must_use]
    pub fn foreign_policy_writer_at_a_trim() -> Setup {
        Setup {
            reconciles: 2,
            listed: B,
            ..Setup::new("foreign policy writer at a trim", &[assigned(0, 1, A)], 1)
                .beside(&[Deed::Lists { role: C }])
        }
    }

    /// An association with our tag that the ledger does not know.
    #[must_use]
    pub fn orphan() -> Setup {
        Setup {
            reconciles: 1,
            listed: C,
            orphans: [NONE, C],
            ..Setup::new("orphan", &[assigned(0, 1, A), unassigned(0, 2)], 1)
        }
    }

    /// A hand makes, deletes, tags and untags what it likes at the account that is bound.
    #[must_use]
    pub fn foreign_hand() -> Setup {
        Setup {
            repairs: 1,
            hands: 2,
            ..Setup::new("foreign hand", &[assigned(0, 1, A), unassigned(0, 2)], 1)
        }
    }

    /// The same, and the hand also makes what has the values of the binding.
    #[must_use]
    pub fn imitating_hand() -> Setup {
        Setup { name: "imitating hand", hand_roles: A | C, ..foreign_hand() }
    }

    /// A hand does the same while the role changes.
    #[must_use]
    pub fn foreign_hand_at_a_change() -> Setup {
        Setup {
            hands: 2,
            ..Setup::new("foreign hand at a change", &[assigned(0, 1, A), assigned(0, 2, B)], 1)
        }
    }

    /// A hand takes away what stands while the account is removed, bound again and repaired.
    #[must_use]
    pub fn repaired() -> Setup {
        let events = [assigned(0, 1, A), unassigned(0, 2), assigned(0, 3, A)];
        Setup { repairs: 1, hands: 1, ..Setup::new("repaired", &events, 1) }
    }

    /// An administrator lets a binding adopt what stands at its place.
    #[must_use]
    pub fn adoption() -> Setup {
        let events = [assigned(0, 1, A), assigned(0, 2, B), unassigned(0, 3)];
        Setup { listed: C, foreign: [C, NONE], ..Setup::new("adoption", &events, 1) }
            .beside(&[Deed::Adopts { place: 0 }])
    }

    /// Every setup, each at its usual size.
    #[must_use]
    pub fn all() -> Vec<Setup> {
        vec![
            one_account(),
            assigned_again(),
            two_accounts(),
            foreign_policy_writer(),
            restored_policy(),
            unlisting_hand(),
            foreign_creator(),
            trim(),
            trim_and_return(),
            foreign_replacement(),
            foreign_hands_at_a_trim(),
            foreign_policy_writer_at_a_trim(),
            orphan(),
            foreign_hand(),
            imitating_hand(),
            foreign_hand_at_a_change(),
            repaired(),
            adoption(),
        ]
    }
}
