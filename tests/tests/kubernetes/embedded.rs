//! The Kubernetes client against the Kubernetes API of the embedded clusters, over TLS and
//! with tokens of EKS.

use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use local::wire::{Certificates, Wire};
use pod_identity_core::{
    CloudWorkloadIdentity, ClusterArn, Mutation, MutationRule, ServiceAccountRef,
};
use pod_identity_engine::Calls;
use pod_identity_engine::ports::{
    Admission, ClusterAccess, ClusterDescription, ClusterReader, ErrorKind, Eviction,
    KubernetesReader, KubernetesWriter, Pod, PodId, PodQuery, PortError,
};
use pod_identity_kubernetes::{KubeReader, KubeWriter, Kubernetes};
use pod_identity_world::{AccessRule, Budget, DominoPod, Verb, World};

const NAMESPACE: &str = "domino-compute";
const PLATFORM: &str = "domino-platform";

/// Where blue's Kubernetes API is, as EKS would tell.
#[derive(Clone)]
struct Described(ClusterDescription);

#[async_trait(?Send)]
impl ClusterReader for Described {
    async fn cluster(&self, _: &ClusterAccess) -> Result<Option<ClusterDescription>, PortError> {
        Ok(Some(self.0.clone()))
    }

    async fn addon(&self, _: &ClusterAccess, _: &str) -> Result<Option<String>, PortError> {
        Ok(None)
    }
}

struct Scene {
    wire: Wire,
    access: ClusterAccess,
    reader: KubeReader<Described>,
    writer: KubeWriter<Described>,
}

pub(crate) fn blue() -> ClusterArn {
    "arn:aws:eks:eu-west-1:111122223333:cluster/blue".parse().unwrap()
}

/// Made once: RSA keys take their time.
pub(crate) fn certificates() -> &'static Certificates {
    static CERTIFICATES: OnceLock<Certificates> = OnceLock::new();
    CERTIFICATES.get_or_init(|| Certificates::make().unwrap())
}

impl Scene {
    /// Blue with both namespaces, and a client that signs with `secret`.
    async fn signing_with(secret: &str) -> Self {
        let mut world = World::new(1, "111122223333", Timestamp::now());
        world.add_cluster(&blue(), &[]);
        for namespace in [NAMESPACE, PLATFORM] {
            world.add_namespace(&blue(), namespace).unwrap();
        }
        world.add_service_account(&blue(), NAMESPACE, "svc-etl-sa", &[]).unwrap();
        let wire = Wire::start(Arc::new(Mutex::new(world))).await.unwrap();
        let endpoint = wire.serve_kubernetes(&blue(), certificates()).await.unwrap();
        let described = Described(ClusterDescription {
            created_at: None,
            endpoint: Some(endpoint),
            certificate_authority: Some(STANDARD.encode(certificates().root_pem())),
            status: "ACTIVE".to_owned(),
            authentication_mode: None,
            auto_mode: false,
            node_role: None,
            public_endpoint: true,
            private_endpoint: true,
            version: None,
        });
        let calls = Calls {
            timeout: Duration::from_secs(5),
            attempts: 2,
            backoff: Duration::from_millis(1),
            backoff_max: Duration::from_millis(1),
        };
        let credentials = Credentials::new("LOCALWORKLOADS", secret, None, None, "test");
        let credentials = SharedCredentialsProvider::new(credentials);
        let kubernetes = Kubernetes::eks(calls, described, move |_| credentials.clone());
        let access = ClusterAccess { cluster: blue(), assume_role: None };
        Self { wire, access, reader: kubernetes.reader(), writer: kubernetes.writer() }
    }

    async fn start() -> Self {
        Self::signing_with("local").await
    }

    fn pod(&self, pod: &DominoPod) -> String {
        self.wire.world().add_domino_pod(&blue(), pod).unwrap()
    }

