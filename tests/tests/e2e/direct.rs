//! One event given to the function without a queue: by a rule, or in the console.

use local::InvocationResult;
use local::wire::{Fault, FaultKind};
use pod_identity_events::{detail_type, samples};
use serde_json::{Value, json};

use crate::scenario::{Scenario, assigned};

fn answer(result: InvocationResult) -> Value {
    match result {
        InvocationResult::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn event_is_answered_with_what_became_of_it_and_the_plans() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let found = answer(scenario.invoke(assigned("svc-new", "new", 10)).await);
    assert_eq!(found["outcome"], "applied");
    assert_eq!(found["eventId"], "event-10");
    assert_eq!(found["serviceAccount"], "svc-new");
    assert!(found["text"].as_str().unwrap().starts_with("blue: domino-compute/svc-new-sa works"));
    let plans = found["plans"].as_array().unwrap();
    assert_eq!(plans.len(), 1);
    let plan = plans[0]["text"].as_str().unwrap();
    assert!(plan.contains("~ policy local-eu-west-1-blue-1 lists role/domino/new as well"));
    assert!(plan.contains("+ association domino-compute/svc-new-sa -> role/domino/new"));
    assert!(plans[0]["cluster"].as_str().unwrap().ends_with(":cluster/blue"));

    let again = answer(scenario.invoke(assigned("svc-new", "new", 10)).await);
    assert_eq!(again["outcome"], "repeated");
    assert_eq!(again["plans"], json!([]));
    assert_eq!(scenario.news(detail_type::ASSOCIATION_READY).len(), 1);
}

#[tokio::test]
async fn blocked_event_is_a_successful_answer_with_the_remediation() {
    let scenario = Scenario::on_blue(&[]).await;
    let found = answer(scenario.invoke(assigned("svc-legacy", "untrusted-legacy", 10)).await);
    assert_eq!(found["outcome"], "blocked");
    let text = found["text"].as_str().unwrap();
    assert!(text.contains("does not trust EKS Pod Identity"), "{text}");
    assert!(text.contains("add this statement"), "{text}");
}

#[tokio::test]
async fn rejected_event_is_a_successful_answer_that_says_why() {
    let mut scenario = Scenario::with(&[]).await;
    for sample in samples::rejected() {
        let found = answer(scenario.invoke(sample.json).await);
        assert_eq!(found["outcome"], "rejected", "{}", sample.name);
        let expected = sample.message.unwrap().trim_end();
        assert_eq!(found["text"].as_str(), Some(expected), "{}", sample.name);
    }
    assert_eq!(scenario.news(detail_type::EVENT_REJECTED).len(), samples::rejected().len());
}

#[tokio::test]
async fn event_with_a_key_twice_is_rejected_with_both_in_its_original() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let event = assigned("svc-new", "new", 10);
    let twice = event.replacen("\"roleArn\":", "\"roleArn\":\"other\",\"roleArn\":", 1);
    assert_ne!(twice, event);
    let found = answer(scenario.invoke(twice.as_str()).await);
    assert_eq!(found["outcome"], "rejected");
    let text = found["text"].as_str().unwrap();
    assert!(text.starts_with("key `detail.roleArn` occurs twice in one JSON object"), "{text}");
    let published = &scenario.news(detail_type::EVENT_REJECTED)[0].detail;
    let original = published["original"].as_str().unwrap();
    assert!(original.contains("\"roleArn\":\"other\",\"roleArn\":"), "{original}");

    let admin = scenario.stage.admin();
    let found =
        answer(admin.invoke(r#"{"action":"status","action":"bind"}"#.to_owned()).await.unwrap());
    assert_eq!(found["ok"], false);
    assert!(found["text"].as_str().unwrap().starts_with("key `action` occurs twice"), "{found}");
}

#[tokio::test]
async fn passing_failure_is_an_error_so_that_lambda_tries_again() {
    let scenario = Scenario::on_blue(&[("CALL_ATTEMPTS", "1")]).await;
    let wire = scenario.stage.wire();
    wire.fault(Fault::new("GetRole", 1, FaultKind::ServerError));
    let event = assigned("svc-new", "new", 10);
    match scenario.invoke(event.clone()).await {
        InvocationResult::Error(error) => {
            let message = error["errorMessage"].as_str().unwrap();
            assert!(message.contains("svc-new is not finished; send it again"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(answer(scenario.invoke(event).await)["outcome"], "applied");
}

#[tokio::test]
async fn garbage_is_refused_and_never_ends_the_process() {
    let mut scenario = Scenario::with(&[]).await;
    let huge = json!("x".repeat(1024 * 1024)).to_string();
    let refused = [
        "null",
        "5",
        "[]",
        "{}",
        "\"text\"",
        "true",
        r#"{"Records":5}"#,
        r#"{"Records":{"body":"x"}}"#,
        r#"{"detail-type":"Service Account Role Assigned","detail":null}"#,
        r#"{"a":1,"a":1}"#,
        huge.as_str(),
    ];
    for payload in refused {
        let found = answer(scenario.invoke(payload).await);
        let shown = &payload[..payload.len().min(60)];
        assert_eq!(found["outcome"], "rejected", "{shown}");
        assert!(!found["text"].as_str().unwrap().is_empty(), "{shown}");
    }
    assert_eq!(scenario.news(detail_type::EVENT_REJECTED).len(), refused.len());
    let batches = [
        ("[]", 0),
        (r#"[{"body":1}]"#, 1),
        (r#"[{"messageId":"m"}]"#, 1),
        (r#"[null,{"messageId":"m","body":"{"},[[]]]"#, 3),
    ];
    for (records, rejections) in batches {
        let found = answer(scenario.invoke(format!(r#"{{"Records":{records}}}"#)).await);
        assert_eq!(found, json!({ "batchItemFailures": [] }), "{records}");
        let published = scenario.news(detail_type::EVENT_REJECTED).len();
        assert_eq!(published, rejections, "{records}");
    }

    // No parser has to go down for ever; the runtime itself refuses these.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for payload in [deep.as_str(), "{", ""] {
        let result = scenario.invoke(payload).await;
        assert!(matches!(result, InvocationResult::Error(_)), "{result:?}");
    }
    assert_eq!(answer(scenario.invoke("{}").await)["outcome"], "rejected");
}

#[tokio::test]
async fn record_that_no_parser_takes_is_rejected_with_its_text() {
    let mut scenario = Scenario::with(&[]).await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let long = json!({ "detail": "y".repeat(200 * 1024) }).to_string();
    scenario.deliver(&["\u{0}\u{1f600} no JSON".to_owned(), deep.clone(), long.clone()]).await;
    let rejected = scenario.news(detail_type::EVENT_REJECTED);
    assert_eq!(rejected.len(), 3);
    assert_eq!(rejected[0].detail["original"], "\u{0}\u{1f600} no JSON");
    assert_eq!(rejected[1].detail["original"], deep);
    let kept = rejected[2].detail["original"].as_str().unwrap();
    assert!(kept.len() > 64 * 1024 && long.starts_with(kept));
    assert_eq!(rejected[2].detail["originalTruncated"], true);
    assert_eq!(rejected[2].detail["originalBytes"], long.len());
}
