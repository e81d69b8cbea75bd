//! What was read of the ledger, and what is about to be written.

use std::borrow::Cow;
use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use pod_identity_core::{ClusterArn, DominoName, MAX_INTENTS};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::REGISTRY_FORMAT;
use crate::error::{Error, chain};
use crate::ports::{
    Expect, Item, Key, LedgerReader, LedgerWriter, MAX_READ, MAX_WRITE, PortError, Write,
    WriteError,
};

/// Most calls under way at once that read items by key.
const READS_AT_ONCE: usize = 8;

/// The ledger could not be read or written as it should.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A call failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Somebody else wrote first, several times over.
    #[error("the ledger kept changing under {0}")]
    Contended(String),
    /// It is the memory of another deployment, whose word is not to be made true here.
    #[error(
        "the ledger is that of deployment `{theirs}` and this function belongs to deployment `{ours}`, so nothing was done; correct LEDGER_TABLE or DEPLOYMENT_ID"
    )]
    OtherDeployment {
        /// Id of the deployment that registered the ledger's clusters.
        theirs: String,
        /// Id of the function's own deployment.
        ours: String,
    },
    /// Another version of this software wrote it.
    #[error(
        "the ledger has format {found} and this function reads format {REGISTRY_FORMAT}, so nothing was done; deploy the version that wrote the ledger, or begin with an empty table and send the bindings again"
    )]
    OtherFormat {
        /// The format of the ledger.
        found: u32,
    },
    /// A cluster has left the registry since the work was planned.
    #[error(
        "cluster {0} has left the registry, so nothing was done there; the next delivery looks again"
    )]
    Deregistered(ClusterArn),
    /// As many creations of a binding are unresolved on a cluster as the ledger remembers.
    #[error(
        "{name} has {MAX_INTENTS} changes in cluster {cluster} whose outcome is not known yet; the event is delivered again, and a reconciliation of the cluster resolves them"
    )]
    TooManyIntents {
        /// Whose binding.
        name: DominoName,
        /// Where.
        cluster: ClusterArn,
    },
    /// An item is not what it should be.
    #[error("ledger item {partition} / {sort} cannot be read")]
    Malformed {
        /// Its partition key.
        partition: String,
        /// Its sort key.
        sort: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        Self::Retryable(chain(&error))
    }
}

/// Items as they were read, with the run's own writes on top.
#[derive(Debug, Clone, Default)]
pub struct View {
    items: BTreeMap<Key, Item>,
}

