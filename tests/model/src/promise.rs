//! What has to hold, state by state. `docs/invariants.md` says it in words.

use stateright::{Expectation, Model, Property};

use crate::association::LAST;
use crate::protocol::Protocol;
use crate::state::{Holder, Is, NONE, Rest, Roles, State};

/// A promise that a search looks for a breach of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A role is in the policy when an association with it is made or changed.
    GrantBeforeBind,
    /// The role of every association of ours is in the policy in force, or in a version that
    /// the run that wrote over it, or the next one, merges.
    BoundStaysGranted,
    /// The role of every association of ours is in the policy in force, at every moment.
    BoundIsGrantedNow,
    /// No association of ours uses a role at the moment at which it leaves the policy.
    UnbindBeforeTrim,
    /// No foreign association does either, even one made a moment before.
    NobodyBindsBeforeTheTrim,
    /// No association that was there when the trimming run looked uses the role that leaves.
    SeenBeforeTrim,
    /// A foreign association that was replaced within a grace period finds its role listed.
    ReplacementKeepsItsGrant,
    /// What is deleted is ours, and was given up by a removal newer than the assignment that
    /// it was made for.
    DeleteWhatWasRemoved,
    /// The removal is still the ledger's word at the moment of the deletion.
    DeleteWhileRemoved,
    /// Foreign associations are never changed or deleted.
    ForeignUntouched,
    /// Nobody but the holder of the lease writes conditions and memory, or gives it back.
    Fenced,
    /// At most one call that changes something is under way, and the lease is its run's.
    OneWriter,
    /// At rest every role that anybody listed and nobody trimmed is in the policy, or in a
    /// version that the next run merges because nobody was told of it.
    NothingLost,
    /// At rest every place is as the latest event says, and its condition says so.
    RightEnd,
    /// There is always something that can happen until all is done.
    NeverStuck,
    /// Whenever no run is under way, delivering everything and the latest word once more,
    /// without faults, makes everything right.
    Converges,
    /// The same, but that an association that was made after its removal may stay until a
    /// complete observation finds it.
    BoundConverges,
}

impl Promise {
    /// What holds while calls keep to their time.
    pub const WITHIN_THE_MARGIN: [Self; 14] = [
        Self::GrantBeforeBind,
        Self::BoundStaysGranted,
        Self::UnbindBeforeTrim,
        Self::NobodyBindsBeforeTheTrim,
        Self::SeenBeforeTrim,
        Self::ReplacementKeepsItsGrant,
        Self::DeleteWhatWasRemoved,
        Self::ForeignUntouched,
        Self::Fenced,
        Self::OneWriter,
        Self::NothingLost,
        Self::RightEnd,
        Self::NeverStuck,
        Self::Converges,
    ];

    /// The same, while somebody may bind at any moment a role that is about to be trimmed.
    pub const WITH_A_FOREIGN_CREATOR: [Self; 12] = [
        Self::GrantBeforeBind,
        Self::BoundStaysGranted,
        Self::UnbindBeforeTrim,
        Self::SeenBeforeTrim,
        Self::DeleteWhatWasRemoved,
        Self::ForeignUntouched,
        Self::Fenced,
        Self::OneWriter,
        Self::NothingLost,
        Self::RightEnd,
        Self::NeverStuck,
        Self::Converges,
    ];

    /// What holds whenever calls have their effect.
    pub const BEYOND_THE_MARGIN: [Self; 4] =
        [Self::ForeignUntouched, Self::Fenced, Self::NeverStuck, Self::BoundConverges];

    pub(crate) const fn bit(self) -> u16 {
        1 << self as u16
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GrantBeforeBind => "grant before bind",
            Self::BoundStaysGranted => "bound stays granted",
            Self::BoundIsGrantedNow => "bound is granted now",
            Self::UnbindBeforeTrim => "unbind before trim",
            Self::NobodyBindsBeforeTheTrim => "nobody binds before the trim",
            Self::SeenBeforeTrim => "seen before trim",
            Self::ReplacementKeepsItsGrant => "replacement keeps its grant",
            Self::DeleteWhatWasRemoved => "delete what was removed",
            Self::DeleteWhileRemoved => "delete while removed",
            Self::ForeignUntouched => "foreign untouched",
            Self::Fenced => "fenced",
            Self::OneWriter => "one writer",
            Self::NothingLost => "nothing lost",
            Self::RightEnd => "right end",
            Self::NeverStuck => "never stuck",
            Self::Converges => "converges",
            Self::BoundConverges => "bound converges",
        }
    }

    fn holds(self, protocol: &Protocol, state: &State) -> bool {
        match self {
            Self::BoundStaysGranted => state.bound() & !state.granted_or_merged_next() == NONE,
            Self::BoundIsGrantedNow => state.bound() & !state.policy.granted() == NONE,
            Self::OneWriter => one_writer(state),
            Self::NothingLost => {
                !state.is_at_rest() || state.history.owed & !state.granted_or_merged_next() == NONE
            }
            Self::RightEnd => !state.is_at_rest() || protocol.is_right(state, After::Deliveries),
            Self::NeverStuck => {
                let mut actions = Vec::new();
                protocol.actions(state, &mut actions);
                !actions.is_empty() || state.is_at_rest()
            }
            Self::Converges => !state.is_quiet() || protocol.converges(state, After::Repetition),
            Self::BoundConverges => {
                !state.is_quiet() || protocol.converges(state, After::LateCreation)
            }
            _ => state.history.breaches & self.bit() == 0,
        }
    }

    pub(crate) fn property(self) -> Property<Protocol> {
        // A property takes a function, which captures nothing.
        macro_rules! always {
            ($($promise:ident),*) => {
                match self {
                    $(Self::$promise => |protocol: &Protocol, state: &State| {
                        Self::$promise.holds(protocol, state)
                    },)*
                }
            };
        }
        let condition: fn(&Protocol, &State) -> bool = always!(
            GrantBeforeBind,
            BoundStaysGranted,
            BoundIsGrantedNow,
            UnbindBeforeTrim,
            NobodyBindsBeforeTheTrim,
            SeenBeforeTrim,
            ReplacementKeepsItsGrant,
            DeleteWhatWasRemoved,
            DeleteWhileRemoved,
            ForeignUntouched,
            Fenced,
            OneWriter,
            NothingLost,
            RightEnd,
            NeverStuck,
            Converges,
            BoundConverges
        );
        Property { expectation: Expectation::Always, name: self.name(), condition }
    }
}

