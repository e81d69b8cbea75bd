//! The workloads function over the wire: EKS's endpoint and token, kube, the Kubernetes API.

use std::collections::BTreeSet;
use std::time::Duration;

use local::wire::When;
use local::{InvocationResult, scene};
use pod_identity_core::ClusterArn;
use pod_identity_events::{Envelope, detail_type};
use pod_identity_world::{Budget, DominoPod, Resource};
use serde_json::{Value, json};

use crate::scenario::{Changes, SHORT_LEASE, Scenario, registered, unassigned};

/// Longer than the scene's SWEEP_SETTLE_SECONDS, and than what Kubernetes cuts off the time of a
/// pod's admission.
pub(crate) const SETTLES: Duration = Duration::from_millis(2_200);

pub(crate) fn blue() -> ClusterArn {
    scene::cluster("blue").unwrap()
}

pub(crate) async fn invoke(scenario: &Scenario, payload: Value) -> InvocationResult {
    scenario.stage.workloads().invoke(payload.to_string()).await.unwrap()
}

pub(crate) async fn ask(scenario: &Scenario, payload: Value) -> Value {
    match invoke(scenario, payload).await {
        InvocationResult::Answer(answer) => answer,
        other => panic!("{other:?}\n{}", scenario.stage.workloads().log().lines().join("\n")),
    }
}

pub(crate) async fn sweep(scenario: &Scenario) -> Value {
    ask(scenario, json!({ "clusterArn": blue() })).await
}

/// What the bus's rule puts into the queue of the workloads function.
fn batch(events: &[Envelope]) -> Value {
    let record = |(at, event): (usize, &Envelope)| {
        json!({
            "messageId": format!("m-{at}"), "body": serde_json::to_string(event).unwrap(),
            "attributes": {}, "messageAttributes": {},
        })
    };
    json!({ "Records": events.iter().enumerate().map(record).collect::<Vec<_>>() })
}

/// svc-first works on blue, and so many of its pods run, admitted well after it was bound.
pub(crate) async fn with_pods(changes: Changes<'_>, pods: usize) -> (Scenario, Vec<String>) {
    let scenario = Scenario::on_blue(changes).await;
    tokio::time::sleep(SETTLES).await;
    let names = {
        let mut world = scenario.stage.wire().world();
        world.add_service_account(&blue(), "domino-compute", "svc-first-sa", &[]).unwrap();
        let pod = DominoPod::new("svc-first-sa", "svc-first");
        (0..pods).map(|_| world.add_domino_pod(&blue(), &pod).unwrap()).collect()
    };
    (scenario, names)
}

/// The same, and then svc-first lost its role.
pub(crate) async fn with_stale_pods(changes: Changes<'_>, pods: usize) -> (Scenario, Vec<String>) {
    let (mut scenario, names) = with_pods(changes, pods).await;
    tokio::time::sleep(SETTLES).await;
    scenario.deliver(&[unassigned("svc-first", 9)]).await;
    (scenario, names)
}

