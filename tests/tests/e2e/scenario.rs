//! A stage with the real function on it, and words for what happens there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use local::wire::When;
use local::{Function, InvocationResult, Log, Program, Stage, Turn, scene};
use pod_identity_events::{Envelope, detail_type, source};
use pod_identity_world::{Caller, World};
use serde_json::{Value, json};

use crate::permissions;

/// What a test changes in the settings.
pub(crate) type Changes<'a> = &'a [(&'a str, &'a str)];

/// Short time-outs, so that a lease that nobody gives back is soon over.
pub(crate) const SHORT_LEASE: Changes<'static> = &[
    ("LEASE_SECONDS", "4"),
    ("CALL_TIMEOUT_MS", "600"),
    ("CALL_BACKOFF_MS", "5"),
    ("CALL_BACKOFF_MAX_MS", "20"),
];

pub(crate) struct Scenario {
    pub(crate) stage: Stage,
}

impl Drop for Scenario {
    /// Whatever a test is about: its calls are ones that the roles of `infra` allow, and no log has
    /// the key of Domino's API.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let calls = self.stage.world().calls.clone();
            permissions::hold(&calls);
            for function in self.stage.functions() {
                let lines = function.log().lines();
                assert!(!lines.iter().any(|line| line.contains(scene::DOMINO_KEY)), "{lines:#?}");
            }
        }
    }
}

impl Scenario {
    /// The scene of the samples, with other settings.
    pub(crate) async fn with(changes: Changes<'_>) -> Self {
        Self::of(scene::world(Timestamp::now()).unwrap(), changes).await
    }

