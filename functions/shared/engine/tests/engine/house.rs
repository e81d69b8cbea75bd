//! The inside of blue: Kubernetes with the namespaces of Domino, and what is done there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_engine::ledger::{InsideBinding, InsideCluster, inside_binding_key, inside_key};
use pod_identity_engine::ports::Key;
use pod_identity_engine::{
    DominoReport, InsideReport, InsideScope, InsideSettings, MappingSettings, Outcome,
    preview_workloads, reconcile_workloads,
};
use pod_identity_world::{Addon, Call, KubernetesRequest, Resource, Verb, World};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::scenario::{Scenario, cluster, drive};

pub(crate) const COMPUTE: &str = "domino-compute";
pub(crate) const PLATFORM: &str = "domino-platform";
pub(crate) const OURS: &str = "pod-identity";

pub(crate) struct House {
    pub(crate) scenario: Scenario,
    pub(crate) inside: InsideSettings,
}

impl House {
    /// blue and green are registered, blue has domsed and the agent, and nobody sweeps.
    pub(crate) fn new() -> Self {
        let scenario = Scenario::registered();
        {
            let mut world = scenario.ports.world();
            world.add_namespace(&cluster("blue"), COMPUTE).unwrap();
            world.add_namespace(&cluster("blue"), PLATFORM).unwrap();
            let agent = Addon { version: "v1.3.8".to_owned(), status: "ACTIVE".to_owned() };
            let blue = world.eks.cluster_mut(&cluster("blue")).unwrap();
            blue.addons.insert("eks-pod-identity-agent".to_owned(), agent);
            blue.status = "ACTIVE".to_owned();
        }
        let mapping = MappingSettings {
            namespace: PLATFORM.to_owned(),
            name: OURS.to_owned(),
            label_selectors: vec!["dominodatalab.com/workload-type in (Batch)".to_owned()],
            default_service_account: String::new(),
        };
        let inside = InsideSettings {
            namespaces: vec![COMPUTE.to_owned()],
            service_accounts: true,
            mapping: Some(mapping),
            sweep: None,
            dry_run: false,
            page: 100,
        };
        Self { scenario, inside }
    }

    /// The names are bound and have their associations.
    pub(crate) fn with(names: &[&str]) -> Self {
        let mut house = Self::new();
        names.iter().for_each(|name| house.assign(name));
        house
    }

    pub(crate) fn assign(&mut self, name: &str) {
        let event = self.scenario.assigned(name, "etl");
        Scenario::assert_outcome(&self.scenario.send(&event), Outcome::Applied);
    }

    pub(crate) fn unassign(&mut self, name: &str) {
        let event = self.scenario.unassigned(name);
        Scenario::assert_outcome(&self.scenario.send(&event), Outcome::Applied);
    }

    pub(crate) fn try_work(&mut self, deadline: Timestamp) -> Result<InsideReport, String> {
        let run = self.scenario.next_run();
        let scope = InsideScope { cluster: cluster("blue"), service_account: None, evicted: 0 };
        let (ports, settings) = (&self.scenario.ports, &self.scenario.settings);
        let work = reconcile_workloads(
            ports.workloads(&run, settings, &self.inside, deadline),
            ports.workloads_writers(),
            &scope,
        );
        drive(work, || {}).map_err(|error| error.to_string())
    }

    pub(crate) fn work(&mut self) -> InsideReport {
        self.try_work(self.scenario.in_seconds(60)).unwrap()
    }

    /// A run, and one after it that has nothing to do.
    pub(crate) fn settle(&mut self) -> DominoReport {
        let done = self.work().domino.unwrap();
        self.scenario.ports.world().calls.clear();
        let again = self.work().domino.unwrap();
        assert_eq!(again.steps, [""; 0], "{again:?}");
        assert_eq!(writes(&self.scenario.ports.world().calls), [""; 0]);
        done
    }

