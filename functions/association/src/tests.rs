#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::time::Duration;

use pod_identity_engine::{BatchReport, ClusterReport, Outcome, RecordReport};
use pod_identity_events::PolicyCapacity;

use crate::metrics;

fn record(outcome: Outcome) -> RecordReport {
    RecordReport {
        id: "m".to_owned(),
        event_id: None,
        detail_type: None,
        service_account: None,
        outcome,
        waits_until: None,
        lines: Vec::new(),
    }
}

#[test]
fn metrics_are_embedded_metric_format() {
    let capacity = PolicyCapacity {
        policies: 1,
        max_policies: 2,
        roles: 3,
        roles_remaining: 90,
        used_percent: 41,
    };
    let cluster = ClusterReport { steps: 4, capacity: Some(capacity), ..ClusterReport::default() };
    let arn = "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap();
    let report = BatchReport {
        records: [
            Outcome::Applied,
            Outcome::Blocked,
            Outcome::Rejected,
            Outcome::Superseded,
            Outcome::Repeated,
            Outcome::Failed,
        ]
        .map(record)
        .into(),
        clusters: BTreeMap::from([(arn, cluster)]),
        busiest: Some(("svc-etl".parse().unwrap(), 121)),
    };
    let lines = metrics::lines(
        "acme",
        &report,
        Duration::from_millis(250),
        Duration::from_secs(1_790_000_000),
    );
    let [counts, blocked, capacity] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(blocked["BindingsBlocked"], 1);
    for line in &lines {
        let definition = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line["_aws"]["Timestamp"], 1_790_000_000_000_u64);
        assert_eq!(definition["Namespace"], "DominoPodIdentity");
        for dimension in definition["Dimensions"][0].as_array().unwrap() {
            assert!(line[dimension.as_str().unwrap()].is_string());
        }
        for metric in definition["Metrics"].as_array().unwrap() {
            assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
        }
    }
    let count = |name: &str| counts[name].as_u64();
    assert_eq!(count("Accepted"), Some(2));
    for name in ["Applied", "Blocked", "Rejected", "Superseded", "Repeated", "Failed"] {
        assert_eq!(count(name), Some(1), "{name}");
    }
    assert_eq!(count("Steps"), Some(4));
    assert_eq!(count("ChangesOfOneName"), Some(121));
    assert_eq!(counts["Latency"], 250.0);
    assert_eq!(capacity["Cluster"], "blue");
    let sets = &capacity["_aws"]["CloudWatchMetrics"][0]["Dimensions"];
    assert_eq!(sets[1], serde_json::json!(["Deployment"]), "for alarms over all clusters");
    assert_eq!(capacity["NodePolicyCapacityUsed"], 41);
}
