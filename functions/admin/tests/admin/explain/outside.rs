//! Links that EKS and IAM hold.

use std::collections::BTreeMap;

use pod_identity_core::{DEPLOYMENT_TAG, Pattern, RoleArn, SERVICE_ACCOUNT_TAG};
use pod_identity_world::{Caller, UpdateAssociation};
use serde_json::{Value, json};

use super::{
    NAMESPACE, ask, association_id, at_work, broken, explain, golden, headline, pod, remediation,
    set_agent, wrong,
};
use crate::office::{ACCOUNT, Office, TRUSTED, UNTRUSTED, cluster, role, text};

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
    let answer = explain(&office);
    broken(&answer, "association");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_foreign_association_is_told() {
    let office = at_work();
    delete_association(&office);
    let (blue, train) = (cluster("blue"), role("train"));
    let mut world = office.ports.world();
    world.add_foreign_association(&blue, NAMESPACE, "svc-etl-sa", train.as_str()).unwrap();
    drop(world);
    let answer = explain(&office);
    broken(&answer, "association");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn an_association_of_an_add_on_is_told() {
    let office = at_work();
    delete_association(&office);
    let (blue, etl) = (cluster("blue"), role("etl"));
    let owner = "arn:aws:eks:eu-west-1:111122223333:addon/blue/csi/1";
    let mut world = office.ports.world();
    world.add_addon_association(&blue, NAMESPACE, "svc-etl-sa", etl.as_str(), owner).unwrap();
    drop(world);
    let answer = explain(&office);
    broken(&answer, "association");
    insta::assert_snapshot!(golden(&answer));
}

/// Our tag is on the association of blue, for somebody else or for nobody.
fn tagged(office: &Office, name: Option<&str>) {
    delete_association(office);
    let (blue, etl) = (cluster("blue"), role("etl"));
    let mut world = office.ports.world();
    let one = world.add_foreign_association(&blue, NAMESPACE, "svc-etl-sa", etl.as_str()).unwrap();
    let mut tags = BTreeMap::from([(DEPLOYMENT_TAG.to_owned(), "acme".to_owned())]);
    tags.extend(name.map(|name| (SERVICE_ACCOUNT_TAG.to_owned(), name.to_owned())));
    world.tag_resource(&somebody(), &one.arn, &tags).unwrap();
}

#[test]
fn an_orphan_is_told() {
    let office = at_work();
    tagged(&office, None);
    let answer = explain(&office);
    broken(&answer, "association");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn an_association_that_was_made_for_another_is_told() {
    let office = at_work();
    tagged(&office, Some("svc-other"));
    let answer = explain(&office);
    broken(&answer, "association");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn an_association_that_is_still_there_is_told() {
    let office = at_work();
    office.done(json!({ "action": "unbind", "serviceAccount": "svc-etl", "mode": "apply" }));
    let answer = explain(&office);
    let shown = wrong(&answer);
    assert!(shown.iter().any(|(check, ..)| check == "association"), "{shown:?}");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn drift_of_an_association_is_told() {
    let office = at_work();
    let update = UpdateAssociation {
        cluster: "blue".to_owned(),
        association_id: association_id(&office),
        role_arn: Some(role("train").to_string()),
        ..UpdateAssociation::default()
    };
    office.ports.world().update_pod_identity_association(&somebody(), &update).unwrap();
    let answer = explain(&office);
    broken(&answer, "association");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_role_whose_name_is_another_s_is_told() {
    let office = at_work();
    // Names are unique in an account.
    let elsewhere = format!("arn:aws:iam::{ACCOUNT}:role/elsewhere/etl").parse().unwrap();
    office.ports.world().add_role(&elsewhere, UNTRUSTED);
    let answer = explain(&office);
    broken(&answer, "role");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_role_that_does_not_exist_is_told() {
    let office = at_work();
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("gone"), "mode": "apply",
    }));
    office.reconcile("blue");
    let answer = explain(&office);
    let shown = wrong(&answer);
    assert!(shown.iter().any(|(check, ..)| check == "role"), "{shown:?}");
    assert!(headline(&answer).contains("role/domino/gone does not exist"), "{}", headline(&answer));
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_trust_policy_that_does_not_admit_it_is_told_with_the_exact_statement() {
    let office = at_work();
    office.ports.world().set_trust(&role("etl"), UNTRUSTED);
    let answer = explain(&office);
    broken(&answer, "trust policy");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_condition_of_the_trust_policy_decides_by_name() {
    let office = at_work();
    let document = r#"{"Version":"2012-10-17","Statement":{"Sid":"Pods","Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:RequestTag/eks-cluster-name":"green"}}}}"#;
    office.ports.world().set_trust(&role("etl"), document);
    let answer = explain(&office);
    broken(&answer, "trust policy");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_deny_of_the_trust_policy_has_to_go_first() {
    let office = at_work();
    let document = r#"{"Version":"2012-10-17","Statement":{"Sid":"No","Effect":"Deny","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":"*"}}"#;
    office.ports.world().set_trust(&role("etl"), document);
    let answer = explain(&office);
    broken(&answer, "trust policy");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_trust_policy_that_cannot_be_known_is_unknown() {
    let office = at_work();
    office.ports.world().set_trust(&role("etl"), "{}");
    let answer = explain(&office);
    assert_eq!(wrong(&answer)[0].1, "unknown");
    insta::assert_snapshot!(golden(&answer));
}

/// svc-etl goes on to a target role.
fn with_target(target: &str) -> Office {
    let mut office = at_work();
    let own = Pattern::new(format!("arn:aws:iam::{ACCOUNT}:role/target/*"));
    office.settings.rules.target_roles.push(own);
    office.done(json!({
        "action": "bind", "serviceAccount": "svc-etl", "roleArn": role("etl"),
        "targetRoleArn": target, "disableSessionTags": true, "mode": "apply",
    }));
    office.reconcile("blue");
    office
}

const TARGET: &str = "arn:aws:iam::111122223333:role/target/lake";

#[test]
fn a_target_role_of_an_account_where_nobody_may_look_is_unknown() {
    let office = with_target("arn:aws:iam::444455556666:role/far");
    let answer = explain(&office);
    let shown = wrong(&answer);
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!((&*shown[0].0, &*shown[0].1), ("target role", "unknown"));
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_target_role_that_does_not_exist_is_told() {
    let answer = explain(&with_target(TARGET));
    broken(&answer, "target role");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_target_role_is_held_to_its_trust_policy() {
    let office = with_target(TARGET);
    let target = TARGET.parse().unwrap();
    office.ports.world().add_role(&target, TRUSTED);
    let answer = explain(&office);
    broken(&answer, "target role");
    insta::assert_snapshot!(golden(&answer));
    let by = |operator: &str| {
        json!({ "Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Principal": { "AWS": role("etl") },
            "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": { operator: {
                "sts:ExternalId": "eu-west-1/111122223333/blue/domino-compute/svc-etl-sa",
            } },
        } })
    };
    office.ports.world().set_trust(&target, &by("StringNotEquals").to_string());
    let answer = explain(&office);
    assert_eq!(wrong(&answer)[0].1, "unknown", "{}", headline(&answer));
    insta::assert_snapshot!(golden(&answer));
    office.ports.world().set_trust(&target, &by("StringEquals").to_string());
    let answer = explain(&office);
    assert_eq!(wrong(&answer), [], "{}", headline(&answer));
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_node_policy_that_does_not_list_the_role_is_told() {
    let office = at_work();
    let arn = node_policy(&office);
    let none = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks-auth:AssumeRoleForPodIdentity","Resource":"arn:aws:iam::111122223333:role/domino/train"}]}"#;
    office.ports.world().create_policy_version(&somebody(), &arn, none, true).unwrap();
    let answer = explain(&office);
    broken(&answer, "node policy");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_node_policy_that_is_not_attached_is_told() {
    let office = at_work();
    let arn = node_policy(&office);
    office.ports.world().detach_role_policy(&somebody(), "blue-eks-nodes", &arn).unwrap();
    let answer = explain(&office);
    broken(&answer, "node policy");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn node_roles_that_nobody_knows_are_told() {
    let office = Office::new();
    {
        let mut world = office.ports.world();
        let red = cluster("red");
        world.add_cluster(&red, &[]);
        world.add_namespace(&red, NAMESPACE).unwrap();
        world.add_namespace(&red, "domino-platform").unwrap();
    }
    let register = json!({ "clusterArn": cluster("red") });
    office.done(json!({ "action": "clusters", "register": register, "mode": "apply" }));
    office.bind("svc-etl", "etl");
    office.reconcile("red");
    let asked = json!({ "action": "explain", "serviceAccount": "svc-etl", "cluster": "red" });
    let answer = ask(&office, asked);
    let shown = wrong(&answer);
    assert!(shown.iter().any(|(check, ..)| check == "node policy"), "{shown:?}");
    insta::assert_snapshot!(golden(&answer));
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
    pod(&office, "svc-etl-sa");
    let answer = explain(&office);
    assert_eq!(wrong(&answer), [], "{}", text(&answer));
    assert!(text(&answer).contains("so the list restricts nothing"), "{}", text(&answer));
    office.settings.plan.strict = true;
    let answer = explain(&office);
    broken(&answer, "broad grant");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_broad_grant_that_was_attached_after_the_last_reconciliation_is_told() {
    let mut office = at_work();
    let broad = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy";
    {
        let mut world = office.ports.world();
        let now = world.now;
        world.iam.attach(&node_role(), broad, now);
    }
    let answer = explain(&office);
    assert!(text(&answer).contains("so the list restricts nothing"), "{}", text(&answer));
    office.settings.plan.strict = true;
    let (evidence, _) = broken(&explain(&office), "broad grant");
    assert!(evidence.contains(broad) && evidence.contains(node_role().as_str()), "{evidence}");
    office.ports.world().detach_role_policy(&somebody(), "blue-eks-nodes", broad).unwrap();
    assert_eq!(wrong(&explain(&office)), []);
}

#[test]
fn whether_the_agent_runs_without_its_add_on_is_unknown() {
    let office = at_work();
    office.ports.world().eks.cluster_mut(&cluster("blue")).unwrap().addons.clear();
    let answer = explain(&office);
    let shown = wrong(&answer);
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!((&*shown[0].0, &*shown[0].1), ("agent", "unknown"));
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn a_degraded_agent_is_told() {
    let office = at_work();
    set_agent(&office, "blue", "DEGRADED");
    let answer = explain(&office);
    broken(&answer, "agent");
    insta::assert_snapshot!(golden(&answer));
}

#[test]
fn without_the_agent_that_is_being_installed_nothing_works() {
    let office = at_work();
    set_agent(&office, "blue", "CREATING");
    let answer = explain(&office);
    broken(&answer, "agent");
    assert!(headline(&answer).starts_with("svc-etl has no credentials on blue"), "{answer}");
}

#[test]
fn in_auto_mode_the_agent_needs_no_add_on() {
    let office = at_work();
    {
        let mut world = office.ports.world();
        let blue = world.eks.cluster_mut(&cluster("blue")).unwrap();
        blue.addons.clear();
        blue.auto_mode = true;
    }
    let answer = explain(&office);
    assert_eq!(headline(&answer), "svc-etl works on blue");
    assert!(text(&answer).contains("cluster blue runs in EKS Auto Mode"), "{answer}");
}

#[test]
fn against_a_deny_that_may_decide_no_statement_is_advised() {
    let office = at_work();
    let allow = json!({
        "Effect": "Allow", "Principal": { "Service": "pods.eks.amazonaws.com" },
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    });
    let deny = json!({
        "Effect": "Deny", "Principal": "*", "Action": "sts:*",
        "Condition": { "StringNotEquals": { "aws:PrincipalOrgID": "o-1" } },
    });
    let document = json!({ "Version": "2012-10-17", "Statement": [allow, deny] });
    office.ports.world().set_trust(&role("etl"), &document.to_string());
    let answer = explain(&office);
    let [(check, verdict, _)] = &wrong(&answer)[..] else { panic!("{}", text(&answer)) };
    assert_eq!((check.as_str(), verdict.as_str()), ("trust policy", "unknown"));
    let remediation = remediation(&answer, "trust policy");
    assert!(remediation.contains("see whether that Deny is about this"), "{remediation}");
    assert_eq!(answer["works"], Value::Null);
}
