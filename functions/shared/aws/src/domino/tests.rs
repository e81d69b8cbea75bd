//! The client over the wire, against a Domino on loopback; Secrets Manager is scripted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex as SyncMutex};
use std::time::{Duration, Instant};

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use pod_identity_core::directory::Ceilings;
use pod_identity_engine::ports::ErrorKind;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::script::Script;
use crate::settings::TokenHeader;

const KEY: &str = "key-that-is-secret";

/// What one request is answered with.
#[derive(Debug, Clone)]
enum Say {
    /// A status and a text.
    Text(u16, String),
    /// Nothing for so long.
    Wait(Duration),
    /// The part that is asked for of so many accounts.
    Accounts(usize),
}

/// A path with its query, and what the two headers hold.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    path: String,
    api_key: Option<String>,
    authorization: Option<String>,
}

/// A Domino on loopback, which answers as it is told, in order; the last answer stays.
struct FakeDomino {
    url: String,
    seen: Arc<SyncMutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

impl Drop for FakeDomino {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeDomino {
    async fn start(says: Vec<Say>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<SyncMutex<Vec<Seen>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, says) = (Arc::clone(&kept), says.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let at = note(&seen, &request);
                        let say = says[at.min(says.len() - 1)].clone();
                        async move { Ok::<_, std::io::Error>(answer(say, &request).await) }
                    });
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, seen, server }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// The number of a request.
fn note(seen: &SyncMutex<Vec<Seen>>, request: &Request<Incoming>) -> usize {
    let header = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let mut seen = seen.lock().unwrap();
    seen.push(Seen {
        path: request.uri().path_and_query().unwrap().to_string(),
        api_key: header("x-domino-api-key"),
        authorization: header("authorization"),
    });
    seen.len() - 1
}

async fn answer(say: Say, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, text) = match say {
        Say::Text(status, text) => (status, text),
        Say::Wait(time) => {
            sleep(time).await;
            (200, "{}".to_owned())
        }
        Say::Accounts(count) => (200, accounts(count, request.uri().query().unwrap()).to_string()),
    };
    Response::builder().status(status).body(Full::from(text)).unwrap()
}

/// As Domino's API clients have it.
fn accounts(count: usize, query: &str) -> Value {
    let of = |name: &str| -> usize {
        let mut fields = query.split('&').filter_map(|field| field.split_once('='));
        fields.find(|(field, _)| *field == name).unwrap().1.parse().unwrap()
    };
    let (offset, limit) = (of("offset"), of("limit"));
    let accounts: Vec<Value> = (0..count)
        .skip(offset)
        .take(limit)
        .map(
            |at| json!({ "id": format!("id-{at}"), "username": format!("svc-{at}"), "idpId": "x" }),
        )
        .collect();
    json!({
        "metadata": {
            "notices": [], "requestId": "r", "offset": offset, "limit": limit, "totalCount": count,
        },
        "serviceAccounts": accounts,
    })
}

/// A secret that holds these keys one after the other; the last one stays.
fn secret(keys: &'static [&'static str]) -> Script {
    let read = SyncMutex::new(0);
    Script::new(move |asked| {
        assert!(asked.uri.contains("secretsmanager.eu-west-1"), "{}", asked.uri);
        let mut read = read.lock().unwrap();
        let key = keys[(*read).min(keys.len() - 1)];
        *read += 1;
        (200, json!({ "Name": "domino", "SecretString": key }).to_string())
    })
}

fn settings(url: &str) -> DominoSettings {
    DominoSettings {
        url: url.to_owned(),
        secret: "domino-key".to_owned(),
        header: TokenHeader::ApiKey,
        unbinds: false,
        ceilings: Ceilings::default(),
    }
}

fn client(script: &Script, url: &str) -> Domino {
    script.aws_with(&[("CALL_TIMEOUT_MS", "300")]).domino(&settings(url))
}

fn first() -> DominoQuery {
    DominoQuery { include_deactivated: false, offset: 0, limit: 100 }
}

/// The whole chain of an error, which has the key nowhere.
fn words(error: &PortError) -> String {
    let words = format!("{} {error:?}", chain(error));
    assert!(!words.contains(KEY), "{words}");
    words
}

#[tokio::test]
async fn a_part_is_asked_for_and_read_with_the_key_of_the_secret() {
    let fake = FakeDomino::start(vec![Say::Accounts(3)]).await;
    let script = secret(&[KEY]);
    let domino = client(&script, &fake.url);
    assert!(script.asked().is_empty(), "nothing is read before it is needed");
    let query = DominoQuery { include_deactivated: true, offset: 1, limit: 1 };
    let page = domino.service_accounts(query).await.unwrap();
    assert_eq!((page.limit, page.total), (Some(1), Some(3)));
    assert_eq!(page.accounts.len(), 1);
    assert_eq!((&*page.accounts[0].id, &*page.accounts[0].username), ("id-1", "svc-1"));
    let path = "/api/serviceAccounts/v1/serviceAccounts?includeDeactivated=true&offset=1&limit=1";
    let expected =
        Seen { path: path.to_owned(), api_key: Some(KEY.to_owned()), authorization: None };
    assert_eq!(fake.seen(), [expected]);
    domino.service_accounts(first()).await.unwrap();
    assert_eq!(script.asked().len(), 1, "the key is kept");
    assert!(script.asked()[0].body.contains("domino-key"));
    assert!(!format!("{domino:?}").contains(KEY));
}

