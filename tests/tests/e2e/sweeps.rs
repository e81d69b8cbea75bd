//! What comes between a sweep and its pods, over the wire.

use std::time::Duration;

use local::wire::{Fault, FaultKind, When};
use local::{Configuration, Function, InvocationResult, Log};
use pod_identity_events::detail_type;
use pod_identity_world::{AccessRule, DominoPod, KubernetesRequest, Resource, Verb};
use serde_json::{Value, json};

use crate::scenario::{Scenario, assigned};
use crate::workloads::{
    SETTLES, ask, blue, invoke, kubernetes_calls, running, sweep, with_pods, with_stale_pods,
};

const NAMESPACE: &str = "domino-compute";

fn request() -> String {
    json!({ "clusterArn": blue() }).to_string()
}

fn text(answer: &Value) -> &str {
    answer["text"].as_str().unwrap()
}

/// Somebody at the cluster, past all rules.
fn by_hand(scenario: &Scenario, request: KubernetesRequest) {
    let answer = scenario.stage.wire().world().ask_kubernetes(&blue(), "admin", request);
    assert!(answer.is_ok(), "{answer:?}");
}

fn of_pods(verb: Verb) -> KubernetesRequest {
    KubernetesRequest::new(verb, Resource::Pods, Some(NAMESPACE))
}

#[tokio::test]
async fn a_pod_that_took_the_name_of_a_stale_one_is_left_alone() {
    let (scenario, pods) = with_stale_pods(&[], 1).await;
    let pod = {
        let mut world = scenario.stage.wire().world();
        let api = world.kubernetes(&blue()).unwrap();
        api.get(Resource::Pods, NAMESPACE, &pods[0]).unwrap().clone()
    };
    let mut held = scenario.stage.wire().hold("create pods/eviction", 1, When::Before);
    let another = async {
        assert!(held.arrived().await);
        let now = json!({ "gracePeriodSeconds": 0 });
        by_hand(&scenario, of_pods(Verb::Delete).name(&pods[0]).body(now));
        let body = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": pods[0], "labels": pod["metadata"]["labels"] },
            "spec": { "serviceAccountName": "svc-first-sa", "containers": pod["spec"]["containers"] },
        });
        by_hand(&scenario, of_pods(Verb::Create).body(body));
        held.release();
    };
    tokio::join!(sweep(&scenario), another);
    assert_eq!(running(&scenario), pods);
    assert_eq!(kubernetes_calls(&scenario, "create pods/eviction"), 1);
}

#[tokio::test]
async fn a_pod_that_is_terminating_is_let_be() {
    let (mut scenario, pods) = with_stale_pods(&[], 2).await;
    let grace = json!({ "gracePeriodSeconds": 600 });
    by_hand(&scenario, of_pods(Verb::Delete).name(&pods[0]).body(grace));
    sweep(&scenario).await;
    assert_eq!(kubernetes_calls(&scenario, "create pods/eviction"), 1);
    let published = scenario.news(detail_type::STALE_POD_EVICTED);
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].detail["pod"]["name"], json!(pods[1]), "{published:?}");
}

#[tokio::test]
async fn a_list_whose_page_token_expires_begins_again_and_misses_nobody() {
    let (scenario, pods) = with_stale_pods(&[("KUBERNETES_PAGE", "10")], 25).await;
    scenario.stage.wire().world().kubernetes(&blue()).unwrap().settings.tokens_survive = 0;
    let mut held = scenario.stage.wire().hold("list pods", 2, When::Before);
    let change = async {
        assert!(held.arrived().await);
        let pod = DominoPod::new("default", "somebody");
        let name = scenario.stage.wire().world().add_domino_pod(&blue(), &pod).unwrap();
        held.release();
        name
    };
    let (_, other) = tokio::join!(sweep(&scenario), change);
    assert_eq!(running(&scenario), [other]);
    // One page, one that expired, three from the start.
    assert_eq!(kubernetes_calls(&scenario, "list pods"), 5);
    assert_eq!(kubernetes_calls(&scenario, "create pods/eviction"), pods.len());
}

#[tokio::test]
async fn an_eviction_that_is_throttled_is_tried_again() {
    let (mut scenario, _) = with_stale_pods(&[], 1).await;
    scenario.stage.wire().fault(Fault::new("create pods/eviction", 1, FaultKind::Throttle));
    sweep(&scenario).await;
    assert_eq!(running(&scenario), Vec::<String>::new());
    assert_eq!(kubernetes_calls(&scenario, "create pods/eviction"), 2);
    assert_eq!(scenario.news(detail_type::STALE_POD_EVICTED).len(), 1);
    assert_eq!(scenario.news(detail_type::STALE_POD_REPORTED), Vec::new());
}

#[tokio::test]
async fn a_list_that_stays_throttled_evicts_nobody() {
    let (mut scenario, pods) = with_stale_pods(&[], 1).await;
    // Every attempt of the call.
    for nth in 1..=3 {
        scenario.stage.wire().fault(Fault::new("list pods", nth, FaultKind::Throttle));
    }
    invoke(&scenario, json!({ "clusterArn": blue() })).await;
    assert_eq!(running(&scenario), pods);
    assert_eq!(kubernetes_calls(&scenario, "create pods/eviction"), 0);
    assert_eq!(scenario.news(detail_type::STALE_POD_EVICTED), Vec::new());
}

