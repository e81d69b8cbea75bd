//! Why a service account, or a pod, can or cannot act as its role: the whole chain, link by link.
//!
//! What is read is [`evidence`]; everything behind that is decided without asking anybody.

mod evidence;
mod ledger;
mod line;
mod outside;
mod pods;
mod remediations;
mod within;

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt, TryStreamExt};
use pod_identity_core::{ClusterArn, Clusters, DominoName, Pod};
use pod_identity_engine::ledger::{BindingRecord, Condition, Registry};
use pod_identity_engine::{Error, chain};
use serde::Deserialize;
use serde_json::json;

use crate::answer::{Answer, Refusal};
use crate::context::AdminContext;
use crate::lists;
use crate::request::{Action, Request};
use evidence::ExplainEvidence;
use line::{Checklist, Link};

pub(super) const ACTION: Action = Action {
    name: "explain",
    what: "why a service account, or a pod, can or cannot act as its role: every link of the chain, with evidence and the remediation",
    fields: &[
        ("serviceAccount", "a Domino service account, or"),
        ("pod", "name of a pod, with `cluster`"),
        ("cluster", "optional: only this cluster, by name or ARN"),
        ("namespace", "optional, of the pod; all in which executions run by default"),
    ],
    changes: false,
    example: include_str!("../../../../../events/samples/admin/explain.json"),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ExplainParams {
    service_account: Option<DominoName>,
    pod: Option<String>,
    cluster: Option<String>,
    namespace: Option<String>,
}

pub(super) async fn answer(admin: &AdminContext<'_>, request: &Request) -> Result<Answer, Refusal> {
    let params: ExplainParams = request.fields()?;
    let registry = admin.registry().await?;
    let bindings = admin.bindings().await?;
    let only = match &params.cluster {
        Some(name) => Some(admin.named(&registry, name)?),
        None => None,
    };
    let (name, pod) = match (params.service_account, params.pod, &only) {
        (Some(name), None, _) if params.namespace.is_none() => (name, None),
        (None, Some(pod), Some(cluster)) => {
            let found = find(admin, &registry, cluster, params.namespace.as_deref(), &pod).await?;
            (owner(admin, &registry, cluster, &bindings, &found).await?, Some(found))
        }
        _ => {
            return Err(Refusal(
                "explain is of either a serviceAccount or a pod: a pod goes with `cluster`, and `namespace` only with a pod".to_owned(),
            ));
        }
    };
    let record = bindings.get(&name);
    let clusters = match only {
        Some(cluster) => BTreeSet::from([cluster]),
        None => clusters(admin, &registry, &name, record).await?,
    };
    let lists: Vec<Checklist> = stream::iter(clusters)
        .map(async |cluster| {
            if admin.deadline_reached() {
                return Ok(unlooked(cluster));
            }
            evidence::collect(admin, &registry, &cluster, &name, record, pod.as_ref())
                .await
                .map(|evidence| judge(&evidence))
        })
        .buffered(admin.settings.concurrency.max(1))
        .try_collect()
        .await?;
    Ok(render(&name, pod.as_ref(), &lists))
}

/// A cluster for which there was no time.
fn unlooked(cluster: ClusterArn) -> Checklist {
    let why = "not looked at, because the invocation's time was nearly over";
    let line = Link::unknown("cluster", why).remediation("ask again with `cluster`");
    Checklist { cluster, lines: vec![line] }
}

/// All links, decided by what was read alone.
fn judge(evidence: &ExplainEvidence) -> Checklist {
    let mut lines = ledger::lines(evidence);
    if evidence.registered.is_some() {
        lines.extend(within::lines(evidence));
        lines.extend(outside::lines(evidence));
        // What is furthest from the ledger is told last.
        lines.sort_by_key(|line| line.check.starts_with("pod"));
    }
    Checklist { cluster: evidence.cluster.clone(), lines }
}

fn render(name: &DominoName, pod: Option<&Pod>, lists: &[Checklist]) -> Answer {
    let subject = match pod {
        Some(pod) => format!("pod {} of {name}", pod.name),
        None => name.to_string(),
    };
    let works = |list: &&Checklist| list.works() == Some(true);
    let (well, rest): (Vec<&Checklist>, Vec<&Checklist>) = lists.iter().partition(works);
    let (unproven, ill): (Vec<_>, Vec<_>) = rest.into_iter().partition(|one| one.is_unproven());
    let clusters = |of: &[&Checklist]| {
        let names: Vec<&str> = of.iter().map(|list| list.cluster.name()).collect();
        names.join(", ")
    };
    let mut sentences = Vec::new();
    if !well.is_empty() {
        sentences.push(format!("{subject} works on {}", clusters(&well)));
    }
    if !unproven.is_empty() {
        sentences.push(format!(
            "nothing is seen that keeps {subject} from working on {}, and no pod has shown yet that it does",
            clusters(&unproven)
        ));
    }
    sentences.extend(ill.iter().map(|list| list.headline(&subject)));
    if sentences.is_empty() {
        sentences.push(format!("{subject} has no credentials anywhere: the ledger knows no binding of it, or none that a cluster takes (see action history)"));
    }
    let mut text = format!("{}\n", sentences.join(". "));
    for list in lists {
        text += &format!("\n{}", list.text());
    }
    let lines: Vec<_> = lists.iter().flat_map(Checklist::data).collect();
    let broken = lists.is_empty() || ill.iter().any(|list| list.works() == Some(false));
    let works = if broken { Some(false) } else { (well.len() == lists.len()).then_some(true) };
    Answer::of(text)
        .with("serviceAccount", json!(name))
        .with("pod", json!(pod.map(|pod| &pod.name)))
        .with("works", json!(works))
        .with("lines", json!(lines))
}

/// Where something of a binding is, or should be.
async fn clusters(
    admin: &AdminContext<'_>,
    registry: &Registry,
    name: &DominoName,
    record: Option<&BindingRecord>,
) -> Result<BTreeSet<ClusterArn>, Error> {
    let known = registry.clusters.keys();
    let conditions = admin.conditions(known.map(|cluster| (name, cluster))).await?;
    let mut clusters: BTreeSet<ClusterArn> =
        conditions.into_keys().map(|(_, cluster)| cluster).collect();
    if let Some(binding) = record.and_then(BindingRecord::binding) {
        let meant = registry.clusters.iter().filter(|(_, record)| record.takes(binding));
        clusters.extend(meant.map(|(cluster, _)| cluster.clone()));
        if let Clusters::Named(named) = &binding.clusters {
            clusters.extend(named.iter().cloned());
        }
    }
    Ok(clusters)
}

/// A pod by its name.
async fn find(
    admin: &AdminContext<'_>,
    registry: &Registry,
    cluster: &ClusterArn,
    namespace: Option<&str>,
    name: &str,
) -> Result<Pod, Error> {
    let access = admin.access(registry, cluster);
    let namespaces = match namespace {
        Some(one) => vec![one],
        None => admin.inside.namespaces.iter().map(String::as_str).collect(),
    };
    let mut cut = false;
    for namespace in &namespaces {
        let found = lists::pods(admin, &access, namespace, |pod| pod.name == name).await;
        let found = found.map_err(|error| {
            format!("pod {name} cannot be looked for: {}; ask by serviceAccount, which is answered without Kubernetes", chain(&error))
        })?;
        cut |= found.cut;
        if let Some(pod) = found.found.into_iter().next() {
            return Ok(pod);
        }
    }
    let more = if cut { ", of which only the first pods were looked at" } else { "" };
    Err(format!(
        "there is no pod {name} on cluster {} in {}{more}; name its `namespace`, or ask by serviceAccount",
        cluster.name(),
        namespaces.join(", ")
    ).into())
}

/// The Domino service account that a pod belongs to, or who started it.
async fn owner(
    admin: &AdminContext<'_>,
    registry: &Registry,
    cluster: &ClusterArn,
    bindings: &BTreeMap<DominoName, BindingRecord>,
    pod: &Pod,
) -> Result<DominoName, Error> {
    let place = lists::place(&pod.namespace, &pod.service_account);
    let here = registry.clusters.get(cluster);
    let at_place: BTreeMap<&DominoName, &BindingRecord> = bindings
        .iter()
        .filter(|(_, record)| {
            let wanted = record.binding().filter(|one| here.is_some_and(|here| here.takes(one)));
            wanted.is_some_and(|binding| Some(&binding.kubernetes) == place.as_ref())
        })
        .collect();
    let label = admin.sweep_rules().user_label;
    let user = pod.labels.get(&label).and_then(|user| user.parse::<DominoName>().ok());
    // Of several that want one place, one holds it.
    if at_place.len() > 1 {
        let conditions = admin.conditions(at_place.keys().map(|name| (*name, cluster))).await?;
        let holds = |condition: &&Condition| {
            let association = condition.association.as_ref();
            association.is_some_and(|one| Some(&one.kubernetes) == place.as_ref())
        };
        if let Some(holder) = conditions.values().find(holds) {
            return Ok(holder.service_account.clone());
        }
    }
    if let Some((name, _)) = at_place.iter().min_by_key(|(_, record)| &record.version) {
        return Ok((*name).clone());
    }
    if let Some(user) = user.as_ref().filter(|user| bindings.contains_key(user)) {
        return Ok(user.clone());
    }
    let started = user.map(|user| format!(" and was started by {user}")).unwrap_or_default();
    Err(format!(
        "pod {} runs as {}/{}{started}, and no binding names either on cluster {}: bind it (action bind), or start the workload by a name that is bound",
        pod.name,
        pod.namespace,
        pod.service_account,
        cluster.name()
    ).into())
}