    async fn page(
        &self,
        limit: u32,
        page: Option<&str>,
    ) -> Result<(Vec<Pod>, Option<String>), PortError> {
        let query = PodQuery {
            namespace: NAMESPACE.to_owned(),
            selector: String::new(),
            name: None,
            limit,
        };
        let page = self.reader.pods(&self.access, &query, page).await?;
        Ok((page.items, page.next))
    }

    async fn pods(&self) -> Vec<Pod> {
        self.page(500, None).await.unwrap().0
    }
}

fn id(pod: &Pod) -> PodId {
    PodId { namespace: pod.namespace.clone(), name: pod.name.clone(), uid: pod.uid.clone() }
}

fn etl() -> DominoPod {
    DominoPod::new("svc-etl-sa", "etl")
}

fn account(name: &str) -> ServiceAccountRef {
    ServiceAccountRef::new(NAMESPACE, name).unwrap()
}

#[tokio::test]
async fn pods_come_in_pages_and_show_what_the_webhook_gave_them() {
    let scene = Scene::start().await;
    let bare = scene.pod(&etl());
    let role = "arn:aws:iam::111122223333:role/etl";
    scene.wire.world().add_foreign_association(&blue(), NAMESPACE, "svc-etl-sa", role).unwrap();
    for _ in 0..4 {
        scene.pod(&etl().owned_by("ReplicaSet"));
    }
    let (mut all, mut next) = scene.page(2, None).await.unwrap();
    let mut pages = 1;
    while let Some(token) = next {
        let (pods, after) = scene.page(2, Some(&token)).await.unwrap();
        all.extend(pods);
        next = after;
        pages += 1;
    }
    assert_eq!((all.len(), pages), (5, 3));
    for pod in all {
        assert_eq!(pod.credentials.pod_identity, pod.name != bare, "{pod:?}");
        assert_eq!(pod.owner.is_some(), pod.name != bare);
        assert_eq!(pod.labels["dominodatalab.com/workload-type"], "Batch");
    }
}

#[tokio::test]
async fn a_page_token_that_is_too_old_is_told_as_expired() {
    let scene = Scene::start().await;
    scene.wire.world().kubernetes(&blue()).unwrap().settings.tokens_survive = 1;
    for _ in 0..3 {
        scene.pod(&etl());
    }
    let (_, token) = scene.page(1, None).await.unwrap();
    for _ in 0..3 {
        scene.pod(&etl());
    }
    let error = scene.page(1, token.as_deref()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Expired);
}

#[tokio::test]
async fn an_eviction_with_a_wrong_uid_takes_nobody() {
    let scene = Scene::start().await;
    scene.pod(&etl());
    let pod = scene.pods().await.remove(0);
    let other = PodId { uid: "0b1e5ac0-0000-4000-8000-000000000000".to_owned(), ..id(&pod) };
    let evicted = scene.writer.evict(&scene.access, &other, Some(0)).await.unwrap();
    assert_eq!(evicted, Eviction::Gone);
    assert_eq!(scene.pods().await.len(), 1);
    assert!(!scene.writer.delete_pod(&scene.access, &other, None).await.unwrap());
    assert_eq!(scene.pods().await.len(), 1);
    let evicted = scene.writer.evict(&scene.access, &id(&pod), Some(30)).await.unwrap();
    assert_eq!(evicted, Eviction::Evicted);
    assert!(scene.pods().await[0].terminating);
    assert!(scene.writer.delete_pod(&scene.access, &id(&pod), Some(0)).await.unwrap());
    assert!(scene.pods().await.is_empty());
    let again = scene.writer.evict(&scene.access, &id(&pod), None).await.unwrap();
    assert_eq!(again, Eviction::Gone);
}

