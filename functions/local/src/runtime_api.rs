//! Lambda's Runtime API for one execution environment, on loopback.
//!
//! Paths, headers and status codes follow
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>. As on
//! AWS, every execution environment has an API of its own: a connection that
//! a killed child left behind can never take the next child's invocation.

mod handler;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

/// Longest time from the start of a child until it asks for work; Lambda's own limit.
pub(crate) const INIT_LIMIT: Duration = Duration::from_secs(10);

/// How an invocation ended.
#[derive(Debug, Clone, PartialEq)]
pub enum InvocationResult {
    /// The function answered.
    Answer(Value),
    /// The function reported an error (`errorType`, `errorMessage`).
    Error(Value),
    /// The function reported that it could not start.
    InitError(Value),
    /// The child ended before it answered; says how.
    ChildDied(String),
}

/// An invocation has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The child never asked for work.
    #[error("function `{function}` did not ask for work within {} s of its start", INIT_LIMIT.as_secs())]
    NeverStarted {
        /// Name of the function.
        function: String,
    },
    /// The child took the invocation and did not answer in time.
    #[error("function `{function}` did not answer invocation {request_id} within {} ms", limit.as_millis())]
    TimedOut {
        /// Name of the function.
        function: String,
        /// Request id of the invocation.
        request_id: String,
        /// The time that it had.
        limit: Duration,
    },
}

struct Waiting {
    request_id: String,
    payload: Bytes,
    limit: Duration,
    taken: oneshot::Sender<()>,
    done: oneshot::Sender<InvocationResult>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    running: BTreeMap<String, oneshot::Sender<InvocationResult>>,
    /// Why no invocation will be taken any more.
    ended: Option<InvocationResult>,
    count: u64,
}

struct Shared {
    function: String,
    function_arn: String,
    seed: u64,
    state: Mutex<State>,
    work: Notify,
    /// Since when the child waits for work.
    idle: watch::Sender<Option<Instant>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the environment: whatever waits or runs ends with `result`.
    fn end(&self, result: &InvocationResult) {
        let mut state = self.state();
        // The child's own words on why it could not start say more than its exit status.
        let result = state.ended.get_or_insert_with(|| result.clone()).clone();
        let waiting = state.waiting.drain(..).map(|waiting| waiting.done).collect::<Vec<_>>();
        let running = std::mem::take(&mut state.running).into_values();
        for done in waiting.into_iter().chain(running) {
            // The caller may have given up.
            let _ = done.send(result.clone());
        }
    }
}

/// The Runtime API of one execution environment. Dropping it closes its port,
/// which ends a child that `lambda_runtime` drives.
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl RuntimeApi {
    /// Listens on a free port of 127.0.0.1 for the child of a function.
    ///
    /// # Errors
    /// When no port can be had.
    pub(crate) async fn start(function: &str, function_arn: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            function: function.to_owned(),
            function_arn: function_arn.to_owned(),
            seed: RandomState::new().build_hasher().finish(),
            state: Mutex::default(),
            work: Notify::new(),
            idle: watch::Sender::new(None),
        });
        let server = tokio::spawn(handler::serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, server })
    }

    /// `HOST:PORT`, what `AWS_LAMBDA_RUNTIME_API` has to hold.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives a payload to the child and waits for its end. `limit` is the
    /// function's time-out; it runs from the moment the child takes the payload.
    ///
    /// # Errors
    /// When the child does not take it within [`INIT_LIMIT`], or does not answer within `limit`.
    pub(crate) async fn invoke(
        &self,
        payload: Bytes,
        limit: Duration,
    ) -> Result<InvocationResult, InvokeError> {
        let (taken, was_taken) = oneshot::channel();
        let (done, mut result) = oneshot::channel();
        let request_id = {
            let mut state = self.shared.state();
            if let Some(ended) = &state.ended {
                return Ok(ended.clone());
            }
            state.count += 1;
            let request_id = request_id(self.shared.seed, state.count);
            state.waiting.push_back(Waiting {
                request_id: request_id.clone(),
                payload,
                limit,
                taken,
                done,
            });
            request_id
        };
        self.shared.work.notify_one();

        let closed = || InvocationResult::ChildDied("the Runtime API was closed".to_owned());
        tokio::select! {
            biased;
            result = &mut result => return Ok(result.unwrap_or_else(|_| closed())),
            taken = tokio::time::timeout(INIT_LIMIT, was_taken) => if taken.is_err() {
                self.shared.state().waiting.retain(|waiting| waiting.request_id != request_id);
                return Err(InvokeError::NeverStarted { function: self.shared.function.clone() });
            }
        }
        if let Ok(result) = tokio::time::timeout(limit, result).await {
            return Ok(result.unwrap_or_else(|_| closed()));
        }
        self.shared.state().running.remove(&request_id);
        Err(InvokeError::TimedOut { function: self.shared.function.clone(), request_id, limit })
    }

    /// Waits until the child waits for work, and answers since when it does;
    /// none when it ended, or has not come to it within [`INIT_LIMIT`].
    pub(crate) async fn idle(&self) -> Option<Instant> {
        let mut idle = self.shared.idle.subscribe();
        let since = tokio::time::timeout(INIT_LIMIT, idle.wait_for(Option::is_some)).await;
        since.ok()?.ok().and_then(|since| *since)
    }

    /// Reports, from any task, that the child ended, and how. Everything that
    /// it left unanswered ends as [`InvocationResult::ChildDied`].
    pub(crate) fn obituary(&self) -> impl Fn(String) + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move |how| shared.end(&InvocationResult::ChildDied(how))
    }
}

/// Shaped like AWS's, a UUID; no two environments share one.
fn request_id(seed: u64, count: u64) -> String {
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{count:012x}",
        seed >> 32,
        (seed >> 16) & 0xffff,
        (seed >> 4) & 0xfff,
        seed & 0xfff,
    )
}
