//! Sweeps of stale pods, end to end over `world`.

mod budgets;
mod cases;
mod effective;
mod evictions;
mod histories;
mod intended;
mod memory;
mod observation;
mod published;
mod two;

use pod_identity_core::sweep;
use pod_identity_engine::ledger::{InsideBinding, ReportedPod, inside_binding_key, reported_key};
use pod_identity_engine::ports::{Expect, Item, Key, Write};
use pod_identity_engine::{
    InsideReport, InsideScope, InsideSettings, MappingSettings, Outcome, SweepReport,
    SweepSettings, preview_workloads, reconcile_workloads,
};
use pod_identity_world::{DominoPod, Resource, World, WorldPorts};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::scenario::{Scenario, cluster, drive};

const NAMESPACE: &str = "domino-compute";

/// blue with its pods, and the hands of the workloads function on it.
struct Stage {
    scenario: Scenario,
    ports: WorldPorts,
    inside: InsideSettings,
}

/// Pods go by name in these tests.
type Name = String;

impl Stage {
    fn new() -> Self {
        let mut scenario = Scenario::new();
        scenario.register("blue");
        {
            let mut world = scenario.ports.world();
            let blue = cluster("blue");
            world.add_namespace(&blue, NAMESPACE).unwrap();
            for name in ["svc-etl-sa", "svc-train-sa", "svc-report-sa", "run-1"] {
                world.add_service_account(&blue, NAMESPACE, name, &[]).unwrap();
            }
        }
        let inside = InsideSettings {
            namespaces: vec![NAMESPACE.to_owned()],
            service_accounts: false,
            mapping: None,
            sweep: Some(SweepSettings {
                rules: sweep::Settings::new([NAMESPACE.to_owned()]),
                selector: String::new(),
                grace_seconds: None,
                delete_after: None,
            }),
            dry_run: false,
            page: 500,
        };
        let ports = scenario.other_ports();
        Self { scenario, ports, inside }
    }

    /// svc-etl and svc-train are bound since 1,000 s.
    fn bound() -> Self {
        let mut stage = Self::new();
        stage.bind("svc-etl", "etl");
        stage.bind("svc-train", "train");
        stage.scenario.advance(1_000);
        stage
    }

    /// As `bound`, and a pod of svc-etl holds what svc-etl lost 100 s ago.
    fn revoked() -> (Self, Name) {
        let mut stage = Self::bound();
        let pod = stage.pod("svc-etl");
        stage.scenario.advance(100);
        stage.unbind("svc-etl");
        stage.scenario.advance(100);
        (stage, pod)
    }

    fn settings(&mut self) -> &mut SweepSettings {
        self.inside.sweep.as_mut().unwrap()
    }

    fn policy(&mut self, text: &str) {
        self.settings().rules.policy = text.parse().unwrap();
    }

    fn bind(&mut self, name: &str, role: &str) {
        let event = self.scenario.assigned(name, role);
        Scenario::assert_outcome(&self.scenario.send(&event), Outcome::Applied);
    }

    fn unbind(&mut self, name: &str) {
        let event = self.scenario.unassigned(name);
        Scenario::assert_outcome(&self.scenario.send(&event), Outcome::Applied);
    }

    /// A bare pod on the service account of a Domino name, started by it.
    fn pod(&self, name: &str) -> Name {
        self.add(&DominoPod::new(&format!("{name}-sa"), name))
    }

    /// The same, of a ReplicaSet.
    fn app(&self, name: &str) -> Name {
        self.add(&DominoPod::new(&format!("{name}-sa"), name).owned_by("ReplicaSet"))
    }

    fn add(&self, pod: &DominoPod) -> Name {
        self.ports.world().add_domino_pod(&cluster("blue"), pod).unwrap()
    }

    fn object(&self, pod: &str) -> Option<Value> {
        let mut world = self.ports.world();
        world.kubernetes(&cluster("blue")).unwrap().get(Resource::Pods, NAMESPACE, pod).cloned()
    }

