//! Metrics in CloudWatch's embedded format: JSON lines on standard output that
//! CloudWatch Logs turns into metrics.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pod_identity_engine::{BatchReport, Outcome};
use serde_json::{Map, Value, json};

/// Name of the function, the dimension of its metrics.
const NAME: &str = "association";

const NAMESPACE: &str = "DominoPodIdentity";

/// Writes the metrics of an invocation.
pub(crate) fn write(deployment: &str, report: &BatchReport, took: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for line in lines(deployment, report, took, now) {
        println!("{line}");
    }
}

/// The lines: one of counts, and one for each cluster whose node policies were looked at.
pub(crate) fn lines(
    deployment: &str,
    report: &BatchReport,
    took: Duration,
    now: Duration,
) -> Vec<Value> {
    let count = |outcomes: &[Outcome]| {
        report.records.iter().filter(|record| outcomes.contains(&record.outcome)).count()
    };
    let steps: usize = report.clusters.values().map(|cluster| cluster.steps).sum();
    let accepted = [
        Outcome::Applied,
        Outcome::Blocked,
        Outcome::Waiting,
        Outcome::Registered,
        Outcome::RetirementRequested,
    ];
    let mut lines = vec![line(
        now,
        json!({ "Deployment": deployment, "Function": NAME }),
        &[
            ("Accepted", "Count", json!(count(&accepted))),
            ("Repeated", "Count", json!(count(&[Outcome::Repeated, Outcome::Overtaken]))),
            ("Superseded", "Count", json!(count(&[Outcome::Superseded]))),
            ("Rejected", "Count", json!(count(&[Outcome::Rejected]))),
            ("Blocked", "Count", json!(count(&[Outcome::Blocked]))),
            ("Applied", "Count", json!(count(&[Outcome::Applied]))),
            ("Failed", "Count", json!(count(&[Outcome::Failed]))),
            ("Steps", "Count", json!(steps)),
            ("Latency", "Milliseconds", json!(took.as_secs_f64() * 1000.0)),
        ],
    )];
    for (cluster, report) in &report.clusters {
        if let Some(capacity) = &report.capacity {
            lines.push(line(
                now,
                json!({ "Deployment": deployment, "Cluster": cluster.name() }),
                &[
                    ("NodePolicyCapacityUsed", "Percent", json!(capacity.used_percent)),
                    ("NodePolicyRolesLeft", "Count", json!(capacity.roles_left)),
                ],
            ));
        }
    }
    lines
}

fn line(now: Duration, dimensions: Value, metrics: &[(&str, &str, Value)]) -> Value {
    let names: Vec<&String> = dimensions.as_object().into_iter().flat_map(Map::keys).collect();
    let definitions: Vec<Value> =
        metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [names],
                "Metrics": definitions,
            }],
        },
    });
    if let (Some(line), Value::Object(dimensions)) = (line.as_object_mut(), dimensions) {
        line.extend(dimensions);
        line.extend(metrics.iter().map(|(name, _, value)| ((*name).to_owned(), value.clone())));
    }
    line
}
