//! The lease of a cluster: one writer at a time.

use std::cell::RefCell;
use std::time::Duration;

use jiff::Timestamp;
use pod_identity_core::ClusterArn;

use crate::context::Context;
use crate::error::Error;
use crate::ledger::{LeaseRecord, LedgerError, View, WriteSet};
use crate::ports::{Key, LedgerWriter, WriteError};
use crate::run::Run;
use crate::settings::{Settings, later};

/// First pause while another run holds the lease; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The right to change a cluster, until it expires.
#[derive(Debug)]
pub(crate) struct Lease {
    key: Key,
    held: RefCell<Held>,
    /// Until when EKS may show a change of a run that died while it held the lease.
    pub(crate) abandoned_until: Option<Timestamp>,
}

/// What a renewal changes.
#[derive(Debug)]
struct Held {
    revision: String,
    expires_at: Timestamp,
}

impl Lease {
    /// Takes a lease that nobody holds with a transaction that writes something else too: where the lease is
    /// held, or a run that died has left it, the transaction conflicts.
    pub(crate) fn with(
        writes: &mut WriteSet,
        key: Key,
        context: &Context<'_>,
    ) -> Result<Self, LedgerError> {
        let Context { clock, run, settings, .. } = *context;
        let (revision, expires_at) = (run.revision(), later(clock.now(), settings.lease));
        let record = record(run, expires_at, None);
        writes.put(&mut View::default(), key.clone(), &record, &revision)?;
        let held = RefCell::new(Held { revision, expires_at });
        Ok(Self { key, held, abandoned_until: None })
    }

    /// Takes a lease of a cluster, by its key; waits for it while the deadline is far enough.
    pub(crate) async fn take(
        key: Key,
        cluster: &ClusterArn,
        context: &Context<'_>,
        writer: &dyn LedgerWriter,
    ) -> Result<Self, Error> {
        let Context { ledger, clock, run, settings, deadline } = *context;
        let mut view = View::default();
        let mut pause = FIRST_PAUSE;
        let mut abandoned_until = None;
        loop {
            let revision = run.revision();
            let expires_at = later(clock.now(), settings.lease);
            let record = record(run, expires_at, abandoned_until);
            let mut writes = WriteSet::default();
            writes.put(&mut view, key.clone(), &record, &revision)?;
            match writes.commit(ledger, writer).await {
                Ok(()) => {
                    let held = RefCell::new(Held { revision, expires_at });
                    return Ok(Self { key, held, abandoned_until });
                }
                Err(WriteError::Port(error)) => return Err(error.into()),
                Err(WriteError::Conflict) => {}
            }
            // Wait until the holder gives it back or its time is over.
            loop {
                abandoned_until = None;
                view.read(ledger, std::slice::from_ref(&key)).await?;
                let Some(held) = view.get::<LeaseRecord>(&key)? else { break };
                let now = clock.now();
                let died = held.owner.as_ref().map(|_| later(held.expires_at, settings.lease));
                abandoned_until = died.max(held.abandoned_until).filter(|until| *until > now);
                if held.owner.is_none() || held.expires_at <= now {
                    break;
                }
                // What follows the lease needs time as well.
                let enough = later(later(now, pause), settings.longest_call) < deadline;
                if !enough {
                    let until = held.expires_at;
                    let cluster = cluster.name().to_owned();
                    let owner = held.owner.unwrap_or_default();
                    let why = format!(
                        "cluster {cluster} is being changed by invocation {owner}, at the latest until {until}"
                    );
                    return Err(Error::Waits { why, until });
                }
                clock.sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    /// When it is over, unless it is renewed or given back.
    pub(crate) fn ends_at(&self) -> Timestamp {
        self.held.borrow().expires_at
    }

    /// Whether a call that starts now ends before the lease does.
    pub(crate) fn covers(&self, now: Timestamp, longest_call: Duration) -> bool {
        later(now, longest_call) < self.ends_at()
    }

    fn revision(&self) -> String {
        self.held.borrow().revision.clone()
    }

    /// Begins the lease's time again. Two renewals at once would be in each other's way.
    pub(crate) async fn renew(
        &self,
        context: &Context<'_>,
        writer: &dyn LedgerWriter,
    ) -> Result<(), WriteError> {
        let Context { ledger, clock, run, settings, .. } = *context;
        let (mut view, revision) = (View::default(), run.revision());
        let expires_at = later(clock.now(), settings.lease);
        let record = record(run, expires_at, self.abandoned_until);
        let mut writes = WriteSet::default();
        writes
            .put_at(&mut view, self.key.clone(), &record, &revision, &self.revision())
            .map_err(|_| WriteError::Conflict)?;
        writes.commit(ledger, writer).await?;
        self.held.replace(Held { revision, expires_at });
        Ok(())
    }

    /// Begins the lease's time again where less than half of it would be left after another call.
    pub(crate) async fn keep(
        &self,
        context: &Context<'_>,
        writer: &dyn LedgerWriter,
    ) -> Result<(), Error> {
        let Settings { lease, longest_call, .. } = *context.settings;
        if self.covers(context.clock.now(), lease / 2 + longest_call) {
            return Ok(());
        }
        self.renew(context, writer).await.map_err(Error::from)
    }

    /// Whether the lease is still this one, by the view.
    pub(crate) fn is_held(&self, view: &View) -> bool {
        view.revision(&self.key) == Some(self.revision().as_str())
    }

    /// Fences a transaction: it fails when the lease is no longer ours.
    pub(crate) fn fence(&self, writes: &mut WriteSet) {
        writes.check(self.key.clone(), &self.revision());
    }

    /// Gives the lease back with a transaction, which fails when it is no longer ours. What a run
    /// that died may have done stays noted for the next one.
    pub(crate) fn release(&self, run: &Run, writes: &mut WriteSet) {
        if self.abandoned_until.is_none() {
            writes.delete_at(self.key.clone(), &self.revision());
            return;
        }
        let record = LeaseRecord {
            owner: None,
            expires_at: Timestamp::UNIX_EPOCH,
            abandoned_until: self.abandoned_until,
        };
        let (key, expected) = (self.key.clone(), self.revision());
        let put = writes.put_at(&mut View::default(), key, &record, &run.revision(), &expected);
        debug_assert!(put.is_ok(), "a lease is JSON");
    }

    /// Gives the lease back with nothing to write. Where that fails it runs out by itself.
    pub(crate) async fn release_unused(&self, context: &Context<'_>, writer: &dyn LedgerWriter) {
        let mut writes = WriteSet::default();
        self.release(context.run, &mut writes);
        if writes.commit(context.ledger, writer).await.is_err() {
            tracing::warn!(cluster = self.key.partition, "the lease could not be given back");
        }
    }
}

fn record(run: &Run, expires_at: Timestamp, abandoned_until: Option<Timestamp>) -> LeaseRecord {
    LeaseRecord { owner: Some(run.request_id().to_owned()), expires_at, abandoned_until }
}
