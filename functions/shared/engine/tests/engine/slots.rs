//! The node roles' attachment slots, and policies that fill up.

use std::collections::BTreeSet;

use pod_identity_core::{RoleArn, node_policy};
use pod_identity_engine::{BatchReport, Outcome};
use pod_identity_events::BlockedCode;
use pod_identity_world::{PortFault, When};
use serde_json::{Value, json};

use crate::check::{listed, settled};
use crate::policies::{administrator, blue_nodes, policy};
use crate::scenario::{ACCOUNT, Scenario, TRUSTED, UNTRUSTED, cluster, node_role, role};

/// So many roles of this length fill a policy, and so many the first, which has
/// the cluster statement.
const FULL: usize = 84;
const FIRST: usize = 82;

fn name(n: usize) -> String {
    format!("a-role-with-a-usual-name-{n:05}")
}

fn roles(scenario: &mut Scenario, numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers
        .map(|n| {
            scenario.ports.world().add_role(&role(&name(n)), TRUSTED);
            scenario.assigned(&format!("svc-{n}"), &name(n))
        })
        .collect()
}

fn count(report: &BatchReport, outcome: Outcome) -> usize {
    report.records.iter().filter(|record| record.outcome == outcome).count()
}

fn other(n: usize) -> String {
    format!("arn:aws:iam::{ACCOUNT}:policy/other-{n}")
}

/// Leaves so many of the ten slots of a node role.
fn leave(scenario: &Scenario, node_role: &RoleArn, free: usize) {
    let mut world = scenario.ports.world();
    let now = world.now;
    let used = world.iam.attached_to(node_role).len();
    for n in 0..10 - free - used {
        world.iam.attach(node_role, &other(n), now);
    }
}

fn free_one(scenario: &Scenario, node_role: &RoleArn) {
    let mut world = scenario.ports.world();
    world.detach_role_policy(&administrator(), node_role.name(), &other(0)).unwrap();
}

fn policies(scenario: &Scenario) -> Vec<String> {
    scenario.ports.world().iam.policy_arns().map(str::to_owned).collect()
}

/// Registers a cluster with any node roles, which exist from now on.
fn register(scenario: &mut Scenario, name: &str, node_roles: &[&RoleArn]) {
    for node_role in node_roles {
        let known = scenario.node_roles.values().flatten().any(|known| known == *node_role);
        if !known {
            scenario.ports.world().add_role(node_role, UNTRUSTED);
        }
    }
    let owned = node_roles.iter().map(|role| (*role).clone()).collect();
    scenario.node_roles.insert(cluster(name), owned);
    let detail = json!({ "clusterArn": cluster(name), "nodeRoleArns": node_roles });
    let event = scenario.event("domino.administration", "Cluster Registered", detail);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Registered);
}

#[test]
fn two_thousand_roles_that_come_in_many_batches_are_all_listed_once() {
    let mut scenario = Scenario::new();
    // Looked at once in the end: after every call it would take minutes.
    scenario.grants_before_binding = false;
    scenario.settings.policy_slots = 30;
    scenario.ports.world().settings.policies_per_role = 30;
    scenario.register("blue");
    let events = roles(&mut scenario, 0..2_000);
    for batch in events.chunks(250) {
        let before = scenario.ports.world().count("CreatePolicyVersion");
        assert_eq!(count(&scenario.batch(batch), Outcome::Applied), batch.len());
        // What the batch before left open is filled, and nothing else is written again.
        assert!(scenario.ports.world().count("CreatePolicyVersion") <= before + 1);
    }
    let world = scenario.ports.world();
    let attached = world.iam.attached_to(&blue_nodes());
    let most = 1 + u32::try_from((2_000 - FIRST).div_ceil(FULL)).unwrap();
    assert_eq!(attached, (1..=most).map(policy).collect());
    let mut all = BTreeSet::new();
    for arn in &attached {
        let document = world.iam.document_in_force(arn).unwrap();
        assert!(node_policy::characters(document) <= node_policy::MAX_POLICY_CHARACTERS);
        let number = arn.rsplit('-').next().unwrap().parse().unwrap();
        let shard = node_policy::parse(number, document, &cluster("blue")).unwrap();
        for role in shard.roles {
            assert!(all.insert(role), "a role is listed twice");
        }
    }
    assert_eq!(all, (0..2_000).map(|n| role(&name(n))).collect());
    assert_eq!(world.eks.associations(&cluster("blue")).len(), 2_000);
}

