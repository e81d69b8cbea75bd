//! What the Kubernetes client relies on, of any Kubernetes API: of the embedded one always, and of
//! the cluster that the variables below name, if they do, so that the embedded one is held to it.
//! Every test makes a namespace of its own and removes it.

use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use kube::api::{DeleteParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Config};
use local::wire::Wire;
use pod_identity_core::{
    CloudWorkloadIdentity, ClusterArn, Mutation, MutationRule, ServiceAccountRef,
};
use pod_identity_engine::Calls;
use pod_identity_engine::ports::{
    Admission, ClusterAccess, ClusterDescription, ClusterReader, ErrorKind, Eviction,
    KubernetesReader, KubernetesWriter, Pod, PodId, PodQuery, PortError,
};
use pod_identity_kubernetes::{KubeReader, KubeWriter, Kubernetes};
use pod_identity_world::World;
use serde_json::{Value, json};

use crate::embedded::{blue, certificates};

/// Path of the kubeconfig of a cluster to test against.
const KUBECONFIG: &str = "POD_IDENTITY_TEST_KUBECONFIG";

/// Context of it. Never the current one: it may be of a cluster that nobody meant.
const CONTEXT: &str = "POD_IDENTITY_TEST_CONTEXT";

/// What the names of namespaces that these tests make begin with. No other is ever deleted.
const PREFIX: &str = "domino-pod-identity-test-";

/// Tells apart the pods of the tests, and keeps them off every node: no image is ever pulled.
const LABEL: &str = "domino-pod-identity/test";

/// A kubeconfig knows its clusters; EKS is never asked.
struct NoEks;

#[async_trait(?Send)]
impl ClusterReader for NoEks {
    async fn cluster(&self, _: &ClusterAccess) -> Result<Option<ClusterDescription>, PortError> {
        Ok(None)
    }

    async fn addon(&self, _: &ClusterAccess, _: &str) -> Result<Option<String>, PortError> {
        Ok(None)
    }
}

/// A namespace of a test's own on a cluster, and the client under test.
struct Place {
    client: Client,
    namespace: String,
    access: ClusterAccess,
    reader: KubeReader<NoEks>,
    writer: KubeWriter<NoEks>,
}

