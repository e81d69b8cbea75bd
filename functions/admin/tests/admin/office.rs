//! A small deployment, and an administrator who asks it.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use admin::{AdminWriter, Deployment, Function, Invocation};
use jiff::{SignedDuration, Timestamp};
use pod_identity_core::{Association, ClusterArn, Json, RoleArn, ServiceAccountRef, sweep};
use pod_identity_engine::{
    DominoCheck, InsideReport, InsideScope, InsideSettings, MappingSettings, Reconciled, Record,
    RecordReport, Run, Scope, Settings, SweepSettings, note_reconciled, reconcile,
    reconcile_workloads, record, record_domino_check,
};
use pod_identity_world::{World, WorldPorts, deployment_settings};
use serde_json::{Value, json};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const FUNCTION: &str = "arn:aws:lambda:eu-west-1:111122223333:function:admin";
pub(crate) const TRUSTED: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
pub(crate) const UNTRUSTED: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

pub(crate) fn role(name: &str) -> RoleArn {
    format!("arn:aws:iam::{ACCOUNT}:role/domino/{name}").parse().unwrap()
}

pub(crate) fn cluster(name: &str) -> ClusterArn {
    ClusterArn::new("aws", "eu-west-1", ACCOUNT, name).unwrap()
}

fn drive<F: Future>(future: F) -> F::Output {
    pod_identity_world::drive(future, || {}).expect("the future ends")
}

/// Clusters blue and green with their node roles, roles that trust and one that does not.
pub(crate) struct Office {
    pub(crate) ports: WorldPorts,
    pub(crate) settings: Settings,
    pub(crate) inside: InsideSettings,
    /// How often something to write with was made.
    pub(crate) writers_made: Cell<usize>,
    /// Whether the function is deployed to be read only.
    pub(crate) read_only: bool,
    /// Whether reconcile and workloads run in plan mode.
    pub(crate) others_plan: bool,
    invocations: Cell<u64>,
}

impl Office {
    /// Nothing is registered.
    pub(crate) fn new() -> Self {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let mut world = World::new(1, ACCOUNT, now);
        for name in ["blue", "green"] {
            let node_role =
                format!("arn:aws:iam::{ACCOUNT}:role/{name}-eks-nodes").parse().unwrap();
            world.add_role(&node_role, UNTRUSTED);
            world.add_cluster(&cluster(name), &[("default", &node_role)]);
            world.add_namespace(&cluster(name), "domino-compute").unwrap();
            world.add_namespace(&cluster(name), "domino-platform").unwrap();
        }
        for name in ["etl", "report", "train"] {
            world.add_role(&role(name), TRUSTED);
        }
        world.add_role(&role("untrusted"), UNTRUSTED);
        let inside = InsideSettings {
            namespaces: vec!["domino-compute".to_owned()],
            service_accounts: true,
            mapping: Some(MappingSettings {
                namespace: "domino-platform".to_owned(),
                name: "domino-pod-identity".to_owned(),
                label_selectors: vec!["dominodatalab.com/workload-type in (Batch)".to_owned()],
                default_service_account: String::new(),
            }),
            sweep: None,
            dry_run: false,
            page: 100,
        };
        let ports = WorldPorts::new(Arc::new(Mutex::new(world)), "admin");
        Self {
            ports,
            settings: deployment_settings(ACCOUNT),
            inside,
            writers_made: Cell::new(0),
            read_only: false,
            others_plan: false,
            invocations: Cell::new(0),
        }
    }

    /// Stale pods are looked for.
    pub(crate) fn sweeping(mut self) -> Self {
        self.inside.sweep = Some(SweepSettings {
            rules: sweep::Settings::new(["domino-compute".to_owned()]),
            selector: String::new(),
            grace_seconds: None,
            delete_after: None,
        });
        self
    }

    /// blue and green are registered by the administrator.
    pub(crate) fn registered() -> Self {
        let office = Self::new();
        office.register("blue");
        office.register("green");
        office
    }

    pub(crate) fn register(&self, name: &str) {
        let node_role = format!("arn:aws:iam::{ACCOUNT}:role/{name}-eks-nodes");
        let register = json!({ "clusterArn": cluster(name), "nodeRoleArns": [node_role] });
        self.done(json!({ "action": "clusters", "register": register, "mode": "apply" }));
        self.reconcile(name);
    }