#[test]
fn the_last_free_slot_is_used_and_only_what_comes_after_is_blocked() {
    let mut scenario = Scenario::new();
    scenario.settings.plan.strict = true;
    scenario.register("blue");
    leave(&scenario, &blue_nodes(), 2);
    let events = roles(&mut scenario, 0..180);
    assert_eq!(count(&scenario.batch(&events[..70]), Outcome::Applied), 70);
    assert_eq!(policies(&scenario), [policy(1)]);
    assert_eq!(count(&scenario.batch(&events[70..140]), Outcome::Applied), 70);
    assert_eq!(policies(&scenario), [policy(1), policy(2)]);
    let report = scenario.batch(&events[140..]);
    assert_eq!(policies(&scenario), [policy(1), policy(2)]);
    let blocked: Vec<_> =
        report.records.iter().filter(|record| record.outcome == Outcome::Blocked).collect();
    assert_eq!(blocked.len(), 180 - FIRST - FULL);
    assert_eq!(count(&report, Outcome::Applied), 40 - blocked.len());
    let names = blocked.iter().map(|record| record.service_account.clone().unwrap());
    for name in names {
        let blocked = scenario.condition(&name, "blue").unwrap().blocked.unwrap();
        assert_eq!(blocked.code(), BlockedCode::NodePolicyFull);
        assert!(blocked.message().contains("2 policies are all"), "{}", blocked.message());
    }
    // What is listed goes on, and a role that is listed already is no new one.
    let event = scenario.assigned("svc-another", &name(0));
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    settled(&mut scenario);
    free_one(&scenario, &blue_nodes());
    let left = 180 - FIRST - FULL;
    assert_eq!(count(&scenario.batch(&events), Outcome::Applied), left);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()).len(), 180);
    assert_eq!(scenario.associations("blue").len(), 181);
    settled(&mut scenario);
}

#[test]
fn clusters_that_share_a_node_role_share_its_slots() {
    let mut scenario = Scenario::new();
    scenario.settings.plan.strict = true;
    let shared = node_role("shared-eks-nodes");
    register(&mut scenario, "blue", &[&shared]);
    register(&mut scenario, "green", &[&shared]);
    leave(&scenario, &shared, 3);
    let on = |scenario: &mut Scenario, name: &str, from: usize, to: usize| -> Vec<Value> {
        let mut events = roles(scenario, from..to);
        for event in &mut events {
            event["detail"]["clusters"] = json!([name]);
        }
        events
    };
    let blue = on(&mut scenario, "blue", 0, 160);
    assert_eq!(count(&scenario.batch(&blue), Outcome::Applied), 160);
    let green = on(&mut scenario, "green", 200, 300);
    let report = scenario.batch(&green);
    assert_eq!(count(&report, Outcome::Applied), FIRST);
    assert_eq!(count(&report, Outcome::Blocked), 100 - FIRST);
    let blocked = report.records.iter().find(|one| one.outcome == Outcome::Blocked).unwrap();
    let name = blocked.service_account.clone().unwrap();
    let blocked = scenario.condition(&name, "green").unwrap().blocked.unwrap();
    assert!(
        blocked.message().contains("cluster green") && blocked.message().contains("1 policies")
    );
    // The other cluster's policies are as they were, and it has no slot either.
    let more = on(&mut scenario, "blue", 400, 420);
    let report = scenario.batch(&more);
    let room = FIRST + FULL - 160;
    assert_eq!(count(&report, Outcome::Applied), room);
    assert_eq!(count(&report, Outcome::Blocked), 20 - room);
    assert_eq!(scenario.ports.world().iam.attached_to(&shared).len(), 10);
    settled(&mut scenario);
}

#[test]
fn the_node_role_with_the_fewest_free_slots_decides() {
    let mut scenario = Scenario::new();
    scenario.settings.plan.strict = true;
    let (roomy, narrow) = (node_role("a-roomy-eks-nodes"), node_role("b-narrow-eks-nodes"));
    register(&mut scenario, "blue", &[&roomy, &narrow]);
    leave(&scenario, &roomy, 5);
    leave(&scenario, &narrow, 1);
    let events = roles(&mut scenario, 0..100);
    let report = scenario.batch(&events);
    assert_eq!(count(&report, Outcome::Applied), FIRST);
    assert_eq!(count(&report, Outcome::Blocked), 100 - FIRST);
    assert_eq!(policies(&scenario), [policy(1)]);
    for node_role in [roomy, narrow] {
        assert_eq!(listed(&scenario.ports.world(), &node_role).len(), FIRST);
    }
    settled(&mut scenario);
}

