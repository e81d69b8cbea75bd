//! Links that EKS and IAM hold.

use pod_identity_core::RoleArn;
use pod_identity_world::{Caller, UpdateAssociation};
use serde_json::json;

use super::{NAMESPACE, association_id, at_work, broken, explain, headline, way_out, wrong};
use crate::office::{ACCOUNT, Office, UNTRUSTED, cluster, role, text};

fn somebody() -> Caller {
    Caller {
        name: "somebody".to_owned(),
        account: ACCOUNT.to_owned(),
        region: "eu-west-1".to_owned(),
    }
}

/// Takes the association on blue away behind the ledger's back.
fn delete_association(office: &Office) {
    let id = association_id(office);
    let mut world = office.ports.world();
    world.delete_pod_identity_association(&somebody(), "blue", &id).unwrap();
}

fn node_role() -> RoleArn {
    format!("arn:aws:iam::{ACCOUNT}:role/blue-eks-nodes").parse().unwrap()
}

fn node_policy(office: &Office) -> String {
    let world = office.ports.world();
    world.iam.attached_to(&node_role()).into_iter().find(|arn| arn.contains("acme")).unwrap()
}

#[test]
fn a_missing_association_is_told() {
    let office = at_work();
    delete_association(&office);
    let (evidence, _) = broken(&explain(&office), "association");
    assert_eq!(evidence, "EKS has no association for domino-compute/svc-etl-sa");
}

#[test]
fn a_foreign_association_is_told() {
    let office = at_work();
    delete_association(&office);
    let train = role("train");
    let foreign = office
        .ports
        .world()
        .add_foreign_association(&cluster("blue"), NAMESPACE, "svc-etl-sa", train.as_str())
        .unwrap();
    let answer = explain(&office);
    let (evidence, way_out) = broken(&answer, "association");
    assert!(
        evidence.contains(
            "is foreign, without our tag, and gives arn:aws:iam::111122223333:role/domino/train"
        ),
        "{evidence}"
    );
    assert!(way_out.contains(&foreign.id) && way_out.contains("adopted"), "{way_out}");
    assert!(headline(&answer).starts_with("svc-etl has other credentials than it should on blue"));
}

#[test]
fn an_association_of_an_add_on_is_told() {
    let office = at_work();
    delete_association(&office);
    let owner = "arn:aws:eks:eu-west-1:111122223333:addon/blue/csi/1";
    office
        .ports
        .world()
        .add_addon_association(
            &cluster("blue"),
            NAMESPACE,
            "svc-etl-sa",
            role("etl").as_str(),
            owner,
        )
        .unwrap();
    let (evidence, _) = broken(&explain(&office), "association");
    assert!(evidence.contains(&format!("owned by add-on {owner}")), "{evidence}");
}

#[test]
fn drift_of_an_association_is_told() {
    let office = at_work();
    let id = association_id(&office);
    let update = UpdateAssociation {
        cluster: "blue".to_owned(),
        association_id: id,
        role_arn: Some(role("train").to_string()),
        ..UpdateAssociation::default()
    };
    office.ports.world().update_pod_identity_association(&somebody(), &update).unwrap();
    let (evidence, _) = broken(&explain(&office), "association");
    assert!(evidence.ends_with("other role than bound"), "{evidence}");
}

#[test]
fn a_role_that_does_not_exist_is_told() {
    let office = at_work();
    // Its name belongs to a role with another path: names are unique in an account.
    let mut world = office.ports.world();
    let elsewhere = format!("arn:aws:iam::{ACCOUNT}:role/elsewhere/etl").parse().unwrap();
    world.add_role(&elsewhere, UNTRUSTED);
    drop(world);
    let (evidence, _) = broken(&explain(&office), "role");
    assert_eq!(
        evidence,
        "role arn:aws:iam::111122223333:role/domino/etl does not exist; its name belongs to arn:aws:iam::111122223333:role/elsewhere/etl"
    );
}

