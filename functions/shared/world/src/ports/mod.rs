//! The engine's ports straight over the world, without HTTP.

mod clusters;
mod eks;
mod faults;
mod iam;
mod kubernetes;
mod rest;
#[cfg(test)]
mod tests;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use jiff::{SignedDuration, Timestamp};
use pod_identity_engine::ports::{ClusterAccess, PortError};
use pod_identity_engine::{
    Cloud, Context, InsideSettings, Run, Settings, Workloads, WorkloadsWriters, Writers,
};

pub use faults::{PortFault, When};

use crate::error::AwsError;
use crate::settling::after;
use crate::world::{Caller, World};

/// A caller's hands on a shared world.
///
/// Every call gives way once before it acts, so that calls made together
/// interleave, always in the same order. Time stands still unless
/// [`crate::Settings::call_takes`] says otherwise or somebody sleeps.
#[derive(Debug, Clone)]
pub struct WorldPorts {
    world: Arc<Mutex<World>>,
    faults: Arc<Mutex<Vec<PortFault>>>,
    /// Calls that may still act; any number when none is set.
    allowed: Arc<Mutex<Option<usize>>>,
    latency: Option<Latency>,
    caller: String,
    bus: String,
}

/// The time that a call takes.
pub type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone)]
struct Latency(Arc<dyn Fn() -> Waiting + Send + Sync>);

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Latency")
    }
}

impl WorldPorts {
    /// A context in which these ports read and tell the time.
    #[must_use]
    pub fn context<'a>(
        &'a self,
        run: &'a Run,
        settings: &'a Settings,
        deadline: Timestamp,
    ) -> Context<'a> {
        self.cloud(run, settings, deadline).context
    }

    /// The same with EKS and IAM.
    #[must_use]
    pub fn cloud<'a>(
        &'a self,
        run: &'a Run,
        settings: &'a Settings,
        deadline: Timestamp,
    ) -> Cloud<'a> {
        Cloud::of(self, self, run, settings, deadline)
    }

    /// The same with EKS and Kubernetes.
    #[must_use]
    pub fn workloads<'a>(
        &'a self,
        run: &'a Run,
        settings: &'a Settings,
        inside: &'a InsideSettings,
        deadline: Timestamp,
    ) -> Workloads<'a> {
        let context = self.context(run, settings, deadline);
        Workloads { context, eks: self, clusters: self, kubernetes: self, inside }
    }

    /// What changes everything by these ports.
    #[must_use]
    pub fn writers(&self) -> Writers<'_> {
        Writers::of(self)
    }

    /// What the workloads function changes by these ports.
    #[must_use]
    pub fn workloads_writers(&self) -> WorkloadsWriters<'_> {
        WorkloadsWriters { ledger: self, bus: self, kubernetes: self }
    }

    /// Ports for a caller, by the name that the log shows. Faults are this handle's own.
    #[must_use]
    pub fn new(world: Arc<Mutex<World>>, caller: &str) -> Self {
        Self {
            world,
            faults: Arc::default(),
            allowed: Arc::default(),
            latency: None,
            caller: caller.to_owned(),
            bus: "domino-pod-identity".to_owned(),
        }
    }

    /// The world behind the ports. Never hold it across an `await`.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Breaks a call to come.
    pub fn fault(&self, fault: PortFault) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// From now on so many calls act, and all others wait until more are allowed:
    /// whoever polls then decides call by call who goes on.
    pub fn allow(&self, calls: usize) {
        *self.allowed.lock().unwrap_or_else(PoisonError::into_inner) = Some(calls);
    }

    /// Ports whose every call waits so before it acts, by whatever clock; calls made together wait
    /// together.
    #[must_use]
    pub fn waiting(mut self, wait: impl Fn() -> Waiting + Send + Sync + 'static) -> Self {
        self.latency = Some(Latency(Arc::new(wait)));
        self
    }

    /// Lets whatever else waits go first, once, and longer while nothing is allowed.
    pub(crate) async fn give_way(&self) {
        if let Some(Latency(wait)) = &self.latency {
            wait().await;
        }
        let mut waited = false;
        std::future::poll_fn(|context| {
            let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
            let goes_on = waited && allowed.as_ref().is_none_or(|calls| *calls > 0);
            if goes_on {
                *allowed = allowed.map(|calls| calls - 1);
                return Poll::Ready(());
            }
            waited = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    async fn call<T>(
        &self,
        (service, operation): (&str, &str),
        verb: &'static str,
        object: String,
        act: impl FnOnce(&mut World) -> Result<T, AwsError>,
    ) -> Result<T, PortError> {
        let began = self.world().now;
        self.give_way().await;
        let fault = faults::strike(
            &mut self.faults.lock().unwrap_or_else(PoisonError::into_inner),
            operation,
        );
        let mut world = self.world();
        world.now = after(
            world.now,
            SignedDuration::try_from(world.settings.call_takes).unwrap_or(SignedDuration::MAX),
        );
        let outcome = match fault {
            Some((When::Before, error)) => Err(error),
            Some((When::After, error)) => act(&mut world).and(Err(error)),
            None => act(&mut world),
        };
        let logged = outcome.as_ref().map(|_| 200);
        let account = world.account.clone();
        world.record((&self.caller, &account), service, operation, &object, logged);
        world.calls.iter_mut().next_back().into_iter().for_each(|call| call.began = began);
        outcome.map_err(|error| port_error(verb, object, error))
    }

    /// Credentials are those of the world's own account, unless a role is assumed.
    fn caller(&self, access: &ClusterAccess, world: &World) -> Caller {
        let assumed = access.assume_role.as_ref().map(|role| role.account().to_owned());
        Caller {
            name: self.caller.clone(),
            account: assumed.unwrap_or_else(|| world.account.clone()),
            region: access.cluster.region().to_owned(),
        }
    }
}

fn port_error(operation: &'static str, object: String, error: AwsError) -> PortError {
    PortError {
        operation,
        object,
        kind: error.kind(),
        code: Some(error.code.clone()),
        message: Some(error.message.clone()),
        source: Box::new(error),
    }
}
