#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pod_identity_engine::ports::{
    ClusterDescription, KubernetesReader, KubernetesWriter, Page, Pod, PodId, PodQuery,
};
use serde_json::json;

use super::*;
use crate::script::{Reply, ScriptClusters, Server, access, calls, credentials, status};

async fn pods<E: ClusterReader>(
    kubernetes: &Kubernetes<E>,
    access: &ClusterAccess,
) -> Result<Page<Pod>, PortError> {
    let query = PodQuery {
        namespace: "domino-compute".to_owned(),
        selector: String::new(),
        name: None,
        limit: 1,
    };
    kubernetes.reader().pods(access, &query, None).await
}

fn empty() -> Reply {
    Reply::Json(200, json!({"metadata": {}, "items": []}))
}

fn causes(error: &PortError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn nothing_is_asked_before_the_first_call_and_each_thing_once_after_it() {
    let server = Server::always(empty()).await;
    let clusters = ScriptClusters::new(Some(server.description()));
    let kubernetes = clusters.kubernetes();
    let (_reader, _writer) = (kubernetes.reader(), kubernetes.writer());
    assert_eq!((clusters.described(), clusters.credentials_for().len()), (0, 0));

    let access = access();
    let (one, two) = tokio::join!(pods(&kubernetes, &access), pods(&kubernetes, &access));
    one.unwrap();
    two.unwrap();
    pods(&kubernetes.clone(), &access).await.unwrap();
    assert_eq!((clusters.described(), clusters.credentials_for().len()), (1, 1));
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].authorization, asked[2].authorization);
}

#[tokio::test]
async fn each_cluster_has_a_token_of_its_own_by_the_credentials_that_reach_it() {
    let server = Server::always(empty()).await;
    let clusters = ScriptClusters::new(Some(server.description()));
    let kubernetes = clusters.kubernetes();
    let green = ClusterAccess {
        cluster: "arn:aws:eks:eu-west-1:444455556666:cluster/green".parse().unwrap(),
        assume_role: Some("arn:aws:iam::444455556666:role/reach".parse().unwrap()),
    };
    pods(&kubernetes, &access()).await.unwrap();
    pods(&kubernetes, &green).await.unwrap();
    assert_eq!(clusters.credentials_for(), [access(), green]);
    let asked = server.asked();
    assert_ne!(asked[0].authorization, asked[1].authorization);
}

#[tokio::test]
async fn a_token_that_is_refused_is_signed_again_for_the_next_call() {
    let server = Server::start(|number, _| match number {
        0 => Reply::Json(401, status(401, "Unauthorized", "Unauthorized")),
        _ => empty(),
    })
    .await;
    let clusters = ScriptClusters::new(Some(server.description()));
    let kubernetes = clusters.kubernetes();
    assert_eq!(pods(&kubernetes, &access()).await.unwrap_err().kind, ErrorKind::Denied);
    pods(&kubernetes, &access()).await.unwrap();
    assert_eq!((clusters.described(), clusters.credentials_for().len()), (1, 2));
}

