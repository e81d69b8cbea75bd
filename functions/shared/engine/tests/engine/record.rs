//! Changes that are only taken into the ledger, and those that are only thought through.

use std::collections::BTreeSet;

use pod_identity_engine::ledger::{
    BindingRecord, ConditionState, ReconciledRecord, View, binding_key, reconciled_key,
};
use pod_identity_engine::ports::{
    Expect, Item, Key, LedgerReader, LedgerWriter, Write, WriteError,
};
use pod_identity_engine::{
    Cloud, Context, DryRunLedger, Outcome, Record, Recorded, Scope, preview, reconcile, record,
};
use serde_json::{Value, json};

use crate::scenario::{Scenario, cluster, drive};

fn records(events: &[Value]) -> Vec<Record> {
    let text = |(at, event): (usize, &Value)| Record {
        id: at.to_string(),
        text: event.to_string(),
        deliveries: 0,
    };
    events.iter().enumerate().map(text).collect()
}

fn take(scenario: &mut Scenario, events: &[Value]) -> Recorded {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, settings) = (&scenario.ports, &scenario.settings);
    drive(
        record(
            ports.context(&run, settings, deadline),
            ports.writers().ledger,
            ports.writers().bus,
            &records(events),
        ),
        || {},
    )
}

#[test]
fn what_is_only_recorded_touches_the_ledger_and_the_bus_and_comes_true_by_reconciliation() {
    let mut scenario = Scenario::registered();
    let event = scenario.assigned("svc-etl", "etl");
    let wrong = scenario.assigned_with("svc-bad", "etl", json!({ "roleArn": "nonsense" }));
    scenario.ports.world().calls.clear();
    let done = take(&mut scenario, &[event, wrong]);
    assert_eq!(done.records[0].outcome, Outcome::Applied);
    assert_eq!(done.records[1].outcome, Outcome::Rejected);
    assert_eq!(done.clusters, BTreeSet::from([cluster("blue"), cluster("green")]));
    let services: BTreeSet<String> =
        scenario.ports.world().calls.iter().map(|call| call.service.clone()).collect();
    assert_eq!(services, BTreeSet::from(["dynamodb".to_owned(), "events".to_owned()]));
    assert_eq!(scenario.condition("svc-etl", "blue").unwrap().state, ConditionState::Pending);

    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, settings) = (&scenario.ports, &scenario.settings);
    let scope = Scope::of(cluster("blue"));
    let done =
        drive(reconcile(ports.cloud(&run, settings, deadline), ports.writers(), &scope), || {});
    let done = done.unwrap();
    assert_eq!(scenario.condition("svc-etl", "blue").unwrap().state, ConditionState::Ready);
    assert_eq!(done.states.get(&ConditionState::Ready), Some(&1));
    scenario.note_reconciled(&run, &scope, &done);
    let mut view = View::default();
    drive(view.read(ports, &[reconciled_key(&cluster("blue"))]), || {}).unwrap();
    let note = view.get::<ReconciledRecord>(&reconciled_key(&cluster("blue"))).unwrap().unwrap();
    assert_eq!((note.states, note.capacity), (done.states, done.capacity));
}

#[test]
fn a_rehearsal_shows_what_it_wrote_and_leaves_no_trace() {
    let mut scenario = Scenario::registered();
    let event = scenario.assigned("svc-etl", "etl");
    let before = format!("{:?}", scenario.ports.world().ledger);
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let (ports, settings) = (&scenario.ports, &scenario.settings);
    let dry_run = DryRunLedger::of(ports);
    let events = records(&[event]);
    let cloud = ports.cloud(&run, settings, deadline);
    let context = Context { ledger: &dry_run, ..cloud.context };
    let done = drive(record(context, &dry_run, &dry_run, &events), || {});
    assert_eq!(done.records[0].outcome, Outcome::Applied);
    let mut view = View::default();
    let key = binding_key(&"svc-etl".parse().unwrap());
    drive(view.read(&dry_run, std::slice::from_ref(&key)), || {}).unwrap();
    assert!(view.get::<BindingRecord>(&key).unwrap().is_some());
    let found = drive(dry_run.query("BINDINGS", "svc", None), || {}).unwrap();
    assert_eq!((found.items.len(), found.next), (1, None));
    let scope = Scope::of(cluster("blue"));
    let ahead = drive(preview(Cloud { context, ..cloud }, &scope), || {});
    assert!(ahead.unwrap().plans[0].to_string().contains("svc-etl-sa -> role/domino/etl"));
    assert_eq!(format!("{:?}", scenario.ports.world().ledger), before);
}

#[test]
fn a_rehearsal_holds_writes_to_what_they_expect() {
    let scenario = Scenario::registered();
    let dry_run = DryRunLedger::of(&scenario.ports);
    let key = Key { partition: "P".to_owned(), sort: "S".to_owned() };
    let put = |revision: &str, expect: Expect| {
        let item = Item { key: key.clone(), revision: revision.to_owned(), body: json!({}) };
        drive(dry_run.write(&[Write::Put { item, expires_at: None, expect }]), || {})
    };
    put("1", Expect::Absent).unwrap();
    assert!(matches!(put("2", Expect::Absent), Err(WriteError::Conflict)));
    assert!(matches!(put("2", Expect::Revision("0".to_owned())), Err(WriteError::Conflict)));
    put("2", Expect::Revision("1".to_owned())).unwrap();
    put("3", Expect::Anything).unwrap();
    let delete = Write::Delete { key: key.clone(), expect: Expect::Revision("3".to_owned()) };
    drive(dry_run.write(&[delete]), || {}).unwrap();
    assert!(drive(dry_run.read(std::slice::from_ref(&key)), || {}).unwrap().is_empty());
}
