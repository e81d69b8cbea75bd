//! Everything that plays together: the embedded AWS, the queue and the function.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use pod_identity_core::ClusterArn;
use pod_identity_engine::ports::Item;
use pod_identity_events::Envelope;
use pod_identity_world::{BusEvent, World};
use serde_json::Value;

use crate::child::{Log, Program};
use crate::domino::Domino;
use crate::function::{Configuration, Function, FunctionError, TIMEOUT};
use crate::ledger;
use crate::queue::{Batch, Queue};
use crate::runtime_api::InvocationResult;
use crate::scene::{ACCOUNT, DOMINO_KEY, EVENT_BUS, LEDGER_TABLE, REGION};
use crate::wire::{Certificates, Saved, Wire};

/// How often the queue gives a message to the function before it is a dead letter.
pub const MAX_RECEIVES: u32 = 3;

/// A batch that the function was given, and how that ended.
#[derive(Debug)]
pub struct Turn {
    /// The batch.
    pub batch: Batch,
    /// How the invocation ended.
    pub result: Result<InvocationResult, FunctionError>,
    /// Ids of the messages that went back to the queue.
    pub failed: BTreeSet<String>,
}

/// The embedded AWS, the queue behind its bus, and the functions.
pub struct Stage {
    world: Arc<Mutex<World>>,
    wire: Wire,
    domino: Option<Domino>,
    association: Arc<Function>,
    reconcile: Arc<Function>,
    workloads: Arc<Function>,
    admin: Arc<Function>,
    queue: Queue,
    /// Behind the rule for our own outcome events and requests for sweeps.
    workloads_queue: Queue,
    seen: usize,
}

impl Stage {
    /// Serves `world`, the Kubernetes API of each of its clusters too, with an empty ledger, and
    /// makes the functions with `settings`: the association function as `program`, the others by
    /// the same executable. Where the settings name the secret of Domino's key and no Domino, one is
    /// served too. No child is started yet.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(
        world: World,
        mut settings: BTreeMap<String, String>,
        program: Program,
        log: Log,
    ) -> io::Result<Self> {
        let world = Arc::new(Mutex::new(world));
        let wire = Wire::start(Arc::clone(&world)).await?;
        let clusters: Vec<ClusterArn> = wire.world().eks.cluster_arns().cloned().collect();
        for cluster in &clusters {
            wire.serve_kubernetes(cluster, certificates()?).await?;
        }
        wire.create_ledger_table(REGION, LEDGER_TABLE).await.map_err(io::Error::other)?;
        let domino = domino(&wire, &mut settings).await?;
        let configuration = |name: &str, program: Program| Configuration {
            name: name.to_owned(),
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            endpoint: wire.endpoint().to_owned(),
            program,
            settings: settings_of(name, &settings),
            timeout: TIMEOUT,
        };
        let association =
            Arc::new(Function::new(configuration("association", program.clone()), log.clone()));
        let another = |name: &str| {
            let configuration = configuration(name, program.running(name));
            Arc::new(Function::new(configuration, log.clone()))
        };
        let (reconcile, workloads) = (another("reconcile"), another("workloads"));
        let admin = another("admin");
        Ok(Self {
            world,
            wire,
            domino,
            association,
            reconcile,
            workloads,
            admin,
            queue: queue("association"),
            workloads_queue: queue("workloads"),
            seen: 0,
        })
    }

    /// AWS and the ledger as they are now, to come back to.
    pub async fn save(&self) -> Saved {
        self.wire.save(REGION).await
    }

    /// Brings back what was saved, perhaps of another stage, and empties the
    /// queue. The function's child stays, with what it knows.
    ///
    /// # Errors
    /// When the embedded DynamoDB does not take back its tables.
    pub async fn restore(&mut self, saved: &Saved) -> io::Result<()> {
        self.wire.restore(saved).await.map_err(io::Error::other)?;
        self.queue = queue("association");
        self.workloads_queue = queue("workloads");
        let seen = self.world().bus.events.len();
        self.seen = seen;
        Ok(())
    }

    /// The world. Never hold it across an `await`.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The wire in front of the world: its log, and faults.
    #[must_use]
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The Domino that is served.
    #[must_use]
    pub fn domino(&self) -> Option<&Domino> {
        self.domino.as_ref()
    }

    /// The association function.
    #[must_use]
    pub fn association(&self) -> &Arc<Function> {
        &self.association
    }

    /// The reconcile function.
    #[must_use]
    pub fn reconcile(&self) -> &Arc<Function> {
        &self.reconcile
    }

    /// The workloads function.
    #[must_use]
    pub fn workloads(&self) -> &Arc<Function> {
        &self.workloads
    }

    /// The admin function.
    #[must_use]
    pub fn admin(&self) -> &Arc<Function> {
        &self.admin
    }

    /// The function of a name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&Arc<Function>> {
        self.all().into_iter().find(|function| function.configuration().name == name)
    }

    /// All functions.
    #[must_use]
    pub fn functions(&self) -> Vec<Arc<Function>> {
        self.all().map(Arc::clone).into()
    }

    fn all(&self) -> [&Arc<Function>; 4] {
        [&self.association, &self.reconcile, &self.workloads, &self.admin]
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Puts an envelope into the queue, as the bus's rule does, and answers the message's id.
    pub fn send(&mut self, envelope: impl Into<String>) -> String {
        self.queue.send(envelope, Timestamp::now())
    }

    /// Puts an envelope into the queue of the workloads function.
    pub fn send_to_workloads(&mut self, envelope: impl Into<String>) -> String {
        self.workloads_queue.send(envelope, Timestamp::now())
    }

    /// Gives the next batch to the association function, unless nothing waits.
    pub async fn turn(&mut self) -> Option<Turn> {
        give(&mut self.queue, &self.association).await
    }

    /// Gives the next batch to the workloads function, unless nothing waits.
    pub async fn workloads_turn(&mut self) -> Option<Turn> {
        give(&mut self.workloads_queue, &self.workloads).await
    }

    /// Gives batches to the function until nothing waits any more.
    pub async fn drain(&mut self) -> Vec<Turn> {
        let mut turns = Vec::new();
        while let Some(turn) = self.turn().await {
            turns.push(turn);
        }
        turns
    }

    /// What was put on our bus since the last call, in order.
    pub fn new_events(&mut self) -> Vec<Envelope> {
        let (events, seen) = {
            let world = self.world();
            let new = &world.bus.events[self.seen..];
            let events = new.iter().filter(|event| on_our_bus(event)).map(envelope);
            (events.collect(), world.bus.events.len())
        };
        self.seen = seen;
        events
    }

    /// Ends the time of every lease and of what was written lately, as if it had been waited for.
    ///
    /// # Errors
    /// When the embedded DynamoDB does not answer.
    pub async fn expire_leases(&self) -> io::Result<()> {
        ledger::expire_leases(self.wire.endpoint(), REGION, LEDGER_TABLE).await
    }

    /// The whole ledger.
    ///
    /// # Errors
    /// When the embedded DynamoDB does not answer.
    pub async fn ledger(&self) -> io::Result<Vec<Item>> {
        ledger::scan(self.wire.endpoint(), REGION, LEDGER_TABLE).await
    }

    /// Everything in the ledger as DynamoDB has it, to be restored later.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn backup_ledger(&self) -> io::Result<Vec<Value>> {
        ledger::backup(self.wire.endpoint(), REGION, LEDGER_TABLE).await
    }

    /// Makes the ledger what it was when its items were taken.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn restore_ledger(&self, items: &[Value]) -> io::Result<()> {
        ledger::restore(self.wire.endpoint(), REGION, LEDGER_TABLE, items).await
    }
}

