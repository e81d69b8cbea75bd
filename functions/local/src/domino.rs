//! A Domino on loopback: the list of service accounts of its API, and nothing else.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const PATH: &str = "/api/serviceAccounts/v1/serviceAccounts";

type Answer = Response<Full<Bytes>>;

/// What Domino knows, and how it answers.
#[derive(Debug)]
pub struct DominoState {
    /// Its service accounts, by user name, and whether they are active.
    pub accounts: BTreeMap<String, bool>,
    /// The key of its administrator.
    pub key: String,
    /// Most accounts of one answer.
    pub most: usize,
    /// Whether connections are closed without an answer.
    pub is_down: bool,
}

/// A running Domino. Dropping it closes its port and connections.
pub struct Domino {
    url: String,
    state: Arc<Mutex<DominoState>>,
    _server: JoinSet<()>,
}

impl Domino {
    /// Listens on a free port of 127.0.0.1, with no service account yet.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(key: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = DominoState {
            accounts: BTreeMap::new(),
            key: key.to_owned(),
            most: 100,
            is_down: false,
        };
        let state = Arc::new(Mutex::new(state));
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { url, state, _server: server })
    }

    /// The URL for `DOMINO_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it knows, to be changed. Never hold it across an `await`.
    pub fn state(&self) -> MutexGuard<'_, DominoState> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<DominoState>) -> MutexGuard<'_, DominoState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, state: Arc<Mutex<DominoState>>) {
    // Dropped with this task, and its connections with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let state = lock(&state);
                let answer = (!state.is_down).then(|| state.answer(&request));
                async move { answer.ok_or_else(|| io::Error::other("Domino is down")) }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl DominoState {
    fn answer<B>(&self, request: &Request<B>) -> Answer {
        if request.uri().path() != PATH {
            return refuse(StatusCode::NOT_FOUND, "not found");
        }
        if !self.is_authorized(request.headers()) {
            return refuse(StatusCode::UNAUTHORIZED, "the key is not valid");
        }
        if request.method() != Method::GET {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "service accounts are only listed here");
        }
        match self.list(request.uri().query().unwrap_or_default()) {
            Some(list) => respond(StatusCode::OK, &list),
            None => refuse(StatusCode::BAD_REQUEST, "the query is not valid"),
        }
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let is = |name: &str, expected: &str| {
            headers.get(name).is_some_and(|value| value.as_bytes() == expected.as_bytes())
        };
        is("x-domino-api-key", &self.key)
            || is(AUTHORIZATION.as_str(), &format!("Bearer {}", self.key))
    }

    /// As Domino's API clients have it; none for a query that it does not take.
    fn list(&self, query: &str) -> Option<Value> {
        let (mut include_deactivated, mut offset, mut limit) = (false, 0, self.most);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "includeDeactivated" => include_deactivated = value.parse().ok()?,
                "offset" => offset = value.parse().ok()?,
                "limit" => limit = value.parse::<usize>().ok()?.min(self.most),
                _ => {}
            }
        }
        let listed: Vec<&String> = self
            .accounts
            .iter()
            .filter_map(|(name, is_active)| (*is_active || include_deactivated).then_some(name))
            .collect();
        let account = |name: &&String| json!({ "id": format!("id-{name}"), "username": name });
        let part: Vec<Value> = listed.iter().skip(offset).take(limit).map(account).collect();
        Some(json!({
            "metadata": { "offset": offset, "limit": limit, "totalCount": listed.len() },
            "serviceAccounts": part,
        }))
    }
}

fn refuse(status: StatusCode, message: &str) -> Answer {
    respond(status, &json!({ "message": message }))
}

fn respond(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Full::from(value.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
