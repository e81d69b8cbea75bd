//! The caller dies, or a call fails, at every call of every flow.

use pod_identity_engine::Outcome;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_world::{PortFault, When};
use serde_json::{Value, json};

use crate::adopt::permit;
use crate::check::{End, settled};
use crate::ownership::{foreign, untag};
use crate::scenario::{Scenario, cluster};

/// What a flow starts from, and the batch whose every call is broken once.
struct Flow {
    before: fn(&mut Scenario) -> Vec<Value>,
    batch: fn(&mut Scenario) -> Vec<Value>,
}

fn binding(scenario: &mut Scenario) -> Vec<Value> {
    vec![scenario.assigned("svc-etl", "etl")]
}

const FLOWS: [Flow; 8] = [
    Flow { before: |_| Vec::new(), batch: binding },
    Flow { before: binding, batch: |scenario| vec![scenario.assigned("svc-etl", "etl-2")] },
    Flow { before: binding, batch: |scenario| vec![scenario.unassigned("svc-etl")] },
    Flow {
        before: binding,
        batch: |scenario| {
            let elsewhere = json!({ "kubernetes": { "serviceAccount": "elsewhere" } });
            vec![scenario.assigned_with("svc-etl", "train", elsewhere)]
        },
    },
    // The next claimant takes over, with the holder's association.
    Flow {
        before: |scenario| {
            let same = json!({ "kubernetes": { "serviceAccount": "svc-etl-sa" } });
            vec![
                scenario.assigned("svc-etl", "etl"),
                scenario.assigned_with("svc-next", "report", same),
            ]
        },
        batch: |scenario| vec![scenario.unassigned("svc-etl")],
    },
    // What was untagged by hand is tagged again before it is changed.
    Flow {
        before: binding,
        batch: |scenario| {
            let arn = scenario.ports.world().eks.associations(&cluster("blue"))[0].arn.clone();
            untag(scenario, &arn);
            // By then EKS shows it.
            scenario.advance(10);
            vec![scenario.assigned("svc-etl", "etl-2")]
        },
    },
    // An administrator lets the binding take over what is in its way, and it is changed.
    Flow {
        before: |scenario| {
            foreign(scenario, "svc-etl-sa");
            binding(scenario)
        },
        batch: |scenario| {
            let theirs = {
                let world = scenario.ports.world();
                world.eks.associations(&cluster("blue"))[0].id.clone()
            };
            permit(scenario, "svc-etl", &theirs).unwrap();
            vec![scenario.assigned("svc-etl", "etl-2")]
        },
    },
    // Several at once, the first contact with a cluster among them, and a refused one.
    Flow {
        before: |_| Vec::new(),
        batch: |scenario| {
            let mut events = vec![
                scenario.assigned("svc-etl", "etl"),
                scenario.assigned("svc-report", "report"),
                scenario.assigned("svc-x", "untrusted"),
                scenario.unassigned("svc-report"),
                scenario.assigned("svc-train", "train"),
            ];
            events.push(scenario.assigned_with("svc-bad", "etl", json!({ "actor": 7 })));
            events
        },
    },
];

fn start(flow: &Flow, visible_after: i64) -> (Scenario, Vec<Value>) {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let before = (flow.before)(&mut scenario);
    if !before.is_empty() {
        scenario.batch(&before);
    }
    scenario.advance(100);
    scenario.ports.world().settings.visible_after = jiff::SignedDuration::from_secs(visible_after);
    let batch = (flow.batch)(&mut scenario);
    scenario.ports.world().calls.clear();
    (scenario, batch)
}

/// Who was told what, whatever the ids. A removal is told with what was still there to see.
fn published(scenario: &Scenario) -> Vec<String> {
    let world = scenario.ports.world();
    let mut published: Vec<String> = world
        .bus
        .events
        .iter()
        .filter(|event| event.detail_type.starts_with("Pod Identity Association"))
        .map(|event| {
            let detail = &event.detail;
            format!(
                "{} {} {} {}",
                event.detail_type,
                detail["serviceAccount"],
                detail["kubernetesServiceAccount"],
                detail["code"]
            )
        })
        .collect();
    published.sort();
    published.dedup();
    published
}

