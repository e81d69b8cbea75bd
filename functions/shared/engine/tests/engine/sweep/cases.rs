//! What is done about each case by default.

use pod_identity_core::ServiceAccountRef;
use pod_identity_core::sweep::Case;
use pod_identity_engine::ports::{AssociationUpdate, ClusterAccess, EksWriter};
use pod_identity_world::DominoPod;

use super::*;
use crate::scenario::role;

fn access() -> ClusterAccess {
    ClusterAccess { cluster: cluster("blue"), assume_role: None }
}

fn association_id(stage: &Stage, name: &str) -> String {
    let world = stage.ports.world();
    world.eks.find(&cluster("blue"), NAMESPACE, &format!("{name}-sa")).unwrap().id.clone()
}

#[test]
fn what_was_taken_away_is_evicted_whoever_owns_the_pod() {
    let mut stage = Stage::bound();
    let job = DominoPod::new("svc-etl-sa", "svc-etl").owned_by("Job");
    let kept = [("domino-pod-identity/keep".to_owned(), "true".to_owned())];
    let kept = DominoPod { annotations: kept.into(), ..DominoPod::new("svc-etl-sa", "svc-etl") };
    let pods = [stage.pod("svc-etl"), stage.add(&job), stage.app("svc-etl"), stage.add(&kept)];
    let other = stage.pod("svc-train");
    stage.scenario.advance(100);
    stage.unbind("svc-etl");
    stage.scenario.advance(1);
    let done = stage.sweep();
    assert_eq!(done.evicted.len(), 4, "{done:?}");
    assert!(pods.iter().all(|pod| !stage.is_there(pod)));
    assert!(stage.is_there(&other));
    assert_eq!(done.stale[&Case::Revoked], 4);
    let events = stage.scenario.outcomes("Stale Pod Evicted");
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| event["case"] == "revoked"));
}

#[test]
fn a_second_sweep_has_nothing_left_to_do() {
    let (mut stage, _) = Stage::revoked();
    assert_eq!(stage.sweep().evicted.len(), 1);
    stage.scenario.advance(60);
    let again = stage.sweep();
    assert!(again.sweep.is_empty(), "{}", again.sweep);
    assert_eq!((again.published, stage.scenario.outcomes("Stale Pod Evicted").len()), (0, 1));
}

#[test]
fn a_removal_that_the_ledger_does_not_know_is_reported() {
    let mut stage = Stage::bound();
    let id = {
        let mut world = stage.ports.world();
        let made = world
            .add_foreign_association(&cluster("blue"), NAMESPACE, "svc-report-sa", "arn:x")
            .unwrap();
        made.id
    };
    let pod = stage.pod("svc-report");
    stage.scenario.advance(100);
    drive(stage.ports.delete_association(&access(), &id), || {}).unwrap();
    stage.scenario.advance(100);
    let done = stage.sweep();
    assert_eq!(reports(&done)[0].0, Case::Revoked, "{}", done.sweep);
    assert!(done.evicted.is_empty() && stage.is_there(&pod));
    assert_eq!(stage.scenario.outcomes("Stale Pod Reported").len(), 1);
}

#[test]
fn a_changed_role_evicts_what_a_controller_starts_again_and_reports_the_rest() {
    let mut stage = Stage::bound();
    let (app, pod) = (stage.app("svc-etl"), stage.pod("svc-etl"));
    stage.scenario.advance(100);
    stage.bind("svc-etl", "etl-2");
    stage.scenario.advance(100);
    let done = stage.sweep();
    assert_eq!(names(&done.evicted), [app.as_str()]);
    assert_eq!(reports(&done), [(Case::Changed, "nothing would start it again".to_owned())]);
    assert!(stage.is_there(&pod));
    // The ReplicaSet's next pod holds the new role.
    stage.scenario.advance(60);
    let again = stage.sweep();
    assert!(again.evicted.is_empty(), "{}", again.sweep);
    assert_eq!(again.sweep.reports.len(), 1);
}

#[test]
fn a_change_that_is_not_settled_holds_evictions_back() {
    let mut stage = Stage::bound();
    let app = stage.app("svc-etl");
    stage.scenario.advance(100);
    stage.bind("svc-etl", "etl-2");
    let done = stage.sweep();
    assert_eq!((done.evicted.len(), done.sweep.held_back.len()), (0, 1));
    assert!(done.sweep.again_at.is_some() && stage.is_there(&app));
    stage.scenario.advance(31);
    assert_eq!(names(&stage.sweep().evicted), [app.as_str()]);
}

#[test]
fn a_place_that_somebody_else_holds_since_is_recreated() {
    let mut stage = Stage::bound();
    let app = stage.app("svc-etl");
    stage.scenario.advance(100);
    stage.unbind("svc-etl");
    stage.scenario.advance(10);
    let here = json!({ "kubernetes": { "serviceAccount": "svc-etl-sa" } });
    let event = stage.scenario.assigned_with("svc-report", "report", here);
    Scenario::assert_outcome(&stage.scenario.send(&event), Outcome::Applied);
    stage.scenario.advance(100);
    let done = stage.sweep();
    assert_eq!(names(&done.evicted), [app.as_str()]);
    assert_eq!(done.sweep.evictions[0].case, Case::Recreated);
}