/// When everything is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// All records are done.
    Deliveries,
    /// And the latest word came once more.
    Repetition,
    /// And an association may have been made after its removal.
    LateCreation,
}

fn one_writer(state: &State) -> bool {
    let calls = state.runners.iter().enumerate().filter(|(_, runner)| runner.call.is_some());
    let strangers = calls.clone().filter(|(run, _)| !state.ledger.lease.is_of(*run)).count();
    let adrift = state.adrift.len();
    let dead = state.ledger.lease.holder == Holder::Dead;
    strangers == 0 && calls.count() + adrift <= 1 && (adrift == 0 || dead)
}

impl State {
    fn bound(&self) -> Roles {
        let ours = self.associations.iter().flatten().filter(|one| one.ours);
        ours.fold(NONE, |roles, one| roles | one.role)
    }

    fn granted_or_merged_next(&self) -> Roles {
        let unannounced = self.ledger.memory.announced + 1..self.policy.newest();
        let merged = unannounced.map(|version| self.policy.roles(version));
        merged.fold(self.policy.granted(), |all, roles| all | roles)
    }
}

impl Protocol {
    /// Whether every place is as the ledger says, and the ledger as the latest event. A place
    /// that somebody else has, or had until a moment ago, is right when the condition says so.
    pub(crate) fn is_right(&self, state: &State, after: After) -> bool {
        let after_all = after != After::Deliveries;
        (0..state.associations.len()).all(|account| {
            let latest = self.setup.events.iter().filter(|event| event.account == account);
            let latest = latest.map(|event| event.version).max().unwrap_or_default();
            let binding = state.ledger.bindings[account];
            let condition = state.ledger.conditions[account];
            let version = if after_all && latest > 0 { LAST } else { latest };
            let found = state.associations[account];
            let says =
                |is| condition.is == is && condition.version == version && !condition.leaving;
            let stands = match (binding.role, found) {
                (Some(role), Some(found)) if found.ours => {
                    let lags = !after_all && !self.setup.deeds.is_empty() && says(Is::Blocked);
                    let is_granted = state.policy.granted() & role != NONE;
                    found.role == role && is_granted && (says(Is::Ready) || lags)
                }
                (Some(_), Some(_)) => says(Is::Blocked),
                (Some(_), None) => says(Is::Blocked) && !after_all,
                // One that only carries our tag stays.
                (None, Some(found)) if found.ours => {
                    version == 0 || found.version == 0 || after == After::LateCreation
                }
                (None, _) => version == 0 || says(Is::Removed),
            };
            stands && binding.version == version
        })
    }
}

/// Something that a search has to come across, or it would prove little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// All is done.
    Rest,
    /// Both runs are under way, one of them with the lease.
    TwoRuns,
    /// A run is under way whose lease somebody else has taken.
    TakenOver,
    /// A run has merged another writer's version.
    Merged,
    /// A role was trimmed.
    Trimmed,
    /// A place was taken by somebody else.
    Blocked,
}

impl Reached {
    pub(crate) const ALL: [Self; 6] =
        [Self::Rest, Self::TwoRuns, Self::TakenOver, Self::Merged, Self::Trimmed, Self::Blocked];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::TwoRuns => "two runs",
            Self::TakenOver => "taken over",
            Self::Merged => "merged",
            Self::Trimmed => "trimmed",
            Self::Blocked => "blocked",
        }
    }

    pub(crate) fn property(self) -> Property<Protocol> {
        let condition: fn(&Protocol, &State) -> bool = match self {
            Self::Rest => |_, state| state.is_at_rest(),
            Self::TwoRuns => |_, state| {
                state.runners.iter().all(|runner| runner.job.is_some())
                    && matches!(state.ledger.lease.holder, Holder::Runner(_))
            },
            Self::TakenOver => |_, state| {
                let lease = state.ledger.lease;
                let strange = |run: usize| {
                    state.runners[run].base != 0 && !lease.is_of(run) && lease.rest != Rest::Over
                };
                strange(0) || strange(1)
            },
            Self::Merged => |_, state| state.runners.iter().any(|runner| runner.merges > 0),
            Self::Trimmed => |_, state| state.history.trimmed,
            Self::Blocked => |_, state| {
                state.ledger.conditions.iter().any(|condition| condition.is == Is::Blocked)
            },
        };
        Property { expectation: Expectation::Sometimes, name: self.name(), condition }
    }
}
