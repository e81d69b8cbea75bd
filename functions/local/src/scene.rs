//! The account that the sample events talk about: clusters, roles, and what
//! others have left there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pod_identity_core::{ArnError, ClusterArn, RoleArn};
use pod_identity_world::{AccessRule, ApiStatus, AwsError, Verb, World};
use serde_json::{Value, json};

use crate::function::access_key;

/// AWS account of the scene.
pub const ACCOUNT: &str = "111122223333";

/// AWS region of the scene.
pub const REGION: &str = "eu-west-1";

/// Id of the deployment.
pub const DEPLOYMENT: &str = "local";

/// Name of the ledger's table.
pub const LEDGER_TABLE: &str = "domino-pod-identity";

/// Name of the event bus.
pub const EVENT_BUS: &str = "domino-pod-identity";

/// Name of the secret with the key of Domino's API.
pub const DOMINO_SECRET: &str = "domino-pod-identity/domino";

/// That key. Nothing that the functions write may have it.
pub const DOMINO_KEY: &str = "key-of-a-domino-administrator";

/// Clusters that exist. The settings list `teal` too.
pub const CLUSTERS: [&str; 3] = ["blue", "green", "amber"];

/// A value of the scene breaks a rule of AWS.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// An ARN.
    #[error(transparent)]
    Arn(#[from] ArnError),
    /// An object that the embedded AWS refuses.
    #[error("the embedded AWS refuses an object of the scene: {} ({})", .0.message, .0.code)]
    Refused(AwsError),
    /// An object that the embedded Kubernetes refuses.
    #[error("the embedded Kubernetes refuses an object of the scene: {}", .0.message)]
    Kubernetes(ApiStatus),
}

/// ARN of a cluster of the scene.
///
/// # Errors
/// When the name is not one that EKS takes.
pub fn cluster(name: &str) -> Result<ClusterArn, ArnError> {
    ClusterArn::new("aws", REGION, ACCOUNT, name)
}

/// ARN of a role of the scene, by its path and name, such as `domino/etl`.
///
/// # Errors
/// When the path or name is not one that IAM takes.
pub fn role(name: &str) -> Result<RoleArn, ArnError> {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}").parse()
}

