//! AWS's wire formats around a world, on loopback ports.
//!
//! Services are distinguished by the signature's scope, as AWS's own front ends
//! could; signatures themselves are not checked, but for those in the tokens of
//! Kubernetes. DynamoDB is winterbaume's in-process server, everything else is [`World`].

mod answer;
mod dynamodb;
mod eks;
mod events;
mod fault;
mod iam;
mod kubernetes;
mod request;
mod secrets;
mod sts;
mod tls;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use pod_identity_core::ClusterArn;
use pod_identity_world::{AwsError, Call, Caller, World};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use dynamodb::TableError;
pub use fault::{Fault, FaultKind, Held, When};
pub use tls::{Certificates, TlsError};

use answer::{Answer, Format};
use fault::{Action, Armed, ErrorFault};
use request::Request;

/// The secret of every access key that is given out here, and of any other that is used.
pub const SECRET_ACCESS_KEY: &str = "local";

/// The session token of the keys that `AssumeRole` gives out.
const SESSION_TOKEN: &str = "local";

/// A running AWS on loopback. Dropping it closes all ports and connections.
pub struct Wire {
    shared: Arc<Shared>,
    endpoint: String,
    servers: Mutex<JoinSet<()>>,
}

struct Shared {
    world: Arc<Mutex<World>>,
    armed: Mutex<Vec<Armed>>,
    /// Access keys that `AssumeRole` gave out: account, and the key that asked first.
    assumed: Mutex<BTreeMap<String, (String, String)>>,
    dynamodb: dynamodb::Tables,
    kubernetes: kubernetes::Served,
    /// Texts of Secrets Manager, by name.
    secrets: Mutex<BTreeMap<String, String>>,
    requests: AtomicU64,
    /// Milliseconds after which a call to AWS is answered at the earliest.
    latency: AtomicU64,
}

/// What a port stands for.
#[derive(Clone)]
enum Front {
    Aws,
    Kubernetes(ClusterArn),
}

