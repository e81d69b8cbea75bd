//! The whole ledger as it lies in DynamoDB, to look at it and to let time pass in it.

#[cfg(test)]
mod tests;

use std::io;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use pod_identity_engine::ports::{Item, Key};
use serde_json::{Map, Value, json};

use crate::client;

/// Every item of the ledger's table, in the order of their keys.
///
/// # Errors
/// When the endpoint does not answer as DynamoDB does.
pub(crate) async fn scan(endpoint: &str, region: &str, table: &str) -> io::Result<Vec<Item>> {
    let raw = backup(endpoint, region, table).await?;
    let mut items: Vec<Item> = raw.iter().map(item).collect();
    items.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(items)
}

/// Every item as DynamoDB has it, to be restored later.
///
/// # Errors
/// When the endpoint does not answer as DynamoDB does.
pub(crate) async fn backup(endpoint: &str, region: &str, table: &str) -> io::Result<Vec<Value>> {
    let mut items = Vec::new();
    let mut start = Value::Null;
    loop {
        let mut input = json!({ "TableName": table, "ConsistentRead": true });
        if !start.is_null() {
            input["ExclusiveStartKey"] = start;
        }
        let answer = call(endpoint, region, "Scan", &input).await?;
        items.extend(answer["Items"].as_array().into_iter().flatten().cloned());
        start = answer["LastEvaluatedKey"].clone();
        if start.is_null() {
            break;
        }
    }
    Ok(items)
}

/// Makes the table what it was when its items were taken.
///
/// # Errors
/// When the endpoint does not answer as DynamoDB does.
pub(crate) async fn restore(
    endpoint: &str,
    region: &str,
    table: &str,
    items: &[Value],
) -> io::Result<()> {
    for item in backup(endpoint, region, table).await? {
        let key = json!({ "pk": item["pk"], "sk": item["sk"] });
        let input = json!({ "TableName": table, "Key": key });
        call(endpoint, region, "DeleteItem", &input).await?;
    }
    for item in items {
        let input = json!({ "TableName": table, "Item": item });
        call(endpoint, region, "PutItem", &input).await?;
    }
    Ok(())
}

/// Ends the time of every lease and of what was written lately, as if it had been waited for.
///
/// # Errors
/// When the endpoint does not answer as DynamoDB does.
pub(crate) async fn expire_leases(endpoint: &str, region: &str, table: &str) -> io::Result<()> {
    for item in scan(endpoint, region, table).await? {
        let key = json!({ "pk": { "S": item.key.partition }, "sk": { "S": item.key.sort } });
        // What was written lately is remembered for as long as a lease lasts.
        let input = if item.key.sort.starts_with("ACCOUNT#") {
            json!({
                "TableName": table,
                "Key": key,
                "UpdateExpression": "REMOVE #body.#write",
                "ExpressionAttributeNames": { "#body": "body", "#write": "lastWrite" },
            })
        } else if item.key.sort == "LEASE" {
            json!({
                "TableName": table,
                "Key": key,
                "UpdateExpression": "SET #body.#at = :past REMOVE #body.#until",
                "ExpressionAttributeNames": {
                    "#body": "body", "#at": "expiresAt", "#until": "abandonedUntil"
                },
                "ExpressionAttributeValues": { ":past": { "S": "1970-01-01T00:00:00Z" } },
            })
        } else {
            continue;
        };
        call(endpoint, region, "UpdateItem", &input).await?;
    }
    Ok(())
}

async fn call(endpoint: &str, region: &str, operation: &str, input: &Value) -> io::Result<Value> {
    let credential = format!("LOCAL/20260101/{region}/dynamodb/aws4_request");
    let request = Request::post("/")
        .header("host", client::authority(endpoint)?)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header(
            "authorization",
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"),
        )
        .body(Full::new(Bytes::from(input.to_string())))
        .map_err(io::Error::other)?;
    let answer = client::send(endpoint, request).await?;
    if !answer.status().is_success() {
        let text = String::from_utf8_lossy(answer.body());
        return Err(io::Error::other(format!(
            "DynamoDB refused {operation} of the ledger: {text}"
        )));
    }
    serde_json::from_slice(answer.body()).map_err(io::Error::other)
}

fn item(attributes: &Value) -> Item {
    let text = |name: &str| attributes[name]["S"].as_str().unwrap_or_default().to_owned();
    Item {
        key: Key { partition: text("pk"), sort: text("sk") },
        revision: text("revision"),
        body: plain(&attributes["body"]),
    }
}

/// DynamoDB's typed values as plain JSON.
fn plain(attribute: &Value) -> Value {
    let Some((kind, value)) = attribute.as_object().and_then(|object| object.iter().next()) else {
        return Value::Null;
    };
    match (kind.as_str(), value) {
        ("NULL", _) => Value::Null,
        ("N", Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        ("L", Value::Array(list)) => list.iter().map(plain).collect(),
        ("M", Value::Object(map)) => {
            Value::Object(map.iter().map(|(k, v)| (k.clone(), plain(v))).collect::<Map<_, _>>())
        }
        (_, value) => value.clone(),
    }
}
