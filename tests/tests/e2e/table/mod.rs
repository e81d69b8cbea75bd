//! The fault table: every call of every flow, broken in every way, and the
//! function killed at it. It is made from the request log of a run without
//! faults, so that a new call is in it by itself.

mod calls;
mod ending;
pub(crate) mod flow;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use local::wire::{Fault, FaultKind, Saved, When};
use local::{Function, InvocationResult};
use pod_identity_events::detail_type::RECONCILIATION_REQUESTED;
use tokio::task::JoinSet;

use crate::scenario::Scenario;
use ending::Ending;
use flow::{Flow, Question};

/// Stages that work on one flow's cases side by side: most of a case is waiting.
const STAGES: usize = 4;

const KINDS: [FaultKind; 6] = [
    FaultKind::Throttle,
    FaultKind::ServerError,
    FaultKind::Timeout,
    FaultKind::TimeoutAfter,
    FaultKind::ResetBefore,
    FaultKind::ResetAfter,
];

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Breakage {
    /// One attempt at the call; the SDK's next one gets through.
    Once(FaultKind),
    /// Every attempt, so that the function is told of the failure.
    Lasting(FaultKind),
    /// The function dies.
    Death(When),
}

/// A call of a flow, and what goes wrong with it.
#[derive(Debug, Clone)]
struct Case {
    operation: String,
    nth: usize,
    breakage: Breakage,
}

/// The calls of a flow without faults, by operation, and how it ends.
struct Faultless {
    start: Saved,
    calls: Vec<(String, usize)>,
    ending: Ending,
}

async fn faultless(flow: &mut Flow) -> Faultless {
    let mut scenario = flow.patient_stage().await;
    let start = flow.begin(&mut scenario).await;
    scenario.stage.restore(&start).await.unwrap();
    if flow.needs_new_child {
        scenario.stage.association().kill();
    }
    match &flow.question {
        Some(question) => ask(&scenario, question).await.unwrap(),
        None => scenario.deliver(&flow.batch).await,
    }
    let log = scenario.stage.wire().log();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for call in log {
        assert!((200..300).contains(&call.status) || call.error.is_some(), "{call:?}");
        let count = counts.entry(call.operation.clone()).or_default();
        *count += 1;
        calls.push((call.operation, *count));
    }
    go_on(&scenario, flow).await.unwrap();
    Faultless { start, calls, ending: ended(&mut scenario, flow).await.unwrap() }
}

/// Whether a case can end otherwise than others that are run anyway.
///
/// To the function all faults of one call are one of two: a call that failed
/// for a passing reason, with its effect or without. A fault that strikes one
/// attempt only is got over by the SDK, and the function sees a difference only
/// where the repeated attempt meets the effect of the first. That each kind of
/// fault is one of these is a property of the operation, not of the call:
/// `every_operation_is_got_over_in_every_way` holds it for each once. A read
/// has no effect.
fn is_of_the_call(operation: &str, breakage: Breakage) -> bool {
    let reads = ["Get", "List", "Describe", "BatchGet", "Query"];
    let writes = !reads.iter().any(|read| operation.starts_with(read));
    match breakage {
        Breakage::Lasting(FaultKind::ServerError) | Breakage::Death(When::Before) => true,
        Breakage::Once(FaultKind::ResetAfter)
        | Breakage::Lasting(FaultKind::ResetAfter)
        | Breakage::Death(When::After) => writes,
        _ => false,
    }
}

fn breakages() -> impl Iterator<Item = Breakage> {
    KINDS
        .into_iter()
        .flat_map(|kind| [Breakage::Once(kind), Breakage::Lasting(kind)])
        .chain([Breakage::Death(When::Before), Breakage::Death(When::After)])
}

