//! What is read of one service account on one cluster, before anybody judges it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_identity_core::domino::{MappingSettings, Mutations};
use pod_identity_core::sweep;
use pod_identity_core::{
    Association, Binding, ClusterArn, DominoName, HeldAssociation, Phase, Pod, ServiceAccount,
    ServiceAccountRef,
};
use pod_identity_engine::Error;
use pod_identity_engine::ledger::{
    AccountRecord, BindingRecord, ClusterRecord, Condition, ConditionState, InsideBinding,
    InsideCluster, Registry, View, account_key, condition_key, inside_binding_key, inside_key,
};
use pod_identity_engine::ports::{
    AGENT_ADDON, AssociationFilter, ClusterAccess, ErrorKind, PortError, Role,
};

use super::line::{Link, LinkEffect};
use crate::associations;
use crate::context::{AdminContext, OVER};
use crate::lists::{self, PodList, pages};
use crate::node_policies::{self, NodePolicyView};

/// Why something is not known of which nobody asked.
const NOBODY: &str = "nobody looked";

/// Most service accounts beside the binding's whose associations are looked at.
const MOST_PLACES: usize = 5;

/// What Kubernetes' own refusal by RBAC is called: nobody else is refused because of it.
const FORBIDDEN: &str = "Forbidden";

/// What was read, or why it could not be.
pub(super) type Known<T> = Result<T, Error>;

/// Everything that a checklist rests on.
#[derive(Debug)]
pub(super) struct ExplainEvidence {
    pub(super) now: Timestamp,
    pub(super) deployment: String,
    /// Whether the role list is meant to be the only grant.
    pub(super) strict: bool,
    pub(super) name: DominoName,
    pub(super) cluster: ClusterArn,
    pub(super) record: Option<BindingRecord>,
    pub(super) registered: Option<ClusterRecord>,
    pub(super) condition: Option<Condition>,
    /// The association of the Kubernetes service account that the binding names, as the ledger
    /// remembers it.
    pub(super) held: Option<HeldAssociation>,
    /// What workloads runs remember.
    pub(super) inside: Option<InsideBinding>,
    pub(super) inside_cluster: Option<InsideCluster>,
    /// The Kubernetes service account that it has, or had last.
    pub(super) place: Option<ServiceAccountRef>,
    /// Whether EKS says that there is no such cluster.
    pub(super) gone: bool,
    pub(super) association: Known<Option<Association>>,
    pub(super) role: Known<Option<Role>>,
    /// Trust policy of the target role.
    pub(super) target: Known<Option<String>>,
    /// None: the ledger remembers none.
    pub(super) node_policies: Known<Option<NodePolicyView>>,
    pub(super) agent: Known<Agent>,
    pub(super) account: Known<Option<ServiceAccount>>,
    /// How this deployment maps names, if it does.
    pub(super) mapping: Option<MappingSettings>,
    pub(super) mutations: Known<Mutations>,
    pub(super) pods: Known<PodList>,
    /// Namespaces of service accounts of before whose pods could not be read, with why.
    pub(super) unseen: Vec<(String, Error)>,
    /// The associations of the other service accounts that these pods run as.
    pub(super) elsewhere: BTreeMap<ServiceAccountRef, Known<Option<Association>>>,
    pub(super) sweep: sweep::Settings,
    pub(super) pod: Option<AskedPod>,
}

/// What hands out credentials on the nodes.
#[derive(Debug)]
pub(super) enum Agent {
    /// The add-on, in this status.
    AddOn(String),
    /// The cluster runs in EKS Auto Mode.
    BuiltIn,
    /// Nothing of which EKS knows.
    Unseen,
}

/// The pod that was asked for.
#[derive(Debug)]
pub(super) struct AskedPod {
    pub(super) name: String,
    /// Whether it has ended, or is about to. It is looked at as if it ran, to say what it had.
    pub(super) over: bool,
}

impl ExplainEvidence {
    /// A line of what could not be read, with what helps unless that is said already.
    pub(super) fn unread(&self, check: &str, why: impl ToString, remediation: &str) -> Link {
        let why = why.to_string();
        let line = Link::unknown(check, &why);
        let helps = !remediation.is_empty() && !self.gone && !why.contains(OVER) && why != NOBODY;
        if helps { line.remediation(remediation) } else { line }
    }

    /// The same of the cluster's inside, with what the ledger remembers of earlier looks.
    pub(super) fn unknown(
        &self,
        check: &str,
        why: impl ToString,
        remembered: Option<String>,
        remediation: &str,
    ) -> Link {
        let last = match &self.inside_cluster {
            Some(InsideCluster { looked_at: Some(at), unreachable: Some(_), .. }) => {
                format!("nobody could look at {at} either")
            }
            Some(InsideCluster { looked_at: Some(at), .. }) => format!("somebody looked at {at}"),
            _ => "the ledger remembers no look inside".to_owned(),
        };
        let remembered = remembered.map(|words| format!(", and the ledger remembers: {words}"));
        let line = self.unread(check, why, remediation);
        let evidence = format!("{}; {last}{}", line.evidence, remembered.unwrap_or_default());
        Link { evidence, ..line }
    }

