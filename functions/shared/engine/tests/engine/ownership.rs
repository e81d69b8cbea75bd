//! What is not ours, or not known to be ours, stays as it is.

use pod_identity_core::{DEPLOYMENT_TAG, SERVICE_ACCOUNT_TAG};
use pod_identity_engine::Outcome;
use pod_identity_engine::ports::Association;
use pod_identity_events::BlockedCode;
use pod_identity_world::{Caller, Ledger};
use serde_json::json;

use crate::check::{End, settled};
use crate::scenario::{ACCOUNT, Scenario, cluster, role};

pub(crate) fn somebody() -> Caller {
    Caller {
        name: "somebody".to_owned(),
        account: ACCOUNT.to_owned(),
        region: "eu-west-1".to_owned(),
    }
}

pub(crate) fn foreign(scenario: &Scenario, service_account: &str) -> Association {
    let role = role("theirs").to_string();
    let mut world = scenario.ports.world();
    let blue = cluster("blue");
    world.add_foreign_association(&blue, "domino-compute", service_account, &role).unwrap()
}

#[test]
fn foreign_association_is_never_touched() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let theirs = foreign(&scenario, "svc-etl-sa");
    let events = [
        scenario.assigned("svc-etl", "etl"),
        scenario.assigned("svc-etl", "etl-2"),
        scenario.unassigned("svc-etl"),
    ];
    for event in &events[..2] {
        let report = scenario.send(event);
        Scenario::assert_outcome(&report, Outcome::Blocked);
        assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::ForeignAssociation));
        assert!(report.lines[0].contains("adopt"), "{report:?}");
    }
    Scenario::assert_outcome(&scenario.send(&events[2]), Outcome::Applied);
    {
        let world = scenario.ports.world();
        let found = world.eks.associations(&cluster("blue"));
        assert_eq!(found, [&theirs]);
    }
    settled(&mut scenario);
}

#[test]
fn a_binding_comes_true_once_the_foreign_association_is_deleted_by_hand() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let theirs = foreign(&scenario, "svc-etl-sa");
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    let deleted =
        scenario.ports.world().delete_pod_identity_association(&somebody(), "blue", &theirs.id);
    deleted.unwrap();
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    assert_eq!(scenario.associations("blue")[0].1, "etl");
    settled(&mut scenario);
}

#[test]
fn a_foreign_association_that_an_administrator_tags_is_adopted() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let theirs = foreign(&scenario, "svc-etl-sa");
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    let tags = [(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-etl")];
    let tags = tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    scenario.ports.world().tag_resource(&somebody(), &theirs.arn, &tags).unwrap();
    // The list already names its role: foreign associations are on it.
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Applied);
    {
        let world = scenario.ports.world();
        let found = world.eks.associations(&cluster("blue"));
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].id, found[0].role_arn.as_str()), (&theirs.id, role("etl").as_str()));
    }
    settled(&mut scenario);
}

#[test]
fn add_on_owned_association_is_never_touched_not_even_with_our_tag() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let owned = {
        let mut world = scenario.ports.world();
        let owner = format!("arn:aws:eks:eu-west-1:{ACCOUNT}:addon/blue/ebs/1234");
        let role = role("theirs").to_string();
        let made = world
            .add_addon_association(&cluster("blue"), "domino-compute", "svc-etl-sa", &role, &owner)
            .unwrap();
        let tags = [(DEPLOYMENT_TAG.to_owned(), "acme".to_owned())].into();
        world.tag_resource(&somebody(), &made.arn, &tags).unwrap();
        world.eks.associations(&cluster("blue"))[0].clone()
    };
    scenario.grants_before_binding = false;
    let events = [scenario.assigned("svc-etl", "etl"), scenario.unassigned("svc-etl")];
    Scenario::assert_outcome(&scenario.send(&events[0]), Outcome::Blocked);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::AddOnOwnedAssociation));
    Scenario::assert_outcome(&scenario.send(&events[1]), Outcome::Applied);
    assert_eq!(scenario.ports.world().eks.associations(&cluster("blue")), [&owned]);
    settled(&mut scenario);
}

#[test]
fn an_orphan_blocks_and_is_kept() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let orphan = foreign(&scenario, "svc-etl-sa");
    let tags = [(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-forgotten")];
    let tags = tags.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    scenario.ports.world().tag_resource(&somebody(), &orphan.arn, &tags).unwrap();
    let events = [scenario.assigned("svc-etl", "etl"), scenario.unassigned("svc-etl")];
    Scenario::assert_outcome(&scenario.send(&events[0]), Outcome::Blocked);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::OrphanAssociation));
    scenario.send(&events[1]);
    assert_eq!(
        scenario.associations("blue"),
        [("domino-compute/svc-etl-sa".into(), "theirs".into())]
    );
    settled(&mut scenario);
}

#[test]
fn an_empty_ledger_never_deletes_anything() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    for n in 0..5 {
        let event = scenario.assigned(&format!("svc-{n}"), "etl");
        scenario.send(&event);
    }
    let before = End::of(&scenario).associations;
    scenario.ports.world().ledger = Ledger::default();
    scenario.sent.clear();
    scenario.register("blue");
    let at = |place: &str| json!({ "kubernetes": { "serviceAccount": place } });
    let events = [
        scenario.unassigned("svc-0"),
        scenario.deactivated("svc-unheard-of"),
        // Known again, but at another place: where it was is not remembered.
        scenario.assigned_with("svc-1", "etl", at("elsewhere")),
        scenario.assigned_with("svc-5", "untrusted", at("svc-1-sa")),
        scenario.assigned_with("svc-6", "report", at("svc-2-sa")),
        scenario.unassigned("svc-5"),
        scenario.unassigned("svc-6"),
        scenario.assigned("svc-3", "etl"),
    ];
    for event in &events {
        scenario.send(event);
    }
    let after = End::of(&scenario).associations;
    for (place, association) in &before {
        assert_eq!(after.get(place), Some(association), "{place}");
    }
    assert_eq!(scenario.ports.world().count("DeletePodIdentityAssociation"), 0);
    settled(&mut scenario);
}

#[test]
fn a_tombstone_deletes_only_what_is_tagged_for_its_account() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "etl");
    scenario.send(&event);
    let (id, arn) = {
        let world = scenario.ports.world();
        let made = world.eks.associations(&cluster("blue"))[0];
        (made.id.clone(), made.arn.clone())
    };
    let other = [(SERVICE_ACCOUNT_TAG.to_owned(), "svc-other".to_owned())].into();
    scenario.ports.world().tag_resource(&somebody(), &arn, &other).unwrap();
    scenario.advance(60);
    let removal = scenario.unassigned("svc-etl");
    scenario.send(&removal);
    let kept: Vec<String> = {
        let world = scenario.ports.world();
        world.eks.associations(&cluster("blue")).iter().map(|one| one.id.clone()).collect()
    };
    assert_eq!(kept, [id]);
    settled(&mut scenario);
}
