//! Items of the ledger as DynamoDB's attributes.

use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem};
use pod_identity_engine::ports::{Expect, Item, Key, Write};
use serde_json::Value;

use super::{Attributes, ItemError};

const PARTITION: &str = "pk";
const SORT: &str = "sk";
const REVISION: &str = "revision";
const BODY: &str = "body";
const EXPIRES_AT: &str = "expiresAt";

/// A key's attributes.
pub(super) fn key(key: &Key) -> Attributes {
    Attributes::from([
        (PARTITION.to_owned(), AttributeValue::S(key.partition.clone())),
        (SORT.to_owned(), AttributeValue::S(key.sort.clone())),
    ])
}

/// An item's attributes.
pub(super) fn encode(item: &Item, expires_at: Option<i64>) -> Result<Attributes, ItemError> {
    if !item.body.is_object() {
        return Err(ItemError::NoObject {
            partition: item.key.partition.clone(),
            sort: item.key.sort.clone(),
        });
    }
    let mut attributes = key(&item.key);
    attributes.insert(REVISION.to_owned(), AttributeValue::S(item.revision.clone()));
    attributes.insert(BODY.to_owned(), serde_dynamo::to_attribute_value(&item.body)?);
    if let Some(seconds) = expires_at {
        attributes.insert(EXPIRES_AT.to_owned(), AttributeValue::N(seconds.to_string()));
    }
    Ok(attributes)
}

/// The item of stored attributes.
pub(super) fn decode(mut attributes: Attributes) -> Result<Item, ItemError> {
    let key =
        Key { partition: take(&mut attributes, PARTITION)?, sort: take(&mut attributes, SORT)? };
    let revision = take(&mut attributes, REVISION)?;
    let body: Value = match attributes.remove(BODY) {
        Some(body @ AttributeValue::M(_)) => serde_dynamo::from_attribute_value(body)?,
        _ => return Err(ItemError::Attribute { attribute: BODY }),
    };
    Ok(Item { key, revision, body })
}

/// The sort key of a stored key.
pub(super) fn sort(mut attributes: Attributes) -> Result<String, ItemError> {
    take(&mut attributes, SORT)
}

fn take(attributes: &mut Attributes, attribute: &'static str) -> Result<String, ItemError> {
    match attributes.remove(attribute) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(ItemError::Attribute { attribute }),
    }
}

/// A write's part of a transaction; none when it neither changes nor asks anything.
pub(super) fn transact(table: &str, write: &Write) -> Result<Option<TransactWriteItem>, ItemError> {
    // The three builders have the same methods, but no trait in common.
    macro_rules! under {
        ($builder:expr, $expect:expr) => {{
            let mut builder = $builder.table_name(table);
            if let Some(condition) = condition($expect) {
                builder = builder.condition_expression(condition.expression);
                // DynamoDB refuses names and values that no expression uses.
                if let Some(revision) = condition.revision {
                    builder = builder
                        .expression_attribute_names("#revision", REVISION)
                        .expression_attribute_values(":revision", AttributeValue::S(revision));
                }
            }
            builder.build()?
        }};
    }
    let item = TransactWriteItem::builder();
    let item = match write {
        Write::Put { item: put, expires_at, expect } => {
            let attributes = encode(put, *expires_at)?;
            item.put(under!(Put::builder().set_item(Some(attributes)), expect))
        }
        Write::Delete { key: at, expect } => {
            item.delete(under!(Delete::builder().set_key(Some(key(at))), expect))
        }
        Write::Check { expect: Expect::Anything, .. } => return Ok(None),
        Write::Check { key: at, expect } => {
            item.condition_check(under!(ConditionCheck::builder().set_key(Some(key(at))), expect))
        }
    };
    Ok(Some(item.build()))
}

struct WriteCondition {
    expression: &'static str,
    /// The value of `:revision`, when the expression uses it.
    revision: Option<String>,
}

fn condition(expect: &Expect) -> Option<WriteCondition> {
    match expect {
        Expect::Anything => None,
        Expect::Absent => {
            Some(WriteCondition { expression: "attribute_not_exists(pk)", revision: None })
        }
        Expect::Revision(revision) => Some(WriteCondition {
            expression: "#revision = :revision",
            revision: Some(revision.clone()),
        }),
    }
}
