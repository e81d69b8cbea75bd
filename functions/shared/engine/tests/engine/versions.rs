//! Versions of a node policy that others write meanwhile, or that IAM shows late.

use std::collections::BTreeSet;

use pod_identity_core::node_policy;
use pod_identity_engine::Outcome;
use pod_identity_engine::ledger::node_policy_key;
use pod_identity_engine::ports::{ErrorKind, Expect, Write};
use pod_identity_world::{PortFault, When, World};

use crate::check::{listed, settled};
use crate::policies::{administrator, blue_nodes, names, policy};
use crate::scenario::{Scenario, cluster, role};

/// Somebody's version that lists some roles.
pub(crate) fn put_version(world: &mut World, roles: &[&str]) {
    let roles = roles.iter().map(|name| role(name)).collect();
    let document = node_policy::document(&roles, Some(&cluster("blue")));
    world.create_policy_version(&administrator(), &policy(1), &document, true).unwrap();
}

/// blue lists `report`. Then somebody listed `train` too, and a run that died before it could
/// merge has put a version with `etl` over that one.
fn written_over() -> Scenario {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "report");
    scenario.send(&first);
    put_version(&mut scenario.ports.world(), &["report", "train"]);
    put_version(&mut scenario.ports.world(), &["report", "etl"]);
    scenario
}

#[test]
fn another_writers_version_between_read_and_write_is_merged() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "report");
    scenario.send(&first);
    let event = scenario.assigned("svc-etl", "etl");
    let calls = scenario.ports.world().calls.len();
    let mut written = false;
    let report = scenario.batch_with(&[event], scenario.in_seconds(60), |world| {
        let read = world.calls[calls..].iter().any(|call| call.operation == "GetRole");
        if read && !written {
            written = true;
            let roles = BTreeSet::from([role("report"), role("train")]);
            let document = node_policy::document(&roles, Some(&cluster("blue")));
            world.create_policy_version(&administrator(), &policy(1), &document, true).unwrap();
        }
    });
    assert!(written);
    Scenario::assert_outcome(&report.records[0], Outcome::Applied);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["report", "train", "etl"]));
    settled(&mut scenario);
}

#[test]
fn a_version_that_was_written_over_by_a_run_that_died_is_merged_by_the_next_one() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "report");
    scenario.send(&first);
    for roles in [vec!["report", "train"], vec!["report", "etl"]] {
        let roles = roles.into_iter().map(role).collect();
        let document = node_policy::document(&roles, Some(&cluster("blue")));
        let mut world = scenario.ports.world();
        world.create_policy_version(&administrator(), &policy(1), &document, true).unwrap();
    }
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["report", "train", "etl"]));
    settled(&mut scenario);
}

#[test]
fn another_writers_version_that_says_more_than_roles_is_never_lost_unseen() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "report");
    scenario.send(&first);
    let ours = node_policy::document(&[role("report")].into(), Some(&cluster("blue")));
    let more = ours.replace("\"Sid\"", "\"Condition\":{},\"Sid\"");
    for document in [&more, &ours] {
        let mut world = scenario.ports.world();
        world.create_policy_version(&administrator(), &policy(1), document, true).unwrap();
    }
    let event = scenario.assigned("svc-etl", "etl");
    let report = scenario.send(&event);
    Scenario::assert_outcome(&report, Outcome::Failed);
    assert!(report.lines[0].contains("version v2"), "{report:?}");
    // The policy is left alone, and its roles are listed by another.
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    {
        let world = scenario.ports.world();
        assert_eq!(world.iam.policy_arns().collect::<Vec<_>>(), [policy(1), policy(2)]);
        assert!(world.iam.versions(&policy(1)).any(|(version, _)| version == 2));
        assert_eq!(listed(&world, &blue_nodes()), names(&["report", "etl"]));
    }
    settled(&mut scenario);
}

#[test]
fn a_version_that_iam_does_not_show_yet_is_not_overwritten() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "report");
    scenario.send(&first);
    scenario.ports.world().settings.visible_after = jiff::SignedDuration::from_secs(5);
    let events = [scenario.assigned("svc-etl", "etl"), scenario.assigned("svc-train", "train")];
    for event in &events {
        for _ in 0..10 {
            if scenario.send(event).outcome != Outcome::Failed {
                break;
            }
            scenario.advance(1);
        }
    }
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["report", "train", "etl"]));
    scenario.advance(10);
    settled(&mut scenario);
}

#[test]
fn a_ledger_that_is_older_than_the_policy_loses_no_grant() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "report");
    scenario.send(&first);
    let key = node_policy_key(&cluster("blue"));
    let backup = scenario.ports.world().ledger.get(&key).unwrap().clone();
    for (name, role) in [("svc-train", "train"), ("svc-etl", "etl")] {
        let event = scenario.assigned(name, role);
        Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    }
    // What it says of the policies alone is lost to an older word.
    let write = Write::Put { item: backup, expires_at: None, expect: Expect::Anything };
    scenario.ports.world().ledger_write(&[write]).unwrap();
    let next = scenario.assigned("svc-next", "etl-2");
    Scenario::assert_outcome(&scenario.send(&next), Outcome::Applied);
    let all = names(&["report", "train", "etl", "etl-2"]);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), all);
    settled(&mut scenario);
}