    /// The association of a service account; none when it was not asked for.
    pub(super) fn association_at(
        &self,
        place: &ServiceAccountRef,
    ) -> Option<&Known<Option<Association>>> {
        match self.place.as_ref() == Some(place) {
            true => Some(&self.association),
            false => self.elsewhere.get(place),
        }
    }

    /// Whether the Domino service account started a pod, by its label.
    pub(super) fn started(&self, pod: &Pod) -> bool {
        pod.labels.get(&self.sweep.user_label).is_some_and(|user| user == self.name.as_str())
    }

    /// The binding, if it is meant for this cluster.
    pub(super) fn wanted(&self) -> Option<&Binding> {
        let binding = self.record.as_ref().and_then(BindingRecord::binding)?;
        self.registered.as_ref().filter(|cluster| cluster.takes(binding)).map(|_| binding)
    }

    /// Whether reconcile cannot go on with it before somebody does something.
    pub(super) fn is_blocked(&self) -> bool {
        self.condition.as_ref().is_some_and(|it| it.state == ConditionState::Blocked)
    }

    /// Whether the ledger remembers an association as this one's.
    pub(super) fn holds(&self, one: &Association) -> bool {
        let last = self.condition.as_ref().and_then(|it| it.association.as_ref());
        let last = last.is_some_and(|last| last.id == one.id);
        one.owner_arn.is_none() && (last || self.owner(one) == Some(&self.name))
    }

    /// The Domino service account that an association serves, by what the ledger remembers of the
    /// Kubernetes service account that the binding names.
    pub(super) fn owner(&self, one: &Association) -> Option<&DominoName> {
        let held = self.held.as_ref()?;
        (held.id == one.id).then_some(&held.service_account)
    }

    /// Whether work under way may have made an association for it: its tags say so, and what became
    /// of the last change is not known. Its tags alone prove nothing.
    pub(super) fn may_hold(&self, one: &Association) -> bool {
        let unknown = self.condition.as_ref().is_some_and(|it| !it.intents.is_empty());
        let tag = one.tagged_by(&self.deployment).flatten();
        one.owner_arn.is_none() && unknown && tag == Some(self.name.as_str())
    }

    /// What it does that something is missing which is made once the association is, or with it.
    pub(super) fn lack(&self) -> LinkEffect {
        let ready = |it: &Condition| it.state == ConditionState::Ready;
        let ours = |one: &Association| self.holds(one) || self.may_hold(one);
        let none = self.association.as_ref().is_ok_and(|one| !one.as_ref().is_some_and(ours));
        match none && !self.condition.as_ref().is_some_and(ready) {
            true => LinkEffect::Follows,
            false => LinkEffect::None,
        }
    }
}

/// Reads everything: of the ledger one call, of EKS and IAM about eight, of Kubernetes a few.
pub(super) async fn collect(
    admin: &AdminContext<'_>,
    registry: &Registry,
    cluster: &ClusterArn,
    name: &DominoName,
    record: Option<&BindingRecord>,
    pod: Option<&Pod>,
) -> Result<ExplainEvidence, Error> {
    let (condition_at, inside_at) =
        (condition_key(name, cluster), inside_binding_key(name, cluster));
    let bound = record.and_then(BindingRecord::binding);
    let account_at = bound.map(|binding| account_key(cluster, &binding.kubernetes));
    let keys = [condition_at.clone(), inside_at.clone(), inside_key(cluster)];
    let keys: Vec<_> = keys.into_iter().chain(account_at.clone()).collect();
    let mut view = View::default();
    view.read(admin.ledger, &keys).await?;
    let condition = view.get::<Condition>(&condition_at)?;
    let inside = view.get::<InsideBinding>(&inside_at)?;
    let remembered = account_at.map(|at| view.get::<AccountRecord>(&at)).transpose();
    let remembered = remembered?.flatten();
    let inside_cluster = view.get::<InsideCluster>(&inside_key(cluster))?;
    let mut evidence = ExplainEvidence {
        now: admin.clock.now(),
        deployment: admin.settings.plan.deployment.clone(),
        strict: admin.settings.plan.strict,
        name: name.clone(),
        cluster: cluster.clone(),
        record: record.cloned(),
        registered: registry.clusters.get(cluster).cloned(),
        condition,
        held: remembered.and_then(|stored| stored.held),
        inside,
        inside_cluster,
        place: None,
        gone: false,
        association: nobody_looked(),
        role: nobody_looked(),
        target: nobody_looked(),
        node_policies: nobody_looked(),
        agent: nobody_looked(),
        account: nobody_looked(),
        mapping: admin.inside.mapping.clone(),
        mutations: nobody_looked(),
        pods: nobody_looked(),
        unseen: Vec::new(),
        elsewhere: BTreeMap::new(),
        sweep: admin.sweep_rules(),
        pod: pod.map(|pod| AskedPod { name: pod.name.clone(), over: !lives(pod) }),
    };
    evidence.place = place(&evidence, pod).or_else(|| admin.settings.rules.place_of(name));
    // Nobody knows how to reach a cluster that is not registered.
    if evidence.registered.is_some() {
        let access = admin.access(registry, cluster);
        outside(admin, registry, &access, &mut evidence).await;
        within(admin, &access, pod, &mut evidence).await;
        elsewhere(admin, &access, &mut evidence).await;
    }
    Ok(evidence)
}

