//! The account that the sample events talk about, with two clusters registered
//! and a service account bound.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use association::Function;
use jiff::{SignedDuration, Timestamp};
use pod_identity_core::{ClusterArn, Pattern, RoleArn};
use pod_identity_engine::{Outcome, Settings};
use pod_identity_world::{World, WorldPorts, deployment_settings};
use serde_json::{Value, json};

pub(crate) const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";
const TRUSTED: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
const UNTRUSTED: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// An event that breaks no rule and that nothing stands in the way of.
pub(crate) const GOOD: &str = r#"{"version":"0","id":"g","detail-type":"Service Account Role Assigned","source":"domino.automation","account":"111122223333","time":"2026-11-20T00:00:00Z","region":"eu-west-1","resources":[],"detail":{"schemaVersion":1,"eventId":"good","occurredAt":"2026-11-20T00:00:00.000Z","serviceAccount":"svc-good","roleArn":"arn:aws:iam::111122223333:role/domino/report"}}"#;

pub(crate) const CLUSTERS: [&str; 3] = ["blue", "green", "amber"];

pub(crate) fn cluster(name: &str) -> ClusterArn {
    ClusterArn::new("aws", REGION, ACCOUNT, name).unwrap()
}

pub(crate) fn role(name: &str) -> RoleArn {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}").parse().unwrap()
}

/// An AWS of one invocation's own, and the function's hands on it.
pub(crate) struct Stage {
    pub(crate) ports: WorldPorts,
    pub(crate) settings: &'static Settings,
    requests: u64,
}

impl Stage {
    /// blue and green are registered, svc-known works on both.
    pub(crate) fn new() -> Self {
        static SETTINGS: OnceLock<Settings> = OnceLock::new();
        static PREPARED: OnceLock<World> = OnceLock::new();
        let settings = SETTINGS.get_or_init(settings);
        let world = PREPARED.get_or_init(|| prepared(settings)).clone();
        let ports = WorldPorts::new(Arc::new(Mutex::new(world)), "association");
        Self { ports, settings, requests: 0 }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ports.world().now
    }

    /// The id of the next invocation, a second later.
    pub(crate) fn next_request(&mut self) -> String {
        self.ports.world().now += SignedDuration::from_secs(1);
        self.requests += 1;
        format!("request-{}", self.requests)
    }

    /// The role of an association on blue.
    pub(crate) fn association(&self, name: &str) -> Option<String> {
        let world = self.ports.world();
        let found = world.eks.find(&cluster("blue"), "domino-compute", name)?;
        Some(found.role_arn.clone())
    }
}

/// When an invocation that begins now has to be over.
pub(crate) fn in_a_minute(now: Timestamp) -> SystemTime {
    let seconds = u64::try_from(now.as_second()).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds + 60)
}

/// Runs a future over a world, which only ever yields to itself.
pub(crate) fn drive<F: Future>(future: F) -> F::Output {
    pod_identity_world::drive(future, || {}).unwrap()
}

fn settings() -> Settings {
    let patterns = |list: &[String]| list.iter().map(Pattern::new).collect();
    let clusters = ["blue", "green", "teal", "amber"]
        .map(|name| format!("arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{name}"));
    let mut settings = deployment_settings(ACCOUNT);
    settings.rules.clusters = patterns(&clusters);
    settings.rules.target_roles =
        patterns(&["arn:aws:iam::444455556666:role/domino-target-*".to_owned()]);
    settings.plan.deployment = "local".to_owned();
    settings
}

fn prepared(settings: &Settings) -> World {
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let mut world = World::new(1, ACCOUNT, now);
    // What was one entry's limit for years: not everybody who listens takes more.
    world.settings.put_events_bytes = 256 * 1024;
    for name in CLUSTERS {
        let nodes = role(&format!("{name}-eks-nodes"));
        world.add_role(&nodes, UNTRUSTED);
        world.add_cluster(&cluster(name), &[("compute", &nodes)]);
        let owner = format!("arn:aws:eks:{REGION}:{ACCOUNT}:addon/{name}/aws-ebs-csi-driver/1");
        let csi = role("aws-ebs-csi");
        world
            .add_addon_association(&cluster(name), "kube-system", "csi", csi.as_str(), &owner)
            .unwrap();
    }
    for name in ["etl", "report", "report-readonly", "models/eu/scoring", "train", "notebook"]
        .into_iter()
        .chain(["warehouse", "archive", "old", "new"])
    {
        world.add_role(&role(&format!("domino/{name}")), TRUSTED);
    }
    world.add_role(&role("domino/untrusted-legacy"), UNTRUSTED);
    let theirs = role("warehouse-team");
    world
        .add_foreign_association(
            &cluster("blue"),
            "domino-compute",
            "svc-warehouse-sa",
            theirs.as_str(),
        )
        .unwrap();
    let shared = Arc::new(Mutex::new(world));
    let ports = WorldPorts::new(Arc::clone(&shared), "association");
    let function = Function {
        reader: &ports,
        writer: &ports,
        clock: &ports,
        settings,
        deadline_margin: Duration::ZERO,
    };
    let known = json!({ "serviceAccount": "svc-known", "roleArn": role("domino/old") });
    let events = [
        registration("blue"),
        registration("green"),
        event("domino.automation", "Service Account Role Assigned", known),
    ];
    for event in events {
        let done = drive(function.invoke(event, "preparation", in_a_minute(now)));
        let outcome = done.report.records[0].outcome;
        assert!([Outcome::Registered, Outcome::Applied].contains(&outcome), "{:?}", done.report);
    }
    let mut world = ports.world().clone();
    world.calls.clear();
    world.bus.events.clear();
    world
}

fn registration(name: &str) -> Value {
    let nodes = role(&format!("{name}-eks-nodes"));
    let detail = json!({ "clusterArn": cluster(name), "nodeRoleArns": [nodes] });
    event("domino.administration", "Cluster Registered", detail)
}

fn event(source: &str, detail_type: &str, mut detail: Value) -> Value {
    detail["schemaVersion"] = json!(1);
    detail["eventId"] = json!(format!("preparation-of-{}", detail_type.len()));
    detail["occurredAt"] = json!("2026-10-01T00:00:00.000Z");
    json!({ "id": "p", "source": source, "detail-type": detail_type, "detail": detail })
}
