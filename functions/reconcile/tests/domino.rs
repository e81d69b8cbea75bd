//! A look at Domino before all clusters are asked for, over the model of AWS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use async_trait::async_trait;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::directory::Ceilings;
use pod_identity_core::{ClusterArn, Pattern};
use pod_identity_engine::ledger::{DominoRecord, View, domino_key};
use pod_identity_engine::ports::{
    DominoAccount, DominoPage, DominoQuery, DominoReader, ErrorKind, PortError,
};
use pod_identity_engine::{DominoSource, Record, Run, Settings, record};
use pod_identity_world::{World, WorldPorts, deployment_settings};
use reconcile::{Function, Invocation};
use serde_json::{Value, json};

const ACCOUNT: &str = "111122223333";

fn drive<F: Future>(future: F) -> F::Output {
    pod_identity_world::drive(future, || {}).expect("the future ends")
}

/// A Domino in which `svc-1` is deactivated and `svc-2` is not.
struct Domino {
    ports: WorldPorts,
    fails: bool,
    /// Seconds that each answer takes.
    slow: i64,
    asked: Mutex<usize>,
}

#[async_trait(?Send)]
impl DominoReader for Domino {
    async fn service_accounts(&self, query: DominoQuery) -> Result<DominoPage, PortError> {
        *self.asked.lock().unwrap() += 1;
        let mut world = self.ports.world();
        world.now = world.now.checked_add(SignedDuration::from_secs(self.slow)).unwrap();
        let account = |name: &str| DominoAccount {
            id: name.to_owned(),
            username: name.to_owned(),
            email: None,
        };
        let accounts = match query.include_deactivated {
            true => vec![account("svc-1"), account("svc-2")],
            false => vec![account("svc-2")],
        };
        let page = DominoPage { accounts, ..DominoPage::default() };
        if self.fails {
            Err(PortError {
                operation: "list",
                object: "service accounts of Domino".to_owned(),
                kind: ErrorKind::Passing,
                code: None,
                message: None,
                source: "no connection".into(),
            })
        } else {
            Ok(page)
        }
    }
}

/// Cluster blue is registered; svc-1 and svc-2 are bound.
struct House {
    ports: WorldPorts,
    settings: Settings,
    domino: Domino,
    unbinds: bool,
    plan_only: bool,
}

impl House {
    fn new() -> Self {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let world = Arc::new(Mutex::new(World::new(1, ACCOUNT, now)));
        let ports = WorldPorts::new(world, "reconcile");
        let mut settings = deployment_settings(ACCOUNT);
        settings.rules.roles = vec![Pattern::new("arn:aws:iam::111122223333:role/*")];
        let domino =
            Domino { ports: ports.clone(), fails: false, slow: 0, asked: Mutex::default() };
        let house = Self { ports, settings, domino, unbinds: true, plan_only: false };
        house.record("Cluster Registered", json!({ "clusterArn": blue() }));
        for name in ["svc-1", "svc-2"] {
            let role = format!("arn:aws:iam::{ACCOUNT}:role/etl");
            house.record(
                "Service Account Role Assigned",
                json!({ "serviceAccount": name, "roleArn": role }),
            );
        }
        house.ports.world().bus.events.clear();
        house
    }

    fn record(&self, detail_type: &str, mut detail: Value) {
        let now = self.ports.world().now;
        detail["schemaVersion"] = json!(1);
        detail["eventId"] = json!(format!("e-{}", detail["serviceAccount"].as_str().unwrap_or("")));
        detail["occurredAt"] = json!(now.to_string());
        let of_cluster = detail.get("clusterArn").is_some();
        let source = if of_cluster { "domino.administration" } else { "domino.automation" };
        let event = json!({
            "version": "0", "id": "d", "source": source, "detail-type": detail_type,
            "account": ACCOUNT, "region": "eu-west-1", "time": now.to_string(), "resources": [],
            "detail": detail,
        });
        let records = [Record { id: "m".to_owned(), text: event.to_string(), deliveries: 0 }];
        let (ports, run) = (&self.ports, Run::new("r", now));
        let deadline = self.in_seconds(60);
        let done = drive(record(
            ports.context(&run, &self.settings, deadline),
            ports.writers().ledger,
            ports.writers().bus,
            &records,
        ));
        assert!(done.records[0].lines.iter().all(|line| !line.contains("must")), "{done:?}");
    }

