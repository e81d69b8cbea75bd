//! The Kubernetes API of a cluster over TLS, with the tokens of EKS.

use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use local::wire::{Certificates, Fault, FaultKind, Wire};
use pod_identity_world::DominoPod;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::sign::Token;
use crate::{blue, eks, wire};

const PODS: &str = "/api/v1/namespaces/domino-compute/pods";

/// A client of one cluster, as it is described by EKS.
struct Client {
    port: u16,
    tls: TlsConnector,
    token: String,
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Value,
    text: String,
}

impl Client {
    fn new(endpoint: &str, root_pem: &str, token: String) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root_pem.as_bytes()).unwrap()).unwrap();
        let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let port = endpoint.strip_prefix("https://localhost:").unwrap().parse().unwrap();
        Self { port, tls: TlsConnector::from(Arc::new(config)), token }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> std::io::Result<Answer> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let host = ServerName::try_from("localhost").unwrap();
        let stream = self.tls.connect(host, stream).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        let connection = tokio::spawn(connection);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let answer = sender.send_request(request).await.map_err(std::io::Error::other)?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        connection.abort();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            text: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "application/json", &Value::Null).await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "application/json", body).await.unwrap()
    }
}

/// Made once: RSA keys take their time.
fn certificates() -> &'static Certificates {
    static CERTIFICATES: OnceLock<Certificates> = OnceLock::new();
    CERTIFICATES.get_or_init(|| Certificates::make().unwrap())
}

