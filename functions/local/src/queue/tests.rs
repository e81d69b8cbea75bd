#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;

use super::*;

fn queue() -> Queue {
    Queue::new("events", "eu-west-1", "111122223333", 3)
}

fn now() -> Timestamp {
    Timestamp::from_second(1_793_500_000).unwrap()
}

fn answer(value: Value) -> InvocationResult {
    InvocationResult::Answer(value)
}

#[test]
fn batch_holds_at_most_ten_messages_in_order() {
    let mut queue = queue();
    for index in 0..12 {
        queue.send(format!("{index}"), now());
    }
    let first = queue.receive(now()).unwrap();
    assert_eq!(first.messages.len(), 10);
    assert_eq!(first.messages[9].body, "9");
    assert_eq!(queue.receive(now()).unwrap().messages.len(), 2);
    assert!(queue.receive(now()).is_none());
}

#[test]
fn record_looks_as_lambda_sends_it() {
    let mut queue = queue();
    let id = queue.send("hello", now());
    let event = queue.receive(now()).unwrap().event();
    let record = &event["Records"][0];
    assert_eq!(record["messageId"], json!(id));
    assert_eq!(record["body"], "hello");
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
    assert_eq!(record["md5OfBody"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(record["eventSource"], "aws:sqs");
    assert_eq!(record["eventSourceARN"], "arn:aws:sqs:eu-west-1:111122223333:events");
    assert_eq!(record["awsRegion"], "eu-west-1");
}

#[test]
fn only_the_named_items_come_back() {
    let mut queue = queue();
    queue.send("good", now());
    let bad = queue.send("bad", now());
    let batch = queue.receive(now()).unwrap();
    let failed =
        queue.settle(batch, &answer(json!({"batchItemFailures": [{"itemIdentifier": bad}]})));
    assert_eq!(failed, BTreeSet::from([bad.clone()]));
    let again = queue.receive(now()).unwrap();
    assert_eq!(again.messages.len(), 1);
    assert_eq!((again.messages[0].id.as_str(), again.messages[0].receives), (bad.as_str(), 2));
}

#[test]
fn answers_without_failures_are_a_success() {
    for value in [
        json!(null),
        json!({}),
        json!({"batchItemFailures": null}),
        json!({"batchItemFailures": []}),
    ] {
        let mut queue = queue();
        queue.send("x", now());
        let batch = queue.receive(now()).unwrap();
        assert!(queue.settle(batch, &answer(value)).is_empty());
        assert_eq!(queue.waiting(), 0);
    }
}

#[test]
fn a_wrong_answer_fails_the_whole_batch() {
    let wrong = [
        answer(json!({"batchItemFailures": [{"itemIdentifier": ""}]})),
        answer(json!({"batchItemFailures": [{"itemIdentifier": null}]})),
        answer(json!({"batchItemFailures": [{"id": "x"}]})),
        answer(json!({"batchItemFailures": [{"itemIdentifier": "not-of-this-batch"}]})),
        InvocationResult::Error(json!({"errorType": "x"})),
        InvocationResult::InitError(json!({"errorType": "x"})),
        InvocationResult::ChildDied("signal: 9".to_owned()),
    ];
    for result in wrong {
        let mut queue = queue();
        queue.send("a", now());
        queue.send("b", now());
        let batch = queue.receive(now()).unwrap();
        assert_eq!(queue.settle(batch, &result).len(), 2, "{result:?}");
        assert_eq!(queue.waiting(), 2);
    }
}

#[test]
fn message_received_too_often_is_a_dead_letter() {
    let mut queue = queue();
    queue.send("poison", now());
    for _ in 0..3 {
        let batch = queue.receive(now()).unwrap();
        queue.settle(batch, &InvocationResult::ChildDied("signal: 9".to_owned()));
        assert!(queue.dead_letters().is_empty());
    }
    assert!(queue.receive(now()).is_none());
    assert_eq!(queue.dead_letters().len(), 1);
    assert_eq!(queue.dead_letters()[0].receives, 3);
}
