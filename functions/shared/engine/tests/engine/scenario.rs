//! A small deployment: clusters, roles, and events with times of their own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::{ClusterArn, DominoName, RoleArn};
use pod_identity_engine::ledger::{Condition, condition_key};
use pod_identity_engine::{
    BatchReport, Outcome, Reconciled, Record, RecordReport, Run, Scope, Settings, note_reconciled,
    process,
};
use pod_identity_events::BlockedCode;
use pod_identity_world::{World, WorldPorts, deployment_settings};
use serde_json::{Value, json};

use crate::check;

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const TRUSTED: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
pub(crate) const UNTRUSTED: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

pub(crate) fn role(name: &str) -> RoleArn {
    format!("arn:aws:iam::{ACCOUNT}:role/domino/{name}").parse().unwrap()
}

pub(crate) fn cluster(name: &str) -> ClusterArn {
    ClusterArn::new("aws", "eu-west-1", ACCOUNT, name).unwrap()
}

pub(crate) fn node_role(name: &str) -> RoleArn {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}").parse().unwrap()
}

/// Looks at the world after every poll.
pub(crate) fn drive<F: Future>(future: F, look: impl FnMut()) -> F::Output {
    pod_identity_world::drive(future, look).expect("the future ends")
}

pub(crate) struct Scenario {
    pub(crate) ports: WorldPorts,
    pub(crate) settings: Settings,
    /// The node roles that each cluster really has.
    pub(crate) node_roles: BTreeMap<ClusterArn, Vec<RoleArn>>,
    /// Off where the policies are full and the list is a record only.
    pub(crate) grants_before_binding: bool,
    /// Every event that was sent, each once, in the order of its first arrival.
    pub(crate) sent: Vec<Value>,
    shared: Arc<Mutex<World>>,
    events: i64,
    invocations: u64,
}

impl Scenario {
    /// Clusters blue and green exist with their node roles; nothing is registered.
    pub(crate) fn new() -> Self {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let mut world = World::new(1, ACCOUNT, now);
        let mut node_roles = BTreeMap::new();
        for name in ["blue", "green"] {
            let node_role = node_role(&format!("{name}-eks-nodes"));
            world.add_role(&node_role, UNTRUSTED);
            world.add_cluster(&cluster(name), &[("default", &node_role)]);
            node_roles.insert(cluster(name), vec![node_role]);
        }
        for name in ["etl", "etl-2", "report", "train"] {
            world.add_role(&role(name), TRUSTED);
        }
        world.add_role(&role("untrusted"), UNTRUSTED);
        let shared = Arc::new(Mutex::new(world));
        let ports = WorldPorts::new(Arc::clone(&shared), "association");
        Self {
            ports,
            settings: deployment_settings(ACCOUNT),
            node_roles,
            grants_before_binding: true,
            sent: Vec::new(),
            shared,
            events: 0,
            invocations: 0,
        }
    }

    /// blue and green are registered.
    pub(crate) fn registered() -> Self {
        let mut scenario = Self::new();
        scenario.register("blue");
        scenario.register("green");
        scenario
    }

    /// Another caller's hands on the same world.
    pub(crate) fn other_ports(&self) -> WorldPorts {
        WorldPorts::new(Arc::clone(&self.shared), "another")
    }

    /// Registers a cluster with its node role.
    pub(crate) fn register(&mut self, name: &str) -> RecordReport {
        let detail = json!({
            "clusterArn": cluster(name),
            "nodeRoleArns": [format!("arn:aws:iam::{ACCOUNT}:role/{name}-eks-nodes")],
        });
        let event = self.event("domino.administration", "Cluster Registered", detail);
        self.send(&event)
    }

    /// An envelope one second younger than the last.
    pub(crate) fn event(&mut self, source: &str, detail_type: &str, mut detail: Value) -> Value {
        self.events += 1;
        let at: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let at = at.checked_add(SignedDuration::from_secs(self.events)).unwrap();
        detail["schemaVersion"] = json!(1);
        detail["eventId"] = json!(format!("e-{}", self.events));
        detail["occurredAt"] = json!(at.to_string());
        json!({
            "version": "0", "id": format!("d-{}", self.events), "source": source,
            "detail-type": detail_type, "account": ACCOUNT, "region": "eu-west-1",
            "time": at.to_string(), "resources": [], "detail": detail,
        })
    }

    pub(crate) fn assigned(&mut self, name: &str, role_name: &str) -> Value {
        self.assigned_with(name, role_name, json!({}))
    }

    pub(crate) fn assigned_with(&mut self, name: &str, role_name: &str, more: Value) -> Value {
        let mut detail = json!({ "serviceAccount": name, "roleArn": role(role_name) });
        detail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.event("domino.automation", "Service Account Role Assigned", detail)
    }

    pub(crate) fn unassigned(&mut self, name: &str) -> Value {
        let detail = json!({ "serviceAccount": name });
        self.event("domino.automation", "Service Account Role Unassigned", detail)
    }

    pub(crate) fn send(&mut self, event: &Value) -> RecordReport {
        self.batch(std::slice::from_ref(event)).records.remove(0)
    }