#[test]
fn a_trust_policy_that_does_not_admit_it_is_told_with_the_exact_statement() {
    let office = at_work();
    office.ports.world().set_trust(&role("etl"), UNTRUSTED);
    let answer = explain(&office);
    let (evidence, way_out) = broken(&answer, "trust policy");
    assert_eq!(
        evidence,
        "the trust policy of role arn:aws:iam::111122223333:role/domino/etl does not admit it: no statement allows sts:AssumeRole to pods.eks.amazonaws.com"
    );
    assert!(
        way_out.contains(r#""aws:RequestTag/kubernetes-service-account":"svc-etl-sa""#),
        "{way_out}"
    );
    assert!(
        headline(&answer)
            .starts_with("svc-etl has no credentials on blue: the trust policy of role")
    );
}

#[test]
fn a_condition_of_the_trust_policy_decides_by_name() {
    let office = at_work();
    let document = r#"{"Version":"2012-10-17","Statement":{"Sid":"Pods","Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:RequestTag/eks-cluster-name":"green"}}}}"#;
    office.ports.world().set_trust(&role("etl"), document);
    let (evidence, _) = broken(&explain(&office), "trust policy");
    assert!(evidence.contains("statement `Pods`: condition StringEquals on aws:RequestTag/eks-cluster-name wants `green` but EKS sends `blue`"), "{evidence}");
}

#[test]
fn a_deny_of_the_trust_policy_has_to_go_first() {
    let office = at_work();
    let document = r#"{"Version":"2012-10-17","Statement":{"Sid":"No","Effect":"Deny","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"*"}}"#;
    office.ports.world().set_trust(&role("etl"), document);
    let (evidence, way_out) = broken(&explain(&office), "trust policy");
    assert!(evidence.contains("statement `No` denies"), "{evidence}");
    assert!(way_out.contains("take that Deny out"), "{way_out}");
}

#[test]
fn a_trust_policy_that_cannot_be_known_is_unknown() {
    let office = at_work();
    office.ports.world().set_trust(&role("etl"), "{}");
    let answer = explain(&office);
    assert_eq!(wrong(&answer)[0].1, "unknown");
    assert!(headline(&answer).starts_with("whether svc-etl works on blue is not known"));
}

#[test]
fn a_target_role_is_unknown_with_what_it_has_to_ask_for() {
    let office = at_work();
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"),
        "targetRoleArn": "arn:aws:iam::444455556666:role/far", "mode": "apply",
    }));
    office.reconcile("blue");
    let answer = explain(&office);
    assert_eq!(wrong(&answer).len(), 1, "{}", text(&answer));
    assert_eq!(
        way_out(&answer, "target role"),
        "see that it allows sts:AssumeRole to arn:aws:iam::111122223333:role/domino/etl with sts:ExternalId eu-west-1/111122223333/blue/domino-compute/svc-etl-sa"
    );
}

#[test]
fn a_node_policy_that_does_not_list_the_role_is_told() {
    let office = at_work();
    let arn = node_policy(&office);
    let none = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks-auth:AssumeRoleForPodIdentity","Resource":"arn:aws:iam::111122223333:role/domino/train"}]}"#;
    office.ports.world().create_policy_version(&somebody(), &arn, none, true).unwrap();
    let answer = explain(&office);
    let (evidence, _) = broken(&answer, "node policy");
    assert_eq!(
        evidence,
        "no node policy of cluster blue lists role arn:aws:iam::111122223333:role/domino/etl"
    );
    assert!(headline(&answer).starts_with("svc-etl has no credentials on blue"), "no other grant");
}

#[test]
fn a_node_policy_that_is_not_attached_is_told() {
    let office = at_work();
    let arn = node_policy(&office);
    office.ports.world().detach_role_policy(&somebody(), "blue-eks-nodes", &arn).unwrap();
    let (evidence, _) = broken(&explain(&office), "node policy");
    assert!(
        evidence.ends_with(
            "is not attached to node role arn:aws:iam::111122223333:role/blue-eks-nodes"
        ),
        "{evidence}"
    );
}

#[test]
fn a_broad_grant_is_told_and_breaks_the_chain_only_in_strict_mode() {
    let mut office = Office::new();
    let broad = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy";
    {
        let mut world = office.ports.world();
        let now = world.now;
        world.iam.attach(&node_role(), broad, now);
    }
    office.register("blue");
    office.inside.mapping = None;
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"), "mode": "apply",
    }));
    office.reconcile("blue");
    office.work("blue");
    let answer = explain(&office);
    assert_eq!(wrong(&answer), [], "{}", text(&answer));
    assert!(text(&answer).contains("so the list restricts nothing"), "{}", text(&answer));
    office.settings.plan.strict = true;
    let (evidence, _) = broken(&explain(&office), "broad grant");
    assert!(evidence.starts_with(broad), "{evidence}");
}

#[test]
fn a_missing_agent_is_told() {
    let office = at_work();
    office.ports.world().eks.cluster_mut(&cluster("blue")).unwrap().addons.clear();
    let (evidence, _) = broken(&explain(&office), "agent");
    assert_eq!(evidence, "cluster blue has no EKS add-on eks-pod-identity-agent");
}