#[test]
fn an_association_made_again_with_the_same_role_is_harmless() {
    let mut stage = Stage::bound();
    let app = stage.app("svc-etl");
    stage.scenario.advance(100);
    stage.unbind("svc-etl");
    stage.scenario.advance(10);
    stage.bind("svc-etl", "etl");
    stage.scenario.advance(100);
    let done = stage.sweep();
    assert!(done.evicted.is_empty() && stage.is_there(&app), "{}", done.sweep);
}

#[test]
fn a_pod_that_was_there_first_is_missing_its_credentials() {
    let mut stage = Stage::new();
    stage.bind("svc-train", "train");
    let pod = stage.pod("svc-etl");
    stage.scenario.advance(100);
    stage.bind("svc-etl", "etl");
    stage.scenario.advance(100);
    let done = stage.sweep();
    assert_eq!(reports(&done), [(Case::Missing, "the policy is to report it".to_owned())]);
    assert!(stage.is_there(&pod));
}

#[test]
fn access_keys_in_the_environment_are_shadowing_and_reported() {
    let mut stage = Stage::bound();
    let environment = [("AWS_ACCESS_KEY_ID".to_owned(), "AKIA".to_owned())].into();
    stage.add(&DominoPod { environment, ..DominoPod::new("svc-etl-sa", "svc-etl") });
    stage.scenario.advance(100);
    let done = stage.sweep();
    assert_eq!(reports(&done)[0].0, Case::Shadowed, "{}", done.sweep);
    assert!(done.evicted.is_empty());
}

#[test]
fn a_pod_of_a_mapped_name_on_a_service_account_of_its_run_is_unmapped() {
    let mut stage = Stage::bound();
    stage.map();
    stage.scenario.advance(100);
    let pod = stage.add(&DominoPod::new("run-1", "svc-etl"));
    stage.scenario.advance(100);
    let done = stage.sweep();
    assert_eq!(reports(&done)[0].0, Case::Unmapped, "{}", done.sweep);
    assert!(stage.is_there(&pod));
    stage.policy("unmapped=evict");
    assert_eq!(names(&stage.sweep().evicted), [pod.as_str()]);
}

#[test]
fn an_annotation_keeps_a_pod_that_is_not_revoked() {
    let mut stage = Stage::bound();
    let annotations = [("domino-pod-identity/keep".to_owned(), "true".to_owned())].into();
    let app = DominoPod::new("svc-etl-sa", "svc-etl").owned_by("ReplicaSet");
    let app = stage.add(&DominoPod { annotations, ..app });
    stage.scenario.advance(100);
    stage.bind("svc-etl", "etl-2");
    stage.scenario.advance(100);
    let done = stage.sweep();
    assert_eq!(reports(&done), [(Case::Changed, "it is annotated to be kept".to_owned())]);
    assert!(stage.is_there(&app));
}

#[test]
fn a_pod_of_a_foreign_association_that_is_as_it_was_is_right() {
    let mut stage = Stage::bound();
    stage
        .ports
        .world()
        .add_foreign_association(&cluster("blue"), NAMESPACE, "svc-report-sa", "arn:x")
        .unwrap();
    stage.scenario.advance(100);
    let pod = stage.app("svc-report");
    stage.scenario.advance(100);
    let done = stage.sweep();
    assert!(done.sweep.is_empty() && stage.is_there(&pod), "{}", done.sweep);
}

#[test]
fn an_association_that_was_changed_by_hand_evicts_nobody() {
    let mut stage = Stage::bound();
    let app = stage.app("svc-etl");
    stage.scenario.advance(100);
    let desired = pod_identity_core::Desired {
        role: role("train"),
        target_role: None,
        disable_session_tags: false,
        session_policy: None,
    };
    let update = AssociationUpdate {
        id: association_id(&stage, "svc-etl"),
        kubernetes: ServiceAccountRef::new(NAMESPACE, "svc-etl-sa").unwrap(),
        desired,
        client_token: "t".to_owned(),
    };
    drive(stage.ports.update_association(&access(), &update), || {}).unwrap();
    stage.scenario.advance(100);
    let done = stage.sweep();
    assert!(done.evicted.is_empty() && stage.is_there(&app), "{}", done.sweep);
}

#[test]
fn plan_mode_shows_what_would_be_done_and_does_nothing() {
    let (mut stage, pod) = Stage::revoked();
    let before = stage.ports.world().ledger.items().count();
    let seen = stage.look();
    assert_eq!((seen.sweep.evictions.len(), seen.evicted.len()), (1, 0));
    assert!(stage.is_there(&pod));
    assert_eq!(stage.ports.world().ledger.items().count(), before);
    assert_eq!(stage.count("create pods/eviction"), 0);
}