    fn in_seconds(&self, seconds: i64) -> Timestamp {
        self.ports.world().now.checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    fn invoke(&self, payload: Value) -> Invocation {
        let source = DominoSource {
            reader: &self.domino,
            unbinds: self.unbinds,
            ceilings: Ceilings::default(),
        };
        let function = Function {
            reader: &self.ports,
            writer: (!self.plan_only).then_some(&self.ports),
            clock: &self.ports,
            settings: &self.settings,
            own_roles: &[],
            domino: Some(source),
            deadline_margin: Duration::from_secs(0),
        };
        let seconds = u64::try_from(self.in_seconds(60).as_second()).unwrap();
        let deadline = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        drive(function.invoke(payload, "request", deadline))
    }

    /// The comparison with Domino that the ledger has.
    fn recorded(&self) -> DominoRecord {
        let mut view = View::default();
        drive(view.read(&self.ports, &[domino_key()])).unwrap();
        view.get(&domino_key()).unwrap().unwrap_or_default()
    }

    /// Reasons of the requests for reconciliation on the bus.
    fn requests(&self) -> Vec<String> {
        let world = self.ports.world();
        let requests =
            world.bus.events.iter().filter(|it| it.detail_type == "Reconciliation Requested");
        requests.map(|it| it.detail["reason"].as_str().unwrap().to_owned()).collect()
    }
}

fn blue() -> ClusterArn {
    ClusterArn::new("aws", "eu-west-1", ACCOUNT, "blue").unwrap()
}

fn schedule() -> Value {
    json!({ "id": "s", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} })
}

const ALL: &str = "every cluster is reconciled";
const CHANGED: &str = "what service accounts work as was changed";

#[test]
fn a_schedule_unbinds_who_is_deactivated_in_domino_and_then_asks_for_the_clusters() {
    let house = House::new();
    let done = house.invoke(schedule());
    let check = done.domino.unwrap().unwrap();
    assert_eq!(check.unbound.len(), 1, "{check:?}");
    assert_eq!(house.requests(), [CHANGED, ALL]);
    let comparison = house.recorded().comparison.unwrap();
    assert_eq!(comparison.unbound.names, ["svc-1"], "{comparison:?}");
    let said = done.answer.unwrap()["text"].as_str().unwrap().to_owned();
    assert!(said.contains("asked for 1 clusters; Domino has deactivated 1"), "{said}");

    let again = house.invoke(schedule()).domino.unwrap().unwrap();
    assert!(again.unbound.is_empty() && again.found.deactivated.is_empty());
    assert_eq!(house.requests().len(), 3);
}

#[test]
fn by_default_it_is_only_reported() {
    let house = House { unbinds: false, ..House::new() };
    let check = house.invoke(schedule()).domino.unwrap().unwrap();
    assert_eq!((check.found.deactivated.len(), check.unbound.len()), (1, 0));
    assert_eq!(house.requests(), [ALL]);
}

#[test]
fn a_domino_that_fails_or_is_slow_does_not_keep_the_clusters_waiting() {
    let mut house = House::new();
    house.domino.fails = true;
    let done = house.invoke(schedule());
    assert!(done.domino.unwrap().unwrap_err().to_string().contains("no connection"));
    let said = done.answer.unwrap()["text"].as_str().unwrap().to_owned();
    assert!(said.contains("Domino was not compared"), "{said}");
    assert!(house.recorded().failure.unwrap().cause.contains("no connection"));
    assert_eq!(house.requests(), [ALL]);

    // Half of the minute is the clusters'.
    let mut house = House::new();
    house.domino.slow = 27;
    let done = house.invoke(schedule());
    assert!(done.domino.unwrap().unwrap_err().to_string().contains("time was over"));
    assert_eq!((*house.domino.asked.lock().unwrap(), house.requests()), (1, vec![ALL.to_owned()]));
}

#[test]
fn domino_is_asked_once_a_batch_and_not_for_one_cluster_nor_in_plan_mode() {
    let house = House::new();
    let message = |id: &str| json!({ "messageId": id, "body": schedule().to_string(), "attributes": {}, "messageAttributes": {} });
    house.invoke(json!({ "Records": [message("a"), message("b")] }));
    // Two lists, and one of them again before somebody is unbound.
    assert_eq!(*house.domino.asked.lock().unwrap(), 3);
    assert!(house.invoke(json!({ "clusterArn": blue(), "planOnly": true })).domino.is_none());
    let house = House { plan_only: true, ..House::new() };
    assert!(house.invoke(schedule()).domino.is_none());
    assert_eq!(house.recorded(), DominoRecord::default());
    assert_eq!(*house.domino.asked.lock().unwrap(), 0);
}
