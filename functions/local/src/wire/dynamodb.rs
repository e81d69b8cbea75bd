//! DynamoDB, in process, by winterbaume.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use pod_identity_world::AwsError;
use serde_json::{Value, json};
use tokio::sync::RwLock;
use winterbaume_core::{
    MockRequest, MockResponse, MockService, StatefulService, default_account_id,
};
use winterbaume_dynamodb::DynamoDbService;
pub(super) use winterbaume_dynamodb::DynamodbStateView as View;

use super::answer::{Answer, with_id};
use super::request::Request;

/// DynamoDB refused to make a table, or to take tables back.
#[derive(Debug, thiserror::Error)]
#[error("failed to make {table}: {answer}")]
pub struct TableError {
    table: String,
    answer: String,
}

/// Calls that change nothing, so that several may be answered at once.
const READS: [&str; 4] = ["GetItem", "BatchGetItem", "Query", "Scan"];

/// All tables. One write at a time, and no read meanwhile: the server checks the conditions of a
/// transaction and writes it under different locks.
#[derive(Default)]
pub(super) struct Tables(RwLock<DynamoDbService>);

pub(super) struct Operation {
    name: String,
    object: String,
}

impl Operation {
    pub(super) fn route(request: &Request) -> Result<Self, AwsError> {
        let name = request.target().ok_or_else(|| {
            AwsError::new(400, "UnknownOperationException", "X-Amz-Target is missing")
        })?;
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        Ok(Self { name: name.to_owned(), object: object(&body) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn object(&self) -> String {
        self.object.clone()
    }
}

/// What a call is about: its table, or how many items of which tables, or in a transaction how
/// many writes and of which kinds; and behind a semicolon the partitions.
fn object(body: &Value) -> String {
    let partitions: Vec<&str> = partitions(body).into_iter().collect();
    format!("{}; {}", what(body), partitions.join(", "))
}

fn what(body: &Value) -> String {
    if let Some(table) = body["TableName"].as_str() {
        return table.to_owned();
    }
    if let Some(writes) = body["TransactItems"].as_array() {
        let kinds = writes.iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys);
        let kinds: BTreeSet<&str> = kinds.map(String::as_str).collect();
        let kinds: Vec<&str> = kinds.into_iter().collect();
        return format!("{} items: {}", writes.len(), kinds.join(", "));
    }
    let tables = body["RequestItems"].as_object().into_iter().flatten();
    let tables: Vec<String> = tables
        .map(|(table, request)| {
            let items = request["Keys"].as_array().or(request.as_array()).map_or(0, Vec::len);
            format!("{items} items of {table}")
        })
        .collect();
    tables.join(", ")
}

/// The partition keys that a call names: what IAM calls `dynamodb:LeadingKeys`.
fn partitions(body: &Value) -> BTreeSet<&str> {
    let tables = body["RequestItems"].as_object().into_iter().flatten();
    let read = tables.filter_map(|(_, request)| request["Keys"].as_array()).flatten();
    let writes = body["TransactItems"].as_array().into_iter().flatten();
    let writes = writes.filter_map(Value::as_object).flat_map(serde_json::Map::values);
    let written =
        writes.map(|write| if write["Item"].is_null() { &write["Key"] } else { &write["Item"] });
    let single = [&body["Key"], &body["Item"]];
    let keys = read.chain(written).chain(single).map(|key| &key["pk"]);
    // A query's condition begins with it: `pk = :partition AND ...`.
    let condition = body["KeyConditionExpression"].as_str().unwrap_or_default();
    let placeholder = condition.strip_prefix("pk = ").and_then(|rest| rest.split(' ').next());
    let queried = &body["ExpressionAttributeValues"][placeholder.unwrap_or_default()];
    keys.chain([queried]).filter_map(|value| value["S"].as_str()).collect()
}

impl Tables {
    async fn call(&self, region: &str, headers: HeaderMap, body: Bytes) -> MockResponse {
        // The region is taken from the host name.
        let uri = format!("https://dynamodb.{region}.amazonaws.com/");
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let name = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default();
        let reads = READS.contains(&name);
        let request = MockRequest { method: "POST".to_owned(), uri, headers, body };
        match reads {
            true => self.0.read().await.handle(request).await,
            false => self.0.write().await.handle(request).await,
        }
    }

    pub(super) async fn answer(
        &self,
        request: &Request,
        id: &str,
    ) -> (Answer, Result<u16, AwsError>) {
        let found = self.call(&request.region, request.headers.clone(), request.body.clone()).await;
        let outcome = if found.status < 300 { Ok(found.status) } else { Err(error(&found)) };
        let mut answer = Response::new(Full::new(found.body));
        *answer.status_mut() =
            StatusCode::from_u16(found.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *answer.headers_mut() = found.headers;
        with_id(&mut answer, id);
        (answer, outcome)
    }

    pub(super) async fn create(&self, region: &str, table: &str) -> Result<(), TableError> {
        let mut headers = HeaderMap::new();
        let target = HeaderValue::from_static("DynamoDB_20120810.CreateTable");
        headers.insert("x-amz-target", target);
        let key = |name: &str, role: &str| json!({"AttributeName": name, "KeyType": role});
        let string = |name: &str| json!({"AttributeName": name, "AttributeType": "S"});
        let body = json!({
            "TableName": table,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
            "AttributeDefinitions": [string("pk"), string("sk")],
        });
        let answer = self.call(region, headers, Bytes::from(body.to_string())).await;
        if answer.status < 300 {
            return Ok(());
        }
        let answer = String::from_utf8_lossy(&answer.body).into_owned();
        Err(TableError { table: format!("table {table}"), answer })
    }

    pub(super) async fn save(&self, region: &str) -> View {
        self.0.read().await.snapshot(default_account_id(), region).await
    }

    pub(super) async fn restore(&self, region: &str, view: View) -> Result<(), TableError> {
        let service = self.0.write().await;
        service.restore(default_account_id(), region, view).await.map_err(|error| TableError {
            table: "the saved tables".to_owned(),
            answer: error.to_string(),
        })
    }
}

fn error(answer: &MockResponse) -> AwsError {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = body["__type"].as_str().and_then(|code| code.rsplit('#').next());
    let message = body["message"].as_str().or(body["Message"].as_str()).unwrap_or_default();
    AwsError::new(answer.status, code.unwrap_or("Unknown"), message)
}