/// Blue with three pods, and who asks it.
async fn served() -> (Wire, Client) {
    let wire = wire().await;
    {
        let mut world = wire.world();
        world.add_namespace(&blue(), "domino-compute").unwrap();
        world.add_service_account(&blue(), "domino-compute", "svc-etl-sa", &[]).unwrap();
        for _ in 0..3 {
            world.add_domino_pod(&blue(), &DominoPod::new("svc-etl-sa", "etl")).unwrap();
        }
    }
    let certificates = certificates();
    let endpoint = wire.serve_kubernetes(&blue(), certificates).await.unwrap();
    let token = Token::new("blue", "LOCALWORKLOADS").text();
    let client = Client::new(&endpoint, &certificates.root_pem(), token);
    (wire, client)
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn eks_tells_where_the_api_is_and_what_signs_its_certificate() {
    let (wire, client) = served().await;
    let eks = eks(&wire, 0).await;
    let found = eks.describe_cluster().name("blue").send().await.unwrap().cluster.unwrap();
    assert_eq!(found.endpoint(), Some(format!("https://localhost:{}", client.port).as_str()));
    assert_eq!(found.status().unwrap().as_str(), "ACTIVE");
    assert_eq!(found.version(), Some("1.33"));
    let mode = found.access_config().unwrap().authentication_mode().unwrap().as_str().to_owned();
    assert_eq!(mode, "API_AND_CONFIG_MAP");
    assert!(found.resources_vpc_config().unwrap().endpoint_public_access());
    let authority = found.certificate_authority().unwrap().data().unwrap();
    let authority = String::from_utf8(STANDARD.decode(authority).unwrap()).unwrap();
    let trusting = Client::new(found.endpoint().unwrap(), &authority, client.token.clone());
    assert_eq!(trusting.get("/version").await.body["minor"], "33");
    let other = Certificates::make().unwrap().root_pem();
    let doubting = Client::new(found.endpoint().unwrap(), &other, client.token);
    let refused = doubting.send("GET", "/version", "", &Value::Null).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn eks_tells_the_state_of_the_agent() {
    let wire = wire().await;
    let eks = eks(&wire, 0).await;
    let listed = eks.list_addons().cluster_name("blue").send().await.unwrap();
    assert_eq!(listed.addons(), ["eks-pod-identity-agent"]);
    let describe = |name: &str| eks.describe_addon().cluster_name("blue").addon_name(name).send();
    let found = describe("eks-pod-identity-agent").await.unwrap().addon.unwrap();
    assert_eq!(found.status().unwrap().as_str(), "ACTIVE");
    let missing = describe("vpc-cni").await.unwrap_err().into_service_error();
    assert!(missing.is_resource_not_found_exception());
}

#[tokio::test]
async fn pods_are_listed_in_pages_with_selectors_and_the_log_names_who_asked() {
    let (wire, client) = served().await;
    let selector = "labelSelector=dominodatalab.com%2Fworkload-type%20in%20(Batch)";
    let first = client.get(&format!("{PODS}?{selector}&limit=2")).await;
    assert_eq!((first.status, first.body["kind"].as_str()), (200, Some("PodList")));
    let token = first.body["metadata"]["continue"].as_str().unwrap();
    let last = client.get(&format!("{PODS}?{selector}&limit=2&continue={token}")).await;
    assert_eq!((names(&first.body).len(), names(&last.body).len()), (2, 1));
    let none = client.get(&format!("{PODS}?labelSelector=a%3Db&resourceVersion=0")).await;
    assert!(names(&none.body).is_empty());
    wire.world().kubernetes(&blue()).unwrap().settings.tokens_survive = 0;
    client.post("/api/v1/namespaces", &json!({ "metadata": { "name": "new" } })).await;
    let expired = client.get(&format!("{PODS}?limit=2&continue={token}")).await;
    assert_eq!((expired.status, expired.body["reason"].as_str()), (410, Some("Expired")));
    let call = &wire.log()[0];
    assert_eq!(
        (call.caller.as_str(), call.service.as_str(), call.operation.as_str(), call.status),
        ("LOCALWORKLOADS", "kubernetes", "list pods", 200)
    );
    assert!(call.object.starts_with("cluster blue /api/v1/namespaces/domino-compute/pods?label"));
}

#[tokio::test]
async fn an_eviction_is_a_subresource_whose_options_count() {
    let (wire, client) = served().await;
    let name = names(&client.get(PODS).await.body).remove(0);
    let path = format!("{PODS}/{name}");
    let uid = client.get(&path).await.body["metadata"]["uid"].clone();
    let evict = |uid: Value| {
        json!({
            "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": name },
            "deleteOptions": { "preconditions": { "uid": uid }, "gracePeriodSeconds": 600 },
        })
    };
    let eviction = format!("{path}/eviction");
    let wrong = client.post(&eviction, &evict(json!("other"))).await;
    assert_eq!((wrong.status, wrong.body["reason"].as_str()), (409, Some("Conflict")));
    let mut lost = evict(uid.clone());
    lost["delete_options"] = lost["deleteOptions"].take();
    assert_eq!(client.post(&eviction, &lost).await.status, 400);
    let right = client.post(&eviction, &evict(uid)).await;
    assert_eq!((right.status, right.body["status"].as_str()), (201, Some("Success")));
    assert!(client.get(&path).await.body["metadata"]["deletionTimestamp"].is_string());
    let missing = client.post(&format!("{PODS}/nobody/eviction"), &json!({})).await;
    assert_eq!((missing.status, missing.body["kind"].as_str()), (404, Some("Status")));
    assert_eq!(wire.world().count("create pods/eviction"), 4);
}

#[tokio::test]
async fn a_mutation_is_applied_with_json_for_yaml() {
    let (wire, client) = served().await;
    wire.world().add_namespace(&blue(), "domino-platform").unwrap();
    let group = "/apis/apps.dominodatalab.com/v1alpha1";
    let path = format!("{group}/namespaces/domino-platform/mutations/ours?fieldManager=us");
    let body = json!({
        "apiVersion": "apps.dominodatalab.com/v1alpha1", "kind": "Mutation",
        "metadata": { "name": "ours" }, "rules": [],
    });
    let apply = "application/apply-patch+yaml";
    let made = client.send("PATCH", &path, apply, &body).await.unwrap();
    assert_eq!(made.status, 201);
    let again = client.send("PATCH", &path, apply, &body).await.unwrap();
    assert_eq!((again.status, again.body), (200, made.body));
    wire.world().kubernetes(&blue()).unwrap().settings.has_mutations = false;
    let absent = client.get(&format!("{group}/namespaces/domino-platform/mutations")).await;
    assert_eq!((absent.status, absent.text.as_str()), (404, "404 page not found\n"));
}

#[tokio::test]
async fn nobody_is_let_in_without_a_token_for_this_cluster() {
    let (wire, mut client) = served().await;
    let assumed = crate::far_credentials(&wire).await;
    let far = |session_token| Token {
        secret: "local",
        session_token,
        ..Token::new("blue", assumed.access_key_id())
    };
    for (token, status) in [
        (String::new(), 401),
        (Token::new("green", "LOCALWORKLOADS").text(), 401),
        (Token { secret: "guess", ..Token::new("blue", "LOCALWORKLOADS") }.text(), 401),
        (far(None).text(), 401),
        (far(Some("guess")).text(), 401),
        (far(assumed.session_token()).text(), 200),
    ] {
        client.token = token;
        let answer = client.get(PODS).await;
        assert_eq!(answer.status, status);
        assert!(status == 200 || answer.body["reason"] == "Unauthorized");
    }
    let log = wire.log();
    assert_eq!((log[1].caller.as_str(), log[1].error.as_deref()), ("", Some("Unauthorized")));
    // Of an assumed role, who assumed it.
    assert_eq!(log.last().unwrap().caller, "association");
}

#[tokio::test]
async fn a_kubeconfig_has_a_token_of_its_own() {
    let (wire, mut client) = served().await;
    let text = wire.kubeconfig(&blue(), "someone: else").unwrap();
    let value = |key: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(key)).unwrap();
        line.trim_start()[key.len()..].trim().to_owned()
    };
    assert_eq!(value("server:"), format!("https://localhost:{}", client.port));
    assert_eq!(value("user:"), "");
    assert!(text.contains("- name: \"someone: else\"\n  user:\n    token: loopback-blue-1\n"));
    client.token = value("token:");
    assert_eq!(names(&client.get(PODS).await.body).len(), 3);
    assert_eq!(wire.log().last().unwrap().caller, "someone: else");
    let green = "arn:aws:eks:eu-west-1:111122223333:cluster/green".parse().unwrap();
    assert_eq!(wire.kubeconfig(&green, "me"), None);
}

