//! What IAM asks before a call of a function.

use std::collections::BTreeMap;

use local::scene::{ACCOUNT, DEPLOYMENT, REGION};
use pod_identity_world::Call;

/// What IAM asks before one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) action: &'static str,
    pub(super) resource: String,
    /// Condition keys that the call brings, and their values.
    pub(super) context: BTreeMap<&'static str, Vec<String>>,
}

pub(super) fn demand(action: &'static str, resource: impl Into<String>) -> Demand {
    Demand { action, resource: resource.into(), context: BTreeMap::new() }
}

impl Demand {
    pub(super) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.context.entry(key).or_default().push(value.into());
        self
    }
}

pub(super) const OUR_REQUEST: &str = "aws:RequestTag/domino-pod-identity:deployment";
pub(super) const OUR_RESOURCE: &str = "aws:ResourceTag/domino-pod-identity:deployment";
/// The partition keys of the items that a call reads or writes.
pub(super) const PARTITIONS: &str = "dynamodb:LeadingKeys";

/// What IAM asks before a call, after AWS's service authorization reference.
pub(super) fn demands(call: &Call) -> Vec<Demand> {
    match call.service.as_str() {
        "eks" => of_eks(call),
        "iam" => of_iam(call),
        "dynamodb" => of_dynamodb(call),
        "events" => {
            vec![demand("events:PutEvents", "Bus.Arn").with("events:source", "domino.pod-identity")]
        }
        // Everybody may ask who he is.
        "sts" if call.operation == "GetCallerIdentity" => Vec::new(),
        "sts" => vec![demand("sts:AssumeRole", &call.object)],
        "secretsmanager" => {
            let secret =
                format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{}", call.object);
            vec![demand("secretsmanager:GetSecretValue", secret + "-0a1b2c")]
        }
        // RBAC's: tests/kubernetes/manifest.rs.
        "kubernetes" => Vec::new(),
        other => panic!("{other} is no service that a function calls: {call:?}"),
    }
}

fn of_eks(call: &Call) -> Vec<Demand> {
    let region = if call.account == ACCOUNT { REGION } else { "eu-central-1" };
    let arn =
        |kind: &str, rest: &str| format!("arn:aws:eks:{region}:{}:{kind}/{rest}", call.account);
    let cluster_name = call.object.rsplit(' ').next().unwrap();
    let first = call.object.split(' ').next().unwrap();
    let cluster = || arn("cluster", cluster_name);
    let association = |id: &str| arn("podidentityassociation", &format!("{cluster_name}/{id}"));
    let below = |kind: &str| arn(kind, &format!("{cluster_name}/{first}/0a1b2c"));
    let passed = || {
        let role = format!("arn:aws:iam::{}:role/domino/any", call.account);
        let pass = demand("iam:PassRole", &role);
        [pass.with("iam:PassedToService", "pods.eks.amazonaws.com"), demand("iam:GetRole", role)]
    };
    let on_both = |action: &'static str| {
        let own = demand(action, association(first)).with(OUR_RESOURCE, DEPLOYMENT);
        vec![demand(action, cluster()), own]
    };
    match call.operation.as_str() {
        "CreatePodIdentityAssociation" => {
            let made = demand("eks:CreatePodIdentityAssociation", cluster());
            let tagged = demand("eks:TagResource", association("a-new"));
            let mut all =
                vec![made.with(OUR_REQUEST, DEPLOYMENT), tagged.with(OUR_REQUEST, DEPLOYMENT)];
            all.extend(passed());
            all
        }
        "UpdatePodIdentityAssociation" => {
            let mut all = on_both("eks:UpdatePodIdentityAssociation");
            all.extend(passed());
            all
        }
        "DeletePodIdentityAssociation" => on_both("eks:DeletePodIdentityAssociation"),
        "DescribePodIdentityAssociation" => {
            let action = "eks:DescribePodIdentityAssociation";
            vec![demand(action, cluster()), demand(action, association(first))]
        }
        "ListPodIdentityAssociations" => vec![demand("eks:ListPodIdentityAssociations", cluster())],
        // One that is adopted is not ours before; every call brings our tag.
        "TagResource" => {
            vec![demand("eks:TagResource", &call.object).with(OUR_REQUEST, DEPLOYMENT)]
        }
        "ListNodegroups" => vec![demand("eks:ListNodegroups", cluster())],
        "DescribeNodegroup" => vec![demand("eks:DescribeNodegroup", below("nodegroup"))],
        "DescribeCluster" => vec![demand("eks:DescribeCluster", cluster())],
        "DescribeAddon" => vec![demand("eks:DescribeAddon", below("addon"))],
        other => panic!("{other}: which permission does it need? {call:?}"),
    }
}

