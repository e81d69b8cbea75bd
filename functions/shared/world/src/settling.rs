//! Values whose changes become visible only after a while.

use jiff::{SignedDuration, Timestamp};

/// A value that may be absent, with what reads may still see of its past.
///
/// Writes always meet the latest value; reads meet the one that had settled by
/// their time. That is how IAM and EKS behave: eventually consistent to read,
/// strict to write.
#[derive(Debug, Clone)]
pub(crate) struct Settling<T> {
    /// Oldest first, each with the time from which reads see it.
    states: Vec<(Timestamp, Option<T>)>,
}

impl<T> Settling<T> {
    pub(crate) fn new(value: T, visible_from: Timestamp) -> Self {
        Self { states: vec![(visible_from, Some(value))] }
    }

    /// What a write meets.
    pub(crate) fn latest(&self) -> Option<&T> {
        self.states.last().and_then(|(_, value)| value.as_ref())
    }

    /// What a read meets.
    pub(crate) fn visible(&self, now: Timestamp) -> Option<&T> {
        self.states
            .iter()
            .rev()
            .find(|(from, _)| *from <= now)
            .and_then(|(_, value)| value.as_ref())
    }

    /// Changes or removes the value; reads see it after the delay.
    pub(crate) fn set(&mut self, value: Option<T>, now: Timestamp, delay: SignedDuration) {
        let settled = self.states.iter().rposition(|(from, _)| *from <= now).unwrap_or(0);
        self.states.drain(..settled);
        self.states.push((after(now, delay), value));
    }

    /// Whether nobody can ever see a value again.
    pub(crate) fn is_gone(&self, now: Timestamp) -> bool {
        self.latest().is_none() && self.visible(now).is_none()
    }
}

/// The time after a delay; the end of time when that is too far.
pub(crate) fn after(now: Timestamp, delay: SignedDuration) -> Timestamp {
    now.checked_add(delay).unwrap_or(Timestamp::MAX)
}