#[tokio::test]
async fn an_eviction_that_rbac_forbids_is_told_with_the_remediation() {
    let (mut scenario, pods) = with_stale_pods(&[], 1).await;
    {
        let mut world = scenario.stage.wire().world();
        let rules = &mut world.kubernetes(&blue()).unwrap().settings.rules;
        let rules = rules.get_mut("LOCALWORKLOADS").unwrap();
        rules.retain(|rule: &AccessRule| rule.resource != "pods/eviction");
    }
    let answer = invoke(&scenario, json!({ "clusterArn": blue() })).await;
    let said = format!("{answer:?}");
    assert!(said.contains("pods/eviction") && said.contains("forbidden"), "{said}");
    assert_eq!(running(&scenario), pods);
    assert_eq!(scenario.news(detail_type::STALE_POD_EVICTED), Vec::new());
}

#[tokio::test]
async fn a_sweep_evicts_no_more_than_its_ceiling_and_says_so() {
    let (scenario, _) = with_stale_pods(&[("SWEEP_MAX", "2")], 5).await;
    let answer = sweep(&scenario).await;
    assert_eq!(running(&scenario).len(), 3);
    assert!(text(&answer).contains("one sweep evicts at most 2 pods"), "{answer}");
    sweep(&scenario).await;
    assert_eq!(running(&scenario).len(), 1);
}

#[tokio::test]
async fn a_share_of_a_namespace_that_is_too_large_evicts_nobody() {
    let settings = [("SWEEP_MAX_PERCENT", "10"), ("SWEEP_POLICY", "changed=evict")];
    let (mut scenario, pods) = with_pods(&settings, 30).await;
    tokio::time::sleep(SETTLES).await;
    scenario.deliver(&[assigned("svc-first", "new", 9)]).await;
    tokio::time::sleep(SETTLES).await;
    let answer = sweep(&scenario).await;
    assert_eq!(running(&scenario).len(), pods.len(), "{answer}");
    assert!(text(&answer).contains("a plausible share"), "{answer}");
}

/// Another execution environment of the workloads function.
fn another(scenario: &Scenario, timeout: Duration) -> Function {
    let configuration = scenario.stage.workloads().configuration().clone();
    Function::new(Configuration { timeout, ..configuration }, Log::new(false))
}

#[tokio::test]
async fn of_two_sweeps_at_once_one_waits_and_no_pod_is_evicted_twice() {
    let (mut scenario, pods) = with_stale_pods(&[], 3).await;
    let other = another(&scenario, Duration::from_secs(60));
    let mut held = scenario.stage.wire().hold("create pods/eviction", 1, When::Before);
    let second = async {
        assert!(held.arrived().await);
        let release = async {
            // Well after the other one asked for the lease, which it waits for.
            tokio::time::sleep(Duration::from_secs(1)).await;
            held.release();
        };
        let (answer, ()) = tokio::join!(other.invoke(request()), release);
        answer.unwrap()
    };
    let (_, second) = tokio::join!(sweep(&scenario), second);
    let InvocationResult::Answer(second) = second else { panic!("{second:?}") };
    assert!(text(&second).contains("0 pods looked at"), "{second}");
    assert_eq!(running(&scenario), Vec::<String>::new());
    assert_eq!(kubernetes_calls(&scenario, "create pods/eviction"), pods.len());
    assert_eq!(scenario.news(detail_type::STALE_POD_EVICTED).len(), pods.len());
}

#[tokio::test]
async fn what_the_time_does_not_suffice_for_is_handed_on_and_finished() {
    let changes = [
        ("CALL_TIMEOUT_MS", "1000"),
        ("CALL_ATTEMPTS", "1"),
        ("CONCURRENCY", "1"),
        ("DEADLINE_MARGIN_MS", "500"),
    ];
    let (mut scenario, pods) = with_stale_pods(&changes, 15).await;
    scenario.stage.new_events();
    let short = another(&scenario, Duration::from_secs(8));
    let slowly = async {
        loop {
            let mut held = scenario.stage.wire().hold("create pods/eviction", 1, When::Before);
            assert!(held.arrived().await);
            tokio::time::sleep(Duration::from_millis(700)).await;
            held.release();
        }
    };
    let answer = tokio::select! {
        answer = short.invoke(request()) => answer.unwrap(),
        () = slowly => unreachable!("it goes on for ever"),
    };
    assert!(matches!(answer, InvocationResult::Answer(_)), "{answer:?}");
    let left = running(&scenario).len();
    assert!(0 < left && left < pods.len(), "{left}: {answer:?}");
    let events = scenario.stage.new_events();
    let rest = events.iter().find(|event| event.detail_type == detail_type::SWEEP_REQUESTED);
    let rest = rest.unwrap();
    assert_eq!(rest.detail["continuation"], json!(1), "{rest:?}");
    ask(&scenario, serde_json::to_value(rest).unwrap()).await;
    assert_eq!(running(&scenario), Vec::<String>::new());
}
