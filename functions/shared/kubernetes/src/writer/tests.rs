#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::Duration;

use pod_identity_core::{CloudWorkloadIdentity, MutationRule};
use pod_identity_engine::Calls;

use super::*;
use crate::script::{Reply, ScriptClusters, Server, access, calls, credentials, status};

const POD: &str = "/api/v1/namespaces/domino-compute/pods/run-1";

fn id() -> PodId {
    PodId {
        namespace: "domino-compute".to_owned(),
        name: "run-1".to_owned(),
        uid: "uid-1".to_owned(),
    }
}

fn name() -> ServiceAccountRef {
    ServiceAccountRef::new("domino-compute", "svc-etl-sa").unwrap()
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/managed-by".to_owned(), FIELD_MANAGER.to_owned())])
}

fn success() -> Reply {
    Reply::Json(201, json!({"kind": "Status", "status": "Success"}))
}

async fn evict(reply: Reply) -> Result<Eviction, PortError> {
    let server = Server::always(reply).await;
    let outcome = server.kubernetes().writer().evict(&access(), &id(), Some(30)).await;
    server.one();
    outcome
}

/// As Kubernetes words it where an eviction deletes, and where a deletion begins.
fn other_uid() -> [Value; 2] {
    [
        "Operation cannot be fulfilled on pods \"run-1\": the UID in the precondition (uid-1) does \
         not match the UID in record (uid-2). The object might have been deleted and then recreated",
        "Operation cannot be fulfilled on pods \"run-1\": Precondition failed: UID in precondition: \
         uid-1, UID in object meta: uid-2",
    ]
    .map(|said| status(409, "Conflict", said))
}

fn raced() -> Value {
    let said = "Operation cannot be fulfilled on poddisruptionbudgets.policy \"b\": the object has \
                been modified; please apply your changes to the latest version and try again";
    status(409, "Conflict", said)
}

#[tokio::test]
async fn an_eviction_carries_the_uid_and_the_grace_period_in_its_delete_options() {
    let server = Server::always(success()).await;
    let writer = server.kubernetes().writer();
    assert_eq!(writer.evict(&access(), &id(), Some(30)).await.unwrap(), Eviction::Evicted);
    assert_eq!(writer.evict(&access(), &id(), None).await.unwrap(), Eviction::Evicted);
    let asked = server.asked();
    let strict = "fieldManager=domino-pod-identity&fieldValidation=Strict";
    assert_eq!(asked[0].line, format!("POST {POD}/eviction?{strict}"));
    assert_eq!(asked[0].content_type, "application/json");
    assert!(asked[0].authorization.starts_with("Bearer k8s-aws-v1."));
    let mut expected = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "run-1", "namespace": "domino-compute"},
        "deleteOptions": {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": "uid-1"},
            "gracePeriodSeconds": 30,
        },
    });
    assert_eq!(asked[0].body, expected);
    expected["deleteOptions"].as_object_mut().unwrap().remove("gracePeriodSeconds");
    assert_eq!(asked[1].body, expected);
}

#[tokio::test]
async fn a_pod_that_is_gone_or_replaced_is_gone() {
    let gone = status(404, "NotFound", "pods \"run-1\" not found");
    assert_eq!(evict(Reply::Json(404, gone)).await.unwrap(), Eviction::Gone);
    for replaced in other_uid() {
        assert_eq!(evict(Reply::Json(409, replaced)).await.unwrap(), Eviction::Gone);
    }
    let error = evict(Reply::Text(404, "no backend")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "this was not Kubernetes");
}

#[tokio::test]
async fn a_budget_blocks_and_tells_its_reason() {
    let mut said = status(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
    );
    said["details"] = json!({"causes": [{
        "reason": "DisruptionBudget",
        "message": "The disruption budget web needs 2 healthy pods and has 2 currently",
    }]});
    let outcome = evict(Reply::Later(429, 10, said)).await.unwrap();
    let words = "Cannot evict pod as it would violate the pod's disruption budget. The disruption \
                 budget web needs 2 healthy pods and has 2 currently";
    assert_eq!(outcome, Eviction::Blocked(words.to_owned()));

    let words = "This pod has more than one PodDisruptionBudget, which the eviction subresource \
                 does not support.";
    let outcome = evict(Reply::Json(500, status(500, "InternalError", words))).await.unwrap();
    assert_eq!(outcome, Eviction::Blocked(words.to_owned()));
}

