//! The ledger's store: items under a two-part key, each with a revision.
//!
//! The store knows nothing of bindings; the rules are the engine's, so that
//! they are the same over DynamoDB and over `world`.

use async_trait::async_trait;
use serde_json::Value;

use super::{Page, PortError};

/// Most keys of one read: DynamoDB's `BatchGetItem` takes 100.
pub const MAX_READ: usize = 100;

/// Most writes of one transaction: DynamoDB's `TransactWriteItems` takes 100.
pub const MAX_WRITE: usize = 100;

/// Key of an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Partition key, attribute `pk`.
    pub partition: String,
    /// Sort key, attribute `sk`.
    pub sort: String,
}

/// A stored item.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Where it is.
    pub key: Key,
    /// Changes with every write; no two writes use the same.
    pub revision: String,
    /// What it says: a JSON object.
    pub body: Value,
}

/// What must hold for an item before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Anything,
    /// It does not exist.
    Absent,
    /// It exists at this revision.
    Revision(String),
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Stores an item, whole.
    Put {
        /// The item, with its new revision.
        item: Item,
        /// When it may be forgotten, in seconds since 1970; never when absent.
        expires_at: Option<i64>,
        /// What must hold.
        expect: Expect,
    },
    /// Removes an item.
    Delete {
        /// Where it is.
        key: Key,
        /// What must hold.
        expect: Expect,
    },
    /// Changes nothing, only asks.
    Check {
        /// Where it is.
        key: Key,
        /// What must hold.
        expect: Expect,
    },
}

/// A transaction changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// At least one expectation did not hold, or another caller was writing the same item.
    #[error("the ledger has changed meanwhile")]
    Conflict,
    /// The call failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Reads the ledger, always consistently.
#[async_trait(?Send)]
pub trait LedgerReader {
    /// At most [`MAX_READ`] different items by key, in any order; missing ones are left out.
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn read(&self, keys: &[Key]) -> Result<Vec<Item>, PortError>;

    /// One page of a partition, in order of the sort key, whose sort keys begin with a prefix.
    ///
    /// # Errors
    /// `Passing`, `Denied`.
    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        page: Option<&str>,
    ) -> Result<Page<Item>, PortError>;
}

/// Writes the ledger.
#[async_trait(?Send)]
pub trait LedgerWriter {
    /// Does all of at most [`MAX_WRITE`] writes to different keys, or none.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] when an expectation does not hold.
    async fn write(&self, writes: &[Write]) -> Result<(), WriteError>;
}
