//! A change of the ledger that is only thought through: what is written stays in memory, and whoever
//! reads sees it as written.

use async_trait::async_trait;
use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::ports::{
    Bus, BusEntry, Expect, Item, Key, LedgerReader, LedgerWriter, Page, PortError, PutFailure,
    Write, WriteError,
};

/// A ledger on top of another, into which may be written without a trace. Events that are put on its bus go
/// nowhere.
pub struct DryRunLedger<'a> {
    reader: &'a dyn LedgerReader,
    /// What was written; none where an item was removed.
    written: RefCell<BTreeMap<Key, Option<Item>>>,
}

impl<'a> DryRunLedger<'a> {
    /// Nothing is written yet.
    #[must_use]
    pub fn of(reader: &'a dyn LedgerReader) -> Self {
        Self { reader, written: RefCell::default() }
    }
}

#[async_trait(?Send)]
impl LedgerReader for DryRunLedger<'_> {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Item>, PortError> {
        let (mut found, mut rest) = (Vec::new(), Vec::new());
        for key in keys {
            match self.written.borrow().get(key) {
                Some(written) => found.extend(written.clone()),
                None => rest.push(key.clone()),
            }
        }
        if !rest.is_empty() {
            found.extend(self.reader.read(&rest).await?);
        }
        Ok(found)
    }

    /// One page, in which all that was written is in its place.
    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        page: Option<&str>,
    ) -> Result<Page<Item>, PortError> {
        let mut next = page.map(str::to_owned);
        let mut items = BTreeMap::new();
        loop {
            let found = self.reader.query(partition, prefix, next.as_deref()).await?;
            items.extend(found.items.into_iter().map(|item| (item.key.clone(), item)));
            next = found.next;
            if next.is_none() {
                break;
            }
        }
        for (key, written) in &*self.written.borrow() {
            if key.partition == partition && key.sort.starts_with(prefix) {
                match written {
                    Some(item) => _ = items.insert(key.clone(), item.clone()),
                    None => _ = items.remove(key),
                }
            }
        }
        Ok(Page { items: items.into_values().collect(), next: None })
    }
}

#[async_trait(?Send)]
impl LedgerWriter for DryRunLedger<'_> {
    async fn write(&self, writes: &[Write]) -> Result<(), WriteError> {
        let parts = |write: &Write| match write {
            Write::Put { item, expect, .. } => (item.key.clone(), expect.clone()),
            Write::Delete { key, expect } | Write::Check { key, expect } => {
                (key.clone(), expect.clone())
            }
        };
        let expected: BTreeMap<Key, Expect> = writes.iter().map(parts).collect();
        let keys: Vec<Key> = expected
            .iter()
            .filter(|(_, expect)| **expect != Expect::Anything)
            .map(|(key, _)| key.clone())
            .collect();
        let found = if keys.is_empty() { Vec::new() } else { self.read(&keys).await? };
        let revisions: BTreeMap<&Key, &str> =
            found.iter().map(|item| (&item.key, item.revision.as_str())).collect();
        let holds = |(key, expect): (&Key, &Expect)| match expect {
            Expect::Anything => true,
            Expect::Absent => !revisions.contains_key(key),
            Expect::Revision(revision) => revisions.get(key) == Some(&revision.as_str()),
        };
        if !expected.iter().all(holds) {
            return Err(WriteError::Conflict);
        }
        let mut written = self.written.borrow_mut();
        for write in writes {
            match write {
                Write::Put { item, .. } => {
                    written.insert(item.key.clone(), Some(item.clone()));
                }
                Write::Delete { key, .. } => {
                    written.insert(key.clone(), None);
                }
                Write::Check { .. } => {}
            }
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Bus for DryRunLedger<'_> {
    async fn put(&self, entries: &[BusEntry]) -> Result<Vec<Result<(), PutFailure>>, PortError> {
        Ok(entries.iter().map(|_| Ok(())).collect())
    }
}