/// The functions' settings that the sample events assume.
#[must_use]
pub fn settings() -> BTreeMap<String, String> {
    // In the order that the samples' refusals name them.
    let clusters = ["blue", "green", "teal", "amber"]
        .map(|name| format!("arn:aws:eks:{REGION}:{ACCOUNT}:cluster/{name}"))
        .join(",");
    let settings = [
        ("DEPLOYMENT_ID", DEPLOYMENT.to_owned()),
        ("LEDGER_TABLE", LEDGER_TABLE.to_owned()),
        ("EVENT_BUS", EVENT_BUS.to_owned()),
        ("CLUSTERS", clusters),
        ("ROLES", format!("arn:aws:iam::{ACCOUNT}:role/domino/*")),
        ("TARGET_ROLES", "arn:aws:iam::444455556666:role/domino-target-*".to_owned()),
        ("NAMESPACES", "domino-compute".to_owned()),
        ("NODE_ROLES", format!("arn:aws:iam::{ACCOUNT}:role/*-eks-nodes")),
        // A story of seconds: EKS here shows every change at once.
        ("SWEEP_SETTLE_SECONDS", "1".to_owned()),
        ("EVICTION_GRACE_SECONDS", "1".to_owned()),
    ];
    settings.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Domino's service accounts, by user name, and whether they are active.
#[must_use]
pub fn service_accounts() -> BTreeMap<String, bool> {
    let accounts = [
        ("scoring.models", true),
        ("svc-archive", false),
        ("svc-etl", true),
        ("svc-new", true),
        ("svc-notebook", true),
        ("svc-old", false),
        ("svc-report", true),
        ("svc-scoring", true),
        ("svc-train", true),
    ];
    accounts.map(|(name, is_active)| (name.to_owned(), is_active)).into()
}

/// A world with the clusters and roles that the sample events name, an
/// untrusted role, an association of another owner in the way of
/// `svc-warehouse`, and associations that add-ons own.
///
/// # Errors
/// Never, unless a rule of AWS changes under the scene.
pub fn world(now: Timestamp) -> Result<World, SceneError> {
    let mut world = World::new(1, ACCOUNT, now);
    let unrelated = role("aws-ebs-csi")?;
    world.add_role(&unrelated, &trust(&json!("pods.eks.amazonaws.com"), &tagging(), None));
    for name in CLUSTERS {
        let nodes = role(&format!("{name}-eks-nodes"))?;
        world.add_role(&nodes, &trust(&json!("ec2.amazonaws.com"), &json!("sts:AssumeRole"), None));
        for policy in [
            "AmazonEKSWorkerNodePolicy",
            "AmazonEKS_CNI_Policy",
            "AmazonEC2ContainerRegistryReadOnly",
        ] {
            world.iam.attach(&nodes, &format!("arn:aws:iam::aws:policy/{policy}"), now);
        }
        let arn = cluster(name)?;
        world.add_cluster(&arn, &[("compute", &nodes), ("platform", &nodes)]);
        for namespace in ["domino-compute", "domino-platform"] {
            world.add_namespace(&arn, namespace).map_err(SceneError::Kubernetes)?;
        }
        if let Some(api) = world.kubernetes(&arn) {
            api.settings.rules.insert(access_key("workloads"), access());
            api.settings.rules.insert(access_key("admin"), readers());
        }
        let owner = format!(
            "arn:aws:eks:{REGION}:{ACCOUNT}:addon/{name}/aws-ebs-csi-driver/5ec9c8a1-0f57-4c5e-9d5a-6f2d0c1b7e11"
        );
        world
            .add_addon_association(
                &arn,
                "kube-system",
                "ebs-csi-controller-sa",
                unrelated.as_str(),
                &owner,
            )
            .map_err(SceneError::Refused)?;
    }
    for (name, policy) in trusts() {
        world.add_role(&role(name)?, &policy);
    }
    let other = role("warehouse-team")?;
    world.add_role(&other, &trust(&json!("pods.eks.amazonaws.com"), &tagging(), None));
    world
        .add_foreign_association(
            &cluster("blue")?,
            "domino-compute",
            "svc-warehouse-sa",
            other.as_str(),
        )
        .map_err(SceneError::Refused)?;
    Ok(world)
}

/// What the workloads function may do in a cluster, and nothing more: infra/kubernetes/access.yaml.
#[must_use]
pub fn access() -> Vec<AccessRule> {
    let compute = |resource: &str, verbs: &[Verb]| {
        AccessRule::in_namespace("domino-compute", resource, verbs)
    };
    vec![
        compute("pods", &[Verb::List, Verb::Delete]),
        compute("pods/eviction", &[Verb::Create]),
        compute("serviceaccounts", &[Verb::List, Verb::Create, Verb::Delete]),
        AccessRule::in_namespace("domino-platform", "mutations", &[Verb::List]),
        AccessRule::in_namespace("domino-platform", "mutations", &[Verb::Create, Verb::Patch])
            .named("domino-pod-identity"),
    ]
}

/// What the admin function may look at in a cluster, and nothing more: infra/kubernetes/readers.yaml.
#[must_use]
pub fn readers() -> Vec<AccessRule> {
    vec![
        AccessRule::in_namespace("domino-compute", "pods", &[Verb::List]),
        AccessRule::in_namespace("domino-compute", "serviceaccounts", &[Verb::Get, Verb::List]),
        AccessRule::in_namespace("domino-platform", "mutations", &[Verb::List]),
    ]
}

/// Trust policies of Domino's roles, in the spellings that are found on accounts.
fn trusts() -> [(&'static str, String); 11] {
    let pods = json!("pods.eks.amazonaws.com");
    let plain = trust(&json!([pods]), &tagging(), None);
    let of = |account: &str| {
        json!({ "StringEquals": {
            "aws:RequestTag/kubernetes-namespace": "domino-compute",
            "aws:RequestTag/kubernetes-service-account": account,
        }})
    };
    let like = json!({ "StringLike": {
        "aws:RequestTag/kubernetes-service-account": ["svc-train-*", "svc-train"],
    }});
    [
        ("domino/etl", trust(&pods, &tagging(), Some(&of("svc-etl-sa")))),
        ("domino/report", plain.clone()),
        ("domino/report-readonly", trust(&pods, &json!("sts:*"), None)),
        (
            "domino/models/eu/scoring",
            trust(&json!([pods]), &tagging(), Some(&of("scoring.models"))),
        ),
        ("domino/train", trust(&pods, &tagging(), Some(&like))),
        // Session tags are disabled with this one: AWS asks for sts:AssumeRole alone.
        ("domino/notebook", trust(&pods, &json!("sts:AssumeRole"), None)),
        ("domino/warehouse", plain.clone()),
        ("domino/archive", plain.clone()),
        ("domino/old", plain.clone()),
        ("domino/new", plain),
        (
            "domino/untrusted-legacy",
            trust(&json!("ec2.amazonaws.com"), &json!("sts:AssumeRole"), None),
        ),
    ]
}

fn tagging() -> Value {
    json!(["sts:AssumeRole", "sts:TagSession"])
}

fn trust(service: &Value, action: &Value, condition: Option<&Value>) -> String {
    let mut statement = json!({
        "Sid": "AllowEksAuthToAssumeRoleForPodIdentity",
        "Effect": "Allow",
        "Principal": { "Service": service },
        "Action": action,
    });
    if let Some(condition) = condition {
        statement["Condition"] = condition.clone();
    }
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}
