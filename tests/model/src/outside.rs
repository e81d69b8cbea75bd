//! AWS, time and other people.

use crate::action::Action;
use crate::promise::Promise;
use crate::protocol::Protocol;
use crate::setup::{Deed, Hand, Margin};
use crate::state::{A, Association, B, C, Call, Held, Holder, NONE, Open, Origin, Rest, State};

/// What AWS answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// The id of the association that was made.
    Created(u8),
    /// The number of the version that was written.
    Version(u8),
    InUse,
    NotFound,
}

impl Protocol {
    /// A call has its effect.
    pub(crate) fn land(&self, state: &mut State, call: Call) -> Answer {
        match call {
            Call::WriteVersion { roles } => {
                let leaves = state.history.trims & !roles;
                state.history.owed |= roles;
                state.history.trims &= !roles;
                state.history.trimmed |= leaves & state.policy.granted() != NONE;
                for association in state.associations.into_iter().flatten() {
                    if association.role & leaves & state.policy.granted() == NONE {
                        continue;
                    }
                    if association.is_made() {
                        state.break_promise(Promise::UnbindBeforeTrim);
                    } else {
                        state.break_promise(Promise::NobodyBindsBeforeTheTrim);
                    }
                    if association.id < state.history.looked_at {
                        state.break_promise(Promise::SeenBeforeTrim);
                    }
                }
                Answer::Version(state.policy.write(roles))
            }
            Call::Create { place, role, version } => {
                if state.associations[place].is_some() {
                    return Answer::InUse;
                }
                Answer::Created(state.bind(place, role, version))
            }
            Call::Update { place, id, role, version, tags } => {
                let Some(found) = state.associations[place].filter(|found| found.id == id) else {
                    return Answer::NotFound;
                };
                state.check_origin(found);
                state.check_grant(role);
                let tagged = found.tagged || tags;
                state.associations[place] = Some(Association { role, version, tagged, ..found });
                Answer::Done
            }
            Call::Delete { place, id } => {
                // One that is gone already is no error.
                if let Some(found) = state.associations[place].filter(|found| found.id == id) {
                    state.check_origin(found);
                    if state.history.removed[place] <= found.version {
                        state.break_promise(Promise::DeleteWhatWasRemoved);
                    }
                    if state.ledger.bindings[place].role.is_some() {
                        state.break_promise(Promise::DeleteWhileRemoved);
                    }
                    state.associations[place] = None;
                }
                Answer::Done
            }
        }
    }

    /// What time alone can do.
    pub(crate) fn time(&self, state: &State, actions: &mut Vec<Action>) {
        let calls = state.runners.iter().filter_map(|runner| runner.call);
        let under_way: Vec<Call> = calls.chain(state.adrift.iter().copied()).collect();
        let lease = state.ledger.lease;
        match (lease.holder, lease.rest) {
            (Holder::Free, _) | (_, Rest::Over) => {}
            // A run that is dead starts nothing anyhow.
            (Holder::Dead, Rest::Enough) => actions.push(Action::LeaseExpired),
            (_, Rest::Enough) => actions.push(Action::LeaseRunsOut),
            (_, Rest::Little) => actions.push(Action::LeaseExpired),
        }
        if self.setup.margin == Margin::Kept && !under_way.is_empty() {
            actions.retain(|action| *action != Action::LeaseExpired);
        }
        let settled = state.policy.shown_from == state.policy.newest();
        if !settled {
            actions.push(Action::IamSettles);
        }
        let ages = |from| state.ledger.conditions.iter().any(|one| one.intents.can_age(from));
        let is_recorded = |(stands, held): (&Option<Association>, &Option<Held>)| {
            stands.is_none_or(|one| !one.is_made() || held.is_some_and(|held| held.id == one.id))
        };
        let all_recorded = state.associations.iter().zip(&state.ledger.held).all(is_recorded);
        if ages(Open::Long) && under_way.is_empty() && all_recorded {
            actions.push(Action::IntentsAge);
        }
        if ages(Open::Little) {
            actions.push(Action::IntentsAreOver);
        }
        if lease.abandoned && lease.holder == Holder::Free && under_way.is_empty() {
            actions.push(Action::AbandonmentExpired);
        }
        let replacing = matches!(self.next_deed(state), Some(Deed::Recreates { .. }));
        if state.ledger.memory.unused != NONE && !replacing {
            actions.push(Action::GracePasses);
        }
    }

    fn next_deed(&self, state: &State) -> Option<Deed> {
        self.setup.deeds.get(usize::from(state.deeds_done)).copied()
    }