/// A batch during which somebody takes the last slot as soon as a policy was made for it.
fn batch_that_loses_the_slot(scenario: &mut Scenario, events: &[Value]) -> BatchReport {
    let (deadline, nodes) = (scenario.in_seconds(60), blue_nodes());
    let made = scenario.ports.world().count("CreatePolicy");
    scenario.batch_with(events, deadline, |world| {
        if world.count("CreatePolicy") > made && world.iam.attached_to(&nodes).len() < 10 {
            let now = world.now;
            world.iam.attach(&nodes, "arn:aws:iam::111122223333:policy/other-late", now);
        }
    })
}

fn give_the_slot_back(scenario: &Scenario) {
    let late = format!("arn:aws:iam::{ACCOUNT}:policy/other-late");
    let mut world = scenario.ports.world();
    world.detach_role_policy(&administrator(), blue_nodes().name(), &late).unwrap();
}

#[test]
fn a_slot_that_was_lost_between_plan_and_attachment_blocks_until_there_is_one() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    leave(&scenario, &blue_nodes(), 1);
    let events = roles(&mut scenario, 0..3);
    let report = batch_that_loses_the_slot(&mut scenario, &events);
    assert_eq!(count(&report, Outcome::Blocked), 3);
    let blocked = scenario.condition("svc-0", "blue").unwrap().blocked.unwrap();
    assert_eq!(blocked.code(), BlockedCode::NodeRoleFull);
    assert!(blocked.message().contains("has no free slot for policy"), "{}", blocked.message());
    assert!(scenario.associations("blue").is_empty());
    // The cluster statement is in a policy that is attached nowhere, so it grants nothing.
    let attempts = scenario.ports.world().count("AttachRolePolicy");
    assert_eq!(count(&scenario.batch(&events), Outcome::Blocked), 3);
    assert_eq!(scenario.ports.world().count("AttachRolePolicy"), attempts);
    settled(&mut scenario);
    give_the_slot_back(&scenario);
    assert_eq!(count(&scenario.batch(&events), Outcome::Applied), 3);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()).len(), 3);
    settled(&mut scenario);
}

#[test]
fn a_second_policy_that_lost_its_slot_counts_as_none() {
    for strict in [true, false] {
        let mut scenario = Scenario::new();
        scenario.settings.plan.strict = strict;
        scenario.grants_before_binding = strict;
        scenario.register("blue");
        leave(&scenario, &blue_nodes(), 2);
        let events = roles(&mut scenario, 0..100);
        assert_eq!(count(&scenario.batch(&events[..70]), Outcome::Applied), 70);
        let report = batch_that_loses_the_slot(&mut scenario, &events[70..]);
        // What the first policy had room for is bound all the same.
        assert_eq!(count(&report, Outcome::Blocked), 100 - FIRST);
        assert_eq!(scenario.associations("blue").len(), FIRST);
        // The list is a record beside the cluster statement, and a control in strict mode.
        let report = scenario.batch(&events);
        let outcome = if strict { Outcome::Blocked } else { Outcome::Applied };
        assert_eq!(count(&report, outcome), 100 - FIRST);
        let bound = if strict { FIRST } else { 100 };
        assert_eq!(scenario.associations("blue").len(), bound);
        settled(&mut scenario);
        give_the_slot_back(&scenario);
        let again = roles(&mut scenario, 0..100);
        assert_eq!(count(&scenario.batch(&again), Outcome::Applied), 100);
        assert_eq!(listed(&scenario.ports.world(), &blue_nodes()).len(), 100);
        settled(&mut scenario);
    }
}

#[test]
fn a_node_role_without_a_slot_does_not_hold_up_the_others() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    leave(&scenario, &blue_nodes(), 1);
    let events = roles(&mut scenario, 0..FIRST);
    assert_eq!(count(&scenario.batch(&events), Outcome::Applied), FIRST);
    // The setting says more than the quota, so that IAM itself refuses.
    scenario.settings.policy_slots = 20;
    let second = node_role("z-eks-nodes");
    register(&mut scenario, "blue", &[&blue_nodes(), &second]);
    let mut events = roles(&mut scenario, 100..110);
    events.push(scenario.assigned("svc-listed", &name(0)));
    let report = scenario.batch(&events);
    assert_eq!((count(&report, Outcome::Applied), count(&report, Outcome::Blocked)), (1, 10));
    assert_eq!(scenario.code("svc-100", "blue"), Some(BlockedCode::NodeRoleFull));
    let second = listed(&scenario.ports.world(), &second);
    assert!(second.contains(&role(&name(0)).to_string()));
}

