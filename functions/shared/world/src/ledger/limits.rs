//! What DynamoDB refuses to store. Sizes follow
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>,
//! limits <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>.

use std::collections::BTreeSet;

use pod_identity_engine::ports::{Item, Key, Write};
use serde_json::{Number, Value};

const MAX_PARTITION_KEY_BYTES: usize = 2048;
const MAX_SORT_KEY_BYTES: usize = 1024;
const MAX_ITEM_BYTES: usize = 400 * 1024;
const MAX_TRANSACTION_BYTES: usize = 4 * 1024 * 1024;
const MAX_DEPTH: usize = 32;
const MAX_DIGITS: usize = 38;

/// The attributes beside the body, with their names: `pk`, `sk`, `revision`,
/// `body`, and the 21 bytes that the longest number takes as `expiresAt`.
const NAMES: usize = 2 + 2 + 8 + 4 + 9 + 21;

/// Why DynamoDB would refuse a transaction with these keys.
pub(super) fn check(keys: &BTreeSet<&Key>, writes: &[Write]) -> Result<(), String> {
    for Key { partition, sort } in keys {
        if partition.is_empty() || sort.is_empty() {
            return Err("One or more parameter values are not valid: empty key value".to_owned());
        }
        if partition.len() > MAX_PARTITION_KEY_BYTES || sort.len() > MAX_SORT_KEY_BYTES {
            return Err("One or more parameter values were invalid: Size of key has exceeded the maximum size limit".to_owned());
        }
    }
    let mut all = 0;
    for write in writes {
        let Write::Put { item, .. } = write else {
            continue;
        };
        if !item.body.is_object() {
            return Err("The body of an item must be a JSON object".to_owned());
        }
        let bytes = size_of_item(item);
        if bytes > MAX_ITEM_BYTES {
            return Err("Item size has exceeded the maximum allowed size".to_owned());
        }
        storable(&item.body, 1)?;
        all += bytes;
    }
    if all > MAX_TRANSACTION_BYTES {
        return Err("Transaction size has exceeded the maximum allowed size".to_owned());
    }
    Ok(())
}

pub(super) fn size_of_item(item: &Item) -> usize {
    let Item { key, revision, body } = item;
    NAMES + key.partition.len() + key.sort.len() + revision.len() + size(body)
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => digits(number).len() / 2 + 3,
        Value::String(text) => text.len(),
        Value::Array(list) => 3 + list.iter().map(|value| 1 + size(value)).sum::<usize>(),
        Value::Object(map) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>()
        }
    }
}

/// The significant digits of a number.
fn digits(number: &Number) -> String {
    let text = number.to_string();
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

/// Nesting, and the range of numbers: 38 digits, 1E-130 to 9.9E+125.
fn storable(value: &Value, depth: usize) -> Result<(), String> {
    match value {
        Value::Array(_) | Value::Object(_) if depth > MAX_DEPTH => {
            Err("Nesting Levels have exceeded supported limits".to_owned())
        }
        Value::Array(list) => list.iter().try_for_each(|value| storable(value, depth + 1)),
        Value::Object(map) => map.values().try_for_each(|value| storable(value, depth + 1)),
        Value::Number(number) => {
            let size = number.as_f64().unwrap_or_default().abs();
            let fits = size == 0.0 || (1e-130..1e126).contains(&size);
            if fits && digits(number).len() <= MAX_DIGITS {
                Ok(())
            } else {
                Err(format!("Number overflow or underflow: {number}"))
            }
        }
        _ => Ok(()),
    }
}