    pub(crate) fn deactivated(&mut self, name: &str) -> Value {
        let detail = json!({ "serviceAccount": name });
        self.event("domino.automation", "Service Account Deactivated", detail)
    }

    /// One invocation with as many seconds as Lambda gives here.
    pub(crate) fn batch(&mut self, events: &[Value]) -> BatchReport {
        self.batch_until(events, self.in_seconds(60))
    }

    pub(crate) fn batch_until(&mut self, events: &[Value], deadline: Timestamp) -> BatchReport {
        self.batch_with(events, deadline, |_| {})
    }

    /// One invocation during which others may change the world between two calls.
    pub(crate) fn batch_with(
        &mut self,
        events: &[Value],
        deadline: Timestamp,
        meddle: impl FnMut(&mut World),
    ) -> BatchReport {
        for event in events {
            if !self.sent.contains(event) {
                self.sent.push(event.clone());
            }
        }
        let texts: Vec<String> = events.iter().map(Value::to_string).collect();
        self.texts(&texts, deadline, meddle)
    }

    /// One delivery of an event by a queue that delivers again what fails.
    pub(crate) fn deliver(&mut self, event: &Value, deliveries: u32) -> RecordReport {
        if !self.sent.contains(event) {
            self.sent.push(event.clone());
        }
        let mut records = records(&[event.to_string()]);
        records[0].deliveries = deliveries;
        let (run, deadline) = (self.next_run(), self.in_seconds(60));
        let cloud = self.ports.cloud(&run, &self.settings, deadline);
        drive(process(cloud, self.ports.writers(), &records), || {}).records.remove(0)
    }

    /// One invocation with records of any text.
    pub(crate) fn texts(
        &mut self,
        texts: &[String],
        deadline: Timestamp,
        mut meddle: impl FnMut(&mut World),
    ) -> BatchReport {
        let (records, run) = (records(texts), self.next_run());
        let ports = &self.ports;
        let mut seen = ports.world().calls.len();
        let future =
            process(ports.cloud(&run, &self.settings, deadline), ports.writers(), &records);
        drive(future, || {
            let mut world = ports.world();
            meddle(&mut world);
            if self.grants_before_binding {
                check::nothing_is_bound_before_it_is_granted(&world, &self.node_roles, seen);
            }
            seen = world.calls.len();
        })
    }

    pub(crate) fn next_run(&mut self) -> Run {
        self.invocations += 1;
        Run::new(format!("request-{:06}", self.invocations), self.now())
    }

    /// Notes a reconciliation as the function does after it.
    pub(crate) fn note_reconciled(&self, run: &Run, scope: &Scope, done: &Reconciled) {
        let context = self.ports.context(run, &self.settings, self.in_seconds(60));
        drive(note_reconciled(context, self.ports.writers().ledger, scope, done), || {}).unwrap();
    }

    pub(crate) fn in_seconds(&self, seconds: i64) -> Timestamp {
        self.now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        let later = self.in_seconds(seconds);
        self.ports.world().now = later;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ports.world().now
    }

    /// Events on the bus by detail type.
    pub(crate) fn outcomes(&self, detail_type: &str) -> Vec<Value> {
        let world = self.ports.world();
        let of_type = |event: &&pod_identity_world::BusEvent| event.detail_type == detail_type;
        world.bus.events.iter().filter(of_type).map(|event| event.detail.clone()).collect()
    }

    /// (namespace/service account, role name) of a cluster's associations.
    pub(crate) fn associations(&self, name: &str) -> Vec<(String, String)> {
        let world = self.ports.world();
        let mut found: Vec<(String, String)> = world
            .eks
            .associations(&cluster(name))
            .into_iter()
            .map(|one| {
                let role = one.role_arn.rsplit('/').next().unwrap().to_owned();
                (format!("{}/{}", one.namespace, one.service_account), role)
            })
            .collect();
        found.sort();
        found
    }

    pub(crate) fn condition(&self, name: &str, cluster_name: &str) -> Option<Condition> {
        let name: DominoName = name.parse().unwrap();
        let key = condition_key(&name, &cluster(cluster_name));
        let world = self.ports.world();
        let item = world.ledger.items().find(|item| item.key == key)?.clone();
        Some(serde_json::from_value(item.body).unwrap())
    }

    /// The code that a condition is blocked or waits with.
    pub(crate) fn code(&self, name: &str, cluster_name: &str) -> Option<BlockedCode> {
        self.condition(name, cluster_name)?.blocked.map(|blocked| blocked.code())
    }

    pub(crate) fn assert_outcome(report: &RecordReport, outcome: Outcome) {
        assert_eq!(report.outcome, outcome, "{report:?}");
    }
}

/// Records with ids in order.
pub(crate) fn records(texts: &[String]) -> Vec<Record> {
    let record = |(at, text): (usize, &String)| Record {
        id: format!("m-{at}"),
        text: text.clone(),
        deliveries: 0,
    };
    texts.iter().enumerate().map(record).collect()
}
