//! What has to hold, state by state. `docs/invariants.md` says it in words.

use stateright::{Expectation, Model, Property};

use crate::association::LAST;
use crate::protocol::Protocol;
use crate::state::{
    Association, Holder, Is, Ledger, NONE, Origin, Rest, Roles, Runner, State, Verdict,
};

/// A promise that a search looks for a breach of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A role is in the policy when an association with it is made or changed.
    GrantBeforeBind,
    /// The role of every association of ours is in the policy in force, at every moment.
    BoundStaysGranted,
    /// It is there, or in a version that the run that wrote over it, or the next one, merges.
    BoundIsMergedNext,
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
    /// The removal is still the desired state at the moment of the deletion.
    DeleteWhileRemoved,
    /// An association that no run made and no administrator named is never changed or deleted,
    /// whatever its tags, unless a hand made it with the values of an intent that was open.
    ForeignUntouched,
    /// One that a hand made so is not changed or deleted either.
    ImitationUntouched,
    /// *Removed* is said only while no association stands there that a run made, unless a hand
    /// took our tags off it before the ledger had its id.
    RemovedIsTrue,
    /// One of which a hand did so does not stand there either.
    RemovedIsTrueOfDisowned,
    /// Nobody but the holder of the lease writes conditions and memory, or gives it back.
    Fenced,
    /// At most one call that changes something is under way, and the lease is its run's.
    OneWriter,
    /// At rest every role that anybody listed and nobody trimmed is in the policy, or in a
    /// version that the next writer, or a reconciliation, merges because the ledger does not know it.
    NothingLost,
    /// At rest every place is as the latest event says, and its condition says so.
    RightEnd,
    /// There is always something that can happen until all is done.
    NeverStuck,
    /// Whenever no run is under way, delivering everything and the latest word once more,
    /// without faults, makes everything right.
    Converges,
    /// Whenever no run is under way, delivering everything and a complete reconciliation, without
    /// faults, make everything right: what was removed is gone, what is bound is as the binding
    /// says, and what is not ours is reported.
    ReconcileConverges,
    /// Delivering everything, a look at the policy and the latest word once more make everything right,
    /// but that an association that was made after its removal may stay until a complete observation
    /// finds it.
    BoundConverges,
    /// The same, but that a creation whose run gave it up may have its effect after its intent was
    /// closed: it is an orphan, and the account is blocked by it.
    BoundConvergesOrIsBlocked,
}

impl Promise {
    /// What holds while calls keep to their time.
    pub const WITHIN_THE_MARGIN: [Self; 16] = [
        Self::GrantBeforeBind,
        Self::BoundStaysGranted,
        Self::UnbindBeforeTrim,
        Self::NobodyBindsBeforeTheTrim,
        Self::SeenBeforeTrim,
        Self::ReplacementKeepsItsGrant,
        Self::DeleteWhatWasRemoved,
        Self::ForeignUntouched,
        Self::RemovedIsTrue,
        Self::Fenced,
        Self::OneWriter,
        Self::NothingLost,
        Self::RightEnd,
        Self::NeverStuck,
        Self::Converges,
        Self::ReconcileConverges,
    ];

    /// The same, while somebody may bind at any moment a role that is about to be trimmed.
    pub const WITH_A_FOREIGN_CREATOR: [Self; 14] = [
        Self::GrantBeforeBind,
        Self::BoundStaysGranted,
        Self::UnbindBeforeTrim,
        Self::SeenBeforeTrim,
        Self::DeleteWhatWasRemoved,
        Self::ForeignUntouched,
        Self::RemovedIsTrue,
        Self::Fenced,
        Self::OneWriter,
        Self::NothingLost,
        Self::RightEnd,
        Self::NeverStuck,
        Self::Converges,
        Self::ReconcileConverges,
    ];

    /// What holds although the desired state on the policy was lost to an older one.
    pub const AFTER_A_RESTORE: [Self; 11] = [
        Self::GrantBeforeBind,
        Self::BoundIsMergedNext,
        Self::UnbindBeforeTrim,
        Self::DeleteWhatWasRemoved,
        Self::ForeignUntouched,
        Self::RemovedIsTrue,
        Self::Fenced,
        Self::OneWriter,
        Self::NothingLost,
        Self::NeverStuck,
        Self::ReconcileConverges,
    ];

