//! What is not ours, or not known to be ours, stays as it is; what is ours stays ours.

use pod_identity_core::{DEPLOYMENT_TAG, SERVICE_ACCOUNT_TAG};
use pod_identity_engine::ports::{Association, ErrorKind};
use pod_identity_engine::{Outcome, Reconciled, Scope, reconcile};
use pod_identity_events::BlockedCode;
use pod_identity_world::{Caller, Ledger, PortFault, When};
use serde_json::json;

use crate::check::{End, settled};
use crate::scenario::{ACCOUNT, Scenario, cluster, drive, role};

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

pub(crate) fn tag(scenario: &Scenario, arn: &str, tags: &[(&str, &str)]) {
    let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    scenario.ports.world().tag_resource(&somebody(), arn, &tags).unwrap();
}

pub(crate) fn untag(scenario: &Scenario, arn: &str) {
    let keys = [DEPLOYMENT_TAG.to_owned(), SERVICE_ACCOUNT_TAG.to_owned()];
    scenario.ports.world().untag_resource(&somebody(), arn, &keys).unwrap();
}

/// Reconciles blue, and says how many calls that changed an association were made.
fn reconcile_blue(scenario: &mut Scenario) -> (Reconciled, usize) {
    let (run, deadline) = (scenario.next_run(), scenario.in_seconds(60));
    let before = scenario.ports.world().calls.len();
    let done = {
        let (ports, scope) = (&scenario.ports, Scope::of(cluster("blue")));
        let future =
            reconcile(ports.cloud(&run, &scenario.settings, deadline), ports.writers(), &scope);
        drive(future, || {}).unwrap()
    };
    let world = scenario.ports.world();
    let changes = world.calls[before..].iter().filter(|call| {
        call.operation.ends_with("PodIdentityAssociation")
            && !call.operation.starts_with("Describe")
            || call.operation == "TagResource"
    });
    (done, changes.count())
}

#[test]
fn tags_on_a_foreign_association_make_nothing_ours() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let theirs = foreign(&scenario, "svc-etl-sa");
    let event = scenario.assigned("svc-etl", "etl");
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    tag(&scenario, &theirs.arn, &[(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-etl")]);
    scenario.advance(300);
    Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::OrphanAssociation));
    let (done, changes) = reconcile_blue(&mut scenario);
    assert_eq!((done.orphans.len(), changes), (1, 0), "{done:?}");
    // Nor does a removal delete it, and it is not said to be done.
    let removal = scenario.unassigned("svc-etl");
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Blocked);
    let (_, changes) = reconcile_blue(&mut scenario);
    assert_eq!(changes, 0);
    assert_eq!(scenario.associations("blue")[0].1, "theirs");
    assert_eq!(scenario.outcomes("Pod Identity Association Removed"), [] as [serde_json::Value; 0]);
    settled(&mut scenario);
}

#[test]
fn a_tombstone_and_copied_tags_delete_nothing_in_another_namespace() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let events = [scenario.assigned("svc-nobody", "etl"), scenario.unassigned("svc-nobody")];
    for event in &events {
        Scenario::assert_outcome(&scenario.send(event), Outcome::Applied);
    }
    let controller = {
        let mut world = scenario.ports.world();
        let (blue, theirs) = (cluster("blue"), role("theirs").to_string());
        let name = "aws-load-balancer-controller";
        world.add_foreign_association(&blue, "kube-system", name, &theirs).unwrap()
    };
    let tags = [(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-nobody")];
    tag(&scenario, &controller.arn, &tags);
    scenario.advance(300);
    let (done, changes) = reconcile_blue(&mut scenario);
    assert_eq!((done.orphans.len(), changes), (1, 0), "{done:?}");
    let left = scenario.associations("blue");
    assert_eq!(left, [("kube-system/aws-load-balancer-controller".into(), "theirs".into())]);
    settled(&mut scenario);
}

#[test]
fn a_removal_deletes_what_was_untagged() {
    for by_event in [true, false] {
        let mut scenario = Scenario::new();
        scenario.register("blue");
        let event = scenario.assigned("svc-u", "etl");
        scenario.send(&event);
        let arn = scenario.ports.world().eks.associations(&cluster("blue"))[0].arn.clone();
        untag(&scenario, &arn);
        scenario.advance(300);
        let removal = scenario.unassigned("svc-u");
        if !by_event {
            scenario.ports.fault(PortFault {
                lasting: true,
                ..PortFault::nth("TagResource", 1, When::Before, ErrorKind::Passing)
            });
            // Its tag has to be restored first: IAM lets the functions delete nothing without it.
            Scenario::assert_outcome(&scenario.send(&removal), Outcome::Failed);
            assert_eq!(scenario.associations("blue").len(), 1);
            scenario.ports.clear_faults();
            let (_, changes) = reconcile_blue(&mut scenario);
            assert_eq!(changes, 2);
        }
        Scenario::assert_outcome(
            &scenario.send(&removal),
            if by_event { Outcome::Applied } else { Outcome::Repeated },
        );
        assert_eq!(scenario.associations("blue"), []);
        assert_eq!(scenario.outcomes("Pod Identity Association Removed").len(), 1);
        settled(&mut scenario);
    }
}

#[test]
fn right_after_its_own_tag_a_denial_is_tried_again() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-u", "etl");
    scenario.send(&event);
    let arn = scenario.ports.world().eks.associations(&cluster("blue"))[0].arn.clone();
    untag(&scenario, &arn);
    scenario.advance(300);
    let removal = scenario.unassigned("svc-u");
    let delete = "DeletePodIdentityAssociation";
    scenario.ports.fault(PortFault::nth(delete, 1, When::Before, ErrorKind::Denied));
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Failed);
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    assert_eq!(scenario.associations("blue"), []);
    settled(&mut scenario);
}