#[tokio::test]
async fn a_throttled_or_failed_eviction_passes_and_is_not_repeated() {
    for reply in [
        Reply::Later(429, 1, status(429, "TooManyRequests", "too many requests")),
        Reply::Json(500, status(500, "InternalError", "etcd")),
        Reply::Text(503, "no backend"),
        Reply::Json(409, raced()),
    ] {
        let error = evict(reply).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Passing, "{error:?}");
        assert_eq!(error.to_string(), "failed to evict pod domino-compute/run-1 in cluster blue");
    }
}

#[tokio::test]
async fn an_eviction_without_an_answer_passes_because_it_may_have_happened() {
    let server = Server::always(Reply::Silence).await;
    let calls = Calls { timeout: Duration::from_millis(200), ..calls() };
    let kubernetes =
        Kubernetes::eks(calls, ScriptClusters::new(Some(server.description())), |_| {
            aws_credential_types::provider::SharedCredentialsProvider::new(credentials(None))
        });
    let error = kubernetes.writer().evict(&access(), &id(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Passing);
    server.one();
}

#[tokio::test]
async fn an_eviction_whose_connection_breaks_passes_and_is_not_sent_again() {
    let server = Server::start(|number, _| match number {
        0 => success(),
        _ => Reply::Hangup,
    })
    .await;
    let writer = server.kubernetes().writer();
    writer.evict(&access(), &id(), None).await.unwrap();
    // Once over a connection that was kept, once over a new one.
    for asked in [2, 3] {
        let error = writer.evict(&access(), &id(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Passing, "{error:?}");
        assert_eq!(server.asked().len(), asked);
    }
}

#[tokio::test]
async fn a_forbidden_eviction_is_denied() {
    let error = evict(Reply::Json(403, status(403, "Forbidden", "no"))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
}

#[tokio::test]
async fn a_pod_is_deleted_by_its_uid() {
    for (reply, expected) in [
        (Reply::Json(200, json!({})), true),
        (Reply::Json(404, status(404, "NotFound", "pods \"run-1\" not found")), false),
        (Reply::Json(409, other_uid()[1].clone()), false),
    ] {
        let server = Server::always(reply).await;
        let writer = server.kubernetes().writer();
        assert_eq!(writer.delete_pod(&access(), &id(), Some(0)).await.unwrap(), expected);
        let one = server.one();
        assert_eq!(one.line, format!("DELETE {POD}"));
        assert_eq!(one.body["preconditions"], json!({"uid": "uid-1"}));
        assert_eq!(one.body["gracePeriodSeconds"], 0);
    }
    let server = Server::always(Reply::Json(409, raced())).await;
    let error = server.kubernetes().writer().delete_pod(&access(), &id(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Passing);
}

#[tokio::test]
async fn a_service_account_is_made_with_its_labels() {
    let made = json!({"metadata": {
        "name": "svc-etl-sa", "namespace": "domino-compute", "uid": "u-1", "labels": labels(),
    }});
    let server = Server::always(Reply::Json(201, made)).await;
    let writer = server.kubernetes().writer();
    let account = writer.create_service_account(&access(), &name(), &labels()).await.unwrap();
    assert_eq!((account.uid.as_str(), account.labels), ("u-1", labels()));
    let one = server.one();
    assert_eq!(
        one.line,
        "POST /api/v1/namespaces/domino-compute/serviceaccounts\
         ?fieldManager=domino-pod-identity&fieldValidation=Strict"
    );
    assert_eq!(one.body["metadata"]["labels"], json!(labels()));
    assert_eq!(one.body["metadata"]["name"], "svc-etl-sa");
}

#[tokio::test]
async fn a_service_account_that_exists_or_whose_namespace_does_not_is_told_apart() {
    for (code, reason, kind) in
        [(409, "AlreadyExists", ErrorKind::InUse), (404, "NotFound", ErrorKind::NotFound)]
    {
        let server = Server::always(Reply::Json(code, status(code, reason, "said"))).await;
        let writer = server.kubernetes().writer();
        let error = writer.create_service_account(&access(), &name(), &labels()).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (kind, Some(reason)));
        assert_eq!(
            error.to_string(),
            "failed to create service account domino-compute/svc-etl-sa in cluster blue"
        );
        server.one();
    }
}

#[tokio::test]
async fn only_the_service_account_of_the_uid_is_deleted() {
    let gone = status(404, "NotFound", "serviceaccounts \"svc-etl-sa\" not found");
    for reply in [Reply::Json(200, json!({})), Reply::Json(404, gone)] {
        let server = Server::always(reply).await;
        let writer = server.kubernetes().writer();
        writer.delete_service_account(&access(), &name(), "u-1").await.unwrap();
        let one = server.one();
        let line = "DELETE /api/v1/namespaces/domino-compute/serviceaccounts/svc-etl-sa";
        assert_eq!(one.line, line);
        assert_eq!(one.body["preconditions"]["uid"], "u-1");
    }
    for (said, kind) in [(other_uid()[1].clone(), ErrorKind::InUse), (raced(), ErrorKind::Passing)]
    {
        let server = Server::always(Reply::Json(409, said)).await;
        let writer = server.kubernetes().writer();
        let error = writer.delete_service_account(&access(), &name(), "u-1").await.unwrap_err();
        assert_eq!(error.kind, kind);
    }
}

fn mutation() -> Mutation {
    Mutation {
        name: "domino-pod-identity".to_owned(),
        labels: BTreeMap::from([(
            "app.kubernetes.io/managed-by".to_owned(),
            "domino-pod-identity".to_owned(),
        )]),
        rules: vec![MutationRule {
            enabled: true,
            label_selectors: vec!["dominodatalab.com/workload-type in (Batch)".to_owned()],
            cloud_workload_identity: Some(CloudWorkloadIdentity {
                cloud_type: "aws".to_owned(),
                default_sa: String::new(),
                assume_sa_mapping: false,
                user_mappings: BTreeMap::from([("svc-etl".to_owned(), "svc-etl-sa".to_owned())]),
            }),
            variables: BTreeSet::new(),
        }],
    }
}

#[tokio::test]
async fn a_mutation_is_applied_with_our_field_manager_and_forced_only_where_that_is_asked() {
    let server = Server::always(Reply::Json(200, json!({}))).await;
    let writer = server.kubernetes().writer();
    writer.apply_mutation(&access(), "domino-platform", &mutation(), false).await.unwrap();
    let one = server.one();
    assert_eq!(
        one.line,
        "PATCH /apis/apps.dominodatalab.com/v1alpha1/namespaces/domino-platform/mutations/\
         domino-pod-identity?fieldManager=domino-pod-identity&fieldValidation=Strict"
    );
    assert_eq!(one.content_type, "application/apply-patch+yaml");
    assert_eq!(
        one.body,
        json!({
            "apiVersion": "apps.dominodatalab.com/v1alpha1",
            "kind": "Mutation",
            "metadata": {
                "name": "domino-pod-identity",
                "namespace": "domino-platform",
                "labels": {"app.kubernetes.io/managed-by": "domino-pod-identity"},
            },
            "rules": [{
                "labelSelectors": ["dominodatalab.com/workload-type in (Batch)"],
                "cloudWorkloadIdentity": {
                    "cloud_type": "aws",
                    "default_sa": "",
                    "user_mappings": {"svc-etl": "svc-etl-sa"},
                },
            }],
        })
    );
    let server = Server::always(Reply::Json(200, json!({}))).await;
    let writer = server.kubernetes().writer();
    writer.apply_mutation(&access(), "domino-platform", &mutation(), true).await.unwrap();
    assert!(server.one().line.ends_with("&fieldValidation=Strict&force=true"));
}

#[tokio::test]
async fn a_field_that_somebody_else_owns_is_in_use_in_the_words_of_the_server() {
    let words = "Apply failed with 1 conflict: conflict with \"kubectl\": .rules";
    let mut said = status(409, "Conflict", words);
    said["details"] = json!({"causes": [{
        "reason": "FieldManagerConflict", "message": "conflict with \"kubectl\"", "field": ".rules",
    }]});
    let server = Server::always(Reply::Json(409, said)).await;
    let writer = server.kubernetes().writer();
    let error =
        writer.apply_mutation(&access(), "domino-platform", &mutation(), false).await.unwrap_err();
    assert_eq!((error.kind, error.message.as_deref()), (ErrorKind::InUse, Some(words)));
    assert_eq!(
        error.to_string(),
        "failed to apply Mutation domino-platform/domino-pod-identity in cluster blue"
    );
}

const NOT_DECLARED: &str = "failed to create typed patch object (domino-platform/domino-pod-identity; \
    apps.dominodatalab.com/v1alpha1, Kind=Mutation): .rules[0].cloudWorkloadIdentity.assume_sa_mapping: \
    field not declared in schema";

#[tokio::test]
async fn a_mutation_without_domsed_is_not_found_and_an_unknown_field_is_invalid() {
    for (reply, kind) in [
        (Reply::Text(404, "404 page not found"), ErrorKind::NotFound),
        (Reply::Json(400, status(400, "BadRequest", "unknown field")), ErrorKind::Invalid),
        // A real server says so of a field that the definition does not have, and gives no reason.
        (Reply::Json(500, status(500, "", NOT_DECLARED)), ErrorKind::Invalid),
        (
            Reply::Json(500, status(500, "InternalError", "etcdserver: no leader")),
            ErrorKind::Passing,
        ),
    ] {
        let server = Server::always(reply).await;
        let writer = server.kubernetes().writer();
        let error = writer.apply_mutation(&access(), "domino-platform", &mutation(), false).await;
        assert_eq!(error.unwrap_err().kind, kind);
    }
}

#[tokio::test]
async fn a_pod_is_tried_without_being_made() {
    let server = Server::start(|_, asked| {
        let mut pod = asked.body.clone();
        pod["metadata"]["name"] = json!("pod-identity-check-abcde");
        pod["metadata"]["uid"] = json!("u-1");
        pod["metadata"]["creationTimestamp"] = json!("2026-11-23T12:00:00Z");
        pod["spec"]["containers"][0]["env"] = json!([{
            "name": "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "value": "http://169.254.170.23/v1/credentials",
        }]);
        pod["spec"]["containers"][0]["volumeMounts"] =
            json!([{"name": "eks-pod-identity-token", "mountPath": "/x"}]);
        pod["spec"]["volumes"] = json!([{"name": "eks-pod-identity-token", "projected": {
            "sources": [{"serviceAccountToken": {"audience": "pods.eks.amazonaws.com"}}],
        }}]);
        Reply::Json(201, pod)
    })
    .await;
    let outcome = server.kubernetes().writer().try_pod(&access(), &name()).await.unwrap();
    let Admission::Admitted(pod) = outcome else { panic!("{outcome:?}") };
    assert!(pod.credentials.pod_identity);
    assert_eq!(pod.service_account, "svc-etl-sa");
    let one = server.one();
    assert_eq!(
        one.line,
        "POST /api/v1/namespaces/domino-compute/pods?dryRun=All\
         &fieldManager=domino-pod-identity&fieldValidation=Strict"
    );
    // What the restricted Pod Security Standard asks for.
    let spec = &one.body["spec"];
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &spec["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["capabilities"]["drop"], json!(["ALL"]));
}

#[tokio::test]
async fn what_admission_refuses_is_told_from_what_we_may_not_do() {
    let pods = "pods \"pod-identity-check-abcde\" is forbidden";
    for (code, said) in [
        (403, format!("{pods}: violates PodSecurity \"restricted:latest\"")),
        (403, format!("{pods}: error looking up service account domino-compute/svc-etl-sa")),
        (400, "admission webhook \"images.example\" denied the request: no such image".to_owned()),
    ] {
        let server = Server::always(Reply::Json(code, status(code, "Forbidden", &said))).await;
        let outcome = server.kubernetes().writer().try_pod(&access(), &name()).await.unwrap();
        assert_eq!(outcome, Admission::Refused(said));
    }
    let said = "pods is forbidden: User \"workloads\" cannot create resource \"pods\" in API group \
                \"\" in the namespace \"domino-compute\"";
    for reply in [
        Reply::Json(403, status(403, "Forbidden", said)),
        Reply::Json(401, status(401, "Unauthorized", "Unauthorized")),
        Reply::Text(403, "not from here"),
    ] {
        let server = Server::always(reply).await;
        let error = server.kubernetes().writer().try_pod(&access(), &name()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied);
    }
}
