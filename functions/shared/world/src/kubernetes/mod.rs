//! The Kubernetes API of each cluster: what goes through it and what its controllers do.
//!
//! Objects are the JSON that goes over the wire. Every operation follows the real API server:
//! consistent pages, preconditions, grace periods, budgets, field managers, `Status` objects.
//! Not here: watches, `PUT`, and what a namespace does while it goes.

mod access;
mod apply;
mod create;
mod delete;
mod discovery;
mod evict;
mod fields;
mod fixtures;
mod list;
mod patch;
mod pods;
mod request;
mod resource;
mod schema;
mod selector;
mod status;
mod store;
#[cfg(test)]
mod tests;
mod webhook;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::ClusterArn;
use serde_json::{Value, json};

pub use access::AccessRule;
pub use fixtures::{Budget, DominoPod};
pub use request::{KubernetesRequest, PatchKind, Verb};
pub use resource::Resource;
pub(crate) use status::DISRUPTION_BUDGET;
pub use status::{ApiStatus, LATE};

use crate::random::Random;
use crate::world::World;
use store::{Change, Key};

/// Habits of one cluster's Kubernetes, which tests may change at any time.
#[derive(Debug, Clone)]
pub struct KubernetesSettings {
    /// Whether connections can be made.
    pub reachable: bool,
    /// The users that the cluster knows; all when absent. Others get 401: no access entry.
    pub users: Option<BTreeSet<String>>,
    /// What users may do; one that is not here may do everything.
    pub rules: BTreeMap<String, Vec<AccessRule>>,
    /// Whether domsed's custom resource is installed.
    pub has_mutations: bool,
    /// Whether domsed's definition is an older one, which does not know `assume_sa_mapping`.
    pub old_mutations: bool,
    /// Whether domsed's definition was installed just now: the server answers 429 for a while.
    pub mutations_initialize: bool,
    /// Most objects of a resource in a namespace, by namespace and plural.
    pub quotas: BTreeMap<(String, String), usize>,
    /// How many changes of objects a page token survives.
    pub tokens_survive: usize,
    /// Whether a pod of a `ReplicaSet` is started again under another name when it goes.
    pub restarts: bool,
    /// How long a pod is pending.
    pub starts_after: SignedDuration,
    /// Whether EKS's webhook answers. Its failure policy is `Ignore`: without it pods come up
    /// without credentials.
    pub webhook: bool,
    /// Whether unknown fields are always rejected. The real server does so only when it is asked
    /// (`fieldValidation=Strict`), and drops them otherwise.
    pub strict: bool,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            reachable: true,
            users: None,
            rules: BTreeMap::new(),
            has_mutations: true,
            old_mutations: false,
            mutations_initialize: false,
            quotas: BTreeMap::new(),
            tokens_survive: 1_000,
            restarts: true,
            starts_after: SignedDuration::ZERO,
            webhook: true,
            strict: true,
        }
    }
}

/// One cluster's Kubernetes.
#[derive(Debug, Clone)]
pub struct KubernetesCluster {
    /// Habits.
    pub settings: KubernetesSettings,
    objects: BTreeMap<Key, Arc<Value>>,
    version: u64,
    changes: VecDeque<Change>,
    /// Pods that are pending, and until when.
    starting: BTreeMap<Key, Timestamp>,
    /// Pods that are terminating, and when they go.
    ending: BTreeMap<Key, Timestamp>,
    /// What `ReplicaSets` make their pods from, by namespace and name.
    templates: BTreeMap<(String, String), Value>,
    random: Random,
}

/// What an operation knows of the world around the cluster.
struct Moment<'a> {
    now: Timestamp,
    region: &'a str,
    user: &'a str,
    /// Whether an association of a namespace and service account is visible.
    associated: &'a dyn Fn(&str, &str) -> bool,
}

/// HTTP status and body of a success.
type Reply = Result<(u16, Value), ApiStatus>;

impl KubernetesCluster {
    pub(crate) fn new(seed: u64, cluster: &ClusterArn, now: Timestamp) -> Self {
        // Of its own, so that the ids of everything else do not depend on Kubernetes.
        let seed = cluster.to_string().bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        let mut api = Self {
            settings: KubernetesSettings::default(),
            objects: BTreeMap::new(),
            version: 1_000,
            changes: VecDeque::new(),
            starting: BTreeMap::new(),
            ending: BTreeMap::new(),
            templates: BTreeMap::new(),
            random: Random::new(seed),
        };
        for name in ["default", "kube-system"] {
            api.put_namespace(name, json!({ "metadata": {} }), now);
        }
        api
    }

