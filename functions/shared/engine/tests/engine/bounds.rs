//! Nothing that senders can fill grows without bound on the way of an event.

use pod_identity_engine::Outcome;
use pod_identity_engine::ledger::{
    MAX_REGISTRY_BYTES, MAX_REJECTED, MAX_SUPERSEDED, NoticeKind, NoticeRecord, notice_partition,
};
use pod_identity_engine::ports::Item;
use serde_json::{Value, json};

use crate::scenario::{ACCOUNT, Scenario, cluster};

fn shared() -> Value {
    json!({ "kubernetes": { "serviceAccount": "shared" } })
}

/// Events about one name, each older than all before.
fn superseded(scenario: &mut Scenario, name: &str, count: usize) -> Vec<Value> {
    let one = |n: usize, scenario: &mut Scenario| {
        let mut event = scenario.assigned_with(name, "train", shared());
        event["detail"]["occurredAt"] = json!(format!("1970-01-01T00:00:00.{:03}Z", n % 1000));
        event["detail"]["reason"] = json!("x".repeat(400));
        event
    };
    (0..count).map(|n| one(n, scenario)).collect()
}

fn in_partition(scenario: &Scenario, partition: &str) -> Vec<Item> {
    let world = scenario.ports.world();
    world.ledger.items().filter(|item| item.key.partition == partition).cloned().collect()
}

/// The calls of one event about a contested account, and the bytes that they read of the ledger.
fn cost_of_next(scenario: &mut Scenario, name: &str) -> (Vec<String>, usize) {
    let mut event = scenario.assigned_with(name, "report", shared());
    event["detail"]["occurredAt"] = json!("2026-11-20T11:59:00Z");
    event["detail"]["eventId"] = json!("next");
    let (calls, bytes) = {
        let world = scenario.ports.world();
        (world.calls.len(), world.ledger_bytes_read)
    };
    scenario.send(&event);
    let world = scenario.ports.world();
    let made = world.calls[calls..].iter();
    let made = made.map(|call| format!("{} {}", call.operation, call.object)).collect();
    (made, world.ledger_bytes_read - bytes)
}

#[test]
fn superseded_events_cost_an_event_of_a_contested_name_nothing() {
    let cost_after = |count: usize| {
        let mut scenario = Scenario::new();
        scenario.register("blue");
        let holder = scenario.assigned_with("svc-holder", "etl", shared());
        scenario.send(&holder);
        for batch in superseded(&mut scenario, "svc-holder", count).chunks(500) {
            let texts: Vec<String> = batch.iter().map(Value::to_string).collect();
            let late = scenario.in_seconds(600);
            for record in scenario.texts(&texts, late, |_| {}).records {
                Scenario::assert_outcome(&record, Outcome::Superseded);
            }
        }
        let size: usize = {
            let world = scenario.ports.world();
            let all = world.ledger.items();
            all.map(|item| item.body.to_string().len()).sum()
        };
        (cost_of_next(&mut scenario, "svc-next"), size)
    };
    let ((few, few_bytes), _) = cost_after(10);
    let (many, size) = cost_after(1_000);
    let (flood, flooded) = cost_after(100_000);
    assert!(few_bytes > 1_000, "{few_bytes}");
    assert_eq!((few.len(), few_bytes), (many.0.len(), many.1));
    assert_eq!((few.len(), few_bytes), (flood.0.len(), flood.1));
    // Beyond the day's limit only a number grows.
    assert!(flooded < size + 100, "{size} {flooded}");
}

