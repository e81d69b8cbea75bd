//! The node policies that the batches leave behind.

use std::collections::BTreeSet;

use pod_identity_core::{DEPLOYMENT_TAG, node_policy};
use pod_identity_engine::Outcome;
use pod_identity_engine::ports::ErrorKind;
use pod_identity_events::BlockedCode;
use pod_identity_world::{Caller, PortFault, When, World};
use serde_json::{Value, json};

use crate::check::{listed, settled};
use crate::reconcile;
use crate::scenario::{ACCOUNT, Scenario, TRUSTED, UNTRUSTED, cluster, node_role, role};

pub(crate) fn policy(number: u32) -> String {
    node_policy::policy_arn("acme", &cluster("blue"), number).unwrap().to_string()
}

pub(crate) fn blue_nodes() -> pod_identity_core::RoleArn {
    node_role("blue-eks-nodes")
}

pub(crate) fn administrator() -> Caller {
    Caller {
        name: "administrator".to_owned(),
        account: ACCOUNT.to_owned(),
        region: "eu-west-1".to_owned(),
    }
}

fn register_without_node_roles(scenario: &mut Scenario) {
    let detail = json!({ "clusterArn": cluster("blue") });
    let event = scenario.event("domino.administration", "Cluster Registered", detail);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Registered);
}

pub(crate) fn names(roles: &[&str]) -> BTreeSet<String> {
    roles.iter().map(|name| role(name).to_string()).collect()
}

#[test]
fn a_first_contact_that_failed_half_way_lists_the_roles_of_foreign_associations_too() {
    for operation in ["CreatePolicy", "AttachRolePolicy"] {
        for when in [When::Before, When::After] {
            let mut scenario = Scenario::new();
            scenario.register("blue");
            let theirs = role("karpenter").to_string();
            scenario
                .ports
                .world()
                .add_foreign_association(&cluster("blue"), "kube-system", "karpenter", &theirs)
                .unwrap();
            scenario.ports.fault(PortFault::nth(operation, 1, when, ErrorKind::Passing));
            let event = scenario.assigned("svc-etl", "etl");
            Scenario::assert_outcome(&scenario.send(&event), Outcome::Failed);
            Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
            let found = listed(&scenario.ports.world(), &blue_nodes());
            assert_eq!(found, names(&["etl", "karpenter"]), "{operation} {when:?}");
            let changed = scenario.outcomes("Node Role Policy Changed");
            assert_eq!(changed.len(), 1);
            assert_eq!(changed[0]["addedRoleArns"].as_array().unwrap().len(), 2);
            settled(&mut scenario);
        }
    }
}

#[test]
fn the_first_contact_lists_the_roles_of_foreign_associations_too() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    for name in ["karpenter", "elsewhere"] {
        let role = role(name).to_string();
        let mut world = scenario.ports.world();
        let namespace = if name == "karpenter" { "kube-system" } else { "domino-platform" };
        world.add_foreign_association(&cluster("blue"), namespace, name, &role).unwrap();
    }
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(
        listed(&scenario.ports.world(), &blue_nodes()),
        names(&["etl", "karpenter", "elsewhere"])
    );
    let changed = scenario.outcomes("Node Role Policy Changed");
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0]["addedRoleArns"].as_array().unwrap().len(), 3);
    assert_eq!(changed[0]["nodeRoleArns"], json!([blue_nodes()]));
    settled(&mut scenario);
}

#[test]
fn node_roles_come_from_the_node_groups_when_none_is_registered() {
    let mut scenario = Scenario::new();
    let (first, second) = (node_role("cpu-eks-nodes"), node_role("gpu-eks-nodes"));
    {
        let mut world = scenario.ports.world();
        world.add_role(&first, UNTRUSTED);
        world.add_role(&second, UNTRUSTED);
        world.add_cluster(&cluster("blue"), &[("cpu", &first), ("gpu", &second), ("old", &first)]);
    }
    scenario.node_roles.insert(cluster("blue"), vec![first.clone(), second.clone()]);
    register_without_node_roles(&mut scenario);
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    for role in [first, second] {
        assert_eq!(listed(&scenario.ports.world(), &role), names(&["etl"]));
    }
    settled(&mut scenario);
}