/// A wire's world and its tables in one region, at a moment.
#[derive(Debug, Clone)]
pub struct Saved {
    world: World,
    region: String,
    tables: dynamodb::View,
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection was reset on demand")]
struct Reset;

impl Wire {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(world: Arc<Mutex<World>>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            world,
            armed: Mutex::default(),
            assumed: Mutex::default(),
            dynamodb: dynamodb::Tables::default(),
            kubernetes: kubernetes::Served::default(),
            secrets: Mutex::default(),
            requests: AtomicU64::new(1),
            latency: AtomicU64::new(0),
        });
        let mut servers = JoinSet::new();
        servers.spawn(serve(listener, None, Front::Aws, Arc::clone(&shared)));
        Ok(Self { shared, endpoint, servers: Mutex::new(servers) })
    }

    /// The URL for `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The same AWS on another free port of 127.0.0.1, over TLS. Answers the
    /// URL, for `AWS_ENDPOINT_URL` or the variable of one service, such as
    /// `AWS_ENDPOINT_URL_IAM`: a client that has each service on a port of its
    /// own makes as many handshakes as with AWS.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn listen_tls(&self, certificates: &Certificates) -> io::Result<String> {
        self.listen(certificates, Front::Aws).await
    }

    async fn listen(&self, certificates: &Certificates, front: Front) -> io::Result<String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("https://localhost:{}", listener.local_addr()?.port());
        let acceptor = Some(certificates.acceptor.clone());
        lock(&self.servers).spawn(serve(listener, acceptor, front, Arc::clone(&self.shared)));
        Ok(endpoint)
    }

    /// The Kubernetes API of a cluster on a free port of 127.0.0.1, over TLS. From now on
    /// `DescribeCluster` tells its URL, which is answered, and the authority of its certificate.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn serve_kubernetes(
        &self,
        cluster: &ClusterArn,
        certificates: &Certificates,
    ) -> io::Result<String> {
        let endpoint = self.listen(certificates, Front::Kubernetes(cluster.clone())).await?;
        let served = &self.shared.kubernetes;
        served.add(cluster, &endpoint, &certificates.root_pem());
        served.tell(&mut self.world());
        Ok(endpoint)
    }

    /// A kubeconfig for a cluster that is served, in YAML, with a token of its own for `user`;
    /// none for any other cluster.
    #[must_use]
    pub fn kubeconfig(&self, cluster: &ClusterArn, user: &str) -> Option<String> {
        self.shared.kubernetes.kubeconfig(cluster, user)
    }

    /// Every call so far, oldest first: the log of the world. The caller is the
    /// access key, of an assumed role the one that assumed it.
    #[must_use]
    pub fn log(&self) -> Vec<Call> {
        self.shared.world().calls.clone()
    }

    /// The world behind the wire. Never hold it across an `await`.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }

    /// From now on every call to AWS is answered so long after it came (in whole milliseconds), however
    /// many are under way; later where the work itself takes longer.
    pub fn answer_after(&self, latency: Duration) {
        let latency = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.shared.latency.store(latency, Ordering::Relaxed);
    }

    /// Breaks a call to come.
    pub fn fault(&self, fault: Fault) {
        lock(&self.shared.armed).push(Armed::fault(fault));
    }

    /// Stops a call to come in its tracks: tells when it is there, and keeps it
    /// waiting until it is released. So a test can kill its caller at that point.
    pub fn hold(&self, operation: &str, nth: usize, when: When) -> Held {
        let (armed, held) = Armed::hold(operation, nth, when);
        lock(&self.shared.armed).push(armed);
        held
    }

    /// Faults and holds whose call has not come yet.
    #[must_use]
    pub fn waiting_faults(&self) -> usize {
        lock(&self.shared.armed).iter().filter(|one| one.waits()).count()
    }

    /// Everything as it is now, to come back to.
    pub async fn save(&self, region: &str) -> Saved {
        let tables = self.shared.dynamodb.save(region).await;
        Saved { world: self.world().clone(), region: region.to_owned(), tables }
    }

    /// Brings back what was saved, perhaps of another wire, and forgets all
    /// faults. Nothing may be under way. Credentials that were given out stay good.
    ///
    /// # Errors
    /// When DynamoDB does not take back its tables.
    pub async fn restore(&self, saved: &Saved) -> Result<(), TableError> {
        lock(&self.shared.armed).clear();
        let mut world = saved.world.clone();
        // It may have been saved where the clusters had other ports.
        self.shared.kubernetes.tell(&mut world);
        *self.world() = world;
        self.shared.dynamodb.restore(&saved.region, saved.tables.clone()).await
    }

    /// Puts a secret into Secrets Manager, in place of one of the same name.
    pub fn put_secret(&self, name: &str, text: &str) {
        lock(&self.shared.secrets).insert(name.to_owned(), text.to_owned());
    }

    /// Makes the ledger's table: partition key `pk` and sort key `sk`, both strings.
    ///
    /// # Errors
    /// When DynamoDB refuses, for example because the table exists.
    pub async fn create_ledger_table(&self, region: &str, name: &str) -> Result<(), TableError> {
        self.shared.dynamodb.create(region, name).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, front: Front, shared: Arc<Shared>) {
    // Dropped with this task, and its connections with it.
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // A connection that failed before it was accepted is its client's concern.
        let Ok((stream, _)) = stream else { continue };
        let _ = stream.set_nodelay(true);
        if let Front::Kubernetes(cluster) = &front
            && !kubernetes::is_reachable(&shared, cluster)
        {
            continue;
        }
        let (tls, front, shared) = (tls.clone(), front.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let Some(tls) = tls else { return connection(stream, &front, &shared).await };
            match tls.accept(stream).await {
                Ok(stream) => connection(stream, &front, &shared).await,
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "handshake failed");
                }
            }
        });
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, front: &Front, shared: &Shared) {
    let service = service_fn(|request| async move {
        match front {
            Front::Aws => handle(shared, request).await,
            Front::Kubernetes(cluster) => kubernetes::handle(shared, cluster, request).await,
        }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
    {
        tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
    }
}

async fn handle(shared: &Shared, request: http::Request<Incoming>) -> Result<Answer, Reset> {
    let id = shared.request_id();
    let came = Instant::now();
    let request = Request::read(request).await.map_err(|_| Reset)?;
    let format = Format::of(&request.service);
    let operation = match Operation::route(&request) {
        Ok(operation) => operation,
        Err(error) => return Ok(format.error(&error, &id)),
    };
    let (name, object) = (operation.name().to_owned(), operation.object());
    let caller = shared.caller(&request);
    let log = |outcome: Result<u16, &AwsError>| {
        let mut world = shared.world();
        world.record((&caller.name, &caller.account), &request.service, &name, &object, outcome);
    };
    let action = fault::strike(&mut lock(&shared.armed), &name, request.invocation.as_deref());
    let injected = |kind| {
        let error = format.injected(kind);
        (format.error(&error, &id), Err(error))
    };
    let perform = operation.perform(shared, &caller, &request, format, &id);
    let answer = under(action, log, injected, perform).await;
    let latency = Duration::from_millis(shared.latency.load(Ordering::Relaxed));
    tokio::time::sleep(latency.saturating_sub(came.elapsed())).await;
    answer
}

/// Performs a call under what strikes it, and writes it into the log.
async fn under(
    action: Option<Action>,
    log: impl Fn(Result<u16, &AwsError>),
    injected: impl FnOnce(ErrorFault) -> (Answer, Result<u16, AwsError>),
    perform: impl Future<Output = (Answer, Result<u16, AwsError>)>,
) -> Result<Answer, Reset> {
    let mut after = None;
    match action {
        None => {}
        Some(Action::Error(kind)) => {
            let (answer, outcome) = injected(kind);
            log(outcome.as_ref().copied());
            return Ok(answer);
        }
        Some(Action::Silence(When::Before)) => {
            log(Ok(0));
            std::future::pending::<()>().await;
        }
        Some(Action::Reset(When::Before)) => {
            log(Ok(0));
            return Err(Reset);
        }
        Some(Action::Hold(When::Before, arrived, go)) => {
            wait(arrived, go).await.inspect_err(|_| log(Ok(0)))?;
        }
        late => after = late,
    }

    let (answer, outcome) = perform.await;
    match after {
        Some(Action::Silence(_)) => {
            log(Ok(0));
            std::future::pending::<()>().await;
        }
        Some(Action::Reset(_)) => {
            log(Ok(0));
            return Err(Reset);
        }
        Some(Action::Hold(_, arrived, go)) => {
            wait(arrived, go).await.inspect_err(|_| log(Ok(0)))?;
        }
        _ => {}
    }
    log(outcome.as_ref().copied());
    Ok(answer)
}

/// Tells that a call is there and waits until it may go on; a test that dropped
/// its hold before the call came lets it pass.
async fn wait(arrived: oneshot::Sender<()>, go: oneshot::Receiver<()>) -> Result<(), Reset> {
    if arrived.send(()).is_err() {
        return Ok(());
    }
    go.await.map_err(|_| Reset)
}

impl Shared {
    /// The world, at the time that it is.
    fn world(&self) -> MutexGuard<'_, World> {
        let mut world = lock(&self.world);
        world.now = Timestamp::now();
        world
    }

    /// A new name for a request.
    fn request_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        format!("00000000-0000-4000-8000-{number:012x}")
    }

    fn caller(&self, request: &Request) -> Caller {
        let (account, name) = match lock(&self.assumed).get(&request.access_key) {
            Some((account, asked)) => (account.clone(), asked.clone()),
            None => (lock(&self.world).account.clone(), request.access_key.clone()),
        };
        Caller { name, account, region: request.region.clone() }
    }
}

