#![allow(clippy::unwrap_used, clippy::panic)]

use pod_identity_core::Json;
use serde_json::{Value, json};

use crate::Payload;

fn read(payload: &Value) -> Payload {
    crate::read(&Json::from(payload.clone()))
}

#[test]
fn an_sqs_batch_is_read_record_by_record() {
    let message = |id: &str, body: &str| json!({ "messageId": id, "body": body, "attributes": {}, "messageAttributes": {} });
    let payload = json!({ "Records": [message("a", "{}"), 7, message("b", "not json")] });
    let Payload::Batch(records) = read(&payload) else { panic!("not a batch") };
    let found: Vec<_> = records.iter().map(|r| (r.id.as_str(), r.text.as_str())).collect();
    assert_eq!(found, [("a", "{}"), ("", "7"), ("b", "not json")]);
}

#[test]
fn a_list_is_no_message_whatever_it_holds() {
    let list = json!(["id", "handle", "body"]);
    let Payload::Batch(records) = read(&json!({ "Records": [list] })) else { panic!("no batch") };
    assert_eq!((records[0].id.as_str(), records[0].text.as_str()), ("", list.to_string().as_str()));
}

#[test]
fn everything_else_is_one_event_to_be_judged_as_such() {
    for payload in [
        json!({ "id": "e", "detail-type": "Service Account Role Assigned", "detail": {} }),
        json!({ "Records": "none" }),
        json!(null),
        json!([1, 2]),
        json!("text"),
    ] {
        let Payload::Single(record) = read(&payload) else { panic!("{payload}") };
        assert_eq!(serde_json::from_str::<Value>(&record.text).unwrap(), payload);
    }
}

#[test]
fn an_event_with_a_key_twice_keeps_both_in_its_text() {
    let text = r#"{"id":"e","detail":{"a":1,"a":2}}"#;
    let payload = crate::read(&Json::parse(text).unwrap());
    let Payload::Single(record) = payload else { panic!("{payload:?}") };
    assert_eq!((record.id.as_str(), record.text.as_str()), ("e", text));
}
