//! One invocation.

use std::cell::{Cell, RefCell};

use jiff::Timestamp;

/// Names one invocation in everything that it writes.
#[derive(Debug)]
pub struct Run {
    request_id: String,
    started: Timestamp,
    writes: Cell<u64>,
    /// What the run came upon that ends by itself, in the words that its failures have, and until when.
    waits: RefCell<Vec<(String, Timestamp)>>,
}

impl Run {
    /// Starts a run. Lambda retries under the same request id, so the time is
    /// part of what makes revisions unique.
    #[must_use]
    pub fn new(request_id: impl Into<String>, started: Timestamp) -> Self {
        let (writes, waits) = (Cell::new(0), RefCell::default());
        Self { request_id: request_id.into(), started, writes, waits }
    }

    /// Request id of the invocation.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Notes a reason to come back that is no error: another run is at work, or AWS does not show yet what was
    /// written.
    pub(crate) fn waits(&self, why: &str, until: Timestamp) {
        self.waits.borrow_mut().push((why.to_owned(), until));
    }

    /// When to ask again where all that failed, in its words, is such a reason; none where something is an error.
    #[must_use]
    pub fn waits_until<'a>(&self, failed: impl IntoIterator<Item = &'a str>) -> Option<Timestamp> {
        let waits = self.waits.borrow();
        let until = |said: &str| {
            let within = waits.iter().filter(|(why, _)| said.contains(why.as_str()));
            within.map(|(_, until)| *until).max()
        };
        let mut all = failed.into_iter().map(until);
        let first = all.next()??;
        all.try_fold(first, |latest, until| Some(latest.max(until?)))
    }

    /// A revision that no other write uses.
    #[must_use]
    pub fn revision(&self) -> String {
        self.writes.set(self.writes.get() + 1);
        format!("{}/{}/{}", self.request_id, self.started.as_microsecond(), self.writes.get())
    }
}