    pub(crate) fn deed_is_possible(&self, state: &State) -> bool {
        self.next_deed(state).is_some_and(|deed| match deed {
            Deed::Creates { place, .. } | Deed::Recreates { place, .. } => {
                state.associations[place].is_none()
            }
            Deed::Removes { place } => {
                state.associations[place].is_some_and(|one| one.origin == Origin::Foreign)
            }
            Deed::Adopts { place } => {
                let is_wanted = state.ledger.bindings[place].role.is_some();
                is_wanted && state.associations[place].is_some_and(|one| !one.is_made())
            }
            Deed::Unlists { role } => state.policy.granted() & role != NONE,
            Deed::Lists { .. } | Deed::Reads | Deed::Writes { .. } | Deed::Restores => true,
        })
    }

    /// Others keep to no lease.
    pub(crate) fn deed(&self, state: &mut State) {
        let Some(deed) = self.next_deed(state) else { return };
        state.deeds_done += 1;
        match deed {
            Deed::Creates { place, role } => state.appear(place, role),
            Deed::Recreates { place, role } => {
                if state.policy.granted() & role == NONE {
                    state.break_promise(Promise::ReplacementKeepsItsGrant);
                }
                state.appear(place, role);
            }
            Deed::Removes { place } => state.associations[place] = None,
            Deed::Adopts { place } => {
                let Some(one) = &mut state.associations[place] else { return };
                one.origin = Origin::Adopted;
                let mut condition = state.ledger.conditions[place];
                condition.adopts = one.id;
                state.write_condition(place, condition, None);
            }
            Deed::Lists { role } => {
                state.history.owed |= role;
                state.policy.write(state.policy.granted() | role);
            }
            Deed::Unlists { role } => {
                state.history.owed &= !role;
                state.policy.write(state.policy.granted() & !role);
            }
            Deed::Restores => state.ledger.memory = self.memory(),
            Deed::Reads => state.deed_read = state.policy.granted(),
            Deed::Writes { role } => {
                state.history.owed |= role;
                state.policy.write(state.deed_read | role);
            }
        }
    }
}

impl Protocol {
    /// What a hand may do to the place of the first account, at any time and in any order.
    pub(crate) fn hands(&self, state: &State, actions: &mut Vec<Action>) {
        if state.hands_left == 0 {
            return;
        }
        let hands = match state.associations[0] {
            Some(one) => vec![Hand::Deletes, if one.tagged { Hand::Untags } else { Hand::Tags }],
            None => {
                let roles =
                    [A, B, C].into_iter().filter(|role| self.setup.hand_roles & role != NONE);
                let creates = |role| [true, false].map(|tagged| Hand::Creates { role, tagged });
                roles.flat_map(creates).collect()
            }
        };
        actions.extend(hands.into_iter().map(Action::Hand));
    }

    pub(crate) fn hand(&self, state: &mut State, hand: Hand) {
        state.hands_left = state.hands_left.saturating_sub(1);
        let held = state.ledger.held[0];
        match (hand, &mut state.associations[0]) {
            (Hand::Creates { role, tagged }, _) => {
                state.appear(0, role);
                // Also one that a run has read, and that was over since.
                let read = state.runners.iter().filter(|runner| runner.account == 0);
                let mut read = read.map(|runner| runner.known.intents);
                let intended = state.ledger.conditions[0].intents.allows(role)
                    || read.any(|intents| intents.allows(role));
                if let Some(one) = &mut state.associations[0] {
                    one.tagged = tagged;
                    one.origin = if intended { Origin::Imitation } else { Origin::Foreign };
                }
            }
            (Hand::Deletes, stands) => *stands = None,
            (Hand::Tags, Some(one)) => one.tagged = true,
            (Hand::Untags, Some(one)) => {
                one.tagged = false;
                if one.is_made() && held.is_none_or(|held| held.id != one.id) {
                    one.origin = Origin::Disowned;
                }
            }
            (Hand::Tags | Hand::Untags, None) => {}
        }
    }
}

impl State {
    fn bind(&mut self, place: usize, role: u8, version: u8) -> u8 {
        self.check_grant(role);
        let (id, origin) = (self.next_id, Origin::Made);
        self.associations[place] = Some(Association { id, role, tagged: true, origin, version });
        self.next_id += 1;
        id
    }

    /// A foreign association appears.
    fn appear(&mut self, place: usize, role: u8) {
        let (id, origin) = (self.next_id, Origin::Foreign);
        self.associations[place] =
            Some(Association { id, role, tagged: false, origin, version: 0 });
        self.next_id += 1;
    }

    /// An association is changed or deleted.
    fn check_origin(&mut self, found: Association) {
        match found.origin {
            Origin::Foreign => self.break_promise(Promise::ForeignUntouched),
            Origin::Imitation => self.break_promise(Promise::ImitationUntouched),
            Origin::Made | Origin::Disowned | Origin::Adopted => {}
        }
    }

    fn check_grant(&mut self, role: u8) {
        if self.policy.granted() & role == NONE {
            self.break_promise(Promise::GrantBeforeBind);
        }
    }

    pub(crate) fn break_promise(&mut self, promise: Promise) {
        self.history.breaches |= promise.bit();
    }
}