fn of_iam(call: &Call) -> Vec<Demand> {
    let mut words = call.object.split(' ');
    let first = words.next().unwrap();
    let iam = |rest: &str| format!("arn:aws:iam::{}:{rest}", call.account);
    // IAM's calls name roles without their path; the scene's are where their names say.
    let role = |name: &str| {
        let outside =
            name.ends_with("-eks-nodes") || ["warehouse-team", "aws-ebs-csi"].contains(&name);
        iam(&format!("role/{}{name}", if outside { "" } else { "domino/" }))
    };
    let on_role = |action, name: &str| vec![demand(action, role(name))];
    let attachment = |action| {
        let name = call.object.rsplit(' ').next().unwrap();
        vec![demand(action, role(name)).with("iam:PolicyARN", first)]
    };
    match call.operation.as_str() {
        "GetRole" => on_role("iam:GetRole", first),
        "ListAttachedRolePolicies" => on_role("iam:ListAttachedRolePolicies", first),
        "AttachRolePolicy" => attachment("iam:AttachRolePolicy"),
        "DetachRolePolicy" => attachment("iam:DetachRolePolicy"),
        "CreatePolicy" => {
            let policy = iam(&format!("policy/domino-pod-identity/{DEPLOYMENT}/eu-west-1/{first}"));
            let tagged = demand("iam:TagPolicy", &policy).with(OUR_REQUEST, DEPLOYMENT);
            vec![demand("iam:CreatePolicy", policy), tagged]
        }
        "GetPolicy" => vec![demand("iam:GetPolicy", first)],
        "GetPolicyVersion" => vec![demand("iam:GetPolicyVersion", first)],
        "ListPolicyVersions" => vec![demand("iam:ListPolicyVersions", first)],
        "CreatePolicyVersion" => vec![demand("iam:CreatePolicyVersion", first)],
        "DeletePolicyVersion" => vec![demand("iam:DeletePolicyVersion", first)],
        "DeletePolicy" => vec![demand("iam:DeletePolicy", first)],
        other => panic!("{other}: which permission does it need? {call:?}"),
    }
}

fn of_dynamodb(call: &Call) -> Vec<Demand> {
    let (what, partitions) = call.object.split_once("; ").unwrap();
    assert!(!partitions.is_empty(), "which partition? {call:?}");
    // Of a transaction every action is held to all its partitions: IAM may ask less, and not more.
    let on_table = |action| {
        let partitions = partitions.split(", ");
        partitions.fold(demand(action, "Ledger.Arn"), |demand, one| demand.with(PARTITIONS, one))
    };
    match call.operation.as_str() {
        "BatchGetItem" => vec![on_table("dynamodb:BatchGetItem")],
        "Query" => vec![on_table("dynamodb:Query")],
        "TransactWriteItems" => {
            let (_, kinds) = what.split_once(": ").unwrap();
            let kind = |kind| match kind {
                "Put" => on_table("dynamodb:PutItem"),
                "Delete" => on_table("dynamodb:DeleteItem"),
                "ConditionCheck" => on_table("dynamodb:ConditionCheckItem"),
                other => panic!("{other}: which permission does it need?"),
            };
            kinds.split(", ").map(kind).collect()
        }
        other => panic!("{other}: which permission does it need?"),
    }
}