#[test]
fn the_node_role_of_eks_auto_mode_is_asked_for_once_and_again_by_reconcile() {
    let mut scenario = Scenario::new();
    let auto = node_role("auto-eks-nodes");
    {
        let mut world = scenario.ports.world();
        world.add_role(&auto, UNTRUSTED);
        let blue = world.eks.cluster_mut(&cluster("blue")).unwrap();
        blue.node_groups.clear();
        (blue.auto_mode, blue.node_role) = (true, auto.to_string());
    }
    scenario.node_roles.insert(cluster("blue"), vec![auto.clone()]);
    register_without_node_roles(&mut scenario);
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(scenario.ports.world().iam.attached_to(&auto).len(), 1);
    let asked = scenario.ports.world().count("DescribeCluster");
    let event = scenario.assigned("svc-train", "train");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(scenario.ports.world().count("DescribeCluster"), asked);
    scenario.advance(300);
    let done = reconcile::run(&mut scenario, &reconcile::scope(), 60);
    assert!(done.skipped.is_none() && done.halted.is_none() && done.failures.is_empty());
    assert!(scenario.ports.world().count("DescribeCluster") > asked);
    settled(&mut scenario);
}

#[test]
fn a_guessed_node_role_that_does_not_exist_is_said_to_be_a_guess() {
    let mut scenario = Scenario::new();
    {
        let mut world = scenario.ports.world();
        world.eks.cluster_mut(&cluster("blue")).unwrap().node_groups.clear();
        world.delete_role(&administrator(), "blue-eks-nodes").unwrap();
    }
    register_without_node_roles(&mut scenario);
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::NodeRoleNotFound));
    let published = scenario.outcomes("Pod Identity Association Blocked");
    let reason = published[0]["message"].as_str().unwrap();
    assert!(reason.contains("blue-eks-nodes") && reason.contains("It is a guess"), "{reason}");
}

#[test]
fn a_cluster_without_node_groups_has_the_node_role_of_dominos_module() {
    let mut scenario = Scenario::new();
    scenario.ports.world().add_cluster(&cluster("blue"), &[]);
    register_without_node_roles(&mut scenario);
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["etl"]));
    settled(&mut scenario);
}

#[test]
fn a_node_role_outside_the_allow_list_blocks() {
    let mut scenario = Scenario::new();
    let other = node_role("somebody-elses-nodes");
    {
        let mut world = scenario.ports.world();
        world.add_role(&other, UNTRUSTED);
        world.add_cluster(&cluster("blue"), &[("default", &other)]);
    }
    register_without_node_roles(&mut scenario);
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::NodeRoleNotAllowed));
    assert!(scenario.associations("blue").is_empty());
    assert!(scenario.ports.world().iam.attached_to(&other).is_empty());
    assert_eq!(scenario.ports.world().iam.policy_arns().count(), 0);
    settled(&mut scenario);
}

#[test]
fn the_sixth_version_makes_room_first() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let mut all = BTreeSet::new();
    for n in 0..12 {
        let name = format!("role-{n}");
        scenario.ports.world().add_role(&role(&name), TRUSTED);
        let event = scenario.assigned("svc-etl", &name);
        Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
        all.insert(role(&name).to_string());
    }
    {
        let world = scenario.ports.world();
        let versions =
            world.list_policy_versions(&administrator(), &policy(1), None, None).unwrap();
        assert!(versions.items.len() <= 5);
        assert!(versions.items.iter().any(|version| version.id == "v12" && version.is_default));
        assert_eq!(listed(&world, &blue_nodes()), all);
        // Several go at once, so that not every write has to prune.
        assert!(world.count("ListPolicyVersions") <= 3);
    }
    settled(&mut scenario);
}

#[test]
fn a_policy_that_was_made_before_its_maker_died_is_finished_by_the_next_delivery() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "etl");
    let call = {
        let mut faultless = Scenario::new();
        faultless.register("blue");
        faultless.ports.world().calls.clear();
        faultless.send(&event);
        let world = faultless.ports.world();
        world.calls.iter().position(|call| call.operation == "CreatePolicy").unwrap() + 1
    };
    scenario.ports.fault(PortFault::dead_from(call, When::After));
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Failed);
    assert!(scenario.ports.world().iam.document_in_force(&policy(1)).is_some());
    assert!(scenario.associations("blue").is_empty());
    scenario.ports.clear_faults();
    scenario.advance(61);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["etl"]));
    settled(&mut scenario);
}

fn somebody_elses_policy(world: &mut World, tags: &[(&str, &str)]) {
    let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;
    let arn = policy(1);
    let (path, name) = arn.rsplit_once('/').unwrap();
    let path = format!("{}/", path.split_once(":policy").unwrap().1);
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    world.create_policy(&administrator(), name, &path, "", document, &tags).unwrap();
}