/// The cases of some calls that are wanted. `FAULT_TABLE=full` wants all.
fn cases(calls: &[(String, usize)], wanted: impl Fn(&str, Breakage) -> bool) -> Vec<Case> {
    let all = std::env::var("FAULT_TABLE").is_ok_and(|extent| extent == "full");
    let of_call = |(operation, nth): &(String, usize)| {
        let case = |breakage| Case { operation: operation.clone(), nth: *nth, breakage };
        let wanted = |breakage: &Breakage| all || wanted(operation, *breakage);
        breakages().filter(wanted).map(case).collect::<Vec<_>>()
    };
    calls.iter().flat_map(of_call).collect()
}

/// Runs cases of a flow; answers those that end otherwise than without faults.
async fn run_all(flow: &Flow, faultless: Faultless, cases: Vec<Case>) -> Vec<String> {
    let begun = Instant::now();
    let (name, calls, all) = (flow.name, faultless.calls.len(), cases.len());
    let faultless = Arc::new(faultless);
    let (deaths, faults) =
        cases.into_iter().partition(|case| matches!(case.breakage, Breakage::Death(_)));
    let mut wrong = run_on_stages(flow, &faultless, faults, false).await;
    // Who gives a call up soon may do so before the signal that is to kill it.
    wrong.extend(run_on_stages(flow, &faultless, deaths, true).await);
    // Past the test runner, which keeps to itself what a passing test prints.
    let _ = writeln!(
        std::io::stderr(),
        "fault table, {name}: {calls} calls, {all} cases in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    wrong
}

/// Runs cases side by side, on stages whose calls have time enough or little.
async fn run_on_stages(
    flow: &Flow,
    faultless: &Arc<Faultless>,
    cases: Vec<Case>,
    patient: bool,
) -> Vec<String> {
    let name = flow.name;
    let stage = async move |flow: &Flow| match patient {
        true => flow.patient_stage().await,
        false => flow.stage().await,
    };
    let cases = Arc::new(cases);
    let next = Arc::new(AtomicUsize::new(0));
    let mut stages = JoinSet::new();
    for _ in 0..STAGES.min(cases.len()) {
        let (flow, faultless, cases) = (flow.clone(), Arc::clone(faultless), Arc::clone(&cases));
        let next = Arc::clone(&next);
        stages.spawn(async move {
            let mut scenario = stage(&flow).await;
            let mut wrong = Vec::new();
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                scenario.stage.restore(&faultless.start).await.unwrap();
                if let Err(why) = run(&mut scenario, &flow, case, &faultless.ending).await {
                    wrong.push(format!("{name}, {case:?}: {why}"));
                    // Whatever state the child is in, the next case has its own.
                    scenario = stage(&flow).await;
                }
            }
            wrong
        });
    }
    stages.join_all().await.into_iter().flatten().collect()
}

fn assert_none(wrong: &[String]) {
    let shown = wrong.iter().take(8).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{} cases end otherwise:\n{shown}", wrong.len());
}

async fn ends_alike_whatever_breaks(mut flow: Flow) {
    let faultless = faultless(&mut flow).await;
    let cases = cases(&faultless.calls, is_of_the_call);
    assert_none(&run_all(&flow, faultless, cases).await);
}

#[tokio::test]
async fn every_operation_is_got_over_in_every_way() {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for mut flow in flow::all() {
        let faultless = faultless(&mut flow).await;
        let is_new = |(operation, nth): &&(String, usize)| *nth == 1 && !seen.contains(operation);
        let new: Vec<_> = faultless.calls.iter().filter(is_new).cloned().collect();
        seen.extend(new.iter().map(|(operation, _)| operation.clone()));
        let cases = cases(&new, |operation, breakage| !is_of_the_call(operation, breakage));
        wrong.extend(run_all(&flow, faultless, cases).await);
    }
    assert_none(&wrong);
}

