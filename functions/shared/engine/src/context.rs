//! What all work is given: the ports, the run, the settings, and until when.

use jiff::Timestamp;

use crate::ports::Clock;
use crate::run::Run;
use crate::settings::Settings;

/// Everything that work on a cluster needs.
pub(crate) struct Context<'a, R, W, C> {
    pub(crate) reader: &'a R,
    pub(crate) writer: &'a W,
    pub(crate) clock: &'a C,
    pub(crate) run: &'a Run,
    pub(crate) settings: &'a Settings,
    pub(crate) deadline: Timestamp,
}

// Not derived: what is referred to need not be `Copy`.
impl<R, W, C> Clone for Context<'_, R, W, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, W, C> Copy for Context<'_, R, W, C> {}

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
