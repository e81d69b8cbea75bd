//! The deployment that every history plays in: three clusters, a dozen roles.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pod_identity_core::{ClusterArn, Pattern, RoleArn, Rules, ServiceAccountRef, plan};
use pod_identity_engine::Settings;
use pod_identity_world::World;
use serde_json::{Value, json};

use crate::history::{Asks, Event, Setup};

pub(crate) const ACCOUNT: &str = "111122223333";
/// Id of the deployment.
pub(crate) const DEPLOYMENT: &str = "acme";
/// Id of another deployment on the same clusters.
pub(crate) const OTHER: &str = "other";
/// Namespace of every association.
pub(crate) const NAMESPACE: &str = "domino-compute";
/// How long one call may take, with all its attempts.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(5);

/// How long nobody has to have used a role before it leaves the node policies.
const TRIM_AFTER: Duration = Duration::from_secs(60);

/// How many clusters there are.
pub const CLUSTERS: u8 = 3;
/// How many Kubernetes service accounts events may name beside their own.
pub const PLACES: u8 = 4;
/// How many roles events may name.
pub const ROLES: u8 = 14;
/// Does not trust EKS Pod Identity until somebody changes it.
pub(crate) const UNTRUSTED_ROLE: u8 = 4;
/// Does not exist.
pub(crate) const GHOST_ROLE: u8 = 5;
/// From this one on, ARNs are so long that ten fill a policy.
const LONG_ROLES: u8 = 6;

const TRUSTING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
const DISTRUSTING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
const SESSION_POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;

pub(crate) fn cluster(index: u8) -> ClusterArn {
    let name = ["blue", "green", "red"][usize::from(index % CLUSTERS)];
    ClusterArn::new("aws", "eu-west-1", ACCOUNT, name).unwrap()
}

pub(crate) fn clusters() -> impl Iterator<Item = ClusterArn> {
    (0..CLUSTERS).map(cluster)
}

fn selected(mask: u8) -> Vec<ClusterArn> {
    (0..CLUSTERS).filter(|index| mask & (1 << index) != 0).map(cluster).collect()
}

/// A role that events name: short or long ARN, trusting or not, there or not.
pub(crate) fn role(index: u8) -> RoleArn {
    let index = index % ROLES;
    let path = if index < LONG_ROLES {
        "domino".to_owned()
    } else {
        format!("domino/{}", "x".repeat(500))
    };
    format!("arn:aws:iam::{ACCOUNT}:role/{path}/role-{index}").parse().unwrap()
}

pub(crate) fn target() -> &'static str {
    "arn:aws:iam::444455556666:role/target"
}

fn node_role(name: &str) -> RoleArn {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}-eks-nodes").parse().unwrap()
}

/// A cluster's node roles by its registration.
pub(crate) fn node_roles(cluster: &ClusterArn, shared: bool) -> BTreeSet<RoleArn> {
    let own = node_role(cluster.name());
    if shared { BTreeSet::from([own, node_role("shared")]) } else { BTreeSet::from([own]) }
}

/// A Kubernetes service account that several may want; the last one is `svc-0`'s own.
pub(crate) fn place(index: u8) -> ServiceAccountRef {
    let name = match index % PLACES {
        3 => "svc-0-sa".to_owned(),
        index => format!("shared-{index}"),
    };
    ServiceAccountRef::new(NAMESPACE, &name).unwrap()
}

/// Sets the trust policy of a role that exists.
pub(crate) fn set_trust(world: &mut World, index: u8, trusts: bool) {
    if index % ROLES != GHOST_ROLE {
        world.set_trust(&role(index), if trusts { TRUSTING } else { DISTRUSTING });
    }
}

pub(crate) fn add_cluster(world: &mut World, cluster: &ClusterArn) {
    world.add_cluster(cluster, &[("default", &node_role(cluster.name()))]);
}

pub(crate) fn world(setup: &Setup) -> Arc<Mutex<World>> {
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let mut world = World::new(1, ACCOUNT, now);
    world.add_role(&node_role("shared"), DISTRUSTING);
    for cluster in clusters() {
        world.add_role(&node_role(cluster.name()), DISTRUSTING);
        add_cluster(&mut world, &cluster);
    }
    for index in (0..ROLES).filter(|index| *index != GHOST_ROLE) {
        let trust = if index == UNTRUSTED_ROLE { DISTRUSTING } else { TRUSTING };
        world.add_role(&role(index), trust);
    }
    let foreign = "arn:aws:iam::111122223333:role/foreign";
    world.add_foreign_association(&cluster(0), NAMESPACE, "shared-1", foreign).unwrap();
    let owner = "arn:aws:eks:eu-west-1:111122223333:addon/green/karpenter/1";
    world.add_addon_association(&cluster(1), NAMESPACE, "svc-4-sa", foreign, owner).unwrap();
    world.settings.page_size = setup.page_size;
    world.settings.visible_after = SignedDuration::from_secs(setup.visible_after);
    world.settings.policies_per_role = setup.slots;
    world.settings.tokens_outlive_associations = setup.tokens_outlive;
    world.settings.call_takes = Duration::from_millis(setup.call_takes);
    Arc::new(Mutex::new(world))
}