    /// What holds although a hand takes roles out of the policy.
    pub const WITH_AN_UNLISTING_HAND: [Self; 8] = [
        Self::UnbindBeforeTrim,
        Self::DeleteWhatWasRemoved,
        Self::ForeignUntouched,
        Self::RemovedIsTrue,
        Self::Fenced,
        Self::OneWriter,
        Self::NeverStuck,
        Self::ReconcileConverges,
    ];

    /// What holds whenever calls have their effect.
    pub const BEYOND_THE_MARGIN: [Self; 4] =
        [Self::ForeignUntouched, Self::Fenced, Self::NeverStuck, Self::BoundConvergesOrIsBlocked];

    /// What holds while only calls of halted and dead runs come late.
    pub const WITH_LATE_CALLS: [Self; 5] = [
        Self::ForeignUntouched,
        Self::Fenced,
        Self::NeverStuck,
        Self::BoundConverges,
        Self::ReconcileConverges,
    ];

    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GrantBeforeBind => "grant before bind",
            Self::BoundStaysGranted => "bound stays granted",
            Self::BoundIsMergedNext => "bound is merged next",
            Self::UnbindBeforeTrim => "unbind before trim",
            Self::NobodyBindsBeforeTheTrim => "nobody binds before the trim",
            Self::SeenBeforeTrim => "seen before trim",
            Self::ReplacementKeepsItsGrant => "replacement keeps its grant",
            Self::DeleteWhatWasRemoved => "delete what was removed",
            Self::DeleteWhileRemoved => "delete while removed",
            Self::ForeignUntouched => "foreign untouched",
            Self::ImitationUntouched => "imitation untouched",
            Self::RemovedIsTrue => "removed is true",
            Self::RemovedIsTrueOfDisowned => "removed is true of what lost its tags",
            Self::ReconcileConverges => "reconcile converges",
            Self::Fenced => "fenced",
            Self::OneWriter => "one writer",
            Self::NothingLost => "nothing lost",
            Self::RightEnd => "right end",
            Self::NeverStuck => "never stuck",
            Self::Converges => "converges",
            Self::BoundConverges => "bound converges",
            Self::BoundConvergesOrIsBlocked => "bound converges or is blocked",
        }
    }

    fn holds(self, protocol: &Protocol, state: &State) -> bool {
        match self {
            Self::BoundStaysGranted => state.bound() & !state.policy.granted() == NONE,
            Self::BoundIsMergedNext => state.bound() & !state.granted_or_merged_next() == NONE,
            Self::OneWriter => one_writer(state),
            Self::NothingLost => {
                !state.is_at_rest() || state.history.owed & !state.granted_or_merged_next() == NONE
            }
            Self::RemovedIsTrue => state.removed_is_true(&[Origin::Made]),
            Self::RemovedIsTrueOfDisowned => {
                state.removed_is_true(&[Origin::Made, Origin::Disowned])
            }
            // What a hand changed is put back by the next reconciliation.
            Self::RightEnd if state.hands_left < protocol.setup.hands => true,
            Self::RightEnd => !state.is_at_rest() || protocol.is_right(state, After::Deliveries),
            Self::NeverStuck => {
                let mut actions = Vec::new();
                protocol.actions(state, &mut actions);
                !actions.is_empty() || state.is_at_rest()
            }
            Self::Converges => !state.is_quiet() || protocol.converges(state, After::Repetition),
            Self::ReconcileConverges => {
                !state.is_quiet() || protocol.converges(state, After::Reconciliation)
            }
            Self::BoundConverges => {
                !state.is_quiet() || protocol.converges(state, After::LateCreation)
            }
            Self::BoundConvergesOrIsBlocked => {
                !state.is_quiet() || protocol.converges(state, After::LostIntent)
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
            BoundIsMergedNext,
            UnbindBeforeTrim,
            NobodyBindsBeforeTheTrim,
            SeenBeforeTrim,
            ReplacementKeepsItsGrant,
            DeleteWhatWasRemoved,
            DeleteWhileRemoved,
            ForeignUntouched,
            ImitationUntouched,
            RemovedIsTrue,
            RemovedIsTrueOfDisowned,
            ReconcileConverges,
            Fenced,
            OneWriter,
            NothingLost,
            RightEnd,
            NeverStuck,
            Converges,
            BoundConverges,
            BoundConvergesOrIsBlocked
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
    /// And every account that needs it was repaired.
    Reconciliation,
    /// And an association may have been made after its removal.
    LateCreation,
    /// Or after its intent was closed.
    LostIntent,
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
        let ours = self.associations.iter().flatten().filter(|one| one.is_made());
        ours.fold(NONE, |roles, one| roles | one.role)
    }

    fn removed_is_true(&self, ours: &[Origin]) -> bool {
        let Ledger { bindings, conditions, .. } = &self.ledger;
        let accounts = bindings.iter().zip(conditions).zip(&self.associations);
        accounts.into_iter().all(|((binding, condition), stands)| {
            // Of an older version it is said no longer.
            let is_said = condition.is == Is::Removed && condition.version == binding.version;
            !is_said || stands.is_none_or(|one| !ours.contains(&one.origin))
        })
    }

    fn granted_or_merged_next(&self) -> Roles {
        let unknown = self.ledger.memory.version + 1..self.policy.newest();
        let merged = unknown.map(|version| self.policy.roles(version));
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
            let repeated =
                matches!(after, After::Repetition | After::LateCreation | After::LostIntent);
            let version = if repeated && latest > 0 { LAST } else { latest };
            let found = state.associations[account];
            let says =
                |is| condition.is == is && condition.version == version && !condition.leaving;
            let held = state.ledger.held[account];
            let is_held = |found: Association| held.is_some_and(|held| held.id == found.id);
            let is_bound = |role, found: Association| {
                let is_granted = state.policy.granted() & role != NONE;
                let lags = !after_all && !self.setup.deeds.is_empty() && says(Is::Blocked);
                let is_ready = says(Is::Ready) && is_held(found);
                found.role == role && is_granted && (is_ready || lags)
            };
            let stands = match (binding.role, found) {
                (Some(role), Some(found)) if found.is_made() => {
                    let verdict = self.verdict(Some(found), &state.known(account));
                    let is_lost = after == After::LostIntent && verdict == Verdict::Orphan;
                    is_bound(role, found) || (is_lost && says(Is::Blocked))
                }
                (Some(_), Some(Association { origin: Origin::Foreign, .. })) => says(Is::Blocked),
                // No run can tell whose it is.
                (Some(role), Some(found)) => says(Is::Blocked) || is_bound(role, found),
                (Some(_), None) => says(Is::Blocked) && !after_all,
                (None, Some(found)) if found.is_made() => {
                    version == 0 || matches!(after, After::LateCreation | After::LostIntent)
                }
                // One that is not accounted for and carries our tags stays, and is reported.
                (None, Some(found)) if found.tagged && condition.is == Is::Blocked => {
                    condition.version == version
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
    /// A run has looked at versions that its own was put over.
    Merged,
    /// A role was trimmed.
    Trimmed,
    /// A place was taken by somebody else.
    Blocked,
    /// A run took an association for ours whose id the ledger did not have.
    Confirmed,
    /// A run was shown what has our tags and is not accounted for.
    Orphan,
    /// A run adopted an association.
    Adopted,
}

impl Reached {
    pub(crate) const ALL: [Self; 9] = [
        Self::Rest,
        Self::TwoRuns,
        Self::TakenOver,
        Self::Merged,
        Self::Trimmed,
        Self::Blocked,
        Self::Confirmed,
        Self::Orphan,
        Self::Adopted,
    ];

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
            Self::Confirmed => "confirmed",
            Self::Orphan => "orphan",
            Self::Adopted => "adopted",
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
            Self::Merged => |_, state| state.runners.iter().any(|runner| runner.skipping > 0),
            Self::Trimmed => |_, state| state.history.trimmed,
            Self::Blocked => |_, state| {
                state.ledger.conditions.iter().any(|condition| condition.is == Is::Blocked)
            },
            Self::Confirmed => |_, state| {
                state.runners.iter().any(|runner| {
                    let held = runner.known.held.map_or(0, |held| held.id);
                    let is_other = runner.seen.is_some_and(|seen| seen.id != held);
                    runner.verdict == Verdict::Ours && is_other
                })
            },
            Self::Orphan => {
                |_, state| state.runners.iter().any(|runner| runner.verdict == Verdict::Orphan)
            }
            Self::Adopted => |_, state| {
                let adopts = |runner: &Runner| runner.verdict == Verdict::Adoptable;
                state.runners.iter().any(|runner| adopts(runner) && runner.call.is_some())
            },
        };
        Property { expectation: Expectation::Sometimes, name: self.name(), condition }
    }
}