    pub(crate) fn preview(&mut self) -> InsideReport {
        let run = self.scenario.next_run();
        let deadline = self.scenario.in_seconds(60);
        let scope = InsideScope { cluster: cluster("blue"), service_account: None, evicted: 0 };
        let (ports, settings) = (&self.scenario.ports, &self.scenario.settings);
        let look =
            preview_workloads(ports.workloads(&run, settings, &self.inside, deadline), &scope);
        drive(look, || {}).unwrap()
    }

    pub(crate) fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.scenario.ports.world()
    }

    /// What somebody does with kubectl.
    pub(crate) fn by_hand(&self, request: KubernetesRequest) {
        let by = request.with("fieldManager", "kubectl");
        self.world().ask_kubernetes(&cluster("blue"), "somebody", by).unwrap();
    }

    /// Somebody applies a Mutation.
    pub(crate) fn apply_mutation(&self, name: &str, entries: &[(&str, &str)]) {
        let entries: BTreeMap<_, _> = entries.iter().copied().collect();
        let body = json!({
            "apiVersion": "apps.dominodatalab.com/v1alpha1",
            "kind": "Mutation",
            "metadata": { "name": name },
            "rules": [{ "labelSelectors": ["x in (y)"], "cloudWorkloadIdentity": {
                "cloud_type": "aws", "default_sa": "", "assume_sa_mapping": false,
                "user_mappings": entries,
            }}],
        });
        let request = KubernetesRequest::new(Verb::Patch, Resource::Mutations, Some(PLATFORM));
        self.by_hand(request.name(name).body(body));
    }

    pub(crate) fn delete(&self, resource: Resource, namespace: &str, name: &str) {
        self.by_hand(KubernetesRequest::new(Verb::Delete, resource, Some(namespace)).name(name));
    }

    /// Service accounts besides Kubernetes' own, with their labels.
    pub(crate) fn accounts(&self) -> BTreeMap<String, Value> {
        let mut world = self.world();
        let all = world.kubernetes(&cluster("blue")).unwrap();
        let all = all.all(Resource::ServiceAccounts, COMPUTE).map(|one| &one["metadata"]);
        all.map(|one| (one["name"].as_str().unwrap().to_owned(), one["labels"].clone()))
            .filter(|(name, _)| name != "default")
            .collect()
    }

    pub(crate) fn account_names(&self) -> Vec<String> {
        self.accounts().into_keys().collect()
    }

    /// What our Mutation maps; none when there is none.
    pub(crate) fn mapped(&self) -> Option<Value> {
        let mut world = self.world();
        let all = world.kubernetes(&cluster("blue")).unwrap();
        let ours = all.get(Resource::Mutations, PLATFORM, OURS)?;
        Some(ours["rules"][0]["cloudWorkloadIdentity"]["user_mappings"].clone())
    }

    fn item<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        let world = self.world();
        let item = world.ledger.items().find(|item| item.key == *key)?;
        Some(serde_json::from_value(item.body.clone()).unwrap())
    }

    pub(crate) fn remembered(&self, name: &str) -> InsideBinding {
        let key = inside_binding_key(&name.parse().unwrap(), &cluster("blue"));
        self.item(&key).unwrap_or_default()
    }

    pub(crate) fn remembered_cluster(&self) -> InsideCluster {
        self.item(&inside_key(&cluster("blue"))).unwrap_or_default()
    }

    /// Everything of the Domino side, without times.
    pub(crate) fn end(&self, names: &[&str]) -> Value {
        let bindings: BTreeMap<&str, InsideBinding> = names
            .iter()
            .map(|name| {
                let mut binding = self.remembered(name);
                binding.mapped_since = binding.mapped_since.map(|_| Timestamp::UNIX_EPOCH);
                (*name, binding)
            })
            .collect();
        json!([self.accounts(), self.mapped(), bindings])
    }
}

/// The calls that change something in Kubernetes.
pub(crate) fn writes(calls: &[Call]) -> Vec<&str> {
    calls
        .iter()
        .filter(|call| call.service == "kubernetes")
        .map(|call| call.operation.as_str())
        .filter(|operation| !operation.starts_with("list") && !operation.starts_with("get"))
        .collect()
}