#[tokio::test]
async fn every_fault_is_told_as_kubernetes_tells_it() {
    let (wire, client) = served().await;
    let fault = |kind| wire.fault(Fault::new("list pods", 1, kind));
    fault(FaultKind::Throttle);
    let throttled = client.get(PODS).await;
    assert_eq!(throttled.status, 429);
    assert_eq!(throttled.headers[RETRY_AFTER], "1");
    assert_eq!(throttled.text, "Too many requests, please try again later.\n");
    for (kind, status) in
        [(FaultKind::ServerError, 500), (FaultKind::Unavailable, 503), (FaultKind::Denied, 403)]
    {
        fault(kind);
        let answer = client.get(PODS).await;
        assert_eq!((answer.status, answer.body["code"].as_u64()), (status, Some(status.into())));
    }
    fault(FaultKind::ResetBefore);
    assert!(client.send("GET", PODS, "", &Value::Null).await.is_err());
    fault(FaultKind::Timeout);
    let wait = std::time::Duration::from_millis(100);
    assert!(tokio::time::timeout(wait, client.get(PODS)).await.is_err());
    wire.fault(Fault::new("create namespaces", 1, FaultKind::ResetAfter));
    let body = json!({ "metadata": { "name": "new" } });
    assert!(client.send("POST", "/api/v1/namespaces", "", &body).await.is_err());
    assert_eq!(client.get("/api/v1/namespaces/new").await.status, 200);
}

#[tokio::test]
async fn a_budget_is_told_from_a_throttle() {
    let (wire, client) = served().await;
    let labels = [("dominodatalab.com/workload-type".to_owned(), "Batch".to_owned())].into();
    let budget = pod_identity_world::Budget {
        namespace: "domino-compute".to_owned(),
        name: "keep".to_owned(),
        labels,
        min_available: 3,
    };
    wire.world().add_budget(&blue(), &budget).unwrap();
    let name = names(&client.get(PODS).await.body).remove(0);
    let blocked = client.post(&format!("{PODS}/{name}/eviction"), &json!({})).await;
    assert_eq!(blocked.status, 429);
    assert_eq!(blocked.body["details"]["causes"][0]["reason"], "DisruptionBudget");
    assert!(blocked.headers.get(RETRY_AFTER).is_none());
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_takes_no_handshake() {
    let (wire, client) = served().await;
    wire.world().kubernetes(&blue()).unwrap().settings.reachable = false;
    assert!(client.send("GET", PODS, "", &Value::Null).await.is_err());
    assert!(wire.log().is_empty());
    wire.world().kubernetes(&blue()).unwrap().settings.reachable = true;
    assert_eq!(client.get(PODS).await.status, 200);
}

#[tokio::test]
async fn discovery_is_there_for_who_has_a_token() {
    let (_wire, mut client) = served().await;
    for path in ["/version", "/api", "/apis", "/api/v1", "/apis/policy/v1"] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
    assert_eq!(client.get("/apis/apps/v1").await.status, 404);
    client.token = String::new();
    assert_eq!(client.get("/api/v1").await.status, 401);
}

#[tokio::test]
async fn what_was_saved_elsewhere_keeps_this_clusters_port() {
    let (wire, client) = served().await;
    let (other, _) = served().await;
    let saved = other.save("eu-west-1").await;
    wire.restore(&saved).await.unwrap();
    let eks = eks(&wire, 0).await;
    let found = eks.describe_cluster().name("blue").send().await.unwrap().cluster.unwrap();
    assert_eq!(found.endpoint(), Some(format!("https://localhost:{}", client.port).as_str()));
    assert_eq!(client.get(PODS).await.status, 200);
}
