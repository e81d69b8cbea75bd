#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use pod_identity_engine::Calls;
use pod_identity_engine::ports::ErrorKind;
use serde_json::{Value, json};

use super::*;
use crate::script::{Reply, ScriptClusters, Server, access, calls, credentials, status};

fn query() -> PodQuery {
    PodQuery {
        namespace: "domino-compute".to_owned(),
        selector: "dominodatalab.com/workload-type in (Batch,Job)".to_owned(),
        name: None,
        limit: 250,
    }
}

fn pod(name: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "domino-compute", "uid": format!("uid-{name}"),
            "creationTimestamp": "2026-11-23T12:00:00Z",
        },
        "spec": {"serviceAccountName": "svc-etl-sa", "containers": [{"name": "run"}]},
        "status": {"phase": "Running"},
    })
}

fn list(items: Value, next: &str) -> Value {
    json!({"kind": "List", "metadata": {"resourceVersion": "7", "continue": next}, "items": items})
}

async fn refused(reply: Reply) -> PortError {
    let server = Server::always(reply).await;
    server.kubernetes().reader().pods(&access(), &query(), None).await.unwrap_err()
}

#[tokio::test]
async fn pods_are_listed_page_by_page() {
    let server = Server::start(|number, _| {
        let (name, next) = if number == 0 { ("run-1", "a+/=") } else { ("run-2", "") };
        Reply::Json(200, list(json!([pod(name)]), next))
    })
    .await;
    let reader = server.kubernetes().reader();
    let first = reader.pods(&access(), &query(), None).await.unwrap();
    assert_eq!(first.items[0].name, "run-1");
    let second = reader.pods(&access(), &query(), first.next.as_deref()).await.unwrap();
    assert_eq!(second.items[0].uid, "uid-run-2");
    assert_eq!(second.next, None);

    let asked = server.asked();
    let path = "GET /api/v1/namespaces/domino-compute/pods?limit=250\
        &labelSelector=dominodatalab.com%2Fworkload-type%20in%20%28Batch%2CJob%29";
    assert_eq!(asked[0].line, path);
    assert_eq!(asked[1].line, format!("{path}&continue=a%2B%2F%3D"));
    assert!(asked[0].authorization.starts_with("Bearer k8s-aws-v1."), "{asked:#?}");
}

#[tokio::test]
async fn no_items_are_none_only_where_the_list_says_so() {
    let server = Server::always(Reply::Json(200, list(Value::Null, ""))).await;
    let page = server.kubernetes().reader().pods(&access(), &query(), None).await.unwrap();
    assert_eq!(page, Page { items: Vec::new(), next: None });

    for odd in [json!({}), json!({"metadata": {}}), json!("ok")] {
        let error = refused(Reply::Json(200, odd)).await;
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_page_token_that_is_too_old_is_expired() {
    let said = "The provided continue parameter is too old";
    let error = refused(Reply::Json(410, status(410, "Expired", said))).await;
    assert_eq!(error.kind, ErrorKind::Expired);
    assert_eq!(error.code.as_deref(), Some("Expired"));
    assert_eq!(error.message.as_deref(), Some(said));
    assert_eq!(
        error.to_string(),
        "failed to list pods of namespace domino-compute in cluster blue"
    );
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), format!("the Kubernetes API answered 410: {said}"));
}

#[tokio::test]
async fn whoever_is_unknown_or_may_not_is_denied_and_does_not_ask_again() {
    for (code, reason) in [(401, "Unauthorized"), (403, "Forbidden")] {
        let server = Server::always(Reply::Json(code, status(code, reason, "no"))).await;
        let reader = server.kubernetes().reader();
        let error = reader.pods(&access(), &query(), None).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Denied, Some(reason)));
        server.one();
    }
}

