//! What the function writes: settings that are wrong, logs, metrics.

use local::InvocationResult;
use serde_json::Value;

use crate::scenario::{Scenario, assigned};

#[tokio::test]
async fn wrong_settings_end_the_start_and_are_all_named() {
    let wrong = [
        ("DEPLOYMENT_ID", "1 2"),
        ("CLUSTERS", "blue"),
        ("ROLES", ""),
        ("TRUST", "maybe"),
        ("CONCURRENCY", "0"),
        ("CALL_TIMEOUT_MS", "soon"),
        ("SERVICE_ACCOUNT_NAME", "sa"),
    ];
    let scenario = Scenario::with(&wrong).await;
    let result = scenario.invoke(assigned("svc-new", "new", 10)).await;
    let failed = matches!(result, InvocationResult::InitError(_) | InvocationResult::ChildDied(_));
    assert!(failed, "{result:?}");
    let lines = scenario.stage.association().log().lines();
    let objects: Vec<Value> =
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for (name, _) in wrong {
        let named = |line: &&Value| line["variable"] == name && line["level"] == "ERROR";
        let line = objects.iter().find(named);
        let line = line.unwrap_or_else(|| panic!("{name} is not named: {lines:#?}"));
        assert!(line["message"].as_str().unwrap().starts_with(name), "{line}");
    }
    assert_eq!(scenario.calls(), 0);
}

/// The log of one assignment, a rejection and a blocked one.
async fn log() -> Vec<Value> {
    let mut scenario = Scenario::on_blue(&[]).await;
    let rejected = pod_identity_events::samples::rejected()[0].json.to_owned();
    let blocked = assigned("svc-legacy", "untrusted-legacy", 11);
    scenario.deliver(&[assigned("svc-new", "new", 10), rejected, blocked]).await;
    scenario.log_objects()
}

#[tokio::test]
async fn every_log_line_is_an_object_that_says_what_it_is_about() {
    let lines = log().await;
    let of = |event_id: &str| {
        let line = lines
            .iter()
            .find(|line| line["event_id"] == event_id && line["message"] == "event processed");
        line.unwrap_or_else(|| panic!("{event_id}: {lines:#?}"))
    };
    let applied = of("event-10");
    assert_eq!(applied["service_account"], "svc-new");
    assert_eq!(applied["level"], "INFO");
    assert!(applied["message_id"].as_str().is_some());
    assert!(applied["text"].as_str().unwrap().contains("blue: domino-compute/svc-new-sa"));
    assert!(applied["span"]["requestId"].as_str().is_some());
    assert!(of("event-11")["text"].as_str().unwrap().contains("does not trust"));

    let planned = lines.iter().rfind(|line| line["message"] == "planned").unwrap();
    assert_eq!(planned["cluster"], "blue");
    let plan = planned["plan"].as_str().unwrap();
    assert!(plan.contains("+ association domino-compute/svc-new-sa"), "{plan}");
    assert!(plan.contains("! svc-legacy blocked"), "{plan}");

    let condition = lines
        .iter()
        .find(|line| line["message"] == "condition" && line["service_account"] == "svc-new");
    let condition = condition.unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!(condition["event_id"], "event-10");
    assert_eq!(condition["cluster"], "blue");
    assert_eq!(condition["state"], "Ready");

    let refused = lines.iter().find(|line| line["outcome"] == "Rejected").unwrap();
    assert_eq!(refused["message"], "event processed");
    assert!(refused["text"].as_str().unwrap().contains("is not in CLUSTERS"));
    assert!(!refused["event_id"].is_null());
}

#[tokio::test]
async fn metrics_are_valid_in_cloudwatchs_embedded_format() {
    let lines = log().await;
    let metrics: Vec<&Value> = lines.iter().filter(|line| line.get("_aws").is_some()).collect();
    let mut names = std::collections::BTreeSet::new();
    for line in &metrics {
        let since_1970 = line["_aws"]["Timestamp"].as_i64().unwrap();
        assert!(since_1970 > 1_700_000_000_000, "milliseconds");
        for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            assert_eq!(directive["Namespace"], "DominoPodIdentity");
            for set in directive["Dimensions"].as_array().unwrap() {
                let set = set.as_array().unwrap();
                assert!((1..=30).contains(&set.len()));
                for dimension in set {
                    assert!(line[dimension.as_str().unwrap()].is_string(), "{line}");
                }
            }
            for metric in directive["Metrics"].as_array().unwrap() {
                let name = metric["Name"].as_str().unwrap();
                assert!(line[name].is_number(), "{name} has no value: {line}");
                let unit = metric["Unit"].as_str().unwrap();
                assert!(["Count", "Milliseconds", "Percent"].contains(&unit));
                names.insert(name.to_owned());
            }
        }
    }
    for name in [
        "Accepted",
        "Superseded",
        "Rejected",
        "Blocked",
        "Applied",
        "Steps",
        "Latency",
        "NodePolicyCapacityUsed",
    ] {
        assert!(names.contains(name), "{name}");
    }
    let last = metrics.iter().rfind(|line| line.get("Accepted").is_some()).unwrap();
    let counts = ["Accepted", "Applied", "Blocked", "Rejected", "Steps"].map(|name| &last[name]);
    assert_eq!(counts, [2, 1, 1, 1, 2]);
}
