//! Effective and shadowed bindings.

use pod_identity_engine::ledger::Proof;
use pod_identity_world::DominoPod;

use super::*;

fn proof(stage: &Stage) -> Option<Proof> {
    stage.inside_of("svc-etl").effective.map(|effective| effective.proof)
}

#[test]
fn an_injected_pod_that_came_after_the_last_change_proves_a_binding() {
    let mut stage = Stage::bound();
    stage.sweep();
    assert_eq!(proof(&stage), None);
    let pod = stage.pod("svc-etl");
    stage.sweep();
    let uid = stage.uid(&pod);
    assert_eq!(proof(&stage), Some(Proof::Pod { name: pod, uid }));
}

#[test]
fn a_pod_that_came_right_after_the_change_proves_nothing() {
    let mut stage = Stage::new();
    stage.bind("svc-etl", "etl");
    stage.scenario.advance(29);
    stage.pod("svc-etl");
    stage.scenario.advance(600);
    stage.sweep();
    assert_eq!(proof(&stage), None);
}

#[test]
fn a_proof_lasts_without_its_pod_until_the_credentials_change() {
    let mut stage = Stage::bound();
    let pod = stage.pod("svc-etl");
    stage.sweep();
    let proven = stage.inside_of("svc-etl");
    stage.ports.world().set_pod_phase(&cluster("blue"), NAMESPACE, &pod, "Succeeded").unwrap();
    stage.scenario.advance(600);
    stage.sweep();
    assert_eq!(stage.inside_of("svc-etl"), proven);
    stage.bind("svc-etl", "etl-2");
    stage.scenario.advance(600);
    stage.sweep();
    assert_eq!(proof(&stage), None);
}

#[test]
fn a_binding_whose_pods_carry_access_keys_is_shadowed_and_never_effective() {
    let mut stage = Stage::bound();
    stage.pod("svc-etl");
    stage.sweep();
    assert!(proof(&stage).is_some());
    let environment = [("AWS_ACCESS_KEY_ID".to_owned(), "AKIA".to_owned())].into();
    let keyed = stage.add(&DominoPod { environment, ..DominoPod::new("svc-etl-sa", "svc-etl") });
    stage.scenario.advance(100);
    stage.sweep();
    let inside = stage.inside_of("svc-etl");
    assert!(inside.shadowed.unwrap().reason.contains("AWS_ACCESS_KEY_ID of container run"));
    assert_eq!(inside.effective, None);
    // It is over, but nobody can say so who did not see everything.
    stage.ports.world().set_pod_phase(&cluster("blue"), NAMESPACE, &keyed, "Succeeded").unwrap();
    let fault = pod_identity_world::PortFault::nth(
        "list pods",
        1,
        pod_identity_world::When::Before,
        pod_identity_engine::ports::ErrorKind::Passing,
    );
    stage.ports.fault(fault);
    stage.sweep();
    assert!(stage.inside_of("svc-etl").shadowed.is_some());
    stage.sweep();
    let inside = stage.inside_of("svc-etl");
    assert!(inside.shadowed.is_none() && inside.effective.is_some());
}

#[test]
fn a_dry_run_proves_what_no_pod_has_proven() {
    let mut stage = Stage::bound();
    stage.sweep();
    assert_eq!(stage.count("create pods"), 0);
    stage.inside.dry_run = true;
    stage.look();
    assert_eq!(stage.count("create pods"), 0);
    stage.sweep();
    assert_eq!(proof(&stage), Some(Proof::DryRun));
    let tried = stage.count("create pods");
    stage.sweep();
    assert_eq!((tried, stage.count("create pods")), (2, 2));
}

#[test]
fn a_dry_run_is_not_made_before_a_change_has_settled() {
    let mut stage = Stage::new();
    stage.inside.dry_run = true;
    stage.bind("svc-etl", "etl");
    stage.sweep();
    assert_eq!(stage.count("create pods"), 0);
    stage.scenario.advance(31);
    stage.sweep();
    assert_eq!(proof(&stage), Some(Proof::DryRun));
}

#[test]
fn a_dry_run_that_gets_no_credentials_proves_nothing() {
    let mut stage = Stage::bound();
    stage.inside.dry_run = true;
    stage.ports.world().kubernetes(&cluster("blue")).unwrap().settings.webhook = false;
    stage.sweep();
    assert_eq!((stage.count("create pods"), proof(&stage)), (2, None));
}

#[test]
fn no_more_than_ten_dry_runs_are_made_in_one_run_and_all_come_in_the_end() {
    let mut stage = Stage::new();
    stage.inside.dry_run = true;
    for n in 0..14 {
        let name = format!("svc-{n}");
        let account = format!("{name}-sa");
        stage
            .ports
            .world()
            .add_service_account(&cluster("blue"), NAMESPACE, &account, &[])
            .unwrap();
        stage.bind(&name, "etl");
    }
    stage.scenario.advance(100);
    stage.sweep();
    assert_eq!(stage.count("create pods"), 10);
    stage.sweep();
    let proven = (0..14).filter(|n| stage.inside_of(&format!("svc-{n}")).effective.is_some());
    assert_eq!((stage.count("create pods"), proven.count()), (14, 14));
}