#[tokio::test]
async fn a_read_is_repeated_as_often_as_the_settings_say() {
    for code in [429, 500, 503, 504] {
        let server = Server::always(Reply::Json(code, status(code, "Busy", "later"))).await;
        let reader = server.kubernetes().reader();
        let error = reader.pods(&access(), &query(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Passing);
        assert_eq!(server.asked().len(), 3, "{code}");
    }
}

#[tokio::test]
async fn a_throttled_read_succeeds_when_its_turn_comes() {
    let server = Server::start(|number, _| match number {
        0 => Reply::Json(429, status(429, "TooManyRequests", "too many requests")),
        _ => Reply::Json(200, list(json!([]), "")),
    })
    .await;
    server.kubernetes().reader().pods(&access(), &query(), None).await.unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_server_that_wants_longer_peace_than_a_call_may_take_is_left_alone() {
    let said = json!({
        "kind": "Status", "message": "busy", "reason": "TooManyRequests",
        "details": {"retryAfterSeconds": 60},
    });
    for reply in [Reply::Later(429, 60, json!({})), Reply::Json(429, said)] {
        let server = Server::always(reply).await;
        let reader = server.kubernetes().reader();
        let error = reader.pods(&access(), &query(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Passing);
        server.one();
    }
}

#[tokio::test]
async fn no_answer_in_time_passes() {
    let server = Server::always(Reply::Silence).await;
    let calls = Calls { timeout: Duration::from_millis(200), attempts: 2, ..calls() };
    let kubernetes =
        Kubernetes::eks(calls, ScriptClusters::new(Some(server.description())), |_| {
            aws_credential_types::provider::SharedCredentialsProvider::new(credentials(None))
        });
    let error = kubernetes.reader().pods(&access(), &query(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Passing);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_read_whose_connection_breaks_is_repeated() {
    let server = Server::start(|number, _| match number {
        0 => Reply::Hangup,
        _ => Reply::Json(200, list(json!([]), "")),
    })
    .await;
    server.kubernetes().reader().pods(&access(), &query(), None).await.unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_into_memory_is_refused() {
    let error = refused(Reply::Bytes(32 * 1024 * 1024 + 1)).await;
    assert_eq!(error.kind, ErrorKind::Invalid);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.ends_with("ask for smaller pages"), "{source}");
}

#[tokio::test]
async fn a_service_account_is_read_or_none() {
    let name = ServiceAccountRef::new("domino-compute", "svc-etl-sa").unwrap();
    let found = json!({"metadata": {
        "name": "svc-etl-sa", "namespace": "domino-compute", "uid": "u-1", "labels": {"a": "b"},
        "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/old"},
    }});
    let server = Server::always(Reply::Json(200, found)).await;
    let account =
        server.kubernetes().reader().service_account(&access(), &name).await.unwrap().unwrap();
    assert_eq!(account.uid, "u-1");
    assert_eq!(account.irsa_role(), Some("arn:aws:iam::111122223333:role/old"));
    let line = "GET /api/v1/namespaces/domino-compute/serviceaccounts/svc-etl-sa";
    assert_eq!(server.one().line, line);

    let gone = status(404, "NotFound", "serviceaccounts \"svc-etl-sa\" not found");
    let server = Server::always(Reply::Json(404, gone)).await;
    assert_eq!(server.kubernetes().reader().service_account(&access(), &name).await.unwrap(), None);

    // Something in front of Kubernetes does not know what is there.
    let server = Server::always(Reply::Text(404, "404 page not found")).await;
    let error = server.kubernetes().reader().service_account(&access(), &name).await.unwrap_err();
    assert_eq!((error.kind, error.message), (ErrorKind::NotFound, None));
}

#[tokio::test]
async fn service_accounts_are_listed_by_label() {
    let server = Server::always(Reply::Json(200, list(json!([]), "more"))).await;
    let reader = server.kubernetes().reader();
    let page = reader.service_accounts(&access(), "domino-compute", "ours=yes", Some("t")).await;
    assert_eq!(page.unwrap().next.as_deref(), Some("more"));
    let line = "GET /api/v1/namespaces/domino-compute/serviceaccounts\
        ?limit=500&labelSelector=ours%3Dyes&continue=t";
    assert_eq!(server.one().line, line);
}

#[tokio::test]
async fn mutations_are_listed_with_the_rules_that_are_about_identities() {
    let items = json!([
        {"metadata": {"name": "theirs"}, "rules": [
            {"labelSelectors": ["a in (b)"], "modifyLabel": {"key": "k"}},
            {"cloudWorkloadIdentity": {"cloud_type": "aws", "default_sa": "", "assume_sa_mapping": false,
                "user_mappings": {"svc-etl": "svc-etl-sa"}}},
        ]},
        {"metadata": {"name": "empty"}, "rules": null},
        {"metadata": {"name": "odd"}, "rules": [{"cloudWorkloadIdentity": {"cloud_type": "aws",
            "user_mappings": {"john": "sa-john", "jane": null, "joe": 7, "jim": {"a": true}}}}]},
    ]);
    let server = Server::always(Reply::Json(200, list(items, ""))).await;
    let reader = server.kubernetes().reader();
    let page = reader.mutations(&access(), "domino-platform", None).await.unwrap();
    let [theirs, empty, odd] = &page.items[..] else { panic!("{page:#?}") };
    assert_eq!((theirs.name.as_str(), empty.name.as_str()), ("theirs", "empty"));
    assert_eq!(theirs.rules[0].cloud_workload_identity, None);
    let identity = theirs.rules[1].cloud_workload_identity.as_ref().unwrap();
    assert_eq!(identity.user_mappings["svc-etl"], "svc-etl-sa");
    assert!(empty.rules.is_empty());
    // What is no text is nobody's service account, and the rest of it reads as it stands.
    let odd = &odd.rules[0].cloud_workload_identity.as_ref().unwrap().user_mappings;
    assert_eq!(odd["john"], "sa-john");
    for (name, said) in [("jane", "null"), ("joe", "7"), ("jim", "{\"a\":true}")] {
        assert_eq!(odd[name], format!("{said}, which is no text"));
    }
    let line = "GET /apis/apps.dominodatalab.com/v1alpha1/namespaces/domino-platform/mutations\
        ?limit=500";
    assert_eq!(server.one().line, line);
}

#[tokio::test]
async fn mutations_of_a_cluster_without_domsed_are_not_found() {
    for reply in [
        Reply::Text(404, "404 page not found\n"),
        Reply::Json(404, status(404, "NotFound", "the server could not find the resource")),
    ] {
        let server = Server::always(reply).await;
        let reader = server.kubernetes().reader();
        let error = reader.mutations(&access(), "domino-platform", None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert_eq!(
            error.to_string(),
            "failed to list Mutations of namespace domino-platform in cluster blue"
        );
    }
}
