//! Metrics in CloudWatch's embedded format: JSON lines on standard output that
//! CloudWatch Logs turns into metrics.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pod_identity_events::PolicyCapacity;
use serde_json::{Map, Value, json};

const NAMESPACE: &str = "DominoPodIdentity";

/// A metric: its name, its CloudWatch unit, its value.
pub type Metric = (&'static str, &'static str, Value);

/// How full the node policies of a cluster are.
#[must_use]
pub fn capacity(capacity: &PolicyCapacity) -> [Metric; 2] {
    [
        ("NodePolicyCapacityUsed", "Percent", json!(capacity.used_percent)),
        ("NodePolicyRolesLeft", "Count", json!(capacity.roles_remaining)),
    ]
}

/// Writes how many records of an invocation wait for another run, or for AWS to show what was written; nothing
/// where none do.
pub fn write_waiting(deployment: &str, function: &str, records: usize) {
    let dimensions = json!({ "Deployment": deployment, "Function": function });
    if records > 0 {
        println!("{}", line(now(), dimensions, &[("Waiting", "Count", json!(records))]));
    }
}

/// The time now, since 1970.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The dimension that alarms do not tell apart: they have to know all dimensions beforehand, and
/// clusters come and go.
const CLUSTER: &str = "Cluster";

/// A line of metrics, with dimensions by name. What is of a cluster counts for all clusters too.
#[must_use]
pub fn line(now: Duration, dimensions: Value, metrics: &[Metric]) -> Value {
    let names: Vec<&String> = dimensions.as_object().into_iter().flat_map(Map::keys).collect();
    let mut sets = vec![names.clone()];
    if names.iter().any(|name| *name == CLUSTER) {
        sets.push(names.into_iter().filter(|name| *name != CLUSTER).collect());
    }
    let definitions: Vec<Value> =
        metrics.iter().map(|(name, unit, _)| json!({ "Name": name, "Unit": unit })).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": sets,
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
