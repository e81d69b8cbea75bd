//! Events that break a rule.

use pod_identity_engine::Outcome;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{PortFault, When};
use serde_json::{Value, json};

use crate::check::settled;
use crate::scenario::Scenario;

const REJECTED: &str = "Service Account Event Rejected";

fn notices(scenario: &Scenario) -> Vec<Value> {
    let world = scenario.ports.world();
    world
        .ledger
        .items()
        .filter(|item| item.key.partition == "REJECTED#2026-11-20")
        .inspect(|item| assert!(world.ledger.expires_at(&item.key).is_some()))
        .map(|item| item.body.clone())
        .collect()
}

#[test]
fn a_rejected_record_of_a_mixed_batch_fails_no_other() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let bad = json!({ "roleArn": "arn:aws:iam::111122223333:role/admin" });
    let batch = [
        scenario.assigned("svc-a", "etl"),
        scenario.assigned_with("svc-b", "etl", bad),
        scenario.assigned("svc-c", "report"),
    ];
    let report = scenario.batch(&batch);
    Scenario::assert_outcome(&report.records[0], Outcome::Applied);
    Scenario::assert_outcome(&report.records[1], Outcome::Rejected);
    Scenario::assert_outcome(&report.records[2], Outcome::Applied);
    assert_eq!(report.failed().count(), 0);
    assert!(report.records[1].lines[0].contains("ROLES"), "{report:?}");
    assert_eq!(scenario.associations("blue").len(), 2);

    let published = scenario.outcomes(REJECTED);
    assert_eq!(published.len(), 1);
    assert_eq!(published[0]["original"], batch[1]);
    assert_eq!(published[0]["originalTruncated"], false);
    assert_eq!(published[0]["cause"]["eventId"], batch[1]["detail"]["eventId"]);
    let kept = notices(&scenario);
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["original"], batch[1].to_string());
    assert_eq!(kept[0]["reasons"], published[0]["reasons"]);
    settled(&mut scenario);
}

fn send_text(scenario: &mut Scenario, text: &str) -> pod_identity_engine::RecordReport {
    let deadline = scenario.in_seconds(60);
    scenario.texts(&[text.to_owned()], deadline, |_| {}).records.remove(0)
}

#[test]
fn a_text_that_is_no_event_is_rejected_with_the_text_itself() {
    for text in ["not JSON at all", "", "[]", "{\"detail\":{}}", "42"] {
        let mut scenario = Scenario::new();
        let report = send_text(&mut scenario, text);
        Scenario::assert_outcome(&report, Outcome::Rejected);
        let published = scenario.outcomes(REJECTED);
        let original = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        assert_eq!(published[0]["original"], original);
        assert_eq!(published[0]["originalBytes"], text.len());
        assert_eq!(notices(&scenario).len(), 1);
        // The same text on the same day has the same place and the same id.
        send_text(&mut scenario, text);
        assert_eq!(notices(&scenario).len(), 1);
        let published = scenario.outcomes(REJECTED);
        assert_eq!(published[0]["eventId"], published[1]["eventId"]);
    }
}

#[test]
fn an_event_with_a_key_twice_is_rejected_and_shown_as_its_text() {
    for (once, twice, path) in [
        ("\"source\":", "\"source\":\"other\",\"source\":", "source"),
        ("\"version\":", "\"x\":{\"y\":[{\"z\":1,\"z\":1}]},\"version\":", "x.y[0].z"),
        ("\"detail\":", "\"detail\":{},\"detail\":", "detail"),
        ("\"roleArn\":", "\"roleArn\":\"arn:aws:iam::1:role/a\",\"roleArn\":", "detail.roleArn"),
        ("\"occurredAt\":", "\"\\u0072oleArn\":\"a\",\"occurredAt\":", "detail.roleArn"),
        (
            "{\"serviceAccount\":\"etl\"}",
            "{\"serviceAccount\":\"b\",\"serviceAccount\":\"etl\"}",
            "detail.kubernetes.serviceAccount",
        ),
    ] {
        let mut scenario = Scenario::registered();
        let account = json!({ "kubernetes": { "serviceAccount": "etl" } });
        let event = scenario.assigned_with("svc-etl", "etl", account);
        let text = event.to_string().replacen(once, twice, 1);
        assert_ne!(text, event.to_string(), "{once}");
        let report = send_text(&mut scenario, &text);
        Scenario::assert_outcome(&report, Outcome::Rejected);
        let reason =
            format!("key `{path}` occurs twice in one JSON object; the event must have it once");
        assert_eq!(report.lines, std::slice::from_ref(&reason));
        let published = &scenario.outcomes(REJECTED)[0];
        assert_eq!(published["reasons"], json!([reason]));
        // As JSON it would show one of the two only.
        assert_eq!(published["original"], text);
        assert_eq!(published["cause"]["eventId"], event["detail"]["eventId"]);
        assert_eq!(notices(&scenario)[0]["original"], text);
        assert!(scenario.associations("blue").is_empty());
    }
}