#[tokio::test]
async fn the_other_header_takes_a_bearer_token() {
    let fake = FakeDomino::start(vec![Say::Accounts(1)]).await;
    let script = secret(&[KEY]);
    let settings = DominoSettings { header: TokenHeader::Bearer, ..settings(&fake.url) };
    script.aws().domino(&settings).service_accounts(first()).await.unwrap();
    let seen = fake.seen().remove(0);
    assert_eq!((seen.api_key, seen.authorization), (None, Some(format!("Bearer {KEY}"))));
}

#[tokio::test]
async fn a_key_that_was_renewed_is_read_again_once() {
    let refuse = Say::Text(401, format!("{{\"errors\":[\"bad key {KEY}\"]}}"));
    let fake = FakeDomino::start(vec![refuse.clone(), Say::Accounts(2)]).await;
    let script = secret(&["old", KEY]);
    let domino = client(&script, &fake.url);
    assert_eq!(domino.service_accounts(first()).await.unwrap().accounts.len(), 2);
    let keys: Vec<_> = fake.seen().into_iter().map(|seen| seen.api_key.unwrap()).collect();
    assert_eq!(keys, ["old", KEY]);

    let fake = FakeDomino::start(vec![refuse]).await;
    for (keys, requests) in [(&["old", KEY] as &'static [&'static str], 2), (&[KEY], 1)] {
        let (script, before) = (secret(keys), fake.seen().len());
        let error = client(&script, &fake.url).service_accounts(first()).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Denied, Some("401")));
        assert!(words(&error).contains("renew it in the secret"), "{}", words(&error));
        assert_eq!((script.asked().len(), fake.seen().len() - before), (2, requests));
    }
}

#[tokio::test]
async fn what_passes_is_tried_again_as_often_as_the_settings_say() {
    let busy = Say::Text(503, "busy".to_owned());
    let fake =
        FakeDomino::start(vec![busy.clone(), Say::Text(429, String::new()), Say::Accounts(1)])
            .await;
    let script = secret(&[KEY]);
    assert_eq!(
        client(&script, &fake.url).service_accounts(first()).await.unwrap().accounts.len(),
        1
    );

    let fake = FakeDomino::start(vec![busy]).await;
    let error = client(&script, &fake.url).service_accounts(first()).await.unwrap_err();
    assert_eq!((error.kind, fake.seen().len()), (ErrorKind::Passing, 3));
    assert!(
        words(&error)
            .contains(&format!("failed to list service accounts of Domino at {}", fake.url))
    );
}

#[tokio::test]
async fn what_does_not_pass_is_asked_once_and_says_where_to_look() {
    for (status, text, kind, remediation) in [
        (403, KEY, ErrorKind::Denied, "administrator"),
        (404, "", ErrorKind::NotFound, "DOMINO_URL"),
        (302, "", ErrorKind::Invalid, "leads elsewhere"),
        (200, "<html>Log in</html>", ErrorKind::Invalid, "not to a page"),
        (200, r#"{"serviceAccounts":"key-that-is-secret"}"#, ErrorKind::Invalid, "is no list"),
        (200, r#"{"serviceAccounts":[{"id":"a"}]}"#, ErrorKind::Invalid, "username"),
        (200, "{}", ErrorKind::Invalid, "serviceAccounts"),
    ] {
        let fake = FakeDomino::start(vec![Say::Text(status, text.to_owned())]).await;
        let script = secret(&[KEY]);
        let error = client(&script, &fake.url).service_accounts(first()).await.unwrap_err();
        assert_eq!((error.kind, fake.seen().len()), (kind, 1), "{status} {text}");
        assert!(words(&error).contains(remediation), "{}", words(&error));
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let long = "x".repeat(5 * 1024 * 1024);
    let fake = FakeDomino::start(vec![Say::Text(200, long)]).await;
    let script = secret(&[KEY]);
    let aws = script.aws();
    let error = aws.domino(&settings(&fake.url)).service_accounts(first()).await.unwrap_err();
    assert!(words(&error).contains("longer than"), "{}", words(&error));
}

#[tokio::test]
async fn an_answer_that_is_late_is_given_up_within_the_time_of_a_call() {
    let fake = FakeDomino::start(vec![Say::Wait(Duration::from_secs(30))]).await;
    let script = secret(&[KEY]);
    let domino = client(&script, &fake.url);
    let started = Instant::now();
    let error = domino.service_accounts(first()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Passing);
    assert!(words(&error).contains("CALL_TIMEOUT_MS"), "{}", words(&error));
    assert_eq!(fake.seen().len(), 3);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn nobody_there_is_a_passing_error() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let script = secret(&[KEY]);
    let error = client(&script, &url).service_accounts(first()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Passing);
    assert!(words(&error).contains("no connection"), "{}", words(&error));
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_asks_domino_nothing() {
    let fake = FakeDomino::start(vec![Say::Accounts(1)]).await;
    let denied = Script::always(400, r#"{"__type":"AccessDeniedException","message":"no"}"#);
    let error = client(&denied, &fake.url).service_accounts(first()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(words(&error).contains("failed to read secret domino-key"), "{}", words(&error));
    let empty = secret(&["{}"]);
    let error = client(&empty, &fake.url).service_accounts(first()).await.unwrap_err();
    assert!(words(&error).contains("the key alone"), "{}", words(&error));
    assert!(fake.seen().is_empty());
}
