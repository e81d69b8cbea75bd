//! What all work is given: the ports, the run, the settings, and until when.

use jiff::Timestamp;

use crate::ports::Clock;
use crate::run::Run;
use crate::settings::Settings;

/// What all work is given.
#[derive(Debug)]
pub struct Context<'a, R, W, C> {
    /// Reads AWS and the ledger.
    pub reader: &'a R,
    /// Changes AWS and the ledger, and puts events on the bus; `()` where nothing is written.
    pub writer: &'a W,
    /// Tells the time.
    pub clock: &'a C,
    /// The invocation.
    pub run: &'a Run,
    /// Settings of the deployment.
    pub settings: &'a Settings,
    /// By when everything has to be over; no call starts that might end later.
    pub deadline: Timestamp,
}

// Not derived: what is referred to need not be `Copy`.
impl<R, W, C> Clone for Context<'_, R, W, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, W, C> Copy for Context<'_, R, W, C> {}

impl<'a, R, W, C> Context<'a, R, W, C> {
    /// The same with another writer; with `&()` for who only looks.
    #[must_use]
    pub fn with<B>(self, writer: &'a B) -> Context<'a, R, B, C> {
        let Self { reader, clock, run, settings, deadline, .. } = self;
        Context { reader, writer, clock, run, settings, deadline }
    }
}

impl<R, W, C: Clock> Context<'_, R, W, C> {
    /// Whether a call that starts now might end after the deadline.
    pub(crate) fn is_over(&self) -> bool {
        self.settings.is_over(self.clock.now(), self.deadline)
    }

    /// Why nothing more is begun.
    pub(crate) fn over(&self) -> String {
        format!(
            "the invocation's time is nearly over, so nothing more was begun: one call may take {} s; \
             raise the function's time-out, or lower CALL_TIMEOUT_MS or CALL_ATTEMPTS",
            self.settings.longest_call.as_secs()
        )
    }
}
