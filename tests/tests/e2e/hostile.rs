//! Payloads that somebody broke, by accident or not, over the real loop. What
//! must hold of any payload at all is judged by the fuzzer and its corpus.

use local::InvocationResult;
use pod_identity_events::{detail_type, samples};
use serde_json::json;

use crate::scenario::{Scenario, assigned, event};

/// Records that have to be refused, each in its own way.
fn hostile() -> Vec<String> {
    let sample = samples::accepted()[3].json;
    let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let in_detail = |detail: &str| sample.replace("\"roleArn\"", &format!("{detail}, \"roleArn\""));
    let source = pod_identity_events::source::AUTOMATION;
    vec![
        sample[..sample.len() / 2].to_owned(),
        sample[..sample.len() - 2].to_owned(),
        format!("\u{feff}{sample}"),
        format!("{sample}{sample}"),
        deep(120),
        deep(5_000),
        "\u{0}".repeat(100_000),
        "\"\\".repeat(100_000),
        in_detail("\"number\": 1e400"),
        in_detail(&format!("\"deep\": {}", deep(100))),
        in_detail(&format!("\"long\": \"{}\"", "\\u0001".repeat(30_000))),
        event(source, detail_type::ROLE_ASSIGNED, json!({ "serviceAccount": ["svc"] }), 10),
        event(source, "\u{1b}[31mService Account Role Assigned", json!({}), 10),
        "[\"m\",\"r\",\"body\"]".to_owned(),
    ]
}

#[tokio::test]
async fn hostile_records_are_refused_with_their_originals_and_hold_up_no_other() {
    let mut scenario = Scenario::on_blue(&[]).await;
    let (before, policies) = (scenario.state().await, scenario.listed("blue"));
    let mut published = Vec::new();
    for records in hostile().chunks(9) {
        scenario.deliver(records).await;
        published.extend(scenario.news(detail_type::EVENT_REJECTED));
        assert_eq!(scenario.state().await, before, "{records:?}");
    }
    assert_eq!(published.len(), hostile().len());
    for (text, published) in hostile().iter().zip(&published) {
        assert!(!published.detail["reasons"].as_array().unwrap().is_empty());
        assert_eq!(published.detail["originalBytes"], text.len());
        assert!(
            published.detail.to_string().len() < 256 * 1024,
            "no entry of EventBridge is larger"
        );
    }
    let ledger = scenario.stage.ledger().await.unwrap();
    let kept = ledger.iter().filter(|item| {
        let partition = &item.key.partition;
        partition.starts_with("REJECTED#") && !partition.ends_with("#COUNTS")
    });
    assert_eq!(kept.count(), hostile().len());

    let mut mixed = hostile();
    mixed.truncate(9);
    mixed.push(assigned("svc-new", "old", 10));
    scenario.deliver(&mixed).await;
    assert_eq!(scenario.condition("blue", "svc-new").await.as_deref(), Some("ready"));
    assert!(scenario.listed("blue").is_superset(&policies));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_the_runtimes_to_refuse_and_end_nothing() {
    let scenario = Scenario::with(&[]).await;
    let association = scenario.stage.association();
    for bytes in
        [&b"\xff\xfe{}"[..], b"{\"id\":\"\xc3\x28\"}", b"\"\\ud800\"", b"{\"Records\":[1e999]}"]
    {
        let result = association.invoke(bytes).await.unwrap();
        assert!(matches!(result, InvocationResult::Error(_)), "{result:?}");
    }
    assert_eq!(scenario.calls(), 0);
    let refused = association.invoke("{}").await.unwrap();
    assert!(matches!(refused, InvocationResult::Answer(_)), "{refused:?}");
}