fn faultless(flow: &Flow) -> (End, Vec<String>) {
    let (mut scenario, batch) = start(flow, 0);
    scenario.batch(&batch);
    let expected = (End::of(&scenario), published(&scenario));
    settled(&mut scenario);
    expected
}

/// Delivers again until nothing fails, as the queue does.
fn deliver(scenario: &mut Scenario, batch: &[Value], pause: i64) {
    for _ in 0..20 {
        let report = scenario.batch(batch);
        if report.records.iter().all(|record| record.outcome != Outcome::Failed) {
            return;
        }
        scenario.advance(pause);
    }
    panic!("it never succeeds");
}

/// Breaks the calls of every flow one after the other, and compares the ends.
fn break_every_call(visible_after: i64, fault: impl Fn(usize) -> PortFault, pause: i64) {
    for (index, flow) in FLOWS.iter().enumerate() {
        let (end, events) = faultless(flow);
        for n in 1.. {
            let (mut scenario, batch) = start(flow, visible_after);
            scenario.ports.fault(fault(n));
            let report = scenario.batch(&batch);
            let struck = scenario
                .ports
                .world()
                .calls
                .iter()
                .any(|call| call.error.is_some() && call.status == 503);
            if !struck {
                assert!(n > 5, "flow {index} makes only {n} calls");
                break;
            }
            let place = scenario.ports.world().calls[n - 1].operation.clone();
            let what = format!("flow {index}, call {n}, {place}: {:?}", report.records);
            scenario.ports.clear_faults();
            scenario.advance(pause);
            deliver(&mut scenario, &batch, pause);
            scenario.advance(visible_after);
            assert_eq!(End::of(&scenario), end, "{what}");
            assert_eq!(published(&scenario), events, "{what}");
            settled(&mut scenario);
        }
    }
}

#[test]
fn a_caller_that_dies_before_any_call_is_made_good_by_the_next_delivery() {
    break_every_call(0, |n| PortFault::dead_from(n, When::Before), 61);
}

#[test]
fn a_caller_that_dies_after_any_call_is_made_good_by_the_next_delivery() {
    break_every_call(0, |n| PortFault::dead_from(n, When::After), 61);
}

fn once(n: usize, when: When) -> PortFault {
    PortFault { lasting: false, ..PortFault::dead_from(n, when) }
}

#[test]
fn any_call_that_fails_once_is_made_good_by_the_next_delivery() {
    break_every_call(0, |n| once(n, When::Before), 61);
}

#[test]
fn any_call_whose_answer_is_lost_once_is_made_good_by_the_next_delivery() {
    break_every_call(0, |n| once(n, When::After), 61);
}

#[test]
fn changes_that_are_not_visible_yet_make_no_difference() {
    break_every_call(8, |n| once(n, When::After), 10);
}

#[test]
fn a_call_that_fails_for_a_passing_reason_fails_its_record_alone() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "etl");
    scenario.send(&first);
    let events = [scenario.assigned("svc-a", "etl"), scenario.assigned("svc-b", "etl")];
    let create = "CreatePodIdentityAssociation";
    scenario.ports.fault(PortFault::nth(create, 1, When::Before, ErrorKind::Passing));
    let report = scenario.batch(&events);
    Scenario::assert_outcome(&report.records[0], Outcome::Failed);
    Scenario::assert_outcome(&report.records[1], Outcome::Applied);
    assert_eq!(report.failed().collect::<Vec<_>>(), ["m-0"]);
    Scenario::assert_outcome(&scenario.send(&events[0]), Outcome::Applied);
    settled(&mut scenario);
}

#[test]
fn a_policy_change_is_told_even_when_its_maker_died_before() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "etl");
    let create = "CreatePodIdentityAssociation";
    scenario.ports.fault(PortFault {
        lasting: true,
        ..PortFault::nth(create, 1, When::Before, ErrorKind::Passing)
    });
    scenario.ports.fault(PortFault {
        lasting: true,
        ..PortFault::nth("PutEvents", 1, When::Before, ErrorKind::Passing)
    });
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Failed);
    scenario.ports.clear_faults();
    scenario.advance(61);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(scenario.outcomes("Node Role Policy Changed").len(), 1);
}
