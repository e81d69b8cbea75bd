//! A restored ledger gives back little, and nothing where it is seen to be one.

use super::*;

/// A place whose association, by the ledger's memory, is gone or has another role by now.
fn remembered(name: &str, shown: Option<&str>) -> Place {
    let mut place = place(vec![claim(name, "etl", 1)], &[], Some(managed("etl", name)));
    place.kubernetes = kubernetes(name);
    let held = place.held.as_mut().unwrap();
    (held.id, held.version) = (format!("a-{name}"), version(1));
    let id = held.id.clone();
    place.association = shown.map(|role| Association { id, ..managed(role, name) });
    place
}

fn halted() -> RestoreGuard {
    let problem = Problem::LedgerOlderThanCluster {
        account: kubernetes("x").in_cluster(&cluster()),
        association_id: "a-x".to_owned(),
        created_at: "2026-11-02T00:00:00Z".to_owned(),
        newest_write: "2026-11-01T00:00:00Z".to_owned(),
    };
    RestoreGuard { halted: Some(problem), resumed: BTreeSet::new() }
}

#[test]
fn what_is_gone_is_made_again_up_to_the_ceiling() {
    let options = Options { max_recreations: 2, ..options() };
    let mut all = observation(["a", "b", "c"].map(|name| remembered(name, None)).into());
    let done = plan(&all, &options);
    let made = done.places.iter().filter(|place| place.step.is_some());
    assert_eq!(made.count(), 2);
    assert_eq!(codes(&done), [BlockedCode::RecreationCeiling]);
    // What was held back stays so, whatever another run might make again.
    all.places.iter_mut().for_each(|place| place.claims[0].held_back = true);
    let done = plan(&all, &options);
    assert!(done.places.iter().all(|place| place.step.is_none()), "{done}");
    // What an administrator resumed counts for nothing.
    all.guard.resumed = ["a-a", "a-b", "a-c"].map(str::to_owned).into();
    let done = plan(&all, &Options { max_recreations: 0, ..options });
    assert!(done.places.iter().all(|place| place.step.is_some()), "{done}");
}

#[test]
fn a_first_creation_and_what_a_newer_event_asks_for_are_under_no_ceiling() {
    let options = Options { max_recreations: 0, ..options() };
    let mut newer = remembered("b", None);
    newer.claims[0].version = version(2);
    let places = vec![place(vec![claim("svc-etl", "etl", 1)], &[], None), newer];
    let plan = planned_with(observation(places), &options);
    assert!(plan.places.iter().all(|place| place.step.is_some()), "{plan}");
}

#[test]
fn where_the_ledger_is_older_than_the_cluster_nothing_is_made_again_or_corrected() {
    let mut all = observation(vec![
        remembered("a", None),
        remembered("b", Some("other")),
        remembered("c", Some("etl")),
        place(vec![claim("svc-new", "etl", 1)], &[], None),
    ]);
    all.guard = halted();
    let plan = plan(&all, &options());
    assert_eq!(codes(&plan), [BlockedCode::LedgerOlderThanCluster; 2]);
    let steps: Vec<bool> = plan.places.iter().map(|place| place.step.is_some()).collect();
    assert_eq!(steps, [false, false, false, true]);
    assert!(plan.places[2].bound.is_some());
}