impl View {
    /// Reads items by key, whatever their number; none make no call.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn read(
        &mut self,
        ledger: &dyn LedgerReader,
        keys: &[Key],
    ) -> Result<(), LedgerError> {
        let mut keys = keys.to_vec();
        keys.sort();
        keys.dedup();
        let found: Vec<Vec<Item>> = stream::iter(keys.chunks(MAX_READ))
            .map(|chunk| ledger.read(chunk))
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        for key in &keys {
            self.items.remove(key);
        }
        self.items.extend(found.into_iter().flatten().map(|item| (item.key.clone(), item)));
        Ok(())
    }

    /// Reads a partition, all its pages.
    ///
    /// # Errors
    /// When a call fails.
    pub async fn query(
        &mut self,
        ledger: &dyn LedgerReader,
        partition: &str,
        prefix: &str,
    ) -> Result<(), LedgerError> {
        let mut page = None;
        loop {
            let found = ledger.query(partition, prefix, page.as_deref()).await?;
            self.items.extend(found.items.into_iter().map(|item| (item.key.clone(), item)));
            match found.next {
                Some(next) => page = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// One record, if it exists.
    ///
    /// # Errors
    /// When the item does not read as one.
    pub fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, LedgerError> {
        self.items.get(key).map(stored).transpose()
    }

    /// Every record of a partition whose sort key begins with a prefix, in order.
    ///
    /// # Errors
    /// When an item does not read as one.
    pub fn all<T: DeserializeOwned>(
        &self,
        partition: &str,
        prefix: &str,
    ) -> Result<Vec<T>, LedgerError> {
        self.part(partition, prefix).map(stored).collect()
    }

    /// Takes in what another view found under some keys, or did not find, and whatever else it knows.
    pub(crate) fn merge_in(&mut self, keys: &[Key], newer: Self) {
        for key in keys {
            self.items.remove(key);
        }
        self.items.extend(newer.items);
    }

    /// Every record of a partition whose sort key begins with a prefix, with its sort key, in order.
    ///
    /// # Errors
    /// When an item does not read as one.
    pub fn all_keyed_from<T: DeserializeOwned>(
        &self,
        partition: &str,
        prefix: &str,
    ) -> Result<Vec<(String, T)>, LedgerError> {
        let items = self.part(partition, prefix);
        items.map(|item| Ok((item.key.sort.clone(), stored(item)?))).collect()
    }

    /// The revision that an item was read at, if it exists.
    #[must_use]
    pub fn revision(&self, key: &Key) -> Option<&str> {
        self.items.get(key).map(|item| item.revision.as_str())
    }

    /// The items of a partition whose sort key begins with a prefix, in order.
    fn part<'a>(&'a self, partition: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a Item> {
        let first = Key { partition: partition.to_owned(), sort: prefix.to_owned() };
        let items = self.items.range(first..).map(|(_, item)| item);
        items.take_while(move |item| {
            item.key.partition == partition && item.key.sort.starts_with(prefix)
        })
    }

    fn expect(&self, key: &Key) -> Expect {
        self.items.get(key).map_or(Expect::Absent, |item| Expect::Revision(item.revision.clone()))
    }
}

fn stored<T: DeserializeOwned>(item: &Item) -> Result<T, LedgerError> {
    T::deserialize(&item.body).map_err(|source| LedgerError::Malformed {
        partition: item.key.partition.clone(),
        sort: item.key.sort.clone(),
        source,
    })
}

/// Writes to be done together. Writing one key twice keeps the first
/// expectation and the last value.
#[derive(Debug, Clone, Default)]
pub struct WriteSet {
    writes: BTreeMap<Key, Write>,
    /// What the view had under each key that was put, before it was.
    before: BTreeMap<Key, Option<Item>>,
}

impl WriteSet {
    /// Number of writes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.writes.len()
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Stores a record if the item is still as the view has it, and shows it in the view.
    ///
    /// # Errors
    /// When the record is not JSON.
    pub fn put<T: Serialize>(
        &mut self,
        view: &mut View,
        key: Key,
        record: &T,
        revision: &str,
    ) -> Result<(), LedgerError> {
        self.put_until(view, key, record, revision, None)
    }

    /// Stores a record whatever is there, to be forgotten at a time.
    ///
    /// # Errors
    /// When the record is not JSON.
    pub fn put_anyway<T: Serialize>(
        &mut self,
        view: &mut View,
        key: Key,
        record: &T,
        revision: &str,
        expires_at: Option<i64>,
    ) -> Result<(), LedgerError> {
        self.put_expecting(view, key, record, revision, Expect::Anything, expires_at)
    }

    /// Stores a record if the item is still at a revision.
    ///
    /// # Errors
    /// When the record is not JSON.
    pub fn put_at<T: Serialize>(
        &mut self,
        view: &mut View,
        key: Key,
        record: &T,
        revision: &str,
        expected: &str,
    ) -> Result<(), LedgerError> {
        let expect = Expect::Revision(expected.to_owned());
        self.put_expecting(view, key, record, revision, expect, None)
    }

    /// Stores a record if the item is still as the view has it, to be forgotten at a time.
    ///
    /// # Errors
    /// When the record is not JSON.
    pub fn put_until<T: Serialize>(
        &mut self,
        view: &mut View,
        key: Key,
        record: &T,
        revision: &str,
        expires_at: Option<i64>,
    ) -> Result<(), LedgerError> {
        let expect = view.expect(&key);
        self.put_expecting(view, key, record, revision, expect, expires_at)
    }

    fn put_expecting<T: Serialize>(
        &mut self,
        view: &mut View,
        key: Key,
        record: &T,
        revision: &str,
        expect: Expect,
        expires_at: Option<i64>,
    ) -> Result<(), LedgerError> {
        let body = serde_json::to_value(record).map_err(|source| LedgerError::Malformed {
            partition: key.partition.clone(),
            sort: key.sort.clone(),
            source,
        })?;
        let expect = self.first_expectation(&key).unwrap_or(expect);
        let item = Item { key: key.clone(), revision: revision.to_owned(), body };
        let before = view.items.insert(key.clone(), item.clone());
        self.before.entry(key.clone()).or_insert(before);
        self.writes.insert(key, Write::Put { item, expires_at, expect });
        Ok(())
    }

    /// The view as it was before these writes put anything under some keys: no other run has seen that.
    pub(crate) fn as_before<'a>(
        &self,
        view: &'a View,
        keys: impl Fn(&Key) -> bool,
    ) -> Cow<'a, View> {
        let mut view = Cow::Borrowed(view);
        for (key, before) in self.before.iter().filter(|(key, _)| keys(key)) {
            let items = &mut view.to_mut().items;
            match before {
                Some(item) => _ = items.insert(key.clone(), item.clone()),
                None => _ = items.remove(key),
            }
        }
        view
    }

    /// Removes an item if it is still at a revision.
    pub fn delete_at(&mut self, key: Key, revision: &str) {
        let expect = Expect::Revision(revision.to_owned());
        self.writes.insert(key.clone(), Write::Delete { key, expect });
    }

    /// Writes nothing but asks that an item is still at a revision.
    pub fn check(&mut self, key: Key, revision: &str) {
        let expect = Expect::Revision(revision.to_owned());
        self.writes.insert(key.clone(), Write::Check { key, expect });
    }

    /// Writes nothing but asks that an item is still as the view has it, be it that there is none.
    pub fn check_unchanged(&mut self, view: &View, key: Key) {
        let expect = view.expect(&key);
        self.writes.entry(key.clone()).or_insert(Write::Check { key, expect });
    }

    fn first_expectation(&self, key: &Key) -> Option<Expect> {
        match self.writes.get(key) {
            Some(Write::Put { expect, .. } | Write::Delete { expect, .. }) => Some(expect.clone()),
            _ => None,
        }
    }

    /// Writes everything in one transaction.
    ///
    /// A call that broke off may have had its effect, and its repetition then
    /// meets its own writes as a conflict. Revisions are unique, so finding
    /// them all in place settles that.
    ///
    /// # Errors
    /// [`WriteError::Conflict`] when an expectation does not hold.
    pub async fn commit(
        &self,
        reader: &dyn LedgerReader,
        writer: &dyn LedgerWriter,
    ) -> Result<(), WriteError> {
        let writes: Vec<Write> = self.writes.values().cloned().collect();
        debug_assert!(writes.len() <= MAX_WRITE, "a transaction holds {MAX_WRITE} writes");
        if writes.is_empty() {
            return Ok(());
        }
        match writer.write(&writes).await {
            Err(WriteError::Conflict) if self.is_in_place(reader).await? => Ok(()),
            result => result,
        }
    }

    async fn is_in_place(&self, reader: &dyn LedgerReader) -> Result<bool, PortError> {
        let keys: Vec<Key> = self
            .writes
            .iter()
            .filter(|(_, write)| !matches!(write, Write::Check { .. }))
            .map(|(key, _)| key.clone())
            .collect();
        if keys.is_empty() {
            return Ok(false);
        }
        let found: BTreeMap<Key, String> =
            reader.read(&keys).await?.into_iter().map(|item| (item.key, item.revision)).collect();
        Ok(self.writes.iter().all(|(key, write)| match write {
            Write::Put { item, .. } => found.get(key) == Some(&item.revision),
            Write::Delete { .. } => !found.contains_key(key),
            Write::Check { .. } => true,
        }))
    }
}
