//! Kubernetes: one port for each cluster, with the tokens of EKS.

mod table;
#[cfg(test)]
mod tests;
mod token;

use std::collections::BTreeMap;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::body::Incoming;
use jiff::Timestamp;
use pod_identity_core::ClusterArn;
use pod_identity_world::{ApiStatus, AwsError, KubernetesRequest, LATE, Resource, World};
use serde_json::Value;

use super::answer::{self, Answer};
use super::fault::{self, ErrorFault};
use super::request::Request;
use super::{Reset, Shared, lock, under};

/// The clusters that are served, and the tokens of kubeconfigs.
#[derive(Default)]
pub(super) struct Served {
    /// URL of the API, and what signs its certificate: PEM in base64.
    clusters: Mutex<BTreeMap<ClusterArn, (String, String)>>,
    /// User and cluster by token.
    tokens: Mutex<BTreeMap<String, (String, ClusterArn)>>,
}

impl Served {
    pub(super) fn add(&self, cluster: &ClusterArn, endpoint: &str, root_pem: &str) {
        let served = (endpoint.to_owned(), STANDARD.encode(root_pem));
        lock(&self.clusters).insert(cluster.clone(), served);
    }

    /// Lets EKS tell where the clusters are.
    pub(super) fn tell(&self, world: &mut World) {
        for (arn, (endpoint, authority)) in lock(&self.clusters).iter() {
            if let Some(cluster) = world.eks.cluster_mut(arn) {
                cluster.endpoint.clone_from(endpoint);
                cluster.certificate_authority.clone_from(authority);
            }
        }
    }

    pub(super) fn kubeconfig(&self, cluster: &ClusterArn, user: &str) -> Option<String> {
        let (endpoint, authority) = lock(&self.clusters).get(cluster)?.clone();
        let mut tokens = lock(&self.tokens);
        let token = format!("loopback-{}-{}", cluster.name(), tokens.len() + 1);
        tokens.insert(token.clone(), (user.to_owned(), cluster.clone()));
        // Names and tokens in JSON's quotes: every JSON text is YAML.
        let name = Value::from(cluster.name()).to_string();
        let user = Value::from(user).to_string();
        Some(format!(
            "apiVersion: v1\n\
             kind: Config\n\
             current-context: {name}\n\
             clusters:\n\
             - name: {name}\n  \
               cluster:\n    \
                 server: {endpoint}\n    \
                 certificate-authority-data: {authority}\n\
             users:\n\
             - name: {user}\n  \
               user:\n    \
                 token: {token}\n\
             contexts:\n\
             - name: {name}\n  \
               context:\n    \
                 cluster: {name}\n    \
                 user: {user}\n    \
                 namespace: domino-compute\n"
        ))
    }
}

/// Whether connections to a cluster can be made.
pub(super) fn is_reachable(shared: &Shared, cluster: &ClusterArn) -> bool {
    let mut world = shared.world();
    world.kubernetes(cluster).is_some_and(|api| api.settings.reachable)
}

/// A request that is understood: for an object, or for what there is.
enum Ask {
    Object(Box<KubernetesRequest>),
    Discovery(Vec<String>),
}

pub(super) async fn handle(
    shared: &Shared,
    cluster: &ClusterArn,
    request: http::Request<Incoming>,
) -> Result<Answer, Reset> {
    let id = shared.request_id();
    let request = Request::read(request).await.map_err(|_| Reset)?;
    let ask = read(&request);
    let operation = match &ask {
        Ok(Ask::Object(request)) => request.operation(),
        _ => format!("{} {}", request.method.as_str().to_ascii_lowercase(), request.path),
    };
    let path = match &ask {
        Ok(Ask::Object(request)) => request.path(),
        _ => request.path.clone(),
    };
    let object = format!("cluster {} {path}", cluster.name());
    let user = authenticate(shared, cluster, &request);
    let name = user.clone().unwrap_or_default();
    let log = |outcome: Result<u16, &AwsError>| {
        let mut world = shared.world();
        let account = world.account.clone();
        world.record((&name, &account), "kubernetes", &operation, &object, outcome);
    };
    let action = fault::strike(&mut lock(&shared.armed), &operation, None);
    let injected = |kind| failed(injected(kind), &id);
    let perform = async {
        let accept = request.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        let in_columns = request.method == Method::GET
            && accept.is_some_and(|accept| accept.contains("as=Table"));
        let outcome = user.and_then(|user| perform(shared, cluster, &user, ask?, in_columns));
        match outcome {
            Ok((status, body)) => {
                (answer::answer(status, "application/json", body, &id), Ok(status))
            }
            Err(status) => {
                if status.is_late {
                    tokio::time::sleep(LATE).await;
                }
                failed(status, &id)
            }
        }
    };
    under(action, log, injected, perform).await
}