fn api(
    client: &Client,
    namespace: Option<&str>,
    (version, kind): (&str, &str),
) -> Api<DynamicObject> {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

impl Place {
    async fn make(kubeconfig: &Path, context: &str, test: &str) -> Self {
        let file = Kubeconfig::read_from(kubeconfig).unwrap();
        let options = KubeConfigOptions { context: Some(context.to_owned()), ..Default::default() };
        let config = Config::from_custom_kubeconfig(file, &options).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let namespace =
            format!("{PREFIX}{test}-{}-{}", std::process::id(), Timestamp::now().as_millisecond());
        let body = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": namespace, "labels": { LABEL: test } },
        });
        let body = serde_json::from_value(body).unwrap();
        api(&client, None, ("v1", "Namespace"))
            .create(&PostParams::default(), &body)
            .await
            .unwrap();
        let calls = Calls {
            // A real server takes more than ten for an eviction by the uid of a pod that is gone.
            timeout: Duration::from_secs(30),
            attempts: 2,
            backoff: Duration::from_millis(50),
            backoff_max: Duration::from_millis(50),
        };
        let kubernetes = Kubernetes::kubeconfig(calls, kubeconfig, Some(context));
        let access = ClusterAccess { cluster: blue(), assume_role: None };
        let (reader, writer) = (kubernetes.reader(), kubernetes.writer());
        Self { client, namespace, access, reader, writer }
    }

    /// Deletes the namespace with all that is in it.
    async fn remove(self) {
        assert!(self.namespace.starts_with(PREFIX));
        let namespaces = api(&self.client, None, ("v1", "Namespace"));
        let removed = namespaces.delete(&self.namespace, &DeleteParams::default()).await;
        removed.unwrap_or_else(|error| {
            panic!("namespace {} is left behind, delete it by hand: {error}", self.namespace)
        });
    }

    async fn create(&self, kind: (&str, &str), mut body: Value) {
        let (version, name) = kind;
        body["apiVersion"] = json!(version);
        body["kind"] = json!(name);
        let body = serde_json::from_value(body).unwrap();
        let of_kind = api(&self.client, Some(&self.namespace), kind);
        of_kind.create(&PostParams::default(), &body).await.unwrap();
    }

    /// Makes a service account `worker` and so many of its pods.
    async fn pods(&self, count: usize) {
        self.create(("v1", "ServiceAccount"), json!({ "metadata": { "name": "worker" } })).await;
        for at in 0..count {
            let labels = json!({ LABEL: "pod", "parity": (at % 2).to_string() });
            let body = json!({
                "metadata": { "name": format!("pod-{at}"), "labels": labels },
                "spec": {
                    "serviceAccountName": "worker",
                    "nodeSelector": { LABEL: "no-node" },
                    "containers": [{ "name": "pause", "image": "registry.k8s.io/pause:3.10" }],
                },
            });
            self.create(("v1", "Pod"), body).await;
        }
    }

    async fn list(&self, selector: &str, limit: u32) -> (Vec<Pod>, usize) {
        let (namespace, selector) = (self.namespace.clone(), selector.to_owned());
        let query = PodQuery { namespace, selector, name: None, limit };
        let (mut all, mut token, mut pages) = (Vec::new(), None::<String>, 0);
        loop {
            let page = self.reader.pods(&self.access, &query, token.as_deref()).await.unwrap();
            all.extend(page.items);
            pages += 1;
            token = page.next;
            if token.is_none() {
                return (all, pages);
            }
        }
    }

    /// Names of pods that are there and not terminating.
    async fn standing(&self) -> Vec<String> {
        let (pods, _) = self.list("", 500).await;
        let standing = pods.into_iter().filter(|pod| !pod.terminating);
        standing.map(|pod| pod.name).collect()
    }

    fn account(&self, name: &str) -> ServiceAccountRef {
        ServiceAccountRef::new(&self.namespace, name).unwrap()
    }
}

fn id(pod: &Pod) -> PodId {
    PodId { namespace: pod.namespace.clone(), name: pod.name.clone(), uid: pod.uid.clone() }
}

/// Serves an embedded cluster, and writes its kubeconfig.
async fn embedded(test: &str) -> (Wire, PathBuf) {
    let mut world = World::new(1, "111122223333", Timestamp::now());
    world.add_cluster(&blue(), &[]);
    let wire = Wire::start(Arc::new(Mutex::new(world))).await.unwrap();
    wire.serve_kubernetes(&blue(), certificates()).await.unwrap();
    let text = wire.kubeconfig(&blue(), "tests").unwrap();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kubeconfig-{test}"));
    std::fs::write(&path, text).unwrap();
    (wire, path)
}

async fn at(kubeconfig: &Path, context: &str, test: &str, fact: impl AsyncFn(&Place)) {
    let place = Place::make(kubeconfig, context, test).await;
    let held = AssertUnwindSafe(fact(&place)).catch_unwind().await;
    place.remove().await;
    if let Err(broken) = held {
        resume_unwind(broken);
    }
}

/// Holds a fact against the embedded cluster, and against the one that is named.
async fn everywhere(test: &str, fact: impl AsyncFn(&Place)) {
    let cluster: ClusterArn = blue();
    let (_wire, path) = embedded(test).await;
    at(&path, cluster.name(), test, &fact).await;
    let named = |variable| std::env::var(variable).ok().filter(|value| !value.is_empty());
    if let Some(path) = named(KUBECONFIG) {
        let context = named(CONTEXT).unwrap_or_else(|| {
            panic!("{KUBECONFIG} is set without {CONTEXT}: name the context of the cluster, in which namespaces are made and removed")
        });
        at(Path::new(&path), &context, test, &fact).await;
    }
}