    fn is_there(&self, pod: &str) -> bool {
        self.object(pod).is_some_and(|pod| pod["metadata"]["deletionTimestamp"].is_null())
    }

    fn scope() -> InsideScope {
        InsideScope { cluster: cluster("blue"), service_account: None, evicted: 0 }
    }

    fn scope_of(name: &str) -> InsideScope {
        InsideScope { service_account: Some(name.parse().unwrap()), ..Self::scope() }
    }

    fn work(&mut self, scope: &InsideScope, seconds: i64) -> InsideReport {
        self.work_with(scope, seconds, |_| {}).unwrap()
    }

    /// One invocation during which others may change the world between two calls.
    fn work_with(
        &mut self,
        scope: &InsideScope,
        seconds: i64,
        mut meddle: impl FnMut(&mut World),
    ) -> Result<InsideReport, String> {
        self.work_while(scope, seconds, |_, ports| meddle(&mut ports.world()))
    }

    /// One invocation during which events may arrive between two calls.
    fn work_while(
        &mut self,
        scope: &InsideScope,
        seconds: i64,
        mut look: impl FnMut(&mut Scenario, &WorldPorts),
    ) -> Result<InsideReport, String> {
        let Self { scenario, ports, inside } = self;
        let (run, deadline) = (scenario.next_run(), scenario.in_seconds(seconds));
        let settings = scenario.settings.clone();
        let future = reconcile_workloads(
            ports.workloads(&run, &settings, inside, deadline),
            ports.workloads_writers(),
            scope,
        );
        drive(Box::pin(future), || look(scenario, ports)).map_err(|error| error.to_string())
    }

    fn sweep(&mut self) -> SweepReport {
        self.work(&Self::scope(), 300).sweep.unwrap()
    }

    fn sweep_with(&mut self, meddle: impl FnMut(&mut World)) -> SweepReport {
        self.work_with(&Self::scope(), 300, meddle).unwrap().sweep.unwrap()
    }

    fn look(&mut self) -> SweepReport {
        let (run, deadline) = (self.scenario.next_run(), self.scenario.in_seconds(300));
        let (ports, scope) = (&self.ports, Self::scope());
        let settings = &self.scenario.settings;
        let future =
            preview_workloads(ports.workloads(&run, settings, &self.inside, deadline), &scope);
        drive(Box::pin(future), || {}).unwrap().sweep.unwrap()
    }

    fn record<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        let world = self.ports.world();
        world.ledger.get(key).map(|item| serde_json::from_value(item.body.clone()).unwrap())
    }

    fn inside_of(&self, name: &str) -> InsideBinding {
        let key = inside_binding_key(&name.parse().unwrap(), &cluster("blue"));
        self.record(&key).unwrap_or_default()
    }

    fn published(&self, uid: &str) -> Option<ReportedPod> {
        self.record(&reported_key(&cluster("blue"), uid))
    }

    fn uid(&self, pod: &str) -> String {
        self.object(pod).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
    }

    /// svc-etl is mapped to its service account since now.
    fn map(&mut self) {
        self.ports.world().add_namespace(&cluster("blue"), "domino-platform").unwrap();
        self.inside.mapping = Some(MappingSettings {
            namespace: "domino-platform".to_owned(),
            name: "domino-pod-identity".to_owned(),
            label_selectors: Vec::new(),
            default_service_account: String::new(),
        });
        self.sweep();
    }

    fn count(&self, operation: &str) -> usize {
        self.ports.world().count(operation)
    }
}

fn names(pods: &[pod_identity_engine::ports::PodId]) -> Vec<&str> {
    pods.iter().map(|pod| pod.name.as_str()).collect()
}

/// (case, why it is not evicted) of all reports.
fn reports(report: &SweepReport) -> Vec<(sweep::Case, String)> {
    let reports = report.sweep.reports.iter();
    reports.map(|one| (one.finding.case, one.because.to_string())).collect()
}

/// Whether the world has just answered the nth call of an operation.
fn just_called(world: &World, operation: &str, nth: usize) -> bool {
    world.calls.last().is_some_and(|call| call.operation == operation)
        && world.count(operation) == nth
}