    /// `svc-NAME` is bound to a role, and reconcile has made it true.
    pub(crate) fn bind(&self, name: &str, role_name: &str) {
        self.done(json!({
            "action": "bind", "serviceAccount": name, "roleArn": role(role_name), "mode": "apply",
        }));
        for cluster in ["blue", "green"] {
            self.reconcile(cluster);
        }
    }

    /// An event comes from the bus, as the association function takes it into the ledger.
    pub(crate) fn comes(&self, event: &str) -> RecordReport {
        let run = Run::new(self.next_request(), self.ports.world().now);
        let (ports, settings) = (&self.ports, &self.settings);
        let records = [Record { id: "m-1".to_owned(), text: event.to_owned(), deliveries: 0 }];
        let deadline = self.in_seconds(120);
        let done = drive(record(
            ports.context(&run, settings, deadline),
            ports.writers().ledger,
            ports.writers().bus,
            &records,
        ));
        done.records.into_iter().next().unwrap()
    }

    /// One invocation of the function.
    pub(crate) fn ask(&self, payload: Value) -> Value {
        self.ask_while(payload, || {})
    }

    /// The same with a payload as text, as Lambda delivers it.
    pub(crate) fn ask_text(&self, payload: &str) -> Value {
        self.ask_while(Json::parse(payload).unwrap(), || {})
    }

    /// The same, while something else happens after each step of it.
    pub(crate) fn ask_while(&self, payload: impl Into<Json>, meanwhile: impl FnMut()) -> Value {
        let make = || -> Box<dyn AdminWriter> {
            self.writers_made.set(self.writers_made.get() + 1);
            Box::new(self.ports.clone())
        };
        let make: &dyn Fn() -> Box<dyn AdminWriter> = &make;
        let function = Function {
            reader: &self.ports,
            kubernetes: &self.ports,
            writer: (!self.read_only).then_some(make),
            clock: &self.ports,
            settings: &self.settings,
            inside: &self.inside,
            deployment: Deployment {
                bus: "domino-pod-identity",
                reconcile_plans: self.others_plan,
                workloads_plans: self.others_plan,
            },
            deadline_margin: Duration::from_secs(3),
        };
        let seconds = u64::try_from(self.in_seconds(120).as_second()).unwrap();
        let deadline = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let request_id = self.next_request();
        let invocation = Invocation { request_id: &request_id, arn: FUNCTION, deadline };
        let answer = pod_identity_world::drive(function.invoke(payload, invocation), meanwhile);
        answer.expect("the invocation ends")
    }

    /// An invocation that is answered as it was meant.
    pub(crate) fn done(&self, payload: Value) -> Value {
        let answer = self.ask(payload);
        assert_eq!(answer["ok"], true, "{}", text(&answer));
        answer
    }

    /// An invocation that is refused: why.
    pub(crate) fn refused(&self, payload: Value) -> String {
        let answer = self.ask(payload);
        assert_eq!(answer["ok"], false, "{}", text(&answer));
        text(&answer).to_owned()
    }

    /// A reconciliation of a whole cluster, as the reconcile function does it; EKS shows what was
    /// done before.
    pub(crate) fn reconcile(&self, name: &str) -> Reconciled {
        self.advance(300);
        let run = Run::new(self.next_request(), self.ports.world().now);
        let (ports, scope) = (&self.ports, Scope::of(cluster(name)));
        let deadline = self.in_seconds(120);
        let done =
            drive(reconcile(ports.cloud(&run, &self.settings, deadline), ports.writers(), &scope));
        let done = done.unwrap();
        drive(note_reconciled(
            ports.context(&run, &self.settings, self.in_seconds(60)),
            ports.writers().ledger,
            &scope,
            &done,
        ))
        .unwrap();
        done
    }

    /// Reconcile records what a comparison with Domino found, or why it failed.
    pub(crate) fn compared_with_domino(&self, check: &Result<DominoCheck, String>) {
        let check = &check.clone().map_err(Into::into);
        let now = self.ports.world().now;
        let run = Run::new(self.next_request(), now);
        let (ports, settings) = (&self.ports, &self.settings);
        drive(record_domino_check(
            ports.context(&run, settings, self.in_seconds(60)),
            ports.writers().ledger,
            check,
            now,
        ))
        .unwrap();
    }