#[tokio::test]
async fn a_budget_blocks_an_eviction_once_and_not_a_deletion() {
    let scene = Scene::start().await;
    let name = scene.pod(&etl().owned_by("ReplicaSet"));
    {
        let mut world = scene.wire.world();
        world.kubernetes(&blue()).unwrap().settings.restarts = false;
        world.set_pod_phase(&blue(), NAMESPACE, &name, "Running").unwrap();
        let labels =
            BTreeMap::from([("dominodatalab.com/workload-type".to_owned(), "Batch".to_owned())]);
        let budget = Budget {
            namespace: NAMESPACE.to_owned(),
            name: "keep".to_owned(),
            labels,
            min_available: 1,
        };
        world.add_budget(&blue(), &budget).unwrap();
    }
    let pod = scene.pods().await.remove(0);
    let before = scene.wire.log().len();
    let blocked = scene.writer.evict(&scene.access, &id(&pod), None).await.unwrap();
    assert!(matches!(blocked, Eviction::Blocked(why) if why.contains("disruption budget")));
    assert_eq!(scene.wire.log().len(), before + 1);
    assert!(scene.writer.delete_pod(&scene.access, &id(&pod), Some(0)).await.unwrap());
    assert!(scene.pods().await.is_empty());
}

#[tokio::test]
async fn the_mutation_is_applied_and_read_back_and_applied_again() {
    let scene = Scene::start().await;
    let mutation = |role: &str| Mutation {
        name: "domino-pod-identity".to_owned(),
        labels: BTreeMap::new(),
        rules: vec![MutationRule {
            enabled: true,
            label_selectors: vec!["dominodatalab.com/workload-type in (Batch)".to_owned()],
            cloud_workload_identity: Some(CloudWorkloadIdentity {
                cloud_type: "aws".to_owned(),
                default_sa: String::new(),
                assume_sa_mapping: false,
                user_mappings: BTreeMap::from([("etl".to_owned(), role.to_owned())]),
            }),
            variables: BTreeSet::new(),
        }],
    };
    for account in ["svc-etl-sa", "svc-etl-sa", "svc-other-sa"] {
        scene
            .writer
            .apply_mutation(&scene.access, PLATFORM, &mutation(account), false)
            .await
            .unwrap();
        let found = scene.reader.mutations(&scene.access, PLATFORM, None).await.unwrap();
        assert_eq!(found.items, [mutation(account)]);
    }
    scene.wire.world().kubernetes(&blue()).unwrap().settings.has_mutations = false;
    let absent = scene.reader.mutations(&scene.access, PLATFORM, None).await.unwrap_err();
    assert_eq!(absent.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_dry_run_shows_the_credentials_and_makes_no_pod() {
    let scene = Scene::start().await;
    let role = "arn:aws:iam::111122223333:role/etl";
    scene.wire.world().add_foreign_association(&blue(), NAMESPACE, "svc-etl-sa", role).unwrap();
    let admitted = scene.writer.try_pod(&scene.access, &account("svc-etl-sa")).await.unwrap();
    assert!(matches!(admitted, Admission::Admitted(pod) if pod.credentials.pod_identity));
    let refused = scene.writer.try_pod(&scene.access, &account("svc-none-sa")).await.unwrap();
    assert!(matches!(refused, Admission::Refused(_)));
    assert!(scene.pods().await.is_empty());
}

#[tokio::test]
async fn who_may_not_is_denied_and_a_signature_with_another_secret_too() {
    let scene = Scene::start().await;
    scene.pod(&etl());
    let rules = vec![AccessRule::in_namespace(NAMESPACE, "pods", &[Verb::List])];
    {
        let mut world = scene.wire.world();
        let settings = &mut world.kubernetes(&blue()).unwrap().settings;
        settings.rules.insert("LOCALWORKLOADS".to_owned(), rules);
    }
    let pod = scene.pods().await.remove(0);
    let denied = scene.writer.evict(&scene.access, &id(&pod), None).await.unwrap_err();
    assert_eq!(denied.kind, ErrorKind::Denied);
    let thief = Scene::signing_with("guessed").await;
    assert_eq!(thief.page(1, None).await.unwrap_err().kind, ErrorKind::Denied);
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_unreachable() {
    let scene = Scene::start().await;
    scene.wire.world().kubernetes(&blue()).unwrap().settings.reachable = false;
    let error = scene.page(1, None).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Passing), "{error:?}");
}