/// Pods of domino-compute on blue that run and are not terminating.
pub(crate) fn running(scenario: &Scenario) -> Vec<String> {
    let mut world = scenario.stage.wire().world();
    let api = world.kubernetes(&blue()).unwrap();
    let pods = api.all(Resource::Pods, "domino-compute");
    let pods = pods.filter(|pod| pod["metadata"].get("deletionTimestamp").is_none());
    pods.map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

pub(crate) fn kubernetes_calls(scenario: &Scenario, operation: &str) -> usize {
    let log = scenario.stage.wire().log();
    log.iter().filter(|call| call.service == "kubernetes" && call.operation == operation).count()
}

async fn item(scenario: &Scenario, sort: &str) -> Value {
    let items = scenario.stage.ledger().await.unwrap();
    let found = items
        .into_iter()
        .find(|item| item.key.sort == sort && item.key.partition.ends_with(&blue().to_string()));
    found.map(|item| item.body).unwrap_or_default()
}

#[tokio::test]
async fn outcomes_of_one_batch_are_one_sweep_that_evicts_what_lost_its_role() {
    let (mut scenario, pods) = with_stale_pods(&[], 2).await;
    let events: Vec<Envelope> = scenario
        .stage
        .new_events()
        .into_iter()
        .filter(|event| event.detail_type == detail_type::ASSOCIATION_REMOVED)
        .collect();
    let twice = [events.clone(), events].concat();
    assert_eq!(ask(&scenario, batch(&twice)).await, json!({ "batchItemFailures": [] }));
    assert_eq!(running(&scenario), Vec::<String>::new());
    assert_eq!(kubernetes_calls(&scenario, "list pods"), 1);
    assert_eq!(kubernetes_calls(&scenario, "create pods/eviction"), 2);
    let published = scenario.news(detail_type::STALE_POD_EVICTED);
    assert_eq!(published.len(), pods.len());
    assert!(published.iter().all(|event| event.detail["case"] == "revoked"), "{published:?}");
    assert_eq!(item(&scenario, "INSIDE-LEASE").await, Value::Null);
    assert_ne!(item(&scenario, "INSIDE").await["sweptAt"], Value::Null);
}

#[tokio::test]
async fn what_a_later_sweep_has_seen_is_not_looked_at_again() {
    let (mut scenario, _) = with_stale_pods(&[], 1).await;
    let events = scenario.news(detail_type::ASSOCIATION_REMOVED);
    tokio::time::sleep(SETTLES).await;
    sweep(&scenario).await;
    let lists = kubernetes_calls(&scenario, "list pods");
    assert_eq!(ask(&scenario, batch(&events)).await, json!({ "batchItemFailures": [] }));
    assert_eq!(kubernetes_calls(&scenario, "list pods"), lists);
}

#[tokio::test]
async fn a_pod_that_works_as_it_should_is_left_alone_and_proves_its_binding_effective() {
    let (mut scenario, pods) = with_pods(&[], 1).await;
    tokio::time::sleep(SETTLES).await;
    sweep(&scenario).await;
    assert_eq!(running(&scenario), pods);
    assert!(scenario.news(detail_type::STALE_POD_REPORTED).is_empty());
    let inside = item(&scenario, "svc-first").await;
    assert_eq!(inside["effective"]["proof"]["by"], "pod", "{inside}");
}

#[tokio::test]
async fn a_schedule_asks_for_every_cluster_by_an_event_of_its_own() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[registered("green", 3)]).await;
    scenario.stage.new_events();
    let schedule =
        json!({ "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} });
    assert_eq!(ask(&scenario, schedule).await["text"], "asked for 2 clusters");
    let asked = scenario.news(detail_type::SWEEP_REQUESTED);
    assert_eq!(asked.len(), 2);
    let answer = ask(&scenario, batch(&asked)).await;
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    assert_eq!(kubernetes_calls(&scenario, "list pods"), 2);
}

#[tokio::test]
async fn in_plan_mode_stale_pods_are_told_in_the_answer_and_nothing_is_written() {
    let (mut scenario, pods) = with_stale_pods(&[("WORKLOADS", "plan")], 1).await;
    scenario.stage.new_events();
    let from = scenario.calls();
    let answer = sweep(&scenario).await;
    let table = answer["sweeps"][0]["text"].as_str().unwrap();
    assert!(table.contains(&pods[0]) && table.contains("revoked"), "{table}");
    let text = answer["text"].as_str().unwrap();
    for said in ["this is a plan: nothing was changed", "1 stale (1 revoked): 1 would be evicted"] {
        assert!(text.contains(said), "{text}");
    }
    assert_eq!(running(&scenario), pods);
    let writes = ["create", "patch", "delete", "Transact", "Put"];
    let operations = scenario.operations_since(from);
    let wrote = |operation: &&String| writes.iter().any(|verb| operation.starts_with(verb));
    assert_eq!(operations.iter().find(wrote), None, "{operations:?}");
    assert!(scenario.stage.new_events().is_empty());
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_is_said_and_keeps_nothing_else_from_working() {
    let (mut scenario, pods) = with_stale_pods(&[], 1).await;
    scenario.deliver(&[registered("green", 10)]).await;
    scenario.stage.wire().world().kubernetes(&blue()).unwrap().settings.reachable = false;
    let said = sweep(&scenario).await;
    let text = said["text"].as_str().unwrap();
    assert!(text.contains("the inside was not looked at: cluster blue"), "{text}");
    assert!(item(&scenario, "INSIDE").await["unreachable"].as_str().unwrap().contains("blue"));
    let green = scene::cluster("green").unwrap();
    let said = ask(&scenario, json!({ "clusterArn": green })).await;
    assert!(said["text"].as_str().unwrap().contains("pods looked at"), "{said}");
    // The association function never noticed.
    scenario.deliver(&[crate::scenario::assigned("svc-second", "report", 11)]).await;
    assert_eq!(scenario.condition("blue", "svc-second").await.as_deref(), Some("ready"));

    scenario.stage.wire().world().kubernetes(&blue()).unwrap().settings.reachable = true;
    assert_eq!(running(&scenario), pods);
    sweep(&scenario).await;
    assert_eq!(item(&scenario, "INSIDE").await["unreachable"], Value::Null);
    assert_eq!(running(&scenario), Vec::<String>::new());
}

#[tokio::test]
async fn a_cluster_that_does_not_know_the_function_is_said_with_the_remediation() {
    let (scenario, pods) = with_stale_pods(&[], 1).await;
    let nobody = std::collections::BTreeSet::new();
    scenario.stage.wire().world().kubernetes(&blue()).unwrap().settings.users = Some(nobody);
    let said = sweep(&scenario).await;
    let text = said["text"].as_str().unwrap();
    assert!(text.contains("was not looked at") && text.contains("access entry"), "{text}");
    scenario.stage.wire().world().kubernetes(&blue()).unwrap().settings.users = None;
    assert_eq!(running(&scenario), pods);
}

#[tokio::test]
async fn a_budget_that_blocks_is_told_and_the_pod_goes_once_it_may() {
    let (mut scenario, pods) = with_stale_pods(&[], 1).await;
    let budget = Budget {
        namespace: "domino-compute".to_owned(),
        name: "keep-one".to_owned(),
        labels: [("dominodatalab.com/starting-user-username".to_owned(), "svc-first".to_owned())]
            .into(),
        min_available: 1,
    };
    // Too short a time for waiting until the budget allows it.
    scenario.stage.wire().world().add_budget(&blue(), &budget).unwrap();
    sweep(&scenario).await;
    assert_eq!(running(&scenario), pods);
    let published = scenario.news(detail_type::STALE_POD_REPORTED);
    assert_eq!(published.len(), 1, "{published:?}");
    let reason = published[0].detail["reason"].as_str().unwrap();
    assert!(reason.contains("budget"), "{reason}");
    let another = DominoPod::new("svc-first-sa", "svc-first");
    scenario.stage.wire().world().add_domino_pod(&blue(), &another).unwrap();
    sweep(&scenario).await;
    assert_eq!(scenario.news(detail_type::STALE_POD_EVICTED).len(), 1);
    assert!(!running(&scenario).contains(&pods[0]));
}

#[tokio::test]
async fn a_death_at_any_call_that_changes_something_is_made_good_by_the_next_sweep() {
    for operation in ["create pods/eviction", "PutEvents", "TransactWriteItems"] {
        for when in [When::Before, When::After] {
            let (mut scenario, pods) = with_stale_pods(SHORT_LEASE, 2).await;
            scenario.stage.new_events();
            let request = json!({ "clusterArn": blue() }).to_string();
            let function = scenario.stage.workloads();
            scenario.outlive_death_at(function, &request, (operation, when)).await;
            assert!(running(&scenario).is_empty(), "{operation} {when:?}");
            // At least once for each pod, by whichever run.
            let published = scenario.news(detail_type::STALE_POD_EVICTED);
            let names: BTreeSet<String> =
                published.iter().map(|event| event.detail["pod"]["name"].to_string()).collect();
            assert_eq!(names.len(), pods.len(), "{operation} {when:?}: {published:?}");
            assert!(published.len() <= 4, "{operation} {when:?}: told {} times", published.len());
        }
    }
}

#[tokio::test]
async fn a_cluster_whose_api_hangs_delays_no_other_of_the_same_batch() {
    let mut scenario = Scenario::on_blue(&[]).await;
    scenario.deliver(&[registered("green", 3)]).await;
    scenario.stage.new_events();
    let green = scene::cluster("green").unwrap();
    let of = |cluster: &pod_identity_core::ClusterArn| {
        let detail = json!({ "clusterArn": cluster });
        json!({
            "messageId": cluster.name(), "attributes": {}, "messageAttributes": {},
            "body": json!({ "detail-type": "Sweep Requested", "detail": detail }).to_string(),
        })
    };
    let batch = json!({ "Records": [of(&blue()), of(&green)] });
    // Which of the two clusters hangs is the machine's choice.
    let mut held = scenario.stage.wire().hold("list serviceaccounts", 1, When::Before);
    let others = async {
        assert!(held.arrived().await);
        while scenario.stage.ledger().await.unwrap().iter().all(|item| item.key.sort != "INSIDE") {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        held.release()
    };
    let (answer, still_hung) = tokio::join!(ask(&scenario, batch), others);
    assert!(still_hung, "no cluster was done before the one that hangs was given up");
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    assert_ne!(item(&scenario, "INSIDE").await["sweptAt"], Value::Null);
}