    /// A part of a reconciliation: its time is over once so many associations are there. Answers
    /// behind which place it goes on.
    pub(crate) fn reconcile_part(
        &self,
        name: &str,
        after: Option<ServiceAccountRef>,
        there: usize,
    ) -> Option<ServiceAccountRef> {
        self.advance(300);
        let run = Run::new(self.next_request(), self.ports.world().now);
        let scope = Scope { after, ..Scope::of(cluster(name)) };
        let (ports, deadline, mut over) = (&self.ports, self.in_seconds(20), false);
        let part = reconcile(ports.cloud(&run, &self.settings, deadline), ports.writers(), &scope);
        let done = pod_identity_world::drive(part, || {
            if !over && ports.world().eks.associations(&scope.cluster).len() == there {
                over = true;
                self.advance(16);
            }
        });
        let done = done.expect("the future ends").unwrap();
        drive(note_reconciled(
            ports.context(&run, &self.settings, self.in_seconds(60)),
            ports.writers().ledger,
            &scope,
            &done,
        ))
        .unwrap();
        done.left
    }

    /// A run inside a cluster, as the workloads function does it.
    pub(crate) fn work(&self, name: &str) -> InsideReport {
        let run = Run::new(self.next_request(), self.ports.world().now);
        let (ports, scope) = (&self.ports, InsideScope::of(cluster(name)));
        let (settings, inside) = (&self.settings, &self.inside);
        let deadline = self.in_seconds(300);
        let work = reconcile_workloads(
            ports.workloads(&run, settings, inside, deadline),
            ports.workloads_writers(),
            &scope,
        );
        drive(Box::pin(work)).unwrap()
    }

    /// A reconciliation whose invocation dies after some polls; whether it came to its end and found
    /// nothing left to do.
    pub(crate) fn reconcile_for(&self, name: &str, polls: usize) -> bool {
        self.advance(300);
        let run = Run::new(self.next_request(), self.ports.world().now);
        let (ports, scope) = (&self.ports, Scope::of(cluster(name)));
        let deadline = self.in_seconds(120);
        let mut future = Box::pin(reconcile(
            ports.cloud(&run, &self.settings, deadline),
            ports.writers(),
            &scope,
        ));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..polls {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return done.is_ok_and(|done| done.needed.is_empty() && done.left.is_none());
            }
        }
        false
    }

    /// Invokes in plan mode, in which nothing to write with is made.
    pub(crate) fn planned(&self, payload: Value) -> Value {
        let (made, items) = (self.writers_made.get(), self.ports.world().ledger.items().count());
        let answer = self.done(payload);
        assert_eq!(self.writers_made.get(), made, "plan mode makes nothing that writes");
        assert_eq!(self.ports.world().ledger.items().count(), items);
        answer
    }

    /// The same with mode apply.
    pub(crate) fn applied(&self, mut payload: Value) -> Value {
        payload["mode"] = json!("apply");
        self.done(payload)
    }

    /// Adopts what a plan has shown.
    pub(crate) fn adopted(&self, mut payload: Value) -> Value {
        payload["plan"] = self.planned(payload.clone())["plan"].clone();
        self.applied(payload)
    }

    /// What EKS has at a place of namespace `domino-compute`.
    pub(crate) fn there(&self, name: &str, service_account: &str) -> Option<Association> {
        let world = self.ports.world();
        world.eks.find(&cluster(name), "domino-compute", service_account).cloned()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        let mut world = self.ports.world();
        world.now = world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    fn in_seconds(&self, seconds: i64) -> Timestamp {
        self.ports.world().now.checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    fn next_request(&self) -> String {
        self.invocations.set(self.invocations.get() + 1);
        format!("r-{}", self.invocations.get())
    }

    /// Calls since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        let mut world = self.ports.world();
        world.calls.drain(..).map(|call| format!("{} {}", call.service, call.operation)).collect()
    }
}

/// The words of an answer.
pub(crate) fn text(answer: &Value) -> &str {
    answer["text"].as_str().unwrap_or_default()
}
