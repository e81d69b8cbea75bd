//! The ledger's store over one DynamoDB table.
//!
//! An item has the attributes `pk` and `sk` (the key, strings), `revision`
//! (a string), `body` (a map) and, when it may be forgotten, `expiresAt`
//! (a number of seconds since 1970, the table's TTL attribute). DynamoDB
//! forgets days late; until then an expired item is still read.

mod item;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::error::TransactionCanceledException;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_smithy_types::error::operation::BuildError;
use pod_identity_engine::ports::{
    ErrorKind, Item, Key, LedgerReader, LedgerWriter, Page, PortError, Write, WriteError,
};

use crate::clients::{AwsReader, AwsWriter};
use crate::errors::{invalid, port_error};

const READ: &str = "read items of";
const QUERY: &str = "query partition";
const WRITE: &str = "write items of";

/// DynamoDB's own map, which has no order.
type Attributes = HashMap<String, AttributeValue>;

#[async_trait(?Send)]
impl LedgerReader for AwsReader {
    async fn read(&self, keys: &[Key]) -> Result<Vec<Item>, PortError> {
        let table = self.aws.table();
        let object = || format!("table {table}");
        // DynamoDB refuses a call with a key twice, and one without keys.
        let keys: BTreeSet<_> = keys.iter().collect();
        let mut left: Vec<_> = keys.into_iter().map(item::key).collect();
        let mut items = Vec::with_capacity(left.len());
        let calls = self.aws.calls();
        let mut fruitless = 0;
        while !left.is_empty() {
            let request = KeysAndAttributes::builder()
                .consistent_read(true)
                .set_keys(Some(left))
                .build()
                .map_err(|error| invalid(READ, object(), error))?;
            let answer = self
                .aws
                .dynamodb()
                .await
                .batch_get_item()
                .request_items(table, request)
                .send()
                .await
                .map_err(|error| port_error(READ, object(), error))?;
            // The answer names the table as it was asked for, by name or by ARN;
            // there is only one.
            let found: Vec<_> =
                answer.responses.into_iter().flat_map(HashMap::into_values).flatten().collect();
            let unprocessed = answer.unprocessed_keys.into_iter().flat_map(HashMap::into_values);
            left = unprocessed.flat_map(|keys| keys.keys).collect();
            // An answer has 16 MiB at most: what is left unread with progress is asked for
            // again at once, without it only after a pause, and not for ever.
            if found.is_empty() && !left.is_empty() {
                fruitless += 1;
                if fruitless >= calls.attempts {
                    return Err(PortError {
                        operation: READ,
                        object: object(),
                        kind: ErrorKind::Passing,
                        code: None,
                        message: None,
                        source: format!("{} keys were left unprocessed", left.len()).into(),
                    });
                }
                tokio::time::sleep(calls.pause(fruitless)).await;
            }
            for attributes in found {
                items.push(
                    item::decode(attributes).map_err(|error| invalid(READ, object(), error))?,
                );
            }
        }
        Ok(items)
    }

    async fn query(
        &self,
        partition: &str,
        prefix: &str,
        page: Option<&str>,
    ) -> Result<Page<Item>, PortError> {
        let table = self.aws.table();
        let object = || format!("{partition} of table {table}");
        let start = page
            .map(|sort| item::key(&Key { partition: partition.to_owned(), sort: sort.to_owned() }));
        let mut query = self
            .aws
            .dynamodb()
            .await
            .query()
            .table_name(table)
            .consistent_read(true)
            .set_exclusive_start_key(start)
            .key_condition_expression("pk = :partition")
            .expression_attribute_values(":partition", AttributeValue::S(partition.to_owned()));
        // DynamoDB refuses an empty string as a value of a key.
        if !prefix.is_empty() {
            query = query
                .key_condition_expression("pk = :partition AND begins_with(sk, :prefix)")
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()));
        }
        let answer = query.send().await.map_err(|error| port_error(QUERY, object(), error))?;
        let error = |error| invalid(QUERY, object(), error);
        let items = answer.items.unwrap_or_default().into_iter().map(item::decode);
        Ok(Page {
            items: items.collect::<Result<_, _>>().map_err(error)?,
            next: answer.last_evaluated_key.map(item::sort).transpose().map_err(error)?,
        })
    }
}

#[async_trait(?Send)]
impl LedgerWriter for AwsWriter {
    /// Always a transaction, be it of one write: the SDK gives it a
    /// `ClientRequestToken`, so that an attempt that is repeated after a lost
    /// answer meets its own success and not its own conflict.
    async fn write(&self, writes: &[Write]) -> Result<(), WriteError> {
        let table = self.aws.table();
        let object = || format!("table {table}");
        let mut transaction = Vec::with_capacity(writes.len());
        for write in writes {
            let item = item::transact(table, write)
                .map_err(|error| WriteError::Port(invalid(WRITE, object(), error)))?;
            transaction.extend(item);
        }
        // DynamoDB refuses a transaction without items.
        if transaction.is_empty() {
            return Ok(());
        }
        let answer = self
            .aws
            .dynamodb()
            .await
            .transact_write_items()
            .set_transact_items(Some(transaction))
            .send()
            .await;
        let Err(error) = answer else { return Ok(()) };
        let cancelled = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                Some(verdict(cancelled))
            }
            _ => None,
        };
        let mut error = port_error(WRITE, object(), error);
        match cancelled {
            Some(CancellationVerdict::Conflict) => return Err(WriteError::Conflict),
            Some(CancellationVerdict::Failed(kind)) => error.kind = kind,
            None => {}
        }
        Err(WriteError::Port(error))
    }
}

/// Why a transaction was cancelled.
#[derive(Debug, PartialEq, Eq)]
enum CancellationVerdict {
    /// The ledger is not what the writer took it for.
    Conflict,
    /// Anything else.
    Failed(ErrorKind),
}

/// A conflict counts before everything else: the writer reads again, and
/// meets the rest then. DynamoDB names a reason for each item, `None` for
/// those without fault; when it names none at all, reading again helps too.
fn verdict(cancelled: &TransactionCanceledException) -> CancellationVerdict {
    let mut failed = None;
    for code in cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code()) {
        let kind = match code {
            "None" => continue,
            "ConditionalCheckFailed" | "TransactionConflict" => {
                return CancellationVerdict::Conflict;
            }
            "ThrottlingError" | "ProvisionedThroughputExceeded" => ErrorKind::Passing,
            "AccessDenied" => ErrorKind::Denied,
            _ => ErrorKind::Invalid,
        };
        // What will not pass decides.
        if failed.is_none_or(|known| known == ErrorKind::Passing) {
            failed = Some(kind);
        }
    }
    failed.map_or(CancellationVerdict::Conflict, CancellationVerdict::Failed)
}

/// Why an item cannot be stored, or a stored one not be understood.
#[derive(Debug, thiserror::Error)]
enum ItemError {
    /// Somebody else has written it.
    #[error("a stored item has no `{attribute}` of the right type")]
    Attribute {
        /// The attribute.
        attribute: &'static str,
    },
    /// Bodies are JSON objects.
    #[error("the body of {partition} {sort} is not an object")]
    NoObject {
        /// Partition key.
        partition: String,
        /// Sort key.
        sort: String,
    },
    /// A value has no counterpart.
    #[error("a body cannot be converted")]
    Body(#[from] serde_dynamo::Error),
    /// The SDK misses a field.
    #[error("a request cannot be built")]
    Request(#[from] BuildError),
}
