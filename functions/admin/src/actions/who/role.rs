//! Who can act as a role: by the ledger, by EKS, and which pods.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use pod_identity_core::{Binding, ClusterArn, DominoName, Phase, Pod, RoleArn};
use pod_identity_engine::chain;
use pod_identity_engine::ledger::{BindingRecord, Registry};
use pod_identity_engine::ports::{AssociationFilter, ClusterAccess, ErrorKind};
use serde_json::json;

use super::holders::{BEFORE, Holder, KnownHolders, as_what};
use crate::answer::{Answer, Refusal};
use crate::associations::{self, Associations};
use crate::context::AdminContext;
use crate::lists::{self, pages, some};
use crate::node_policies;
use crate::table::Table;

/// Most names of pods in one row of the table; the data has all.
const PODS_SHOWN: usize = 3;

/// Why a cluster is left out.
const OVER: &str = "not looked at, because the invocation's time was nearly over: give the function more of it, or see its inventory with { \"action\": \"who\", \"cluster\": ... }";

/// One cluster.
#[derive(Debug, Default)]
struct Here {
    holders: Vec<Holder>,
    /// What could not be seen, in words.
    unseen: Vec<String>,
    /// Policies of the node roles that list the role.
    listed: Vec<String>,
}

pub(super) async fn answer(admin: &AdminContext<'_>, role: &RoleArn) -> Result<Answer, Refusal> {
    let registry = admin.registry().await?;
    let bindings = admin.bindings().await?;
    // One after the other: each of them makes several calls at once.
    let found: Vec<Here> = stream::iter(registry.clusters.keys())
        .then(|cluster| look(admin, &registry, cluster, &bindings, role))
        .collect()
        .await;
    let mut table = Table::new(&[
        "cluster",
        "kubernetes",
        "domino name",
        "as",
        "association",
        "pods with credentials",
        "ledger and EKS",
    ]);
    for holder in found.iter().flat_map(|here| &here.holders) {
        let pods = match (&holder.pods, &holder.pods_unknown) {
            (Some(pods), _) if pods.is_empty() => "none now".to_owned(),
            (Some(pods), _) => some(pods.iter().map(String::as_str), PODS_SHOWN),
            (None, _) => "not known".to_owned(),
        };
        table.row([
            holder.cluster.name().to_owned(),
            format!("{}/{}", holder.namespace, holder.kubernetes_service_account),
            holder.service_account.as_ref().map(ToString::to_string).unwrap_or_default(),
            holder.through.to_owned(),
            match (&holder.association, holder.owner) {
                (Some(id), Some(owner)) => format!("{id} ({})", owner.word()),
                _ => "none".to_owned(),
            },
            pods,
            holder.differs.clone().unwrap_or_else(|| "agree".to_owned()),
        ]);
    }
    let clusters = registry.clusters.len();
    let mut text = match table.len() {
        0 => format!(
            "Nobody is seen to act as {role} through EKS Pod Identity or IRSA, on {clusters} registered clusters.\n"
        ),
        count => format!(
            "{count} Kubernetes service accounts can act as {role} through EKS Pod Identity or IRSA, should, or could until lately, on {clusters} registered clusters.\n\n{table}"
        ),
    };
    text.push('\n');
    for (cluster, here) in registry.clusters.keys().zip(&found) {
        let name = cluster.name();
        match here.listed.as_slice() {
            [] => text += &format!("No node policy of cluster {name} was seen to list it.\n"),
            listed => text += &format!("On cluster {name} listed in {}\n", listed.join(", ")),
        }
        for why in &here.unseen {
            text += &format!("! cluster {name}: {why}\n");
        }
    }
    let listed: BTreeMap<&ClusterArn, &Vec<String>> =
        registry.clusters.keys().zip(found.iter().map(|here| &here.listed)).collect();
    let unseen: BTreeMap<&ClusterArn, &Vec<String>> =
        registry.clusters.keys().zip(found.iter().map(|here| &here.unseen)).collect();
    let holders: Vec<&Holder> = found.iter().flat_map(|here| &here.holders).collect();
    Ok(Answer::of(text)
        .with("role", json!(role))
        .with("holders", json!(holders))
        .with("nodePolicies", json!(listed))
        .with("unseen", json!(unseen)))
}

