//! The ledger's store, with DynamoDB's limits.

mod limits;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::ClusterArn;
use pod_identity_engine::ledger::{LeaseRecord, lease_key};
use pod_identity_engine::ports::{Expect, Item, Key, MAX_READ, MAX_WRITE, Page, Write};
use serde_json::json;

use crate::error::AwsError;
use crate::paging::cut;
use crate::world::World;

/// The items. Reads are always consistent.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    items: BTreeMap<Key, (Item, Option<i64>)>,
}

/// A transaction changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerRefusal {
    /// An expectation did not hold, of the write at this index.
    Conflict(usize),
    /// The call was wrong.
    Error(AwsError),
}

impl Ledger {
    /// An item, expired or not.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Item> {
        self.items.get(key).map(|(item, _)| item)
    }

    /// All items in the order of their keys.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values().map(|(item, _)| item)
    }

    /// When an item may be forgotten, in seconds since 1970.
    #[must_use]
    pub fn expires_at(&self, key: &Key) -> Option<i64> {
        self.items.get(key).and_then(|(_, expires_at)| *expires_at)
    }
}

impl World {
    /// `BatchGetItem`.
    ///
    /// # Errors
    /// `ValidationException` for too many keys or one key twice.
    pub fn ledger_read(&self, keys: &[Key]) -> Result<Vec<Item>, AwsError> {
        if !(1..=MAX_READ).contains(&keys.len()) {
            return Err(validation("Too many items requested for the BatchGetItem call"));
        }
        if keys.iter().collect::<BTreeSet<_>>().len() != keys.len() {
            return Err(validation("Provided list of item keys contains duplicates"));
        }
        Ok(keys.iter().filter_map(|key| self.ledger.get(key).cloned()).collect())
    }

    /// `Query` by partition key and beginning of the sort key.
    ///
    /// # Errors
    /// `ValidationException` for a page token that is none.
    pub fn ledger_query(
        &self,
        partition: &str,
        prefix: &str,
        page: Option<&str>,
    ) -> Result<Page<Item>, AwsError> {
        let entries = self
            .ledger
            .items()
            .filter(|item| item.key.partition == partition && item.key.sort.starts_with(prefix))
            .map(|item| (item.key.sort.clone(), item.clone()));
        let (items, next) = cut(entries, page, self.settings.page_size)
            .ok_or_else(|| validation("The provided starting key is invalid"))?;
        Ok(Page { items, next })
    }

    pub(crate) fn count_read(&mut self, items: &[Item]) {
        self.ledger_bytes_read += items.iter().map(limits::size_of_item).sum::<usize>();
    }

    /// `TransactWriteItems`.
    ///
    /// # Errors
    /// [`LedgerRefusal`]; then nothing was written.
    pub fn ledger_write(&mut self, writes: &[Write]) -> Result<(), LedgerRefusal> {
        check(writes).map_err(LedgerRefusal::Error)?;
        let refused = writes.iter().position(|write| {
            let (key, expect) = key_and_expect(write);
            let revision = self.ledger.get(key).map(|item| &item.revision);
            match expect {
                Expect::Anything => false,
                Expect::Absent => revision.is_some(),
                Expect::Revision(expected) => revision != Some(expected),
            }
        });
        if let Some(index) = refused {
            return Err(LedgerRefusal::Conflict(index));
        }
        for write in writes {
            match write {
                Write::Put { item, expires_at, .. } => {
                    self.ledger.items.insert(item.key.clone(), (item.clone(), *expires_at));
                }
                Write::Delete { key, .. } => {
                    self.ledger.items.remove(key);
                }
                Write::Check { .. } => {}
            }
        }
        Ok(())
    }

    /// Another invocation, `somebody`, takes the lease of a cluster that no invocation has had yet, until a time.
    ///
    /// # Errors
    /// As `ledger_write`.
    pub fn hold_lease(
        &mut self,
        cluster: &ClusterArn,
        until: Timestamp,
    ) -> Result<(), LedgerRefusal> {
        let owner = Some("somebody".to_owned());
        let lease = LeaseRecord { owner, expires_at: until, abandoned_until: None };
        let (key, revision) = (lease_key(cluster), "somebody/1".to_owned());
        let item = Item { key, revision, body: json!(lease) };
        self.ledger_write(&[Write::Put { item, expires_at: None, expect: Expect::Absent }])
    }

    /// Removes what may be forgotten, as DynamoDB does within some days. Until
    /// then expired items are read like others.
    pub fn ledger_forget_expired(&mut self) {
        let now = self.now.as_second();
        self.ledger.items.retain(|_, (_, expires_at)| expires_at.is_none_or(|at| at > now));
    }
}

fn key_and_expect(write: &Write) -> (&Key, &Expect) {
    match write {
        Write::Put { item, expect, .. } => (&item.key, expect),
        Write::Delete { key, expect } | Write::Check { key, expect } => (key, expect),
    }
}

fn check(writes: &[Write]) -> Result<(), AwsError> {
    if !(1..=MAX_WRITE).contains(&writes.len()) {
        return Err(validation("Member must have length less than or equal to 100"));
    }
    let keys: BTreeSet<&Key> = writes.iter().map(|write| key_and_expect(write).0).collect();
    if keys.len() != writes.len() {
        return Err(validation(
            "Transaction request cannot include multiple operations on one item",
        ));
    }
    limits::check(&keys, writes).map_err(validation)
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "ValidationException", message)
}