    /// A world of the test's own.
    pub(crate) async fn of(world: World, changes: Changes<'_>) -> Self {
        let mut settings = scene::settings();
        settings.insert("CALL_BACKOFF_MS".to_owned(), "10".to_owned());
        settings.extend(changes.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let program = Program::at(env!("CARGO_BIN_EXE_child"), "association");
        let stage = Stage::start(world, settings, program, Log::new(false)).await.unwrap();
        Self { stage }
    }

    /// The scene with blue registered and its node policy known to the ledger.
    pub(crate) async fn on_blue(changes: Changes<'_>) -> Self {
        let mut scenario = Self::with(changes).await;
        scenario.deliver(&[registered("blue", 1)]).await;
        scenario.deliver(&[assigned("svc-first", "report", 2)]).await;
        scenario.stage.new_events();
        scenario
    }

    /// Sends events, which become one batch.
    pub(crate) async fn turn(&mut self, events: &[String]) -> Turn {
        for event in events {
            self.stage.send(event.clone());
        }
        self.stage.turn().await.unwrap()
    }

    /// Sends events as one batch, all of which have to be done with.
    pub(crate) async fn deliver(&mut self, events: &[String]) {
        let turn = self.turn(events).await;
        assert!(turn.failed.is_empty(), "{:?}\n{}", turn.result, self.log());
        assert_eq!(self.stage.queue().waiting(), 0);
    }

    /// Gives the function a payload directly.
    pub(crate) async fn invoke(&self, payload: impl Into<String>) -> InvocationResult {
        self.stage.association().invoke(payload.into()).await.unwrap()
    }

    /// Sends an event and kills the function when it makes a call: before or
    /// after the call's effect.
    pub(crate) async fn kill_at(&mut self, event: &str, call: (&str, usize, When)) {
        let (operation, nth, when) = call;
        let mut held = self.stage.wire().hold(operation, nth, when);
        let association = Arc::clone(self.stage.association());
        self.stage.send(event);
        let death = async {
            assert!(held.arrived().await);
            association.kill();
            std::future::pending::<()>().await;
        };
        let turn = tokio::select! {
            turn = self.stage.turn() => turn.unwrap(),
            () = death => unreachable!("it pends for ever"),
        };
        drop(held);
        let died = matches!(turn.result, Ok(InvocationResult::ChildDied(_)));
        assert!(died, "{call:?}: {:?}", turn.result);
        assert_eq!(self.stage.queue().waiting(), 1);
    }

    /// Invokes a function and kills it when it makes its first call of an operation; then asks
    /// again until the dead one's lease has run out, and it answers.
    pub(crate) async fn outlive_death_at(
        &self,
        function: &Arc<Function>,
        request: &str,
        (operation, when): (&str, When),
    ) {
        let mut held = self.stage.wire().hold(operation, 1, when);
        let death = async {
            assert!(held.arrived().await);
            function.kill();
            std::future::pending::<()>().await;
        };
        let died = tokio::select! {
            died = function.invoke(request.to_owned()) => died.unwrap(),
            () = death => unreachable!("it pends for ever"),
        };
        drop(held);
        assert!(matches!(died, InvocationResult::ChildDied(_)), "{operation}: {died:?}");
        let mut last = None;
        for _ in 0..40 {
            match function.invoke(request.to_owned()).await.unwrap() {
                InvocationResult::Answer(answer) if answer.get("askAgainAt").is_none() => return,
                other => last = Some(other),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("{operation} {when:?}: {last:?}");
    }

    /// What the function wrote.
    pub(crate) fn log(&self) -> String {
        self.stage.association().log().lines().join("\n")
    }

    /// The lines of the function's log, each a JSON object.
    pub(crate) fn log_objects(&self) -> Vec<Value> {
        let lines = self.stage.association().log().lines();
        let object = |line: &String| {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            assert!(value.is_object(), "{line}");
            value
        };
        lines.iter().map(object).collect()
    }

    /// Operations called since a number of calls, in order.
    pub(crate) fn operations_since(&self, calls: usize) -> Vec<String> {
        let log = self.stage.wire().log();
        log[calls..].iter().map(|call| call.operation.clone()).collect()
    }

    /// How many calls there were so far.
    pub(crate) fn calls(&self) -> usize {
        self.stage.world().calls.len()
    }

    /// What was put on the bus since the last look, by detail type.
    pub(crate) fn news(&mut self, detail_type: &str) -> Vec<Envelope> {
        let events = self.stage.new_events();
        events.into_iter().filter(|event| event.detail_type == detail_type).collect()
    }

    /// The association of a service account of namespace domino-compute.
    pub(crate) fn association(&self, cluster: &str, name: &str) -> Option<Found> {
        let world = self.stage.world();
        let cluster = scene::cluster(cluster).unwrap();
        world.eks.find(&cluster, "domino-compute", name).cloned()
    }

    /// The state of a service account's condition on a cluster.
    pub(crate) async fn condition(&self, cluster: &str, name: &str) -> Option<String> {
        let wanted = format!("{name} {cluster}");
        let all = self.conditions().await;
        all.iter().find_map(|one| one.strip_prefix(&format!("{wanted} ")).map(str::to_owned))
    }

    /// Every condition, as `service-account cluster state`.
    pub(crate) async fn conditions(&self) -> BTreeSet<String> {
        let items = self.stage.ledger().await.unwrap();
        let conditions = items.iter().filter(|item| item.key.sort.starts_with("CONDITION#"));
        conditions
            .map(|item| {
                let text = |name: &str| item.body[name].as_str().unwrap().to_owned();
                let cluster = text("cluster");
                let cluster = cluster.rsplit('/').next().unwrap();
                format!("{} {cluster} {}", text("serviceAccount"), text("state"))
            })
            .collect()
    }

    /// Names of the roles that a cluster's node policies list, the cluster itself left out.
    pub(crate) fn listed(&self, cluster: &str) -> BTreeSet<String> {
        let world = self.stage.world();
        let policies = world.iam.policy_arns().filter(|arn| arn.contains(&format!("-{cluster}-")));
        let mut roles = BTreeSet::new();
        for arn in policies {
            let text = world.iam.document_in_force(arn).unwrap();
            let document: Value = serde_json::from_str(text).unwrap();
            for statement in document["Statement"].as_array().unwrap() {
                let resources = statement["Resource"].as_array().cloned();
                let resources = resources.unwrap_or_else(|| vec![statement["Resource"].clone()]);
                let resources = resources.iter().map(|one| one.as_str().unwrap());
                roles.extend(
                    resources.filter_map(|one| Some(one.split_once(":role/")?.1.to_owned())),
                );
            }
        }
        roles
    }

    /// Everything that should be the same whatever went wrong on the way:
    /// associations without their ids, policies in force, conditions.
    pub(crate) async fn state(&self) -> Value {
        let conditions = self.conditions().await;
        let leases = self.stage.ledger().await.unwrap();
        let leases = leases.iter().filter(|item| item.key.sort == "LEASE").count();
        let world = self.stage.world();
        let clusters: Vec<_> = world.eks.cluster_arns().collect();
        let mut associations: Vec<Value> = Vec::new();
        for cluster in clusters {
            for one in world.eks.associations(cluster) {
                associations.push(json!([
                    cluster,
                    one.namespace,
                    one.service_account,
                    one.role_arn,
                    one.target_role_arn,
                    one.disable_session_tags,
                    one.policy,
                    one.tags,
                    one.owner_arn
                ]));
            }
        }
        associations.sort_by_key(Value::to_string);
        let policies: BTreeMap<&str, Option<&str>> =
            world.iam.policy_arns().map(|arn| (arn, world.iam.document_in_force(arn))).collect();
        let nodes = |name| scene::role(&format!("{name}-eks-nodes")).unwrap();
        let attached = scene::CLUSTERS.map(|name| (name, world.iam.attached_to(&nodes(name))));
        json!({
            "associations": associations,
            "policies": policies,
            "attached": BTreeMap::from(attached),
            "conditions": conditions,
            "leases": leases,
        })
    }
}

pub(crate) type Found = pod_identity_core::Association;

/// Somebody with rights of their own in the scene's account.
pub(crate) fn somebody() -> Caller {
    Caller {
        name: "somebody".to_owned(),
        account: scene::ACCOUNT.to_owned(),
        region: scene::REGION.to_owned(),
    }
}

/// ARN of a role under `domino/`.
pub(crate) fn role(name: &str) -> String {
    scene::role(&format!("domino/{name}")).unwrap().to_string()
}

/// An envelope. `second` is the second of the year at which it occurred, and so its version.
pub(crate) fn event(source: &str, detail_type: &str, detail: Value, second: i64) -> String {
    let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let at = begin + jiff::SignedDuration::from_secs(second);
    let mut all = json!({ "schemaVersion": 1, "eventId": format!("event-{second}") });
    all["occurredAt"] = json!(at.to_string());
    all.as_object_mut().unwrap().extend(detail.as_object().unwrap().clone());
    json!({
        "version": "0",
        "id": format!("00000000-0000-4000-8000-{second:012}"),
        "detail-type": detail_type,
        "source": source,
        "account": scene::ACCOUNT,
        "time": "2026-01-01T00:00:00Z",
        "region": scene::REGION,
        "resources": [],
        "detail": all,
    })
    .to_string()
}

/// A cluster of the scene is registered, with its node role.
pub(crate) fn registered(cluster: &str, second: i64) -> String {
    let detail = json!({
        "clusterArn": scene::cluster(cluster).unwrap(),
        "nodeRoleArns": [scene::role(&format!("{cluster}-eks-nodes")).unwrap()],
    });
    event(source::ADMINISTRATION, detail_type::CLUSTER_REGISTERED, detail, second)
}

/// A service account is bound to a role under `domino/`, on every cluster.
pub(crate) fn assigned(name: &str, as_role: &str, second: i64) -> String {
    let detail = json!({ "serviceAccount": name, "roleArn": role(as_role) });
    event(source::AUTOMATION, detail_type::ROLE_ASSIGNED, detail, second)
}

pub(crate) fn unassigned(name: &str, second: i64) -> String {
    let detail = json!({ "serviceAccount": name });
    event(source::AUTOMATION, detail_type::ROLE_UNASSIGNED, detail, second)
}

pub(crate) fn deactivated(name: &str, second: i64) -> String {
    let detail = json!({ "serviceAccount": name });
    event(source::AUTOMATION, detail_type::DEACTIVATED, detail, second)
}