/// A call that is understood.
enum Operation {
    Eks(eks::Operation),
    Iam(iam::Operation),
    Events(events::Entries),
    Sts(sts::Operation),
    DynamoDb(dynamodb::Operation),
    Secrets(secrets::GetSecretValue),
}

impl Operation {
    fn route(request: &Request) -> Result<Self, AwsError> {
        match request.service.as_str() {
            "eks" => eks::Operation::route(request).map(Self::Eks),
            "iam" => iam::Operation::route(request).map(Self::Iam),
            "events" => events::Entries::route(request).map(Self::Events),
            "sts" => sts::Operation::route(request).map(Self::Sts),
            "dynamodb" => dynamodb::Operation::route(request).map(Self::DynamoDb),
            "secretsmanager" => secrets::GetSecretValue::route(request).map(Self::Secrets),
            "" => Err(AwsError::new(
                403,
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            )),
            other => Err(AwsError::new(
                501,
                "NotImplemented",
                format!("service {other} is not part of this AWS"),
            )),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Eks(operation) => operation.name(),
            Self::Iam(operation) => operation.name(),
            Self::Events(_) => "PutEvents",
            Self::Sts(operation) => operation.name(),
            Self::DynamoDb(operation) => operation.name(),
            Self::Secrets(_) => "GetSecretValue",
        }
    }

    fn object(&self) -> String {
        match self {
            Self::Eks(operation) => operation.object(),
            Self::Iam(operation) => operation.object(),
            Self::Events(entries) => entries.object(),
            Self::Sts(operation) => operation.object(),
            Self::DynamoDb(operation) => operation.object(),
            Self::Secrets(get) => get.object(),
        }
    }

    /// Does it, and answers with what the log shall say.
    async fn perform(
        self,
        shared: &Shared,
        caller: &Caller,
        request: &Request,
        format: Format,
        id: &str,
    ) -> (Answer, Result<u16, AwsError>) {
        let outcome = match self {
            Self::Eks(operation) => {
                operation.perform(&mut shared.world(), caller).map(|body| answer::json(&body, id))
            }
            Self::Iam(operation) => operation
                .perform(&mut shared.world(), caller)
                .map(|result| answer::xml(iam::NAMESPACE, operation.name(), &result, id)),
            Self::Events(entries) => {
                entries.perform(&mut shared.world(), caller).map(|body| answer::json(&body, id))
            }
            Self::Sts(operation) => operation
                .perform(shared, caller)
                .map(|result| answer::xml(sts::NAMESPACE, operation.name(), &result, id)),
            Self::DynamoDb(_) => return shared.dynamodb.answer(request, id).await,
            Self::Secrets(get) => {
                get.perform(&lock(&shared.secrets), caller).map(|body| answer::json(&body, id))
            }
        };
        match outcome {
            Ok(answer) => (answer, Ok(200)),
            Err(error) => (format.error(&error, id), Err(error)),
        }
    }
}
