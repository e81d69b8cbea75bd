//! Configuration of what is done inside clusters; only the workloads function reads it.
//!
//! | variable | default | rule |
//! |---|---|---|
//! | `WORKLOADS` | `apply` | `apply` or `plan`: whether anything is written, or only said what would be done |
//! | `SERVICE_ACCOUNTS` | `create` | `create` or `off`: whether Kubernetes service accounts are made and taken back |
//! | `MAPPING` | `apply` | `apply` or `off`: whether domsed's mapping is written |
//! | `MAPPING_NAMESPACE` | `domino-platform` | namespace of the `Mutation` objects |
//! | `MAPPING_NAME` | `domino-pod-identity` | name of our own `Mutation` |
//! | `MAPPING_SELECTORS` | all workload types | label selectors with `;` between them: which execution pods are mapped |
//! | `MAPPING_DEFAULT_SERVICE_ACCOUNT` | none | Kubernetes service account of who is not mapped |
//! | `SWEEP` | `on` | `on` or `off` |
//! | `SWEEP_POLICY` | none | rules such as `changed=report,*:Workspace=report` (docs/sweep.md) |
//! | `SWEEP_SELECTOR` | none | label selector of the pods that are looked at |
//! | `SWEEP_MAX` | 50 | most evictions of one sweep |
//! | `SWEEP_MAX_PER_NAMESPACE` | 50 | most evictions in one namespace |
//! | `SWEEP_MAX_PERCENT` | 50 | 1 to 100, largest share of a namespace's pods; removals that the ledger remembers are no part of it |
//! | `SWEEP_SETTLE_SECONDS` | 30 | 1 to 600 around a change in which a pod may have seen either side |
//! | `EVICTION_GRACE_SECONDS` | the pod's own | 0 to 3600 that an evicted pod has to end |
//! | `BLOCKED_DELETE_MINUTES` | 60 | 1 to 10080; a sweep deletes a revoked pod whose eviction a budget still blocks so long after it first did; 0: never |
//! | `WORKLOAD_TYPE_LABEL` | `dominodatalab.com/workload-type` | label with the Domino workload type |
//! | `USER_LABEL` | `dominodatalab.com/starting-user-username` | label with the Domino name |
//! | `KEEP_ANNOTATION` | `domino-pod-identity/keep` | annotation by which, with `true`, a pod asks not to be evicted |
//! | `WORKLOAD_CONTAINERS` | `run` | containers that are the workload's own, by which it is judged what a pod was given; where a pod has none of them, all of its containers |
//! | `RESTARTING_KINDS` | `ReplicaSet,StatefulSet,DaemonSet,ReplicationController` | kinds of owners that start a pod again |
//! | `DRY_RUN` | `off` | `off` or `on`: whether a dry run of a pod's creation proves that a binding is effective |
//! | `KUBERNETES_PAGE` | 500 | 10 to 1000 objects of one page of a list |
//! | `KUBECONFIG` | none | file to reach clusters by, where they are not of EKS |
//! | `KUBE_CONTEXT` | none | its context, for every cluster |

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use pod_identity_core::ServiceAccountRef;
use pod_identity_core::sweep::{self, Ceilings};
use pod_identity_engine::{InsideSettings, MappingSettings, SweepSettings};

use super::SettingsError;
use super::read::Variables;

/// Values of `dominodatalab.com/workload-type` that were seen; sources disagree.
const ALL_WORKLOADS: &str =
    "dominodatalab.com/workload-type in (Workspace,Batch,Scheduled,Job,App,ModelAPI)";

/// The configuration of what is done inside clusters.
#[derive(Debug, Clone)]
pub struct WorkloadSettings {
    /// Whether nothing is written, and only said what would be done.
    pub plan_only: bool,
    /// Whether Kubernetes service accounts that bindings need are made.
    pub service_accounts: bool,
    /// How Domino names are mapped; not at all when absent.
    pub mapping: Option<MappingSettings>,
    /// How stale pods are looked for, but for the namespaces; not at all when absent.
    pub sweep: Option<SweepSettings>,
    /// Whether a dry run of a pod's creation proves that a binding is effective.
    pub dry_run: bool,
    /// Most objects of one page of a list.
    pub page: u32,
    /// A kubeconfig to reach clusters by, instead of EKS.
    pub kubeconfig: Option<PathBuf>,
    /// Its context, for every cluster.
    pub context: Option<String>,
}