/// Breaks one call, delivers again what comes back, and compares.
async fn run(
    scenario: &mut Scenario,
    flow: &Flow,
    case: &Case,
    expected: &Ending,
) -> Result<(), String> {
    if flow.needs_new_child {
        scenario.stage.association().kill();
    }
    for event in &flow.batch {
        scenario.stage.send(event.clone());
    }
    let (operation, nth) = (case.operation.as_str(), case.nth);
    match (case.breakage, &flow.question) {
        (Breakage::Once(kind), _) => scenario.stage.wire().fault(Fault::new(operation, nth, kind)),
        (Breakage::Lasting(kind), _) => {
            scenario.stage.wire().fault(Fault::lasting(operation, nth, kind));
        }
        (Breakage::Death(when), None) => die(scenario, operation, nth, when).await?,
        (Breakage::Death(when), Some(question)) => {
            die_asked(scenario, question, operation, nth, when).await?;
            scenario.stage.expire_leases().await.unwrap();
        }
    }
    if let Some(question) = &flow.question {
        ask(scenario, question).await?;
    }
    go_on(scenario, flow).await?;
    loop {
        // Nobody has to wait for what the broken run could not give back.
        scenario.stage.expire_leases().await.unwrap();
        let Some(turn) = scenario.stage.turn().await else { break };
        if !matches!(turn.result, Ok(InvocationResult::Answer(_))) {
            return Err(format!("the invocation ended as {:?}", turn.result));
        }
    }
    if scenario.stage.wire().waiting_faults() > 0 {
        return Err("the call never came".to_owned());
    }
    if !scenario.stage.queue().dead_letters().is_empty() {
        return Err(format!("a dead letter: {}", last_log(scenario)));
    }
    let found = ended(scenario, flow).await?;
    if found == *expected {
        return Ok(());
    }
    Err(difference(&found, expected))
}

/// Asks a function, as Lambda or whoever gets an error does: again until it answers without one.
async fn ask(scenario: &Scenario, question: &Question) -> Result<(), String> {
    let function = function(scenario, question);
    let mut last = String::new();
    for _ in 0..10 {
        match function.invoke(question.payload.to_string()).await {
            Ok(InvocationResult::Answer(answer)) if answer["ok"] != false => return Ok(()),
            other => last = format!("{other:?}"),
        }
        scenario.stage.expire_leases().await.unwrap();
    }
    let log = function.log().lines();
    Err(format!("it never succeeds: {last}\n{}", log[log.len().saturating_sub(8)..].join("\n")))
}

/// An administrator asks the same once more, and reconcile goes on.
async fn go_on(scenario: &Scenario, flow: &Flow) -> Result<(), String> {
    let Some(question) = &flow.question else { return Ok(()) };
    let Some(payload) = question.goes_on.clone() else { return Ok(()) };
    ask(scenario, question).await?;
    ask(scenario, &Question { function: "reconcile", payload, goes_on: None }).await
}

/// How a flow ended. That reconcile could not be asked to go on is answered to an administrator, who
/// may leave it to the schedule.
async fn ended(scenario: &mut Scenario, flow: &Flow) -> Result<Ending, String> {
    let mut ending = ending::of(scenario).await?;
    if flow.question.as_ref().is_some_and(|question| question.goes_on.is_some()) {
        ending.published.retain(|published| !published.starts_with(RECONCILIATION_REQUESTED));
    }
    Ok(ending)
}

fn function(scenario: &Scenario, question: &Question) -> Arc<Function> {
    Arc::clone(scenario.stage.function(question.function).unwrap())
}

/// Kills a function that is asked when it makes the call.
async fn die_asked(
    scenario: &Scenario,
    question: &Question,
    operation: &str,
    nth: usize,
    when: When,
) -> Result<(), String> {
    let mut held = scenario.stage.wire().hold(operation, nth, when);
    let function = function(scenario, question);
    let death = async {
        if held.arrived().await {
            function.kill();
        }
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = function.invoke(question.payload.to_string()) => Some(result),
        () = death => None,
    };
    drop(held);
    match result {
        Some(Ok(InvocationResult::ChildDied(_))) => Ok(()),
        other => Err(format!("it did not die: {other:?}")),
    }
}

