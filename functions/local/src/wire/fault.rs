//! Calls that break, or wait, on demand.

use tokio::sync::oneshot;

pub use pod_identity_world::When;

/// How a call breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The service throttles, in its own words.
    Throttle,
    /// The service answers with a server error.
    ServerError,
    /// The service denies the call.
    Denied,
    /// No effect, and no answer until the caller gives up.
    Timeout,
    /// The effect, but no answer until the caller gives up.
    TimeoutAfter,
    /// No effect; the connection closes.
    ResetBefore,
    /// The effect; the connection closes without an answer.
    ResetAfter,
}

/// Breaks one call to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The operation, as AWS names it.
    pub operation: String,
    /// Which of the calls from now on: 1 is the next one. The SDK's own retries count.
    pub nth: usize,
    /// How it breaks.
    pub kind: FaultKind,
}

impl Fault {
    /// Breaks the nth call of an operation.
    #[must_use]
    pub fn new(operation: &str, nth: usize, kind: FaultKind) -> Self {
        Self { operation: operation.to_owned(), nth, kind }
    }
}

/// A call that waits for a test. Dropping it closes the call's connection
/// without an answer, and without effect if it was held before.
#[derive(Debug)]
pub struct Held {
    arrived: oneshot::Receiver<()>,
    is_here: Option<bool>,
    go: oneshot::Sender<()>,
}

impl Held {
    /// Waits until the call is there; answers false when it can never be
    /// (the wire is gone).
    pub async fn arrived(&mut self) -> bool {
        if let Some(is_here) = self.is_here {
            return is_here;
        }
        let is_here = (&mut self.arrived).await.is_ok();
        self.is_here = Some(is_here);
        is_here
    }

    /// Lets the call go on.
    pub fn release(self) {
        // The caller may have gone away by itself.
        let _ = self.go.send(());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorFault {
    Throttle,
    ServerError,
    Denied,
}

#[derive(Debug)]
pub(super) enum Action {
    Error(ErrorFault),
    Silence(When),
    Reset(When),
    Hold(When, oneshot::Sender<()>, oneshot::Receiver<()>),
}

/// An action that waits for its call.
#[derive(Debug)]
pub(super) struct Armed {
    operation: String,
    nth: usize,
    action: Action,
}

impl Armed {
    pub(super) fn fault(fault: Fault) -> Self {
        let action = match fault.kind {
            FaultKind::Throttle => Action::Error(ErrorFault::Throttle),
            FaultKind::ServerError => Action::Error(ErrorFault::ServerError),
            FaultKind::Denied => Action::Error(ErrorFault::Denied),
            FaultKind::Timeout => Action::Silence(When::Before),
            FaultKind::TimeoutAfter => Action::Silence(When::After),
            FaultKind::ResetBefore => Action::Reset(When::Before),
            FaultKind::ResetAfter => Action::Reset(When::After),
        };
        Self { operation: fault.operation, nth: fault.nth, action }
    }

    pub(super) fn hold(operation: &str, nth: usize, when: When) -> (Self, Held) {
        let (tell, arrived) = oneshot::channel();
        let (go, wait) = oneshot::channel();
        let action = Action::Hold(when, tell, wait);
        let armed = Self { operation: operation.to_owned(), nth, action };
        (armed, Held { arrived, is_here: None, go })
    }
}

/// Counts a call down and answers what strikes it: the first that was armed.
pub(super) fn strike(armed: &mut Vec<Armed>, operation: &str) -> Option<Action> {
    let mut struck = None;
    for (index, one) in armed.iter_mut().enumerate() {
        if one.operation != operation {
            continue;
        }
        if one.nth > 1 {
            one.nth -= 1;
        } else if struck.is_none() {
            struck = Some(index);
        }
    }
    struck.map(|index| armed.remove(index).action)
}