impl WorkloadSettings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn from_env() -> Result<Self, SettingsError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads variables from anywhere. An empty variable counts as absent.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut vars = Variables { get, problems: Vec::new() };
        let plan_only = vars.choice("WORKLOADS", &[("apply", false), ("plan", true)]);
        let service_accounts = vars.choice("SERVICE_ACCOUNTS", &[("create", true), ("off", false)]);
        let maps = vars.choice("MAPPING", &[("apply", true), ("off", false)]);
        let mapping = mapping(&mut vars);
        let sweeps = vars.choice("SWEEP", &[("on", true), ("off", false)]);
        let sweep = sweep(&mut vars);
        let dry_run = vars.choice("DRY_RUN", &[("off", false), ("on", true)]);
        let page = vars.number("KUBERNETES_PAGE", 500, 10..=1000);
        let kubeconfig = vars.value("KUBECONFIG").map(PathBuf::from);
        let context = vars.value("KUBE_CONTEXT");
        if !vars.problems.is_empty() {
            return Err(SettingsError { problems: vars.problems });
        }
        Ok(Self {
            plan_only,
            service_accounts,
            mapping: maps.then_some(mapping),
            sweep: sweeps.then_some(sweep),
            dry_run,
            page,
            kubeconfig,
            context,
        })
    }

    /// The part of the settings that the engine needs, for these namespaces.
    #[must_use]
    pub fn inside(&self, namespaces: &[String]) -> InsideSettings {
        let sweep = self.sweep.clone().map(|mut sweep| {
            sweep.rules.namespaces = namespaces.iter().cloned().collect();
            sweep
        });
        InsideSettings {
            namespaces: namespaces.to_vec(),
            service_accounts: self.service_accounts,
            mapping: self.mapping.clone(),
            sweep,
            dry_run: self.dry_run,
            page: self.page,
        }
    }
}

fn mapping<G: Fn(&str) -> Option<String>>(vars: &mut Variables<G>) -> MappingSettings {
    let namespace = vars.text(
        "MAPPING_NAMESPACE",
        "domino-platform",
        "a Kubernetes namespace, an RFC 1123 label",
        |text| ServiceAccountRef::new(text, "any").is_ok(),
    );
    let name = vars.text(
        "MAPPING_NAME",
        "domino-pod-identity",
        "the name of a Kubernetes object (RFC 1123)",
        |text| ServiceAccountRef::new("any", text).is_ok(),
    );
    let selectors = vars.text("MAPPING_SELECTORS", ALL_WORKLOADS, "", |_| true);
    let selectors = selectors.split(';').map(str::trim).filter(|one| !one.is_empty());
    let default_service_account = vars.text(
        "MAPPING_DEFAULT_SERVICE_ACCOUNT",
        "",
        "the name of a Kubernetes service account (RFC 1123)",
        |text| ServiceAccountRef::new("any", text).is_ok(),
    );
    MappingSettings {
        namespace,
        name,
        label_selectors: selectors.map(str::to_owned).collect(),
        default_service_account,
    }
}

fn sweep<G: Fn(&str) -> Option<String>>(vars: &mut Variables<G>) -> SweepSettings {
    let mut rules = sweep::Settings::new([]);
    if let Some(text) = vars.value("SWEEP_POLICY") {
        match text.parse() {
            Ok(policy) => rules.policy = policy,
            Err(error) => vars.problem(
                "SWEEP_POLICY",
                format!("rules with commas between them ({error})"),
                Some(&text),
            ),
        }
    }
    let Ceilings { per_sweep, per_namespace, share_percent, share_from } = Ceilings::default();
    let least = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let per_sweep = vars.number("SWEEP_MAX", least(per_sweep), 0..=10_000);
    let per_namespace = vars.number("SWEEP_MAX_PER_NAMESPACE", least(per_namespace), 0..=10_000);
    let percent = vars.number("SWEEP_MAX_PERCENT", share_percent.into(), 1..=100);
    let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    rules.ceilings = Ceilings {
        per_sweep: size(per_sweep),
        per_namespace: size(per_namespace),
        share_percent: u8::try_from(percent).unwrap_or(share_percent),
        share_from,
    };
    let grace = vars.number("SWEEP_SETTLE_SECONDS", 30, 1..=600);
    rules.grace = SignedDuration::from_secs(grace.into());
    for (name, label) in [
        ("WORKLOAD_TYPE_LABEL", &mut rules.workload_label),
        ("USER_LABEL", &mut rules.user_label),
        ("KEEP_ANNOTATION", &mut rules.keep_annotation),
    ] {
        *label =
            vars.text(name, label, "a Kubernetes label key, such as `example.com/name`", is_key);
    }
    let containers = vars.list("WORKLOAD_CONTAINERS");
    if !containers.is_empty() {
        rules.workload_containers = containers.into_iter().collect();
    }
    let kinds = vars.list("RESTARTING_KINDS");
    if !kinds.is_empty() {
        rules.restarting = kinds.into_iter().collect();
    }
    let selector = vars.text("SWEEP_SELECTOR", "", "", |_| true);
    let grace_seconds = vars
        .value("EVICTION_GRACE_SECONDS")
        .map(|_| vars.number("EVICTION_GRACE_SECONDS", 30, 0..=3600));
    let minutes = vars.number("BLOCKED_DELETE_MINUTES", 60, 0..=10_080);
    let delete_after = (minutes > 0).then(|| Duration::from_secs(u64::from(minutes) * 60));
    SweepSettings { rules, selector, grace_seconds, delete_after }
}

/// A label's or annotation's key: a name of at most 63 characters, perhaps behind a domain.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
fn is_key(text: &str) -> bool {
    let (prefix, name) = text.rsplit_once('/').unwrap_or(("x", text));
    let is_name = |part: &str| {
        let edges = [part.bytes().next(), part.bytes().last()];
        edges.iter().all(|edge| edge.is_some_and(|b| b.is_ascii_alphanumeric()))
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    is_name(name) && name.len() <= 63 && is_name(prefix) && prefix.len() <= 253
}
