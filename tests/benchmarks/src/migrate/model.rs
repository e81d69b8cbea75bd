//! The same migration over the model of AWS, in this process, by a clock that moves only while
//! every call under way is waiting: what is left is which calls wait for which.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use local::scene;
use pod_identity_aws::{Settings, WorkloadSettings};
use pod_identity_world::{World, WorldPorts};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{BINDINGS, LATENCY, ROLES};
use crate::Failure;
use crate::rig;

/// How long it took, and how many calls it made.
pub(super) struct Took {
    pub(super) all: Duration,
    pub(super) calls: usize,
}

pub(super) fn migrate() -> Result<Took, Failure> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build()?.block_on(timed())
}

async fn timed() -> Result<Took, Failure> {
    let mut world = scene::world(Timestamp::now())?;
    rig::add_roles(&mut world, ROLES)?;
    let ports = WorldPorts::new(Arc::new(Mutex::new(world)), "model");
    let register = |name: &str| -> Result<Value, Failure> {
        let nodes = scene::role(&format!("{name}-eks-nodes"))?;
        Ok(json!({ "clusterArn": scene::cluster(name)?, "nodeRoleArns": [nodes] }))
    };
    let blue = json!({ "action": "clusters", "mode": "apply", "register": register("blue")? });
    administer(&ports, blue).await?;
    let row = |n: usize| json!({ "serviceAccount": format!("svc-{n}"), "roleArn": rig::role_arn(n % ROLES) });
    let rows: Vec<Value> = (0..BINDINGS).map(row).collect();
    administer(&ports, json!({ "action": "import", "mode": "apply", "rows": rows })).await?;
    reconcile(&ports, "blue").await?;

    let slow = ports.clone().waiting(|| Box::pin(tokio::time::sleep(LATENCY)));
    let before = ports.world().calls.len();
    let begin = Instant::now();
    let green = register("green")?;
    let migrate = json!({ "action": "migrate", "mode": "apply", "from": "blue", "to": green });
    administer(&slow, migrate).await?;
    reconcile(&slow, "green").await?;
    let all = begin.elapsed();
    let calls = ports.world().calls.len() - before;
    let status = administer(&ports, json!({ "action": "status" })).await?;
    super::all_ready(&status)?;
    Ok(Took { all, calls })
}

fn settings() -> Result<(Settings, WorkloadSettings), Failure> {
    let mut scene: BTreeMap<String, String> = scene::settings();
    scene.insert("AWS_REGION".to_owned(), scene::REGION.to_owned());
    let get = |name: &str| scene.get(name).cloned();
    Ok((Settings::read(get)?, WorkloadSettings::read(get)?))
}

fn deadline(world: &World) -> SystemTime {
    let now = Duration::from_millis(world.now.as_millisecond().unsigned_abs());
    SystemTime::UNIX_EPOCH + now + Duration::from_secs(900)
}

async fn administer(ports: &WorldPorts, payload: Value) -> Result<Value, Failure> {
    let (settings, workloads) = settings()?;
    let function = admin::Function {
        reader: ports,
        kubernetes: ports,
        writer: Some(&|| Box::new(ports.clone())),
        clock: ports,
        settings: &settings.engine(),
        inside: &workloads.inside(&settings.rules.namespaces),
        deployment: admin::Deployment {
            bus: &settings.event_bus,
            reconcile_plans: settings.plan_only,
            workloads_plans: workloads.plan_only,
        },
        deadline_margin: settings.deadline_margin,
    };
    let deadline = deadline(&ports.world());
    let invocation = admin::Invocation { request_id: "asked", arn: "", deadline };
    let answer = function.invoke(payload, invocation).await;
    if answer["ok"] != true {
        return Err(format!("{}", answer["text"]).into());
    }
    Ok(answer)
}

async fn reconcile(ports: &WorldPorts, name: &str) -> Result<(), Failure> {
    let (settings, _) = settings()?;
    let function = reconcile::Function {
        reader: ports,
        writer: Some(ports),
        clock: ports,
        settings: &settings.engine(),
        own_roles: &settings.own_roles,
        domino: None,
        deadline_margin: settings.deadline_margin,
    };
    let payload = json!({ "clusterArn": scene::cluster(name)? });
    let deadline = deadline(&ports.world());
    let done = function.invoke(payload, name, deadline).await;
    done.answer.map(drop).map_err(|error| error.to_string().into())
}