#[test]
fn what_was_made_again_by_hand_with_copied_tags_is_no_more_ours() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "etl");
    scenario.send(&event);
    let made = scenario.ports.world().eks.associations(&cluster("blue"))[0].clone();
    {
        let mut world = scenario.ports.world();
        world.delete_pod_identity_association(&somebody(), "blue", &made.id).unwrap();
        let (blue, theirs) = (cluster("blue"), role("theirs").to_string());
        world.add_foreign_association(&blue, "domino-compute", "svc-etl-sa", &theirs).unwrap();
    }
    scenario.advance(300);
    let (_, changes) = reconcile_blue(&mut scenario);
    assert_eq!(changes, 0);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::ReplacedAssociation));
    let other = scenario.ports.world().eks.associations(&cluster("blue"))[0].arn.clone();
    let tags = [(DEPLOYMENT_TAG, "acme"), (SERVICE_ACCOUNT_TAG, "svc-etl")];
    tag(&scenario, &other, &tags);
    let (_, changes) = reconcile_blue(&mut scenario);
    assert_eq!(changes, 0);
    assert_eq!(scenario.code("svc-etl", "blue"), Some(BlockedCode::OrphanAssociation));
}

#[test]
fn what_only_an_intent_accounts_for_is_recorded_before_it_is_changed() {
    for when in [When::Before, When::After] {
        let mut scenario = Scenario::new();
        scenario.register("blue");
        let first = scenario.assigned("svc-etl", "etl");
        // The run makes it and dies before it can say so.
        let create = "CreatePodIdentityAssociation";
        scenario.ports.fault(PortFault {
            lasting: true,
            ..PortFault::nth(create, 1, When::After, ErrorKind::Passing)
        });
        scenario.ports.fault(PortFault {
            lasting: true,
            ..PortFault::nth("TransactWriteItems", 3, When::Before, ErrorKind::Passing)
        });
        scenario.send(&first);
        scenario.ports.clear_faults();
        assert_eq!(scenario.associations("blue")[0].1, "etl");
        scenario.advance(300);
        // A newer event changes it, and the answer to that is lost.
        let second = scenario.assigned("svc-etl", "report");
        let update = "UpdatePodIdentityAssociation";
        scenario.ports.fault(PortFault::nth(update, 1, when, ErrorKind::Passing));
        Scenario::assert_outcome(&scenario.send(&second), Outcome::Failed);
        scenario.ports.clear_faults();
        scenario.advance(300);
        Scenario::assert_outcome(&scenario.send(&second), Outcome::Applied);
        assert_eq!(scenario.associations("blue")[0].1, "report");
        let removal = scenario.unassigned("svc-etl");
        Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
        assert_eq!(scenario.associations("blue"), []);
        settled(&mut scenario);
    }
}

#[test]
fn a_deletion_that_is_denied_is_done_where_nothing_is_left() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "etl");
    scenario.send(&event);
    let id = scenario.ports.world().eks.associations(&cluster("blue"))[0].id.clone();
    scenario.ports.world().delete_pod_identity_association(&somebody(), "blue", &id).unwrap();
    scenario.advance(300);
    let delete = "DeletePodIdentityAssociation";
    scenario.ports.fault(PortFault::nth(delete, 1, When::Before, ErrorKind::Denied));
    let removal = scenario.unassigned("svc-etl");
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    settled(&mut scenario);
}

#[test]
fn a_blocked_binding_may_change_its_mind_as_often_as_it_likes() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    foreign(&scenario, "svc-etl-sa");
    for n in 0..20 {
        let target = format!("arn:aws:iam::444455556666:role/target-{n}");
        let event = scenario.assigned_with("svc-etl", "etl", json!({ "targetRoleArn": target }));
        Scenario::assert_outcome(&scenario.send(&event), Outcome::Blocked);
    }
}

#[test]
fn a_creation_that_lands_after_its_removal_is_found_and_deleted() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "etl");
    scenario.send(&event);
    let made = scenario.ports.world().eks.associations(&cluster("blue"))[0].clone();
    let removal = scenario.unassigned("svc-etl");
    scenario.advance(300);
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    scenario.advance(300);
    {
        let mut world = scenario.ports.world();
        let (blue, etl) = (cluster("blue"), role("etl").to_string());
        let late = world.add_foreign_association(&blue, "domino-compute", "svc-etl-sa", &etl);
        let arn = late.unwrap().arn;
        world.tag_resource(&somebody(), &arn, &made.tags).unwrap();
    }
    let (done, changes) = reconcile_blue(&mut scenario);
    assert_eq!((done.corrected.len(), changes), (1, 1), "{done:?}");
    assert_eq!(scenario.associations("blue"), []);
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
fn a_tag_that_names_another_keeps_nothing_from_its_removal() {
    let mut scenario = Scenario::new();
    scenario.register("blue");
    let event = scenario.assigned("svc-etl", "etl");
    scenario.send(&event);
    let arn = scenario.ports.world().eks.associations(&cluster("blue"))[0].arn.clone();
    tag(&scenario, &arn, &[(SERVICE_ACCOUNT_TAG, "svc-other")]);
    scenario.advance(60);
    let removal = scenario.unassigned("svc-etl");
    Scenario::assert_outcome(&scenario.send(&removal), Outcome::Applied);
    assert_eq!(scenario.associations("blue"), []);
    settled(&mut scenario);
}
