//! What all work is given: the ports that it reads with, the run, the settings, and until when.
//!
//! A context holds nothing that writes. What changes something is given its writers beside it, so that a preview
//! cannot write is a matter of types.

use std::fmt;
use std::ops::Deref;

use jiff::Timestamp;

use crate::error::Error;
use crate::ports::{
    Bus, Clock, ClusterReader, EksReader, EksWriter, IamReader, IamWriter, KubernetesReader,
    KubernetesWriter, LedgerReader, LedgerWriter, Reads, Writes,
};
use crate::run::Run;
use crate::settings::Settings;
use crate::workload_settings::InsideSettings;

/// What all work is given.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Reads the ledger.
    pub ledger: &'a dyn LedgerReader,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// The invocation.
    pub run: &'a Run,
    /// Settings of the deployment.
    pub settings: &'a Settings,
    /// By when everything has to be over; no call starts that might end later.
    pub deadline: Timestamp,
}

/// A context that reads EKS and IAM too.
#[derive(Clone, Copy)]
pub struct Cloud<'a> {
    /// What all work is given.
    pub context: Context<'a>,
    /// Reads associations and node groups.
    pub eks: &'a dyn EksReader,
    /// Reads what EKS tells of a cluster itself.
    pub clusters: &'a dyn ClusterReader,
    /// Reads roles and policies.
    pub iam: &'a dyn IamReader,
}

/// A context that reads EKS and Kubernetes too. It has no IAM: no part of the work inside a cluster calls it.
#[derive(Clone, Copy)]
pub struct Workloads<'a> {
    /// What all work is given.
    pub context: Context<'a>,
    /// Reads associations.
    pub eks: &'a dyn EksReader,
    /// Reads what EKS tells of a cluster itself.
    pub clusters: &'a dyn ClusterReader,
    /// Reads the clusters' Kubernetes APIs.
    pub kubernetes: &'a dyn KubernetesReader,
    /// Settings of the work inside a cluster.
    pub inside: &'a InsideSettings,
}

/// What changes the ledger and AWS.
#[derive(Clone, Copy)]
pub struct Writers<'a> {
    /// Writes the ledger.
    pub ledger: &'a dyn LedgerWriter,
    /// Puts events on the bus.
    pub bus: &'a dyn Bus,
    /// Changes associations.
    pub eks: &'a dyn EksWriter,
    /// Changes policies.
    pub iam: &'a dyn IamWriter,
}

/// What changes the ledger and the inside of clusters.
#[derive(Clone, Copy)]
pub struct WorkloadsWriters<'a> {
    /// Writes the ledger.
    pub ledger: &'a dyn LedgerWriter,
    /// Puts events on the bus.
    pub bus: &'a dyn Bus,
    /// Changes what is in a cluster.
    pub kubernetes: &'a dyn KubernetesWriter,
}

/// A cloud is a context, and is passed on as one.
impl<'a> Deref for Cloud<'a> {
    type Target = Context<'a>;

    fn deref(&self) -> &Self::Target {
        &self.context
    }
}

/// It is a context, and is passed on as one.
impl<'a> Deref for Workloads<'a> {
    type Target = Context<'a>;

    fn deref(&self) -> &Self::Target {
        &self.context
    }
}

impl<'a> Cloud<'a> {
    /// A context of which one reader reads everything.
    #[must_use]
    pub fn of(
        reader: &'a dyn Reads,
        clock: &'a dyn Clock,
        run: &'a Run,
        settings: &'a Settings,
        deadline: Timestamp,
    ) -> Self {
        let context = Context { ledger: reader, clock, run, settings, deadline };
        Self { context, eks: reader, clusters: reader, iam: reader }
    }

    /// The same with other settings, such as what a run has left of a ceiling.
    pub(crate) fn with_settings<'b>(&self, settings: &'b Settings) -> Cloud<'b>
    where
        'a: 'b,
    {
        Cloud { context: Context { settings, ..self.context }, ..*self }
    }
}

impl<'a> Writers<'a> {
    /// One writer for everything.
    #[must_use]
    pub fn of(writer: &'a dyn Writes) -> Self {
        Self { ledger: writer, bus: writer, eks: writer, iam: writer }
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, deadline, .. } = self;
        f.debug_struct("Context")
            .field("run", run)
            .field("deadline", deadline)
            .finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// Whether a call that starts now might end after the deadline.
    #[must_use]
    pub fn deadline_reached(&self) -> bool {
        self.settings.deadline_reached(self.clock.now(), self.deadline)
    }

    /// Why nothing more is begun.
    pub(crate) fn deadline_error(&self) -> Error {
        format!(
            "the invocation's time is nearly over, so nothing more was begun: one call may take {} s; \
             raise the function's time-out, or lower CALL_TIMEOUT_MS or CALL_ATTEMPTS",
            self.settings.longest_call.as_secs()
        )
        .into()
    }
}