#[test]
fn a_policy_that_a_dead_run_filled_is_found_and_the_rest_goes_elsewhere() {
    let prepared = || {
        let mut scenario = Scenario::new();
        scenario.register("blue");
        let first = roles(&mut scenario, 0..80);
        assert_eq!(count(&scenario.batch(&first), Outcome::Applied), 80);
        let second = roles(&mut scenario, 100..180);
        scenario.ports.world().calls.clear();
        (scenario, second)
    };
    let call = {
        let (mut faultless, second) = prepared();
        faultless.batch(&second);
        let world = faultless.ports.world();
        world.calls.iter().position(|call| call.operation == "CreatePolicy").unwrap() + 1
    };
    let (mut scenario, second) = prepared();
    scenario.ports.fault(PortFault::dead_from(call, When::After));
    assert_eq!(count(&scenario.batch(&second), Outcome::Failed), 80);
    assert_eq!(policies(&scenario), [policy(1), policy(2)]);
    scenario.ports.clear_faults();
    scenario.advance(61);
    // Another batch comes first. The ledger knows of the second policy, which is nearly full.
    let third = roles(&mut scenario, 200..280);
    for batch in [&third, &second] {
        assert_eq!(count(&scenario.batch(batch), Outcome::Applied), 80);
    }
    assert_eq!(policies(&scenario), [policy(1), policy(2), policy(3)]);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()).len(), 240);
    settled(&mut scenario);
}

#[test]
fn roles_of_two_writers_that_do_not_fit_one_policy_are_all_listed_in_the_end() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = roles(&mut scenario, 0..60);
    assert_eq!(count(&scenario.batch(&first), Outcome::Applied), 60);
    // Somebody whose lease is over writes between our read and our write.
    let theirs: Vec<String> = (100..120).map(name).collect();
    let mut written = false;
    let ours = roles(&mut scenario, 200..220);
    let (deadline, arn) = (scenario.in_seconds(60), policy(1));
    let report = scenario.batch_with(&ours, deadline, |world| {
        if written || world.calls.last().is_none_or(|call| call.operation != "GetRole") {
            return;
        }
        written = true;
        let document = world.iam.document_in_force(&arn).unwrap();
        let mut roles = node_policy::parse(1, document, &cluster("blue")).unwrap().roles;
        roles.extend(theirs.iter().map(|name| role(name)));
        let document = node_policy::document(&roles, Some(&cluster("blue")));
        world.create_policy_version(&administrator(), &arn, &document, true).unwrap();
    });
    assert!(written);
    assert_eq!(count(&report, Outcome::Failed), 20);
    assert_eq!(count(&scenario.batch(&ours), Outcome::Applied), 20);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()).len(), 100);
    settled(&mut scenario);
}

#[test]
fn what_was_given_up_goes_away_although_the_next_in_line_loses_the_last_slot() {
    let shared = || json!({ "kubernetes": { "serviceAccount": "shared" } });
    let mut scenario = Scenario::new();
    let (blue, more) = (blue_nodes(), node_role("more-eks-nodes"));
    register(&mut scenario, "blue", &[&blue]);
    let holder = scenario.assigned_with("svc-a", "etl", shared());
    let next = scenario.assigned_with("svc-b", "etl", shared());
    scenario.batch(&[holder, next]);
    register(&mut scenario, "blue", &[&blue, &more]);
    leave(&scenario, &more, 1);
    scenario.grants_before_binding = false;

    let removal = scenario.unassigned("svc-a");
    let (mut taken, calls) = (false, scenario.ports.world().calls.len());
    let report =
        scenario.batch_with(std::slice::from_ref(&removal), scenario.in_seconds(60), |world| {
            let listed = |call: &pod_identity_world::Call| {
                call.operation == "ListAttachedRolePolicies" && call.object.contains(more.as_str())
            };
            if !taken && world.calls[calls..].iter().any(listed) {
                taken = true;
                let now = world.now;
                world.iam.attach(&more, &other(99), now);
            }
        });
    assert!(taken);
    // The association would have gone over to svc-b, and nothing has been done.
    assert_eq!(count(&report, Outcome::Failed), 1);
    assert_eq!(scenario.associations("blue").len(), 1);

    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    assert_eq!(scenario.associations("blue"), []);
    assert_eq!(scenario.code("svc-b", "blue"), Some(BlockedCode::NodePolicyFull));
    settled(&mut scenario);
}