#[tokio::test]
async fn another_certificate_authority_is_unreachable_until_eks_tells_the_right_one() {
    let (server, other) = (Server::always(empty()).await, Server::always(empty()).await);
    let wrong = ClusterDescription {
        certificate_authority: Some(STANDARD.encode(other.authority())),
        ..server.description()
    };
    let clusters = ScriptClusters::new(Some(wrong));
    let kubernetes = clusters.kubernetes();
    let error = pods(&kubernetes, &access()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{}", causes(&error));
    assert!(causes(&error).contains("certificate"), "{}", causes(&error));
    assert!(server.asked().is_empty());

    *clusters.description.lock().unwrap() = Some(server.description());
    pods(&kubernetes, &access()).await.unwrap();
    assert_eq!(clusters.described(), 2);
}

#[tokio::test]
async fn a_port_where_nobody_listens_or_answers_is_unreachable_for_reads_and_writes() {
    let server = Server::always(empty()).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Takes connections and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [closed.port(), mute.local_addr().unwrap().port()] {
        let description = ClusterDescription {
            endpoint: Some(format!("https://localhost:{port}")),
            ..server.description()
        };
        let calls = Calls { timeout: Duration::from_millis(400), ..calls() };
        let kubernetes = Kubernetes::eks(calls, ScriptClusters::new(Some(description)), |_| {
            SharedCredentialsProvider::new(credentials(None))
        });
        let error = pods(&kubernetes, &access()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{}", causes(&error));
        let pod = PodId { namespace: "n".to_owned(), name: "p".to_owned(), uid: "u".to_owned() };
        let error = kubernetes.writer().evict(&access(), &pod, None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{}", causes(&error));
    }
}

#[tokio::test]
async fn a_cluster_that_is_not_there_or_not_yet_is_unreachable_and_says_why() {
    let server = Server::always(empty()).await;
    let creating = ClusterDescription {
        endpoint: None,
        certificate_authority: None,
        status: "CREATING".to_owned(),
        ..server.description()
    };
    for (description, words) in
        [(None, "EKS knows no such cluster"), (Some(creating), "EKS shows the cluster as CREATING")]
    {
        let error =
            pods(&ScriptClusters::new(description).kubernetes(), &access()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable);
        assert_eq!(error.to_string(), "failed to find the Kubernetes API of cluster blue");
        assert!(error.message.unwrap().starts_with(words));
    }
}

#[tokio::test]
async fn no_token_goes_where_it_could_be_overheard_and_wrong_descriptions_are_invalid() {
    let server = Server::always(empty()).await;
    let right = server.description();
    for wrong in [
        ClusterDescription { endpoint: Some("http://localhost:1".to_owned()), ..right.clone() },
        ClusterDescription { endpoint: Some("localhost".to_owned()), ..right.clone() },
        ClusterDescription { certificate_authority: Some("-".to_owned()), ..right.clone() },
        ClusterDescription { certificate_authority: Some("AAAA".to_owned()), ..right.clone() },
    ] {
        let clusters = ScriptClusters::new(Some(wrong));
        let error = pods(&clusters.kubernetes(), &access()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{}", causes(&error));
        assert!(clusters.credentials_for().is_empty());
    }
}

#[tokio::test]
async fn missing_credentials_are_a_denial() {
    let server = Server::always(empty()).await;
    let clusters = ScriptClusters::new(Some(server.description()));
    let kubernetes = Kubernetes::eks(calls(), clusters, |_| {
        let none = aws_credential_types::provider::error::CredentialsError::not_loaded("none");
        let provider = aws_credential_types::credential_fn::provide_credentials_fn({
            let none = std::sync::Mutex::new(Some(none));
            move || {
                let none = none.lock().unwrap().take().unwrap();
                async move { Err(none) }
            }
        });
        SharedCredentialsProvider::new(provider)
    });
    let error = pods(&kubernetes, &access()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(error.to_string(), "failed to sign a token for cluster blue");
    assert!(server.asked().is_empty());
}

/// A kubeconfig in a folder of its own, which is gone afterwards.
struct File(PathBuf);

impl File {
    fn new(test: &str, server: &Server, contexts: &[&str], current: &str) -> Self {
        let folder = std::env::temp_dir()
            .join(format!("pod-identity-kubernetes-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let contexts: Vec<_> = contexts
            .iter()
            .map(|name| json!({"name": name, "context": {"cluster": "one", "user": name}}))
            .collect();
        let users: Vec<_> = contexts
            .iter()
            .map(|context| {
                let token = format!("token-of-{}", context["name"].as_str().unwrap());
                json!({"name": context["name"], "user": {"token": token}})
            })
            .collect();
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": current,
            "contexts": contexts, "users": users,
            "clusters": [{"name": "one", "cluster": {
                "server": server.url(),
                "certificate-authority-data": STANDARD.encode(server.authority()),
            }}],
        });
        std::fs::write(folder.join("config"), text.to_string()).unwrap();
        Self(folder)
    }

    fn kubernetes(&self, context: Option<&str>) -> Kubernetes<ScriptClusters> {
        Kubernetes::kubeconfig(calls(), self.0.join("config"), context)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_kubeconfig_leads_to_the_context_that_is_named() {
    let server = Server::always(empty()).await;
    let file = File::new("named", &server, &["kind", "blue"], "blue");
    pods(&file.kubernetes(Some("kind")), &access()).await.unwrap();
    assert_eq!(server.one().authorization, "Bearer token-of-kind");
}

#[tokio::test]
async fn without_a_name_it_is_the_context_of_the_cluster_and_never_the_current_one() {
    let server = Server::always(empty()).await;
    let arn = "arn:aws:eks:eu-west-1:111122223333:cluster/blue";
    let file = File::new("arn", &server, &["blue", arn, "other"], "other");
    pods(&file.kubernetes(None), &access()).await.unwrap();
    assert_eq!(server.asked()[0].authorization, format!("Bearer token-of-{arn}"));
    let file = File::new("name", &server, &["other", "blue"], "other");
    pods(&file.kubernetes(None), &access()).await.unwrap();
    assert_eq!(server.asked()[1].authorization, "Bearer token-of-blue");

    let file = File::new("none", &server, &["other"], "other");
    let error = pods(&file.kubernetes(None), &access()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.as_ref().unwrap().contains("has no context"), "{error:?}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_kubeconfig_that_names_a_proxy_is_refused_and_not_gone_around() {
    let server = Server::always(empty()).await;
    let file = File::new("proxy", &server, &["blue"], "blue");
    let path = file.0.join("config");
    let text = std::fs::read_to_string(&path).unwrap();
    let server_entry = format!("\"server\":\"{}\"", server.url());
    let proxied = format!("{server_entry},\"proxy-url\":\"http://localhost:1\"");
    assert!(text.contains(&server_entry));
    std::fs::write(&path, text.replace(&server_entry, &proxied)).unwrap();
    let error = pods(&file.kubernetes(None), &access()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{}", causes(&error));
    assert!(causes(&error).contains("proxy"), "{}", causes(&error));
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_kubeconfig_that_is_not_there_is_invalid() {
    let kubernetes: Kubernetes<ScriptClusters> =
        Kubernetes::kubeconfig(calls(), "/nowhere/config", None);
    let error = pods(&kubernetes, &access()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.as_ref().unwrap().contains("/nowhere/config"), "{error:?}");
}

#[tokio::test]
async fn what_is_shown_of_the_clients_holds_no_secret() {
    let server = Server::always(empty()).await;
    let kubernetes = server.kubernetes();
    pods(&kubernetes, &access()).await.unwrap();
    let shown = format!("{kubernetes:?} {:?} {:?}", kubernetes.reader(), kubernetes.writer());
    assert!(!shown.contains("k8s-aws") && !shown.contains("token"), "{shown}");
}