pub(crate) fn settings(setup: &Setup, deployment: &str) -> Settings {
    let patterns = |list: &[&str]| list.iter().map(|text| Pattern::new(*text)).collect();
    Settings {
        rules: Rules {
            region: "eu-west-1".to_owned(),
            clusters: patterns(&["arn:aws:eks:eu-west-1:111122223333:cluster/*"]),
            roles: patterns(&["arn:aws:iam::111122223333:role/domino/*"]),
            target_roles: patterns(&["arn:aws:iam::444455556666:role/*"]),
            namespaces: vec![NAMESPACE.to_owned()],
            node_roles: patterns(&["arn:aws:iam::111122223333:role/*-eks-nodes"]),
            assume_roles: Vec::new(),
            service_account_template: "{name}-sa".to_owned(),
        },
        plan: plan::Options {
            deployment: deployment.to_owned(),
            trust: plan::TrustMode::Enforce,
            strict: setup.strict,
            cluster_statement: !setup.strict,
            max_deletions: 50,
            max_recreations: setup.recreations,
        },
        policy_slots: u32::try_from(setup.slots).unwrap(),
        concurrency: setup.concurrency,
        lease: Duration::from_secs(60),
        longest_call: LONGEST_CALL,
        notice_retention: Duration::from_secs(86_400),
        max_names: 20_000,
        trim_after: setup.trims.then_some(TRIM_AFTER),
    }
}

pub(crate) fn name(index: u8) -> String {
    format!("svc-{index}")
}

/// When an event says that it happened.
pub(crate) fn time(at: i64) -> Timestamp {
    let begin: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    begin.checked_add(SignedDuration::from_secs(at)).unwrap()
}

/// An event as the queue carries it.
pub(crate) fn envelope(event: &Event, at: i64, id: &str) -> String {
    let automation = "domino.automation";
    let administration = "domino.administration";
    let assigned = "Service Account Role Assigned";
    let (source, detail_type, mut detail) = match &event.asks {
        Asks::Assigned { name: of, role: index, place: at, target: to, policy, clusters } => {
            let mut detail = json!({ "serviceAccount": name(*of), "roleArn": role(*index) });
            if let Some(at) = at {
                detail["kubernetes"] = json!({ "serviceAccount": place(*at).service_account() });
            }
            if *to {
                detail["targetRoleArn"] = json!(target());
            }
            if *policy {
                detail["sessionPolicy"] = json!(SESSION_POLICY);
                detail["disableSessionTags"] = json!(true);
            }
            if let Some(mask) = clusters {
                detail["clusters"] = json!(selected(*mask));
            }
            (automation, assigned, detail)
        }
        Asks::Unassigned { name: of } => {
            (automation, "Service Account Role Unassigned", json!({ "serviceAccount": name(*of) }))
        }
        Asks::Deactivated { name: of } => {
            (automation, "Service Account Deactivated", json!({ "serviceAccount": name(*of) }))
        }
        Asks::Registered { cluster: index, shared } => {
            let cluster = cluster(*index);
            let detail =
                json!({ "clusterArn": cluster, "nodeRoleArns": node_roles(&cluster, *shared) });
            (administration, "Cluster Registered", detail)
        }
        Asks::Retired { cluster: index } => {
            (administration, "Cluster Retired", json!({ "clusterArn": cluster(*index) }))
        }
        Asks::Broken { name: of, rule } => {
            let mut detail = json!({ "serviceAccount": name(*of), "roleArn": role(0) });
            match rule % 6 {
                0 => detail["roleArn"] = json!("arn:aws:iam::111122223333:role/admin"),
                1 => detail["kubernetes"] = json!({ "namespace": "kube-system" }),
                2 => {
                    detail["clusters"] = json!(["arn:aws:eks:us-east-1:111122223333:cluster/blue"]);
                }
                3 => detail["serviceAccount"] = json!("not a name"),
                4 => detail["targetRoleArn"] = json!("arn:aws:iam::999999999999:role/x"),
                _ => detail["sessionPolicy"] = json!("no policy"),
            }
            (automation, assigned, detail)
        }
    };
    let at = time(at).to_string();
    detail["schemaVersion"] = json!(1);
    detail["eventId"] = json!(id);
    detail["occurredAt"] = json!(at);
    let envelope: Value = json!({
        "version": "0", "id": format!("d-{id}"), "source": source, "detail-type": detail_type,
        "account": ACCOUNT, "region": "eu-west-1", "time": at, "resources": [], "detail": detail,
    });
    envelope.to_string()
}

/// The Kubernetes service account that an assignment asks for.
pub(crate) fn wanted_place(of: u8, at: Option<u8>) -> ServiceAccountRef {
    at.map_or_else(|| ServiceAccountRef::new(NAMESPACE, &format!("svc-{of}-sa")).unwrap(), place)
}

/// Whether an assignment is meant for a cluster.
pub(crate) fn selects(mask: Option<u8>, cluster: &ClusterArn) -> bool {
    mask.is_none_or(|mask| selected(mask).contains(cluster))
}

/// The session policy of an assignment that has one.
pub(crate) fn session_policy() -> &'static str {
    SESSION_POLICY
}

/// Whether a role trusts EKS Pod Identity now.
pub(crate) fn is_trusting(trust: Option<&str>) -> bool {
    trust == Some(TRUSTING)
}
