//! Domino as a source: its API on loopback, the key in Secrets Manager.

use local::wire::{Fault, FaultKind};
use local::{DominoState, Function, InvocationResult, scene};
use pod_identity_events::detail_type;
use serde_json::{Value, json};

use crate::scenario::{Changes, Scenario, assigned};

pub(crate) const UNBIND: (&str, &str) = ("DOMINO_UNBIND", "unbind");

/// svc-first, svc-second and svc-third work on blue. In Domino the second is deactivated, the
/// third is not known, and svc-free is not bound.
pub(crate) async fn scenario(changes: Changes<'_>) -> Scenario {
    let secret = ("DOMINO_TOKEN_SECRET", scene::DOMINO_SECRET);
    let changes: Vec<_> = changes.iter().copied().chain([secret]).collect();
    let mut scenario = Scenario::on_blue(&changes).await;
    scenario.deliver(&[assigned("svc-second", "new", 3), assigned("svc-third", "old", 4)]).await;
    scenario.stage.new_events();
    let accounts = [("svc-first", true), ("svc-second", false), ("svc-free", true)];
    domino(&scenario, |domino| {
        domino.accounts = accounts.map(|(name, is_active)| (name.to_owned(), is_active)).into();
    });
    scenario
}

type Change = fn(&mut DominoState);

fn domino(scenario: &Scenario, change: impl FnOnce(&mut DominoState)) {
    change(&mut scenario.stage.domino().unwrap().state());
}

async fn ask(function: &Function, payload: Value) -> Value {
    match function.invoke(payload.to_string()).await.unwrap() {
        InvocationResult::Answer(answer) => {
            assert!(!answer.to_string().contains(scene::DOMINO_KEY), "{answer}");
            answer
        }
        other => panic!("{other:?}\n{}", function.log().lines().join("\n")),
    }
}