fn nobody_looked<T>() -> Known<T> {
    Err(NOBODY.into())
}

/// Where to look: what the binding wants, or what was had last.
fn place(evidence: &ExplainEvidence, pod: Option<&Pod>) -> Option<ServiceAccountRef> {
    let binding = evidence.record.as_ref().and_then(BindingRecord::binding);
    let bound = binding.map(|binding| &binding.kubernetes);
    let condition = evidence.condition.as_ref();
    let had = condition.and_then(|it| it.association.as_ref()).map(|one| &one.kubernetes);
    let leaves = condition.and_then(|it| it.leaving.keys().next());
    let lost = condition.and_then(|it| it.removals.iter().max_by_key(|(_, one)| one.at));
    let of_pod = pod.and_then(|pod| lists::place(&pod.namespace, &pod.service_account));
    let known = bound.or(had).or(leaves).or(lost.map(|(place, _)| place));
    known.cloned().or(of_pod)
}

/// What EKS and IAM show.
async fn outside(
    admin: &AdminContext<'_>,
    registry: &Registry,
    access: &ClusterAccess,
    evidence: &mut ExplainEvidence,
) {
    if let Some(place) = evidence.place.clone() {
        let found = association(admin, access, &place).await;
        evidence.gone = matches!(&found, Err((_, Some(ErrorKind::NotFound))));
        evidence.association = found.map_err(|(why, _)| why);
    }
    let Some(desired) = evidence.wanted().map(|binding| binding.desired.clone()) else { return };
    evidence.role = admin.before_deadline(admin.iam.role(access, &desired.role)).await;
    if let Some(target) = &desired.target_role {
        evidence.target = admin.trust_policy(registry, target).await;
    }
    evidence.node_policies = node_policies::read(admin, access).await;
    // To EKS, an add-on of no cluster is a missing add-on.
    evidence.agent = match evidence.gone {
        true => Err("there is no cluster".into()),
        false => agent(admin, access).await,
    };
}

/// What EKS shows at one place, or why nobody can say: in words, and by kind where EKS says so.
async fn association(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
    place: &ServiceAccountRef,
) -> Result<Option<Association>, (Error, Option<ErrorKind>)> {
    admin.check_deadline().map_err(|why| (why, None))?;
    let filter = AssociationFilter {
        namespace: Some(place.namespace().to_owned()),
        service_account: Some(place.service_account().to_owned()),
    };
    let found = associations::seen(admin, access, &filter).await;
    let found = found.map_err(|error| {
        let kind = error.kind;
        (error.into(), Some(kind))
    })?;
    match found.lack() {
        Some(why) => Err((why.into(), None)),
        None => Ok(found.found.into_iter().next()),
    }
}

/// One call, and another where there is no add-on.
async fn agent(admin: &AdminContext<'_>, access: &ClusterAccess) -> Known<Agent> {
    if let Some(status) = admin.before_deadline(admin.clusters.addon(access, AGENT_ADDON)).await? {
        return Ok(Agent::AddOn(status));
    }
    let cluster = admin.before_deadline(admin.clusters.cluster(access)).await?;
    Ok(if cluster.is_some_and(|one| one.auto_mode) { Agent::BuiltIn } else { Agent::Unseen })
}

/// The associations of the other service accounts that pods with credentials run as.
async fn elsewhere(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
    evidence: &mut ExplainEvidence,
) {
    let Ok(pods) = &evidence.pods else { return };
    let places: BTreeSet<ServiceAccountRef> = pods
        .found
        .iter()
        .filter(|pod| pod.credentials.can_get)
        .filter_map(|pod| lists::place(&pod.namespace, &pod.service_account))
        .filter(|place| evidence.place.as_ref() != Some(place))
        .collect();
    let (looked, passed) =
        places.iter().enumerate().partition::<Vec<_>, _>(|(at, _)| *at < MOST_PLACES);
    for (_, place) in looked {
        let found = association(admin, access, place).await.map_err(|(why, _)| why);
        evidence.elsewhere.insert(place.clone(), found);
    }
    for (_, place) in passed {
        let why = "its pods run as too many service accounts to look at all".into();
        evidence.elsewhere.insert(place.clone(), Err(why));
    }
}