#[test]
fn an_oversize_original_is_cut_at_a_character() {
    let mut scenario = Scenario::new();
    let text = "x".repeat(7) + &"é".repeat(100_000);
    Scenario::assert_outcome(&send_text(&mut scenario, &text), Outcome::Rejected);
    let published = scenario.outcomes(REJECTED);
    assert_eq!(published[0]["originalTruncated"], true);
    assert_eq!(published[0]["originalBytes"], text.len());
    let kept = published[0]["original"].as_str().unwrap();
    assert!(text.starts_with(kept) && kept.len() > 100_000 && kept.len() <= 102_400);
    assert_eq!(notices(&scenario)[0]["original"], published[0]["original"]);
}

#[test]
fn many_large_rejections_fit_the_calls_to_the_bus() {
    let mut scenario = Scenario::new();
    let texts: Vec<String> = (0..10).map(|n| format!("{n}{}", "\"\\".repeat(50_000))).collect();
    let deadline = scenario.in_seconds(60);
    for record in scenario.texts(&texts, deadline, |_| {}).records {
        Scenario::assert_outcome(&record, Outcome::Rejected);
    }
    assert_eq!(scenario.outcomes(REJECTED).len(), 10);
    assert_eq!(notices(&scenario).len(), 10);
}

#[test]
fn a_rejection_that_repeats_a_large_value_is_recorded_all_the_same() {
    let mut scenario = Scenario::new();
    let mut event = scenario.assigned("svc-etl", "etl");
    event["detail-type"] = json!("\"".repeat(50_000));
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Rejected);
    let sent = scenario.outcomes(REJECTED)[0].to_string().len();
    assert!(sent < 256 * 1024, "EventBridge takes no entry of {sent} bytes");
    assert_eq!(notices(&scenario).len(), 1);
}

#[test]
fn an_original_that_grows_as_json_fits_the_bus_and_the_ledger() {
    // Escapes are six times as long; 1e15 is written out with all its zeros.
    let texts = ["\u{1}".repeat(90_000), format!("[1e15{}]", ",1e15".repeat(19_000))];
    for text in texts {
        let mut scenario = Scenario::new();
        Scenario::assert_outcome(&send_text(&mut scenario, &text), Outcome::Rejected);
        let published = &scenario.outcomes(REJECTED)[0];
        assert!(published.to_string().len() < 256 * 1024);
        let original = published["original"].as_str().unwrap();
        assert!(text.starts_with(original) && original.len() > 20_000);
        assert_eq!(published["originalTruncated"], original.len() < text.len());
        assert_eq!(notices(&scenario)[0]["original"], original);
    }
}

#[test]
fn an_original_that_nests_deeply_is_told_as_text() {
    for (depth, is_text) in [(60, false), (65, true), (127, true)] {
        let mut scenario = Scenario::new();
        let text = format!("{}0{}", "[".repeat(depth), "]".repeat(depth));
        Scenario::assert_outcome(&send_text(&mut scenario, &text), Outcome::Rejected);
        let published = &scenario.outcomes(REJECTED)[0];
        assert_eq!(published["original"].is_string(), is_text, "{depth}");
        assert_eq!(published["originalTruncated"], false);
        assert_eq!(notices(&scenario)[0]["original"], text);
    }
}

#[test]
fn a_superseded_event_with_a_large_envelope_is_recorded_all_the_same() {
    let mut scenario = Scenario::new();
    let mut old = scenario.assigned("svc-etl", "etl");
    old["resources"] = json!(["x".repeat(900_000)]);
    let new = scenario.assigned("svc-etl", "report");
    Scenario::assert_outcome(&scenario.send(&new), Outcome::Waiting);
    Scenario::assert_outcome(&scenario.send(&old), Outcome::Superseded);
    let world = scenario.ports.world();
    let is_notice =
        |item: &&pod_identity_engine::ports::Item| item.key.partition == "SUPERSEDED#2026-11-20";
    let notice = world.ledger.items().find(is_notice).unwrap();
    let original = notice.body["original"].as_str().unwrap();
    assert!(old.to_string().starts_with(original));
}

#[test]
fn a_rejection_that_could_not_be_recorded_fails_and_is_not_lost() {
    for operation in ["PutEvents", "TransactWriteItems"] {
        let mut scenario = Scenario::new();
        let event = scenario.assigned_with("svc-etl", "etl", json!({ "schemaVersion": 1, "x": 1 }));
        scenario.ports.fault(PortFault::nth(operation, 1, When::Before, ErrorKind::Passing));
        Scenario::assert_outcome(&scenario.send(&event), Outcome::Failed);
        assert!(notices(&scenario).is_empty());
        Scenario::assert_outcome(&scenario.send(&event), Outcome::Rejected);
        assert_eq!(notices(&scenario).len(), 1);
        settled(&mut scenario);
    }
}