/// The settings of one function: the template gives those of Domino to reconcile alone.
fn settings_of(name: &str, settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut settings = settings.clone();
    settings.retain(|key, _| name == "reconcile" || !key.starts_with("DOMINO_"));
    settings
}

/// A Domino whose key is in the secret that the settings name, where they name one and no Domino.
async fn domino(
    wire: &Wire,
    settings: &mut BTreeMap<String, String>,
) -> io::Result<Option<Domino>> {
    let secret = settings.get("DOMINO_TOKEN_SECRET");
    let Some(secret) = secret.filter(|_| !settings.contains_key("DOMINO_URL")) else {
        return Ok(None);
    };
    let domino = Domino::start(DOMINO_KEY).await?;
    wire.put_secret(secret, DOMINO_KEY);
    settings.insert("DOMINO_URL".to_owned(), domino.url().to_owned());
    Ok(Some(domino))
}

/// Made once: RSA keys take their time.
fn certificates() -> io::Result<&'static Certificates> {
    static CERTIFICATES: OnceLock<Certificates> = OnceLock::new();
    if let Some(made) = CERTIFICATES.get() {
        return Ok(made);
    }
    let made = Certificates::make().map_err(io::Error::other)?;
    Ok(CERTIFICATES.get_or_init(|| made))
}

fn queue(function: &str) -> Queue {
    Queue::new(&format!("domino-pod-identity-{function}"), REGION, ACCOUNT, MAX_RECEIVES)
}

async fn give(queue: &mut Queue, function: &Function) -> Option<Turn> {
    let batch = queue.receive(Timestamp::now())?;
    let result = function.invoke(batch.event().to_string()).await;
    let failed = match &result {
        Ok(result) => queue.settle(batch.clone(), result),
        Err(error) => queue.settle(batch.clone(), &InvocationResult::ChildDied(error.to_string())),
    };
    Some(Turn { batch, result, failed })
}

fn on_our_bus(event: &BusEvent) -> bool {
    event.bus == EVENT_BUS || event.bus.ends_with(&format!(":event-bus/{EVENT_BUS}"))
}

/// The envelope that EventBridge makes of an entry.
fn envelope(event: &BusEvent) -> Envelope {
    Envelope {
        version: "0".to_owned(),
        id: event.id.clone(),
        detail_type: event.detail_type.clone(),
        source: event.source.clone(),
        account: ACCOUNT.to_owned(),
        // EventBridge sends whole seconds.
        time: event.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        region: REGION.to_owned(),
        resources: event.resources.clone(),
        detail: event.detail.clone(),
    }
}