/// What reconcile answers to its schedule.
pub(crate) async fn scheduled(scenario: &Scenario) -> String {
    let schedule =
        json!({ "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} });
    let answer = ask(scenario.stage.reconcile(), schedule).await;
    answer["text"].as_str().unwrap().to_owned()
}

/// What the admin function shows of it.
pub(crate) async fn shown(scenario: &Scenario) -> Value {
    ask(scenario.stage.admin(), json!({ "action": "domino" })).await
}

/// Gives reconcile what it was asked for on the bus; answers how often that was.
async fn reconciled(scenario: &mut Scenario) -> usize {
    let requests = scenario.news(detail_type::RECONCILIATION_REQUESTED);
    for request in &requests {
        let request = json!({ "clusterArn": request.detail["clusterArn"] });
        ask(scenario.stage.reconcile(), request).await;
    }
    requests.len()
}

fn is_bound(scenario: &Scenario) -> [bool; 3] {
    ["svc-first-sa", "svc-second-sa", "svc-third-sa"]
        .map(|name| scenario.association("blue", name).is_some())
}

#[tokio::test]
async fn administrators_see_what_reconcile_found_and_only_reconcile_asks_domino() {
    let scenario = scenario(&[]).await;
    let before = shown(&scenario).await;
    assert_eq!(before["ok"], false);
    assert!(before["text"].as_str().unwrap().contains("DominoUrl"), "{before:#}");
    // Each part of a list is one account.
    domino(&scenario, |domino| domino.most = 1);
    scheduled(&scenario).await;
    let answer = shown(&scenario).await;
    let comparison = &answer["comparison"];
    let one = |name: &str| json!({ "total": 1, "names": [name] });
    assert_eq!(comparison["bound"], 3, "{answer:#}");
    assert_eq!(comparison["deactivated"], one("svc-second"));
    assert_eq!(comparison["gone"], one("svc-third"));
    assert_eq!(comparison["unassigned"], one("svc-free"));
    assert!(comparison["askedAt"].is_string() && answer["failure"].is_null(), "{answer:#}");
    assert_eq!(is_bound(&scenario), [true; 3]);
    let calls = scenario.stage.world().calls.clone();
    let secrets = calls.iter().filter(|call| call.operation == "GetSecretValue");
    let callers: Vec<&str> = secrets.map(|call| call.caller.as_str()).collect();
    assert_eq!(callers, ["LOCALRECONCILE"]);
}

#[tokio::test]
async fn a_schedule_unbinds_who_is_deactivated_and_its_association_is_deleted() {
    let mut scenario = scenario(&[UNBIND]).await;
    let said = scheduled(&scenario).await;
    assert!(said.contains("1 unbound"), "{said}");
    assert!(reconciled(&mut scenario).await > 0);
    assert_eq!(is_bound(&scenario), [true, false, true]);
    assert_eq!(scenario.condition("blue", "svc-second").await.as_deref(), Some("removed"));
    let removed = scenario.news(detail_type::ASSOCIATION_REMOVED);
    assert_eq!(removed[0].detail["serviceAccount"], "svc-second");

    let said = scheduled(&scenario).await;
    assert!(said.contains("deactivated 0") && said.contains("0 unbound"), "{said}");
}

#[tokio::test]
async fn without_the_setting_a_schedule_only_reports() {
    let mut scenario = scenario(&[]).await;
    let said = scheduled(&scenario).await;
    assert!(said.contains("deactivated 1") && said.contains("0 unbound"), "{said}");
    reconciled(&mut scenario).await;
    assert_eq!(is_bound(&scenario), [true; 3]);
}

#[tokio::test]
async fn whatever_is_wrong_with_domino_nobody_is_unbound_and_the_clusters_are_reconciled() {
    let mut scenario = scenario(&[UNBIND, ("CALL_TIMEOUT_MS", "1000")]).await;
    let right = scenario.stage.domino().unwrap().state().accounts.clone();
    let cases: [(&str, Change, &str); 5] = [
        ("down", |domino| domino.is_down = true, "service accounts of Domino at http://127.0.0.1"),
        ("another key", |domino| domino.key = "other".to_owned(), "renew it in the secret"),
        ("nobody", |domino| domino.accounts.clear(), "check that DOMINO_URL"),
        (
            "nobody active",
            |domino| domino.accounts.values_mut().for_each(|is_active| *is_active = false),
            "an administrator's, or unbind those that were meant (action unbind)",
        ),
        (
            "too many",
            |domino| *domino.accounts.get_mut("svc-first").unwrap() = false,
            "raise DOMINO_UNBIND_MAX or DOMINO_UNBIND_PERCENT",
        ),
    ];
    for (name, break_it, remediation) in cases {
        domino(&scenario, break_it);
        let said = scheduled(&scenario).await;
        assert!(said.contains("Domino") && said.contains(remediation), "{name}: {said}");
        assert_eq!(reconciled(&mut scenario).await, 1, "{name}");
        assert_eq!(is_bound(&scenario), [true; 3], "{name}");
        let answer = shown(&scenario).await;
        assert!(answer["text"].as_str().unwrap().contains(remediation), "{name}: {answer:#}");
        domino(&scenario, |domino| {
            domino.accounts.clone_from(&right);
            domino.key = scene::DOMINO_KEY.to_owned();
            domino.is_down = false;
        });
    }
    let said = scheduled(&scenario).await;
    assert!(said.contains("1 unbound"), "Domino is well again: {said}");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_told_and_a_renewed_key_needs_no_restart() {
    let scenario = scenario(&[]).await;
    let fault = Fault::lasting("GetSecretValue", 1, FaultKind::Denied);
    scenario.stage.wire().fault(fault);
    let said = scheduled(&scenario).await;
    assert!(said.contains(&format!("secret {}", scene::DOMINO_SECRET)), "{said}");
    for key in [scene::DOMINO_KEY, "renewed"] {
        domino(&scenario, |domino| domino.key = key.to_owned());
        scenario.stage.wire().put_secret(scene::DOMINO_SECRET, key);
        let said = scheduled(&scenario).await;
        assert!(said.contains("deactivated 1"), "{said}");
    }
}

#[tokio::test]
async fn a_secret_that_does_not_exist_is_named() {
    // With a Domino of the test's own, neither it nor its secret is served.
    let changes =
        [("DOMINO_URL", "http://127.0.0.1:9"), ("DOMINO_TOKEN_SECRET", scene::DOMINO_SECRET)];
    let scenario = Scenario::on_blue(&changes).await;
    let said = scheduled(&scenario).await;
    let secret = format!("secret {}", scene::DOMINO_SECRET);
    assert!(said.contains(&secret) && said.contains("can't find"), "{said}");
}
