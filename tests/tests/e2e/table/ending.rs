//! What has to be alike however a flow came to its end.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::ClusterArn;
use pod_identity_events::{Envelope, detail_type};
use pod_identity_world::Caller;
use serde_json::{Map, Value, json};

use crate::scenario::{Scenario, somebody};

/// What names one run, or counts what was tried: not part of what came of it.
const OF_A_RUN: [&str; 16] = [
    "requestId",
    "updatedAt",
    "recordedAt",
    "writtenAt",
    "begunAt",
    "drainedAt",
    // Of an association, whose id is AWS's choice.
    "id",
    "arn",
    "associationId",
    "associationArn",
    // A repeated write of the same document makes one more.
    "policyVersion",
    // When what was written, and what a run that died may have made.
    "lastWrite",
    "lastId",
    "intents",
    // When a binding was changed, and how often lately.
    "pace",
    "claimedAt",
];

/// The end of a flow.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    /// Associations, policies in force, attachments, and the ledger's meaning.
    pub(super) state: Value,
    /// What the bus was told, without when and by which run.
    pub(super) published: BTreeSet<String>,
}

/// How a flow ended, or what cannot be of any ending.
pub(super) async fn of(scenario: &mut Scenario) -> Result<Ending, String> {
    let published = published(scenario.stage.new_events())?;
    let ledger = ledger(scenario).await?;
    let mut state = scenario.state().await;
    state["ledger"] = ledger;
    Ok(Ending { state, published })
}

/// Events may be told twice, and then they say the same under the same id, but
/// for when, in which invocation, and what that one itself did (`change`).
fn published(events: Vec<Envelope>) -> Result<BTreeSet<String>, String> {
    let mut contents: BTreeMap<String, String> = BTreeMap::new();
    let mut granted = BTreeSet::new();
    for event in events {
        // One version or two, by the records that came again: the same roles in the end.
        if event.detail_type == detail_type::NODE_ROLE_POLICY_CHANGED {
            let (policy, roles) = (&event.detail["policyArn"], &event.detail["addedRoleArns"]);
            let roles = roles.as_array().unwrap().iter();
            granted.extend(roles.map(|role| format!("{policy} lists {role}")));
            let dropped = event.detail["removedRoleArns"].as_array().unwrap().iter();
            granted.extend(dropped.map(|role| format!("{policy} drops {role}")));
            continue;
        }
        // Told after the correction: a run that dies in between tells nobody (docs/reconcile.md).
        if event.detail_type == detail_type::DRIFT_CORRECTED {
            continue;
        }
        let id = event.detail["eventId"].as_str().unwrap().to_owned();
        let mut detail = without_run(&event.detail);
        let fields = detail.as_object_mut().unwrap();
        fields.remove("eventId");
        fields.remove("occurredAt");
        fields.remove("change");
        let content = format!("{} {detail}", event.detail_type);
        let before = contents.insert(id, content.clone());
        if let Some(before) = before.filter(|before| *before != content) {
            return Err(format!("one id, two contents:\n{before}\n{content}"));
        }
    }
    Ok(contents.into_values().chain(granted).collect())
}

/// Every item by its key, without what names the run that wrote it.
async fn ledger(scenario: &Scenario) -> Result<Value, String> {
    let items = scenario.stage.ledger().await.unwrap();
    let mut all = Map::new();
    for item in items {
        // Whether a run died: the table varies just that. And what a run notes of itself, on
        // which nothing rests.
        let is_free = item.key.sort == "LEASE" && item.body.get("owner").is_none();
        // What is delivered again may be counted again: a count only bounds.
        let is_count = item.key.partition.ends_with("#COUNTS");
        if item.key.sort == "RECONCILED" || is_free || is_count {
            continue;
        }
        // A notice lies in the day's partition.
        let partition = match item.key.partition.split_once('#') {
            Some((kind @ ("REJECTED" | "SUPERSEDED"), _)) => kind,
            _ => &item.key.partition,
        };
        let mut body = without_run(&item.body);
        if item.key.sort.starts_with("ACCOUNT#") && body.get("held").is_none() {
            continue;
        }
        if item.key.sort == "NODE-POLICY" {
            let cluster = item.key.partition.trim_start_matches("CLUSTER#");
            in_force(scenario, cluster, &mut body)?;
        }
        all.insert(format!("{partition} {}", plain(&item.key.sort)), body);
    }
    Ok(all.into())
}

/// The versions themselves differ with what was tried; that the ledger knows the newest of each
/// policy may not.
fn in_force(scenario: &Scenario, cluster: &str, body: &mut Value) -> Result<(), String> {
    let cluster: ClusterArn = cluster.parse().unwrap();
    let (region, account) = (cluster.region(), cluster.account());
    let caller = Caller { account: account.to_owned(), ..somebody() };
    let world = scenario.stage.world();
    for (number, policy) in body["projection"]["policies"].as_object_mut().unwrap() {
        let name = format!("local-{region}-{}-{number}", cluster.name());
        let arn =
            format!("arn:aws:iam::{account}:policy/domino-pod-identity/local/{region}/{name}");
        let in_force = world.get_policy(&caller, &arn).unwrap().default_version;
        if policy["version"] != in_force.as_str() {
            let known = &policy["version"];
            return Err(format!("the ledger knows {known} of {name}, in force is {in_force}"));
        }
        policy["version"] = json!("in force");
    }
    Ok(())
}

fn without_run(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(without_run).collect(),
        Value::Object(map) => {
            let kept = map.iter().filter(|(name, _)| !OF_A_RUN.contains(&name.as_str()));
            let plain = kept.map(|(name, value)| match name.as_str() {
                "credentialsChangedAt" | "before" | "removals" => (name.clone(), json!("then")),
                _ => (name.clone(), without_run(value)),
            });
            Value::Object(plain.collect())
        }
        Value::String(text) => Value::from(plain(text)),
        other => other.clone(),
    }
}

/// The text, unless it is the version or the id of an administrator's change: each time he asks
/// there is a newer one.
fn plain(text: &str) -> &str {
    let id = text.split_once('#').map_or(text, |(_, id)| id);
    if id.starts_with("admin-") { "an administrator's" } else { text }
}