    /// An object as it is.
    #[must_use]
    pub fn get(&self, resource: Resource, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&Key::new(resource, namespace, name)).map(Arc::as_ref)
    }

    /// All objects of a resource in a namespace, by name.
    pub fn all(&self, resource: Resource, namespace: &str) -> impl Iterator<Item = &Value> {
        self.range(resource, Some(namespace)).map(|(_, value)| value.as_ref())
    }

    /// The number of the latest change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    fn answer(&mut self, mut request: KubernetesRequest, moment: &Moment<'_>) -> Reply {
        if request.resource == Resource::Mutations && !self.settings.has_mutations {
            return Err(ApiStatus::page_not_found());
        }
        if request.resource == Resource::Mutations && self.settings.mutations_initialize {
            let words = "storage is (re)initializing";
            let mut status = ApiStatus::new(429, "TooManyRequests", words);
            status.details = json!({ "retryAfterSeconds": 1 });
            return Err(status);
        }
        self.authorize(&request, moment.user)?;
        if matches!(request.verb, Verb::Create | Verb::Delete)
            || (request.verb == Verb::Patch && request.patch == PatchKind::Apply)
        {
            let strict = self.is_strict(&request);
            schema::check(&mut request, strict, self.settings.old_mutations)?;
        }
        if request.is_dry_run()? {
            // What is done to a copy is not kept.
            return self.clone().act(&request, moment);
        }
        self.act(&request, moment)
    }

    fn act(&mut self, request: &KubernetesRequest, moment: &Moment<'_>) -> Reply {
        match (request.verb, request.patch) {
            (Verb::Get, _) => {
                let key = Key::of(request);
                let found = self.objects.get(&key).ok_or_else(|| key.not_found())?;
                Ok((200, self.shown(&key, found)))
            }
            (Verb::List, _) => self.list(request),
            (Verb::Create, _) if request.eviction => self.evict(request, moment),
            (Verb::Create, _) => self.create(request, moment),
            (Verb::Delete, _) => self.delete(request, moment),
            (Verb::Patch, PatchKind::Apply) => self.apply(request, moment),
            (Verb::Patch, PatchKind::Merge) => self.merge(request, moment),
        }
    }

    fn is_strict(&self, request: &KubernetesRequest) -> bool {
        self.settings.strict || request.parameter("fieldValidation") == Some("Strict")
    }

    /// Lets time pass: pods start, and those whose grace period is over go.
    fn settle(&mut self, now: Timestamp) {
        self.start_pods(now);
        self.remove_terminated(now);
    }
}

impl World {
    /// The Kubernetes of a cluster, if there is such a cluster, at the time that it is.
    pub fn kubernetes(&mut self, cluster: &ClusterArn) -> Option<&mut KubernetesCluster> {
        let api = self.kubernetes.get_mut(cluster)?;
        api.settle(self.now);
        Some(api)
    }

    /// A request of a user to the Kubernetes API of a cluster. Answers HTTP status and body.
    ///
    /// # Errors
    /// What the API server answers instead: a `Status`. Code 0 when no connection can be made,
    /// or there is no such cluster.
    pub fn ask_kubernetes(
        &mut self,
        cluster: &ClusterArn,
        user: &str,
        request: KubernetesRequest,
    ) -> Result<(u16, Value), ApiStatus> {
        let Some(api) = self.kubernetes.get_mut(cluster).filter(|api| api.settings.reachable)
        else {
            return Err(ApiStatus::unreachable(cluster.name()));
        };
        api.settle(self.now);
        api.authenticate(user)?;
        let (eks, now) = (&self.eks, self.now);
        let associated = |namespace: &str, name: &str| eks.shows(cluster, namespace, name, now);
        let moment = Moment { now, region: cluster.region(), user, associated: &associated };
        api.answer(request, &moment)
    }
}

/// A time as Kubernetes writes it: whole seconds.
fn time(now: Timestamp) -> Value {
    json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// A time as Kubernetes wrote it.
fn read_time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}