#[test]
fn a_foreign_policy_of_the_same_name_stays_as_it_is_and_another_is_made() {
    for tags in [vec![], vec![(DEPLOYMENT_TAG, "another")]] {
        let mut scenario = Scenario::new();
        scenario.register("blue");
        somebody_elses_policy(&mut scenario.ports.world(), &tags);
        let before = scenario.ports.world().iam.document_in_force(&policy(1)).unwrap().to_owned();
        let event = scenario.assigned("svc-etl", "etl");
        let report = scenario.send(&event);
        Scenario::assert_outcome(&report, Outcome::Failed);
        assert!(report.lines[0].contains("is not tagged"), "{report:?}");
        let report = scenario.batch(std::slice::from_ref(&event));
        Scenario::assert_outcome(&report.records[0], Outcome::Applied);
        let plan = report.clusters[&cluster("blue")].plan.as_ref().unwrap();
        assert!(plan.warnings[0].contains("node policy 1 of cluster blue is left alone"), "{plan}");
        assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["etl"]));
        assert_eq!(scenario.ports.world().iam.document_in_force(&policy(1)).unwrap(), before);
        settled(&mut scenario);
    }
}

fn fill_the_slots(scenario: &Scenario, free: usize) {
    let mut world = scenario.ports.world();
    let now = world.now;
    for n in 0..10 - free {
        let arn = format!("arn:aws:iam::{ACCOUNT}:policy/other-{n}");
        world.iam.attach(&blue_nodes(), &arn, now);
    }
}

#[test]
fn without_a_free_slot_and_any_other_grant_a_binding_is_blocked() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    fill_the_slots(&scenario, 0);
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::NodePolicyFull));
    settled(&mut scenario);
}

#[test]
fn without_a_free_slot_the_record_goes_ahead_with_a_warning_beside_awss_policy() {
    let mut scenario = Scenario::new();
    scenario.grants_before_binding = false;
    scenario.register("blue");
    fill_the_slots(&scenario, 1);
    let now = scenario.now();
    let broad = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy";
    scenario.ports.world().iam.attach(&blue_nodes(), broad, now);
    let event = scenario.assigned("svc-etl", "etl");
    let report = scenario.batch(std::slice::from_ref(&event));
    Scenario::assert_outcome(&report.records[0], Outcome::Applied);
    let plan = report.clusters[&cluster("blue")].plan.as_ref().unwrap();
    assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
    assert_eq!(scenario.associations("blue").len(), 1);
    settled(&mut scenario);
}

#[test]
fn without_a_free_slot_strict_mode_blocks_until_there_is_one() {
    let mut scenario = Scenario::new();
    scenario.settings.plan.strict = true;
    scenario.settings.plan.cluster_statement = false;
    scenario.register("blue");
    fill_the_slots(&scenario, 0);
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::NodePolicyFull));
    assert!(scenario.associations("blue").is_empty());
    settled(&mut scenario);
    scenario
        .ports
        .world()
        .detach_role_policy(
            &administrator(),
            "blue-eks-nodes",
            &format!("arn:aws:iam::{ACCOUNT}:policy/other-0"),
        )
        .unwrap();
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    settled(&mut scenario);
}

fn many(scenario: &mut Scenario, count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| {
            let name = format!("a-role-with-a-usual-name-{n:03}");
            scenario.ports.world().add_role(&role(&name), TRUSTED);
            scenario.assigned(&format!("svc-{n}"), &name)
        })
        .collect()
}

#[test]
fn a_hundred_and_fifty_roles_are_spread_over_as_few_policies_as_fit() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events = many(&mut scenario, 150);
    for batch in events.chunks(50) {
        for record in scenario.batch(batch).records {
            Scenario::assert_outcome(&record, Outcome::Applied);
        }
    }
    {
        let world = scenario.ports.world();
        assert_eq!(listed(&world, &blue_nodes()).len(), 150);
        let policies: Vec<&str> = world.iam.policy_arns().collect();
        assert_eq!(policies, [policy(1), policy(2)]);
        for arn in policies {
            assert!(world.iam.document_in_force(arn).unwrap().len() <= 6_144);
        }
    }
    // One more role rewrites one policy.
    let versions = scenario.ports.world().count("CreatePolicyVersion");
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(scenario.ports.world().count("CreatePolicyVersion"), versions + 1);
    settled(&mut scenario);
}

#[test]
fn strict_mode_blocks_only_the_roles_that_have_no_room() {
    let mut scenario = Scenario::new();
    scenario.settings.plan.strict = true;
    scenario.register("blue");
    fill_the_slots(&scenario, 1);
    let events = many(&mut scenario, 90);
    let report = scenario.batch(&events);
    let of = |wanted| report.records.iter().filter(|record| record.outcome == wanted).count();
    assert!(of(Outcome::Applied) > 60 && of(Outcome::Blocked) > 0);
    assert_eq!(of(Outcome::Applied) + of(Outcome::Blocked), 90);
    assert_eq!(scenario.associations("blue").len(), of(Outcome::Applied));
    settled(&mut scenario);
}
