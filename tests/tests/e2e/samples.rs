//! The sample events, as their README tells the story.

use std::collections::BTreeSet;

use local::expected;
use pod_identity_core::sha256;
use pod_identity_events::{detail_type, samples};
use serde_json::Value;

use crate::scenario::Scenario;

const CONDITIONS: [&str; 22] = [
    "svc-archive teal waiting",
    "svc-etl amber ready",
    "svc-etl blue ready",
    "svc-etl green ready",
    "svc-legacy amber blocked",
    "svc-legacy blue blocked",
    "svc-legacy green blocked",
    "svc-notebook amber ready",
    "svc-notebook blue ready",
    "svc-notebook green ready",
    "svc-old amber removed",
    "svc-old blue removed",
    "svc-old green removed",
    "svc-report blue ready",
    "svc-report green ready",
    "svc-scoring amber ready",
    "svc-scoring blue ready",
    "svc-scoring green ready",
    "svc-train amber ready",
    "svc-train blue ready",
    "svc-train green ready",
    "svc-warehouse blue blocked",
];

async fn ends_as_told(scenario: &Scenario) {
    assert_eq!(scenario.conditions().await, BTreeSet::from(CONDITIONS.map(str::to_owned)));
    for cluster in ["amber", "blue", "green"] {
        let role = |name: &str| scenario.association(cluster, name).map(|one| one.role_arn);
        let ours = |name: &str| Some(format!("arn:aws:iam::111122223333:role/domino/{name}"));
        assert_eq!(role("svc-etl-sa"), ours("etl"));
        assert_eq!(role("scoring.models"), ours("models/eu/scoring"));
        assert_eq!(role("svc-legacy-sa"), None);
        assert_eq!(role("svc-old-sa"), None);
        let report = ours("report-readonly").filter(|_| cluster != "amber");
        assert_eq!(role("svc-report-sa"), report);

        let train = scenario.association(cluster, "svc-train-sa").unwrap();
        let target = "arn:aws:iam::444455556666:role/domino-target-train";
        assert_eq!(train.target_role_arn.as_deref(), Some(target));
        let id = format!("eu-west-1/111122223333/{cluster}/domino-compute/svc-train-sa");
        assert_eq!(train.external_id, Some(id));

        let notebook = scenario.association(cluster, "svc-notebook-sa").unwrap();
        assert!(notebook.disable_session_tags);
        assert!(notebook.policy.unwrap().contains("arn:aws:s3:::notebook-data/*"));
    }
    let warehouse = scenario.association("blue", "svc-warehouse-sa").unwrap();
    assert_eq!(warehouse.role_arn, "arn:aws:iam::111122223333:role/warehouse-team");
    assert!(warehouse.tags.is_empty());
    for cluster in ["blue", "green"] {
        assert!(scenario.listed(cluster).contains("domino/report-readonly"));
    }
    assert!(scenario.listed("blue").contains("warehouse-team"));
    assert!(scenario.stage.queue().dead_letters().is_empty());
}

#[tokio::test]
async fn accepted_samples_have_the_outcomes_that_the_story_tells() {
    let mut scenario = Scenario::with(&[]).await;
    for sample in samples::accepted() {
        scenario.deliver(&[sample.json.to_owned()]).await;
        let events = scenario.stage.new_events();
        assert_eq!(expected::differences(sample.name, &events), Vec::<String>::new());
    }
    ends_as_told(&scenario).await;
    let listed = BTreeSet::from(
        ["etl", "models/eu/scoring", "notebook", "old", "report", "report-readonly", "train"]
            .map(|name| format!("domino/{name}")),
    );
    let others = BTreeSet::from(["aws-ebs-csi".to_owned(), "warehouse-team".to_owned()]);
    assert_eq!(scenario.listed("blue"), listed.union(&others).cloned().collect());
}

#[tokio::test]
async fn accepted_samples_end_alike_in_batches_of_ten() {
    let mut scenario = Scenario::with(&[]).await;
    for sample in samples::accepted() {
        scenario.stage.send(sample.json);
    }
    let turns = scenario.stage.drain().await;
    assert_eq!(turns.len(), 2, "nothing came back");
    ends_as_told(&scenario).await;
}

#[tokio::test]
async fn second_run_of_all_samples_changes_nothing() {
    let mut scenario = Scenario::with(&[]).await;
    let all = || samples::accepted().iter().map(|sample| sample.json);
    for sample in all() {
        scenario.stage.send(sample);
    }
    scenario.stage.drain().await;
    let (before, calls) = (scenario.state().await, scenario.calls());
    for sample in all() {
        scenario.stage.send(sample);
    }
    scenario.stage.drain().await;
    assert_eq!(scenario.state().await, before);
    let writes = ["Create", "Update", "Delete", "Attach", "Tag"];
    let again = scenario.operations_since(calls);
    assert!(!again.iter().any(|call| writes.iter().any(|word| call.starts_with(word))));
}

#[tokio::test]
async fn rejected_samples_are_on_the_bus_and_in_the_ledger_with_reasons_and_original() {
    let mut scenario = Scenario::with(&[]).await;
    for sample in samples::rejected() {
        scenario.stage.send(sample.json);
    }
    let turns = scenario.stage.drain().await;
    assert_eq!(turns.len(), samples::rejected().len().div_ceil(10), "nothing came back");
    assert!(scenario.stage.queue().dead_letters().is_empty());

    let events = scenario.news(detail_type::EVENT_REJECTED);
    assert_eq!(events.len(), samples::rejected().len());
    let ledger = scenario.stage.ledger().await.unwrap();
    for sample in samples::rejected() {
        let name = sample.name;
        let original: Value = serde_json::from_str(sample.json).unwrap();
        let reasons: Vec<&str> = sample.message.unwrap().lines().collect();
        let event = events.iter().find(|event| event.detail["original"] == original);
        let event = event.unwrap_or_else(|| panic!("{name} has no rejection"));
        assert_eq!(event.detail["reasons"], serde_json::json!(reasons), "{name}");
        assert_eq!(event.source, "domino.pod-identity");

        let key = sha256(sample.json.as_bytes());
        let notice = ledger.iter().find(|item| item.key.sort == key);
        let notice = notice.unwrap_or_else(|| panic!("{name} has no notice"));
        assert!(notice.key.partition.starts_with("REJECTED#"));
        assert_eq!(notice.body["reasons"], serde_json::json!(reasons), "{name}");
        let kept: Value = serde_json::from_str(notice.body["original"].as_str().unwrap()).unwrap();
        assert_eq!(kept, original, "{name}");
    }
    assert!(scenario.conditions().await.is_empty());
}