/// What Kubernetes shows. Once nobody can look inside, nobody waits for the same answer again.
async fn within(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
    pod: Option<&Pod>,
    evidence: &mut ExplainEvidence,
) {
    let Some(place) = evidence.place.clone() else { return };
    let mut door = Door::default();
    if evidence.wanted().is_some() {
        evidence.account = match door.closed(admin) {
            Some(why) => Err(why),
            None => door.said(admin.kubernetes.service_account(access, &place).await),
        };
        if let Some(settings) = &evidence.mapping {
            evidence.mutations = match door.closed(admin) {
                Some(why) => Err(why),
                None => mutations(admin, access, &settings.namespace, &mut door).await,
            };
        }
    }
    if let Some(pod) = pod {
        let ran = Pod { phase: Phase::Running, terminating: false, ..pod.clone() };
        evidence.pods = Ok(PodList { found: vec![ran], cut: false });
        return;
    }
    let had = had(evidence);
    let of = |pod: &Pod, place: &ServiceAccountRef| {
        pod.namespace == place.namespace() && pod.service_account == place.service_account()
    };
    // Of the service accounts of before, only what may hold credentials of then concerns anybody.
    let held = |pod: &Pod| {
        let admitted = |until: &Timestamp| pod.created_at < *until;
        let mut had = had.iter().filter(|(place, _)| of(pod, place));
        pod.credentials.can_get && had.any(|(_, until)| until.as_ref().is_none_or(admitted))
    };
    let concerns =
        |pod: &Pod| lives(pod) && (of(pod, &place) || evidence.started(pod) || held(pod));
    let mut pods = match door.closed(admin) {
        Some(why) => Err(why),
        None => door.said(lists::pods(admin, access, place.namespace(), concerns).await),
    };
    let mut unseen = Vec::new();
    let others: BTreeSet<&str> = had.keys().map(ServiceAccountRef::namespace).collect();
    for namespace in others.into_iter().filter(|one| *one != place.namespace()) {
        let Ok(all) = &mut pods else { break };
        let found = match door.closed(admin) {
            Some(why) => Err(why),
            None => door.said(lists::pods(admin, access, namespace, concerns).await),
        };
        match found {
            Ok(pods) => {
                all.cut |= pods.cut;
                all.found.extend(pods.found);
            }
            Err(why) => unseen.push((namespace.to_owned(), why)),
        }
    }
    (evidence.pods, evidence.unseen) = (pods, unseen);
}

/// The service accounts that it leaves or lost, as long as credentials of theirs may be valid, and
/// before when a pod was admitted that may hold some; none where they are not gone yet.
fn had(evidence: &ExplainEvidence) -> BTreeMap<ServiceAccountRef, Option<Timestamp>> {
    let Some(condition) = &evidence.condition else { return BTreeMap::new() };
    let rules = &evidence.sweep;
    let lost = condition.removals.iter().filter_map(|(place, removal)| {
        let held = evidence.now < rules.forgotten_at(removal.at);
        held.then(|| (place.clone(), Some(rules.settled_at(removal.at))))
    });
    let leaves = condition.leaving.keys().map(|place| (place.clone(), None));
    lost.chain(leaves).collect()
}

fn lives(pod: &Pod) -> bool {
    pod.phase != Phase::Over && !pod.terminating
}

async fn mutations(
    admin: &AdminContext<'_>,
    access: &ClusterAccess,
    namespace: &str,
    door: &mut Door,
) -> Known<Mutations> {
    let found = pages(async |token: Option<String>| {
        admin.kubernetes.mutations(access, namespace, token.as_deref()).await
    })
    .await;
    match found {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(Mutations::NotInstalled),
        found => door.said(found).map(Mutations::Seen),
    }
}

/// Whether there is a way into the cluster.
#[derive(Debug, Default)]
struct Door {
    closed: Option<Error>,
}

impl Door {
    /// Why nobody goes on asking: nobody can look, or there is no time to.
    fn closed(&self, admin: &AdminContext<'_>) -> Option<Error> {
        self.closed.clone().or_else(|| admin.check_deadline().err())
    }

    fn said<T>(&mut self, answer: Result<T, PortError>) -> Known<T> {
        answer.map_err(|error| {
            let unknown =
                error.kind == ErrorKind::Denied && error.code.as_deref() != Some(FORBIDDEN);
            let closes = unknown || error.kind == ErrorKind::Unreachable;
            let why = Error::from(error);
            if closes {
                self.closed = Some(why.clone());
            }
            why
        })
    }
}