#[test]
fn beyond_a_days_limit_superseded_events_are_counted() {
    let mut scenario = Scenario::new();
    let newest = scenario.assigned_with("svc-etl", "etl", shared());
    scenario.send(&newest);
    let mut removals = Vec::new();
    for n in 0..=MAX_SUPERSEDED + 5 {
        let mut event = scenario.unassigned("svc-etl");
        event["detail"]["occurredAt"] = json!(format!("1970-01-01T00:00:00.{n:03}Z"));
        removals.push(event);
    }
    for event in &removals {
        Scenario::assert_outcome(&scenario.send(event), Outcome::Superseded);
    }
    let now = scenario.now();
    let partition = notice_partition(NoticeKind::Superseded, now);
    assert_eq!(in_partition(&scenario, &partition).len(), MAX_SUPERSEDED);
    let counts = in_partition(&scenario, &format!("{partition}#COUNTS"));
    assert_eq!(counts[0].body["count"], removals.len());
    // The bus is told of each that is kept, and of the first that is not.
    let published = scenario.outcomes("Service Account Event Superseded").len();
    assert_eq!(published, MAX_SUPERSEDED + 1);
    // Delivered again, they are not counted again.
    scenario.send(&removals[0]);
    let counts = in_partition(&scenario, &format!("{partition}#COUNTS"));
    assert_eq!(counts[0].body["count"], removals.len());
}

#[test]
fn beyond_a_days_limit_rejected_events_leave_a_digest() {
    let mut scenario = Scenario::new();
    let texts: Vec<String> = (0..MAX_REJECTED + 2)
        .map(|n| format!("{{\"no\": \"event {n} {}\"}}", "x".repeat(50)))
        .collect();
    for texts in texts.chunks(500) {
        let late = scenario.in_seconds(600);
        scenario.texts(texts, late, |_| {});
    }
    let kept = in_partition(&scenario, &notice_partition(NoticeKind::Rejected, scenario.now()));
    assert_eq!(kept.len(), MAX_REJECTED + 2);
    let digests = kept.iter().filter(|item| {
        let notice: NoticeRecord = serde_json::from_value(item.body.clone()).unwrap();
        notice.original.starts_with("sha256 ")
    });
    assert_eq!(digests.count(), 2);
    assert_eq!(scenario.outcomes("Service Account Event Rejected").len(), MAX_REJECTED + 2);
}

#[test]
fn beyond_the_most_names_a_new_one_is_refused_and_known_ones_go_on() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    scenario.settings.max_names = 2;
    let events = [scenario.assigned("svc-a", "etl"), scenario.unassigned("svc-a")];
    for event in &events {
        Scenario::assert_outcome(&scenario.send(event), Outcome::Applied);
    }
    let unheard = scenario.unassigned("svc-b");
    Scenario::assert_outcome(&scenario.send(&unheard), Outcome::Applied);
    for event in [scenario.assigned("svc-c", "etl"), scenario.unassigned("svc-d")] {
        let report = scenario.send(&event);
        Scenario::assert_outcome(&report, Outcome::Rejected);
        assert!(report.lines[0].contains("MAX_NAMES"), "{report:?}");
    }
    for event in [scenario.assigned("svc-a", "etl"), scenario.assigned("svc-b", "report")] {
        Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    }
}

#[test]
fn a_thousand_claims_on_one_account_cost_an_event_what_two_do() {
    let cost_after = |count: usize| {
        let mut scenario = Scenario::new();
        scenario.register("blue");
        let events: Vec<Value> = (0..count)
            .map(|n| scenario.assigned_with(&format!("svc-{n:04}"), "etl", shared()))
            .collect();
        for event in &events {
            scenario.send(event);
        }
        cost_of_next(&mut scenario, "svc-next").0.len()
    };
    assert_eq!(cost_after(2), cost_after(1_000));
}