async fn look(
    admin: &AdminContext<'_>,
    registry: &Registry,
    cluster: &ClusterArn,
    bindings: &BTreeMap<DominoName, BindingRecord>,
    role: &RoleArn,
) -> Here {
    let mut here = Here::default();
    if admin.deadline_reached() {
        here.unseen.push(OVER.to_owned());
        return here;
    }
    let access = admin.access(registry, cluster);
    let record = registry.clusters.get(cluster);
    let wanted: Vec<&Binding> = bindings
        .values()
        .filter_map(BindingRecord::binding)
        .filter(|one| record.is_some_and(|record| record.takes(one)))
        .filter(|one| as_what(one, role).is_some())
        .collect();
    let seen = associations::seen(admin, &access, &AssociationFilter::default()).await;
    let seen = seen.map_err(|error| format!("associations are not known: {}", chain(&error)));
    here.unseen.extend(seen.iter().filter_map(Associations::lack));
    let conditions = match admin.conditions(bindings.keys().map(|name| (name, cluster))).await {
        Ok(conditions) => conditions,
        Err(why) => {
            here.unseen.push(format!("conditions are not known: {why}"));
            BTreeMap::new()
        }
    };
    let known = KnownHolders { cluster, deployment: &admin.settings.plan.deployment, conditions };
    here.holders = match &seen {
        Ok(listed) => known.join(&wanted, &listed.found, role),
        Err(why) => known.by_ledger(&wanted, role, why),
    };
    here.unseen.extend(seen.err());
    here.holders.extend(known.had(role, admin.clock.now(), &admin.sweep_rules()));
    let mut closed = by_irsa(admin, &access, role, &mut here).await;
    let namespaces: BTreeSet<String> =
        here.holders.iter().map(|holder| holder.namespace.clone()).collect();
    for namespace in namespaces {
        let accounts: BTreeSet<&str> = here
            .holders
            .iter()
            .filter(|holder| holder.namespace == namespace)
            .map(|holder| holder.kubernetes_service_account.as_str())
            .collect();
        let pods = match &closed {
            Some(why) => Err(why.clone()),
            None if admin.deadline_reached() => Err(format!("pods are not known: {OVER}")),
            None => {
                match lists::pods(admin, &access, &namespace, |pod| holds(pod, &accounts)).await {
                    Ok(pods) => Ok(pods),
                    Err(error) => {
                        let why = format!("pods are not known: {}", chain(&error));
                        closed = (error.kind == ErrorKind::Unreachable).then(|| why.clone());
                        Err(why)
                    }
                }
            }
        };
        here.unseen.extend(pods.as_ref().err().filter(|why| !here.unseen.contains(*why)).cloned());
        if pods.as_ref().is_ok_and(|pods| pods.cut) {
            here.unseen.push(format!("namespace {namespace} has more pods than were looked at"));
        }
        for holder in here.holders.iter_mut().filter(|holder| holder.namespace == namespace) {
            match &pods {
                Ok(pods) => {
                    let names = pods.found.iter().filter(|pod| holder.gives(pod));
                    let names: Vec<String> = names.map(|pod| pod.name.clone()).collect();
                    match names.is_empty() && pods.cut {
                        true => {
                            holder.pods_unknown = Some(format!(
                                "namespace {namespace} has more pods than were looked at"
                            ))
                        }
                        false => holder.pods = Some(names),
                    }
                }
                Err(why) => holder.pods_unknown = Some(why.clone()),
            }
        }
    }
    // Who lost it and is seen to have no pods that hold it is not worth a word.
    here.holders.retain(|holder| holder.through != BEFORE || holder.pods != Some(Vec::new()));
    match node_policies::read(admin, &access).await {
        Ok(policies) => here.listed.extend(
            policies.iter().flat_map(|it| it.listing(role)).map(|policy| policy.arn.to_string()),
        ),
        Err(why) => here.unseen.push(format!("node policies are not known: {why}")),
    }
    here
}

/// Adds Kubernetes service accounts that are annotated with the role, in the namespaces in which
/// executions run: one call a page. Answers why nobody can look at pods either.
async fn by_irsa(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
    role: &RoleArn,
    here: &mut Here,
) -> Option<String> {
    for namespace in &admin.inside.namespaces {
        if let Err(why) = admin.check_deadline() {
            here.unseen.push(format!("service accounts with IRSA are not known: {why}"));
            return None;
        }
        let accounts = pages(async |token: Option<String>| {
            admin.kubernetes.service_accounts(access, namespace, "", token.as_deref()).await
        });
        match accounts.await {
            Ok(all) => {
                let with_role = all.iter().filter(|one| one.irsa_role() == Some(role.as_str()));
                here.holders.extend(with_role.map(|one| Holder::by_irsa(&access.cluster, one)));
            }
            Err(error) => {
                let why = chain(&error);
                here.unseen.push(format!("service accounts with IRSA are not known: {why}"));
                // Nobody waits for the same time-out again.
                if error.kind == ErrorKind::Unreachable {
                    return Some(format!("pods are not known: {why}"));
                }
            }
        }
    }
    None
}

/// Whether a pod has credentials of one of these service accounts.
fn holds(pod: &Pod, accounts: &BTreeSet<&str>) -> bool {
    let lives = pod.phase != Phase::Over && !pod.terminating;
    let has = pod.credentials.can_get || pod.credentials.web_identity;
    lives && has && accounts.contains(pod.service_account.as_str())
}