fn read(request: &Request) -> Result<Ask, ApiStatus> {
    let segments: Vec<String> =
        request.segments().into_iter().filter(|segment| !segment.is_empty()).collect();
    let names: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is_discovery = matches!(
        names.as_slice(),
        ["version" | "api" | "apis"] | ["api", _] | ["apis", _] | ["apis", _, _]
    );
    if is_discovery && request.method == Method::GET {
        return Ok(Ask::Discovery(segments));
    }
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|one| one.to_str().ok());
    let (method, query) = (request.method.as_str(), request.query.clone());
    let content_type = content_type.unwrap_or_default();
    let asked = KubernetesRequest::parse(method, &segments, query, content_type, &request.body)?;
    Ok(Ask::Object(Box::new(asked)))
}

fn perform(
    shared: &Shared,
    cluster: &ClusterArn,
    user: &str,
    ask: Ask,
    in_columns: bool,
) -> Result<(u16, Value), ApiStatus> {
    let mut world = shared.world();
    match ask {
        Ask::Object(request) => {
            let in_columns = in_columns && request.resource == Resource::Pods;
            let (status, body) = world.ask_kubernetes(cluster, user, *request)?;
            Ok((status, if in_columns { table::pods(&body, world.now) } else { body }))
        }
        Ask::Discovery(segments) => {
            let found = world.discover_kubernetes(cluster, user, &segments)?;
            let page = "404 page not found\n";
            found.map(|body| (200, body)).ok_or_else(|| ApiStatus::new(404, "", page))
        }
    }
}

/// The user that a bearer token stands for. Of EKS's tokens that is the caller of AWS.
fn authenticate(
    shared: &Shared,
    cluster: &ClusterArn,
    request: &Request,
) -> Result<String, ApiStatus> {
    let unauthorized = || ApiStatus::new(401, "Unauthorized", "Unauthorized");
    let header = request.headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let token = header.and_then(|header| header.strip_prefix("Bearer "));
    let token = token.ok_or_else(unauthorized)?;
    if let Some((user, of)) = lock(&shared.kubernetes.tokens).get(token) {
        return if of == cluster { Ok(user.clone()) } else { Err(unauthorized()) };
    }
    let signed = token::verify(token, cluster.name(), Timestamp::now()).map_err(|error| {
        tracing::debug!(cluster = cluster.name(), error = &error as &dyn std::error::Error);
        unauthorized()
    })?;
    match lock(&shared.assumed).get(&signed.access_key) {
        Some((_, asked)) if signed.session_token.as_deref() == Some(super::SESSION_TOKEN) => {
            Ok(asked.clone())
        }
        Some(_) => Err(unauthorized()),
        None => Ok(signed.access_key),
    }
}

/// How Kubernetes words a fault. Its throttle comes before `Status` objects are made.
fn injected(kind: ErrorFault) -> ApiStatus {
    match kind {
        ErrorFault::Throttle => {
            ApiStatus::new(429, "", "Too many requests, please try again later.\n")
        }
        ErrorFault::ServerError => {
            ApiStatus::new(500, "InternalError", "Internal error occurred: etcdserver: no leader")
        }
        ErrorFault::Unavailable => ApiStatus::new(
            503,
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        ),
        ErrorFault::Denied => ApiStatus::new(403, "Forbidden", "forbidden: not allowed to do this"),
    }
}

fn failed(status: ApiStatus, id: &str) -> (Answer, Result<u16, AwsError>) {
    let mut answer = if status.is_plain_text() {
        answer::answer(status.code, "text/plain; charset=utf-8", &status.message, id)
    } else {
        answer::answer(status.code, "application/json", status.to_json(), id)
    };
    if status.code == 429 && !status.is_budget() {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    (answer, Err(status.into()))
}