#[tokio::test]
async fn pages_hold_every_pod_once_and_a_selector_chooses() {
    everywhere("pages", async |place: &Place| {
        place.pods(25).await;
        let (all, pages) = place.list("", 10).await;
        let mut names: Vec<&str> = all.iter().map(|pod| pod.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!((all.len(), names.len(), pages), (25, 25, 3));
        assert!(all.iter().all(|pod| pod.service_account == "worker" && !pod.uid.is_empty()));
        let (even, _) = place.list("parity=0", 10).await;
        assert_eq!(even.len(), 13);
    })
    .await;
}

#[tokio::test]
async fn an_eviction_or_deletion_with_another_uid_takes_nobody() {
    everywhere("uids", async |place: &Place| {
        place.pods(2).await;
        let (pods, _) = place.list("", 500).await;
        let other =
            PodId { uid: "0b1e5ac0-0000-4000-8000-000000000000".to_owned(), ..id(&pods[0]) };
        let evicted = place.writer.evict(&place.access, &other, Some(1)).await.unwrap();
        assert_eq!(evicted, Eviction::Gone);
        assert!(!place.writer.delete_pod(&place.access, &other, Some(1)).await.unwrap());
        assert_eq!(place.standing().await.len(), 2);
        let evicted = place.writer.evict(&place.access, &id(&pods[0]), Some(1)).await.unwrap();
        assert_eq!(evicted, Eviction::Evicted);
        assert!(place.writer.delete_pod(&place.access, &id(&pods[1]), Some(0)).await.unwrap());
        assert_eq!(place.standing().await, Vec::<String>::new());
        let absent = PodId { name: "absent".to_owned(), ..other };
        let absent = place.writer.evict(&place.access, &absent, None).await.unwrap();
        assert_eq!(absent, Eviction::Gone);
    })
    .await;
}

/// Makes a pod run in Kubernetes' eyes: pending ones are not for budgets to keep. Answers whether
/// it does.
async fn run(place: &Place, pod: &Pod) -> bool {
    let pods = api(&place.client, Some(&place.namespace), ("v1", "Pod"));
    let phase = async || {
        let pod = pods.get(&pod.name).await.unwrap();
        pod.data["status"]["phase"].as_str().unwrap_or_default().to_owned()
    };
    if phase().await == "Running" {
        return true;
    }
    let ready = json!({ "type": "Ready", "status": "True" });
    let status = json!({ "status": { "phase": "Running", "conditions": [ready] } });
    let patch = kube::api::Patch::Merge(&status);
    let patched = pods.patch_status(&pod.name, &kube::api::PatchParams::default(), &patch).await;
    patched.is_ok() && phase().await == "Running"
}

#[tokio::test]
async fn a_budget_blocks_an_eviction_and_not_a_deletion() {
    everywhere("budgets", async |place: &Place| {
        place.pods(1).await;
        let budget = json!({
            "metadata": { "name": "keep" },
            "spec": { "minAvailable": 1, "selector": { "matchLabels": { LABEL: "pod" } } },
        });
        place.create(("policy/v1", "PodDisruptionBudget"), budget).await;
        let (pods, _) = place.list("", 500).await;
        if !run(place, &pods[0]).await {
            println!("budgets: not checked in {}: its pod does not run", place.namespace);
            return;
        }
        let blocked = place.writer.evict(&place.access, &id(&pods[0]), None).await.unwrap();
        assert!(
            matches!(&blocked, Eviction::Blocked(why) if why.contains("budget")),
            "{blocked:?}"
        );
        assert_eq!(place.standing().await.len(), 1);
        assert!(place.writer.delete_pod(&place.access, &id(&pods[0]), Some(0)).await.unwrap());
        assert_eq!(place.standing().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn a_service_account_is_made_once_and_deleted_by_its_uid() {
    everywhere("accounts", async |place: &Place| {
        let (Place { access, reader, writer, .. }, new) = (place, place.account("svc-new-sa"));
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let made = writer.create_service_account(access, &new, &labels).await.unwrap();
        assert_eq!((made.name.as_str(), &made.labels), ("svc-new-sa", &labels));
        let twice = writer.create_service_account(access, &new, &labels).await;
        assert_eq!(twice.unwrap_err().kind, ErrorKind::InUse);
        let nowhere = ServiceAccountRef::new(&format!("{PREFIX}nowhere"), "svc-new-sa").unwrap();
        let nowhere = writer.create_service_account(access, &nowhere, &labels).await;
        assert_eq!(nowhere.unwrap_err().kind, ErrorKind::NotFound);
        let found = reader.service_accounts(access, &place.namespace, "a=b", None).await.unwrap();
        assert_eq!(found.items, std::slice::from_ref(&made));
        let other = "0b1e5ac0-0000-4000-8000-000000000000";
        let other = writer.delete_service_account(access, &new, other).await;
        assert_eq!(other.unwrap_err().kind, ErrorKind::InUse);
        writer.delete_service_account(access, &new, &made.uid).await.unwrap();
        assert_eq!(reader.service_account(access, &new).await.unwrap(), None);
        writer.delete_service_account(access, &new, &made.uid).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_mutation_is_applied_and_read_back_and_never_taken_from_another() {
    everywhere("mutations", async |place: &Place| {
        let Place { access, reader, writer, namespace, .. } = place;
        let absent = reader.mutations(access, namespace, None).await;
        if matches!(&absent, Err(error) if error.kind == ErrorKind::NotFound) {
            println!("mutations: not checked in {namespace}: domsed's resource is not installed");
            return;
        }
        assert_eq!(absent.unwrap().items, []);
        let mutation = |account: &str| Mutation {
            name: "domino-pod-identity".to_owned(),
            labels: BTreeMap::new(),
            rules: vec![MutationRule {
                enabled: true,
                label_selectors: vec!["dominodatalab.com/workload-type in (Batch)".to_owned()],
                cloud_workload_identity: Some(CloudWorkloadIdentity {
                    cloud_type: "aws".to_owned(),
                    default_sa: String::new(),
                    assume_sa_mapping: false,
                    user_mappings: BTreeMap::from([("etl".to_owned(), account.to_owned())]),
                }),
                variables: BTreeSet::new(),
            }],
        };
        for account in ["svc-etl-sa", "svc-etl-sa", "svc-other-sa"] {
            writer.apply_mutation(access, namespace, &mutation(account), false).await.unwrap();
            let found = reader.mutations(access, namespace, None).await.unwrap();
            assert_eq!(found.items, [mutation(account)]);
        }
        let kind = ("apps.dominodatalab.com/v1alpha1", "Mutation");
        place.create(kind, json!({ "metadata": { "name": "other" }, "rules": [] })).await;
        let taken = Mutation { name: "other".to_owned(), ..mutation("svc-etl-sa") };
        let taken = writer.apply_mutation(access, namespace, &taken, false).await.unwrap_err();
        assert_eq!(taken.kind, ErrorKind::InUse);
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_makes_no_pod_and_tells_a_service_account_that_is_missing() {
    everywhere("dry-runs", async |place: &Place| {
        place.pods(0).await;
        let admitted = place.writer.try_pod(&place.access, &place.account("worker")).await.unwrap();
        assert!(matches!(admitted, Admission::Admitted(_)), "{admitted:?}");
        let refused = place.writer.try_pod(&place.access, &place.account("absent")).await.unwrap();
        assert!(matches!(refused, Admission::Refused(_)), "{refused:?}");
        assert_eq!(place.list("", 500).await.0, []);
    })
    .await;
}
