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
    /// The service cannot be reached behind its own front (503).
    Unavailable,
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
    /// The operation, as AWS names it; of Kubernetes verb and resource: `create pods/eviction`.
    pub operation: String,
    /// Which of the calls from now on: 1 is the next one. The SDK's own retries count.
    pub nth: usize,
    /// How it breaks.
    pub kind: FaultKind,
    /// Whether every further attempt at the same call breaks too, so that the
    /// caller's own retries do not help.
    pub lasting: bool,
}

impl Fault {
    /// Breaks the nth call of an operation.
    #[must_use]
    pub fn new(operation: &str, nth: usize, kind: FaultKind) -> Self {
        Self { operation: operation.to_owned(), nth, kind, lasting: false }
    }

    /// Breaks the nth call of an operation, and each attempt to repeat it that
    /// the SDK makes.
    #[must_use]
    pub fn lasting(operation: &str, nth: usize, kind: FaultKind) -> Self {
        Self { lasting: true, ..Self::new(operation, nth, kind) }
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

    /// Lets the call go on. False when its caller had closed the connection by then.
    pub fn release(self) -> bool {
        self.go.send(()).is_ok()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorFault {
    Throttle,
    ServerError,
    Unavailable,
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
    strike: Strike,
}

#[derive(Debug)]
enum Strike {
    Once(Action),
    /// Every attempt at one call: that of the SDK's id, once it has come.
    Lasting(FaultKind, Option<String>),
}

impl From<FaultKind> for Action {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Throttle => Self::Error(ErrorFault::Throttle),
            FaultKind::ServerError => Self::Error(ErrorFault::ServerError),
            FaultKind::Unavailable => Self::Error(ErrorFault::Unavailable),
            FaultKind::Denied => Self::Error(ErrorFault::Denied),
            FaultKind::Timeout => Self::Silence(When::Before),
            FaultKind::TimeoutAfter => Self::Silence(When::After),
            FaultKind::ResetBefore => Self::Reset(When::Before),
            FaultKind::ResetAfter => Self::Reset(When::After),
        }
    }
}

impl Armed {
    pub(super) fn fault(fault: Fault) -> Self {
        let Fault { operation, nth, kind, lasting } = fault;
        let strike = if lasting { Strike::Lasting(kind, None) } else { Strike::Once(kind.into()) };
        Self { operation, nth, strike }
    }

    pub(super) fn hold(operation: &str, nth: usize, when: When) -> (Self, Held) {
        let (tell, arrived) = oneshot::channel();
        let (go, wait) = oneshot::channel();
        let strike = Strike::Once(Action::Hold(when, tell, wait));
        let armed = Self { operation: operation.to_owned(), nth, strike };
        (armed, Held { arrived, is_here: None, go })
    }

    /// Whether it still waits for its call.
    pub(super) fn waits(&self) -> bool {
        !matches!(self.strike, Strike::Lasting(_, Some(_)))
    }
}

/// Counts a call down and answers what strikes it: the first that was armed.
/// `call` is the SDK's id of it, which an attempt to repeat it shares.
pub(super) fn strike(
    armed: &mut Vec<Armed>,
    operation: &str,
    call: Option<&str>,
) -> Option<Action> {
    let again = armed.iter().find_map(|one| match &one.strike {
        Strike::Lasting(kind, Some(id)) if call == Some(id) => Some(*kind),
        _ => None,
    });
    if let Some(kind) = again {
        return Some(kind.into());
    }
    let mut struck = None;
    for (index, one) in armed.iter_mut().enumerate() {
        if one.operation != operation || !one.waits() {
            continue;
        }
        if one.nth > 1 {
            one.nth -= 1;
        } else if struck.is_none() {
            struck = Some(index);
        }
    }
    let index = struck?;
    if let Strike::Lasting(kind, id) = &mut armed[index].strike {
        // Who names no call cannot be told from the next: it breaks once.
        if let Some(call) = call {
            *id = Some(call.to_owned());
            return Some((*kind).into());
        }
    }
    match armed.remove(index).strike {
        Strike::Once(action) => Some(action),
        Strike::Lasting(kind, _) => Some(kind.into()),
    }
}