#[test]
fn a_policy_that_somebody_deleted_is_made_again_under_another_number() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "report");
    scenario.send(&first);
    {
        let (mut world, arn) = (scenario.ports.world(), policy(1));
        world.detach_role_policy(&administrator(), blue_nodes().name(), &arn).unwrap();
        world.delete_policy(&administrator(), &arn).unwrap();
    }
    scenario.advance(300);
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Failed);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["report", "etl"]));
    let policies: Vec<String> =
        scenario.ports.world().iam.policy_arns().map(str::to_owned).collect();
    assert_eq!(policies, [policy(2)]);
    settled(&mut scenario);
}

#[test]
fn a_skipped_version_that_iam_shows_late_is_waited_for() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "report");
    scenario.send(&first);
    scenario.ports.world().settings.visible_after = jiff::SignedDuration::from_secs(2);
    {
        let mut world = scenario.ports.world();
        let roles = BTreeSet::from([role("report"), role("train")]);
        let document = node_policy::document(&roles, Some(&cluster("blue")));
        world.create_policy_version(&administrator(), &policy(1), &document, true).unwrap();
    }
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["report", "train", "etl"]));
    scenario.advance(10);
    settled(&mut scenario);
}

#[test]
fn every_version_that_a_number_skips_is_merged() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "report");
    scenario.send(&first);
    let event = scenario.assigned("svc-etl", "etl");
    let calls = scenario.ports.world().calls.len();
    let mut written = false;
    let report = scenario.batch_with(&[event], scenario.in_seconds(60), |world| {
        let read = world.calls[calls..].iter().any(|call| call.operation == "GetRole");
        if read && !written {
            written = true;
            put_version(world, &["report", "train"]);
            put_version(world, &["report", "etl-2"]);
        }
    });
    assert!(written);
    Scenario::assert_outcome(&report.records[0], Outcome::Applied);
    let all = names(&["report", "train", "etl-2", "etl"]);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), all);
    settled(&mut scenario);
}

#[test]
fn what_was_written_over_is_merged_although_the_first_attempt_fails() {
    let mut scenario = written_over();
    let event = scenario.assigned("svc-etl", "etl");
    let write = "CreatePolicyVersion";
    scenario.ports.fault(PortFault::nth(write, 1, When::Before, ErrorKind::Passing));
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Failed);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["report", "etl"]));
    let next = scenario.assigned("svc-next", "etl");
    Scenario::assert_outcome(&scenario.send(&next), Outcome::Applied);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["report", "train", "etl"]));
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    settled(&mut scenario);
}

#[test]
fn what_was_written_over_is_merged_although_a_blocked_binding_comes_first() {
    let mut scenario = written_over();
    let blocked = scenario.assigned("svc-x", "untrusted");
    Scenario::assert_outcome(&scenario.send(&blocked), Outcome::Blocked);
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["report", "train", "etl"]));
    settled(&mut scenario);
}

#[test]
fn five_versions_that_nobody_merged_are_all_listed_in_the_end() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let first = scenario.assigned("svc-first", "report");
    scenario.send(&first);
    for name in ["a", "b", "c", "d"] {
        put_version(&mut scenario.ports.world(), &["report", name]);
    }
    let event = scenario.assigned("svc-etl", "etl");
    // No version goes before what it lists is written down.
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Failed);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), names(&["report", "d"]));
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    let all = names(&["report", "a", "b", "c", "d", "etl"]);
    assert_eq!(listed(&scenario.ports.world(), &blue_nodes()), all);
    settled(&mut scenario);
}

#[test]
fn what_is_listed_beside_a_version_that_says_more_than_roles_stays_listed() {
    const MORE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;
    for before in [false, true] {
        let mut scenario = Scenario::new();
        scenario.register("blue");
        let first = scenario.assigned("svc-first", "report");
        scenario.send(&first);
        {
            let mut world = scenario.ports.world();
            let put_more = |world: &mut World| {
                world.create_policy_version(&administrator(), &policy(1), MORE, true).unwrap();
            };
            if before {
                put_more(&mut world);
            }
            put_version(&mut world, &["report", "train"]);
            if !before {
                put_more(&mut world);
            }
        }
        // It is written over them, and the policy is left alone once they are seen.
        let event = scenario.assigned("svc-etl", "etl");
        Scenario::assert_outcome(&scenario.deliver(&event, 2), Outcome::Failed);
        Scenario::assert_outcome(&scenario.deliver(&event, 3), Outcome::Applied);
        let listed = listed(&scenario.ports.world(), &blue_nodes());
        assert!(listed.is_superset(&names(&["report", "train", "etl"])), "{before}: {listed:?}");
    }
}