/// Kills the function when it makes the call.
async fn die(
    scenario: &mut Scenario,
    operation: &str,
    nth: usize,
    when: When,
) -> Result<(), String> {
    let mut held = scenario.stage.wire().hold(operation, nth, when);
    let association = Arc::clone(scenario.stage.association());
    let death = async {
        if held.arrived().await {
            association.kill();
        }
        std::future::pending::<()>().await;
    };
    let turn = tokio::select! {
        turn = scenario.stage.turn() => turn,
        () = death => None,
    };
    drop(held);
    match turn {
        Some(turn) if matches!(turn.result, Ok(InvocationResult::ChildDied(_))) => Ok(()),
        other => Err(format!("it did not die: {other:?}")),
    }
}

fn last_log(scenario: &Scenario) -> String {
    let lines = scenario.stage.association().log().lines();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

fn difference(found: &Ending, expected: &Ending) -> String {
    let mut lines = Vec::new();
    let empty = serde_json::Map::new();
    for part in ["associations", "policies", "attached", "conditions", "leases", "ledger"] {
        let (one, other) = (&found.state[part], &expected.state[part]);
        if one == other {
            continue;
        }
        let (one_map, other_map) =
            (one.as_object().unwrap_or(&empty), other.as_object().unwrap_or(&empty));
        if one_map.is_empty() || other_map.is_empty() {
            lines.push(format!("{part}: {one}\n  not {other}"));
        }
        for key in one_map.keys().chain(other_map.keys()) {
            if one_map.get(key) != other_map.get(key) {
                let (one, other) = (one_map.get(key), other_map.get(key));
                lines.push(format!("{part} {key}: {one:?}\n  not {other:?}"));
            }
        }
    }
    for more in found.published.difference(&expected.published) {
        lines.push(format!("told beyond: {more}"));
    }
    for less in expected.published.difference(&found.published) {
        lines.push(format!("not told: {less}"));
    }
    lines.join("\n")
}

macro_rules! tables {
    ($($test:ident: $flow:ident,)*) => {$(
        #[tokio::test]
        async fn $test() {
            ends_alike_whatever_breaks(flow::$flow()).await;
        }
    )*};
}

tables! {
    first_binding_ends_alike_whatever_breaks: first_binding,
    binding_with_node_groups_ends_alike_whatever_breaks: node_groups,
    second_policy_ends_alike_whatever_breaks: second_policy,
    known_policy_ends_alike_whatever_breaks: known_policy,
    pruned_versions_end_alike_whatever_breaks: pruned_versions,
    change_of_role_ends_alike_whatever_breaks: change_of_role,
    target_role_is_set_whatever_breaks: target_role_set,
    target_role_is_cleared_whatever_breaks: target_role_cleared,
    removals_end_alike_whatever_breaks: removals,
    move_ends_alike_whatever_breaks: move_of_kubernetes_account,
    place_is_handed_over_whatever_breaks: handing_over,
    what_was_untagged_is_removed_whatever_breaks: untagged,
    copied_tag_changes_nothing_whatever_breaks: copied_tag,
    registration_and_retirement_end_alike_whatever_breaks: registration_and_retirement,
    refused_and_superseded_events_end_alike_whatever_breaks: refused_and_superseded,
    several_clusters_end_alike_whatever_breaks: several_clusters,
    other_accounts_cluster_ends_alike_whatever_breaks: other_account,
    lists_of_several_pages_end_alike_whatever_breaks: pages,
    reconciliation_of_a_steady_cluster_changes_nothing_whatever_breaks: steady_cluster,
    drift_is_corrected_whatever_breaks: drift,
    retirement_ends_alike_whatever_breaks: retirement,
    departure_of_a_retired_cluster_ends_alike_whatever_breaks: departure,
    administrators_bind_whatever_breaks: bound_by_hand,
    administrators_unbind_whatever_breaks: unbound_by_hand,
    administrators_adopt_whatever_breaks: adopted,
    administrators_register_a_cluster_whatever_breaks: registered_by_hand,
    administrators_retire_a_cluster_whatever_breaks: retired_by_hand,
}