#[test]
fn a_registry_that_every_event_reads_stays_small() {
    let mut scenario = Scenario::new();
    let path = "x".repeat(60);
    let mut refused = None;
    for n in 0..80 {
        let arn = format!("arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/{n}-{}", "y".repeat(90));
        let roles: Vec<String> =
            (0..10).map(|r| format!("arn:aws:iam::{ACCOUNT}:role/{path}/{r}-eks-nodes")).collect();
        let detail = json!({ "clusterArn": arn, "nodeRoleArns": roles });
        let event = scenario.event("domino.administration", "Cluster Registered", detail);
        let report = scenario.send(&event);
        if report.outcome == Outcome::Rejected {
            refused = Some(report.lines[0].clone());
            break;
        }
    }
    let why = refused.expect("it does not fit");
    assert!(why.contains("65536"), "{why}");
    let registry = in_partition(&scenario, "CLUSTERS");
    let bytes = registry.iter().map(|item| item.body.to_string().len()).max().unwrap();
    assert!(bytes <= MAX_REGISTRY_BYTES, "{bytes}");
    // Those that are known go on.
    let arn = cluster("blue");
    assert!(!why.contains(arn.as_str()));
}

#[test]
fn a_ledger_of_another_format_is_left_alone() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    {
        let mut world = scenario.ports.world();
        let key = pod_identity_engine::ledger::registry_key();
        let mut item = world.ledger.get(&key).unwrap().clone();
        item.body["format"] = json!(2);
        let write = pod_identity_engine::ports::Write::Put {
            item,
            expires_at: None,
            expect: pod_identity_engine::ports::Expect::Anything,
        };
        world.ledger_write(&[write]).unwrap();
    }
    let event = scenario.assigned("svc-etl", "etl");
    let report = scenario.send(&event);
    Scenario::assert_outcome(&report, Outcome::Failed);
    assert!(report.lines[0].contains("format 2"), "{report:?}");
    assert_eq!(scenario.associations("blue"), []);
}

#[test]
fn how_often_a_name_is_changed_within_an_hour_is_counted() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let change = |scenario: &mut Scenario, name: &str| {
        let event = scenario.assigned(name, "etl");
        scenario.batch(&[event]).busiest.map(|(name, changes)| (name.to_string(), changes))
    };
    assert_eq!(change(&mut scenario, "svc-a"), Some(("svc-a".to_owned(), 1)));
    assert_eq!(change(&mut scenario, "svc-b"), Some(("svc-b".to_owned(), 1)));
    assert_eq!(change(&mut scenario, "svc-a"), Some(("svc-a".to_owned(), 2)));
    let both = [scenario.assigned("svc-a", "etl"), scenario.assigned("svc-b", "etl")];
    let busiest = scenario.batch(&both).busiest.unwrap();
    assert_eq!((busiest.0.as_str(), busiest.1), ("svc-a", 3));
    // Neither what comes again nor what is old changes anything.
    let mut old = scenario.assigned("svc-a", "etl");
    old["detail"]["occurredAt"] = json!("1970-01-01T00:00:00Z");
    assert_eq!(scenario.batch(&[both[0].clone(), old]).busiest, None);
    scenario.advance(3600);
    assert_eq!(change(&mut scenario, "svc-a"), Some(("svc-a".to_owned(), 1)));
}

#[test]
fn the_newest_of_many_changes_in_one_batch_is_carried_out() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let moves: Vec<Value> = (0..100)
        .map(|n| {
            let account = json!({ "kubernetes": { "serviceAccount": format!("moved-{n}") } });
            scenario.assigned_with("svc-a", ["etl", "report", "train"][n % 3], account)
        })
        .collect();
    for record in scenario.batch(&moves).records {
        assert!(
            matches!(record.outcome, Outcome::Applied | Outcome::AlreadySuperseded),
            "{record:?}"
        );
    }
    let expected = [("domino-compute/moved-99".to_owned(), "etl".to_owned())];
    assert_eq!(scenario.associations("blue"), expected);
    let roles: Vec<Value> = (0..100)
        .map(|n| scenario.assigned("svc-b", if n % 2 == 0 { "untrusted" } else { "nobody" }))
        .collect();
    for record in scenario.batch(&roles).records {
        assert!(
            matches!(record.outcome, Outcome::Blocked | Outcome::AlreadySuperseded),
            "{record:?}"
        );
    }
}
